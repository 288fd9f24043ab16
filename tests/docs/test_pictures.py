"""The README's pictures of the report are small, and the command makes them from a report's page."""

import json
import shutil
from pathlib import Path

import pytest
from browser import PROGRAMS
from pictures import HERE, PICTURES, take_pictures
from PIL import Image

from gift.report.html import render_report
from gift.report.schema import parse_report

EXAMPLE = Path(__file__).parents[1] / "gift/report/report.json"
MOST_BYTES = 100_000
DAY, NIGHT = (255, 255, 255), (20, 23, 27)
"""The page's colours."""

missing = [program for program in PROGRAMS if shutil.which(program) is None]


@pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} are not installed")
def test_a_report_is_taken_by_day_and_by_night(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(render_report(parse_report(json.loads(EXAMPLE.read_text(encoding="utf-8")))), encoding="utf-8")
    taken = take_pictures(page, tmp_path)
    assert [path.name for path in taken] == [f"{name}-{way}.webp" for name in PICTURES for way in ("light", "dark")]
    assert [_corner(path) for path in taken] == [DAY, NIGHT] * len(PICTURES)
    assert all(path.stat().st_size < MOST_BYTES for path in taken)


def test_those_that_are_kept_are_small_and_light_and_dark() -> None:
    kept = sorted(HERE.glob("*.webp"))
    assert [path.name for path in kept] == [
        f"{name}-{way}.webp" for name in sorted(PICTURES) for way in ("dark", "light")
    ]
    assert [_corner(path) for path in kept] == [NIGHT, DAY] * len(PICTURES)
    assert all(path.stat().st_size < MOST_BYTES for path in kept)


def _corner(path: Path) -> tuple[int, ...]:
    with Image.open(path) as picture:
        return picture.convert("RGB").getpixel((2, 2))
