"""Versions, aliases and promotion against the real MLflow server of the session."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow.tracking import MlflowClient

from gift import registry
from gift.errors import GiftError, ServiceAwayError
from gift.storage import lock
from gift.tracking import client
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
    version = registry.register(model_name, "s3://gift/runs/1/model", run_id, {"accuracy": "0.81"})
    registered = MlflowClient().get_model_version(model_name, version)
    assert registered.source == "s3://gift/runs/1/model"
    assert registered.run_id == run_id
    assert registered.tags == {"accuracy": "0.81"}
    assert registered.status == "READY"


def test_registering_a_checkpoint_twice_gives_the_same_version(model_name: str, run_id: str) -> None:
    first = registry.register(model_name, "s3://gift/runs/1/model", run_id, {})
    other = registry.register(model_name, "s3://gift/runs/2/model", run_id, {})
    assert registry.register(model_name, "s3://gift/runs/1/model", run_id, {}) == first != other
    assert len(MlflowClient().search_model_versions(f"name = '{model_name}'")) == 2


def test_registering_moves_no_alias(model_name: str, run_id: str) -> None:
    registry.register(model_name, "s3://gift/runs/1/model", run_id, {})
    assert MlflowClient().get_registered_model(model_name).aliases == {}


def test_there_is_no_champion_before_the_first_registration_or_promotion(model_name: str, run_id: str) -> None:
    assert registry.champion(model_name) is None
    registry.register(model_name, "s3://gift/runs/1/model", run_id, {})
    assert registry.champion(model_name) is None


def test_the_first_promotion_has_no_previous_champion(model_name: str, run_id: str) -> None:
    version = registry.register(model_name, "s3://gift/runs/1/model", run_id, {"accuracy": "0.81"})
    registry.promote(model_name, version, instead_of=None, lock=LOCK)
    assert registry.champion(model_name) == registry.Champion(version, "s3://gift/runs/1/model", {"accuracy": "0.81"})


def test_a_promotion_moves_the_alias_and_remembers_whom_it_replaced(model_name: str, run_id: str) -> None:
    first, second = (registry.register(model_name, f"s3://gift/runs/{i}/model", run_id, {}) for i in (1, 2))
    registry.promote(model_name, first, instead_of=None, lock=LOCK)
    registry.promote(model_name, second, instead_of=first, lock=LOCK)
    for _ in range(2):  # the second time, nothing may change: a retried gate must not lose the way back
        champion = registry.champion(model_name)
        assert champion == registry.Champion(second, "s3://gift/runs/2/model", {"previous_champion": first})
        registry.promote(model_name, second, instead_of=first, lock=LOCK)


def test_the_challenger_is_another_alias(model_name: str, run_id: str) -> None:
    first, second = (registry.register(model_name, f"s3://gift/runs/{i}/model", run_id, {}) for i in (1, 2))
    registry.promote(model_name, first, instead_of=None, lock=LOCK)
    registry.set_challenger(model_name, second)
    assert MlflowClient().get_registered_model(model_name).aliases == {"champion": first, "challenger": second}


def test_a_version_that_is_not_there_cannot_be_promoted(model_name: str, run_id: str) -> None:
    version = registry.register(model_name, "s3://gift/runs/1/model", run_id, {})
    registry.promote(model_name, version, instead_of=None, lock=LOCK)
    for change in (
        lambda: registry.promote(model_name, "9", instead_of=version, lock=LOCK),
        lambda: registry.set_challenger(model_name, "9"),
        lambda: registry.set_tag(model_name, "9", "key", "value"),
        lambda: registry.standing(model_name, "9"),
    ):
        with pytest.raises(GiftError, match=f"version 9 of '{model_name}'.*not found"):
            change()
    assert registry.champion(model_name) is not None


def test_a_promotion_over_another_champion_than_expected_moves_nothing(model_name: str, run_id: str) -> None:
    first, second = (registry.register(model_name, f"s3://gift/runs/{i}/model", run_id, {}) for i in (1, 2))
    with pytest.raises(registry.ChampionChangedError, match=f"no version of {model_name} is champion by now"):
        registry.promote(model_name, second, instead_of=first, lock=LOCK)
    registry.promote(model_name, first, instead_of=None, lock=LOCK)
    with pytest.raises(registry.ChampionChangedError, match=f"version {first} of {model_name} is champion by now"):
        registry.promote(model_name, second, instead_of=None, lock=LOCK)
    assert registry.champion(model_name) == registry.Champion(first, "s3://gift/runs/1/model", {})
    assert registry.standing(model_name, second) == registry.Standing(None, {})


def test_a_promotion_that_another_one_overtakes_says_so(
    model_name: str, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (registry.register(model_name, f"s3://gift/runs/{i}/model", run_id, {}) for i in (1, 2))
    move = client.MlflowClient.set_registered_model_alias

    def both_move(ours: client.MlflowClient, name: str, alias: str, version: str) -> None:
        move(ours, name, alias, version)
        move(ours, name, alias, second)

    monkeypatch.setattr(client.MlflowClient, "set_registered_model_alias", both_move)
    with pytest.raises(
        registry.ChampionChangedError, match=f"version {second} .* at the same moment as version {first}"
    ):
        registry.promote(model_name, first, instead_of=None, lock=LOCK)


def test_many_promotions_at_once_leave_a_history_without_gaps(model_name: str, run_id: str) -> None:
    versions = [registry.register(model_name, f"s3://gift/runs/{i}/model", run_id, {}) for i in range(21)]
    registry.promote(model_name, versions[0], instead_of=None, lock=LOCK)

    def promote(version: str) -> None:
        while True:
            reigning = registry.champion(model_name)
            assert reigning is not None
            try:
                registry.promote(model_name, version, instead_of=reigning.version, lock=LOCK)
            except registry.ChampionChangedError:
                continue
            return

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(promote, versions[1:]))
    history: list[str] = []
    champion = registry.champion(model_name)
    version = champion.version if champion else None
    while version is not None:
        history.append(version)
        version = registry.standing(model_name, version).tags.get(registry.PREVIOUS_CHAMPION_TAG)
    assert history[-1] == versions[0]
    assert sorted(history) == sorted(versions)


def test_of_many_verdicts_against_one_champion_one_is_carried_out(model_name: str, run_id: str) -> None:
    versions = [registry.register(model_name, f"s3://gift/runs/{i}/model", run_id, {}) for i in range(9)]
    registry.promote(model_name, versions[0], instead_of=None, lock=LOCK)

    def promote(version: str) -> bool:
        try:
            registry.promote(model_name, version, instead_of=versions[0], lock=LOCK)
        except registry.ChampionChangedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        promoted = [
            version for version, done in zip(versions[1:], pool.map(promote, versions[1:]), strict=True) if done
        ]
    champion = registry.champion(model_name)
    assert champion is not None
    assert [champion.version] == promoted
    assert champion.tags == {registry.PREVIOUS_CHAMPION_TAG: versions[0]}


def test_whoever_was_too_slow_since_the_look_does_not_move_the_alias(
    model_name: str, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = registry.register(model_name, "s3://gift/runs/1/model", run_id, {})
    monkeypatch.setattr(lock, "LEASE_SECONDS", registry.MOVE_SECONDS / 2)
    with pytest.raises(ServiceAwayError, match=f"too little is left of the 30 seconds of the lock {LOCK}"):
        registry.promote(model_name, version, instead_of=None, lock=LOCK)
    assert registry.champion(model_name) is None


def test_registering_again_replaces_our_tags_and_leaves_the_others(model_name: str, run_id: str) -> None:
    uri = "s3://gift/runs/1/model"
    version = registry.register(model_name, uri, run_id, {"gift.run_id": "old", "gift.gone": "x", "gift.same": "y"})
    registry.set_tag(model_name, version, "owner", "somebody")
    registry.register(model_name, uri, run_id, {"gift.run_id": "new", "gift.same": "y"})
    assert registry.standing(model_name, version).tags == {"gift.run_id": "new", "gift.same": "y", "owner": "somebody"}


def test_a_deleted_champion_leaves_no_champion(model_name: str, run_id: str) -> None:
    version = registry.register(model_name, "s3://gift/runs/1/model", run_id, {})
    registry.promote(model_name, version, instead_of=None, lock=LOCK)
    MlflowClient().delete_model_version(model_name, version)
    assert registry.champion(model_name) is None


@pytest.mark.parametrize(
    ("name", "uri", "message"),
    [("a/b", "s3://gift/model", "cannot contain '/'"), ("model", "s3://gift/../model", "absolute path")],
)
def test_a_name_or_uri_that_mlflow_refuses_is_explained(run_id: str, name: str, uri: str, message: str) -> None:
    with pytest.raises(GiftError, match=message):
        registry.register(name, uri, run_id, {})


def test_an_outage_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(HOST, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{HOST}:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for attempt in (
        lambda: registry.register("model", "s3://gift/model", "run", {}),
        lambda: registry.set_challenger("model", "1"),
        lambda: registry.promote("model", "1", instead_of=None, lock=LOCK),
        lambda: registry.set_tag("model", "1", "key", "value"),
        lambda: registry.standing("model", "1"),
        lambda: registry.champion("model"),
    ):
        with pytest.raises(GiftError, match=f"MLflow at {HOST}:{port} does not answer"):
            attempt()
