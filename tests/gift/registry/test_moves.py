"""Who is champion, and the history of it, against the real MLflow and S3 servers of the session."""

import functools
import itertools
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.client import BaseClient
from promotions import promote

from gift import registry
from gift.errors import GiftError, ServiceAwayError
from gift.registry import Move, moves
from gift.storage import lock
from gift.tracking import client
from gift.tracking.rest import Rest

LOCK = "s3://gift/locks/test-moves"

pytestmark = pytest.mark.usefixtures("services")


@pytest.fixture
def model_name() -> str:
    """A registered model that no other test uses; not created yet."""
    return f"model-{time.time_ns()}"


def registered(name: str, count: int, lock_uri: str = LOCK) -> list[str]:
    return [registry.register_version(name, f"s3://gift/runs/{i}/model", "", {}, lock_uri) for i in range(count)]


def champion_of(name: str) -> str | None:
    found = registry.champion(name)
    return found.version if found else None


def history_of(name: str) -> list[tuple[str | None, str | None]]:
    """(version, instead of) of each line, after a look that the history is whole and ends with the champion."""
    view = registry.registered_model(name)
    before = None
    for number, move in enumerate(view.history, start=1):
        assert (move.number, move.instead_of) == (number, before), view.history
        before = move.version
    assert view.reigning == before
    assert all(move.done for move in view.history)
    return [(move.version, move.instead_of) for move in view.history]


def test_a_promotion_moves_the_alias_and_remembers_whom_it_replaced_and_why(model_name: str) -> None:
    first, second = registered(model_name, 2)
    told: list[tuple[str | None, str | None]] = []

    def tell(move: Move) -> None:
        told.append((move.version, champion_of(model_name)))

    for version, against in ((first, None), (second, first), (second, first)):  # a retried task promotes twice
        registry.move_champion(
            model_name, version, instead_of=against, kind="promotion", reason="1½ points", by="me", tell=tell
        )
    assert history_of(model_name) == [(first, None), (second, first)]
    assert told == [(first, first), (second, second)], "once each, when it is champion"
    move = registry.registered_model(model_name).history[1]
    assert (move.reason, move.by, move.kind) == ("1½ points", "me", "promotion")


def test_a_promotion_over_another_champion_than_expected_moves_nothing(model_name: str) -> None:
    first, second = registered(model_name, 2)
    with pytest.raises(registry.ChampionChangedError, match=f"^no version of {model_name} is champion by now"):
        promote(model_name, second, instead_of=first)
    promote(model_name, first, instead_of=None)
    with pytest.raises(registry.ChampionChangedError, match=f"^version {first} of {model_name} .* no version was exp"):
        promote(model_name, second, instead_of=None)
    assert history_of(model_name) == [(first, None)]
    assert registry.standing(model_name, second) == registry.Standing(None, {})


def test_a_promotion_that_another_one_overtakes_says_so_and_the_next_one_notes_it(
    model_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registered(model_name, 2)
    move = client.MlflowClient.set_registered_model_alias

    def both_move(ours: client.MlflowClient, name: str, alias: str, version: str) -> None:
        move(ours, name, alias, version)
        move(ours, name, alias, second)

    with monkeypatch.context() as patched:
        patched.setattr(client.MlflowClient, "set_registered_model_alias", both_move)
        with pytest.raises(
            registry.ChampionChangedError, match=f"version {second} .* at the same moment as version {first}"
        ):
            promote(model_name, first, instead_of=None)
    promote(model_name, first, instead_of=second)
    assert history_of(model_name) == [(first, None), (second, first), (first, second)]
    assert [move.kind for move in registry.registered_model(model_name).history] == [
        "promotion", "by hand", "promotion",
    ]  # fmt: skip


def test_twenty_promotions_at_once_end_with_one_champion_and_a_whole_history(model_name: str) -> None:
    versions = registered(model_name, 21)
    promote(model_name, versions[0], instead_of=None)
    with ThreadPoolExecutor(20) as pool:
        moved = list(pool.map(lambda version: promote(model_name, version, instead_of=registry.ANYONE), versions[1:]))
    assert all(moved)
    history = history_of(model_name)
    assert history[0] == (versions[0], None)
    assert sorted(str(version) for version, _ in history) == sorted(versions)


def test_of_many_verdicts_against_one_champion_one_is_carried_out(model_name: str) -> None:
    versions = registered(model_name, 9)
    promote(model_name, versions[0], instead_of=None)

    def wins(version: str) -> bool:
        try:
            promote(model_name, version, instead_of=versions[0])
        except registry.ChampionChangedError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [version for version, done in zip(versions[1:], pool.map(wins, versions[1:]), strict=True) if done]
    assert history_of(model_name) == [(versions[0], None), (won[0], versions[0])]
    assert len(won) == 1


def test_whoever_was_too_slow_since_the_look_does_not_move_the_alias(
    model_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (version,) = registered(model_name, 1)
    monkeypatch.setattr(lock, "LEASE_SECONDS", registry.MOVE_SECONDS / 2)
    with pytest.raises(ServiceAwayError, match=f"too little is left of the 30 seconds of the lock {LOCK}"):
        promote(model_name, version, instead_of=None)
    assert champion_of(model_name) is None


@pytest.mark.parametrize("by_hand", ["second", None])
def test_what_was_done_by_hand_is_noted_before_the_next_move(model_name: str, by_hand: str | None) -> None:
    first, second, third = registered(model_name, 3)
    promote(model_name, first, instead_of=None)
    if by_hand:
        client.MlflowClient().set_registered_model_alias(model_name, "champion", second)
    else:
        client.MlflowClient().rest.delete("registered-models/alias", name=model_name, alias="champion")
    found = second if by_hand else None
    promote(model_name, third, instead_of=found)
    assert history_of(model_name) == [(first, None), (found, first), (third, found)]


def test_a_model_without_a_lock_says_which_tag_it_needs(model_name: str) -> None:
    client.MlflowClient().create_registered_model(model_name, {})
    client.MlflowClient().create_model_version(model_name, "s3://gift/by-hand/model", "", {}, "")
    with pytest.raises(GiftError, match=r"has no tag gift\.lock.*set it on MLflow's page to an object"):
        promote(model_name, "1", instead_of=None)
    registered(model_name, 1)  # a run registers in it, and gives it one
    promote(model_name, "1", instead_of=None)
    assert history_of(model_name) == [("1", None)]


def test_who_creates_the_model_decides_on_its_lock(model_name: str) -> None:
    registered(model_name, 1)
    registered(model_name, 2, "s3://gift/locks/another")
    assert registry.registered_model(model_name).lock == LOCK


# --- kills between any two steps -----------------------------------------------------------------------------------


def killed_in_request(number: int, *, after: bool, action: Callable[[], object]) -> bool:
    """Fork, and there do `action`, which SIGKILL ends before or after its request `number` to MLflow or S3; whether it
    came to that."""
    pid = os.fork()
    if pid == 0:
        requests = itertools.count(1)

        def killing(original: Callable[..., Any]) -> Callable[..., Any]:
            def request(*arguments: Any, **named: Any) -> Any:
                ours = next(requests) == number
                if ours and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                answer = original(*arguments, **named)
                if ours:
                    os.kill(os.getpid(), signal.SIGKILL)
                return answer

            return request

        Rest._request = killing(Rest._request)  # type: ignore[method-assign]
        setattr(BaseClient, "_make_api_call", killing(getattr(BaseClient, "_make_api_call")))  # noqa: B009, B010
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


LINE = 6
"""The request of a promotion that writes the line."""


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead holder of the lock is waited for this long (S3's clock counts whole seconds)."""
    monkeypatch.setattr(lock, "LEASE_SECONDS", 1)
    monkeypatch.setattr(moves, "MOVE_SECONDS", 0)


@pytest.mark.usefixtures("short_lease")
@pytest.mark.parametrize("after", [False, True])
def test_a_crash_between_any_two_steps_is_repaired_by_the_next_call(model_name: str, after: bool) -> None:
    kills = 0
    for number in itertools.count(1):
        name = f"{model_name}-{number}"
        told: list[Move] = []
        first, second, third = registered(name, 3, f"{LOCK}-{name}")
        promote(name, first, instead_of=None)
        if not killed_in_request(number, after=after, action=functools.partial(promote, name, second, first)):
            break
        kills += 1
        reigning = champion_of(name)
        assert reigning in (first, second)
        begun = registry.registered_model(name).history[1:]
        registry.move_champion(
            name, third, instead_of=registry.ANYONE, kind="promotion", reason="r", by="b", tell=told.append
        )
        second_was_champion = [(second, first)] if begun else []
        assert history_of(name) == [(first, None), *second_was_champion, (third, second if begun else first)]
        if begun and not begun[0].done:
            assert [move.version for move in told] == [second, third], "the interrupted one is told, too"
    assert kills == 10, "whose lock, lock, version, two looks, line, alias, look, line done, unlock"


@pytest.mark.usefixtures("short_lease")
@pytest.mark.parametrize("number", range(LINE, LINE + 4))
def test_a_killed_promotion_that_is_tried_again_ends_as_if_nothing_had_been(model_name: str, number: int) -> None:
    first, second = registered(model_name, 2, f"{LOCK}-{model_name}")
    promote(model_name, first, instead_of=None)
    assert killed_in_request(number, after=True, action=lambda: promote(model_name, second, instead_of=first))
    promote(model_name, second, instead_of=first)
    assert history_of(model_name) == [(first, None), (second, first)]


@pytest.mark.usefixtures("short_lease")
def test_a_begun_promotion_whose_version_was_deleted_never_was(model_name: str) -> None:
    first, second, third = registered(model_name, 3, f"{LOCK}-{model_name}")
    promote(model_name, first, instead_of=None)

    assert killed_in_request(LINE, after=True, action=lambda: promote(model_name, second, instead_of=first))
    assert [move.done for move in registry.registered_model(model_name).history] == [True, False]
    assert champion_of(model_name) == first
    client.MlflowClient().rest.delete("model-versions/delete", name=model_name, version=second)
    promote(model_name, third, instead_of=first)
    assert history_of(model_name) == [(first, None), (third, first)]
