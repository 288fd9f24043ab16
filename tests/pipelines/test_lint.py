"""Each rule of `gift lint`, with a pipeline that breaks it and one that does not; kfp itself compiles them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl, kubernetes
from kfp.dsl import PipelineTask
from typer.testing import CliRunner

from pipelines.command import app
from pipelines.lint import RULES, LintSettings, lint

IMAGE = "registry.example.com/tool@sha256:" + "0123456789abcdef" * 4


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def echo(text: str = "") -> str:
    return text


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(text: str = "") -> str:
    return text


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def notify(text: str = "") -> None:
    print(text)


@dsl.component(base_image=IMAGE)
def installs_kfp() -> None: ...


@dsl.component(base_image="registry.example.com/tool:latest", install_kfp_package=False)
def tagged() -> None: ...


def sound(task: PipelineTask) -> PipelineTask:
    """A task that no rule has anything against."""
    kubernetes.set_security_context(task, run_as_user=1000, run_as_non_root=True)
    kubernetes.set_timeout(task, 600)
    return task.set_caching_options(False)


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., str]:
    """Compiles a function of tasks to the text of the IR."""

    def compile_to_text(build: Callable[..., Any]) -> str:
        path = tmp_path / "pipeline.yaml"
        compiler.Compiler().compile(dsl.pipeline(name="a-pipeline")(build), str(path))
        return path.read_text()

    return compile_to_text


def found(text: str, rule: str, **settings: Any) -> list[str]:
    """What one rule says, without its name."""
    findings = lint(text, LintSettings(**settings))
    return [finding.removeprefix(f"[{rule}] ") for finding in findings if finding.startswith(f"[{rule}] ")]


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


def test_a_placeholder_as_default_is_found(compiled: Callable[..., str]) -> None:
    def build(run_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER) -> None:
        sound(echo(text=run_id))

    assert [line.partition(":")[0] for line in found(compiled(build), "unresolved-placeholder")] == ["parameter run_id"]


# --- pods ----------------------------------------------------------------------------------------------------------


def test_an_image_tag_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(tagged())
        sound(tagged()).set_container_image(IMAGE)

    assert found(compiled(build), "image-tag") == [
        "tagged: the image registry.example.com/tool:latest has no digest; name it registry/name@sha256:…"
    ]


def test_an_image_that_is_a_parameter_is_found(compiled: Callable[..., str]) -> None:
    def build(image: str = IMAGE) -> None:
        sound(echo()).set_container_image(image)

    assert found(compiled(build), "image-tag")


def test_an_importer_and_a_volume_have_no_image(compiled: Callable[..., str]) -> None:
    def build() -> None:
        dsl.importer(artifact_uri="s3://bucket/file", artifact_class=dsl.Dataset)
        kubernetes.CreatePVC(pvc_name="scratch", access_modes=["ReadWriteOnce"], size="1Gi", storage_class_name="ssd")

    assert lint(compiled(build), LintSettings()) == []


def test_packages_that_are_installed_at_run_time_are_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(installs_kfp())
        sound(echo())

    assert [line.partition(":")[0] for line in found(compiled(build), "pip-install")] == ["installs-kfp"]


def test_training_and_gpus_need_shared_memory(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(train())
        sound(echo()).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
        kubernetes.empty_dir_mount(sound(train()), "disk", "/dev/shm")
        for task in (sound(train()), sound(echo()).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)):
            kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit="1Gi")
        sound(echo())

    assert [line.partition(":")[0] for line in found(compiled(build), "shared-memory")] == ["echo", "train", "train-2"]


def test_a_missing_timeout_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        kubernetes.set_timeout(sound(echo()), 0)
        sound(echo())

    assert [line.partition(":")[0] for line in found(compiled(build), "timeout")] == ["echo"]


def test_retries_that_kfp_would_cut_off_are_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        hours = 3600
        kubernetes.set_timeout(sound(echo()).set_retry(2), 2 * hours)
        kubernetes.set_timeout(sound(echo()).set_retry(2, backoff_max_duration="6h"), 2 * hours)
        kubernetes.set_timeout(sound(echo()), 2 * hours)
        sound(echo()).set_retry(2)  # three attempts of ten minutes fit in KFP's hour

    assert found(compiled(build), "retry-window") == [
        "echo: no attempt goes on or begins 3600 s after the first was made, and 3 attempts may take 21600 s; "
        "set_retry(…, backoff_max_duration=…) to that at least"
    ]


def test_a_task_that_may_run_as_root_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        kubernetes.set_timeout(echo(), 600)
        kubernetes.set_security_context(sound(echo()), run_as_user=0)
        kubernetes.set_security_context(sound(echo()), run_as_non_root=False)
        sound(echo())

    assert [line.partition(":")[0] for line in found(compiled(build), "non-root")] == ["echo", "echo-2", "echo-3"]


# --- plain-secret --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_SECRET_ACCESS_KEY", "abc/def"),
        ("GITHUB_TOKEN", "abc"),
        ("DB_PASSWORD", "abc"),
        ("SLACK_SECRET", "abc"),
        ("SOME_SETTING", "AKIAABCDEFGHIJKLMNOP"),
        ("TRACKER", "https://me:abc@mlflow.internal/"),
        ("SOME_JSON", '{"deep": [{"api_key": "abc"}]}'),
        ("KEY_FILE", "-----BEGIN RSA PRIVATE KEY-----\nabc"),
        ("HUB", "hf_" + "abcdefghij" * 4),
    ],
)
def test_a_secret_in_the_environment_is_found_and_not_shown(
    compiled: Callable[..., str], name: str, value: str
) -> None:
    def build() -> None:
        sound(echo()).set_env_variable(name, value)

    (line,) = found(compiled(build), "plain-secret")
    assert line.startswith(f"echo: the environment variable {name} holds ")
    assert "abc" not in line
    assert "AKIA" not in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REGION", "eu-central-1"),
        ("MAX_NEW_TOKENS", "1024"),
        ("GITHUB_TOKEN", ""),
        ("SETTINGS", '{"s3_secret": "gift-s3", "max_new_tokens": 1024, "token": null}'),
        ("TRACKER", "https://mlflow.internal:443/path@v1"),
    ],
)
def test_what_only_looks_like_a_secret_passes(compiled: Callable[..., str], name: str, value: str) -> None:
    def build() -> None:
        sound(echo()).set_env_variable(name, value)

    assert found(compiled(build), "plain-secret") == []


def test_secrets_in_defaults_and_inputs_and_commands_are_found(compiled: Callable[..., str]) -> None:
    @dsl.container_component
    def fetch(token: str) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=IMAGE, command=["curl", "https://me:abc@example.com/"], args=[token])

    def build(password: str = "abc", secret_name: str = "gift-s3") -> None:
        sound(fetch(token="abc"))
        sound(fetch(token=password))

    assert {line.partition(";")[0] for line in found(compiled(build), "plain-secret")} == {
        "parameter password: its default holds a literal password",
        "fetch: the input token holds a literal token",
        "fetch: its command holds an address with a password",
        "fetch-2: its command holds an address with a password",
    }


# --- size ----------------------------------------------------------------------------------------------------------


def test_a_pipeline_above_the_budget_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(echo(text="x" * 1000))

    text = compiled(build)
    assert found(text, "size", max_bytes=len(text)) == []
    assert len(found(text, "size", max_bytes=len(text) - 1)) == 1


def test_a_component_that_is_too_long_for_an_argument_is_found(compiled: Callable[..., str]) -> None:
    def one_of(size: int) -> Callable[..., None]:
        def build(text: str = "y" * 1000) -> None:
            with dsl.ExitHandler(sound(notify())):
                sound(echo(text="x" * size))

        return build

    assert found(compiled(one_of(120_000)), "argument-size") == []
    assert [line.partition(":")[0] for line in found(compiled(one_of(131_000)), "argument-size")] == ["exit-handler-1"]


# --- the command ---------------------------------------------------------------------------------------------------


def test_every_rule_has_a_test_here() -> None:
    tested = Path(__file__).read_text()
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
