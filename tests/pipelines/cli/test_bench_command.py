"""`gift bench`: what is said before anything is measured, and the verdict as an exit status."""

import sys
from pathlib import Path

import pytest
from step_measurements import measurements
from typer.testing import CliRunner

from gift.report.files import save_document
from pipelines.cli.main import app


def _gift(*arguments: object) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["bench", *map(str, arguments)])
    return result.exit_code, result.output.splitlines()


def test_without_trl_one_line_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    status, lines = _gift("step", "--case", "tiny", "--output", tmp_path / "step.json")
    assert status == 1
    assert lines == [
        "error: TRL is not installed, and there is nothing to compare with; `make bench-install` installs it"
    ]


def test_an_unknown_case_is_one_line(tmp_path: Path) -> None:
    status, (line,) = _gift("step", "--case", "13m*", "--output", tmp_path / "step.json")
    assert status == 1
    assert line.startswith("error: there is no case 13m*; name one of 12m-p128-n8-equal,")


def test_results_that_have_no_place_are_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gift.bench.measure.require_trl", lambda: None)
    monkeypatch.setattr("gift.bench.measure.measure_step", lambda *_, **__: pytest.fail("it was measured"))
    (tmp_path / "file").touch()
    status, (line,) = _gift("step", "--case", "tiny", "--output", tmp_path / "file" / "step.json")
    assert status == 1
    assert line.startswith(f"error: {tmp_path}/file can't be a folder: ")
    assert line.endswith("is a file; choose another with --output")


@pytest.mark.parametrize(
    ("after", "options", "expected"), [(0.5, (), 0), (0.6, (), 1), (0.6, ("--tolerance", 0.25), 0)]
)
def test_the_exit_status_says_whether_a_case_became_slower(
    tmp_path: Path, after: float, options: tuple[object, ...], expected: int
) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    save_document(measurements(tiny=0.5, **{"12m_p128_n8_equal": 0.4}), old)
    save_document(measurements(tiny=after, **{"12m_p128_n8_equal": 0.4}), new)
    status, lines = _gift("compare", old, new, *options)
    assert status == expected
    assert [line.split()[0] for line in lines] == ["tiny", "12m-p128-n8-equal"]


def test_results_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    status, (line,) = _gift("compare", tmp_path / "old.json", tmp_path / "new.json")
    assert status == 1
    assert "old.json can't be read" in line
