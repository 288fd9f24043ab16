"""Both sides take the step that a plain forward pass and the formula give, and one that takes another is refused.

TRL's part is skipped where it is not installed (`make bench-install`); this project's own is not.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import LlamaForCausalLM

from gift.bench.cases import CASES, StepCase
from gift.bench.inputs import POLICY, REFERENCE, read_step_batch
from gift.bench.measure import check_same_gradient, measure_step
from gift.bench.objective import GRADIENT, KL_COEFFICIENT, LARGEST_DIFFERENCE
from gift.bench.sides import open_side, write_inputs_apart
from gift.errors import GiftError

pytestmark = pytest.mark.slow
needs_trl = pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed; `make bench-install` installs it"
)
CASE = CASES["tiny"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    write_inputs_apart(CASE, folder / "inputs", folder)
    return folder / "inputs"


@pytest.fixture(scope="module")
def ours(inputs: Path) -> Path:
    """The folder of our side after two turns."""
    folder = inputs.parent / "gift"
    with open_side("gift", inputs, folder) as side:
        side.wait_until_ready()
        turns = [side.take_turn(), side.take_turn()]
    assert all(turn.peak_bytes > turn.bytes_before > 0 for turn in turns)
    return folder


def _naive_gradient(inputs: Path) -> Mapping[str, Tensor]:
    """GRPO's on policy: −A log π + coefficient · k3, the mean over tokens, then responses; in float64."""
    policy = LlamaForCausalLM.from_pretrained(inputs / POLICY).double()
    reference = LlamaForCausalLM.from_pretrained(inputs / REFERENCE).double()
    batch = read_step_batch(inputs, torch.device("cpu"))
    advantages = (batch.rewards.double() - batch.rewards.double().mean(dim=1, keepdim=True)).flatten()
    rows = batch.rollouts
    for row, mask in enumerate(rows.response_mask):
        response = rows.response_ids[row][mask]
        ids = torch.cat([rows.prompt_ids[row], response])[None]

        def scored(model: LlamaForCausalLM, ids: Tensor = ids, response: Tensor = response) -> Tensor:
            logits = model(input_ids=ids).logits[0, -len(response) - 1 : -1]
            return logits.log_softmax(dim=-1).gather(-1, response[:, None]).squeeze(-1)

        log_policy, log_reference = scored(policy), scored(reference).detach()
        log_ratio = log_reference - log_policy
        k3 = log_ratio.exp() - log_ratio - 1
        ratio = (log_policy - log_policy.detach()).exp()
        ((KL_COEFFICIENT * k3 - advantages[row] * ratio).mean() / len(advantages)).backward()
    return {name: parameter.grad for name, parameter in policy.named_parameters()}


def test_our_step_has_the_gradient_of_the_formula(inputs: Path, ours: Path, tmp_path: Path) -> None:
    naive = {name: values.float() for name, values in _naive_gradient(inputs).items()}
    save_file(naive, tmp_path / "naive.safetensors")
    assert check_same_gradient(ours / GRADIENT, tmp_path / "naive.safetensors", "the formula", 1e-4) < 1e-5


@pytest.mark.parametrize("spoilt", ["scaled", "of other parameters", "no number"])
def test_another_gradient_is_refused(ours: Path, tmp_path: Path, spoilt: str) -> None:
    found = load_file(ours / GRADIENT)
    name = next(iter(found))
    match spoilt:
        case "scaled":
            found = {key: values * (1 + 2 * LARGEST_DIFFERENCE["fp32"]) for key, values in found.items()}
        case "of other parameters":
            found["other"] = found.pop(name)
        case "no number":
            found[name] = torch.full_like(found[name], torch.nan)
    save_file(found, tmp_path / "spoilt.safetensors")
    with pytest.raises(GiftError, match=r"the gradients of gift and trl differ by (2\.0e-04|inf|nan)"):
        check_same_gradient(ours / GRADIENT, tmp_path / "spoilt.safetensors", "trl", LARGEST_DIFFERENCE["fp32"])


def test_a_side_that_fails_is_one_line_with_the_last_of_its_log(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "no-inputs").mkdir()
    with open_side("gift", tmp_path / "no-inputs", tmp_path / "gift") as side, pytest.raises(GiftError) as error:
        side.wait_until_ready()
    assert "the side gift ended early; the last line of its log is: " in str(error.value)
    assert "case.json" in str(error.value)


@needs_trl
@pytest.mark.parametrize("case", [CASE, CASE.with_sampling()], ids=lambda case: case.name)
def test_trl_takes_the_same_step_by_turns(case: StepCase) -> None:
    lines: list[str] = []
    found = measure_step(case, 2, stock=False, tell=lines.append)
    assert set(found.turns) == {"gift", "trl", "matrix"}
    assert {len(turns) for turns in found.turns.values()} == {2}
    assert 0 < found.gradient_differences["trl"] < 1e-5
    assert [line.split(":")[0] for line in lines] == [f"{case.name}  round {number} of 2" for number in (1, 2)]
    assert 0 < found.floor_share < 1
