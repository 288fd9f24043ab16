"""The stage fetches the trained weights, and of the model that they came from only what describes it."""

from pathlib import Path

import torch
from faulty_proxy import FaultyProxy
from safetensors.torch import load_file, save_file
from tiny_llamas import write_template

from gift.config import load_profile
from gift.execution.stage import run_stage
from gift.stages.convert import convert
from gift.storage import download_directory, upload_directory
from gift.tracking import start_parent_run
from gift.weights.trained_weights import Fragment, write_share


def _fragment(tensor: torch.Tensor) -> Fragment:
    return Fragment(tuple(tensor.shape), 0, tensor.numel(), lambda: tensor.flatten())


def test_the_old_weights_of_the_model_are_not_read(
    faulty_store: FaultyProxy, bucket_prefix: str, tmp_path: Path
) -> None:
    template = write_template(tmp_path / "template", tied=True)
    trained = {name: tensor + 1 for name, tensor in load_file(template / "model.safetensors").items()}
    (tmp_path / "weights").mkdir()
    write_share(tmp_path / "weights", 0, 1, {name: _fragment(tensor) for name, tensor in trained.items()})
    model, checkpoint = f"{bucket_prefix}/model", f"{bucket_prefix}/checkpoint"
    upload_directory(template, model)
    upload_directory(tmp_path / "weights", checkpoint)
    config = load_profile("local", (f"storage.uri={bucket_prefix}",))
    run = {"config": config.model_dump_json(), "run_id": "r", "parent_run_id": start_parent_run(config, bucket_prefix)}

    faulty_store.fault_of = lambda _method, path: "500" if "/model/" in path and "model.safetensors" in path else None
    converted = run_stage(convert, **run, checkpoint=checkpoint, model=model)

    assert faulty_store.faults == []
    download_directory(converted, tmp_path / "converted")
    save_file(trained, tmp_path / "expected.safetensors", {"format": "pt"})
    assert (tmp_path / "converted/model.safetensors").read_bytes() == (tmp_path / "expected.safetensors").read_bytes()
    for name in ("tokenizer.json", "generation_config.json"):
        assert (tmp_path / "converted" / name).read_bytes() == (template / name).read_bytes()
