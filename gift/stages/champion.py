"""The reigning champion's results: looked for when a run starts, and read by the gate.

Left out: whether they are of the candidate's problems. That is for the gate to say, when there is a candidate.
"""

from gift import registry
from gift.config import RunConfig
from gift.errors import GiftError
from gift.evaluation.gate import NotComparable
from gift.evaluation.results import RESULTS_FILE, BenchmarkResult, load_results
from gift.execution.stage import downloaded
from gift.storage import DirectoryError


def champion_result(config: RunConfig, champion: registry.Champion) -> BenchmarkResult | NotComparable:
    """What the champion scored on the gate's benchmark, or why nobody can tell.

    Raises:
        GiftError: S3 or the disk failed, which says nothing about the champion.
    """
    uri = champion.tags.get(registry.EVALUATION_TAG)
    if not uri:
        return NotComparable(
            f"version {champion.version} has no tag {registry.EVALUATION_TAG} with the URI of its evaluation"
        )
    try:
        with downloaded(uri, wanted=(RESULTS_FILE,)) as folder:
            try:
                results = load_results(folder / RESULTS_FILE, origin=f"{uri}/{RESULTS_FILE}")
            except GiftError as fault:
                return NotComparable(f"the evaluation of version {champion.version} can't be read ({fault})")
    except DirectoryError as fault:
        return NotComparable(f"the evaluation of version {champion.version} is lost ({fault})")
    result = results.get(config.gate.benchmark)
    if result is None or result.task != config.gate.benchmark:
        known = ", ".join(results) or "nothing"
        return NotComparable(
            f"version {champion.version} was not evaluated on {config.gate.benchmark}, only on {known} ({uri})"
        )
    return result


def warn_if_not_comparable(config: RunConfig) -> None:
    """Print one line if the gate of a run that starts now could not compare its candidate with the champion.

    Raises:
        GiftError: MLflow, S3 or the disk failed.
    """
    champion = registry.champion(config.registered_model)
    found = champion_result(config, champion) if champion else None
    if isinstance(found, NotComparable):
        print(
            f"  warning: no gate can compare with the champion of {config.registered_model}: {found.reason}. "
            "A candidate will stay challenger, for a human to promote.",
            flush=True,
        )
