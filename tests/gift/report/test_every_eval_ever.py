"""A run's evaluations are what Every Eval Ever's schemas ask for (pinned beside this), and say what the report says.

The schemas are those of github.com/evaleval/every_eval_ever at 9bce4136e789ec006c62582f5f9d107d20f8b398, version 0.3.0.
"""

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from gift.evaluation.answers import Answer, by_problem
from gift.evaluation.results import BenchmarkResult, EvaluationSettings
from gift.report.every_eval_ever import write_every_eval_ever
from gift.report.schema import ModelName, Report, load_report

HERE = Path(__file__).parent
NAME = re.compile(
    r"data/gift-post-training/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+/"
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}(\.json|_samples\.jsonl)"
)
GREEDY = {"do_sample": False, "temperature": 0.0, "max_gen_toks": 24, "until": []}
SAMPLED = GREEDY | {"do_sample": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0}
AT_K = {"pass@1": 0.5, "pass@1_stderr": 0.5, "pass@2": 0.5, "pass@2_stderr": 0.5, "maj@2": 0.5, "maj@2_stderr": 0.5}


def _validator(name: str) -> Draft7Validator:
    schema = json.loads((HERE / "every_eval_ever_schema" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return Draft7Validator(schema)


def _result(task: str, samples: int, decoding: dict[str, Any], secondary: dict[str, float]) -> BenchmarkResult:
    settings = EvaluationSettings(
        lm_eval_version="0.4.9",
        task_version="1.0",
        fewshot_count=0,
        samples=samples,
        decoding=decoding,
        precision="fp32",
        batch_size=8,
        limit=None,
        seed=0,
    )
    shares = {"truncated": 0.25, "no_answer": 0.5}
    return BenchmarkResult(
        task=task,
        accuracy=0.5,
        stderr=0.5,
        n=2,
        ids=("one@1", "two@2"),
        correct=(1.0, 0.0),
        secondary=shares | secondary,
        settings=settings,
    )


RESULTS = {
    "heldout": _result("heldout", 1, GREEDY, {}),
    "aime24_sampled": _result("aime24_sampled", 2, SAMPLED, AT_K),
    "math500_partial": _result("math500_partial", 1, GREEDY, {}),
    "math_of_others": _result("math_of_others", 1, GREEDY, {}),
}
PINNED = {
    "lm_eval": "math_of_others",
    "metric": "acc",
    "data": {"repository": "x/y", "revision": "a" * 40, "subset": None},
}


def _answers() -> list[Answer]:
    right = Answer("", "one@1", 0, "1 + 1?", "2", "Q: 1 + 1?", "It\u2028is\nso: #### 2", "2", 1.0, True, 9, False)
    wrong = replace(right, problem="two@2", completion="é", answer=None, score=0.0, judged=False, truncated=True)
    return [
        replace(answer, benchmark=task, sample=sample)
        for task, result in RESULTS.items()
        for answer in (right, wrong)
        for sample in range(result.settings.samples)
    ]


@pytest.fixture
def report() -> Report:
    found = load_report(HERE / "report.json")
    hub = {"model": {"source": "hub", "name": "Qwen/Qwen2.5-0.5B"}}
    evaluation = {"evaluation": {"benchmarks": [{"task": "heldout"}, PINNED]}}
    return found.model_copy(update={"config": found.config | hub | evaluation})


def _written(report: Report, model: ModelName, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    path, samples = write_every_eval_ever(report, model, RESULTS, by_problem(_answers()), "Our Lab, Inc.", folder)
    lines = samples.read_text(encoding="utf-8").splitlines()  # as their reader does
    for file in (path, samples):
        assert NAME.fullmatch(file.relative_to(folder).as_posix())
    return json.loads(path.read_text(encoding="utf-8")), [json.loads(line) for line in lines]


@pytest.mark.parametrize("model", ["base", "sft", "candidate"])
def test_both_files_are_as_the_schemas_say_and_belong_together(
    report: Report, tmp_path: Path, model: ModelName
) -> None:
    scores, rows = _written(report, model, tmp_path)
    assert [error.message for error in _validator("eval").iter_errors(scores)] == []
    assert [error.message for row in rows for error in _validator("instance_level_eval").iter_errors(row)] == []
    details = scores["detailed_evaluation_results"]
    file = tmp_path / details["file_path"]
    assert (details["total_rows"], details["checksum"]) == (10, hashlib.sha256(file.read_bytes()).hexdigest())
    assert file.name == next(tmp_path.rglob("*-*.json")).stem + "_samples.jsonl"
    assert {(row["evaluation_id"], row["model_id"]) for row in rows} == {
        (scores["evaluation_id"], scores["model_info"]["id"])
    }
    names = [result["evaluation_result_id"] for result in scores["evaluation_results"]]
    assert len(set(names)) == len(names)
    assert {row["evaluation_result_id"] for row in rows} <= set(names)


def test_the_schemas_refuse_what_is_wrong(report: Report, tmp_path: Path) -> None:
    scores, rows = _written(report, "base", tmp_path)
    assert list(_validator("eval").iter_errors(scores | {"colour": "blue"}))
    assert list(_validator("instance_level_eval").iter_errors(rows[0] | {"output": None}))


def test_scores_errors_and_settings_are_those_of_the_evaluation(report: Report, tmp_path: Path) -> None:
    scores, _ = _written(report, "candidate", tmp_path)
    found = {result["evaluation_result_id"]: result for result in scores["evaluation_results"]}
    assert list(found) == [
        "heldout",
        *("aime24_sampled", "aime24_sampled/pass@1", "aime24_sampled/pass@2", "aime24_sampled/maj@2"),
        "math500_partial",
        "math_of_others",
    ]
    details = found["heldout"]["score_details"]
    assert details["score"] == 0.5
    assert details["uncertainty"] == {"standard_error": {"value": 0.5, "method": "analytic"}, "num_samples": 2}
    assert found["aime24_sampled/pass@2"]["metric_config"]["metric_parameters"] == {"k": 2}
    assert found["heldout"]["generation_config"]["generation_args"] == {"temperature": 0.0, "max_tokens": 24}
    assert found["aime24_sampled"]["generation_config"]["generation_args"]["temperature"] == 1.0
    assert found["aime24_sampled"]["source_data"]["hf_repo"] == "HuggingFaceH4/aime_2024"
    assert found["heldout"]["source_data"]["source_type"] == "other"
    assert found["math_of_others"]["source_data"]["hf_repo"] == "x/y"
    assert found["math_of_others"]["source_data"]["additional_details"] == {"revision": "a" * 40}
    assert found["math500_partial"]["metric_config"]["metric_id"] != found["heldout"]["metric_config"]["metric_id"]


def test_every_answer_is_a_line(report: Report, tmp_path: Path) -> None:
    _, rows = _written(report, "sft", tmp_path)
    assert [(row["evaluation_name"], row["sample_id"], row["metadata"]["sample"]) for row in rows] == [
        (answer.benchmark, answer.problem, str(answer.sample)) for answer in _answers()
    ]
    assert rows[0]["output"]["raw"] == ["It\u2028is\nso: #### 2"]
    assert rows[0]["answer_attribution"][0]["extracted_value"] == "2"
    assert rows[0]["evaluation"] == {"score": 1.0, "is_correct": True}
    assert rows[1]["answer_attribution"] == []
    assert rows[1]["metadata"]["judged"] == "false"


def test_a_base_model_is_its_developers_and_what_was_trained_is_ours(report: Report, tmp_path: Path) -> None:
    base, _ = _written(report, "base", tmp_path)
    candidate, _ = _written(report, "candidate", tmp_path)
    assert base["model_info"]["id"] == "Qwen/Qwen2.5-0.5B"
    assert base["source_metadata"]["evaluator_relationship"] == "third_party"
    assert candidate["model_info"]["developer"] == "Our Lab, Inc."
    assert report.registry.model in candidate["model_info"]["id"]
    assert candidate["source_metadata"]["evaluator_relationship"] == "first_party"


def test_a_second_export_is_the_same_files(report: Report, tmp_path: Path) -> None:
    for _ in range(2):
        _written(report, "base", tmp_path)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
