"""Wrong rewards: at random, as a control in which no objective may gain, and a tenth or three tenths of them turned.

A wrong verdict is the same for the same response to the same problem, as a judge's mistake would be.
"""

import hashlib

from gift.config import RunConfig
from gift.data.problems import Problem
from gift.rewards.gsm8k import gsm8k_reward
from pipelines.experiments.baselines import OWN_BUDGET
from pipelines.experiments.experiment import Experiment, Variant

OBJECTIVES = (
    ("gift", "GIFT", ("algorithm=gift",)),
    ("grpo", "GRPO", ("algorithm=grpo",)),
    ("dapo", "DAPO", ("algorithm=dapo", *OWN_BUDGET)),
    ("gspo", "GSPO", ("algorithm=gspo",)),
)
REWARDS = (
    ("honest", "honest", "{kind: gsm8k}"),
    ("turned-10", "10 % turned", f"{{kind: function, name: verdict, function: '{__name__}:tenth_turned'}}"),
    ("turned-30", "30 % turned", f"{{kind: function, name: verdict, function: '{__name__}:three_tenths_turned'}}"),
    ("random", "random", f"{{kind: function, name: verdict, function: '{__name__}:at_random'}}"),
)


def wrong_rewards(base: RunConfig) -> Experiment:
    """Every objective with every kind of reward."""
    return Experiment(
        name="wrong-rewards",
        title="Rewards that are wrong",
        question="How much does each objective lose when some verdicts are turned, and does any gain by chance?",
        variants=tuple(
            Variant(f"{objective}-{reward}", f"{label}, {words}", (*settings, f"rewards=[{section}]"))
            for objective, label, settings in OBJECTIVES
            for reward, words, section in REWARDS
        ),
        baseline="gift-honest",
        settings=(f"rl.heldout_every={max(1, base.rl.steps // 10)}",),
    )


def tenth_turned(completion: str, problem: Problem) -> float:
    """GSM8K's verdict, turned for a tenth of all responses."""
    return _turned(completion, problem, 0.1)


def three_tenths_turned(completion: str, problem: Problem) -> float:
    """GSM8K's verdict, turned for three tenths of all responses."""
    return _turned(completion, problem, 0.3)


def at_random(completion: str, problem: Problem) -> float:
    """1 for half of all responses, whatever they say."""
    return float(_place(completion, problem) < 0.5)


def _turned(completion: str, problem: Problem, share: float) -> float:
    verdict = gsm8k_reward(completion, problem)
    return 1.0 - verdict if _place(completion, problem) < share else verdict


def _place(completion: str, problem: Problem) -> float:
    """Where a response falls in [0, 1), evenly, and always there."""
    digest = hashlib.sha256(f"{problem.id}\0{completion}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
