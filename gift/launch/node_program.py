"""One node of a training job on several; on each of them, `python -m gift.launch.node_program s3://…/jobs/<name>`.

    job from S3 → roll call → model and data → this node's ranks → its part of the weights to S3

Kubeflow Trainer says who we are (PET_NODE_RANK, PET_NNODES, PET_MASTER_ADDR, PET_MASTER_PORT). Nodes share no disk:
each fetches its own copy of the inputs, and has the shards of its own ranks. The stage that submitted the job puts the
parts together.

A failure is one line on stderr and in the container's termination message, where that stage reads it.
"""

import errno
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from gift.config import RunConfig, Section
from gift.errors import GiftError, printable
from gift.host.full_disk import temporary_folder
from gift.hub.mirror import with_reward_models
from gift.launch.notice import TOLD_TO_STOP, on_notice
from gift.launch.one_node import NodePlace, launch_ranks
from gift.launch.rank_job import ResumeSettings, TrainingJob
from gift.launch.roll_call import RollCall, Seat
from gift.patience import ServicePatience
from gift.progress import put_times_on_lines
from gift.storage import download_directory, upload_directory
from gift.system_metrics import system_metrics
from gift.tracking import send_late_metrics

JOB_FILE = "job.json"
TERMINATION_MESSAGE = Path("/dev/termination-log")
LONGEST_MESSAGE = 4096
"""Bytes that Kubernetes keeps."""


class NodeJob(Section):
    """What the nodes of one training job do; a directory in S3 holds it as `job.json`."""

    module: str
    """`gift.training.sft` or `gift.training.rl`."""
    config: RunConfig
    model: str
    """URI of the folder that training starts from."""
    data: str
    """URI of the folder with the problems."""
    parts: str
    """URI below which node k writes `node-k`."""
    resume: str
    """URI below which a job that is interrupted leaves what the next attempt goes on from."""
    mlflow_run_id: str

    def part(self, node: int) -> str:
        """URI of the directory that a node writes."""
        return f"{self.parts}/node-{node}"


def run_node(uri: str) -> None:
    """Do this node's share of the job at `uri`.

    Raises:
        GiftError: it failed here or on another node; the text names the node and the first cause.
    """
    with temporary_folder("gift-node-") as folder:
        job = _fetch_job(uri, folder / "job")
        node, address, port = _trainer_environment(job.config.compute.nodes)
        seat = Seat(node, job.config.compute.nodes, address, port + 1, job=uri)
        with closing(RollCall.meet(seat)) as roll_call:
            place = NodePlace(node, address, port, roll_call.interface)
            print(f"  node {node} of {seat.nodes}: all are here, network interface {place.interface}", flush=True)
            try:
                _train(job, place, roll_call, folder)
            except GiftError as error:
                raise GiftError(roll_call.first_cause(error)) from error
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                full = GiftError(
                    f"the disk is full ({error.filename or folder}); the nodes need more for {folder.parent}"
                )
                raise GiftError(roll_call.first_cause(full)) from error


def _train(job: NodeJob, place: NodePlace, roll_call: RollCall, folder: Path) -> None:
    patiently = ServicePatience.of(job.config)
    patiently(lambda: download_directory(job.model, folder / "model"))
    patiently(lambda: download_directory(job.data, folder / "data"))
    training = TrainingJob(
        config=with_reward_models(job.config, folder / "reward-models") if job.config.samples else job.config,
        model=folder / "model",
        data=folder / "data",
        checkpoint=folder / "checkpoint",
        mlflow_run_id=job.mlflow_run_id,
        metric_spool=folder / "metrics.jsonl",
        resume=ResumeSettings(uri=job.resume, folder=folder / "resume"),
    )
    job_file = folder / "training.json"
    job_file.write_text(training.model_dump_json(), encoding="utf-8")
    try:
        with system_metrics(job.mlflow_run_id, folder / "system-metrics.jsonl", place.node) as look:

            def watch() -> None:
                roll_call.check()
                look()

            launch_ranks(job.module, job_file, job.config.compute, place, watch)
    finally:
        if place.node == 0:  # only rank 0 logs
            send_late_metrics(training.metric_spool, job.mlflow_run_id)
    roll_call.done()
    patiently(lambda: upload_directory(training.checkpoint, job.part(place.node), replace=True))


def _fetch_job(uri: str, folder: Path) -> NodeJob:
    ServicePatience.of(None)(lambda: download_directory(uri, folder))
    try:
        return NodeJob.model_validate_json((folder / JOB_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise GiftError(f"{uri} does not describe a training job: {' '.join(str(error).split())}") from error


def _trainer_environment(nodes: int) -> tuple[int, str, int]:
    """(this node, address of node 0, port)."""
    names = ("PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT", "PET_NNODES")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise GiftError(f"{', '.join(missing)} not set; this command is started by Kubeflow Trainer's torch runtime")
    node, address, port, started = (os.environ[name] for name in names)
    if int(started) != nodes:
        raise GiftError(f"compute.nodes is {nodes}, but {started} nodes were started")
    return int(node), address, int(port)


def _stop() -> NoReturn:
    """The first process of a container would not even notice SIGTERM otherwise. Ranks handle it in their own way."""
    raise GiftError(TOLD_TO_STOP)


def main() -> None:
    """Exit status 1 after one line about what failed."""
    put_times_on_lines()
    try:
        with on_notice(_stop):
            run_node(sys.argv[1])
    except GiftError as error:
        message = printable(str(error))
        print(f"error: {message}", file=sys.stderr, flush=True)
        if TERMINATION_MESSAGE.exists():
            TERMINATION_MESSAGE.write_bytes(message.encode()[:LONGEST_MESSAGE])
        sys.exit(1)


if __name__ == "__main__":
    main()
