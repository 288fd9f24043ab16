"""A damaged checkpoint costs the steps since the one before: no good one is lost, and no start fails for ever."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from stored_objects import delete_object, object_uri, read_object, write_object
from tiny_jobs import RANKS, Job, write_inputs

from gift.launch.one_node import launch_ranks
from gift.storage import download_directory, read_manifest, upload_directory
from gift.storage.steps import complete_steps, part_uri
from pipelines.local.services import Services

SFT = ("sft.steps=6", "sft.checkpoint_every=2", "sft.optimizer.warmup_steps=2", "compute.ranks=2")


def flip_a_byte(uri: str) -> None:
    optimizer = object_uri(uri, _file(uri, "optim_states.pt"))
    content = bytearray(read_object(optimizer))
    content[len(content) // 2] ^= 1
    write_object(optimizer, bytes(content))


def remove_a_file(uri: str) -> None:
    delete_object(object_uri(uri, _file(uri, "model_states.pt")))


def truncate_the_manifest(uri: str) -> None:
    manifest = object_uri(uri, "manifest.json")
    write_object(manifest, read_object(manifest)[:300])


def overwrite_a_state(uri: str) -> None:
    write_object(object_uri(uri, "state-0.json"), b'{"step": 4}')


def _file(uri: str, end: str) -> str:
    manifest = read_manifest(uri)
    assert manifest is not None
    return next(file.path for file in manifest.files if file.path.endswith(end))


def fetched(job: Job, step: int, folder: Path, state: str | None = None) -> Path:
    """The files of a checkpoint; with another `state-0.json` they are ones that no checksum finds fault with."""
    download_directory(part_uri(job.resume_uri, step, 0), folder)
    if state is not None:
        (folder / "state-0.json").write_text(state)
    return folder


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(RANKS))
    inputs = write_inputs(tmp_path)
    whole, of_one_rank = Job(inputs, *SFT), Job(inputs, *SFT, "compute.ranks=1")
    whole.attempt("keep_checkpoints", tmp_path / "whole")
    of_one_rank.attempt("keep_checkpoints", tmp_path / "one rank")
    older, newest = (fetched(whole, step, tmp_path / str(step)) for step in (2, 4))
    damages: dict[str, tuple[Callable[[str], None], str]] = {
        "flipped byte": (flip_a_byte, "is damaged"),
        "missing file": (remove_a_file, "is missing although the manifest lists it"),
        "truncated manifest": (truncate_the_manifest, "manifest.json is not valid"),
        "other state": (overwrite_a_state, "has 11 bytes, its manifest says"),
    }
    broken: dict[str, tuple[Path, str]] = {
        "no JSON": (fetched(whole, 4, tmp_path / "a", "{"), "its state-0.json can't be read"),
        "other step": (fetched(whole, 4, tmp_path / "b", '{"step": 3}'), "its state-0.json is of step 3"),
        "one rank": (fetched(of_one_rank, 4, tmp_path / "c"), "it was written by 1 ranks, and training has 2"),
    }
    jobs = {name: Job(inputs, *SFT) for name in ("untouched", *damages, *broken, "all damaged")}
    for name, job in jobs.items():
        upload_directory(older, part_uri(job.resume_uri, 2, 0))
        upload_directory(broken[name][0] if name in broken else newest, part_uri(job.resume_uri, 4, 0))
        if name in damages:
            damages[name][0](part_uri(job.resume_uri, 4, 0))
    for step in (2, 4):
        flip_a_byte(part_uri(jobs["all damaged"].resume_uri, step, 0))

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
            assert complete_steps(job.resume_uri, 1) == [4], "written again, and the others removed"
            download_directory(part_uri(job.resume_uri, 4, 0), tmp_path / "again" / name)


def _train_all(jobs: dict[str, Job], folder: Path) -> None:
    """In the same ranks, one after the other."""
    files = [("gift.training.sft", str(job.write(folder / name))) for name, job in jobs.items()]
    (folder / "jobs.json").write_text(json.dumps(files))
    launch_ranks("one_after_the_other", folder / "jobs.json", jobs["untouched"].config.compute)
