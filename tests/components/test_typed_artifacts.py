"""What KFP's page shows of a task: through kfp's own executor, as its launcher starts it, and as that takes it.

What the launcher then does is known from its source (backend/src/v2/component of KFP 2.17): an artifact below the
pipeline root is uploaded, one elsewhere fails the task, and metadata may be text and finite numbers.
"""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from candidates import Candidates, made_up_result
from google.protobuf import json_format
from kfp.dsl.executor import Executor
from kfp.local.executor_input_utils import construct_executor_input
from kfp.pipeline_spec.pipeline_spec_pb2 import ExecutorOutput

from gift.execution.stage import Stage
from gift.report.html import render_report
from gift.stages import lifecycle
from gift.storage import read_manifest, upload_directory

MODELS = {"prepare_model": "prepared", "train_sft": "trained", "train_policy": "trained", "convert": "converted"}


@pytest.fixture
def candidates(bucket_prefix: str, tmp_path: Path) -> Candidates:
    made = Candidates(bucket_prefix, tmp_path)
    made.submit(sft=10, candidate=25)
    return made


@pytest.fixture
def execute(
    candidates: Candidates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], dict[str, Any]]:
    """Runs a component whose stage returns what is given; its outputs, as the executor wrote them for the launcher."""

    def run(name: str, returned: str) -> dict[str, Any]:
        def work(stage: Stage, **_inputs: object) -> str:
            return returned

        monkeypatch.setattr(importlib.import_module(f"gift.stages.{name}"), name, work)
        monkeypatch.setattr(lifecycle, "finish_parent_run", lambda *_: None)
        component = getattr(importlib.import_module(f"components.{name}.component"), name)
        specification = component.pipeline_spec.components[f"comp-{name.replace('_', '-')}"]
        arguments = {key: key for key in specification.input_definitions.parameters} | candidates.shared
        told = construct_executor_input(specification, arguments, str(tmp_path / "root"), block_input_artifact=True)
        written = Executor(json_format.MessageToDict(told), component.python_func).execute()
        assert written is not None
        text = Path(written).read_text()
        outputs = json.loads(text, parse_constant=lambda word: pytest.fail(f"the launcher reads no {word}"))
        json_format.Parse(text, ExecutorOutput())
        assert outputs["parameterValues"] == {"Output": returned}
        return {key: listed["artifacts"][0] for key, listed in outputs["artifacts"].items()}

    return run


@pytest.mark.parametrize("component", MODELS)
def test_a_model_says_where_its_files_are(
    candidates: Candidates, execute: Callable[..., dict[str, Any]], tmp_path: Path, component: str
) -> None:
    manifest = read_manifest(candidates.model)
    assert manifest is not None
    made = execute(component, candidates.model)[MODELS[component]]
    assert made["uri"].startswith(str(tmp_path / "root")), "where KFP put it, and nowhere else"
    assert Path(made["uri"]).read_text() == f"{manifest.folder(candidates.model)}\n"
    assert made["metadata"]["uri"] == manifest.folder(candidates.model)
    assert made["metadata"]["digest"] == manifest.digest()


def test_a_data_set_says_how_many_rows_it_has(
    candidates: Candidates, execute: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("{}\n")
    uri = f"{candidates.config.storage.uri}/data"
    upload_directory(tmp_path / "data", uri, metadata={"rows.train": "1"})
    metadata = execute("prepare_data", uri)["problems"]["metadata"]
    assert (metadata["rows.train"], metadata["bytes"]) == ("1", 3)


def test_an_evaluation_is_a_table_of_its_scores(candidates: Candidates, execute: Callable[..., dict[str, Any]]) -> None:
    results = {"heldout": made_up_result(10), "gsm8k": made_up_result(1, 2, "gsm8k")}
    uri = candidates.evaluation(f"{candidates.base}/shown", results)
    assert execute("evaluate", uri)["scores"]["metadata"] == {
        "heldout/accuracy": 0.25,
        "heldout/stderr": 0.1,
        "heldout/problems": 40,
        "gsm8k/accuracy": 0.5,
        "gsm8k/stderr": 0.1,
        "gsm8k/problems": 2,
    }


def test_the_report_is_a_page_and_its_headline(candidates: Candidates, execute: Callable[..., dict[str, Any]]) -> None:
    written = candidates.report("1")
    uri = f"{candidates.config.storage.uri}/runs/{candidates.run_id}/report"
    shown = execute("report", uri)
    assert Path(shown["page"]["uri"]).read_text() == render_report(written)
    headline = shown["headline"]["metadata"]
    assert headline["heldout/candidate"] == 0.625
    assert headline["promoted"] == 1.0
    assert "seconds" not in headline, "the stage's own metric in MLflow, where KFP's plugin puts these"


def test_an_output_that_is_gone_costs_a_warning_and_no_task(
    candidates: Candidates, execute: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    gone = f"{candidates.config.storage.uri}/nothing"
    for component in ("convert", "evaluate", "report"):
        assert all(not artifact["metadata"] for artifact in execute(component, gone).values())
        assert "warning: the page of the run does not show this stage's output" in capsys.readouterr().out
