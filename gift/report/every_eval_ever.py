"""A run's evaluations in the format of Every Eval Ever, version 0.3.0 (github.com/evaleval/every_eval_ever).

    <folder>/data/gift-post-training/<developer>/<model>/<uuid>.json            the scores of one model
    <folder>/data/gift-post-training/<developer>/<model>/<uuid>_samples.jsonl   a line for each of its answers

A base model has its name on the hub; what was trained is the organisation's that exports it. The same report gives the
same files. Left out: lengths of prompts in tokens, and times of single answers, which nobody measured.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gift.config import asks_base_alone, problem_set
from gift.data.prepare import BENCHMARK_DATA
from gift.evaluation.answers import Answer
from gift.evaluation.results import BenchmarkResult
from gift.report.answer_changes import Answers
from gift.report.schema import ModelName, Report

SCHEMA_VERSION = "0.3.0"
COLLECTION = "gift-post-training"
SCORE_RANGE = {"lower_is_better": False, "score_type": "continuous", "min_score": 0.0, "max_score": 1.0}
OVER_SAMPLES = re.compile(r"(pass|maj)@(\d+)")
_NOT_PORTABLE = re.compile(r"[^A-Za-z0-9._-]+")

Json = dict[str, Any]


def write_every_eval_ever(
    report: Report,
    model: ModelName,
    results: Mapping[str, BenchmarkResult],
    answers: Answers,
    organisation: str,
    folder: Path,
) -> tuple[Path, Path]:
    """Write both files of a model, and replace those of an earlier export of the same report.

    Args:
        results: of the model, by benchmark; `answers` has what they were computed from.
        organisation: who publishes, and has trained.

    Returns: the paths of the scores and of the answers.
    """
    developer, name = model_identity(report, model, organisation)
    identity = uuid.UUID(bytes=hashlib.sha256(f"{report.run_id}/{model}".encode()).digest()[:16], version=4)
    path = Path("data", COLLECTION, _portable(developer), _portable(name), f"{identity}.json")
    samples = path.with_name(f"{identity}_samples.jsonl")
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    link = {"evaluation_id": f"{COLLECTION}/{report.run_id}/{model}", "model_id": f"{developer}/{name}"}
    # In ASCII: their reader ends a line at every line separator of Unicode, which answers may have.
    lines = [json.dumps(row, allow_nan=False) + "\n" for row in _sample_rows(answers, link)]
    (folder / samples).write_text("".join(lines), encoding="ascii")
    details = {
        "format": "jsonl",
        "file_path": samples.as_posix(),
        "hash_algorithm": "sha256",
        "checksum": hashlib.sha256("".join(lines).encode()).hexdigest(),
        "total_rows": len(lines),
    }
    scores = _scores(report, model, results, organisation) | {"detailed_evaluation_results": details}
    (folder / path).write_text(json.dumps(scores, indent=2, allow_nan=False), encoding="ascii")
    return folder / path, folder / samples


def model_identity(report: Report, model: ModelName, organisation: str) -> tuple[str, str]:
    """(developer, name): the hub's for a base model from there, and else ours."""
    if name_on_hub := _name_on_hub(report, model):
        developer, _, name = name_on_hub.rpartition("/")
        return developer or "unknown", name
    version = f"version-{report.registry.version}" if model == "candidate" else f"{model}-{report.run_id}"
    return organisation, f"{report.registry.model}-{version}"


def _name_on_hub(report: Report, model: ModelName) -> str | None:
    section: Any = report.config.get("model", {})
    return section["name"] if model == "base" and section.get("source") == "hub" else None


def _scores(report: Report, model: ModelName, results: Mapping[str, BenchmarkResult], organisation: str) -> Json:
    developer, name = model_identity(report, model, organisation)
    first = next(iter(results.values())).settings
    from_hub = _name_on_hub(report, model) is not None
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{COLLECTION}/{report.run_id}/{model}",
        "retrieved_timestamp": str(int(report.finished.timestamp())),
        "source_metadata": {
            "source_name": "GIFT post-training on Kubeflow",
            "source_type": "evaluation_run",
            "source_organization_name": organisation,
            "evaluator_relationship": "third_party" if from_hub else "first_party",
        },
        "eval_library": {"name": "lm_eval", "version": first.lm_eval_version},
        "model_info": {
            "name": name,
            "id": f"{developer}/{name}",
            "developer": developer,
            "inference_engine": {"name": first.engine, "version": report.provenance.get(first.engine, "unknown")},
            "additional_details": {
                "deployment_type": "self_deployed",
                "model_availability": "open_weights" if from_hub else "unknown",
                "role": model,
            },
        },
        "evaluation_results": [row for task, result in results.items() for row in _result_rows(report, task, result)],
    }


def _result_rows(report: Report, task: str, result: BenchmarkResult) -> Iterator[Json]:
    """The accuracy, to which the answers point, and what more samples say."""
    shared = {
        "evaluation_name": task,
        "source_data": _source(report, task, result.n),
        "generation_config": _generation(report, result),
    }
    metric = {"metric_id": "accuracy", "metric_name": "accuracy", "metric_kind": "accuracy"}
    if asks_base_alone(task):
        metric = {"metric_id": "gift.completed_problems", "metric_name": "problems completed", "metric_kind": "recall"}
    rates = {name: f"{result.secondary[name]:g}" for name in ("truncated", "no_answer") if name in result.secondary}
    yield {
        **shared,
        "evaluation_result_id": task,
        "metric_config": SCORE_RANGE | metric | {"metric_unit": "proportion"},
        "score_details": _uncertain(result.accuracy, result.stderr, result.n) | {"details": rates},
    }
    for name, value in result.secondary.items():
        if found := OVER_SAMPLES.fullmatch(name):
            kind, k = found.groups()
            metric = {"metric_id": f"{kind}_at_k", "metric_name": name, "metric_kind": "pass_rate"}
            yield {
                **shared,
                "evaluation_result_id": f"{task}/{name}",
                "metric_config": SCORE_RANGE
                | metric
                | {"metric_unit": "proportion", "metric_parameters": {"k": int(k)}},
                "score_details": _uncertain(value, result.secondary[f"{name}_stderr"], result.n),
            }


def _uncertain(score: float, stderr: float, problems: int) -> Json:
    error = {"value": stderr, "method": "analytic"}
    return {"score": score, "uncertainty": {"standard_error": error, "num_samples": problems}}


def _source(report: Report, task: str, problems: int) -> Json:
    name = problem_set(task)
    if name is None:
        return _named_source(report, task, problems)
    if name in BENCHMARK_DATA:
        data = BENCHMARK_DATA[name]["test"]
        repository = {"hf_repo": data.repository, "hf_split": data.split, "samples_number": problems}
        details = {"revision": data.revision}
        return {"dataset_name": name, "source_type": "hf_dataset", **repository, "additional_details": details}
    known = {"heldout": {"sha256": report.data["heldout"].digest}} if "heldout" in report.data else {}
    return {"dataset_name": name, "source_type": "other", "additional_details": known.get(name, {})}


def _named_source(report: Report, task: str, problems: int) -> Json:
    """Of a task of lm-eval that the profile names: its data as they are pinned there."""
    evaluation: Any = report.config.get("evaluation", {})
    pinned = {one["lm_eval"]: one["data"] for one in evaluation.get("benchmarks", ()) if "lm_eval" in one}
    if task not in pinned:
        return {"dataset_name": task, "source_type": "other"}
    details = {key: pinned[task][key] for key in ("revision", "subset") if pinned[task].get(key)}
    repository = {"hf_repo": pinned[task]["repository"], "samples_number": problems}
    return {"dataset_name": task, "source_type": "hf_dataset", **repository, "additional_details": details}


def _generation(report: Report, result: BenchmarkResult) -> Json:
    settings = result.settings
    sampled = bool(settings.decoding.get("do_sample"))
    arguments = {
        "temperature": float(settings.decoding.get("temperature", 1.0)) if sampled else 0.0,
        "max_tokens": int(settings.decoding["max_gen_toks"]),
    }
    details = settings.model_dump(mode="json", exclude={"decoding", "lm_eval_version", "engine"})
    return {
        "generation_args": arguments,
        "additional_details": {
            **{key: str(value) for key, value in details.items()},
            "decoding": json.dumps(settings.decoding),
            "run_config_prompt": str(report.config.get("prompt", "")),
        },
    }


def _sample_rows(answers: Answers, link: Json) -> Iterator[Json]:
    for task, problems in answers.items():
        for problem, found in problems.items():
            for answer in found:
                yield link | _sample_row(task, problem, answer)


def _sample_row(task: str, problem: str, answer: Answer) -> Json:
    extracted = {
        "turn_idx": 0,
        "source": "output.raw",
        "extracted_value": answer.answer,
        "extraction_method": "custom",
        "is_terminal": True,
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_name": task,
        "evaluation_result_id": task,
        "sample_id": problem,
        "sample_hash": hashlib.sha256((answer.question + answer.reference).encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": answer.question, "formatted": answer.prompt, "reference": [answer.reference]},
        "output": {"raw": [answer.completion]},
        "answer_attribution": [extracted] if answer.answer is not None else [],
        "evaluation": {"score": answer.score, "is_correct": answer.score == 1.0},
        "metadata": {
            "sample": str(answer.sample),
            "completion_tokens": str(answer.tokens),
            "truncated": str(answer.truncated).lower(),
            "judged": str(answer.judged).lower(),
        },
    }


def _portable(name: str) -> str:
    """A part of a path that every file system takes."""
    return _NOT_PORTABLE.sub("-", name).strip(".-") or "unnamed"
