"""Clients that hold connections and say nothing, or not all of it, on real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from api import patience, protocol, server
from tests.conftest import NewDatabase
from tests.keys import as_admin
from tests.served import Service, move, served


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(patience, "BODY_SECONDS", 1.0)
    monkeypatch.setattr(server, "TICKS_BETWEEN_LOOKS", 1)


def connected(service: Service) -> socket.socket:
    place = urlsplit(service.base)
    return socket.create_connection((str(place.hostname), place.port or 0), timeout=10)


def closed_after(client: socket.socket, piece: bytes = b"") -> float:
    """Seconds until the server closes; a byte of `piece` is sent again and again meanwhile."""
    began = time.monotonic()
    client.settimeout(0.05)
    while time.monotonic() - began < 10:
        try:
            if piece:
                client.sendall(piece)
            if not client.recv(65_536):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    else:
        pytest.fail("the connection stays open")
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("said", "piece"),
    [
        (b"", b""),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\n", b""),
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Drip: ", b"x"),
    ],
    ids=["silent", "half a head", "a head drop by drop"],
)
def test_a_head_that_does_not_end_is_not_waited_for(service: Service, said: bytes, piece: bytes) -> None:
    """Neither without a word nor drop by drop."""
    with connected(service) as client:
        client.sendall(said)
        assert 0.4 < closed_after(client, piece) < 8


def test_the_next_head_on_a_connection_is_not_waited_for_either(service: Service) -> None:
    """A request that was answered buys no time for one that never ends."""
    with connected(service) as client:
        client.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /health")
        assert 0.4 < closed_after(client) < 8


@pytest.mark.parametrize("piece", [b"", b" "], ids=["half a body", "a body drop by drop"])
def test_a_body_that_does_not_end_is_not_waited_for(service: Service, piece: bytes) -> None:
    """And nothing of it is recorded."""
    book = service.open()
    head = (
        f"POST {book.path}/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {as_admin(service.base)['authorization']}\r\nContent-Length: 5000\r\n\r\n{{"
    )
    with connected(service) as client:
        client.sendall(head.encode())
        assert 0.9 < closed_after(client, piece) < 9
    assert book.head() == 1


def test_a_connection_at_work_or_at_rest_is_left_alone(service: Service) -> None:
    """Requests one after another for longer than any of them may take, with pauses in between."""
    book = service.open()
    with httpx.Client(base_url=service.base, headers=as_admin(service.base), timeout=10) as client:
        began = time.monotonic()
        while time.monotonic() - began < 2.5:
            assert client.post(f"{book.path}/transactions", json=move("cash", "fx", 1)).status_code == 201
            time.sleep(0.2)
        assert client.get(book.path).json()["seq"] > 5


def test_a_feed_is_left_alone(service: Service) -> None:
    """It owes nothing: its request is complete, however long its answer is."""
    book = service.open()
    headers = as_admin(service.base) | {"accept": "text/event-stream"}
    with (
        httpx.Client(base_url=service.base, headers=headers, timeout=10) as client,
        client.stream("GET", f"{book.path}/events") as answer,
    ):
        time.sleep(1.5)
        book.seq(move("cash", "fx", 7))
        assert any('"amount":"7"' in line for line in answer.iter_lines())


def test_an_endless_head_is_cut_off_by_its_size(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast it comes."""
    monkeypatch.setattr(patience, "HEAD_SECONDS", 60)
    with connected(service) as client:
        client.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        assert closed_after(client, b"x" * 65_536) < 5


def test_one_connection_too_many_is_told_so(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After, as a problem; those that are open go on, and there is room when one closes."""
    with ExitStack() as stack, httpx.Client(base_url=service.base) as client:
        assert client.get("/health/live").status_code == 200
        monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 12)
        monkeypatch.setattr(patience, "HEAD_SECONDS", 60)
        for _ in range(12):
            stack.enter_context(connected(service))
        with connected(service) as one_more:
            one_more.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            said = one_more.recv(65_536)
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in said
        assert b'"code":"overloaded"' in said
        assert client.get("/health/live").status_code == 200
    deadline = time.monotonic() + 5
    while httpx.get(f"{service.base}/health/live").status_code != 200:
        assert time.monotonic() < deadline
