"""Time: the database's clock after the lock, however it steps; holds expire exactly, and first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Request
from ledger.errors import ClockBehind
from ledger.writer import Writer
from tests.audit import audited
from tests.bookkeeping import (
    USD,
    code,
    deposit,
    do,
    done,
    open_ledger,
    outcomes,
    submit,
    withdrawal,
    writing,
)
from tests.books import Books
from tests.clockwork import Clock


@pytest.fixture
def clock(database: str) -> Clock:
    """A clock that can be moved; ask for it before the writer."""
    return Clock(database)


@pytest.fixture
def writer(database: str, clock: Clock) -> Iterator[Writer]:
    """A writer with the ledger `main` open and no sweeper at work; the database is audited at the end."""
    with writing(database, sweep_seconds=3_600) as writer:
        open_ledger(writer)
        yield writer
    audited(database)


def recorded(books: Books) -> list[str]:
    """When each event was recorded, in seq order."""
    return [books.events[seq]["recorded_at"] for seq in sorted(books.events)]


def test_recorded_at_increases_though_the_clock_steps_back(
    database: str, clock: Clock, writer: Writer
) -> None:
    """Five seconds back: the ledger goes on, a microsecond a batch, until the clock has caught up."""
    done(do(writer, deposit(1, 1)))
    clock.shift(-5)
    for _ in range(5):
        done(do(writer, deposit(1, 1)))
    clock.shift(0)
    done(do(writer, deposit(1, 1)))
    times = recorded(audited(database)["main"])
    assert times == sorted(set(times))


def test_a_clock_far_behind_refuses_and_stores_nothing(database: str, clock: Clock, writer: Writer) -> None:
    """Twenty seconds back: no decision at a time that was not, for events and rejections alike."""
    done(do(writer, deposit(1, 1), key="k1"))
    clock.shift(-20)
    for body in (deposit(1, 1), withdrawal(1, 100)):
        with pytest.raises(ClockBehind):
            do(writer, body, key="k2")
    books = audited(database)["main"]
    assert (len(books.events), set(books.keys), books.rejected_keys) == (2, {"k1"}, set())
    clock.shift(-5)
    done(do(writer, deposit(1, 1), key="k2"))


def test_a_clock_that_steps_forward_is_followed(database: str, clock: Clock, writer: Writer) -> None:
    """An hour forward: recorded an hour later; back again: refused until the hour has passed."""
    done(do(writer, deposit(1, 1)))
    clock.shift(3_600)
    done(do(writer, deposit(1, 1)))
    clock.shift(0)
    with pytest.raises(ClockBehind):
        do(writer, deposit(1, 1))
    clock.shift(3_595)
    done(do(writer, deposit(1, 1)))
    times = recorded(audited(database)["main"])
    assert times == sorted(set(times))


def test_the_future_is_the_databases(clock: Clock, writer: Writer) -> None:
    """effective_at is compared with the database's clock, not the process's."""
    soon = datetime.now(UTC) + timedelta(seconds=30)
    assert code(do(writer, deposit(1, 1, effective_at=soon))) == "effective_at_in_future"
    clock.shift(60)
    done(do(writer, deposit(1, 1, effective_at=soon)))


# ---------------------------------------------------------------- expiry


def hold(writer: Writer, amount: int, seconds: int, customer: int = 1) -> int:
    """A hold on what a customer has; its seq."""
    return done(do(writer, withdrawal(customer, amount, pending=True, timeout_seconds=seconds)))


def test_a_hold_expires_before_anything_else_is_decided(database: str, clock: Clock, writer: Writer) -> None:
    """What a due hold kept back is available to the first command after its time; posting it is too late."""
    done(do(writer, deposit(1, 100)))
    seq = hold(writer, 100, 60)
    assert code(do(writer, withdrawal(1, 1))) == "insufficient_available"
    clock.shift(61)
    assert code(do(writer, c.HoldPosting(), seq)) == "hold_already_expired"
    done(do(writer, withdrawal(1, 100)))
    books = audited(database)["main"]
    assert [books.events[n]["type"] for n in (4, 5)] == ["hold_expired", "transaction_posted"]


def test_a_rejected_key_replays_though_a_hold_has_expired_since(clock: Clock, writer: Writer) -> None:
    """Expiry frees the money, not the key's outcome."""
    done(do(writer, deposit(1, 100)))
    hold(writer, 100, 60)
    first = do(writer, withdrawal(1, 50), key="k")
    clock.shift(61)
    assert code(do(writer, withdrawal(1, 50), key="k")) == code(first) == "insufficient_available"
    done(do(writer, withdrawal(1, 50), key="k2"))


def test_a_hold_that_ended_does_not_expire(database: str, clock: Clock, writer: Writer) -> None:
    """Neither a voided nor a fully posted hold; a hold posted in part expires with the rest."""
    done(do(writer, deposit(1, 100)))
    voided, posted, part = (hold(writer, 10, 60) for _ in range(3))
    done(do(writer, c.HoldVoid(), voided))
    done(do(writer, c.HoldPosting(), posted))
    done(do(writer, c.HoldPosting(amounts=[4, 4]), part))
    clock.shift(61)
    done(do(writer, deposit(1, 1)))
    books = audited(database)["main"]
    expired = [e["data"]["transaction"] for e in books.events.values() if e["type"] == "hold_expired"]
    assert expired == [part]
    assert books.posted("customers:1", USD) == 100 - 10 - 4 + 1


def test_five_thousand_holds_due_at_once_expire_in_order_first(
    database: str, clock: Clock, writer: Writer
) -> None:
    """In several batches, by (expires_at, seq), each effective at its expiry, before the next command."""
    done(do(writer, deposit(1, 5_000)))
    answers = []
    for batch in range(5):  # later batches expire earlier, and every batch twice over
        bodies = [
            withdrawal(1, 1, pending=True, timeout_seconds=300 - 50 * batch + i % 2) for i in range(1_000)
        ]
        answers.append(submit(writer, *[c.command(body) for body in bodies]))
    assert sum(done(outcome) > 0 for answer in answers for outcome in outcomes(answer)) == 5_000
    assert code(do(writer, withdrawal(1, 1))) == "insufficient_available"
    clock.shift(400)
    last = done(do(writer, withdrawal(1, 5_000)))
    books = audited(database)["main"]
    expired = [e for e in books.events.values() if e["type"] == "hold_expired"]
    assert len(expired) == 5_000
    assert last == len(books.events)
    order = [(e["effective_at"], e["data"]["transaction"]) for e in expired]
    assert order == sorted(order)
    assert len({e["recorded_at"] for e in expired}) >= 5


def test_the_sweeper_wakes_an_idle_ledger(database: str) -> None:
    """A hold expires though nobody asks the ledger anything."""
    with writing(database, sweep_seconds=0.1) as writer:
        open_ledger(writer)
        done(do(writer, deposit(1, 100)))
        hold(writer, 100, 1)
        assert head(database) == 3
        deadline = time.monotonic() + 10
        while head(database) == 3 and time.monotonic() < deadline:
            time.sleep(0.05)
    books = audited(database)["main"]
    assert books.events[4]["type"] == "hold_expired"
    assert len(books.events) == 4


def head(conninfo: str) -> int:
    """The last seq of the only ledger."""
    with psycopg.connect(conninfo) as connection:
        row: Any = connection.execute("SELECT seq FROM daybook.heads").fetchone()
        return int(row[0])


def test_an_empty_request_decides_nothing_but_what_is_due(
    database: str, clock: Clock, writer: Writer
) -> None:
    """What the sweeper submits expires holds and leaves no other trace."""
    done(do(writer, deposit(1, 100)))
    hold(writer, 10, 60)
    assert writer.execute("main", Request([])) == []
    assert len(audited(database)["main"].events) == 3
    clock.shift(61)
    assert writer.execute("main", Request([])) == []
    assert len(audited(database)["main"].events) == 4
