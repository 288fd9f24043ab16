"""A tiny training job in S3 for several nodes, and nodes as processes on this machine."""

import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch
from mlflow import MlflowClient
from safetensors.torch import load_file
from tiny_jobs import TINY, write_inputs

from gift.config import load_profile
from gift.conversion.hugging_face import convert_checkpoint
from gift.launch.node_program import JOB_FILE, NodeJob
from gift.storage import compose_directory, download_directory, upload_directory
from pipelines.local.server_commands import HOST
from pipelines.machine.processes import free_ports

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Inputs:
    """A base model and its data, in a local folder and below a URI."""

    folder: Path
    uri: str


def upload_inputs(folder: Path, uri: str) -> Inputs:
    """Make the inputs of all tiny jobs in an empty folder, and store them."""
    write_inputs(folder)
    upload_directory(folder / "base", f"{uri}/base")
    upload_directory(folder / "data", f"{uri}/data")
    return Inputs(folder, uri)


def submit_job(inputs: Inputs, folder: Path, module: str, *overrides: str) -> tuple[str, NodeJob]:
    """Store a job's description; returns its URI and itself."""
    client = MlflowClient()
    run = client.create_run(client.create_experiment(f"test-{uuid.uuid4().hex}"))
    uri = f"{inputs.uri}/jobs/{uuid.uuid4().hex}"
    job = NodeJob(
        module=module,
        config=load_profile("local", (*TINY, *overrides)),
        model=f"{inputs.uri}/base",
        data=f"{inputs.uri}/data",
        parts=f"{uri}-parts",
        resume=f"{uri}-resume",
        mlflow_run_id=run.info.run_id,
    )
    folder.mkdir(parents=True)
    (folder / JOB_FILE).write_text(job.model_dump_json())
    upload_directory(folder, uri)
    return uri, job


def start_nodes(uri: str, nodes: int) -> list[subprocess.Popen[str]]:
    """Every node as a process of its own, with the environment that Kubeflow Trainer's torch runtime sets."""
    port = next(port for port in free_ports(HOST, 8) if port < 65535)  # the next one is the roll call's
    trainer = {"PET_NNODES": str(nodes), "PET_MASTER_ADDR": HOST, "PET_MASTER_PORT": str(port)}
    trainer |= {"PET_NPROC_PER_NODE": "auto", "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT))}
    return [
        subprocess.Popen(
            [sys.executable, "-m", "gift.launch.node_program", uri],
            env=os.environ | trainer | {"PET_NODE_RANK": str(node)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for node in range(nodes)
    ]


def composed_weights(job: NodeJob, inputs: Inputs, folder: Path) -> dict[str, torch.Tensor]:
    """The parts of all nodes as one checkpoint, converted."""
    whole = f"{job.parts}-whole"
    compose_directory(whole, [job.part(node) for node in range(job.config.compute.nodes)])
    download_directory(whole, folder / "checkpoint")
    convert_checkpoint(
        folder / "checkpoint", inputs.folder / "base", folder / "model", precision="fp32", max_shard_bytes=2**30
    )
    return load_file(folder / "model" / "model.safetensors")
