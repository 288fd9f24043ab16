"""What goes wrong with MLflow, in plain words: an outage, access refused, or a refusal of what we asked for.

Left out: who must not fail of it. A stage's work comes before its books, and each of them says so.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import urlsplit

from gift.errors import GiftError, ServiceAwayError
from gift.tracking.rest import NOT_TRUSTED, MlflowError, tracking_uri

ACCESS_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
NOT_NOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


@contextmanager
def explain_errors(action: str) -> Iterator[None]:
    """Turn what MLflow does not do during `action` into one line; `action` is for example "setting tags".

    Raises:
        ServiceAwayError: MLflow does not answer, or with a fault of its own.
        GiftError: a refusal.
    """
    try:
        yield
    except MlflowError as error:
        away = is_outage(error) and error.status not in ACCESS_REFUSED and error.error_code != NOT_TRUSTED
        raise (ServiceAwayError if away else GiftError)(describe(error, action)) from None


@contextmanager
def allow_existing() -> Iterator[None]:
    """Let a creation pass when somebody else, or an attempt whose answer was lost, has created the thing already."""
    try:
        yield
    except MlflowError as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def is_outage(error: MlflowError) -> bool:
    """True when the same call may succeed later: no answer, a server fault, too many or too slow, or access refused."""
    return error.status >= 500 or error.status in (*NOT_NOW, *ACCESS_REFUSED)


def describe(error: MlflowError, action: str) -> str:
    """One line: which server, and what kind of trouble."""
    where = f"MLflow at {server_address()}"
    if error.status in ACCESS_REFUSED:
        return (
            f"{where} refuses access ({error.error_code}), while {action}: check user name, password or token, and "
            "what they may do"
        )
    if error.error_code == NOT_TRUSTED:
        return (
            f"{where} has a certificate that is not trusted here, while {action}: name the file with its authority in "
            "REQUESTS_CA_BUNDLE (on a cluster: use an image that trusts it)"
        )
    if is_outage(error):
        return (
            f"{where} does not answer, or answers with a server error ({error.error_code}), while {action}: check that "
            "it runs, what its log says, and that MLFLOW_TRACKING_URI is right"
        )
    return f"{where} refuses {action}: {error.message} ({error.error_code})"


def server_address() -> str:
    """`host:port` of the server, without the credentials that the URI may carry."""
    return urlsplit(tracking_uri()).netloc.rpartition("@")[2]
