"""The gradient of an update does not depend on how its groups are spread over micro-batches and ranks.

DeepSpeed keeps its gradients in float32, so that equality to 1e-9 is shown with a stand-in that does what DeepSpeed
promises (each loss divided by the number of micro-batches, gradients averaged over ranks) in float64, on real gloo
ranks. That DeepSpeed keeps the promise is shown in float32 by `test_loops.py`.
"""

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from small_policy import small_policy
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from gift.algorithms import load_objective
from gift.config import RunConfig, load_profile
from gift.health import Health, HealthState
from gift.rollout.rollouts import Rollouts
from gift.training.groups import GroupBatch
from gift.training.update import Learner, update

pytestmark = pytest.mark.slow

GROUPS, SIZE, PROMPT, RESPONSE, VOCABULARY = 4, 4, 3, 6, 11
FORMS = {
    "gift": (),
    "gift, statistics attached, mean": ("gift.statistics=attached", "gift.reduction=mean", "gift.std_floor=0.001"),
    "gift, author": ("gift=author", "rl.mini_batches=1"),
    "grpo": ("algorithm=grpo", "grpo.kl_coefficient=0.1"),
    "gvpo": ("algorithm=gvpo",),
    "dpo": ("algorithm=dpo",),
    "una": ("algorithm=una",),
}


class AveragingEngine(nn.Module):
    """DeepSpeed's contract without its number format; the optimizer does nothing, so that gradients can be compared."""

    def __init__(self, model: nn.Module, accumulation_steps: int) -> None:
        super().__init__()
        self.module, self.accumulation_steps, self.calls = model, accumulation_steps, 0
        self.optimizer = SimpleNamespace(overflow=False)

    def forward(self, **inputs: Tensor) -> object:
        return self.module(**inputs)

    def backward(self, loss: Tensor) -> None:
        (loss / self.accumulation_steps).backward()
        self.calls += 1

    def step(self) -> None:
        if self.calls % self.accumulation_steps == 0:
            for parameter in self.module.parameters():
                dist.all_reduce(parameter.grad)
                parameter.grad /= dist.get_world_size()

    def get_global_grad_norm(self) -> float:
        return 1.0


def _model(seed: int) -> LlamaForCausalLM:
    settings = {"vocab_size": VOCABULARY, "num_hidden_layers": 2, "attn_implementation": "sdpa"}
    return small_policy(seed=seed, **settings).double()


def _batch() -> GroupBatch:
    """Four groups; the rewards of the third are all equal, and the responses differ in length."""
    generator = torch.Generator().manual_seed(0)
    rows = GROUPS * SIZE
    lengths = torch.randint(1, RESPONSE + 1, (rows,), generator=generator)
    rewards = torch.rand(GROUPS, SIZE, generator=generator)
    rewards[2] = 0.5
    return GroupBatch(
        rollouts=Rollouts(
            torch.randint(VOCABULARY, (rows, PROMPT), generator=generator),
            torch.ones(rows, PROMPT, dtype=torch.bool),
            torch.randint(VOCABULARY, (rows, RESPONSE), generator=generator),
            torch.arange(RESPONSE)[None] < lengths[:, None],
        ),
        rewards=rewards.double(),
        names=tuple(f"problem-{index}" for index in range(GROUPS)),
    )


def _mine(batch: GroupBatch, rank: int, ranks: int) -> GroupBatch:
    share = GROUPS // ranks
    return batch.groups(rank * share, (rank + 1) * share)


def _config(ranks: int, micro_batch_groups: int, overrides: tuple[str, ...]) -> RunConfig:
    return load_profile(
        "local",
        (
            f"compute.ranks={ranks}",
            f"rl.micro_batch_groups={micro_batch_groups}",
            f"rl.prompts_per_step={GROUPS}",
            f"rollout.group_size={SIZE}",
            *overrides,
        ),
    )


def _gradient(rank: int, ranks: int, micro_batch_groups: int, overrides: tuple[str, ...]) -> tuple[Tensor, float]:
    """The whole gradient of one update, flattened, and the loss summed over ranks."""
    config = _config(ranks, micro_batch_groups, overrides)
    engine = AveragingEngine(_model(0), GROUPS // (ranks * micro_batch_groups))
    health = Health(config, HealthState())
    learner = Learner(config, engine, _model(1), load_objective(config), torch.device("cpu"), health)
    sums = update(learner, _mine(_batch(), rank, ranks))
    loss = torch.tensor(sums["loss"], dtype=torch.float64)
    dist.all_reduce(loss)
    gradient = torch.cat([parameter.grad.flatten() for parameter in engine.module.parameters()])
    return gradient, float(loss)


def _rank(rank: int, ranks: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    spreads = (4, 2, 1) if ranks == 1 else (2, 1)
    found = {
        (form, micro_batch_groups): _gradient(rank, ranks, micro_batch_groups, overrides)
        for form, overrides in FORMS.items()
        for micro_batch_groups in spreads
    }
    if rank == 0:
        torch.save(found, folder / f"{ranks}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def gradients(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[tuple[str, int], tuple[Tensor, float]]]:
    """Ranks → (form, groups per micro-batch) → gradient and loss."""
    folder = tmp_path_factory.mktemp("gradients")
    for ranks in (1, 2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        multiprocessing.spawn(_rank, args=(ranks, port, folder), nprocs=ranks)
    return {ranks: torch.load(folder / f"{ranks}.pt", weights_only=True) for ranks in (1, 2)}


@pytest.mark.parametrize("form", FORMS)
def test_micro_batches_and_ranks_give_the_same_gradient(
    gradients: dict[int, dict[tuple[str, int], tuple[Tensor, float]]], form: str
) -> None:
    expected, expected_loss = gradients[1][form, 4]
    assert expected.abs().max() > 1e-6
    for ranks, micro_batch_groups in ((1, 2), (1, 1), (2, 2), (2, 1)):
        found, loss = gradients[ranks][form, micro_batch_groups]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        assert loss == pytest.approx(expected_loss, rel=1e-9)


def test_objectives_differ(gradients: dict[int, dict[tuple[str, int], tuple[Tensor, float]]]) -> None:
    """So that the equality above is not one of zeros, or of one objective under seven names."""
    found = [gradients[1][form, 4][0] for form in FORMS]
    for index, one in enumerate(found):
        for other in found[:index]:
            assert not torch.allclose(one, other, rtol=1e-3)
