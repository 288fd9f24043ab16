"""The score of one problem in the `heldout` tasks; lm-eval calls it through `!function` in their YAML.

It compares with lm-eval's own `exact_match` rather than with the reward of training, so that an error in the reward
cannot certify itself.
"""

from typing import Any

from lm_eval.api.registry import get_metric

# What gsm8k ignores as well: thousands commas, the dollar sign and a closing full stop.
_IGNORED = (",", r"\$", r"\.$")


def mean_exact_match(problem: dict[str, Any], results: list[list[str]]) -> dict[str, float]:
    """The share of the repeats that gave the final answer; `results` holds one list, the answers of all repeats."""
    (answers,) = results
    scores = get_metric("exact_match")(
        predictions=answers,
        references=[problem["final_answer"]] * len(answers),
        regexes_to_ignore=_IGNORED,
    )
    return {"exact_match": float(scores["exact_match"])}
