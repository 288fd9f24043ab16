"""`gift check resume`: it kills where it says, accepts what is the same, and sees what is not."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from gift.errors import GiftError
from gift.fault_injection.kill import Kill, Moment, Victim, random_kills
from gift.fault_injection.resume_check import check_resume, tiny_training
from gift.storage import delete_directory, download_directory, list_paths, upload_directory


def test_kills_are_drawn_by_the_seed_and_come_at_all_moments_to_all_processes() -> None:
    kills = random_kills(1, 300, ranks=3)
    assert kills == random_kills(1, 300, ranks=3) != random_kills(2, 300, ranks=3)
    assert {(kill.moment, kill.victim) for kill in kills} == {
        (m, v) for m in get_args(Moment) for v in get_args(Victim)
    }
    assert {kill.rank for kill in kills} == {0, 1, 2}
    assert random_kills(1, 5, ranks=3) == kills[:5]


def _kill(moment: Moment, victim: Victim, occurrence: int = 1, *, rank: int = 0, delay: float = 0.0) -> Kill:
    return Kill(moment=moment, occurrence=occurrence, delay_seconds=delay, victim=victim, rank=rank)


def test_a_training_that_is_killed_ends_with_the_same_weights(bucket_prefix: str) -> None:
    lines: list[str] = []
    config = tiny_training(2, (f"storage.uri={bucket_prefix}",))
    check_resume(config, [_kill("commit", "launcher", 2), _kill("backward", "rank", rank=1)], lines.append)
    in_the_first, in_the_second, _ = lines
    assert re.fullmatch(r"kill 1 of 2: SIGKILL to the launcher, 0 ms into commit 2, in step [23]", in_the_first)
    # The checkpoint of step 1 had its manifest, and that of step 2 had none.
    assert in_the_second == "kill 2 of 2: SIGKILL to rank 1, 0 ms into backward 1, in step 2"
    assert list_paths(bucket_prefix) == [], "nothing is left in the store"


def test_a_training_that_goes_on_from_something_else_is_seen(bucket_prefix: str, tmp_path: Path) -> None:
    def tamper(line: str) -> None:
        if not line.startswith("kill"):
            return
        (part,) = {m[1] for path in list_paths(bucket_prefix) if (m := re.match(r"(.*/step-\d+/node-0-of-1)/", path))}
        download_directory(f"{bucket_prefix}/{part}", tmp_path / "part")
        for file in (tmp_path / "part").glob("state-*.json"):
            state = json.loads(file.read_text())
            file.write_text(json.dumps(state | {"examples_taken": state["examples_taken"] + 2}))
        delete_directory(f"{bucket_prefix}/{part}")
        upload_directory(tmp_path / "part", f"{bucket_prefix}/{part}")

    config = tiny_training(1, (f"storage.uri={bucket_prefix}",))
    with pytest.raises(GiftError, match=r"^\d+ of \d+ tensors differ after 1 kills, the first is model\."):
        check_resume(config, [_kill("removal", "parent of the ranks", 2)], tamper)


def test_a_training_that_ends_before_it_was_killed_proves_nothing(bucket_prefix: str) -> None:
    config = tiny_training(1, (f"storage.uri={bucket_prefix}", "rl.checkpoint_every=0"))
    with pytest.raises(GiftError, match=r"the training ended before it was killed \(SIGKILL to rank 0, .*upload 1\)"):
        check_resume(config, [_kill("upload", "rank")], lambda _: None)
