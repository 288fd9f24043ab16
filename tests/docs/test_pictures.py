"""The README's pictures are small, and commands make them from a report's page and from MLflow's own."""

import json
import shutil
from pathlib import Path

import pytest
from browser import PROGRAMS
from pictures import HERE, PICTURES, take_pictures
from PIL import Image, ImageStat
from table_of_runs import take_table

from gift.config import load_profile
from gift.report.headline import headline_figures
from gift.report.html import render_report
from gift.report.schema import parse_report
from gift.tracking.parent import open_parent_run
from gift.tracking.stage import StageRun
from pipelines.local.services import Services

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
        f"{name}-{way}.webp" for name in sorted((*PICTURES, "runs")) for way in ("dark", "light")
    ]
    assert [_corner(path) for path in kept if "runs" not in path.name] == [NIGHT, DAY] * len(PICTURES)
    assert all(path.stat().st_size < MOST_BYTES for path in kept)


@pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} are not installed")
@pytest.mark.slow
def test_mlflows_table_of_runs_is_taken_with_the_figures_that_a_report_leaves(
    services: Services, tmp_path: Path
) -> None:
    config = load_profile("local", ("experiment=pictured",))
    run_id = open_parent_run(config, "pictured")
    report = parse_report(json.loads(EXAMPLE.read_text(encoding="utf-8")))
    StageRun(run_id).log_metrics(headline_figures(report))
    taken = take_table(services.environment["MLFLOW_TRACKING_URI"], tmp_path, "pictured")
    assert [path.name for path in taken] == ["runs-light.webp", "runs-dark.webp"]
    light, dark = (_brightness(path) for path in taken)
    assert light > 200 > 80 > dark


def _corner(path: Path) -> tuple[int, ...]:
    with Image.open(path) as picture:
        return picture.convert("RGB").getpixel((2, 2))


def _brightness(path: Path) -> float:
    """From 0 to 255."""
    with Image.open(path) as picture:
        return float(ImageStat.Stat(picture.convert("L")).mean[0])
