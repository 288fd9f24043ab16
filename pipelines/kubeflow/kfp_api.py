"""How this project talks to Kubeflow Pipelines: one connection, and two ways to make a call survive a bad network.

KFP has no idempotency keys, so what may be repeated depends on the call:

    repeat   reads, and changes that give the same result twice (enable, disable, delete): repeated until they succeed
    once     a POST that creates something. After a time-out, a broken connection or a 5xx nobody knows whether it was
             done, so the cluster is asked before it is sent again. A request that the server took but finishes only
             after it was asked can still be done twice; what is created must therefore be harmless in two copies.

`kfp_server_api`, which KFP publishes, is used instead of `kfp.Client`: the client guesses an address where none is
given, prints tracebacks while it waits, and takes no time-outs.

Left out: the address and the token (`pipelines.kubeflow.kfp_credentials`), and the words for what fails (`kfp_faults`).
"""

import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import kfp_server_api
import urllib3
from kfp_server_api.exceptions import ApiException

from gift.errors import GiftError
from pipelines.kubeflow.kfp_credentials import check_address, set_token
from pipelines.kubeflow.kfp_faults import AwayError, TakenError, connection_fault, refusal
from pipelines.kubeflow.kfp_health import read_health, refuse_old_kfp

PAUSES: tuple[float, ...] = (1, 2, 4, 8, 15, 30)
"""Seconds between attempts, one minute in all."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
PAGE_SIZE = 100
OPEN_PAGES = "kubectl port-forward --namespace kubeflow service/ml-pipeline-ui 8080:80"


@dataclass(frozen=True)
class KfpApi:
    """A connection; `experiments` to `uploads` are the service classes of `kfp_server_api`."""

    host: str
    namespace: str | None
    """The user's namespace in a multi-user installation, else None."""
    ui: str | None
    """Address of KFP's pages."""
    experiments: Any
    pipelines: Any
    uploads: Any
    recurring_runs: Any
    runs: Any
    pauses: tuple[float, ...]

    def repeat(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """The answer of a call that may be made any number of times.

        Raises:
            NotFoundError: KFP answers 404.
            AwayError: no attempt was answered.
            GiftError: KFP refuses the call.
        """
        for pause in self.pauses:
            try:
                return self._call(call, *arguments, **named)
            except AwayError:
                time.sleep(pause)
        return self._call(call, *arguments, **named)

    def once(self, call: Callable[..., Any], *arguments: Any, done: Callable[[], Any | None], **named: Any) -> Any:
        """The answer of a call that creates something, or what `done()` finds of an earlier attempt.

        Raises:
            AwayError: no attempt was answered, and `done()` finds nothing.
            GiftError: KFP refuses the call.
        """
        for pause in (*self.pauses, None):
            try:
                return self._call(call, *arguments, **named)
            except (AwayError, TakenError):
                found = done()
                if found is not None:
                    return found
                if pause is None:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def all_pages(self, call: Callable[..., Any], field: str, **named: Any) -> list[Any]:
        """Every item of a listing; `field` names them in its answers."""
        items: list[Any] = []
        token = ""
        while True:
            page = self.repeat(call, page_token=token, page_size=PAGE_SIZE, **named)
            items += getattr(page, field) or []
            token = page.next_page_token
            if not token:
                return items

    def named(self, call: Callable[..., Any], field: str, name: str, **named: Any) -> list[Any]:
        """The items of a listing whose display name is `name`."""
        predicate = {"operation": "EQUALS", "key": "display_name", "string_value": name}
        return self.all_pages(call, field, filter=json.dumps({"predicates": [predicate]}), **named)

    def read(self, path: str) -> str:
        """The text at a path that `kfp_server_api` has no method for.

        Raises:
            NotFoundError: KFP answers 404.
            AwayError: no attempt was answered.
            GiftError: KFP refuses the call.
        """

        def text(**named: Any) -> str:
            options = {"auth_settings": ["Bearer"], "_preload_content": False, "_return_http_data_only": True}
            answer: bytes = self.runs.api_client.call_api(path, "GET", **options, **named).data
            return answer.decode(errors="replace")

        return str(self.repeat(text))

    def experiment_id(self, name: str) -> str | None:
        """None where there is no experiment of this name."""
        listing = self.experiments.experiment_service_list_experiments
        namespace = {} if self.namespace is None else {"namespace": self.namespace}
        found = self.named(listing, "experiments", name, **namespace)
        return found[0].experiment_id if found else None

    def make_experiment(self, name: str) -> str:
        """The id of the experiment of this name, which is made where it is missing."""
        existing = self.experiment_id(name)
        if existing is not None:
            return existing
        made = self.once(
            self.experiments.experiment_service_create_experiment,
            kfp_server_api.V2beta1Experiment(display_name=name, namespace=self.namespace),
            done=lambda: self.experiment_id(name),
        )
        return made if isinstance(made, str) else str(made.experiment_id)

    def page_of_run(self, run_id: str) -> str:
        """Where a browser shows a run, by KFP's pages at `ui`, or how to open them."""
        page = f"#/runs/details/{run_id}"
        if self.ui:
            return f"{self.ui.rstrip('/')}/{page}"
        return f"http://127.0.0.1:8080/{page} after `{OPEN_PAGES}` (KF_PIPELINES_UI or --ui names another address)"

    def _call(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, _request_timeout=(CONNECT_SECONDS, READ_SECONDS), **named)
        except urllib3.exceptions.HTTPError as error:
            raise AwayError(f"KFP at {self.host} does not answer ({connection_fault(error)})") from None
        except ApiException as error:
            raise refusal(self.host, error) from None


def open_kfp_api(host: str, namespace: str | None = None, ui: str | None = None) -> KfpApi:
    """A connection to the KFP API server at `host`, for example https://kubeflow.example.org/pipeline.

    Args:
        namespace: where KFP has several users.
        ui: address of KFP's pages, for links.

    Raises:
        GiftError: the address is not a URL, something else or too old a KFP answers there, or a token would travel
            unencrypted.
        AwayError: nothing answers there.
    """
    configuration = kfp_server_api.Configuration(host=check_address(host))
    # urllib3 would repeat by itself, and follow a redirect with the token; both are for us to decide.
    configuration.retries = urllib3.Retry(total=0)
    configuration.ssl_ca_cert = ssl.get_default_verify_paths().cafile  # SSL_CERT_FILE, or the system's
    configuration.refresh_api_key_hook = set_token  # runs before every call, but only where there is a token already
    set_token(configuration)
    configuration.api_key_prefix["authorization"] = "Bearer"
    client = kfp_server_api.ApiClient(configuration)
    api = KfpApi(
        host=configuration.host,
        namespace=namespace,
        ui=ui,
        experiments=kfp_server_api.ExperimentServiceApi(client),
        pipelines=kfp_server_api.PipelineServiceApi(client),
        uploads=kfp_server_api.PipelineUploadServiceApi(client),
        recurring_runs=kfp_server_api.RecurringRunServiceApi(client),
        runs=kfp_server_api.RunServiceApi(client),
        pauses=PAUSES,
    )
    api.repeat(kfp_server_api.HealthzServiceApi(client).healthz_service_get_healthz)
    if not (client.last_response.getheader("content-type") or "").startswith("application/json"):
        raise GiftError(f"what answers at {api.host} is not the API of Kubeflow Pipelines, perhaps a sign-in page")
    refuse_old_kfp(api.host, read_health(client.last_response.data))
    return api
