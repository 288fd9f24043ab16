"""Versions, their tags and aliases against the real MLflow server of the session."""

import time

import pytest
from mlflow.tracking import MlflowClient
from promotions import promote

from gift import registry
from gift.errors import GiftError
from pipelines.machine.processes import free_ports

HOST = "127.0.0.1"
LOCK = "s3://gift/locks/test-registry"

pytestmark = pytest.mark.usefixtures("services")


@pytest.fixture
def model_name() -> str:
    """A registered model that no other test uses; not created yet."""
    return f"model-{time.time_ns()}"


@pytest.fixture
def run_id() -> str:
    created: str = MlflowClient().create_run("0").info.run_id
    return created


def test_a_version_points_to_the_checkpoint_in_s3(model_name: str, run_id: str) -> None:
    version = registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {"accuracy": "0.81"}, LOCK)
    registered = MlflowClient().get_model_version(model_name, version)
    assert registered.source == "s3://gift/runs/1/model"
    assert registered.run_id == run_id
    assert registered.tags == {"accuracy": "0.81"}
    assert registered.status == "READY"


def test_registering_a_checkpoint_twice_gives_the_same_version(model_name: str, run_id: str) -> None:
    first = registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {}, LOCK)
    other = registry.register_version(model_name, "s3://gift/runs/2/model", run_id, {}, LOCK)
    assert registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {}, LOCK) == first != other
    assert len(MlflowClient().search_model_versions(f"name = '{model_name}'")) == 2


def test_registering_moves_no_alias(model_name: str, run_id: str) -> None:
    registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {}, LOCK)
    assert MlflowClient().get_registered_model(model_name).aliases == {}


def test_there_is_no_champion_before_the_first_registration_or_promotion(model_name: str, run_id: str) -> None:
    assert registry.champion(model_name) is None
    registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {}, LOCK)
    assert registry.champion(model_name) is None


def test_the_first_promotion_has_no_previous_champion(model_name: str, run_id: str) -> None:
    version = registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {"accuracy": "0.81"}, LOCK)
    promote(model_name, version, instead_of=None)
    assert registry.champion(model_name) == registry.Champion(version, "s3://gift/runs/1/model", {"accuracy": "0.81"})


def test_the_challenger_is_another_alias(model_name: str, run_id: str) -> None:
    first, second = (
        registry.register_version(model_name, f"s3://gift/runs/{i}/model", run_id, {}, LOCK) for i in (1, 2)
    )
    promote(model_name, first, instead_of=None)
    registry.set_challenger(model_name, second)
    assert MlflowClient().get_registered_model(model_name).aliases == {"champion": first, "challenger": second}


def test_a_version_that_is_not_there_cannot_be_promoted(model_name: str, run_id: str) -> None:
    version = registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {}, LOCK)
    promote(model_name, version, instead_of=None)
    for change in (
        lambda: promote(model_name, "9", instead_of=version),
        lambda: registry.set_challenger(model_name, "9"),
        lambda: registry.set_tag(model_name, "9", "key", "value"),
        lambda: registry.standing(model_name, "9"),
    ):
        with pytest.raises(GiftError, match=f"version 9 of '{model_name}'.*not found"):
            change()
    assert registry.champion(model_name) is not None


def test_registering_again_replaces_our_tags_and_leaves_the_others(model_name: str, run_id: str) -> None:
    uri = "s3://gift/runs/1/model"
    version = registry.register_version(
        model_name, uri, run_id, {"gift.run_id": "old", "gift.gone": "x", "gift.same": "y"}, LOCK
    )
    registry.set_tag(model_name, version, "owner", "somebody")
    registry.register_version(model_name, uri, run_id, {"gift.run_id": "new", "gift.same": "y"}, LOCK)
    assert registry.standing(model_name, version).tags == {"gift.run_id": "new", "gift.same": "y", "owner": "somebody"}


def test_a_deleted_champion_leaves_no_champion(model_name: str, run_id: str) -> None:
    version = registry.register_version(model_name, "s3://gift/runs/1/model", run_id, {}, LOCK)
    promote(model_name, version, instead_of=None)
    MlflowClient().delete_model_version(model_name, version)
    assert registry.champion(model_name) is None


@pytest.mark.parametrize(
    ("name", "uri", "message"),
    [("a/b", "s3://gift/model", "cannot contain '/'"), ("model", "s3://gift/../model", "absolute path")],
)
def test_a_name_or_uri_that_mlflow_refuses_is_explained(run_id: str, name: str, uri: str, message: str) -> None:
    with pytest.raises(GiftError, match=message):
        registry.register_version(name, uri, run_id, {}, LOCK)


def test_an_outage_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(HOST, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{HOST}:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for attempt in (
        lambda: registry.register_version("model", "s3://gift/model", "run", {}, LOCK),
        lambda: registry.set_challenger("model", "1"),
        lambda: promote("model", "1", instead_of=None),
        lambda: registry.set_tag("model", "1", "key", "value"),
        lambda: registry.standing("model", "1"),
        lambda: registry.champion("model"),
    ):
        with pytest.raises(GiftError, match=f"MLflow at {HOST}:{port} does not answer"):
            attempt()
