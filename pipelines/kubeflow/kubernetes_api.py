"""The Kubernetes API of the cluster that KFP runs in: one connection, and its refusals in plain words.

It is found by a kubeconfig (KUBECONFIG, or ~/.kube/config), else by the account of the pod that this runs in. Objects
are the API's own JSON: the client's classes refuse what a newer cluster answers.

Left out: waiting and repeating. Whoever asks here can do without an answer, or asks again.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes.client import ApiException

from gift.errors import GiftError

REQUEST_SECONDS = (5, 30)
Json = dict[str, Any]


class NoRightError(GiftError):
    """Kubernetes answers 403."""


@dataclass(frozen=True)
class KubernetesApi:
    """A connection."""

    address: str
    connection: Any

    def get(self, path: str, **query: str) -> Json | None:
        """The object or the listing at `path` (`/api/v1/namespaces/gift/pods`); None where there is no such thing.

        Raises:
            NoRightError: the account may not read it.
            GiftError: Kubernetes does not answer, or refuses.
        """
        found: Json | None = self._call(path, "GET", query_params=[*query.items()], response_type="object")
        return found

    def items(self, path: str, **query: str) -> list[Json]:
        """The items of a listing; raises like `get`."""
        return (self.get(path, **query) or {}).get("items") or []

    def text(self, path: str, **query: str) -> str | None:
        """A log; raises like `get`."""
        answer = self._call(path, "GET", query_params=[*query.items()], _preload_content=False)
        return None if answer is None else answer.data.decode(errors="replace")

    def create(self, path: str, body: Json) -> Json | None:
        """What Kubernetes makes of `body`; raises like `get`."""
        made: Json | None = self._call(path, "POST", body=body, response_type="object")
        return made

    def _call(self, path: str, method: str, **options: Any) -> Any:
        try:
            return self.connection.call_api(
                path,
                method,
                auth_settings=["BearerToken"],
                header_params={"Accept": "application/json", "Content-Type": "application/json"},
                _return_http_data_only=True,
                _request_timeout=REQUEST_SECONDS,
                **options,
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise self._refusal(path, method, error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            cause = type(getattr(error, "reason", None) or error).__name__
            raise GiftError(
                f"Kubernetes at {self.address} does not answer ({cause}); does the kubeconfig name the right cluster?"
            ) from None

    def _refusal(self, path: str, method: str, error: ApiException) -> GiftError:
        match error.status:
            case 401:
                return GiftError(
                    f"Kubernetes at {self.address} does not know who asks (401): the token in the kubeconfig is wrong "
                    "or has expired; sign in again"
                )
            case 403:
                return NoRightError(f"Kubernetes at {self.address} refuses {method} {path} ({_said(error)})")
            case _:
                status = error.status or "TLS"
                return GiftError(f"Kubernetes at {self.address} refuses {method} {path} ({status}: {_said(error)})")


def connect_to_kubernetes() -> KubernetesApi:
    """The cluster that the kubeconfig's current context names, else the one around this pod; nothing is asked yet.

    Raises:
        GiftError: there is neither, or the kubeconfig can't be used.
    """
    settings = client.Configuration()
    kubeconfig = os.environ.get("KUBECONFIG") or config.KUBE_CONFIG_DEFAULT_LOCATION
    try:
        with _logged_errors() as errors:
            config.load_kube_config(kubeconfig, client_configuration=settings)
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError) as error:
        fault = " ".join(str(error).split()).rstrip(".")
        try:
            config.load_incluster_config(client_configuration=settings)
        except config.ConfigException:
            raise GiftError(
                f"there is no Kubernetes API to ask ({kubeconfig}: {fault}); set KUBECONFIG to the kubeconfig of KFP's "
                "cluster"
            ) from None
    if errors:
        raise GiftError(
            f"the command that {kubeconfig} signs in with fails ({errors[0]}); does `kubectl get pods` work here?"
        )
    settings.retries = urllib3.Retry(total=0, redirect=False)
    return KubernetesApi(settings.host, client.ApiClient(settings))


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """What the client logs: of a sign-in command that fails it says nothing else, and goes on as nobody."""
    errors: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: errors.append(" ".join(record.getMessage().split()))  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(handler)


def _said(error: ApiException) -> str:
    """The API server's own words, for example those of an admission policy."""
    try:
        message = json.loads(error.body or "")["message"]
    except (ValueError, KeyError, TypeError):
        message = error.reason
    return " ".join(str(message).split())
