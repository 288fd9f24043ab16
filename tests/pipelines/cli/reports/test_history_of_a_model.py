"""`gift report history`, on the real MLflow and S3 servers: every version, who was champion when, and a safe page."""

import html
import re
import uuid
from pathlib import Path

import pytest
from candidates import made_up_result
from mlflow import MlflowClient
from promotions import promote
from stored_versions import StoredVersions
from typer.testing import CliRunner, Result

from gift import registry
from gift.evaluation.results import RESULTS_FILE, save_results
from gift.promotion.by_hand import Command, roll_back
from gift.promotion.model_history import read_model_history
from gift.report.model_history.table import history_rows
from gift.storage import delete_directory, upload_directory
from pipelines.cli.main import app

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def versions(bucket_prefix: str, tmp_path: Path) -> StoredVersions:
    return StoredVersions(bucket_prefix, tmp_path)


def draw(versions: StoredVersions, output: Path) -> tuple[Result, str]:
    """What the command prints, in a wide terminal, and the page."""
    command = ["report", "history", versions.name, "--output", str(output)]
    result = CliRunner().invoke(app, command, env={"COLUMNS": "200"})
    return result, output.read_text(encoding="utf-8") if output.exists() else ""


def test_every_version_is_there_with_its_score_and_its_reigns(versions: StoredVersions, tmp_path: Path) -> None:
    first, second, third = (versions.add(solved=solved) for solved in (20, 30, 10))
    promote(versions.name, first, instead_of=None)
    promote(versions.name, second, instead_of=first)
    roll_back(Command(versions.name, "it got worse", registry.ANYONE), None, lambda line: None)
    found = read_model_history(versions.name)
    assert [(reign.version, reign.until is None) for reign in found.reigns] == [
        (first, False),
        (second, False),
        (first, True),
    ]
    assert found.reigns[0].until == found.reigns[1].since
    assert found.reigning == first

    result, page = draw(versions, tmp_path / "history.html")
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.output.splitlines() if re.match(r"\d+ ", line.strip())}
    assert list(lines) == [third, second, first], "the newest first"
    for version, accuracy in ((first, "50.0"), (second, "75.0"), (third, "25.0")):
        assert f"{accuracy} ± 10.0 %" in lines[version]
        assert f"{accuracy} ± 10.0 %" in page
    reigned = {row[0]: row[2] for row in history_rows(found)}  # a narrow terminal breaks these cells into lines
    assert reigned[first].count(" – ") == 2
    assert reigned[first].endswith("now")
    assert reigned[third] == ""
    assert "<script" not in page
    drawing = page[page.index("<svg") : page.index("</svg>")]
    named = re.findall(r"<text [^>]*>(\d)</text>", drawing)
    assert {first, second} <= set(named), "champions are numbered"


def test_scores_on_other_problems_are_marked_and_lost_ones_are_named(versions: StoredVersions, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    save_results(folder / RESULTS_FILE, {"heldout": made_up_result(10, 30), "gsm8k": made_up_result(3, 30, "gsm8k")})
    other = f"{versions.storage}/evaluations/other"
    upload_directory(folder, other)
    versions.add(tags={registry.EVALUATION_TAG: other})
    lost = f"{versions.storage}/evaluations/lost"
    upload_directory(folder, lost)
    gone = versions.add(tags={registry.EVALUATION_TAG: lost})
    delete_directory(lost)
    versions.add(solved=20)
    result, page = draw(versions, tmp_path / "history.html")
    assert result.exit_code == 0, result.output
    for text in (result.output, html.unescape(page)):
        assert "33.3 ± 10.0 %*" in text
        assert "50.0 ± 10.0 %*" not in text
        assert "* on other problems, or asked otherwise, than the newest version: not comparable" in text
        assert f"version {gone}: its evaluation can't be read: {lost}" in text
    assert page.count("<svg") == 2, "a chart for each benchmark"


def test_names_from_the_registry_stay_text(versions: StoredVersions, tmp_path: Path) -> None:
    versions.name = f"test-{uuid.uuid4().hex[:8]} {HOSTILE}"
    versions.add(tags={"gift.run_id": f"[red]{HOSTILE}\x1b[31m"})
    result, page = draw(versions, tmp_path / "history.html")
    assert result.exit_code == 0, result.output
    assert "<img" not in page
    assert "&lt;img" in page
    assert "\x1b[31m" not in result.output
    assert "[red]" in result.output


def test_a_champion_by_hand_is_told(versions: StoredVersions, tmp_path: Path) -> None:
    first, second = versions.add(), versions.add()
    promote(versions.name, first, instead_of=None)
    MlflowClient().set_registered_model_alias(versions.name, "champion", second)
    result, page = draw(versions, tmp_path / "history.html")
    assert f"version {second} was made champion by hand; the next promotion notes when" in result.output
    assert f"<dd>version {second}</dd>" in page


def test_what_is_not_registered_is_one_line(versions: StoredVersions, tmp_path: Path) -> None:
    result, page = draw(versions, tmp_path / "history.html")
    assert result.exit_code == 1
    assert f"MLflow has no registered model '{versions.name}'" in result.output
    assert page == ""
    MlflowClient().create_registered_model(versions.name)
    assert (
        f"{versions.name} has no versions, so there is nothing to draw" in draw(versions, tmp_path / "a.html")[0].output
    )
