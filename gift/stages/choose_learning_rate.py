"""Stage: evaluations of one variant at several learning rates → the rate to use with every seed."""

from gift.errors import GiftError
from gift.execution.stage import Stage
from gift.stages.evaluate import read_results

RATE_TAG = "gift.learning_rate"


def choose_learning_rate(stage: Stage, candidates: dict[str, str], benchmark: str) -> str:
    """The rate with the highest accuracy on `benchmark`; the smallest of several that are equally good.

    Args:
        candidates: learning rate → URI of the evaluation of what was trained with it.

    Raises:
        GiftError: an evaluation has no result of `benchmark`.
    """
    accuracies = {rate: _accuracy(stage, candidates[rate], benchmark) for rate in sorted(candidates, key=float)}
    best = max(accuracies, key=lambda rate: accuracies[rate])
    for rate, accuracy in accuracies.items():
        print(f"  {rate}: {benchmark} {accuracy:.1%}{'  ← chosen' if rate == best else ''}", flush=True)
    stage.tracking.set_tags({RATE_TAG: best})
    stage.tracking.log_metrics({f"{benchmark}/accuracy": accuracies[best], "learning_rate": float(best)})
    return best


def _accuracy(stage: Stage, evaluation: str, benchmark: str) -> float:
    results = read_results(stage, evaluation)
    if benchmark not in results:
        raise GiftError(f"{evaluation} has no result of {benchmark}, by which the learning rate is chosen")
    return results[benchmark].accuracy
