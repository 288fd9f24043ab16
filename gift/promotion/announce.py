"""Tells the webhook who became champion: which version, instead of whom, why, with its scores and its report.

What can't be found out is left empty: the champion is champion, and whoever listens must learn of it. Left out: what
happens then; a relay, or MLflow's own webhooks, may start it.
"""

from gift import registry
from gift.errors import GiftError
from gift.evaluation.results import RESULTS_FILE, load_results
from gift.execution.stage import downloaded
from gift.registry import Move
from gift.tracking.entities import ModelVersion
from gift.tracking.entries import RUN_ID_TAG
from gift.webhook import ChampionChange, ChampionScore, has_webhook, post_champion_change


def announce(name: str, move: Move) -> None:
    """Post the move of the alias to the webhook, if there is one; no fault of it is raised."""
    if not has_webhook():
        return
    version = _version(name, move)
    tags = version.tags if version else {}
    post_champion_change(
        ChampionChange(
            model=name,
            version=move.version,
            instead_of=move.instead_of,
            kind=move.kind,
            reason=move.reason,
            by=move.by,
            at=move.at,
            source=version.source if version else None,
            scores=_scores(tags.get(registry.EVALUATION_TAG)),
            report=tags.get(registry.REPORT_TAG),
            run_id=tags.get(RUN_ID_TAG),
        )
    )


def _version(name: str, move: Move) -> ModelVersion | None:
    try:
        return registry.registered_version(name, move.version) if move.version else None
    except GiftError as fault:
        print(f"  warning: the webhook is told nothing but the version: {fault}", flush=True)
        return None


def _scores(evaluation: str | None) -> dict[str, ChampionScore]:
    if evaluation is None:
        return {}
    try:
        with downloaded(evaluation, wanted=(RESULTS_FILE,)) as folder:
            results = load_results(folder / RESULTS_FILE, origin=f"{evaluation}/{RESULTS_FILE}")
    except GiftError as fault:
        print(f"  warning: the webhook is told no scores: {fault}", flush=True)
        return {}
    return {
        task: ChampionScore(accuracy=result.accuracy, stderr=result.stderr, n=result.n)
        for task, result in results.items()
    }
