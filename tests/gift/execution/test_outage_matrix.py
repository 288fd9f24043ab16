"""Every fault of S3 and of MLflow × every moment of a stage, for seconds and for good: what waits, what is never lost.

Two stages, through `run_stage`: one that copies a text, and the SFT warm-up at the end of a training. Clients repeat no
request here (`tests/gift/storage/test_faulty_store.py` has that), so that all waiting is the stage's own.
"""

import math
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from faulty_proxy import Fault, FaultyProxy, Outage, faulty_proxy
from tiny_settings import TINY_WARM_UP

from gift import patience
from gift.config import load_profile
from gift.execution import train_once
from gift.execution.outbox import OUTBOX_VARIABLE
from gift.execution.output import Output
from gift.execution.stage import Stage, run_stage
from gift.launch.rank_job import read_job
from gift.stages.prepare_data import prepare_data
from gift.stages.prepare_model import prepare_model
from gift.stages.train_sft import train_sft
from gift.storage import client, download_directory, read_manifest, upload_directory
from gift.tracking import start_parent_run
from gift.tracking.client import MlflowClient
from gift.tracking.entries import stage_runs
from gift.tracking.records import stage_records
from pipelines.local.services import Services

Moment = Literal["start", "input", "output", "books", "end of training"]
"""What a stage is about to do when the service goes."""
MOMENTS: dict[str, tuple[Moment, ...]] = {
    "S3": ("start", "input", "output", "books", "end of training"),
    "MLflow": ("start", "output", "books", "end of training"),  # it has no part in the input
}
OUTAGE_SECONDS = 0.3
ANSWER_SECONDS = 1
"""Less than what a slow answer takes."""
REFUSAL: Fault = "403"


@dataclass(frozen=True)
class Made:
    """What the stages start from, made once: URIs, and what a real training made of them."""

    text: str
    data: str
    model: str
    checkpoint: Path


@dataclass
class Trial:
    """A run whose stages tell `reach` what they are about to do."""

    run: dict[str, str]
    made: Made
    proxies: dict[str, FaultyProxy]
    reach: Callable[[Moment], None] = lambda _moment: None
    works: list[str] = field(default_factory=list)
    """What was done, each time that it was."""

    def start(self, moment: Moment) -> str:
        """The stage that has this moment."""
        self.reach("start")
        if moment == "end of training":
            return run_stage(train_sft, **self.run, data=self.made.data, model=self.made.model)
        return run_stage(self.copy_text, **self.run, text=self.made.text)

    def copy_text(self, stage: Stage, text: str) -> str:
        def make(folder: Path) -> dict[str, str]:
            self.reach("input")
            with stage.fetched(text) as (source,):
                shutil.copytree(source, folder, dirs_exist_ok=True)
            self.works.append("copied")
            self.reach("output")
            return {"made": "once"}

        uri = stage.make_once(Output("data", __name__, {}, {"text": text}), make)
        self.reach("books")
        with stage.fetched(uri):
            stage.tracking.log_metrics({"length": 4.0})
        return uri

    def train(self, _module: str, job_file: Path, *_: object, **_watch: object) -> None:
        """Instead of ranks: leaves what they would."""
        shutil.copytree(self.made.checkpoint, read_job(job_file).checkpoint, dirs_exist_ok=True)
        self.works.append("trained")
        self.reach("end of training")

    def states(self) -> dict[str, str]:
        records = stage_records(self.run["parent_run_id"])
        return {name: record.status for name, record in records.items()}


def new_run(*settings: str) -> dict[str, str]:
    """The arguments that all stages of a run share."""
    config, run_id = load_profile("local", (*TINY_WARM_UP, *settings)), f"test-{uuid.uuid4().hex}"
    parent = start_parent_run(config, run_id)
    return {"config": config.model_dump_json(), "run_id": run_id, "parent_run_id": parent}


@pytest.fixture(scope="module")
def made(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder, prefix = tmp_path_factory.mktemp("made"), f"s3://gift/test-{uuid.uuid4().hex}"
    (folder / "text").mkdir()
    (folder / "text" / "text.txt").write_text("to be copied")
    upload_directory(folder / "text", f"{prefix}/text")
    run = new_run(f"storage.uri={prefix}")
    data = run_stage(prepare_data, **run)
    model = run_stage(prepare_model, **run, data=data)
    download_directory(run_stage(train_sft, **run, data=data, model=model), folder / "checkpoint")
    return Made(f"{prefix}/text", data, model, folder / "checkpoint")


@pytest.fixture
def trial_with(
    services: Services, made: Made, bucket_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[float], Trial]]:
    """A trial whose stages wait so many seconds for a service."""
    monkeypatch.setenv(OUTBOX_VARIABLE, str(tmp_path / "outbox"))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(client, "ATTEMPTS", 1)
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.1)
    with faulty_proxy(services.s3_port) as store, faulty_proxy(services.mlflow_port) as tracker:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{store.port}")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{tracker.port}")

        def trial(seconds: float) -> Trial:
            monkeypatch.setattr(patience, "SECONDS_ON_ONE_MACHINE", seconds)
            run = new_run(f"storage.uri={bucket_prefix}", f"cluster.service_wait_minutes={seconds / 60}")
            trial = Trial(run, made, {"S3": store, "MLflow": tracker})
            monkeypatch.setattr(train_once, "launch_ranks", trial.train)
            return trial

        yield trial


@pytest.mark.parametrize("fault", ["away", "500", "503", "truncated", "slow", "lost answer"])
@pytest.mark.parametrize("service", MOMENTS)
def test_an_outage_of_seconds_costs_seconds(trial_with: Callable[[float], Trial], service: str, fault: Fault) -> None:
    """At every moment of one stage, and at the end of a training."""
    trial = trial_with(20)
    outages: list[Outage] = []

    def reach(moment: Moment) -> None:
        if moment in MOMENTS[service]:
            outages.append(Outage(fault, OUTAGE_SECONDS))
            trial.proxies[service].fault_of = outages[-1]

    trial.reach = reach
    uris = [trial.start("books"), trial.start("end of training")]
    assert len(outages) == len(MOMENTS[service]) + 1, "both stages have a start"
    assert all(outage.ends for outage in outages)
    assert trial.works == ["copied", "trained"]
    assert all(read_manifest(uri) for uri in uris)
    assert trial.states() == {"copy-text": "FINISHED", "train-sft": "FINISHED"}
    mlflow = MlflowClient()
    assert len(stage_runs(mlflow, mlflow.get_run(trial.run["parent_run_id"]))) == 2, "no stage has two"


@pytest.mark.parametrize("fault", ["away", "500", "503", "truncated", "stalled", REFUSAL])
@pytest.mark.parametrize("service", MOMENTS)
def test_a_longer_one_ends_the_stage_and_loses_no_work(
    trial_with: Callable[[float], Trial],
    service: str,
    fault: str,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """One stage is started again and again, and comes one moment further each time."""
    trial = trial_with(0.4)
    proxy = trial.proxies[service]
    for moment in MOMENTS[service]:
        with pytest.MonkeyPatch.context() as meanwhile:
            fail_from(trial, moment, service, fault, meanwhile)
            with pytest.raises(SystemExit):
                trial.start(moment)
        proxy.fault_of = lambda _method, _path: None
        trial.reach = lambda _moment: None
        printed = capfd.readouterr()
        (error,) = [line for line in printed.err.splitlines() if line.startswith("error: ")]
        assert f"{service} at 127.0.0.1:{proxy.port}" in error, moment
        assert all(other not in error for other in MOMENTS.keys() - {service}), moment
        assert fault != REFUSAL or "waiting, for" not in printed.out, moment
        assert ("waits in" in error) == (service == "S3" and moment in ("output", "end of training")), moment
        if service == "S3":
            assert list(trial.states().values())[-1] == "FAILED", moment
    manifests = [read_manifest(trial.start(moment)) for moment in ("books", "end of training")]
    assert trial.works == ["copied", "trained"]
    assert manifests[0].metadata == {"made": "once"}
    assert manifests[1].metadata["module"] == "gift.training.sft"
    assert trial.states() == {"copy-text": "FINISHED", "train-sft": "FINISHED"}
    assert list((tmp_path / "outbox").iterdir()) == []


def fail_from(trial: Trial, moment: Moment, service: str, fault: str, meanwhile: pytest.MonkeyPatch) -> None:
    """From that moment on, what is slow counts as stalled."""

    def reach(now: Moment) -> None:
        if now == moment:
            trial.proxies[service].fault_of = Outage("slow" if fault == "stalled" else fault, math.inf)
            if fault == "stalled" and service == "S3":
                meanwhile.setattr(client, "ANSWER_SECONDS", ANSWER_SECONDS)
            elif fault == "stalled":
                meanwhile.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(ANSWER_SECONDS))

    trial.reach = reach
