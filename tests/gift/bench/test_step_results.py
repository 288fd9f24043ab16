"""Results are kept case by case, and the table says what the turns say."""

from pathlib import Path

import pytest
from step_measurements import measurement, turns

from gift.bench.cases import CASES
from gift.bench.floor import matrix_operations
from gift.bench.results import keep_measurement, load_measurements, markdown
from gift.errors import GiftError


def test_a_ratio_is_the_median_over_rounds_and_not_of_each_side() -> None:
    """In the second round the machine did something else: both sides took ten times as long."""
    found = measurement("tiny", turns(1.0, 10.0, 2.0), turns(2.0, 20.0, 3.0))
    assert found.cost("trl") == 0.5
    assert found.seconds("gift") == 2.0
    assert found.tokens_per_second("gift") == CASES["tiny"].tokens / 4.0


def test_the_share_of_the_floor_follows_from_the_measured_rate() -> None:
    found = measurement("tiny", turns(2.0), turns(3.0))
    assert found.matrix_rate == pytest.approx(matrix_operations(CASES["tiny"]) / 0.1)
    assert found.floor_seconds == pytest.approx(10**10 * 0.1 / matrix_operations(CASES["tiny"]))
    assert found.floor_share == pytest.approx(found.floor_seconds / 2.0)


def test_a_file_keeps_the_other_cases_and_has_a_table_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "results" / "step.json"
    keep_measurement(measurement("tiny", turns(1.0), turns(2.0)), path)
    keep_measurement(measurement("12m-p128-n8-equal", turns(1.0), turns(4.0)), path)
    kept = keep_measurement(measurement("tiny", turns(1.0), turns(3.0)), path)
    assert load_measurements(path) == kept
    assert {name: one.cost("trl") for name, one in kept.cases.items()} == {"tiny": 1 / 3, "12m-p128-n8-equal": 1 / 4}
    table = path.with_suffix(".md").read_text(encoding="utf-8")
    assert table == markdown(kept)
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ")]
    assert [(row[0], row[3], row[4]) for row in rows[2:]] == [
        ("| tiny", "3.00 (3.00–3.00)", "–"),
        ("| 12m-p128-n8-equal", "4.00 (4.00–4.00)", "–"),
    ]


def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "step.json"
    path.write_text('{"accuracy": 1}')
    with pytest.raises(GiftError, match=r"step\.json is not a valid measurements: accuracy"):
        keep_measurement(measurement("tiny", turns(1.0), turns(2.0)), path)
    assert path.read_text() == '{"accuracy": 1}'
