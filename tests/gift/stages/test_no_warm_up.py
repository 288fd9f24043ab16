"""`sft.steps: 0`: the base model is the SFT model, nothing is started for that, and the whole run goes its way."""

from pathlib import Path

import pytest
from tiny_jobs import TINY, write_inputs

from gift.config import RunConfig, load_profile
from gift.execution.stage import content_digest, run_stage
from gift.report.schema import load_report
from gift.stages.convert import convert
from gift.stages.evaluate import evaluate
from gift.stages.evaluate_champion import evaluate_champion
from gift.stages.gate import gate
from gift.stages.prepare_data import prepare_data
from gift.stages.prepare_model import prepare_model
from gift.stages.register import register
from gift.stages.report import report
from gift.stages.train_policy import train_policy
from gift.stages.train_sft import train_sft
from gift.storage import download_directory, read_manifest
from gift.tracking import start_parent_run


def _config(model: Path, bucket_prefix: str, *overrides: str) -> RunConfig:
    settings = [setting for setting in TINY if not setting.startswith(("model.", "sft.steps"))]
    return load_profile(
        "local",
        (
            *(*settings, "sft.steps=0", f"model={{source: folder, path: {model}, context_length: 256}}"),
            *(f"storage.uri={bucket_prefix}", "registered_model=no-warm-up", "compute.ranks=1", "rl.steps=1"),
            *("evaluation.benchmarks=[{task: heldout, max_new_tokens: 4}]", "conversion.precision=bf16", *overrides),
        ),
    )


@pytest.fixture(scope="module")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_inputs(tmp_path_factory.mktemp("inputs")) / "base"


def test_the_base_model_goes_through_to_the_report(
    bucket_prefix: str, base_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = _config(base_model, bucket_prefix)
    run = {"config": config.model_dump_json(), "run_id": "r", "parent_run_id": start_parent_run(config, bucket_prefix)}
    data = run_stage(prepare_data, **run)
    base = run_stage(prepare_model, **run, data=data)
    capfd.readouterr()
    assert run_stage(train_sft, **run, data=data, model=base) == base
    assert run_stage(convert, **run, label="sft", checkpoint=base, model=base) == base
    printed = capfd.readouterr().out
    assert f"sft.steps is 0, so nothing is trained: {base}" in printed
    assert f"this is a model already, so nothing is converted: {base}" in printed

    checkpoint = run_stage(train_policy, **run, data=data, model=base)
    candidate = run_stage(convert, **run, label="candidate", checkpoint=checkpoint, model=base)
    manifest = read_manifest(candidate)
    assert manifest is not None
    assert manifest.metadata["precision"] == "bf16"
    results = {
        label: run_stage(evaluate, **run, label=label, data=data, model=model)
        for label, model in (("base", base), ("sft", base), ("candidate", candidate))
    }
    assert results["base"] == results["sft"] != results["candidate"]
    judged = {"candidate_results": results["candidate"]}
    champion = run_stage(evaluate_champion, **run, data=data)
    others = {"base_results": results["base"], "sft_results": results["sft"], "champion": champion}
    verdict = run_stage(gate, **run, **others, **judged)
    version = run_stage(register, **run, model=candidate, verdict=verdict, **judged)
    made = run_stage(
        report,
        **run,
        data=data,
        base_results=results["base"],
        sft_results=results["sft"],
        **judged,
        champion=champion,
        verdict=verdict,
        model=candidate,
        version=version,
    )
    download_directory(made, tmp_path / "report")
    found = load_report(tmp_path / "report" / "report.json")
    for name in ("prepare-model", "train-sft", "convert-sft"):
        assert (found.artifacts[name].uri, found.artifacts[name].digest) == (base, content_digest(base))
    assert found.models["base"] == found.models["sft"]
    assert "loss" not in found.curves.get("train-sft", {})
    assert sum(found.answer_changes["heldout"].values()) == found.data["heldout"].rows
    overlap = found.contamination["heldout"]
    assert (overlap.problems, overlap.trained_on) == (found.data["heldout"].rows, 0)


def test_nothing_is_submitted_to_a_cluster_either(bucket_prefix: str, base_model: Path) -> None:
    config = _config(base_model, bucket_prefix, "compute.nodes=2", "compute.ranks=2")
    run = {"config": config.model_dump_json(), "run_id": "r", "parent_run_id": start_parent_run(config, bucket_prefix)}
    data = run_stage(prepare_data, **run)
    base = run_stage(prepare_model, **run, data=data)
    assert run_stage(train_sft, **run, data=data, model=base) == base
