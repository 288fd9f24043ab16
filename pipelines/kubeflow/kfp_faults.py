"""What goes wrong with a request to KFP, in words that say what to do. Left out: repeating it (`kfp_api`)."""

import json

import urllib3
from kfp_server_api.exceptions import ApiException

from gift.errors import GiftError
from pipelines.kubeflow.kfp_credentials import TOKEN, TOKEN_FILE


class NotFoundError(GiftError):
    """KFP has nothing with this id."""


class AwayError(GiftError):
    """KFP did not answer, or not with an answer, as often as it was asked."""


class TakenError(GiftError):
    """KFP answers 409: there is one of this name, perhaps from our own earlier attempt."""


def refusal(host: str, error: ApiException) -> GiftError:
    """What KFP's answer means, as the exception that callers tell apart."""
    said = _message(error.body)
    match error.status:
        case 401 | 403:
            way_out = f"set {TOKEN}, or {TOKEN_FILE} to a mounted token, of an account that may do this"
            return GiftError(f"KFP at {host} refuses access ({error.status}{said}); {way_out}")
        case 404:
            return NotFoundError(f"KFP at {host} has no such thing (404{said})")
        case 409:
            return TakenError(f"KFP at {host} says that it exists already (409{said})")
        case 429 | 500 | 502 | 503 | 504:
            return AwayError(f"KFP at {host} fails ({error.status}{said})")
        case _:
            return GiftError(f"KFP at {host} refuses the request ({error.status}{said})")


def connection_fault(error: urllib3.exceptions.HTTPError) -> str:
    """Why there was no answer, in a few words."""
    cause = getattr(error, "reason", None) or error
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return "no connection"
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "time-out"
    if isinstance(cause, urllib3.exceptions.ResponseError):
        return "it redirects, perhaps to a sign-in page"
    if isinstance(cause, urllib3.exceptions.ProtocolError):
        return "the connection broke"
    return type(cause).__name__.removesuffix("Error")


def _message(body: str | None) -> str:
    """What KFP says in an error, as the rest of a line; its two kinds of endpoints word it differently."""
    try:
        answer = json.loads(body or "{}")
    except ValueError:
        return ""
    if not isinstance(answer, dict):
        return ""
    text = " ".join(str(answer.get("message") or answer.get("error_message") or answer.get("error") or "").split())
    return f": {text[:300]}" if text else ""
