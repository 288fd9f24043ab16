"""From what lm-eval logged to `Answer`s: what a model said to each problem, or which of the given answers it chose.

lm-eval's log has a sample per problem: the document, the requests, what came back, and the scores. Left out: how an
answer is scored; lm-eval does that, or `gift.evaluation.scoring` inside it.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gift.errors import GiftError
from gift.evaluation.answers import Answer
from gift.evaluation.language_model import CompletedPrompt
from gift.evaluation.lm_eval_tasks import LoadedTask
from gift.evaluation.scoring import Mark, marks_key

Sample = dict[str, Any]
"""lm-eval's log of one problem, as `part` the name of its task, and here its `identity`."""
Completed = Mapping[tuple[str, int], Sequence[CompletedPrompt]]
"""(name of the task, number of the problem) → what came back to its requests, in their order."""

_NOTHING_FOUND = "[invalid]"
"""What lm-eval's filters make of a completion without an answer."""


def answers_of(loaded: LoadedTask, samples: Sequence[Sample], completed: Completed) -> list[Answer]:
    """Every completion, problem by problem; for lm-eval's own tasks with what it found in it.

    Raises:
        GiftError: the metric gives no score in [0, 1].
    """
    named = zip(samples, problem_identities(loaded, samples), strict=True)
    return [
        answer for sample, identity in named for answer in _answers(loaded, sample | {"identity": identity}, completed)
    ]


def problem_name(loaded: LoadedTask, part: str, problem: Mapping[str, Any], position: int) -> str:
    """What a problem is called: its id, or its place in the task, which is no other problem's in a group."""
    return f"{part}/{position}" if loaded.is_named else str(problem.get("id", position))


def problem_identities(loaded: LoadedTask, samples: Sequence[Sample]) -> list[str]:
    """Of each problem its name and a digest of its prompt and answer, so that equal ids mean the same question.

    A row that is there again is numbered: it has answers of its own.
    """
    times = Counter[str]()
    identities = []
    for sample in samples:
        identity = _name_and_digest(loaded, sample)
        times[identity] += 1
        identities.append(identity if times[identity] == 1 else f"{identity}#{times[identity]}")
    return identities


def sample_score(loaded: LoadedTask, sample: Sample) -> float:
    """Raises: GiftError: the metric gives no score in [0, 1]."""
    score = float(sample[loaded.metric])
    if not 0 <= score <= 1:
        raise GiftError(
            f"benchmark {loaded.benchmark.task}: the metric {loaded.metric} is no score in [0, 1] for each problem "
            f"(got {score:g}); choose another of lm-eval's"
        )
    return score


def chosen_answer(metric: str, choices: Sequence[str], log_probabilities: Sequence[float]) -> int:
    """Which of the answers a model chooses, as lm-eval's metric of that name does.

    Args:
        log_probabilities: of the answers after the question; for `acc_mutual_info` then of the answers alone.
    """
    values = list(log_probabilities[: len(choices)])
    match metric:
        case "acc_norm":
            values = [value / len(choice) for value, choice in zip(values, choices, strict=True)]
        case "acc_bytes":
            values = [value / len(choice.encode()) for value, choice in zip(values, choices, strict=True)]
        case "acc_mutual_info":
            values = [value - alone for value, alone in zip(values, log_probabilities[len(choices) :], strict=True)]
    return values.index(max(values))


def _name_and_digest(loaded: LoadedTask, sample: Sample) -> str:
    """Answers to choose among may stand in neither prompt nor answer; of a named task the whole row counts."""
    row = sample["doc_hash"] if loaded.is_named else ""
    content = hashlib.sha256((sample["prompt_hash"] + sample["target_hash"] + row).encode()).hexdigest()
    return f"{problem_name(loaded, sample['part'], sample['doc'], sample['doc_id'])}@{content[:12]}"


def _answers(loaded: LoadedTask, sample: Sample, completed: Completed) -> list[Answer]:
    task, came_back = loaded.parts[sample["part"]], completed[sample["part"], sample["doc_id"]]
    match task.OUTPUT_TYPE:
        case "multiple_choice":
            return [_choice(loaded, sample, came_back)]
        case "loglikelihood":
            return [_expected(loaded, sample, came_back[0])]
    marks = _marks(loaded, sample)
    question, reference = _question(loaded, sample), _reference(loaded, sample)
    return [
        _answer(loaded, sample, question, reference, place, one, mark)
        for place, (one, mark) in enumerate(zip(came_back, marks, strict=True))
    ]


def _choice(loaded: LoadedTask, sample: Sample, came_back: Sequence[CompletedPrompt]) -> Answer:
    """The answer that the model finds most likely of those that are given."""
    choices: list[str] = loaded.parts[sample["part"]].doc_to_choice(sample["doc"])
    log_probabilities = [responses[0][0] for responses in sample["resps"]]
    place = chosen_answer(loaded.metric, choices, log_probabilities)
    said = CompletedPrompt(choices[place], came_back[place].tokens)
    reference = _of_choices(_right_choice(loaded, sample), choices)
    return _answer(loaded, sample, _question(loaded, sample), reference, 0, said, Mark(said.text, None))


def _expected(loaded: LoadedTask, sample: Sample, said: CompletedPrompt) -> Answer:
    """The text that the task expects, where the model would say just that."""
    greedy: bool = sample["resps"][0][0][1]
    text = said.text if greedy else ""
    mark = Mark(said.text if greedy else None, None)
    reference = _reference(loaded, sample)
    return _answer(loaded, sample, _question(loaded, sample), reference, 0, CompletedPrompt(text, said.tokens), mark)


def _answer(
    loaded: LoadedTask, sample: Sample, question: str, reference: str, place: int, said: CompletedPrompt, mark: Mark
) -> Answer:
    ours = loaded.asks_as_in_training
    return Answer(
        benchmark=loaded.benchmark.task,
        problem=sample["identity"],
        sample=place,
        question=question,
        reference=reference,
        prompt=sample["arguments"][0][0],
        completion=said.text,
        answer=mark.answer,
        score=float(mark.right is True) if ours else sample_score(loaded, sample),
        judged=mark.right is not None if ours else True,
        tokens=said.tokens,
        truncated=said.truncated,
    )


def _marks(loaded: LoadedTask, sample: Sample) -> list[Mark]:
    if loaded.asks_as_in_training:
        return loaded.marks[marks_key(sample["doc"], sample["filtered_resps"])]
    found = sample["filtered_resps"][0]
    answer = found if isinstance(found, str) else found[0]
    return [Mark(None if answer == _NOTHING_FOUND else answer, None)]


def _question(loaded: LoadedTask, sample: Sample) -> str:
    """Without examples and instructions; a task whose answers stand in its questions has only whole prompts."""
    if not loaded.is_named:
        return str(sample["doc"]["question"])
    text = loaded.parts[sample["part"]].doc_to_text(sample["doc"])
    return text if isinstance(text, str) else str(sample["arguments"][0][0])


def _reference(loaded: LoadedTask, sample: Sample) -> str:
    if not loaded.is_named:
        return str(sample["doc"]["final_answer"])
    task = loaded.parts[sample["part"]]
    choices = task.doc_to_choice(sample["doc"]) if task.config.doc_to_choice is not None else []
    return _of_choices(sample["target"], choices)


def _right_choice(loaded: LoadedTask, sample: Sample) -> object:
    """Where the answers stand in the questions, the target is what follows them, and the text says which is right."""
    task = loaded.parts[sample["part"]]
    return task.doc_to_text(sample["doc"]) if task.multiple_input else sample["target"]


def _of_choices(target: object, choices: Sequence[str]) -> str:
    """The first right answer as text; lm-eval's targets are texts or places, or lists of them."""
    first = target[0] if isinstance(target, list) and target else target
    return choices[first] if isinstance(first, int) and 0 <= first < len(choices) else str(first)
