"""Takes the pictures of the report that the README shows, by day and by night, in headless Chromium.

    python docs/figures/pictures.py runs/latest/report.html [FOLDER]    (seconds; needs chromium and chromium-driver)

They lie in FOLDER, or beside this file: `report-light.webp` and `report-dark.webp`, from the verdict to the results,
and `answers-…`, what became better and worse, where the page has it. Each is below 100 kB. Left out: the rest.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from browser import PROGRAMS, Browser, chromium

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1000, 1400
"""Of the window, in CSS pixels."""
SCALE = 1.25
"""Pixels per CSS pixel."""
PICTURES = {"report": ("header", "#results"), "answers": ("#changes", "#changes")}
"""Name → selectors of the first and the last part of the page that it shows."""
AREA = """
const [first, last] = [...arguments].map((part) => document.querySelector(part));
if (!first || !last) return null;
const { left, right, top } = first.getBoundingClientRect();
return { x: left - 24, y: scrollY + top - 24, width: right - left + 48,
         height: last.getBoundingClientRect().bottom - top + 48 };
"""


def take_pictures(page: Path, folder: Path) -> list[Path]:
    """Write the pictures of a report's page into an existing folder; returns their paths."""
    with tempfile.TemporaryDirectory(prefix="pictures-") as profile, chromium(Path(profile)) as browser:
        browser.resize(WIDTH, HEIGHT)
        browser.open(page.resolve().as_uri())
        taken = (
            _taken(browser, parts, folder / f"{name}-{scheme}.webp", scheme)
            for name, parts in PICTURES.items()
            for scheme in ("light", "dark")
        )
        return [path for path in taken if path]


def _taken(browser: Browser, parts: tuple[str, str], path: Path, scheme: str) -> Path | None:
    area = browser.run(AREA, *parts)
    if area is None:
        return None
    colours = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.tell("Emulation.setEmulatedMedia", media="screen", features=colours)
    browser.take(area, SCALE, path)
    return path


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        sys.exit(
            f"error: {' and '.join(missing)} are not installed; Debian's packages are chromium and chromium-driver"
        )
    for picture in take_pictures(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else HERE):
        print(picture)
