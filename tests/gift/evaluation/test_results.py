import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from gift.errors import GiftError
from gift.evaluation.results import AnsweredProblem, BenchmarkResult, EvaluationSettings, load_results, save_results

RESULT = BenchmarkResult(
    task="gsm8k",
    accuracy=1 / 3,
    stderr=1 / 3,
    n=3,
    ids=("a@1", "b@2", "c@3"),
    correct=(0.0, 1.0, 0.0),
    secondary={"flexible_extract_accuracy": 0.5},
    settings=EvaluationSettings(
        lm_eval_version="0.4.13",
        task_version="3.0",
        fewshot_count=5,
        samples=1,
        decoding={"until": ["Question:"], "do_sample": False, "max_gen_toks": 256},
        precision="bf16",
        batch_size=16,
        limit=3,
        seed=0,
    ),
    samples=(AnsweredProblem(id="a@1", question="1 + 1?", final_answer="2", completion=" #### 3", correct=0.0),),
)


def test_results_survive_the_file_exactly(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    save_results(path, {"gsm8k": RESULT})
    assert load_results(path) == {"gsm8k": RESULT}
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(GiftError, match=r"results\.json do not exist"):
        load_results(tmp_path / "results.json")


@pytest.mark.parametrize("content", ["", "[]", '{"gsm8k": {"task": "gsm8k"}}'])
def test_a_file_of_something_else_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(GiftError, match="does not hold evaluation results") as refusal:
        load_results(path)
    assert "\n" not in str(refusal.value)


def test_every_problem_needs_a_score() -> None:
    with pytest.raises(ValidationError, match="must agree"):
        BenchmarkResult.model_validate(RESULT.model_dump() | {"correct": (1.0,)})


def test_gate_and_report_read_results_without_torch_or_lm_eval() -> None:
    code = "import sys, gift.gate.verdict; assert not {'torch', 'lm_eval', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
