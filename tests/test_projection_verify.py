"""Verifying finds the first wrong row and names it, while events keep arriving."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
import pytest

from ledger.chart import Terms
from ledger.events import Event, EventPosting
from ledger.text import moment
from projections.assertions import Assertions
from projections.projection import Subject
from projections.verify import Verified, verify
from tests.tallies import Tallies, caught_up, create_tables, ledger, working
from tests.waiting import until


@pytest.fixture
def tallied(database: str) -> str:
    """Two ledgers, and the projection at their heads."""
    create_tables(database)
    ledger(database, "main", 60)
    ledger(database, "other", 5)
    with working(database, Tallies()):
        until(lambda: caught_up(database))
    return database


def verified(conninfo: str, ledger: str | None = None) -> dict[str, Verified]:
    """The findings by ledger."""
    return {found.ledger: found for found in verify(conninfo, Tallies(), ledger)}


def test_rows_that_follow_from_the_events_pass(tallied: str) -> None:
    """Each ledger at its checkpoint, with as many rows as there are; progress counts the events."""
    seen: list[tuple[int, int]] = []
    found = list(verify(tallied, Tallies(), None, lambda *progress: seen.append(progress)))
    assert {(v.ledger, v.seq, v.rows, v.difference) for v in found} == {
        ("main", 61, 63, None),
        ("other", 6, 8, None),
    }
    assert seen[-1] == (67, 67)
    assert verified(tallied, "other").keys() == {"other"}


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (
            "UPDATE projections.tallied SET time_zone = 'Mars/Base' WHERE seq IN (9, 7) AND ledger_id = 1",
            "tallied (seq 7): time_zone is Mars/Base, expected UTC",
        ),
        (
            "UPDATE projections.tallies SET events = 1 WHERE type = 'transaction_posted' AND ledger_id = 1",
            "tallies (type transaction_posted): events is 1, expected 60",
        ),
        (
            "DELETE FROM projections.tallied WHERE seq = 12 AND ledger_id = 1",
            "tallied (seq 12): the row is missing, expected time_zone UTC",
        ),
        (
            "INSERT INTO projections.tallied VALUES (1, 1, 62, 'UTC')",
            "tallied (seq 62): the row should not be there, it has time_zone UTC",
        ),
        (
            "UPDATE projections.checkpoints SET seq = 60 WHERE ledger_id = 1",
            "tallies (type transaction_posted): events is 60, expected 59",
        ),
    ],
)
def test_the_first_wrong_row_is_named(tallied: str, statement: str, sentence: str) -> None:
    """A value, a row too few, a row too many, a checkpoint that is not where the rows are."""
    with psycopg.connect(tallied) as connection:
        connection.execute(statement.encode())
    found = verified(tallied)
    assert str(found["main"].difference) == sentence
    assert found["other"].difference is None


def test_verifying_is_pinned_while_events_arrive(tallied: str) -> None:
    """With workers and posting going on, nothing differs, and the seq is that of the start or later."""
    ending = threading.Event()

    def post() -> None:
        while not ending.is_set():
            ledger(tallied, "main", 50)

    poster = threading.Thread(target=post)
    poster.start()
    try:
        with working(tallied, Tallies()):
            seqs = [found.seq for _ in range(8) for found in verify(tallied, Tallies(), "main")]
            seqs += [found.seq for found in verify(tallied, Slow(tallied), "main")]
            seqs += [found.seq for found in verify(tallied, Tallies(), "main")]
    finally:
        ending.set()
        poster.join()
    assert seqs == sorted(seqs)
    assert seqs[0] < seqs[-1]
    assert all(found.difference is None for found in verify(tallied, Tallies(), "main"))


class Slow(Tallies):
    """Recomputes only when the checkpoint has gone on."""

    def __init__(self, conninfo: str) -> None:
        super().__init__()
        self._conninfo = conninfo

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            until(
                lambda: (
                    connection.execute(
                        "SELECT FROM projections.checkpoints WHERE ledger_id = %s AND seq > %s",
                        (subject.ledger_id, subject.seq),
                    ).rowcount
                    == 1
                )
            )
        yield from super().recompute(events, subject)


def test_a_recomputation_that_doubles_a_row_is_a_defect(tallied: str) -> None:
    """It could hide a difference."""

    class Doubling(Tallies):
        def recompute(
            self, events: Iterable[Event], subject: Subject
        ) -> Iterator[tuple[str, tuple[Any, ...]]]:
            for row in super().recompute(events, subject):
                yield row
                yield row

    with pytest.raises(ValueError, match="recomputes a row of tallies twice"):
        list(verify(tallied, Doubling(), "other"))


def iso_of(seq: int) -> str:
    """A moment for each event, which nobody remembers."""
    return f"1970-01-01T00:00:00.{seq:06}Z"


class Bodies:
    """A ledger of an assertion and of many deposits, each of a moment of its own, made as they are read."""

    def __init__(self, deposits: int) -> None:
        self.deposits = deposits

    def __iter__(self) -> Iterator[Event]:
        yield self._event(
            1,
            "ledger_opened",
            accounts_opened={"cash": Terms("asset"), "capital": Terms("equity")},
            data={"chart": {"assets": ["USD/2"]}},
        )
        for seq in range(2, self.deposits + 2):
            debit = EventPosting("cash", "1", "USD/2", "debit")
            legs = [debit, EventPosting("capital", "1", "USD/2", "credit")]
            yield self._event(seq, "transaction_posted", postings=legs)
        said = {"account": "cash", "asset": "USD/2", "at": iso_of(2), "expected": "1", "tolerance": "0"}
        yield self._event(self.deposits + 2, "balance_asserted", data=said)

    def _event(self, seq: int, type: str, **rest: Any) -> Event:
        at = iso_of(seq)
        return Event(
            ledger="main", seq=seq, type=type, schema_version=1, effective_at=at, recorded_at=at, **rest
        )


def test_recomputing_assertions_takes_the_memory_of_the_assertions() -> None:
    """Not that of the moments at which something counts: ten times the events take no more."""

    def peak(deposits: int) -> int:
        tracemalloc.start()
        try:
            rows = list(Assertions().recompute(Bodies(deposits), Subject(1, "main", "UTC", deposits + 2)))
            assert rows == [("assertions", (deposits + 2, 1, 1, moment(2), 1, 0, 1, None))]
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)  # what is made once
    assert peak(5_000) < peak(500) + 50_000
