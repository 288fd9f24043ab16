"""When and whom to kill in one attempt at a training."""

import random
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError

from gift.config import Section
from gift.config.section import Count, NonNegativeFloat, PositiveInt
from gift.errors import GiftError

Moment = Literal["rollout", "backward", "checkpoint", "upload", "commit", "removal"]
"""`commit` is between the upload of a checkpoint's files and its manifest; `removal`, of the checkpoints before."""
Victim = Literal["rank", "parent of the ranks", "launcher"]
LONGEST_DELAY = 0.1
MOST_STEPS = 2
"""An attempt comes no further before it is killed."""


class Kill(Section):
    """SIGKILL of one process, in the first rank's `occurrence`-th `moment`."""

    moment: Moment
    occurrence: PositiveInt
    delay_seconds: NonNegativeFloat
    """From the moment's beginning; the process that is killed goes on meanwhile."""
    victim: Victim
    rank: Count
    """Which one, where the victim is a rank."""


class Attempt(Section):
    """What the process of one attempt is given, as a file."""

    job: Path
    """Of the training (`gift.launch.rank_job`)."""
    kill: Kill | None
    note: Path
    """Where the first rank says in which step it kills, just before it does."""


def random_kills(seed: int, count: int, ranks: int) -> list[Kill]:
    """Kills that come within `MOST_STEPS` steps, wherever the training stands; the same ones for the same seed."""
    generator = random.Random(seed)
    return [_random_kill(generator, ranks) for _ in range(count)]


def _random_kill(generator: random.Random, ranks: int) -> Kill:
    moment = generator.choice(get_args(Moment))
    # Before the manifest there is no time to miss: the request waits for the kill.
    delay = 0.0 if moment == "commit" else generator.uniform(0, LONGEST_DELAY)
    return Kill(
        moment=moment,
        occurrence=generator.randint(1, MOST_STEPS),
        delay_seconds=round(delay, 3),
        victim=generator.choice(get_args(Victim)),
        rank=generator.randrange(ranks),
    )


def read_attempt(path: Path) -> Attempt:
    """Raises: GiftError: the file is not an attempt."""
    try:
        return Attempt.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise GiftError(f"attempt {path} can't be read: {error}") from error
