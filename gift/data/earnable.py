r"""Which final answers a response can earn at all, found before a run instead of as a reward that stays 0.

    final answer ──> the ideal response, which states it as it is ──> the rule that the run judges responses with

`72 apples` after `####` earns nothing, because only a number is read there, and so do `$72`, `1/2` and an empty answer.

Left out: mathematics. The judge counts equal texts as equal before it reads them, so that a comparison as text decides
here, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gift.config import AnswerFormat, Gsm8kReward, MathReward, RunConfig, judges_heldout_answers
from gift.data.problems import Problem
from gift.errors import GiftError
from gift.judge.answers import clean_answer, final_answer, normalise_number, number_after_mark

_NUMBER = "a number after ####, such as 72 or -1,234.5"
_TEXT: dict[AnswerFormat, str] = {
    "gsm8k": "one line after ####",
    "boxed": r"what is in \boxed{}, with its braces in pairs",
    "answer": "one line after Answer:",
}


@dataclass(frozen=True)
class Verifier:
    """A rule that compares a response with a final answer, and where the configuration names it."""

    name: str
    formats: tuple[AnswerFormat, ...]
    only_numbers: bool = False
    """Whether the answer is a number after `####`, compared as text."""

    @property
    def reads(self) -> str:
        """What is read of a response, for people."""
        return _NUMBER if self.only_numbers else ", or ".join(_TEXT[each] for each in self.formats)

    def can_be_earned(self, answer: str) -> bool:
        """Whether the response that states `answer` in one of the formats is right."""
        if self.only_numbers:
            return number_after_mark(_stated(answer, "gsm8k")) == normalise_number(answer)
        bare = clean_answer(answer)
        ideal = [_stated(text, each) for text in (answer, bare) for each in self.formats]
        return bare != "" and any(final_answer(response, self.formats) == bare for response in ideal)


def heldout_verifier(answers: AnswerFormat) -> Verifier:
    """What the tasks `heldout` and `heldout_sampled` count."""
    return Verifier(f"evaluation.heldout_answers: {answers}", (answers,), only_numbers=answers == "gsm8k")


def verifiers_by_split(config: RunConfig) -> dict[str, list[Verifier]]:
    """The rules that judge the responses to problems of `train` and of `heldout`; none where nothing compares."""
    rewards = [verifier for reward in config.rewards for verifier in _of_reward(reward)]
    benchmarks = any(judges_heldout_answers(benchmark.task) for benchmark in config.evaluation.benchmarks)
    return {
        "train": rewards if config.group_source != "dataset" else [],
        "heldout": [
            *([heldout_verifier(config.evaluation.heldout_answers)] if benchmarks else []),
            *(rewards if config.rl.heldout_every else []),
        ],
    }


def only_earnable(problems: Sequence[Problem], verifiers: Sequence[Verifier]) -> list[Problem]:
    """The problems whose final answers can be earned under every rule."""
    return [problem for problem in problems if all(rule.can_be_earned(problem.final_answer) for rule in verifiers)]


def refuse_unearnable(problems: Sequence[Problem], verifiers: Sequence[Verifier], split: str, way_out: str) -> None:
    """Raises: GiftError: a final answer can't be earned under one of the rules; `way_out` says what else to do."""
    for rule in verifiers:
        lost = [problem for problem in problems if not rule.can_be_earned(problem.final_answer)]
        if lost:
            answer = f"{lost[0].final_answer!r:.60}" if lost[0].final_answer else "empty"
            raise GiftError(
                f"data: no response can earn the final answers of {len(lost)} of {len(problems)} problems of split "
                f"{split}, the first is {answer} of problem {lost[0].id}; {rule.name} reads "
                f"{rule.reads}; correct the final answers, {way_out}"
            )


def _of_reward(reward: object) -> list[Verifier]:
    match reward:
        case Gsm8kReward():
            return [Verifier(f"reward {reward.name}", ("gsm8k",), only_numbers=True)]
        case MathReward():
            return [Verifier(f"reward {reward.name}", reward.formats)]
    return []  # a model or a function of your own compares with nothing that is known here


def _stated(answer: str, answer_format: AnswerFormat) -> str:
    match answer_format:
        case "gsm8k":
            return f"#### {answer}"
        case "boxed":
            return rf"\boxed{{{answer}}}"
        case "answer":
            return f"Answer: {answer}"
