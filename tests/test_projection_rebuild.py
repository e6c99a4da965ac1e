"""Rebuilding beside the version that serves: it never goes away, is never torn, and can be had back.

The projection is `tests.tallies`, in which an event applied twice or never shows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from projections import rebuild as module
from projections import versions
from projections.advance import Place, advance, begin
from projections.rebuild import Differs, RebuildError, rebuild, rollback
from projections.verify import verify
from projections.versions import connect, drop_retired
from tests.bookkeeping import do, done, writing
from tests.tallies import Tallies, caught_up, create_tables, expected, ledger, stored, working
from tests.waiting import until


@pytest.fixture
def tallied(database: str) -> str:
    """Three ledgers, and the projection at their heads."""
    create_tables(database)
    for n in range(3):
        ledger(database, f"ledger-{n}", 60 + n)
    with working(database, Tallies()):
        until(lambda: caught_up(database))
    return database


def states(conninfo: str) -> dict[int, str]:
    """The versions there are."""
    with closing(connect(conninfo)) as connection:
        return {v.version: v.state for v in versions.versions(connection, ["tallies"])}


def corrupt(conninfo: str, statement: str) -> None:
    """Change rows behind the engine's back."""
    with psycopg.connect(conninfo) as connection:
        assert connection.execute(statement.encode()).rowcount == 1


WRONG = (
    "UPDATE projections.tallies SET events = events + 1 WHERE ledger_id = 2 AND type = 'transaction_posted'"
)


def test_a_rebuild_takes_the_place_of_the_live_version(tallied: str) -> None:
    """The new version has the same rows, the old one is kept, the one before it is retired."""
    seen: list[tuple[int, int]] = []
    done = rebuild(tallied, Tallies(), report=lambda *progress: seen.append(progress))
    assert (done.previous, done.version, done.compared, done.difference) == (1, 2, 3, None)
    assert done.events == sum(types.total() for types in expected(tallied).values())
    assert seen[-1] == (done.events, done.events)
    assert states(tallied) == {1: "kept", 2: "live"}
    assert stored(tallied) == stored(tallied, "kept") == expected(tallied)
    rebuild(tallied, Tallies(), workers=3)
    assert states(tallied) == {1: "retired", 2: "kept", 3: "live"}
    assert stored(tallied) == expected(tallied)


def test_a_retired_version_is_dropped_when_no_reader_can_see_it(tallied: str) -> None:
    """Not before a minute is over since it was live; not while a reader is in the way; then with its rows."""
    rebuild(tallied, Tallies())
    rebuild(tallied, Tallies())
    with closing(connect(tallied)) as connection, psycopg.connect(tallied) as reader:
        drop_retired(connection, [Tallies()])
        assert 1 in states(tallied)
        connection.execute("UPDATE projections.versions SET left_at = left_at - interval '1 minute'")
        reader.execute("SELECT FROM projections.tallies")
        drop_retired(connection, [Tallies()])
        assert 1 in states(tallied)
        reader.rollback()
        drop_retired(connection, [Tallies()])
        assert states(tallied) == {2: "kept", 3: "live"}
        assert connection.execute("SELECT to_regclass('projections.tallies_v1')").fetchone() == (None,)
        checkpoints = connection.execute("SELECT DISTINCT version FROM projections.checkpoints")
        assert sorted(checkpoints.fetchall()) == [(2,), (3,)]


def test_a_difference_is_named_and_keeps_the_swap_from_happening(tallied: str) -> None:
    """A row of the live version is wrong: refused, until the difference is accepted."""
    corrupt(tallied, WRONG)
    with pytest.raises(Differs) as refused:
        rebuild(tallied, Tallies())
    assert str(refused.value) == (
        "At seq 62 of ledger-1, tallies (type transaction_posted): events is 62, expected 61."
    )
    assert states(tallied) == {1: "live", 2: "building"}
    with pytest.raises(Differs):
        rebuild(tallied, Tallies())
    accepted = rebuild(tallied, Tallies(), accept_differences=True)
    assert accepted.resumed
    assert accepted.difference == str(refused.value)
    assert stored(tallied) == expected(tallied)


def test_other_code_may_differ(tallied: str) -> None:
    """When the code version changed, a difference is what was wanted: it is reported, and swapped."""
    corrupt(tallied, WRONG)
    assert "events is 62, expected 61" in str(rebuild(tallied, Tallies(code_version=2)).difference)
    assert stored(tallied) == expected(tallied)


def test_a_missing_and_a_surplus_row_are_differences(tallied: str) -> None:
    """Rows on one side only are named as such."""
    corrupt(tallied, "DELETE FROM projections.tallied WHERE ledger_id = 1 AND seq = 7")
    with pytest.raises(Differs, match=r"tallied \(seq 7\): the row is missing, expected time_zone UTC"):
        rebuild(tallied, Tallies())
    corrupt(tallied, "INSERT INTO projections.tallied VALUES (1, 1, 7, 'UTC')")
    corrupt(tallied, "INSERT INTO projections.tallies VALUES (1, 2, 'aaa', 3)")
    with pytest.raises(Differs, match=r"tallies \(type aaa\): the row should not be there, it has events 3"):
        rebuild(tallied, Tallies())


@contextmanager
def being_posted(conninfo: str, pause: float = 0.0) -> Iterator[None]:
    """Transactions are posted to all ledgers, and a new ledger is opened now and then."""
    ending = threading.Event()

    def post() -> None:
        for n in range(10_000):
            if ending.wait(pause):
                return
            ledger(conninfo, f"ledger-{n % 4}" if n % 5 else f"new-{n}", 20)

    thread = threading.Thread(target=post)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def test_reads_go_on_while_versions_are_swapped(tallied: str) -> None:
    """With posting, rebuilds and a rollback, a reader always sees a whole model, and never goes back."""
    ending = threading.Event()
    seen: dict[str, int] = {}
    versions_seen = set()
    torn: list[Any] = []

    def read() -> None:
        while not ending.is_set():
            with psycopg.connect(tallied) as connection:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                [(version,)] = connection.execute(
                    "SELECT version FROM projections.versions WHERE state = 'live'"
                ).fetchall()
                versions_seen.add(version)
                for name, seq, counted, marked in connection.execute(
                    "SELECT l.name, c.seq,"
                    " (SELECT sum(events) FROM projections.tallies t"
                    "   WHERE t.version = %(v)s AND t.ledger_id = l.ledger_id),"
                    " (SELECT count(*) FROM projections.tallied t"
                    "   WHERE t.version = %(v)s AND t.ledger_id = l.ledger_id)"
                    " FROM projections.checkpoints c JOIN daybook.ledgers l USING (ledger_id)"
                    " WHERE c.version = %(v)s AND c.seq > 0",
                    {"v": version},
                ).fetchall():
                    if not (seq == counted == marked) or seq < seen.get(name, 0):
                        torn.append((version, name, seq, counted, marked, seen.get(name)))
                    seen[name] = seq

    reader = threading.Thread(target=read)
    with working(tallied, Tallies()), being_posted(tallied):
        reader.start()
        for _ in range(3):
            rebuild(tallied, Tallies())
        rollback(tallied, Tallies())
        last = rebuild(tallied, Tallies()).version
        until(lambda: last in versions_seen)
        ending.set()
        reader.join()
    assert torn == []
    assert versions_seen == {1, 2, 3, 4, 5}
    with working(tallied, Tallies()):
        until(lambda: caught_up(tallied))
    assert stored(tallied) == expected(tallied)


def test_a_ledger_that_is_opened_during_a_swap_does_not_go_back(tallied: str) -> None:
    """A worker that begins a ledger while versions are swapped begins it in the one that readers then use."""
    projection = Tallies()
    begun = threading.Event()

    def work() -> None:
        with closing(connect(tallied)) as connection:
            place = Place(projection, 1, 4)
            begin(connection, place)
            advance(connection, place, 1_000)
        begun.set()

    with (
        closing(connect(tallied)) as holder,
        closing(connect(tallied)) as connection,
        ThreadPoolExecutor(2) as pool,
    ):
        with connection.transaction():
            version = versions.make(connection, projection, "building")
        with holder.transaction():
            holder.execute("SELECT FROM projections.checkpoints WHERE ledger_id = 2 FOR UPDATE")
            swapping = pool.submit(module.swap, connection, projection, 1, version)
            until(lambda: waits(tallied, connection.info.backend_pid))
            ledger(tallied, "opened-meanwhile", 5)
            beginning = pool.submit(work)
            begun.wait(0.5)
            before = seqs(tallied, 4)
        swapping.result(30)
        beginning.result(30)
    assert seqs(tallied, 4).get(version, 0) >= before.get(1, 0)
    with working(tallied, projection):
        until(lambda: caught_up(tallied))
    assert stored(tallied) == expected(tallied)


def waits(conninfo: str, pid: int) -> bool:
    """Whether a session waits for a lock."""
    with psycopg.connect(conninfo) as connection:
        [(blockers,)] = connection.execute("SELECT cardinality(pg_blocking_pids(%s))", (pid,)).fetchall()
    return bool(blockers)


def seqs(conninfo: str, ledger_id: int) -> dict[int, int]:
    """How far each version is in a ledger."""
    with psycopg.connect(conninfo) as connection:
        return dict(
            connection.execute(
                "SELECT version, seq FROM projections.checkpoints WHERE ledger_id = %s", (ledger_id,)
            ).fetchall()
        )


def test_rollback_brings_back_the_kept_version_at_the_same_seq(tallied: str) -> None:
    """What was written since is applied to it before the swap; and it can be rolled back again."""
    rebuild(tallied, Tallies())
    with working(tallied, Tallies()):
        ledger(tallied, "ledger-1", 30)
        ledger(tallied, "another", 30)
        until(lambda: caught_up(tallied))
    assert rollback(tallied, Tallies()).version == 1
    assert states(tallied) == {1: "live", 2: "kept"}
    assert stored(tallied) == stored(tallied, "kept") == expected(tallied)
    assert rollback(tallied, Tallies()).version == 2
    assert states(tallied) == {1: "kept", 2: "live"}


def test_rollback_tries_what_had_stopped_again(tallied: str) -> None:
    """A version that was kept while it had stopped comes back once its event can be applied."""
    with writing(tallied) as writer:
        done(do(writer, c.AccountLimits(limits={}), "cash", ledger="ledger-1"))
    with working(tallied, Tallies("account_limits_set")):
        until(lambda: "stopped" in [row[0] for row in checkpoint_states(tallied)])
    rebuild(tallied, Tallies())
    with working(tallied, Tallies()):
        until(lambda: caught_up(tallied))
    assert rollback(tallied, Tallies()).version == 1
    assert stored(tallied) == expected(tallied)


def test_rollback_needs_a_version_that_this_code_can_go_on_with(tallied: str) -> None:
    """Without a kept version, or with one that other code filled, it is refused."""
    with pytest.raises(RebuildError, match="has no version to go back to"):
        rollback(tallied, Tallies())
    rebuild(tallied, Tallies(code_version=2))
    with pytest.raises(RebuildError, match="was filled by code 1, and this is code 2"):
        rollback(tallied, Tallies(code_version=2))
    assert states(tallied) == {1: "kept", 2: "live"}
    rollback(tallied, Tallies())
    assert states(tallied) == {1: "live", 2: "kept"}


def test_an_event_that_cannot_be_applied_fails_the_rebuild(tallied: str) -> None:
    """The live version serves on; the error names the event; with better code the rebuild goes on."""
    with pytest.raises(RebuildError, match=r"Event 1 of ledger-\d cannot be applied: Poison"):
        rebuild(tallied, Tallies("ledger_opened"))
    assert states(tallied) == {1: "live", 2: "building"}
    assert stored(tallied) == expected(tallied)
    assert rebuild(tallied, Tallies()).resumed


def test_a_ledger_in_which_the_live_version_stopped_does_not_hinder_a_rebuild(tallied: str) -> None:
    """It is compared where it stopped; the new version goes on from there, or stops there too."""
    with writing(tallied) as writer:
        poison = done(do(writer, c.AccountLimits(limits={}), "cash", ledger="ledger-1"))
    ledger(tallied, "ledger-1", 5)
    projection = Tallies("account_limits_set")
    with working(tallied, projection):
        until(lambda: "stopped" in [row[0] for row in checkpoint_states(tallied)])
        rebuild(tallied, projection)
        until(lambda: ("stopped", poison, 2) in checkpoint_states(tallied))
    with working(tallied, Tallies()):
        rebuild(tallied, Tallies())
        until(lambda: caught_up(tallied))
    assert stored(tallied) == expected(tallied)


def checkpoint_states(conninfo: str) -> list[tuple[Any, ...]]:
    """state, error_seq and version of every checkpoint."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute("SELECT state, error_seq, version FROM projections.checkpoints").fetchall()


def test_only_one_rebuild_of_a_projection_at_a_time(tallied: str) -> None:
    """A second one is refused while the first goes on."""
    refused: list[str] = []

    def report(done: int, total: int) -> None:
        with pytest.raises(RebuildError) as second:
            rebuild(tallied, Tallies())
        refused.append(str(second.value))

    rebuild(tallied, Tallies(), report=report)
    assert set(refused) == {"tallies is being rebuilt or rolled back already."}


class Interrupted(Exception):
    """What a report raises to end a rebuild."""


def test_a_cancelled_rebuild_is_resumed(tallied: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it had applied is not applied again; live is untouched meanwhile."""
    monkeypatch.setattr(module, "RANGE_EVENTS", 10)
    monkeypatch.setattr(module, "FEW_EVENTS", 5)
    monkeypatch.setattr(module, "REPORT_SECONDS", 0.01)

    def report(done: int, total: int) -> None:
        if done > 20:
            raise Interrupted

    with pytest.raises(Interrupted):
        rebuild(tallied, Tallies(), report=report)
    assert states(tallied) == {1: "live", 2: "building"}
    assert stored(tallied) == expected(tallied)
    resumed = rebuild(tallied, Tallies())
    assert resumed.resumed
    assert resumed.events < sum(types.total() for types in expected(tallied).values())
    assert stored(tallied) == expected(tallied)


def test_a_range_that_a_killed_rebuild_still_has_under_way_is_waited_for(tallied: str) -> None:
    """Its backend holds a checkpoint: the next rebuild neither passes it by nor takes it for a difference."""

    def report(done: int, total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        rebuild(tallied, Tallies(), report=report)
    ledger(tallied, "ledger-1", 30)
    with working(tallied, Tallies()):
        until(lambda: caught_up(tallied))
    with ThreadPoolExecutor(1) as pool, psycopg.connect(tallied) as dying:
        held = dying.execute(
            "SELECT seq FROM projections.checkpoints WHERE version = 2 AND ledger_id = 2 FOR UPDATE"
        ).fetchall()
        assert held != []
        next_one = pool.submit(rebuild, tallied, Tallies())
        time.sleep(0.5)
        assert not next_one.done()
        dying.rollback()
        assert next_one.result(20).compared == 3
    assert stored(tallied) == expected(tallied)


def test_a_version_left_behind_by_other_code_is_dropped(tallied: str) -> None:
    """It cannot be gone on with."""

    def report(done: int, total: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        rebuild(tallied, Tallies(code_version=2), report=report)
    anew = rebuild(tallied, Tallies(code_version=3))
    assert not anew.resumed
    assert stored(tallied) == expected(tallied)


@pytest.mark.parametrize("kills", [3, pytest.param(12, marks=pytest.mark.torture)])
def test_killing_a_rebuild_at_any_moment_tears_nothing(tallied: str, kills: int) -> None:
    """kill -9 of the rebuilding process, with workers and posting; live is whole meanwhile and at the end."""
    random = Random(kills)
    command = [sys.executable, "-m", "tests.test_projection_rebuild", tallied]
    with working(tallied, Tallies()):
        for _ in range(kills):
            with (
                being_posted(tallied, 0.01),
                subprocess.Popen(command, cwd=Path(__file__).parents[1], env=os.environ) as process,
            ):
                until(lambda: "building" in states(tallied).values() or process.poll() is not None)
                time.sleep(random.random() * 0.4)
                process.send_signal(signal.SIGKILL)
                process.wait(10)
            assert list(states(tallied).values()).count("live") == 1
            stored(tallied)
        until(lambda: caught_up(tallied))
        until(lambda: _rebuilt(tallied))
    assert stored(tallied) == expected(tallied)
    assert all(v.difference is None for v in verify(tallied, Tallies(), None))


def _rebuilt(conninfo: str) -> bool:
    """Whether a rebuild gets through; a killed one may hold its lock until PostgreSQL has noticed."""
    try:
        rebuild(conninfo, Tallies())
    except RebuildError:
        return False
    return True


if __name__ == "__main__":
    while True:
        rebuild(sys.argv[1], Tallies())
