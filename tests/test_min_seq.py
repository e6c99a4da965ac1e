"""A read that names the seq it wants to see gets it, waits for it, or is told why it cannot have it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from api import handlers
from api.problems import of_error
from ledger import commands as c
from ledger.batch import Request
from projections.advance import Place, advance, advance_or_stop, begin
from projections.reading import Behind, Stopped, position
from projections.versions import connect, ensure_live
from tests.bookkeeping import deposit, open_ledger, writing
from tests.conftest import NewDatabase
from tests.served import Service, move, served
from tests.tallies import Tallies, create_tables

READS = ("/accounts", "/accounts/cash/balances", "/accounts/cash/statement", "/transactions", "/events")


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.mark.parametrize("path", [*READS, "/trial-balance"])
def test_a_read_waits_for_the_seq_that_is_being_written(service: Service, path: str) -> None:
    """What is written while the read waits is in its answer."""
    book = service.open()
    book.seq(move("cash", "customers:1", 100))
    assert book.call("GET", path, params={"min_seq": book.head()}).status_code == 200
    wanted = book.head() + 1
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(book.call, "GET", path, params={"min_seq": wanted})
        time.sleep(0.2)
        assert not answer.done()
        assert book.seq(move("cash", "customers:1", 100)) == wanted
        assert answer.result(5).status_code == 200


def test_a_read_does_not_wait_for_ever(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seq that nobody writes: 503 with how far it is, to be asked again."""
    monkeypatch.setattr(handlers, "PATIENCE_SECONDS", 0.2)
    book = service.open()
    answer = book.call("GET", "/trial-balance", params={"min_seq": 7})
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    problem = answer.json()
    assert (problem["code"], problem["transient"]) == ("projection_behind", True)
    assert problem["evidence"] == {"projection": "head", "checkpoint": 1, "min_seq": 7}


def test_waiting_reads_keep_nobody_from_reading(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many more reads wait than there are threads; another read is answered meanwhile."""
    monkeypatch.setattr(handlers, "PATIENCE_SECONDS", 2.0)
    book = service.open()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(book.call, "GET", "/events", params={"min_seq": 9}) for _ in range(20)]
        time.sleep(0.3)
        began = time.monotonic()
        book.get("/events")
        assert time.monotonic() - began < 1
        assert {answer.result(10).status_code for answer in waiting} == {503}


@contextmanager
def reading(conninfo: str, ledger_id: int = 1) -> Iterator[psycopg.Connection[Any]]:
    """A reader's transaction about one ledger."""
    with psycopg.connect(conninfo, options="-c role=daybook_reader") as connection:
        connection.execute(
            "SELECT set_config('daybook.tenant', 'default', true), set_config('daybook.ledger_id', %s, true)",
            (str(ledger_id),),
        )
        yield connection


def test_a_projection_is_read_at_its_checkpoint(database: str) -> None:
    """Without `min_seq` where it stands; with it, that far or not at all; stopped says at which seq."""
    create_tables(database)
    with writing(database) as writer:
        open_ledger(writer)
        writer.execute("main", Request([c.command(deposit(1, 1)) for _ in range(5)]))
        writer.execute("main", Request([c.command(c.AccountLimits(limits={}), "cash")]))
    with reading(database) as reader:
        assert position(reader, 1, "tallies")[1:] == (0, 0, None)
        with pytest.raises(Behind):
            position(reader, 1, "tallies", min_seq=1)
    projection = Tallies("account_limits_set")
    with closing(connect(database)) as connection:
        ensure_live(connection, [projection])
        begin(connection, Place(projection, 1, 1))
        advance(connection, Place(projection, 1, 1), 4)
        with reading(database) as reader:
            assert position(reader, 1, "tallies", min_seq=4)[1:] == (1, 4, None)
            with pytest.raises(Behind) as behind:
                position(reader, 1, "tallies", min_seq=5)
        advance_or_stop(connection, Place(projection, 1, 1), 4)
    with reading(database) as reader:
        assert position(reader, 1, "tallies", min_seq=6)[1:] == (1, 6, 7)
        with pytest.raises(Stopped) as stopped:
            position(reader, 1, "tallies", min_seq=7)
    problem = of_error(behind.value)
    assert problem is not None
    assert problem.evidence == {"projection": "tallies", "checkpoint": 4, "min_seq": 5}
    problem = of_error(stopped.value)
    assert problem is not None
    assert (problem.code, problem.transient) == ("projection_stopped", False)
    assert problem.evidence == {"projection": "tallies", "checkpoint": 6, "error_seq": 7}
