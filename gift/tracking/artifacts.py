"""Small files of a run, to wherever its MLflow server keeps them.

A server that serves artifacts (its default) takes them itself; else the run names a place in S3, which we reach as
every other, through the `AWS_*` variables. Left out: other places. A server's own disk is no place at all: each stage
would write to its own.
"""

from http import HTTPStatus
from urllib.parse import quote, urlsplit

from gift.errors import GiftError, ServiceAwayError
from gift.storage import put_object
from gift.tracking.client import MlflowClient
from gift.tracking.entities import Run
from gift.tracking.faults import server_address
from gift.tracking.rest import MlflowError

PROXY = "/api/2.0/mlflow-artifacts/artifacts"


def log_artifact(client: MlflowClient, run: Run, name: str, content: bytes) -> None:
    """Store `content` as the run's artifact `name`, in place of what is there.

    Raises:
        MlflowError: the server does not answer, or refuses.
        ServiceAwayError: the server answers, and where it keeps files does not.
        GiftError: S3 failed, or the artifacts are kept where we can't put any.
    """
    place = urlsplit(run.artifact_uri)
    match place.scheme:
        case "mlflow-artifacts":
            server = urlsplit(client.rest.uri)
            host = place.netloc or server.netloc
            url = f"{server.scheme}://{host}{server.path}{PROXY}/{place.path.strip('/')}"
            _put_through_server(client, run, f"{url}/{quote(name)}", content)
        case "http" | "https":
            client.rest.put_file(f"{run.artifact_uri}/{quote(name)}", content)
        case "s3":
            put_object(f"{run.artifact_uri}/{name}", content)
        case other:
            raise GiftError(
                f"MLflow keeps the artifacts of the run {run.run_id} at {other or 'file'}:, where stages can't write; "
                "start the server with --artifacts-destination, without --no-serve-artifacts, and use a new experiment"
            )


def _put_through_server(client: MlflowClient, run: Run, url: str, content: bytes) -> None:
    try:
        client.rest.put_file(url, content)
    except MlflowError as error:
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        client.get_run(run.run_id)  # raises where it is MLflow that is away
        raise ServiceAwayError(
            f"MLflow at {server_address()} answers, and the store (S3) where it keeps files does not "
            f"({error.error_code}): check that this runs"
        ) from None
