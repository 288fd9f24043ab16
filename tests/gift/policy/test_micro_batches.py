"""Micro-batches within a budget of tokens, and as many as other ranks need."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gift.data.tokens import pad_left, pad_right
from gift.policy.micro_batches import Lengths, at_least, plan_micro_batches
from gift.policy.packing import pack
from gift.rollout.rollouts import Rollouts


def _rollouts(prompts: list[int], responses: list[int], size: int) -> Rollouts:
    of_rows = [[1] * length for length in prompts for _ in range(size)]
    return Rollouts(*pad_left(of_rows, pad=0), *pad_right([[1] * length for length in responses], pad=0))


@st.composite
def batches(draw: st.DrawFn) -> tuple[Rollouts, int]:
    groups, size = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    prompts = draw(st.lists(st.integers(1, 9), min_size=groups, max_size=groups))
    responses = draw(st.lists(st.integers(1, 12), min_size=groups * size, max_size=groups * size))
    return _rollouts(prompts, responses, size), size


@settings(max_examples=60, deadline=None)
@given(batch=batches(), budget=st.integers(5, 60), whole=st.booleans(), extra=st.integers(0, 6))
def test_every_row_is_in_one_micro_batch_that_keeps_the_budget(
    batch: tuple[Rollouts, int], budget: int, whole: bool, extra: int
) -> None:
    rollouts, size = batch
    lengths = Lengths(rollouts, size, packed=True)
    plan = plan_micro_batches(lengths, budget, whole_groups=whole)
    count = min(len(plan) + extra, len(rollouts) // (size if whole else 1))
    more = at_least(plan, count, lengths, whole_groups=whole)

    assert len(more) == count
    for found in (plan, more):
        assert [row for part in found for row in range(part.start, part.stop)] == list(range(len(rollouts)))
    for part in more:
        assert sum(part.group_sizes) == part.stop - part.start
        tokens = pack(rollouts.rows(part.start, part.stop), part.group_sizes).ids.shape[1]
        assert tokens == lengths.tokens(part.start, part.stop)
        assert tokens <= budget or part.stop - part.start == (size if whole else 1)
        if whole:
            assert part.start % size == part.stop % size == 0


def test_padded_rows_are_as_wide_as_the_widest() -> None:
    lengths = Lengths(_rollouts([2, 7], [3, 5, 1, 1], size=2), 2, packed=False)

    assert lengths.tokens(0, 2) == 2 * (2 + 5)
    assert lengths.tokens(0, 4) == 4 * (7 + 5)
