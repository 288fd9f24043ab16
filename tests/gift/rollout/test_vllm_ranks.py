"""vLLM with several ranks under ZeRO-3: one engine that they share (tensor parallelism), and one beside each."""

import json
import os
from pathlib import Path

import pytest

from gift.launch.one_node import launch_ranks
from tests.gift.rollout.tiny_models import vllm_config, write_model

ROOT = Path(__file__).parents[3]
ALWAYS_WHOLE = 100_000
"""ZeRO-3 does not cut parameters of at most so many elements (DeepSpeed's default)."""


@pytest.mark.parametrize("tensor_parallel", [1, 2])
def test_both_ranks_sample_from_the_newest_weights_and_none_holds_them_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensor_parallel: int
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{Path(__file__).parent / 'ranks'}")
    model = write_model(tmp_path / "model", tied=True, intermediate_size=2048)
    overrides = (f"rollout.vllm.tensor_parallel={tensor_parallel}", "compute.zero_stage=3", "compute.device=cpu")
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"overrides": overrides, "model": str(tmp_path / "model")}))
    shared = set(Path("/dev/shm").glob("vllm_dist_*"))
    launch_ranks("share_an_engine", job, vllm_config(*overrides).compute)
    for left in set(Path("/dev/shm").glob("vllm_dist_*")) - shared:
        left.unlink()  # vLLM's own, 4 MiB for each of its processes when it runs in parallel on CPU
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert first["ids"] == second["ids"]  # the same seed, prompts and weights
    assert (first["own prompts"], second["own prompts"]) == ([5, 6, 7] * 4 + [8, 9] * 4, [8, 9] * 4)
    sizes = [parameter.numel() for parameter in model.parameters()]
    largest, small = max(sizes), sum(size for size in sizes if size <= ALWAYS_WHOLE)
    for result in (first, second):
        assert result["stale"] > 0.01
        assert result["fresh"] < 1e-5
        assert result["own"] < 1e-5
        assert result["one-sided ids"] == result["ids"]
        assert result["empty"] == [0, 0]
        assert result["held"] <= largest + small < sum(sizes) / 2
    # One vLLM is asked once for both ranks, and not at all where neither has a prompt.
    expected = ([4, 3, 2, 2], []) if tensor_parallel == 2 else ([2, 2, 2], [2, 1, 2])
    assert (first["asked"], second["asked"]) == expected
