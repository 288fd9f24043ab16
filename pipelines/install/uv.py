"""uv, told what pip is told: `python -m pipelines.install.uv pip install …` is `uv pip install …`.

uv reads nothing of pip's configuration. Whoever installs with pip through an index of their own, from a folder of
wheels or behind a proxy with its own CA installs with uv through the same. What `UV_…` variables say counts as well.

Left out: pip's constraints and its choice between wheels and source, which the lock files decide here.
"""

import math
import os
import sys
from pathlib import Path

from pipelines.install.pip_settings import find_links, pip_settings

UV = Path(sys.executable).parent / "uv"
"""From requirements/uv.txt, in the environment that runs this."""


def uv_command(arguments: list[str]) -> list[str]:
    """The whole command; that there is no index can be said in no variable."""
    none = pip_settings().get("no-index", "").lower() in {"1", "true", "yes", "on"}
    return [str(UV), *arguments, *(["--no-index"] if none else [])]


def uv_environment() -> dict[str, str]:
    """This process's environment, and in it what pip is told, in uv's words."""
    pip = pip_settings()
    # requests, with which pip asks, takes its CA from two more variables.
    ca = next(filter(None, (pip.get("cert"), *map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")))), None)
    instead = {
        "SSL_CERT_FILE": ca,
        "SSL_CLIENT_CERT": pip.get("client-cert"),
        "HTTP_PROXY": pip.get("proxy"),
        "HTTPS_PROXY": pip.get("proxy"),
    }
    unless_told = {
        "UV_DEFAULT_INDEX": pip.get("index-url"),
        "UV_HTTP_TIMEOUT": _whole_seconds(pip.get("timeout")),
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # as pip does: the best file of all indexes (hashes are checked)
    }
    besides = {
        "UV_INDEX": (" ", pip.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": (",", find_links()),
        "UV_INSECURE_HOST": (" ", pip.get("trusted-host", "").split()),
    }
    environment = dict(os.environ)
    environment |= {name: value for name, value in instead.items() if value}
    environment = {name: value for name, value in unless_told.items() if value} | environment
    for name, (separator, values) in besides.items():
        environment[name] = separator.join(filter(None, [environment.get(name, ""), *values]))
    return {name: value for name, value in environment.items() if value or name in os.environ}


def _whole_seconds(timeout: str | None) -> str | None:
    """uv knows no fractions; what is no number is pip's to refuse."""
    try:
        return str(math.ceil(float(timeout))) if timeout else None
    except ValueError:
        return None


def main() -> None:
    """Become uv."""
    command = uv_command(sys.argv[1:])
    os.execve(command[0], command, uv_environment())  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
