"""Several processes write one ledger at once: every one is told the truth, and nothing is done twice."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.audit import audited
from tests.bookkeeping import deposit, do, done, head_locked, open_ledger, writing
from tests.books import Books
from tests.driver import CUSTOMERS, Told, client, read_log

SHARED = 5  # of ten


def prepare(database: str) -> int:
    """A ledger whose customers have something; its last seq."""
    with writing(database) as writer:
        open_ledger(writer)
        return [done(do(writer, deposit(n, 500))) for n in range(CUSTOMERS)][-1]


def run_together(database: str, folder: Path, names: list[str], count: int) -> list[Told]:
    """All clients at the same time, each to its end; none gets on before the last one has begun."""
    with ExitStack() as stack:
        with head_locked(database):
            processes = [
                stack.enter_context(client(database, folder / name, name, count, SHARED)) for name in names
            ]
            deadline = time.monotonic() + 8
            while not all((folder / name).exists() for name in names) and time.monotonic() < deadline:
                time.sleep(0.05)
        assert [process.wait(240) for process in processes] == [0] * len(names)
    return [read_log(folder / name) for name in names]


def reconcile(books: Books, before: int, told: list[Told]) -> None:
    """What the clients were told together is exactly what is stored."""
    assert all(each.finished for each in told)
    accepted: dict[str, tuple[int, int]] = {}
    for each in told:
        for key, place in each.accepted.items():
            assert accepted.setdefault(key, place) == place, f"{key} has two outcomes"
    assert accepted == books.keys
    recorded = Counter(key for each in told for key in each.recorded)
    assert set(recorded) == set(books.keys)
    assert set(recorded.values()) == {1}, "a key was told to be new twice"
    for each in told:
        for key, code in each.refused.items():
            if code != "idempotency_key_reused":
                assert key in books.rejected_keys
                assert key not in books.keys
    expired = sum(event["type"] == "hold_expired" for event in books.events.values())
    assert len(books.events) == before + len(books.keys) + expired


@pytest.mark.parametrize("count", [500, pytest.param(6_000, marks=pytest.mark.torture)])
def test_several_processes_keep_one_ledger_together(database: str, tmp_path: Path, count: int) -> None:
    """Random transfers, holds, parts, voids and reversals of four processes, many under shared keys."""
    before = prepare(database)
    told = run_together(database, tmp_path, ["a", "b", "c", "d"], count)
    books = audited(database)["main"]
    reconcile(books, before, told)
    types = {event["type"] for event in books.events.values()}
    assert types >= {"hold_posted", "hold_voided", "transaction_reversed"}
    shared = [{key for key in each.recorded if key.startswith("shared")} for each in told]
    assert sum(bool(keys) for keys in shared) >= 2, "the processes did not meet"
    assert "idempotency_key_reused" in {code for each in told for code in each.refused.values()}


def test_a_reader_that_has_seen_a_seq_never_meets_a_new_event_below_it(database: str, tmp_path: Path) -> None:
    """While processes write, every look at the book is a prefix of the next: seqs 1 to head, all there."""
    prepare(database)
    with ExitStack() as stack:
        processes = [stack.enter_context(client(database, tmp_path / n, n, 300)) for n in ("a", "b")]
        connection = stack.enter_context(psycopg.connect(database, autocommit=True))
        seen: dict[int, bytes] = {}
        looks = 0
        while any(process.poll() is None for process in processes):
            rows = connection.execute("SELECT seq, leaf FROM daybook.events").fetchall()
            now: dict[int, bytes] = dict(rows)
            assert sorted(now) == list(range(1, len(rows) + 1))
            assert seen.items() <= now.items()
            looks += len(now) > len(seen)
            seen = now
        assert [process.returncode for process in processes] == [0, 0]
    assert looks >= 3
    audited(database)
