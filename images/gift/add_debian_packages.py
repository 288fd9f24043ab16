"""Adds a Debian system's packages to a CycloneDX document: `add_debian_packages.py BOM DPKG_STATUS OS_RELEASE`.

Prints the whole document. Runs inside the image build, with the standard library only.
"""

import json
import sys
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import quote


def component(package: Message, distribution: str) -> dict[str, Any]:
    """One installed package, named as in https://github.com/package-url/purl-spec (type `deb`)."""
    name, version, architecture = (str(package[key]) for key in ("Package", "Version", "Architecture"))
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro={distribution}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def main(bom: Path, status: Path, os_release: Path) -> None:
    """Merge and print."""
    release = dict(line.split("=", 1) for line in os_release.read_text(encoding="utf-8").splitlines() if "=" in line)
    distribution = "debian-" + release["VERSION_ID"].strip('"')
    document = json.loads(bom.read_text(encoding="utf-8"))
    packages = map(message_from_string, status.read_text(encoding="utf-8").strip().split("\n\n"))
    installed = (package for package in packages if package["Status"] == "install ok installed")
    document["components"] += [component(package, distribution) for package in installed]
    json.dump(document, sys.stdout, indent=2)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
