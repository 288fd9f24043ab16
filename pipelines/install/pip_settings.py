"""What pip is told on this machine, read without pip: an environment that uv made has none.

pip's files, variables and their order are those of https://pip.pypa.io/en/stable/topics/configuration/.
Left out: Windows, and the options of a single pip command.
"""

import configparser
import os
import sys
from pathlib import Path


def pip_settings() -> dict[str, str]:
    """Every option of `pip install` that a file or a `PIP_…` variable sets, by its long name without dashes."""
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    for path in _files():
        parser = configparser.RawConfigParser()
        parser.read(path, encoding="utf-8")
        for section in sections.keys() & set(parser.sections()):
            sections[section].update({_option(name): value for name, value in parser.items(section)})
    variables = {_option(name[4:]): value for name, value in os.environ.items() if name.startswith("PIP_")}
    settings: dict[str, str] = {}
    for options in (*sections.values(), variables):
        settings.update({name: value for name, value in options.items() if value})
    return settings


def find_links() -> list[str]:
    """The folders and pages of packages that pip is told; a folder that is not there is none for pip either."""
    places = pip_settings().get("find-links", "").split()
    return [path for path in map(_absolute, places) if "://" in path or Path(path).exists()]


def _absolute(place: str) -> str:
    local = place.removeprefix("file://")
    return place if "://" in local else str(Path(local).expanduser().absolute())


def _option(name: str) -> str:
    """`PIP_DEFAULT_TIMEOUT` and `timeout` are one option."""
    return name.lower().replace("_", "-").removeprefix("--").replace("default-timeout", "timeout")


def _files() -> list[Path]:
    """From the weakest to the strongest; the file that PIP_CONFIG_FILE names takes the place of the user's own."""
    named = os.environ.get("PIP_CONFIG_FILE", "")
    if named == os.devnull:
        return []
    home = Path.home()
    if sys.platform == "darwin":
        machine, user = [Path("/Library/Application Support")], home / "Library" / "Application Support"
        user = user if (user / "pip").is_dir() else home / ".config"
    else:
        machine = [Path(folder) for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(os.pathsep)]
        user = Path(os.environ.get("XDG_CONFIG_HOME", "").strip() or home / ".config")
    files = [*(folder / "pip" / "pip.conf" for folder in machine), Path("/etc/pip.conf")]
    if not Path(named).is_file():
        files += [home / ".pip" / "pip.conf", user / "pip" / "pip.conf"]
    return [*files, Path(sys.prefix, "pip.conf"), *([Path(named)] if named else [])]
