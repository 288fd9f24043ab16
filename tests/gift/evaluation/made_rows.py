"""Made rows in the formats of the data sets that lm-eval's tasks read, and how to put them where one looks."""

from collections.abc import Sequence
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
