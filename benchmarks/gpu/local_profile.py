"""The profile `local` on one device without the services: data → base model → SFT → GIFT → models, and its accuracy.

The same functions as in the stages, on local folders. The ranks train without checkpoints, so that they ask no S3, and
their metrics go to a server in this process that keeps what it is sent, where MLflow's would be. The accuracy is the
training's own look at held-out problems, one sampled response each: before the first update and before the last.

Left out: lm-eval, gate, registry and report, which compute nothing on a GPU but greedy responses.
"""

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any, Literal

from gift.config import RunConfig, load_profile
from gift.conversion.hugging_face import convert_checkpoint
from gift.data.prepare import write_data
from gift.data.problems import read_problems
from gift.launch.one_node import launch_ranks
from gift.launch.rank_job import ResumeSettings, TrainingJob
from gift.models.base_model import write_base_model
from gpu.part import PartResult

Metrics = dict[str, list[float]]
"""By name, in the order of steps."""
NOWHERE = "http://127.0.0.1:9"
"""No S3 is there; a training that asked it would fail."""


def train_local_profile(folder: Path, device: Literal["cpu", "cuda"], settings: Sequence[str]) -> PartResult:
    """Raises: GiftError: a part of it failed."""
    config = load_profile(
        "local",
        (
            "compute.ranks=1",
            f"compute.device={device}",
            "sft.checkpoint_every=0",
            "rl.checkpoint_every=0",
            *settings,
        ),
    )
    (folder / "base").mkdir()
    write_data(config, folder / "data")
    write_base_model(config, read_problems(folder / "data" / "sft.jsonl"), folder / "base")
    sft, sft_seconds = _train(config, "sft", folder, folder / "base")
    policy, policy_seconds = _train(config, "rl", folder, folder / "sft")
    figures: dict[str, Any] = {
        "sft_seconds": sft_seconds,
        "sft_loss": [sft["loss"][0], sft["loss"][-1]],
        "sft_tokens_per_second": median(sft["tokens_per_second"]),
        "policy_seconds": policy_seconds,
        "policy_reward": [policy["reward"][0], policy["reward"][-1]],
        "policy_tokens_per_second": median(policy["tokens_per_second"]),
        "policy_step_seconds": median(policy["step_time"]),
        "heldout_accuracy": [policy["heldout_accuracy"][0], policy["heldout_accuracy"][-1]],
        "heldout_problems": config.rl.heldout_problems,
    }
    before, after = figures["heldout_accuracy"]
    lines = [
        f"SFT: {config.sft.steps} steps in {sft_seconds:.0f} s, {figures['sft_tokens_per_second']:,.0f} tokens/s "
        f"(median); loss {sft['loss'][0]:.3f} → {sft['loss'][-1]:.3f}",
        "",
        f"GIFT: {config.rl.steps} steps in {policy_seconds:.0f} s, {figures['policy_step_seconds']:.2f} s a step and "
        f"{figures['policy_tokens_per_second']:,.0f} tokens/s (medians); held-out accuracy, sampled, of "
        f"{config.rl.heldout_problems} problems: {before:.1%} → {after:.1%}",
    ]
    return PartResult(lines, figures)


def _train(config: RunConfig, loop: Literal["sft", "rl"], folder: Path, model: Path) -> tuple[Metrics, float]:
    """Train and convert to `folder`/`loop`; returns the metrics of all steps, and seconds with the ranks' start."""
    job = TrainingJob(
        config=config,
        model=model,
        data=folder / "data",
        checkpoint=folder / f"{loop}-weights",
        mlflow_run_id=loop,
        metric_spool=folder / f"{loop}-metrics.jsonl",
        resume=ResumeSettings(uri=f"{config.storage.uri}/{loop}", folder=folder / f"{loop}-resume"),
    )
    file = folder / f"{loop}-job.json"
    file.write_text(job.model_dump_json(), encoding="utf-8")
    job.checkpoint.mkdir()
    started = time.monotonic()
    with _metrics_server() as metrics:
        launch_ranks(f"gift.training.{loop}", file, config.compute)
    seconds = time.monotonic() - started
    convert_checkpoint(
        job.checkpoint,
        model,
        folder / loop,
        precision=config.conversion.precision,
        max_shard_bytes=config.conversion.max_shard_mib * 2**20,
    )
    return metrics, seconds


@contextmanager
def _metrics_server() -> Iterator[Metrics]:
    """Takes what MLflow's REST API takes at runs/log-batch, and keeps the values."""
    metrics: Metrics = defaultdict(list)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for metric in sent.get("metrics", []):
                metrics[metric["key"]].append(float(metric["value"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ |= {
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{server.server_port}",
        "AWS_ENDPOINT_URL_S3": NOWHERE,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    try:
        yield metrics
    finally:
        server.shutdown()
        server.server_close()
