"""`gift report …`: a table, findings with an exit status, and one line for what is no report."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gift.evaluation.results import BenchmarkResult, EvaluationSettings
from gift.verification.finding import differs, holds, unknown
from gift.verification.stored import StoredEvaluation
from pipelines.cli.main import app

REPORT = Path(__file__).parents[3] / "gift/report/report.json"


def _gift(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments])


@pytest.fixture(autouse=True)
def named_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")


def test_the_table_is_shown_for_people_and_for_a_readme() -> None:
    assert "Accuracy ± standard error" in _gift("show", str(REPORT)).output
    assert _gift("show", str(REPORT), "--markdown").output.startswith("|  | ")


@pytest.mark.parametrize(
    ("found", "status", "last"),
    [
        ([holds("a"), holds("b")], 0, "2 hold, 0 differ, 0 can't be checked from here"),
        ([holds("a"), unknown("\x1b[31mb")], 1, "1 hold, 0 differ, 1 can't be checked from here"),
        ([differs("a"), holds("b")], 1, "1 hold, 1 differ, 0 can't be checked from here"),
    ],
)
def test_the_status_says_whether_the_report_holds(
    monkeypatch: pytest.MonkeyPatch, found: list, status: int, last: str
) -> None:
    monkeypatch.setattr("gift.verification.recompute.verify_report", lambda report: iter(found))
    result = _gift("verify", str(REPORT))
    assert result.exit_code == status
    assert last in result.output
    assert "\x1b[31m" not in result.output
    assert all(f"{finding.kind:<8} " in result.output for finding in found)


@pytest.mark.parametrize("command", ["show", "verify", "reproduce"])
def test_what_is_no_report_is_named_in_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "report.json").write_text("{}")
    result = _gift(command, str(tmp_path / "report.json"))
    assert result.exit_code == 1
    assert "is not a valid report" in result.output
    assert "Traceback" not in result.output


def test_an_unknown_model_is_named() -> None:
    result = _gift("reproduce", str(REPORT), "--model", "champion")
    assert result.exit_code == 2
    assert "none of base, sft and candidate" in result.output


def test_two_reports_without_a_store_are_compared_by_their_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(report, model):
        from gift.errors import GiftError

        raise GiftError("not there")

    monkeypatch.setattr("gift.verification.compare.stored_evaluation", nothing)
    result = _gift("compare", str(REPORT), str(REPORT))
    assert result.exit_code == 0
    assert "0.0 (" in result.output


def test_an_export_writes_two_files_for_each_model_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EvaluationSettings(
        lm_eval_version="1",
        task_version="1.0",
        fewshot_count=0,
        samples=1,
        decoding={"max_gen_toks": 8},
        precision="fp32",
        batch_size=1,
        limit=None,
        seed=0,
    )
    result = BenchmarkResult(
        task="heldout", accuracy=1, stderr=0, n=2, ids=("a", "b"), correct=(1, 1), secondary={}, settings=settings
    )
    stored = StoredEvaluation("s3://x", {"heldout": result}, {})
    monkeypatch.setattr("gift.verification.stored.stored_evaluation", lambda report, model: stored)
    told = _gift("export", str(tmp_path), "--organisation", "lab", "--report", str(REPORT))
    assert told.exit_code == 0
    files = {str(path) for path in tmp_path.rglob("*") if path.is_file()}
    assert len(files) == 6
    assert files <= set(told.output.split())
