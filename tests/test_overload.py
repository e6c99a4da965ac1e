"""More is asked than can be done: what is too much is sent away at once, what was acknowledged is there."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from api import bridge, http
from api.database import _given
from ledger import reader, store
from ledger.writer import Writer
from tests.audit import audited
from tests.conftest import NewDatabase
from tests.keys import as_admin
from tests.served import Book, Service, move, served
from tests.waiting import until


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture
def service(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that lets few commands and reads wait."""
    monkeypatch.setattr(bridge, "Writer", partial(Writer, queue_limit=60))
    monkeypatch.setattr(bridge, "MOST_WAITING", 5)
    with served(database) as service:
        yield service


def test_reads_beyond_those_that_may_wait_are_sent_away_at_once(service: Service, database: str) -> None:
    """503 with Retry-After while the database stands still; those that waited are answered."""
    book = service.open()
    with psycopg.connect(database) as holder, ThreadPoolExecutor(20) as pool:
        holder.execute("LOCK TABLE daybook.heads IN ACCESS EXCLUSIVE MODE")
        waiting = [pool.submit(book.call, "GET", "") for _ in range(20)]
        answered = as_completed(waiting)
        for _ in range(20 - bridge.READERS - 5):
            answer = next(answered).result()
            assert answer.status_code == 503, answer.text
            assert answer.json()["code"] == "overloaded"
            assert int(answer.headers["retry-after"]) > 0
        assert book.service.call("GET", "/health/live").status_code == 200
        holder.rollback()
        assert {future.result().status_code for future in answered} == {200}


def test_nothing_acknowledged_is_lost_under_overload(service: Service, database: str) -> None:
    """Twelve clients, which come again until they are told that it is done, keep a log of what they were
    told; the ledger has each of their transactions once, under the seq that it was acknowledged with."""
    book = service.open()
    refused = threading.Event()
    with psycopg.connect(database) as holder, ThreadPoolExecutor(12) as pool:
        holder.execute("SELECT FROM daybook.heads FOR UPDATE")
        clients = [pool.submit(client_log, book, number, refused) for number in range(12)]
        assert refused.wait(20)
        holder.rollback()
        acknowledged = {key: seq for client in clients for key, seq in client.result().items()}
    assert len(acknowledged) == 12 * 4 * 20
    stored: dict[int, str] = {}
    after = 1
    while page := book.get("/events", after=after, limit=1_000)["events"]:
        stored |= {event["seq"]: event["body"]["key"] for event in page}
        after = page[-1]["seq"]
    assert {seq: key for key, seq in acknowledged.items()} == stored
    audited(database)


def client_log(book: Book, number: int, refused: threading.Event) -> dict[str, int]:
    """Four batches of twenty, each asked for until it is answered; the seq of each key."""
    log: dict[str, int] = {}
    patience = random.Random(number)
    for batch in range(4):
        keys = [f"{number}-{batch}-{n}" for n in range(20)]
        body = {"transactions": [move("cash", "fx", 1, idempotency_key=key) for key in keys]}
        while (answer := book.call("POST", "/transactions/batch", body)).status_code != 200:
            assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
            refused.set()
            time.sleep(patience.uniform(0.0, 0.05))
        for key, result in zip(keys, answer.json()["results"], strict=True):
            assert result["status"] == 201, result
            log[key] = result["transaction"]["seq"]
    return log


def test_bodies_that_do_not_end_cannot_fill_the_memory(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what all unfinished bodies may have together, one more is sent away, and no more."""
    monkeypatch.setattr(http, "MAX_UNFINISHED_BYTES", 1_000_000)
    book = service.open()
    body = json.dumps(move("cash", "fx", 1, description="x")).encode().ljust(900_000)
    head = (
        f"POST {book.path}/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: {as_admin(service.base)['authorization']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    place = urlsplit(service.base)
    with socket.create_connection((str(place.hostname), place.port or 0), timeout=10) as slow:
        slow.sendall(head.encode() + body[:-1])
        until(lambda: http._Bodies.unfinished == len(body) - 1)
        refused = book.call(
            "POST", "/transactions", content=body, headers={"content-type": "application/json"}
        )
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        slow.sendall(body[-1:])
        assert slow.recv(65_536).startswith(b"HTTP/1.1 201")
    assert http._Bodies.unfinished == 0
    assert book.head() == 2


def test_a_read_that_takes_too_long_ends(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its statement is cut off, and the answer says to come again, while the table is still locked."""
    monkeypatch.setattr(reader, "STATEMENT_TIMEOUT", "200ms")
    with served(database) as service, psycopg.connect(database) as holder:
        book = service.open()
        holder.execute("LOCK TABLE daybook.heads IN ACCESS EXCLUSIVE MODE")
        answer = book.call("GET", "")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        holder.rollback()
        assert book.call("GET", "").status_code == 200


def test_a_statement_of_the_writer_that_takes_too_long_ends(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer gives its connection up and tries again on another; once it can, it posts, and once."""
    monkeypatch.setattr(store, "STATEMENT_TIMEOUT", "200ms")
    waiting: set[int] = set()

    def several_have_waited() -> bool:
        rows = watcher.execute(
            "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'daybook.events'::regclass"
        )
        waiting.update(pid for (pid,) in rows)
        return len(waiting) > 1

    with (
        served(database) as service,
        psycopg.connect(database, autocommit=True) as watcher,
        psycopg.connect(database) as holder,
        ThreadPoolExecutor(1) as pool,
    ):
        book = service.open()
        holder.execute("LOCK TABLE daybook.events IN EXCLUSIVE MODE")
        posted = pool.submit(book.seq, move("cash", "fx", 1))
        try:
            until(several_have_waited, 20)
        finally:
            holder.rollback()
        assert posted.result(20) == book.head() == 2
    audited(database)


def test_connections_to_a_database_that_vanished_end() -> None:
    """Also those that were made; whoever names a time of their own in the URL has it."""
    parts = conninfo_to_dict(_given("postgresql://u@db.example/books?tcp_user_timeout=5")[0])
    assert (parts["connect_timeout"], parts["keepalives_idle"], parts["tcp_user_timeout"]) == ("5", "10", "5")
