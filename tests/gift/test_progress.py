"""What a stage's log looks like, from a process as KFP's executor starts it."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from gift.config import load_profile
from gift.progress import without_time

ROOT = Path(__file__).parents[2]
STAGE = """
import logging, os, subprocess, sys, threading
AS_KFP = "[KFP Executor %(asctime)s %(levelname)s]: %(message)s"
logging.basicConfig(stream=sys.stdout, format=AS_KFP, level=logging.INFO)
logging.info("Got executor_input")
from gift.progress import Progress, put_times_on_lines, start_log
start_log("train-sft")
logging.getLogger("botocore.credentials").info("Found credentials in environment variables.")
logging.getLogger("gift.storage.transfer").info("downloaded 3 files")
logging.getLogger("gift.tracking.metrics").warning("MLflow is away\\nand stays away")
Progress("sft", 2).update(1, ["loss 2.0"])
print("a part of a line", end="", flush=True)
print(", and its rest")
child = "import sys; from gift.progress import put_times_on_lines; put_times_on_lines(); "
child += "print('  from a rank', flush=True); sys.stderr.write('[2026-11-21 21:17:09,085] [WARNING] DeepSpeed\\\\n')"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout, end="")
sys.stdout.flush()
subprocess.run([sys.executable, "-c", child], check=True)
if os.fork() == 0:
    put_times_on_lines()
    print("  from a fork", flush=True)
    os._exit(0)
os.wait()
print("  wrote s3://gift/x")
logging.info("Wrote executor output file")
print("no newline at its end", end="")
raise ValueError("broken")
"""
LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<text>.*)")


def _run(program: str) -> list[str]:
    ended = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ended.stdout.splitlines()


def test_every_line_of_a_stage_has_one_time_whoever_prints_it() -> None:
    before = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    first, *lines = _run(STAGE)
    after = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    assert first.startswith("[KFP Executor "), "before the stage begins"
    deepspeed = "[2026-11-21 21:17:09,085] [WARNING] DeepSpeed"
    lines.remove(deepspeed)  # it has a time of its own
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(match and before <= match["time"] <= after for match in matches), lines
    assert [match["text"] for match in matches if match and not match["text"].startswith("  File")] == [
        "▶ train-sft",
        "  info: downloaded 3 files",
        "  warning: MLflow is away",
        "and stays away",
        "· sft 1/2  loss 2.0  left 0:00",
        "a part of a line, and its rest",
        "  from a rank",
        "  from a rank",
        "  from a fork",
        "  wrote s3://gift/x",
        "Traceback (most recent call last):",
        "ValueError: broken",
        "no newline at its end",
    ]


def test_a_stage_that_kfps_executor_runs_fails_in_one_line_with_its_time(tmp_path: Path) -> None:
    parameters = {"config": load_profile("local").model_dump_json(), "run_id": "{{not replaced}}"}
    outputs = {"parameters": {"Output": {"outputFile": str(tmp_path / "output")}}, "outputFile": str(tmp_path / "all")}
    executor_input = {"inputs": {"parameterValues": parameters}, "outputs": outputs}
    command = [sys.executable, "-m", "kfp.dsl.executor_main", "--function_to_execute", "start_run"]
    command += ["--component_module_path", str(ROOT / "components" / "start_run" / "component.py")]
    ended = subprocess.run(
        [*command, "--executor_input", json.dumps(executor_input)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert without_time(ended.stdout.splitlines()[-1]) == "▶ start-run"
    assert LINE.fullmatch(ended.stderr.rstrip("\n")), ended.stderr
    assert without_time(ended.stderr).startswith("error: the platform did not replace {{not replaced}}")


def test_the_lines_of_many_threads_stay_whole() -> None:
    program = (
        "import threading\n"
        "from gift.progress import put_times_on_lines\n"
        "put_times_on_lines()\n"
        "say = lambda name: [print(name * 40, name * 40) for _ in range(200)]\n"
        "threads = [threading.Thread(target=say, args=(name,)) for name in 'abcd']\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
    )
    texts = [without_time(line) for line in _run(program)]
    assert sorted(texts) == sorted(f"{name * 40} {name * 40}" for name in "abcd" for _ in range(200))


def test_only_our_own_time_is_taken_off() -> None:
    assert without_time("2026-11-29T18:58:04Z   wrote s3://gift/x") == "  wrote s3://gift/x"
    for line in ("error: 2026-11-29T18:58:04Z is no date", "2026-11-29 18:58:04 said a library", ""):
        assert without_time(line) == line
