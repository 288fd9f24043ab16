"""What every test of the evaluation has: a model that is known by heart, and no network."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rote_model import write_rote_model


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The evaluation never looks anything up: neither the model, nor the data, nor a version."""
    attempts: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        attempts.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert attempts == []


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Knows the key of every box, and answers a coin with 1 or 2, half of the time each."""
    folder = tmp_path_factory.mktemp("rote")
    write_rote_model(folder)
    return folder
