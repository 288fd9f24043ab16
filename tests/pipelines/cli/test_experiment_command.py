"""`gift experiment`: mistakes are one line before anything starts, and a finished comparison is printed."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.local.services import Services

EXAMPLE = Path(__file__).parents[2] / "gift" / "report" / "comparison" / "comparison.json"


@pytest.fixture
def gift(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs the command line in an empty folder; returns (exit code, all output)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["experiment", *arguments])
        return result.exit_code, result.output

    return run


@pytest.mark.parametrize("name", ["head-to-head", "rollout-ablation", "gift-options"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--profile", "nope"), "profile 'nope' does not exist"),
        (("--profile", "local", "--set", "rl.steps=0"), "rl.steps: input should be greater than 0"),
        (("--profile", "local", "--set", "rl.colour=red"), "rl.colour is not a known key"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(
    gift, tmp_path: Path, name: str, arguments: tuple[str, ...], message: str
) -> None:
    status, output = gift(name, *arguments)
    assert status == 1
    assert output.startswith("error: ")
    assert message in output
    assert output.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_more_seeds_than_anybody_trains_are_refused_at_once(gift, tmp_path: Path) -> None:
    status, output = gift("baselines", "--profile", "local", "--seeds", "1000000000")
    assert status == 2
    assert "Invalid value for '--seeds': Input should be less than or equal to 100" in " ".join(output.split())
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_one_variant_is_found_before_the_first_stage(gift, tmp_path: Path) -> None:
    status, output = gift(
        *("rollout-ablation", "--profile", "local", "--budget", "responses"),
        *("--set", "rl.prompts_per_step=4"),
    )
    assert status == 1
    assert "leaves 1 prompts per step for groups of 32" in output
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_found_before_the_first_stage(gift, services: Services, tmp_path: Path) -> None:
    model = "model={source: folder, path: /no/such/model}"
    status, output = gift("head-to-head", "--profile", "local", "--set", model)
    assert status == 1
    assert "/no/such/model" in output
    assert "▶" not in output
    assert not (tmp_path / "runs").exists()


def test_a_comparison_is_printed_as_a_table_and_as_markdown(gift) -> None:
    status, output = gift("show", str(EXAMPLE))
    assert status == 0
    assert "Accuracy in percent, mean of 2 seeds" in output
    status, output = gift("show", str(EXAMPLE), "--markdown")
    assert status == 0
    assert output.startswith("# Two objectives\n")
    status, output = gift("show", "none.json")
    assert status == 1
    assert "none.json can't be read: No such file" in output
