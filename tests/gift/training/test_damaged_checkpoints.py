"""A damaged checkpoint costs the steps since the one before: no good one is lost, and no start fails for ever."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from stored_objects import delete_object, object_uri, read_object, write_object
from tiny_jobs import RANKS, Job, write_inputs

from gift.launch.one_node import launch_ranks
from gift.storage import download_directory, upload_directory
from gift.storage.steps import StoredStep, complete_steps, part_uri
from pipelines.local.services import Services

SFT = ("sft.steps=6", "sft.checkpoint_every=2", "sft.optimizer.warmup_steps=2", "compute.ranks=2")


def flip_a_byte(uri: str) -> None:
    optimizer = object_uri(uri, "exp_avg/rank-1-of-2.safetensors")
    content = bytearray(read_object(optimizer))
    content[len(content) // 2] ^= 1
    write_object(optimizer, bytes(content))


def remove_a_file(uri: str) -> None:
    delete_object(object_uri(uri, "master/rank-0-of-2.safetensors"))


def truncate_the_manifest(uri: str) -> None:
    manifest = object_uri(uri, "manifest.json")
    write_object(manifest, read_object(manifest)[:300])


def overwrite_a_state(uri: str) -> None:
    write_object(object_uri(uri, "state-0.json"), b'{"step": 4}')


def part(job: Job, step: int) -> str:
    """All of a checkpoint: there is one node."""
    return part_uri(job.resume_uri, StoredStep(step, 1), 0)


def fetched(job: Job, step: int, folder: Path, file: str = "", content: bytes | None = None) -> Path:
    """The files of a checkpoint; with one of another content, or without it, no checksum finds fault with them."""
    download_directory(part(job, step), folder)
    if content is not None:
        (folder / file).write_bytes(content)
    elif file:
        (folder / file).unlink()
    return folder


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(RANKS))
    inputs = write_inputs(tmp_path)
    whole = Job(inputs, *SFT)
    whole.attempt("keep_checkpoints", tmp_path / "whole")
    older, newest = (fetched(whole, step, tmp_path / str(step)) for step in (2, 4))
    damages: dict[str, tuple[Callable[[str], None], str]] = {
        "flipped byte": (flip_a_byte, "is damaged"),
        "missing file": (remove_a_file, "is missing although the manifest lists it"),
        "truncated manifest": (truncate_the_manifest, "manifest.json is not valid"),
        "other state": (overwrite_a_state, "has 11 bytes, its manifest says"),
    }
    rank_1 = "exp_avg_sq/rank-1-of-2.safetensors"
    broken: dict[str, tuple[Path, str]] = {
        "no JSON": (fetched(whole, 4, tmp_path / "a", "state-0.json", b"{"), "its state-0.json can't be read"),
        "other step": (fetched(whole, 4, tmp_path / "b", "state-0.json", b'{"step": 3}'), "state-0.json is of step 3"),
        "no spread": (fetched(whole, 4, tmp_path / "c", "spread.json"), "its spread.json can't be read"),
        "no ranks": (fetched(whole, 4, tmp_path / "d", "spread.json", b'{"ranks": 0}'), "spread.json can't be read"),
        "no count": (fetched(whole, 4, tmp_path / "e", "updates-1.json", b"[]"), "updates-1.json can't be read"),
        "a rank": (fetched(whole, 4, tmp_path / "f", rank_1), "but there is no rank-1-of-2.safetensors"),
        "code": (fetched(whole, 4, tmp_path / "g", rank_1, pickle.dumps(print)), "rank-1-of-2.safetensors is damaged"),
    }
    jobs = {name: Job(inputs, *SFT) for name in ("untouched", *damages, *broken, "all damaged")}
    for name, job in jobs.items():
        upload_directory(older, part(job, 2))
        upload_directory(broken[name][0] if name in broken else newest, part(job, 4))
        if name in damages:
            damages[name][0](part(job, 4))
    for step in (2, 4):
        flip_a_byte(part(jobs["all damaged"], step))

    capfd.readouterr()
    _train_all(jobs, tmp_path / "jobs")
    printed = capfd.readouterr().out

    expected = whole.weights(tmp_path / "whole")
    assert f"goes on after step 4, from {jobs['untouched'].resume_uri}\n" in printed
    for name, (_, reason) in (damages | broken).items():
        assert f"goes on after step 2, from {jobs[name].resume_uri}\n" in printed, name
        assert any(reason in line for line in printed.splitlines() if "of step 4 is left aside" in line), name
    assert f"starts from the beginning: no checkpoint at {jobs['all damaged'].resume_uri} is whole\n" in printed
    assert printed.count("of step 4 is left aside") == len(jobs) - 1, "one line each"
    for name, job in jobs.items():
        found = job.weights(tmp_path / "jobs" / name)
        assert all(torch.equal(found[weight], expected[weight]) for weight in expected), name
        if name != "untouched":
            assert complete_steps(job.resume_uri) == [StoredStep(4, 1)], "written again, and the others removed"
            download_directory(part(job, 4), tmp_path / "again" / name)


def _train_all(jobs: dict[str, Job], folder: Path) -> None:
    """In the same ranks, one after the other."""
    files = [("gift.training.sft", str(job.write(folder / name))) for name, job in jobs.items()]
    (folder / "jobs.json").write_text(json.dumps(files))
    launch_ranks("one_after_the_other", folder / "jobs.json", jobs["untouched"].config.compute)
