"""What is installed: its licences, whether it is what the lock files pin, and what of it was withdrawn since.

`python -m pipelines.install.audit` prints it; status 1 where something is installed that no lock file pins.

Left out: known vulnerabilities. Only an advisory service knows them (PyPI's or OSV's, which pip-audit asks), and where
nothing but a package index can be reached there is none.
"""

import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path

from pipelines.install.uv import uv_command, uv_environment

REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
INSTALLED = ("cpu", "development", "models")
"""The lock files that `make install` installs whole."""
UNPINNED = {"pip", "setuptools", "gift-kubeflow"}
"""What comes with Python's venv, and this project."""
OF_A_LICENCE = re.compile(r"License :: (?!OSI Approved$)")
LONGEST = 60
"""Some packages put the whole text where the name of a licence belongs."""


def main() -> None:
    """Print licences and audit."""
    found = {_normalized(package.name): package for package in distributions()}
    print(f"licences of {len(found)} packages")
    for licence, names in sorted(by_licence(found.values()).items(), key=lambda item: -len(item[1])):
        print(f"  {licence} ({len(names)}): {', '.join(names)}")
    print("audit")
    strangers = unpinned({name: package.version for name, package in found.items()}, pinned_versions(REQUIREMENTS))
    print(f"  installed, and not as a lock file pins it: {', '.join(strangers) or 'nothing'}")
    without = [name for name, line in _requirements(REQUIREMENTS) if "--hash=" not in line]
    print(f"  pinned without a hash: {', '.join(without) or 'nothing'}")
    print(f"  withdrawn by their authors (yanked): {_yanked_in_words()}")
    print("  not looked at: known vulnerabilities, which only an advisory service knows")
    sys.exit(1 if strangers else 0)


def by_licence(packages: Iterable[Distribution]) -> dict[str, list[str]]:
    """Licence, as the packages' own metadata name it → names, sorted."""
    found: dict[str, list[str]] = defaultdict(list)
    for package in packages:
        found[licence_of(package.metadata)].append(_normalized(package.name))
    return {licence: sorted(names) for licence, names in found.items()}


def licence_of(metadata: PackageMetadata) -> str:
    """The SPDX expression (PEP 639) if there is one, else the classifiers, else the first line of the free text."""
    expressions, entries, texts = (
        metadata.get_all(name) or [] for name in ("License-Expression", "Classifier", "License")
    )
    classifiers = [entry.rpartition(" :: ")[2] for entry in entries if OF_A_LICENCE.match(entry)]
    first_lines = [text.strip().partition("\n")[0][:LONGEST] for text in texts]
    return ", ".join(expressions) or ", ".join(classifiers) or "".join(first_lines) or "not said"


def unpinned(installed: Mapping[str, str], pinned: Mapping[str, set[str]]) -> list[str]:
    """`name version` of what no lock file pins; a build of a pinned version (`2.13.0+cpu`) counts as that version."""
    return [
        f"{name} {version}"
        for name, version in sorted(installed.items())
        if name not in UNPINNED and not {version, version.partition("+")[0]} & pinned.get(name, set())
    ]


def pinned_versions(folder: Path) -> dict[str, set[str]]:
    """Name → the versions that the lock files in a folder pin."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, line in _requirements(folder):
        found[name].add(re.split(r"==|\s", line)[1])
    return dict(found)


def yanked(arguments: Sequence[str]) -> list[str] | None:
    """uv's own words for each release that was withdrawn, of what `uv pip install <arguments>` would install.

    Returns: None where nobody can tell, as no index answers.
    """
    command = uv_command(["pip", "install", "--dry-run", "--reinstall", "--no-deps", "--python", sys.executable])
    asked = subprocess.run(  # noqa: S603 - our own arguments, and no shell
        [*command, *arguments], env=uv_environment(), capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        return None
    return [line.removeprefix("warning: ") for line in asked.stderr.splitlines() if " is yanked" in line]


def _yanked_in_words() -> str:
    locks = [argument for name in INSTALLED for argument in ("--requirement", str(REQUIREMENTS / f"{name}.txt"))]
    found = yanked(["--require-hashes", *locks])
    return "no index to ask" if found is None else "; ".join(found) or "nothing"


def _requirements(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and whole line of every pin, with its hashes."""
    for path in sorted(folder.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            if match := re.match(r"([\w.-]+)(?:\[.*\])?==", line):
                yield _normalized(match[1]), line


def _normalized(name: str) -> str:
    """PEP 503's."""
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main()
