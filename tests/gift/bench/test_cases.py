"""What is measured is the same in every process, and is named in one way."""

import pytest

from gift.bench.cases import CASES, find_cases
from gift.errors import GiftError


def test_there_is_a_case_for_every_model_prompt_group_and_kind_of_lengths() -> None:
    measured = [case for case in CASES.values() if case.name != "tiny"]
    found = {(case.model, case.prompt_tokens, case.group_size, case.ragged) for case in measured}
    assert len(found) == len(measured) == 24
    assert {(case.prompt_tokens, case.group_size) for case in measured} == {(128, 8), (128, 16), (512, 8), (512, 16)}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_lengths_fill_the_groups_up_to_the_longest_and_are_the_same_twice(case) -> None:
    lengths = [length for group in case.response_lengths for length in group]
    assert case.response_lengths == case.response_lengths
    assert [len(group) for group in case.response_lengths] == [case.group_size] * case.prompts
    assert max(lengths) == case.response_tokens
    assert min(lengths) >= 2
    assert (len(set(lengths)) > 1) is case.ragged
    assert case.tokens == sum(case.prompt_tokens + length for length in lengths)


def test_a_pattern_names_several_cases_once() -> None:
    found = find_cases(["12m-p128-*-equal", "12m-p128-n8-equal"])
    assert [case.name for case in found] == ["12m-p128-n8-equal", "12m-p128-n16-equal"]


def test_an_unknown_case_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(GiftError, match=r"no case 7b; name one of 12m-p128-n8-equal, .*, tiny"):
        find_cases(["tiny", "7b"])
