"""The rules about pods, each with a pipeline that breaks it and one that does not; kfp itself compiles them."""

from collections.abc import Callable

from kfp import dsl, kubernetes
from linting import IMAGE, echo, found, installs_kfp, sound, tagged, talks_of_pip, train, train_test_split

from pipelines.kubeflow.lint import LintSettings, lint


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

        sound(talks_of_pip())

    assert [line.partition(":")[0] for line in found(compiled(build), "pip-install")] == ["installs-kfp"]


def test_training_and_gpus_need_shared_memory(compiled: Callable[..., str]) -> None:
    def build() -> None:
        sound(train())
        sound(echo()).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
        kubernetes.empty_dir_mount(sound(train()), "disk", "/dev/shm")
        for task in (sound(train()), sound(echo()).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)):
            kubernetes.empty_dir_mount(task, "shm", "/dev/shm/", medium="Memory", size_limit="1Gi")
        sound(echo())
        sound(train_test_split())

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
        echo().set_retry(2, backoff_max_duration="0s")  # Argo starts nothing again then

    lines = found(compiled(build), "retry-window")
    assert [line.partition(":")[0] for line in lines] == ["echo", "echo-5"]
    assert lines[0] == (
        "echo: no attempt goes on or begins 3600 s after the first was made, and 3 attempts may take 21600 s; "
        "set_retry(…, backoff_max_duration=…) to that at least"
    )


def test_a_task_that_may_run_as_root_is_found(compiled: Callable[..., str]) -> None:
    def build() -> None:
        kubernetes.set_timeout(echo(), 600)
        kubernetes.set_security_context(sound(echo()), run_as_user=0)
        kubernetes.set_security_context(sound(echo()), run_as_non_root=False)
        sound(echo())

    assert [line.partition(":")[0] for line in found(compiled(build), "non-root")] == ["echo", "echo-2", "echo-3"]
