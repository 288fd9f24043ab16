"""What a real outage at the end of a real training costs: the server is stopped, or frozen, and comes back.

    python benchmarks/outage.py --service s3|mlflow --how stopped|frozen [--minutes 1] [--wait 10] [--pod]

Runs the SFT warm-up of a tiny model as a stage, beside S3 and MLflow servers of its own. When its ranks have ended, and
before anything is stored, one server goes away. A stage that gives up is started again once the server is back. It
prints what the stage said, and how often it trained; status 1 says that work was lost or not stored.

Left out: outages in the middle of a stage, and other faults than silence (tests/gift/execution/test_outage_matrix.py).
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from tiny_settings import TINY_WARM_UP

from gift.config import ComputeConfig, load_profile
from gift.execution.outbox import OUTBOX_VARIABLE
from gift.execution.stage import run_stage
from gift.launch.one_node import launch_ranks
from gift.stages.prepare_data import prepare_data
from gift.stages.prepare_model import prepare_model
from gift.stages.train_sft import train_sft
from gift.storage import read_manifest
from gift.tracking import start_parent_run
from gift.tracking.records import stage_records
from pipelines.local import server_commands
from pipelines.local.server_commands import HOST
from pipelines.machine.processes import free_ports

START_SECONDS = 300.0
BUCKET = "gift"


@dataclass
class Server:
    """One server with its data in a folder, which can go away and come back."""

    command: Callable[[], list[str]]
    answers: Callable[[], bool]
    folder: Path
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        self.folder.mkdir(exist_ok=True)
        environment = server_commands.server_environment(HOST, self.settings)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - the command is our own
                self.command(), cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > deadline:
                sys.exit(f"no answer from {self.command()[0]}; see {self.folder / 'log'}")
            time.sleep(0.2)

    def signal(self, number: signal.Signals) -> None:
        """To it and to its workers."""
        if self.process is not None:
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        """At once, as a node that is lost."""
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def away_for(self, seconds: float, how: str) -> None:
        """Returns when it answers again."""
        if how == "frozen":
            self.signal(signal.SIGSTOP)
            time.sleep(seconds)
            self.signal(signal.SIGCONT)
        else:
            self.stop()
            time.sleep(seconds)
            self.start()


def main() -> None:
    """Train, take a server away, and say what it cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", choices=["s3", "mlflow"], required=True)
    parser.add_argument("--how", choices=["stopped", "frozen"], required=True)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--wait", type=float, default=10.0, help="cluster.service_wait_minutes")
    parser.add_argument("--pod", action="store_true", help="as in a pod, where MLflow is waited for as long, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ[OUTBOX_VARIABLE] = str(Path(scratch, "outbox"))
        both = _servers(Path(scratch))
        try:
            for server in both.values():
                server.start()
            server_commands.s3_client(dict(os.environ)).create_bucket(Bucket=BUCKET)
            if arguments.pod:
                os.environ["KUBERNETES_SERVICE_HOST"] = HOST
            kept = _train(both[arguments.service], arguments.how, arguments.minutes, arguments.wait)
        finally:
            for server in both.values():
                server.stop()
    sys.exit(0 if kept else 1)


def _servers(folder: Path) -> dict[str, Server]:
    """S3 and MLflow; the environment points to them from now on."""
    s3_port, mlflow_port = free_ports(HOST, 2)
    settings = {
        "AWS_ACCESS_KEY_ID": "outage",
        "AWS_SECRET_ACCESS_KEY": "of-a-benchmark",
        "AWS_ENDPOINT_URL_S3": f"http://{HOST}:{s3_port}",
    }
    tracker = f"http://{HOST}:{mlflow_port}"
    os.environ.update(settings | {"MLFLOW_TRACKING_URI": tracker})
    client = server_commands.s3_client(settings)
    return {
        "s3": Server(
            lambda: server_commands.seaweedfs_command(HOST, s3_port),
            lambda: server_commands.s3_answers(client),
            folder / "s3",
            settings,
        ),
        "mlflow": Server(
            lambda: server_commands.mlflow_command(HOST, mlflow_port, f"s3://{BUCKET}/mlflow"),
            lambda: server_commands.mlflow_answers(tracker),
            folder / "mlflow",
            settings,
        ),
    }


def _train(server: Server, how: str, minutes: float, wait: float) -> bool:
    """Whether one training was enough, and its result is stored."""
    config = load_profile(
        "local", (*TINY_WARM_UP, f"storage.uri=s3://{BUCKET}", f"cluster.service_wait_minutes={wait}")
    )
    parent = start_parent_run(config, "outage")
    run = {"config": config.model_dump_json(), "run_id": "outage", "parent_run_id": parent}
    data = run_stage(prepare_data, **run)
    model = run_stage(prepare_model, **run, data=data)
    began = 0.0
    outages: list[threading.Thread] = []

    def launch_and_lose_a_server(
        module: str, job_file: Path, compute: ComputeConfig, watch: Callable[[], None]
    ) -> None:
        nonlocal began
        launch_ranks(module, job_file, compute, watch=watch)
        outages.append(threading.Thread(target=server.away_for, args=(60 * minutes, how)))
        outages[-1].start()
        began = time.monotonic()
        time.sleep(1)  # it is away by then

    starts, uri = 0, None
    with patch("gift.execution.train_once.launch_ranks", launch_and_lose_a_server):
        while uri is None:
            starts += 1
            try:
                uri = run_stage(train_sft, **run, data=data, model=model)
            except SystemExit:
                print(f"the stage gave up {time.monotonic() - began:.0f} s after the server went away")
                outages[-1].join()
    seconds = time.monotonic() - began
    status = stage_records(parent)["train-sft"].status
    print(
        f"{server.folder.name} {how} for {minutes:g} min: {starts} start(s) of the stage, {len(outages)} training(s), "
        f"stored and {status} {seconds:.0f} s after the server went away"
    )
    return len(outages) == 1 and read_manifest(uri) is not None and status == "FINISHED"


if __name__ == "__main__":
    main()
