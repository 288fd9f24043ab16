"""Rows, files and configurations that the tests of data sources share."""

import json
from pathlib import Path
from typing import Any

from gift.config import RunConfig, load_profile, parse_config

REWARD_MODEL = {"kind": "model", "model": {"source": "folder", "path": "/rm"}}


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_questions(path: Path, questions: list[str]) -> None:
    write_rows(path, [{"question": q, "answer": f"so\n#### {i}"} for i, q in enumerate(questions)])


def data_config(data: dict[str, Any], **changes: Any) -> RunConfig:
    values = load_profile("local").model_dump(mode="json") | {"data": data}
    if "scored_file" in data:
        values["rl"]["groups"] = "dataset"
    return parse_config(values | changes)


BOXED = {
    "rewards": [{"kind": "math"}],
    "evaluation": {"benchmarks": [{"task": "heldout", "max_new_tokens": 8}], "heldout_answers": "boxed"},
    "gate": {"benchmarks": [{"benchmark": "heldout", "at_least": 0.0}]},
}


def without_contamination(counts: dict[str, int]) -> dict[str, int]:
    """Without those of contamination."""
    return {name: count for name, count in counts.items() if not name.startswith("contamination.")}


def asked(*tasks: str) -> dict[str, Any]:
    return {
        "evaluation": {"benchmarks": [{"task": task, "max_new_tokens": 8} for task in tasks]},
        "gate": {"benchmarks": [{"benchmark": tasks[0], "at_least": 0.0}]},
    }


def math_row(problem: str, answer: str = "7", name: str = "") -> dict[str, Any]:
    return {"problem": problem, "solution": rf"Thus $\boxed{{{answer}}}$.", "unique_id": name or problem}


def own_files(tmp_path: Path, train: list[Any], heldout: list[Any], **options: Any) -> dict[str, Any]:
    """Files whose rows have these final answers."""
    for split, answers in (("train", train), ("heldout", heldout)):
        rows = [
            {"id": f"{split}-{i}", "question": f"{split} {i}?", "answer": "So.", "final_answer": answer}
            for i, answer in enumerate(answers)
        ]
        write_rows(tmp_path / f"{split}.jsonl", rows)
    files = {f"{split}_file": str(tmp_path / f"{split}.jsonl") for split in ("train", "heldout")}
    return {"source": "jsonl", **files, **options}
