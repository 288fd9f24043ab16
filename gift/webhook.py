"""Tells a webhook how a run ended and who became champion: a POST of JSON to the address in `GIFT_WEBHOOK_URL`.

At least one of each: where MLflow can't be asked, the stage fails and KFP tries it again, and every attempt tells what
it knows; `run_id` says what belongs together. A promotion whose process dies is told by the next one.

Such an address is a secret (who knows it may post), so it comes from the environment only, and nothing printed shows
more of it than its host.

Left out: retries, signatures, and the shapes that chat services ask for; a small relay can give it theirs. Imports no
other room.
"""

import os
from typing import Literal
from urllib.parse import urlsplit

import requests
from pydantic import AwareDatetime, BaseModel

URL_VARIABLE = "GIFT_WEBHOOK_URL"
SECONDS = 10


class RunEnd(BaseModel):
    """The JSON that is posted when a run ends."""

    event: Literal["run ended"] = "run ended"
    run_id: str
    experiment: str
    state: Literal["FINISHED", "FAILED"]
    failed_stage: str | None
    """None for a run that finished, and where MLflow could not be asked."""
    mlflow_run: str | None
    """None where MLflow could not be asked."""


class ChampionScore(BaseModel):
    """What the new champion scored on one benchmark, as shares."""

    accuracy: float
    stderr: float
    n: int
    """Number of problems."""


class ChampionChange(BaseModel):
    """The JSON that is posted when the alias `champion` has moved."""

    event: Literal["champion changed"] = "champion changed"
    model: str
    version: str | None
    instead_of: str | None
    """None for the first champion."""
    kind: str
    """promotion or rollback"""
    reason: str
    by: str
    at: AwareDatetime
    source: str | None
    """Where its files are, `s3://…`; None where MLflow could not be asked."""
    scores: dict[str, ChampionScore]
    """By benchmark; empty where nobody evaluated it."""
    report: str | None
    """The directory of its run's report, `s3://…`. Where a run promotes, it is written a moment later."""
    run_id: str | None


def has_webhook() -> bool:
    """Whether there is anybody to tell."""
    return bool(os.environ.get(URL_VARIABLE))


def post_run_end(end: RunEnd) -> None:
    """Post to the webhook, if there is one. A fault is one printed line and nothing else: the run ended as it did."""
    _post(end)


def post_champion_change(change: ChampionChange) -> None:
    """The same when the champion is another one."""
    _post(change)


def _post(message: BaseModel) -> None:
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return
    body = message.model_dump(mode="json")
    try:
        # A redirect would carry the message to a place that nobody has named; the body of the answer is not read.
        with requests.post(url, json=body, timeout=SECONDS, allow_redirects=False, stream=True) as response:
            fault = None if response.ok and not response.is_redirect else f"answered HTTP {response.status_code}"
    except requests.RequestException as error:
        fault = f"was not reached ({type(error).__name__})"
    print(f"  warning: the webhook{_host(url)} {fault}" if fault else "  told the webhook", flush=True)


def _host(url: str) -> str:
    """` at <host>`, or nothing for an address that has none."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ""
    return f" at {host}" if host else ""
