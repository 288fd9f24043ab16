"""A packed row: what is in it, and where."""

from gift.data.tokens import pad_left, pad_right
from gift.policy.packing import pack
from gift.rollout.rollouts import Rollouts


def _rollouts(prompts: list[list[int]], responses: list[list[int]]) -> Rollouts:
    return Rollouts(*pad_left(prompts, pad=0), *pad_right(responses, pad=0))


def test_a_prompt_is_there_once_and_no_last_token_of_a_response() -> None:
    packed = pack(_rollouts([[5, 6], [5, 6], [7]], [[1, 2, 3], [4], [8, 9]]), [2, 1])

    assert packed.ids.tolist() == [[5, 6, 7, 1, 2, 8]]
    assert packed.positions.tolist() == [[0, 1, 0, 2, 3, 1]]
    assert packed.targets.tolist() == [1, 2, 3, 4, 8, 9]
    assert packed.ids[0, packed.predictors].tolist() == [6, 1, 2, 6, 7, 8]


def test_responses_of_one_token_leave_the_prompts_alone() -> None:
    packed = pack(_rollouts([[5, 6], [5, 6]], [[1], [2]]), [2])

    assert packed.ids.tolist() == [[5, 6]]
    assert packed.predictors.tolist() == [1, 1]
    assert packed.targets.tolist() == [1, 2]


def test_columns_that_are_all_padding_change_nothing() -> None:
    wide = _rollouts([[0, 0, 5], [6, 7, 8]], [[1, 2, 3, 4, 5, 6], [1]])
    packed = pack(wide.rows(1, 2), [1])

    assert packed.ids.tolist() == [[6, 7, 8]]
    assert packed.targets.tolist() == [1]
