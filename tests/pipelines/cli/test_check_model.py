"""`gift check model`: a few facts and `ok`, or one line that says what is wrong."""

from pathlib import Path

import pytest
from tiny_folders import change_json, llama, qwen2, save
from typer.testing import CliRunner

from pipelines.cli.main import app


def _check(folder: Path) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["check", "model", str(folder)])
    return result.exit_code, result.output.splitlines()


def test_a_whole_model_is_described(tmp_path: Path) -> None:
    status, lines = _check(save(qwen2().bfloat16(), tmp_path))
    assert status == 0
    assert [" ".join(line.split()) for line in lines] == [
        "model Qwen2ForCausalLM, 9,568 parameters, 2 layers",
        "vocabulary 266 tokens, 267 rows of embeddings, tied to the head",
        "ends with <|eos|>",
        "template none",
        "precision bf16",
        f"ok {tmp_path}",
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": None}, "config.json has no model_type"),
        ({"num_hidden_layers": 3}, "missing: model.layers.2.input_layernorm.weight"),
    ],
)
def test_a_fault_is_one_line(tmp_path: Path, values: dict[str, object], message: str) -> None:
    change_json(save(llama(), tmp_path), "config.json", **values)
    status, (line, *rest) = _check(tmp_path)
    assert status == 1
    assert line.startswith("error: ")
    assert message in line
    assert rest == []
