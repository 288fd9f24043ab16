"""What starting costs: a stage loads what it needs before it knows whether there is anything to do, and no more."""

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LIGHT = 850
"""Modules that every stage may load: configuration, S3 and MLflow's REST API need about 760."""
DRAWING = 1300
"""The report and the comparison draw with matplotlib; the comparison also takes quantiles from scipy.special."""
HEAVY = frozenset(
    {"mlflow", "torch", "transformers", "deepspeed", "lm_eval", "vllm", "huggingface_hub", "tokenizers", "safetensors"}
    | {"accelerate", "datasets", "scipy", "sklearn", "pandas", "kfp", "kubernetes", "kubeflow", "math_verify", "sympy"}
    | {"numpy", "matplotlib", "jinja2", "scipy.stats"}
)
DRAWN_WITH = frozenset({"numpy", "matplotlib", "jinja2"})
STAGES = {
    "lifecycle": (LIGHT, HEAVY),
    "prepare_data": (LIGHT, HEAVY),
    "prepare_model": (LIGHT, HEAVY),
    "train_sft": (LIGHT, HEAVY),
    "train_policy": (LIGHT, HEAVY),
    "convert": (LIGHT, HEAVY),
    "evaluate": (LIGHT, HEAVY),
    "evaluate_champion": (LIGHT, HEAVY),
    "gate": (LIGHT, HEAVY),
    "register": (LIGHT, HEAVY),
    "choose_learning_rate": (LIGHT, HEAVY),
    "configure": (LIGHT, HEAVY),
    "report": (DRAWING, HEAVY - DRAWN_WITH),
    "compare": (DRAWING, HEAVY - DRAWN_WITH - {"scipy"}),
    "check_normalization": (None, frozenset({"mlflow", "deepspeed", "lm_eval", "vllm"})),
}
SHARED = {"explain"}
"""Modules of the folder that are no stages."""


def _loaded(*modules: str) -> tuple[int, list[str]]:
    """How many modules a new Python has after importing some, and who imported what: "a -> b -> c" for each."""
    command = [sys.executable, "-X", "importtime", "-c", f"import sys, {', '.join(modules)}; print(len(sys.modules))"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    chain: list[str] = []
    chains = []
    for line in reversed(done.stderr.splitlines()):  # a module is listed after those that it imports
        found = re.match(r"import time: +\d+ \| +\d+ \| ( *)(\S+)$", line)
        if found:
            chain[len(found[1]) // 2 :] = [found[2]]
            chains.append(" -> ".join(chain))
    return int(done.stdout), chains


def _culprits(chains: Iterable[str], forbidden: frozenset[str]) -> dict[str, str]:
    """What is loaded of `forbidden` → the chain of imports that leads to it."""
    loaded = {chain.rpartition(" -> ")[2]: chain for chain in chains}
    return {name: loaded[name] for name in sorted(forbidden & set(loaded))}


def test_every_stage_has_a_ceiling() -> None:
    modules = {path.stem for path in (ROOT / "gift" / "stages").glob("[!_]*.py")}
    assert modules - SHARED == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_starts_light(stage: str) -> None:
    ceiling, forbidden = STAGES[stage]
    count, chains = _loaded(f"gift.stages.{stage}", "gift.execution.stage")
    assert _culprits(chains, forbidden) == {}
    assert ceiling is None or count <= ceiling, f"gift.stages.{stage} loads {count} modules, {ceiling} are allowed"


def test_a_package_that_slips_in_is_named_with_who_imported_it() -> None:
    _, chains = _loaded("gift.report.figures")
    assert _culprits(chains, frozenset({"matplotlib"}))["matplotlib"].startswith("gift.report.figures -> matplotlib")


@pytest.mark.parametrize(
    ("module", "needs_no"),
    [
        ("gift.conversion.hugging_face", frozenset({"mlflow", "deepspeed", "lm_eval", "vllm"})),
        ("gift.models.base_model", frozenset({"mlflow", "torch", "transformers"})),
        ("gift.models.making", frozenset({"mlflow", "deepspeed", "lm_eval", "vllm"})),
        ("gift.evaluation.harness", frozenset({"mlflow", "deepspeed", "vllm"})),
        ("gift.launch.one_node", HEAVY),
        ("gift.launch.node_program", HEAVY),
    ],
)
def test_the_work_of_a_stage_loads_nothing_of_other_stages(module: str, needs_no: frozenset[str]) -> None:
    _, chains = _loaded(module)
    assert _culprits(chains, needs_no) == {}
