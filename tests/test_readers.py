"""Every reader of users' files, with whatever bytes: it ends in a value or in one line, and soon.

What CI tries is a few seconds of the same examples each time. By hand, other ones for as long as one likes:

    GIFT_FUZZ_EXAMPLES=20000 python -m pytest tests/test_readers.py
"""

import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hostile import fuzz, hostile_gzip, hostile_json, hostile_rows, hostile_text, hostile_yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from rich.console import Console

from gift.config import load_profile, parse_config
from gift.data import public
from gift.data.public import PublicData
from gift.data.scored import read_scored
from gift.data.survey import survey_file
from gift.errors import GiftError, printable
from gift.evaluation.results import load_results
from gift.host.inside_folder import check_inside
from gift.models.architecture import read_shape
from gift.models.folder_check import check_chat_template, check_model_folder
from gift.preflight.inputs import check_reward
from gift.report.comparison.schema import load_comparison
from gift.report.comparison.table import comparison_table
from gift.report.schema import load_report
from gift.report.table import results_table
from gift.storage import Manifest
from pipelines.cli.dry_run import dry_run
from pipelines.kubeflow.lint import LintSettings, lint
from pipelines.schedules.schedule import load_schedules

ROOT = Path(__file__).parents[1]

PROBLEM = {"id": "p1", "question": "What is 1 + 1?", "answer": "It is 2. #### 2", "final_answer": "2"}
SCORED = {"question": "What?", "responses": ["a", "b"], "scores": [1, 0.5], "final_answer": "2"}
PUBLIC_ROW = {
    **{"problem": "p", "solution": r"\boxed{2}", "answer": "2", "unique_id": "u", "prompt": "p", "prompt_id": "i"},
    **{
        side: [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
        for side in ("chosen", "rejected")
    },
}
LLAMA = {
    **{"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "vocab_size": 9},
    **{
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "tie_word_embeddings": True,
        "eos_token_id": 1,
    },
    **{"eos_token_id": 1, "text_config": {"vocab_size": 9, "num_hidden_layers": 2}},
}
CHAT = {"chat_template": "{{ messages }}"}
TOKENIZER = {
    "model": {"vocab": {"a": 0, "b": 1}},
    "added_tokens": [{"id": 2, "content": "<end>"}],
}
SAFETENSORS = {
    "__metadata__": {"format": "pt"},
    "model.embed_tokens.weight": {"dtype": "F32", "shape": [9, 1], "data_offsets": [0, 36]},
    "lm_head.weight": {"dtype": "F32", "shape": [9, 1], "data_offsets": [36, 72]},
}
INDEX = {"weight_map": {"model.embed_tokens.weight": "a.safetensors", "lm_head.weight": "a.safetensors"}}
RESULTS = {
    "gsm8k": {
        **{"task": "gsm8k", "accuracy": 0.5, "stderr": 0.1, "n": 1, "ids": ["a"], "correct": [0.5], "secondary": {}},
        "settings": {
            **{"lm_eval_version": "0", "task_version": "1", "fewshot_count": 0, "samples": 1, "decoding": {}},
            **{"precision": "fp32", "batch_size": 1, "limit": None, "seed": 0},
        },
    }
}
TASK = {
    "componentRef": {"name": "comp-a"},
    "inputs": {
        "parameters": {
            "x": {"runtimeValue": {"constant": "{}"}},
            "y": {"taskOutputParameter": {"producerTask": "a"}},
        },
        "artifacts": {"z": {"componentInputArtifact": "p"}},
    },
    "triggerPolicy": {"condition": "inputs.parameter_values['x'] == 'y'", "strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
    **{"cachingOptions": {"enableCache": True}, "retryPolicy": {"maxRetryCount": 2, "backoffMaxDuration": "60s"}},
}
PIPELINE = {
    "root": {
        "dag": {"tasks": {"a": TASK}},
        "inputDefinitions": {"parameters": {"p": {"defaultValue": {"token": "t"}}}},
    },
    "components": {"comp-a": {"executorLabel": "exec-a", "inputDefinitions": {"parameters": {"x": {}}}}},
    "deploymentSpec": {
        "executors": {
            "exec-a": {
                "container": {
                    **{"image": "tool", "command": ["sh"], "args": ["{{$.pipeline_job_name}}"], "resources": {}},
                    "env": [{"name": "TOKEN", "value": "x"}],
                }
            }
        }
    },
}
POD = {
    **{"emptyDirMounts": [{"mountPath": "/dev/shm", "medium": "Memory"}], "activeDeadlineSeconds": "60"},
    "securityContext": {"runAsNonRoot": True},
}
PLATFORM = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-a": POD}}}}}
MANIFEST = {
    "attempt": "0" * 32,
    "files": [{"path": "a/b", "size": 1, "sha256": "0" * 64}],
    **{"step": 1, "parents": [], "metadata": {"a": "b"}, "decided_by": {}},
}


def _json_of(path: str) -> Any:
    return json.loads((ROOT / path).read_text())


@dataclass(frozen=True)
class Reader:
    """A file of a user's, and what reads it."""

    file: str
    good: bytes
    contents: st.SearchStrategy[bytes]
    read: Callable[[Path], object]


def _model_folder(path: Path) -> None:
    """The other files of the folder are whole."""
    for name, values in (("config.json", LLAMA), ("tokenizer_config.json", CHAT), ("tokenizer.json", TOKENIZER)):
        _write_unless(path, name, json.dumps(values).encode())
    _write_unless(path, "generation_config.json", b"{}")
    _write_unless(path, "a.safetensors", _safetensors(json.dumps(SAFETENSORS).encode()))
    if path.name != "model.safetensors":
        _write_unless(path, "model.safetensors.index.json", json.dumps(INDEX).encode())
    check_model_folder(path.parent)
    check_chat_template(path.parent)


def _dry_run(path: Path) -> None:
    shape = read_shape(path.parent)
    if shape is not None:
        stated = {"source": "hub", "name": "a/b", "revision": "0" * 40, "architecture": shape.model_dump()}
        dry_run(load_profile("local", (f"model={json.dumps(stated)}",)), Console(file=io.StringIO()))


def _write_unless(path: Path, name: str, content: bytes) -> None:
    if path.name != name:
        (path.parent / name).write_bytes(content)


def _safetensors(header: bytes) -> bytes:
    return len(header).to_bytes(8, "little") + header + bytes(72)


def _public(data: PublicData) -> Callable[[Path], object]:
    return lambda path: public.read_public(data, path.parent)


def _printed(table: object) -> None:
    Console(file=io.StringIO(), width=200).print(table)


def _manifest(path: Path) -> object:
    try:
        return Manifest.model_validate_json(path.read_bytes()).digest()
    except ValidationError as error:
        raise GiftError(error.errors()[0]["msg"]) from error


def _json(file: str, good: Any, read: Callable[[Path], object]) -> Reader:
    return Reader(file, json.dumps(good).encode(), hostile_json(good), read)


def _rows(file: str, good: Any, read: Callable[[Path], object]) -> Reader:
    return Reader(file, json.dumps(good).encode(), hostile_rows(good), read)


def _yaml(file: str, good: str, read: Callable[[Path], object]) -> Reader:
    return Reader(file, good.encode(), hostile_yaml(good), read)


def _text_of(path: Path) -> str:
    return path.read_bytes().decode(errors="replace")


PROFILE = (ROOT / "profiles" / "qwen2.5-7b-rlhf.yaml").read_text()
SCHEDULE = (ROOT / "schedules" / "nightly-qwen2.5-7b-gsm8k.yaml").read_text() + "start_time: 2027-01-01T00:00:00Z\n"
CONFIGURATION = load_profile("qwen2.5-7b-rlhf").model_dump(mode="json")
HEADER = json.dumps(SAFETENSORS).encode()
PACKED = gzip.compress(json.dumps(PROBLEM).encode())
READERS = {
    "profile": _yaml("own.yaml", PROFILE, lambda path: load_profile(str(path))),
    "schedule": _yaml("nightly.yaml", SCHEDULE, lambda path: load_schedules(path.parent)),
    "configuration": _json("config.json", CONFIGURATION, lambda path: parse_config(_text_of(path))),
    "compiled pipeline": Reader(
        "pipeline.yaml",
        f"{json.dumps(PIPELINE)}\n---\n{json.dumps(PLATFORM)}".encode(),
        st.tuples(hostile_json(PIPELINE), hostile_json(PLATFORM)).map(b"\n---\n".join)
        | hostile_yaml("root:\n  dag: {}"),
        lambda path: lint(_text_of(path), LintSettings()),
    ),
    "rows": _rows("own.jsonl", PROBLEM, survey_file),
    "packed rows": Reader("own.jsonl.gz", PACKED, hostile_gzip(PROBLEM), survey_file),
    "scored rows": _rows("scored.jsonl", SCORED, read_scored),
    **{
        data.name: _rows(f"{data.name}.jsonl", PUBLIC_ROW, _public(data))
        for data in (public.MATH500, public.AIME24, public.DAPO, public.ULTRAFEEDBACK_TRAIN)
    },
    "config.json": _json("config.json", LLAMA, _model_folder),
    "generation_config.json": _json("generation_config.json", {"eos_token_id": [1]}, _model_folder),
    "tokenizer.json": _json("tokenizer.json", TOKENIZER, _model_folder),
    "tokenizer_config.json": _json("tokenizer_config.json", CHAT, _model_folder),
    "index of weights": _json("model.safetensors.index.json", INDEX, _model_folder),
    "weights": Reader(
        "model.safetensors",
        _safetensors(HEADER),
        hostile_json(SAFETENSORS).map(_safetensors) | st.binary(max_size=99),
        _model_folder,
    ),
    "size of a model": _json("config.json", LLAMA, _dry_run),
    "report": _json(
        "report.json",
        _json_of("tests/gift/report/report.json"),
        lambda path: _printed(results_table(load_report(path))),
    ),
    "comparison": _json(
        "comparison.json",
        _json_of("tests/gift/report/comparison/comparison.json"),
        lambda path: _printed(comparison_table(load_comparison(path))),
    ),
    "results": _json("results.json", RESULTS, load_results),
    "manifest": _json("manifest.json", MANIFEST, _manifest),
}


@pytest.mark.parametrize("name", READERS)
def test_a_good_file_is_read(name: str, tmp_path: Path) -> None:
    """Else the test below would try the same refusal over and over."""
    reader = READERS[name]
    path = tmp_path / reader.file
    path.write_bytes(reader.good)
    reader.read(path)


def _ends_in_a_value_or_a_line(read: Callable[[], object]) -> None:
    try:
        read()
    except GiftError as error:
        line = printable(str(error))
        assert line.isprintable()
        assert line.encode()


@pytest.mark.parametrize("name", READERS)
@fuzz(examples=60)
@given(data=st.data())
def test_a_file_ends_in_a_value_or_a_line(name: str, tmp_path: Path, data: st.DataObject) -> None:
    reader = READERS[name]
    path = tmp_path / reader.file
    path.write_bytes(data.draw(reader.contents))
    _ends_in_a_value_or_a_line(lambda: reader.read(path))


@fuzz(examples=60)
@given(override=hostile_text(("evaluation.benchmarks.0.limit=", "rl.steps=", "model={source: folder, path: ", "data.")))
def test_a_setting_of_the_command_line_ends_in_a_value_or_a_line(override: str) -> None:
    _ends_in_a_value_or_a_line(lambda: load_profile("local", (override,)))


@fuzz(examples=60)
@given(function=hostile_text(("json:loads", "gift.errors:", "a..b", "os.path", "x" * 5000)))
def test_the_name_of_a_reward_function_ends_in_a_value_or_a_line(function: str) -> None:
    setting = f"rewards={json.dumps([{'kind': 'function', 'function': function}])}"

    def read() -> None:
        for reward in load_profile("local", (setting,)).rewards:
            check_reward(reward)

    _ends_in_a_value_or_a_line(read)


@fuzz(examples=60)
@given(target=hostile_text(("../", "/dev/zero", "/proc/self/fd/0", "own")))
def test_a_link_ends_in_a_value_or_a_line(target: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(target)
    except (OSError, ValueError):  # no link can be made to that
        return
    _ends_in_a_value_or_a_line(lambda: check_inside(tmp_path, link))
