"""Tells a webhook how a run ended: a POST of JSON to the address in `GIFT_WEBHOOK_URL`.

At least one: where MLflow can't be asked, the stage fails and KFP tries it again, and every attempt tells what it
knows; `run_id` says what belongs together.

Such an address is a secret (who knows it may post), so it comes from the environment only, and nothing printed shows
more of it than its host.

Left out: retries, signatures, and the shapes that chat services ask for; a small relay can give it theirs. Imports no
other room.
"""

import os
from typing import Literal
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel

URL_VARIABLE = "GIFT_WEBHOOK_URL"
SECONDS = 10


class RunEnd(BaseModel):
    """The JSON that is posted."""

    run_id: str
    experiment: str
    state: Literal["FINISHED", "FAILED"]
    failed_stage: str | None
    """None for a run that finished, and where MLflow could not be asked."""
    mlflow_run: str | None
    """None where MLflow could not be asked."""


def post_run_end(end: RunEnd) -> None:
    """Post to the webhook, if there is one. A fault is one printed line and nothing else: the run ended as it did."""
    url = os.environ.get(URL_VARIABLE)
    if not url:
        return
    try:
        # A redirect would carry the message to a place that nobody has named; the body of the answer is not read.
        with requests.post(url, json=end.model_dump(), timeout=SECONDS, allow_redirects=False, stream=True) as response:
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
