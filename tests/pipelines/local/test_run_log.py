"""What a person sees of a run, and what is kept of a failure, from the lines that kfp's local runner prints."""

import io
from pathlib import Path

import pytest

from pipelines.local.run_log import RunLog

LINES = """21:16:59.342 - INFO - Executing task 'train-sft'
        [KFP Executor 2026-11-21 21:17:00,339 INFO]: Got executor_input:
        {
            "inputs": {"secret": "no"}
        }
        2026-11-21T21:17:01Z ▶ train-sft
        [2026-11-21 21:17:09,085] [WARNING] [real_accelerator.py:213:get_accelerator] Setting accelerator to CPU.
        2026-11-21T21:17:10Z   info: downloaded 3 files
        [KFP Executor 2026-11-21 21:17:00,339 WARNING]: MLflow is away
        2026-11-21T21:17:20Z · sft 1/2  loss 2.0
        2026-11-21T21:17:43Z   wrote s3://gift/x
21:17:44.026 - INFO - Task 'train-sft' finished with status SUCCESS
21:17:44.026 - INFO - Executing task 'convert'
        2026-11-21T21:17:45Z ▶ convert-sft
        2026-11-21T21:17:45Z error: the checkpoint is gone
21:17:44.027 - ERROR - Task 'convert' finished with status \033[91mFAILURE\033[0m
21:17:44.026 - INFO - Executing task 'evaluate'
        ▶ evaluate-base
        more
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def log(tmp_path: Path) -> RunLog:
    return RunLog(tmp_path / "run.log", io.StringIO())


def test_stages_speak_and_kfp_does_not(tmp_path: Path) -> None:
    screen = io.StringIO()
    with RunLog(tmp_path / "run.log", screen) as log:
        log.write(LINES)
    assert screen.getvalue().splitlines() == [
        "▶ train-sft",
        "  warning: MLflow is away",
        "  · sft 1/2  loss 2.0",
        "  wrote s3://gift/x",
        "▶ convert-sft",
        "error: the checkpoint is gone",
    ]
    assert (tmp_path / "run.log").read_text() == LINES


def test_the_first_failure_is_kept_whatever_follows(log: RunLog) -> None:
    log.write(LINES)
    assert log.stage == "convert-sft"
    assert list(log.last_lines) == ["error: the checkpoint is gone"]


def test_a_traceback_before_the_stage_speaks_is_shown(log: RunLog) -> None:
    log.write(
        "        [KFP Executor 2026-11-21 21:17:00,339 INFO]: Looking\n"
        "        Traceback (most recent call last):\n"
        "        ImportError: x\n"
    )
    assert list(log.last_lines) == ["Traceback (most recent call last):", "ImportError: x"]


def test_text_arrives_in_any_pieces(log: RunLog) -> None:
    for character in LINES:
        log.write(character)
    assert log.stage == "convert-sft"


def test_on_a_terminal_the_live_line_is_replaced(tmp_path: Path) -> None:
    screen = Terminal()
    with RunLog(tmp_path / "run.log", screen) as log:
        log.write("▶ train\n· step 1/3\n· step 2/3\n  done\n· step 3/3\n")
    assert screen.getvalue() == "▶ train\n\r\033[K  · step 1/3\r\033[K  · step 2/3\n  done\n\r\033[K  · step 3/3\n"


def test_without_a_terminal_live_lines_are_few(tmp_path: Path) -> None:
    screen = io.StringIO()
    with RunLog(tmp_path / "run.log", screen) as log:
        log.write("▶ train\n" + "".join(f"· step {step}/100\n" for step in range(100)))
    assert len(screen.getvalue().splitlines()) == 2


def test_what_a_stage_prints_of_a_file_moves_no_cursor(tmp_path: Path) -> None:
    screen = io.StringIO()
    with RunLog(tmp_path / "run.log", screen) as log:
        log.write("▶ gate\n  a\x1b[31mb\x07\n 1%\r 100%\nerror: \u202ec\n")
    assert screen.getvalue().splitlines() == ["▶ gate", r"  a\x1b[31mb\x07", " 100%", r"error: \u202ec"]
    assert list(log.last_lines)[-1] == r"error: \u202ec"
    assert "\x1b[31m" in (tmp_path / "run.log").read_text(), "the log keeps every word"
