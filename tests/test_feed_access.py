"""Feeds of clients who may no longer read: a feed outlasts the look at its credentials, never them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from api import streaming
from api.access import gate
from api.access.keys import Grant, KeyRing, NewApiKey
from tests.conftest import NewDatabase
from tests.feeds import STREAM
from tests.served import Book, Service, served

SECONDS = 15.0


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with served(database) as service:
        yield service


@pytest.fixture
def book(service: Service, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setattr(gate, "ACCEPTED_SECONDS", 0.5)
    monkeypatch.setattr(streaming, "LOOK_AGAIN_SECONDS", 0.2)
    return service.open()


def a_key(database: str, expires_in: float | None = None) -> NewApiKey:
    expires_at = None if expires_in is None else datetime.now(UTC) + timedelta(seconds=expires_in)
    with closing(KeyRing(database)) as keys:
        return keys.create("default", Grant("a feed's", ["ledger:read"], None, expires_at), "a test")


def credentials(key: NewApiKey) -> dict[str, str]:
    return {"authorization": f"Bearer {key.secret}"}


def revoke(database: str, key: NewApiKey) -> None:
    with closing(KeyRing(database)) as keys:
        keys.revoke("default", key.key.id)


def test_those_are_seconds() -> None:
    """What is remembered and how often a feed looks make less than ten seconds together."""
    assert gate.ACCEPTED_SECONDS + streaming.LOOK_AGAIN_SECONDS < 10


def test_an_event_stream_ends_with_its_key(database: str, book: Book) -> None:
    """Whole, though nothing happens in the ledger; and whoever comes back is refused."""
    key = a_key(database)
    with httpx.Client(base_url=book.service.base, headers=credentials(key), timeout=SECONDS) as client:
        with client.stream("GET", f"{book.path}/events", headers=STREAM) as answer:
            lines = answer.iter_lines()
            assert any(line.startswith("data:") for line in lines)
            revoke(database, key)
            began = time.monotonic()
            assert [line for line in lines if line.startswith("data:")] == []
            assert time.monotonic() - began < SECONDS
        assert client.get(f"{book.path}/events", headers=STREAM).status_code == 401


def test_a_websocket_is_closed_with_its_key(database: str, book: Book) -> None:
    """1008: the client may not read what comes next."""
    key = a_key(database)
    url = book.service.base.replace("http", "ws", 1) + book.path + "/events"
    with connect(url, additional_headers=credentials(key)) as connection:
        assert json.loads(connection.recv(timeout=SECONDS))["seq"] == 1
        revoke(database, key)
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=SECONDS)
        assert connection.close_code == 1008


def test_a_feed_ends_when_its_key_expires(database: str, book: Book) -> None:
    """Nobody has to revoke it; a feed whose key is good goes on."""
    short, good = a_key(database, expires_in=1.5), a_key(database)
    url = book.service.base.replace("http", "ws", 1) + book.path + "/events"
    with (
        connect(url, additional_headers=credentials(good)) as kept,
        connect(url, additional_headers=credentials(short)) as connection,
    ):
        assert json.loads(connection.recv(timeout=SECONDS))["seq"] == 1
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=SECONDS)
        assert connection.close_code == 1008
        assert json.loads(kept.recv(timeout=SECONDS))["seq"] == 1
        with pytest.raises(TimeoutError):
            kept.recv(timeout=0.5)
