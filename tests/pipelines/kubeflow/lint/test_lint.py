"""Each rule of `gift lint`, with a pipeline that breaks it and one that does not; kfp itself compiles them.

The rules about pods and about secrets have files of their own.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kfp import dsl, kubernetes
from linting import echo, found, names_its_run, notify, sound, tagged
from typer.testing import CliRunner

from pipelines.cli.main import app
from pipelines.kubeflow.lint import RULES, LintSettings, lint


def test_a_sound_pipeline_has_no_findings(compiled: Callable[..., str]) -> None:
    def build(text: str = "hello") -> None:
        with dsl.ExitHandler(sound(notify(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER))):
            first = sound(echo(text=text))
            with dsl.If(first.output == "hello"):
                sound(echo(text=first.output))
            with dsl.Elif(first.output == "good && bye"):
                sound(echo(text=first.output))
            with dsl.Else():
                sound(echo())

    assert lint(compiled(build), LintSettings()) == []


# --- dangling-parameter --------------------------------------------------------------------------------------------


def test_a_limit_that_is_a_parameter_dangles_in_an_exit_handler(compiled: Callable[..., str]) -> None:
    def build(cpu: str = "2") -> None:
        with dsl.ExitHandler(sound(notify())):
            sound(echo()).set_cpu_limit(cpu)

    assert any(
        line.startswith("exit-handler-1/echo: takes the parameter pipelinechannel--cpu, which exit-handler-1 does not")
        for line in found(compiled(build), "dangling-parameter")
    )


def test_a_limit_that_is_a_parameter_is_there_in_the_root(compiled: Callable[..., str]) -> None:
    def build(cpu: str = "2", secret: str = "s3") -> None:
        task = sound(echo()).set_cpu_limit(cpu)
        kubernetes.use_secret_as_env(task, secret, {"key": "KEY"})

    assert found(compiled(build), "dangling-parameter") == []


def test_a_limit_is_no_parameter_once_it_is_compiled(compiled: Callable[..., str]) -> None:
    def build(secret: str = "s3") -> None:
        with dsl.ExitHandler(sound(notify())):
            kubernetes.use_secret_as_env(sound(echo()).set_cpu_limit("2"), secret, {"key": "KEY"})

    assert found(compiled(build), "dangling-parameter") == []


def test_a_reference_in_the_environment_is_never_resolved(compiled: Callable[..., str]) -> None:
    def build(text: str = "hello") -> None:
        sound(echo()).set_env_variable("TEXT", f"{text}")

    assert found(compiled(build), "dangling-parameter")[0].startswith("echo: the environment variable TEXT holds a ref")


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ({"componentInputParameter": "gone"}, "takes the parameter gone, which root does not have"),
        (
            {"taskOutputParameter": {"producerTask": "gone", "outputParameterKey": "Output"}},
            "takes an output of gone, which is no task of root",
        ),
        ({"taskFinalStatus": {"producerTask": "gone"}}, "takes an output of gone, which is no task of root"),
    ],
)
def test_an_input_from_nowhere_dangles(compiled: Callable[..., str], source: dict, wrong: str) -> None:
    def build() -> None:
        sound(echo(text="hello"))

    documents = list(yaml.safe_load_all(compiled(build)))
    documents[0]["root"]["dag"]["tasks"]["echo"]["inputs"]["parameters"]["text"] = source
    assert found(yaml.safe_dump_all(documents), "dangling-parameter")[0].startswith(f"echo: {wrong};")


# --- bare-if -------------------------------------------------------------------------------------------------------


def test_an_if_without_else_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        first = sound(echo())
        with dsl.If(first.output == "a"):
            sound(echo())

    assert [line.partition(":")[0] for line in found(compiled(build), "bare-if")] == ["condition-1"]


def test_an_elif_is_no_else(compiled: Callable[..., str]) -> None:
    def build() -> None:
        first = sound(echo())
        with dsl.If(first.output == "a"):
            sound(echo())
        with dsl.Elif(first.output == "b"):
            sound(echo())

    assert len(found(compiled(build), "bare-if")) == 2


# --- cached-side-effect --------------------------------------------------------------------------------------------


def test_a_cached_side_effect_is_found_by_its_name(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(notify())
        sound(notify()).set_caching_options(True)
        sound(echo()).set_caching_options(True)

    assert [line.partition(":")[0] for line in found(compiled(build), "cached-side-effect")] == ["notify-2"]


def test_an_exit_task_is_a_side_effect_whatever_its_name(compiled: Callable[..., str]) -> None:
    def build() -> None:
        with dsl.ExitHandler(sound(echo()).set_caching_options(True)):
            sound(echo())

    assert [line.partition(":")[0] for line in found(compiled(build), "cached-side-effect")] == ["echo"]


def test_side_effects_of_other_names_can_be_told(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(echo()).set_caching_options(True)

    assert found(compiled(build), "cached-side-effect", side_effects=("echo",))


# --- unresolved-placeholder ----------------------------------------------------------------------------------------


def test_a_placeholder_within_a_longer_text_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(echo(text=f"run-{dsl.PIPELINE_JOB_ID_PLACEHOLDER}"))
        sound(echo(text=dsl.PIPELINE_JOB_ID_PLACEHOLDER))

    assert [line.partition(":")[0] for line in found(compiled(build), "unresolved-placeholder")] == ["echo"]


def test_a_placeholder_in_a_command_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(names_its_run())

    assert found(compiled(build), "unresolved-placeholder")[0].startswith(
        "names-its-run: its command holds a placeholder"
    )


def test_a_placeholder_as_default_is_found(compiled: Callable[..., str]) -> None:
    def build(run_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER) -> None:
        sound(echo(text=run_id))

    assert [line.partition(":")[0] for line in found(compiled(build), "unresolved-placeholder")] == ["parameter run_id"]


# --- size ----------------------------------------------------------------------------------------------------------


def test_a_pipeline_above_the_budget_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(echo(text="x" * 1000))

    text = compiled(build)
    assert found(text, "size", max_bytes=len(text)) == []
    assert len(found(text, "size", max_bytes=len(text) - 1)) == 1


def test_parameters_that_are_too_long_for_an_argument_are_found(compiled: Callable[..., str]) -> None:
    def one_of(size: int) -> Callable[..., None]:
        def build(text: str = "y" * size) -> None:
            sound(echo(text=text))
            sound(echo(text="x" * 131_072))

        return build

    assert found(compiled(one_of(120_000)), "argument-size") == []
    assert [line.partition(":")[0] for line in found(compiled(one_of(131_072)), "argument-size")] == ["parameters"]


# --- the command ---------------------------------------------------------------------------------------------------


def test_every_rule_has_a_test_here() -> None:
    tested = "".join(path.read_text() for path in Path(__file__).parent.glob("test_lint*.py"))
    assert [rule for rule in RULES if f'"{rule}"' not in tested] == []


def test_the_command_prints_a_line_per_finding(compiled: Callable[..., str], tmp_path: Path) -> None:
    def build() -> None:
        sound(tagged())
        sound(echo()).set_caching_options(True)

    path = tmp_path / "compiled.yaml"
    path.write_text(compiled(build))
    result = CliRunner().invoke(app, ["lint", str(path), "--side-effect", "echo"])
    assert result.exit_code == 1
    assert [line.partition(": ")[2].partition(": ")[0] for line in result.output.splitlines()] == [
        "[cached-side-effect] echo",
        "[image-tag] tagged",
    ]
    assert all(line.startswith(f"{path}: [") for line in result.output.splitlines())
    too_large = CliRunner().invoke(app, ["lint", str(path), "--max-bytes", "10"])
    assert "[size] pipeline: is " in too_large.output
