"""Small pipelines for the tests of lint's rules, and what one rule says of a compiled one."""

from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from pipelines.kubeflow.lint import LintSettings, lint

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


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def talks_of_pip() -> None:
    print("pip install numpy, if it is missing")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train_test_split() -> None: ...


@dsl.container_component
def names_its_run() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image=IMAGE, command=["tool"], args=["--run", dsl.PIPELINE_JOB_ID_PLACEHOLDER])


@dsl.component(base_image="registry.example.com/tool:latest", install_kfp_package=False)
def tagged() -> None: ...


def sound(task: PipelineTask) -> PipelineTask:
    """A task that no rule has anything against."""
    kubernetes.set_security_context(task, run_as_user=1000, run_as_non_root=True)
    kubernetes.set_timeout(task, 600)
    return task.set_caching_options(False)


def found(text: str, rule: str, **settings: Any) -> list[str]:
    """What one rule says, without its name."""
    findings = lint(text, LintSettings(**settings))
    return [finding.removeprefix(f"[{rule}] ") for finding in findings if finding.startswith(f"[{rule}] ")]
