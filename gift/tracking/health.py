"""Is the MLflow server there, and which is it?"""

import requests

from gift.errors import GiftError
from gift.tracking.credentials import verification
from gift.tracking.faults import server_address
from gift.tracking.rest import tracking_uri

CHECK_SECONDS = 5


def check_tracking() -> None:
    """Ask the server's /health, so that a run without a tracker stops before it starts.

    Raises:
        GiftError: MLFLOW_TRACKING_URI is missing or not http(s), or no MLflow server answers there within 5 seconds.
    """
    try:
        response = _ask("health")
    except (requests.RequestException, OSError) as error:  # OSError: a certificate file that is not there
        raise GiftError(
            f"MLflow at {server_address()} does not answer ({type(error).__name__}); "
            "start the local services with `gift up`, or correct MLFLOW_TRACKING_URI"
        ) from None
    if response.status_code != requests.codes.ok or response.text.strip() != "OK":
        raise GiftError(
            f"what answers at {server_address()} is not a healthy MLflow server (HTTP {response.status_code} from "
            "/health); correct MLFLOW_TRACKING_URI, or restart the server"
        )


def tracking_version() -> str:
    """What the server calls its version, for example `3.17.2`; empty where it does not say.

    Raises:
        GiftError: as `check_tracking`.
    """
    try:
        response = _ask("version")
    except (requests.RequestException, OSError) as error:
        raise GiftError(f"MLflow at {server_address()} does not answer ({type(error).__name__})") from None
    known = response.status_code == requests.codes.ok and response.text[:1].isdigit()
    return response.text.strip() if known else ""


def _ask(page: str) -> requests.Response:
    """Not of another address, where this one sends us on to it: requests to MLflow are not sent on either."""
    url = f"{tracking_uri()}/{page}"
    return requests.get(url, timeout=CHECK_SECONDS, verify=verification(), allow_redirects=False)
