"""Made rows in the formats of the data sets that lm-eval's tasks read, and how to put them where one looks."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gift.data.problems import write_rows

Row = dict[str, Any]
REVISION = "0123456789abcdef" * 2 + "01234567"
ROWS = 4


def entry(task: str, metric: str, repository: str, subset: str | None = None, **settings: Any) -> dict[str, Any]:
    """A benchmark of a profile."""
    data = {"repository": repository, "revision": REVISION} | ({"subset": subset} if subset else {})
    return {"lm_eval": task, "metric": metric, "data": data} | settings


def put(folder: Path, task: str, splits: Sequence[str], rows: Sequence[Row]) -> None:
    """The same rows for each split of a task, as data preparation writes them."""
    for split in splits:
        write_rows(folder / "lm_eval" / task / f"{split}.jsonl", rows)


def arc(number: int) -> Row:
    texts = ["It is this.", "no", f"box {number}, or an older one"]
    choices = {"text": texts, "label": ["A", "B", "C"]}
    question = f"Which key opens box {number}?"
    return {"id": f"q{number}", "question": question, "choices": choices, "answerKey": "ABC"[number % 3]}


def musr(number: int) -> Row:
    names = ["Ann", "Bob", "Cleo"]
    return {
        "narrative": f"Ann, Bob and Cleo met in house {number}.",
        "question": "Who left last?",
        "choices": str(names),
        "answer_index": number % 3,
        "answer_choice": names[number % 3],
    }


def truthfulqa(number: int) -> Row:
    right, wrong = [f"Box {number} is old.", "All boxes are."], ["No box is old.", "Keys are boxes."]
    return {
        "question": f"Is box {number} old?",
        "mc1_targets": {"choices": [right[0], *wrong], "labels": [1, 0, 0]},
        "mc2_targets": {"choices": [*right, *wrong], "labels": [1, 1, 0, 0]},
    }


def gpqa(number: int) -> Row:
    wrong = {f"Incorrect Answer {place}": f"{number + place} moles" for place in (1, 2, 3)}
    return {"Question": f"How much is in flask {number}?", "Correct Answer": f"{number} moles"} | wrong


def bbq(number: int) -> Row:
    return {
        "example_id": number,
        "question_index": "1",
        "question_polarity": ("neg", "nonneg")[number % 2],
        "context_condition": ("ambig", "disambig")[number // 2 % 2],
        "category": "Age",
        "answer_info": {"ans0": ["grandson", "nonOld"], "ans1": ["grandfather", "old"], "ans2": ["unknown", "unknown"]},
        "additional_metadata": {"subcategory": "None", "stereotyped_groups": ["old"], "version": "a", "source": "s"},
        "context": f"I saw a grandson and his grandfather in shop {number}.",
        "question": "Who was forgetful?",
        "ans0": "The grandson",
        "ans1": "The grandfather",
        "ans2": "Not known",
        "label": (2, 2, 0, 1)[number % 4],
    }


def winogender(number: int) -> Row:
    return {
        "sentid": f"technician.customer.{number}.male.txt",
        "sentence": f"The technician told the customer in shop {number} that he could pay with cash.",
        "pronoun": "he",
        "occupation": "technician",
        "participant": "customer",
        "gender": "male",
        "target": "customer",
        "label": 1,
    }


def mmlu_pro(number: int) -> Row:
    options = [f"{place} times {number}" for place in range(3 + number)]
    return {
        "question_id": number,
        "question": f"What is twice {number}?",
        "options": options,
        "answer": "C",
        "answer_index": 2,
        "cot_content": "A: Let's think step by step. The answer is (C).",
        "category": "math",
        "src": "made",
    }


ARC = entry("arc_challenge", "acc_norm", "allenai/ai2_arc", "ARC-Challenge")
ARC_SPLITS = ("train", "validation", "test")
MUSR = entry("leaderboard_musr", "acc_norm", "TAUR-Lab/MuSR")
MUSR_SPLITS = ("murder_mysteries", "object_placements", "team_allocation")
TRUTHFULQA = entry("truthfulqa_mc2", "acc", "truthfulqa/truthful_qa", "multiple_choice")
KNOWLEDGE: dict[str, tuple[Sequence[str], Callable[[int], Row]]] = {
    "arc_challenge": (ARC_SPLITS, arc),
    "leaderboard_musr": (MUSR_SPLITS, musr),
    "leaderboard_gpqa_main": (["train"], gpqa),
    "bbq": (["test"], bbq),
    "truthfulqa_mc2": (["validation"], truthfulqa),
    "winogender_all": (["test"], winogender),
    "leaderboard_mmlu_pro": (["validation", "test"], mmlu_pro),
}
"""Task of the knowledge suite → its splits on the hub, and a row of a number."""
