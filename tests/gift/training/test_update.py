"""The gradient of an update does not depend on how its responses are spread over micro-batches and ranks.

Nor on whether a group's prompt is read once or with each response, and its responses together or in several parts.

DeepSpeed keeps its gradients in float32, so that equality to 1e-9 is shown with a stand-in that does what DeepSpeed
promises (gradients summed over micro-batches and averaged over ranks) in float64, on real gloo ranks. That DeepSpeed
keeps the promise is shown in float32 by `test_loops.py`.
"""

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from small_policy import small_policy, with_exact_norms
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from gift.algorithms import load_objective
from gift.config import RunConfig, load_profile
from gift.models.attention import PLAIN_ATTENTION
from gift.policy.log_probabilities import read_packed
from gift.rollout.rollouts import Rollouts
from gift.training.groups import GroupBatch
from gift.training.health import Health, HealthState
from gift.training.update import Learner, update

pytestmark = pytest.mark.slow

GROUPS, SIZE, PROMPT, RESPONSE, VOCABULARY = 4, 4, 3, 6, 11
LAG = ("rollout.lag=1", "rl.checkpoint_every=0")
FORMS = {
    "gift": (),
    "gift, statistics attached, mean": ("gift.statistics=attached", "gift.reduction=mean", "gift.std_floor=0.001"),
    "gift, author": ("gift=author",),
    "grpo": ("algorithm=grpo", "grpo.kl_coefficient=0.1"),
    "gvpo": ("algorithm=gvpo",),
    "dpo": ("algorithm=dpo",),
    "una": ("algorithm=una",),
    "dr_grpo": ("algorithm=dr_grpo",),
    "dapo": ("algorithm=dapo", "dapo.zero_variance=keep", "dapo.overlong_share=0.9"),
    "gspo": ("algorithm=gspo", "gspo.clip_low=0.2", "gspo.clip_high=0.2"),
    "cispo": ("algorithm=cispo",),
    "oapl": ("algorithm=oapl", "oapl.beta=0.5"),
    "grpo, truncated importance sampling": ("algorithm=grpo", "grpo.importance_cap=1.1", *LAG),
}
STALE = ("dr_grpo", "dapo", "gspo", "cispo", "oapl", "grpo, truncated importance sampling")
"""Their batch was sampled by another policy."""
Spread = tuple[int, int, bool]
"""Ranks, tokens of a micro-batch, and whether prompts are read once per group."""
PADDED: Spread = (1, 1000, False)
SPREADS: tuple[Spread, ...] = (
    PADDED,
    (1, 1000, True),
    (1, 30, True),
    (1, 9, True),
    (1, 9, False),
    (2, 1000, True),
    (2, 30, True),
    (2, 9, True),
    (2, 9, False),
)
Gradients = dict[tuple[str, Spread], tuple[Tensor, float, int]]


class AveragingEngine(nn.Module):
    """DeepSpeed's contract without its number format; the optimizer does nothing, so that gradients can be compared."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.module, self.micro_batches, self.last = model, 0, False
        self.optimizer = SimpleNamespace(overflow=False)

    def forward(self, **inputs: Tensor) -> object:
        return self.module(**inputs)

    def set_gradient_accumulation_boundary(self, last: bool) -> None:
        self.last = last

    def backward(self, loss: Tensor) -> None:
        loss.backward()
        self.micro_batches += 1

    def step(self) -> None:
        if self.last:
            for parameter in self.module.parameters():
                dist.all_reduce(parameter.grad)
                parameter.grad /= dist.get_world_size()

    def get_global_grad_norm(self) -> float:
        return 1.0


def _model(seed: int, packed: bool) -> LlamaForCausalLM:
    attention = PLAIN_ATTENTION if packed else "sdpa"
    settings = {"vocab_size": VOCABULARY, "num_hidden_layers": 2, "attn_implementation": attention}
    return read_packed(with_exact_norms(small_policy(seed=seed, **settings).double()))


def _batch(stale: bool) -> GroupBatch:
    """Four groups; the rewards of the third are all equal, and prompts and responses differ in length."""
    generator = torch.Generator().manual_seed(0)
    rows = GROUPS * SIZE
    lengths = torch.randint(1, RESPONSE + 1, (rows,), generator=generator)
    rewards = torch.rand(GROUPS, SIZE, generator=generator)
    rewards[2] = 0.5
    mask = torch.arange(RESPONSE)[None] < lengths[:, None]
    others = torch.where(mask, torch.randn(mask.shape, generator=generator).double() / 10 - 2.4, 0.0)
    return GroupBatch(
        rollouts=Rollouts(
            torch.randint(VOCABULARY, (GROUPS, PROMPT), generator=generator).repeat_interleave(SIZE, 0),
            (torch.arange(PROMPT)[None] >= torch.tensor([[0], [2], [1], [2]])).repeat_interleave(SIZE, 0),
            torch.randint(VOCABULARY, (rows, RESPONSE), generator=generator),
            mask,
        ),
        rewards=rewards.double(),
        names=tuple(f"problem-{index}" for index in range(GROUPS)),
        truncated=(lengths == RESPONSE).view(GROUPS, SIZE),
        log_probabilities=others if stale else None,
    )


def _mine(batch: GroupBatch, rank: int, ranks: int) -> GroupBatch:
    share = GROUPS // ranks
    return batch.groups(rank * share, (rank + 1) * share)


def _config(ranks: int, tokens: int, overrides: tuple[str, ...]) -> RunConfig:
    return load_profile(
        "local",
        (
            f"compute.ranks={ranks}",
            f"compute.tokens_per_micro_batch={tokens}",
            f"rl.prompts_per_step={GROUPS}",
            f"rollout={{group_size: {SIZE}, max_prompt_tokens: {PROMPT}, max_new_tokens: {RESPONSE}}}",
            *overrides,
        ),
    )


def _gradient(rank: int, spread: Spread, form: str) -> tuple[Tensor, float, int]:
    """The whole gradient of an update, flattened, the loss summed over ranks, and how many micro-batches it took."""
    ranks, tokens, packed = spread
    config = _config(ranks, tokens, FORMS[form])
    engine = AveragingEngine(_model(0, packed))
    health = Health(config, HealthState())
    learner = Learner(config, engine, _model(1, packed), load_objective(config), torch.device("cpu"), health)
    sums = update(learner, _mine(_batch(form in STALE), rank, ranks))
    loss = torch.tensor(sums["loss"], dtype=torch.float64)
    dist.all_reduce(loss)
    gradient = torch.cat([parameter.grad.flatten() for parameter in engine.module.parameters()])
    return gradient, float(loss), engine.micro_batches


def _rank(rank: int, ranks: int, port: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    found = {
        (form, spread): _gradient(rank, spread, form) for form in FORMS for spread in SPREADS if spread[0] == ranks
    }
    if rank == 0:
        torch.save(found, folder / f"{ranks}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def gradients(tmp_path_factory: pytest.TempPathFactory) -> Gradients:
    folder = tmp_path_factory.mktemp("gradients")
    found = {}
    for ranks in (1, 2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        multiprocessing.spawn(_rank, args=(ranks, port, folder), nprocs=ranks)
        found |= torch.load(folder / f"{ranks}.pt", weights_only=True)
    return found


@pytest.mark.parametrize("form", FORMS)
def test_micro_batches_and_ranks_give_the_same_gradient(gradients: Gradients, form: str) -> None:
    expected, expected_loss, _ = gradients[form, PADDED]
    assert expected.abs().max() > 1e-6
    for spread in SPREADS:
        found, loss, _ = gradients[form, spread]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9, msg=str(spread))
        assert loss == pytest.approx(expected_loss, rel=1e-9)


def test_the_budget_decides_how_many_micro_batches_there_are(gradients: Gradients) -> None:
    """One for everything, several of whole groups, and so many that groups were cut."""
    assert [gradients["gift", spread][2] for spread in SPREADS if spread[0] == 1] == [1, 1, 2, 7, 15]


def test_objectives_differ(gradients: Gradients) -> None:
    """So that the equality above is not one of zeros, or of one objective under several names."""
    found = [gradients[form, PADDED][0] for form in FORMS]
    for index, one in enumerate(found):
        for other in found[:index]:
            assert not torch.allclose(one, other, rtol=1e-3)
