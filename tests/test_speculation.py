"""Deciding ahead and deciding from the cache: right when the guess holds, decided again when it does not.

A writer keeps the state of a ledger and decides the next batch while the last one commits. Other writers of
the same ledger - other processes, in effect: each has its own cache and connections - make its guesses wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from ledger import batch, store
from ledger import commands as c
from ledger import writer as writer_module
from ledger.batch import Plan, Refusal, Replayed
from ledger.chart import AccountPattern, ChartDocument, Limits
from ledger.errors import Defect
from ledger.wire import Connection
from ledger.writer import Writer
from tests.audit import audited
from tests.bookkeeping import (
    USD,
    code,
    deposit,
    do,
    done,
    head_locked,
    open_ledger,
    outcomes,
    submit,
    withdrawal,
    writing,
)
from tests.clockwork import Clock


@pytest.fixture
def pair(database: str) -> Iterator[tuple[Writer, Writer]]:
    """Two writers with caches of their own; the database is audited at the end."""
    with writing(database) as one, writing(database) as other:
        open_ledger(one)
        yield one, other
    audited(database)


# ---------------------------------------------------------------- the cache


def test_a_stale_cache_does_not_spend_twice(pair: tuple[Writer, Writer]) -> None:
    """What another process spent is gone, however often the balance was seen here."""
    one, other = pair
    done(do(one, deposit(1, 100)))
    for _ in range(5):
        done(do(one, withdrawal(1, 10)))
        done(do(other, withdrawal(1, 10)))
    assert code(do(one, withdrawal(1, 1))) == "insufficient_available"
    done(do(other, deposit(1, 1)))
    done(do(one, withdrawal(1, 1)))


def test_a_stale_cache_does_not_end_a_hold_twice(pair: tuple[Writer, Writer]) -> None:
    """A hold that another process voided, a transaction that it reversed, an account that it closed."""
    one, other = pair
    done(do(one, deposit(1, 100)))
    hold = done(do(one, withdrawal(1, 10, pending=True)))
    spent = done(do(one, withdrawal(1, 10)))
    done(do(one, c.AccountOpening("customers:2")))
    done(do(other, c.HoldVoid(), hold))
    done(do(other, c.Reversal(), spent))
    done(do(other, c.AccountClosing(), "customers:2"))
    assert code(do(one, c.HoldPosting(), hold)) == "hold_already_voided"
    assert code(do(one, c.Reversal(), spent)) == "already_reversed"
    assert code(do(one, deposit(2, 1))) == "account_closed"


def test_a_stale_cache_knows_new_limits_charts_and_accounts(pair: tuple[Writer, Writer]) -> None:
    """A limit, a chart and an account set by another process count at once."""
    one, other = pair
    done(do(one, deposit(1, 100)))
    assert code(do(one, c.AccountOpening("nobody:1"))) == "account_not_in_chart"
    done(do(other, c.AccountLimits({USD: Limits(min_available=95)}), "customers:1"))
    done(do(other, c.AccountOpening("customers:2")))
    assert code(do(one, withdrawal(1, 10))) == "insufficient_available"
    assert code(do(one, c.AccountOpening("customers:2"))) == "account_exists"
    patterns = (AccountPattern("nobody:{n}", "asset"),)
    done(do(other, ChartDocument(assets=("XXX/0",), accounts=patterns)))
    done(do(one, c.AccountOpening("nobody:1")))


def test_a_rejection_that_another_process_stored_is_replayed(pair: tuple[Writer, Writer]) -> None:
    """A batch of rejections moves no seq and no root: the cache stays good, and keys are looked up anyway."""
    one, other = pair
    done(do(one, deposit(1, 100)))
    refused = do(other, withdrawal(1, 101), key="k")
    assert isinstance(refused, Refusal)
    assert do(one, withdrawal(1, 101), key="k") == Refusal(refused.rejection, replayed=True)
    assert code(do(one, withdrawal(1, 100), key="k")) == "idempotency_key_reused"


def test_equal_keys_in_two_processes_at_once_have_one_outcome(
    database: str, pair: tuple[Writer, Writer]
) -> None:
    """Rejections and events alike: one process decides a key, the other replays what it decided."""
    with head_locked(database):
        answers = [
            submit(writer, c.command(body, key=f"k{i}"))
            for i in range(100)
            for body in [deposit(1, 1) if i % 2 else withdrawal(2, 1)]
            for writer in pair
        ]
    for i, (mine, theirs) in enumerate(zip(answers[::2], answers[1::2], strict=True)):
        [first], [second] = outcomes(mine), outcomes(theirs)
        if i % 2:
            assert done(first) == done(second)
            assert isinstance(first, Replayed) != isinstance(second, Replayed)
        else:
            assert isinstance(first, Refusal)
            assert isinstance(second, Refusal)
            assert first.rejection == second.rejection
            assert first.replayed != second.replayed
    assert audited(database)["main"].posted("customers:1", USD) == 50


# ---------------------------------------------------------------- deciding ahead


class Witness:
    """Notes which plans are decided while another is being written, and which are written."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._lock = threading.Lock()
        self._writing: set[int] = set()
        self.decided: list[Plan] = []
        self.ahead: list[Plan] = []
        self.written: list[Plan] = []
        decide, write, lock_and_write = batch.decide_batch, store.write, store.lock_and_write

        def deciding(*args: Any, **kwargs: Any) -> Plan:
            with self._lock:
                during = set(self._writing)
            plan = decide(*args, **kwargs)
            with self._lock:
                self.decided.append(plan)
                if during:
                    self.ahead.append(plan)
            return plan

        @contextmanager
        def writing_it(plan: Plan) -> Iterator[None]:
            with self._lock:
                self._writing.add(id(plan))
            try:
                yield
                self.written.append(plan)
            finally:
                with self._lock:
                    self._writing.discard(id(plan))

        def writing_under_the_lock(connection: Connection, plan: Plan) -> None:
            with writing_it(plan):
                write(connection, plan)

        def writing_ahead(connection: Connection, plan: Plan, *arguments: Any) -> None:
            with writing_it(plan):
                lock_and_write(connection, plan, *arguments)

        monkeypatch.setattr(writer_module, "decide_batch", deciding)
        monkeypatch.setattr(store, "write", writing_under_the_lock)
        monkeypatch.setattr(store, "lock_and_write", writing_ahead)

    @property
    def discarded(self) -> int:
        """Plans that were decided and never written, though they hold events."""
        written = {id(plan) for plan in self.written}
        return sum(id(plan) not in written for plan in self.decided if plan.accepted)


@pytest.fixture
def witness(monkeypatch: pytest.MonkeyPatch) -> Witness:
    """A witness of the writers of this test."""
    return Witness(monkeypatch)


def load(writer: Writer, name: str, count: int) -> list[Any]:
    """Deposits and withdrawals of ten customers, all queued at once, each with a key."""
    return [
        submit(
            writer,
            c.command(
                (withdrawal if i % 3 == 2 else deposit)(i % 10, i % 7 + 1), key=f"{name}-{i}", actor=name
            ),
        )
        for i in range(count)
    ]


def acknowledged(answers: list[Any], name: str) -> dict[str, tuple[int, int]]:
    """What a client was told: its keys and the seqs of their events."""
    replies = [outcomes(answer)[0] for answer in answers]
    return {f"{name}-{i}": (done(r), 1) for i, r in enumerate(replies) if not isinstance(r, Refusal)}


def test_under_load_the_next_batch_is_decided_while_the_last_commits(database: str, witness: Witness) -> None:
    """Speculation happens, and holds: batches decided during a commit are the ones that are written."""
    with writing(database, batch_size=300) as writer:
        open_ledger(writer)
        told = acknowledged(load(writer, "a", 6_000), "a")
    written = {id(plan) for plan in witness.written}
    kept = sum(id(plan) in written for plan in witness.ahead)
    assert kept >= 3, f"{kept} of {len(witness.decided)} batches were decided ahead"
    assert audited(database)["main"].keys == told


def test_batches_decided_ahead_are_decided_again_when_another_process_writes(
    database: str, witness: Witness
) -> None:
    """Two writers under load discard guesses, and acknowledge exactly what is stored all the same."""
    with writing(database, batch_size=300) as one, writing(database, batch_size=300) as other:
        open_ledger(one)
        queued = [(load(writer, name, 4_000), name) for writer, name in ((one, "a"), (other, "b"))]
        told: dict[str, tuple[int, int]] = {}
        for answers, name in queued:
            told |= acknowledged(answers, name)
    assert witness.discarded >= 1
    assert audited(database)["main"].keys == told


@pytest.mark.parametrize("seconds", [-5, 5])
def test_batches_decided_by_a_wrong_clock_are_decided_again(
    database: str, witness: Witness, seconds: int
) -> None:
    """Where the process's clock and the database's differ, the database's counts."""
    clock = Clock(database)
    clock.shift(seconds)
    started = now(database)
    with writing(database, batch_size=300) as writer:
        open_ledger(writer)
        told = acknowledged(load(writer, "a", 3_000), "a")
    ended = now(database)
    if seconds < 0:  # forward, the last event's time is the better guess, and holds
        assert witness.discarded >= 1
    books = audited(database)["main"]
    assert books.keys == told
    recorded = [datetime.fromisoformat(event["recorded_at"]) for event in books.events.values()]
    assert started <= min(recorded)
    assert max(recorded) <= ended + timedelta(seconds=1)


def now(conninfo: str) -> datetime:
    """The database's clock."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        moment: datetime = row[0]
        return moment


def test_a_batch_decided_ahead_of_a_failure_is_decided_again(database: str, witness: Witness) -> None:
    """A batch built on a predecessor that the database refuses does not build on it."""
    with psycopg.connect(database) as connection:
        connection.execute(
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_sleep(0.2); RAISE EXCEPTION 'poison' USING ERRCODE = 'restrict_violation'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER poison BEFORE INSERT ON daybook.accounts"
            " FOR EACH ROW WHEN (NEW.address = 'customers:666') EXECUTE FUNCTION poison()"
        )
    with writing(database, batch_size=300) as writer:
        open_ledger(writer)
        with head_locked(database):
            poisoned = [submit(writer, c.command(deposit(n, 50))) for n in (1, 666, 2)]
            answers = load(writer, "a", 1_500)
        assert isinstance(poisoned[1].result(60), Defect)
        assert [done(outcomes(poisoned[i])[0]) > 1 for i in (0, 2)] == [True, True]
        told = acknowledged(answers, "a")
    assert audited(database)["main"].keys == told


def test_a_connection_lost_while_deciding_ahead_spoils_nothing(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A load that breaks off leaves no account behind as absent."""
    broken = threading.Event()
    load_accounts = store._load_accounts

    def breaking(connection: Connection, state: Any, addresses: list[str]) -> bool:
        if state.seq > 1 and "customers:1" in addresses and not broken.is_set():
            broken.set()
            with psycopg.connect(database, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        return load_accounts(connection, state, addresses)

    with writing(database) as funder:
        open_ledger(funder)
        done(do(funder, deposit(1, 100)))
    monkeypatch.setattr(store, "_load_accounts", breaking)
    with writing(database, batch_size=300) as writer:
        with head_locked(database):
            first = [submit(writer, c.command(deposit(2, 1))) for _ in range(300)]
            second = [submit(writer, c.command(withdrawal(1, 1))) for _ in range(300)]
        for answer in first:
            done(outcomes(answer)[0])
        codes = [outcomes(answer)[0] for answer in second]
    assert broken.is_set()
    assert sum(isinstance(reply, Refusal) for reply in codes) == 200
    assert audited(database)["main"].posted("customers:1", USD) == 0
