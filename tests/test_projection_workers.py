"""The engine of projections: every event is applied once, whoever dies, and what cannot be applied stops.

The projection is `tests.tallies`, in which an event applied twice or never shows.
"""

from __future__ import annotations

import signal
import time
from contextlib import closing
from functools import partial
from random import Random
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from projections import advance as engine
from projections import workers
from projections.advance import Place, advance
from projections.hints import Hints
from projections.rebuild import rebuild
from projections.versions import connect, ensure_live
from tests.bookkeeping import do, done, writing
from tests.forgery import about
from tests.tallies import (
    Tallies,
    caught_up,
    create_tables,
    expected,
    ledger,
    stored,
    worker_process,
    working,
)
from tests.waiting import until


@pytest.fixture
def tallied(database: str) -> str:
    """A database with the tables of the projection."""
    create_tables(database)
    return database


def counted(conninfo: str) -> int:
    """How many events have been counted in all."""
    return sum(types.total() for types in stored(conninfo).values())


def reached(conninfo: str, wanted: int) -> bool:
    """Whether so many have been."""
    return counted(conninfo) >= wanted


def checkpoints(conninfo: str) -> list[tuple[Any, ...]]:
    """seq, state, error_seq of every checkpoint, by ledger."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT seq, state, error_seq FROM projections.checkpoints ORDER BY ledger_id"
        ).fetchall()


def test_workers_find_projections_and_ledgers_by_themselves(tallied: str) -> None:
    """A projection without a version, and ledgers opened before and after, are brought to their heads."""
    ledger(tallied, "before", 300)
    with working(tallied, Tallies()):
        ledger(tallied, "after", 20)
        until(lambda: caught_up(tallied))
        assert stored(tallied) == expected(tallied)
        assert stored(tallied).keys() == {"before", "after"}


def test_how_ranges_are_cut_does_not_matter(tallied: str) -> None:
    """One event at a time or all at once: the same rows, and a bound is kept."""
    ledger(tallied, "main", 30)
    projection = Tallies()
    with closing(connect(tallied)) as connection:
        ensure_live(connection, [projection])
        place = Place(projection, 1, 1)
        engine.begin(connection, place)
        for size in (1, 2, 5, 3):
            step = advance(connection, place, size)
            assert step is not None
            assert step.upto - step.after == size
        bounded = advance(connection, place, 1_000, bound=20)
        assert bounded is not None
        assert bounded[:2] == (11, 20)
        assert advance(connection, place, 1_000, bound=20) is None
        advance(connection, place, 1_000)
    assert stored(tallied) == expected(tallied)


def test_two_workers_never_apply_the_same_range(tallied: str) -> None:
    """While one worker is at a checkpoint, another leaves it alone, and does not wait."""
    ledger(tallied, "main", 10)
    projection = Tallies()
    with closing(connect(tallied)) as one, closing(connect(tallied)) as other:
        ensure_live(one, [projection])
        place = Place(projection, 1, 1)
        engine.begin(one, place)
        with one.transaction():
            assert advance(one, place, 4) is not None
            assert advance(other, place, 4) is None
        after = advance(other, place, 4)
        assert after is not None
        assert after[:2] == (4, 8)


def test_many_workers_share_many_ledgers(tallied: str) -> None:
    """Several threads in two sets of workers, with writing going on: every event is counted once."""
    names = [f"ledger-{n}" for n in range(12)]
    with working(tallied, Tallies(), threads=3), working(tallied, Tallies(), threads=3):
        for name in names * 3:
            ledger(tallied, name, 40)
        until(lambda: caught_up(tallied))
    assert stored(tallied) == expected(tallied)
    assert stored(tallied).keys() == set(names)


def test_ledgers_take_turns(tallied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger with much to do does not keep others waiting: each has a range at a time."""
    monkeypatch.setattr(workers, "RANGE_EVENTS", 10)
    ledger(tallied, "long", 600)
    for n in range(5):
        ledger(tallied, f"short-{n}", 12)
    with working(tallied, Tallies(), threads=1):
        until(lambda: caught_up(tallied))
    with psycopg.connect(tallied) as connection:
        order = connection.execute(
            "SELECT name FROM projections.checkpoints JOIN daybook.ledgers USING (ledger_id)"
            " ORDER BY moved_at"
        ).fetchall()
    assert order == [*((f"short-{n}",) for n in range(5)), ("long",)]
    assert stored(tallied) == expected(tallied)


def test_workers_leave_alone_what_later_code_has_filled(tallied: str) -> None:
    """Of two releases that run at once, the older one's workers would add rows that mean something else."""
    ledger(tallied, "main", 5)
    with working(tallied, Tallies()):
        until(lambda: caught_up(tallied))
    rebuild(tallied, Tallies(code_version=2))
    ledger(tallied, "main", 5)
    with working(tallied, Tallies()):
        time.sleep(0.5)
    assert (6, "running", None) in checkpoints(tallied)
    assert not caught_up(tallied)
    with working(tallied, Tallies(code_version=3)):
        until(lambda: caught_up(tallied))
    assert stored(tallied) == expected(tallied)


def test_a_poison_event_stops_its_projection_at_its_seq(tallied: str) -> None:
    """What precedes it is applied, the state says where and why, and other ledgers go on."""
    ledger(tallied, "poisoned", 37)
    with writing(tallied) as writer:
        poison = done(do(writer, c.AccountLimits(limits={}), "cash", ledger="poisoned"))
    ledger(tallied, "poisoned", 50)
    ledger(tallied, "healthy", 5)
    with working(tallied, Tallies("account_limits_set")):
        until(lambda: [row[1] for row in checkpoints(tallied)] == ["stopped", "running"])
        ledger(tallied, "healthy", 5)
        until(lambda: stored(tallied)["healthy"] == expected(tallied)["healthy"])
    assert checkpoints(tallied)[0] == (poison - 1, "stopped", poison)
    assert stored(tallied)["poisoned"].total() == poison - 1
    with psycopg.connect(tallied) as connection:
        [(error,)] = connection.execute(
            "SELECT error FROM projections.checkpoints WHERE state = 'stopped'"
        ).fetchall()
    assert error == f"Poison: account_limits_set between {poison} and {poison}"


def test_a_stopped_projection_resumes_when_told(tallied: str) -> None:
    """Nothing retries by itself; once the code can apply the event, `resume` lets it go on to the head."""
    ledger(tallied, "main", 3)
    with working(tallied, Tallies("ledger_opened")):
        until(lambda: [row[1] for row in checkpoints(tallied)] == ["stopped"])
    assert checkpoints(tallied) == [(0, "stopped", 1)]
    mended = Tallies()
    with working(tallied, mended):
        time.sleep(0.7)
        assert checkpoints(tallied) == [(0, "stopped", 1)]
        with closing(connect(tallied)) as connection:
            assert engine.resume(connection, [mended.name]) == 1
        until(lambda: caught_up(tallied))
    assert stored(tallied) == expected(tallied)


def test_trouble_of_the_database_is_not_poison(tallied: str) -> None:
    """A lock that cannot be had, or a lost connection, changes nothing and stops nothing."""
    ledger(tallied, "main", 3)
    projection = Tallies()
    with closing(connect(tallied)) as connection, psycopg.connect(tallied) as obstacle:
        ensure_live(connection, [projection])
        place = Place(projection, 1, 1)
        engine.begin(connection, place)
        obstacle.execute("LOCK TABLE projections.tallies_v1 IN ACCESS EXCLUSIVE MODE")
        connection.execute("SET lock_timeout = '50ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            engine.advance_or_stop(connection, place, 100)
        obstacle.rollback()
        assert checkpoints(tallied) == [(0, "running", None)]


def test_a_hint_brings_workers_before_they_would_have_looked(
    tallied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes by NOTIFY from a connection of its own; the next poll is a minute away."""
    monkeypatch.setattr(workers, "POLL_SECONDS", 60.0)
    ledger(tallied, "main", 1)
    with working(tallied, Tallies()), closing(Hints(tallied)) as hints:
        until(lambda: caught_up(tallied))
        for _ in range(3):
            ledger(tallied, "main", 5)

            def hinted_at() -> bool:
                hints.hint()
                return caught_up(tallied)

            until(hinted_at, 20)
    assert stored(tallied) == expected(tallied)


def test_the_projector_cannot_write_the_book(tallied: str) -> None:
    """The role that applies events has no way to change them."""
    ledger(tallied, "main", 1)
    with closing(connect(tallied)) as connection:
        for statement in (
            "INSERT INTO daybook.ledgers (name, public_id) VALUES ('x', gen_random_uuid())",
            "UPDATE daybook.heads SET seq = seq + 1",
            "DELETE FROM daybook.events",
            "TRUNCATE daybook.postings",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_a_reader_sees_the_read_models_of_its_own_ledger(tallied: str) -> None:
    """Row-level security on tables and checkpoints; partitions cannot be read around it."""
    ledger(tallied, "mine", 3)
    ledger(tallied, "other", 5)
    with working(tallied, Tallies()):
        until(lambda: caught_up(tallied))
    with psycopg.connect(tallied, options="-c role=daybook_reader") as reader:
        about(reader, None)
        [(mine,)] = reader.execute("SELECT ledger_id FROM daybook.ledgers WHERE name = 'mine'").fetchall()
        for table in ("tallies", "tallied", "checkpoints"):
            query = f"SELECT DISTINCT ledger_id FROM projections.{table}".encode()
            about(reader, None)
            assert reader.execute(query).fetchall() == []
            about(reader, mine)
            assert reader.execute(query).fetchall() == [(mine,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("SELECT FROM projections.tallies_v1")
        reader.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute("DELETE FROM projections.tallies")


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.torture)])
def test_killing_workers_skips_and_doubles_nothing(tallied: str, kills: int) -> None:
    """kill -9 of one of two worker processes, again and again, under load; then all is there once."""
    random = Random(kills)
    ledger(tallied, "main", 1)
    with worker_process(tallied):
        for kill in range(kills):
            with worker_process(tallied) as victim:
                wanted = counted(tallied) + 1
                ledger(tallied, f"ledger-{kill % 3}", 300)
                until(partial(reached, tallied, wanted))
                ledger(tallied, "main", random.randrange(500))
                time.sleep(random.random() / 10)
                victim.send_signal(signal.SIGKILL)
                assert victim.wait(10) == -signal.SIGKILL
        until(lambda: caught_up(tallied))
    assert stored(tallied) == expected(tallied)
