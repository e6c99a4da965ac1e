"""A projection made to notice mistakes of the engine: every range applied twice, skipped or torn shows.

`tallies` counts events by type, so that a range applied twice counts double; `tallied` has a row for every
event, whose key refuses a second one. A type in `poisonous` cannot be applied.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from ledger import commands as c
from ledger.batch import Request
from ledger.events import Event
from ledger.wire import Connection
from projections.projection import Projection, Range, Subject
from projections.workers import Workers
from tests.bookkeeping import CHART, deposit, do, done, writing

TABLES = """
CREATE TABLE projections.tallies (
    version integer NOT NULL, ledger_id integer NOT NULL, type text NOT NULL, events bigint NOT NULL,
    PRIMARY KEY (version, ledger_id, type)
) PARTITION BY LIST (version);
CREATE TABLE projections.tallied (
    version integer NOT NULL, ledger_id integer NOT NULL, seq bigint NOT NULL, time_zone text NOT NULL,
    PRIMARY KEY (version, ledger_id, seq)
) PARTITION BY LIST (version);
SELECT projections.take_in('projections.tallies'), projections.take_in('projections.tallied');
"""

APPLY = """
WITH added AS (
    SELECT seq, type FROM daybook.events
     WHERE ledger_id = %(ledger_id)s AND seq > %(after)s AND seq <= %(upto)s
), tallied AS (
    INSERT INTO projections.tallied SELECT %(version)s, %(ledger_id)s, seq, %(time_zone)s FROM added
)
INSERT INTO projections.tallies AS t
SELECT %(version)s, %(ledger_id)s, type, count(*) FROM added GROUP BY type
    ON CONFLICT (version, ledger_id, type) DO UPDATE SET events = t.events + excluded.events
"""


class Poison(Exception):
    """What this projection says of an event that it cannot apply."""


class Tallies:
    """See above; `poisonous` and `code_version` may be changed by a test."""

    name = "tallies"
    tables = ("tallies", "tallied")

    def __init__(self, poisonous: str | None = None, code_version: int = 1) -> None:
        self.poisonous = poisonous
        self.code_version = code_version

    def apply(self, connection: Connection, range: Range) -> None:
        """Count a range."""
        connection.execute(APPLY, range._asdict())
        if self.poisonous is not None:
            found = connection.execute(
                "SELECT min(seq) FROM daybook.events"
                " WHERE ledger_id = %s AND seq > %s AND seq <= %s AND type = %s",
                (range.ledger_id, range.after, range.upto, self.poisonous),
            ).fetchone()
            if found != (None,):
                raise Poison(f"{self.poisonous} between {range.after + 1} and {range.upto}")

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """One event after another."""
        types: Counter[str] = Counter()
        for event in events:
            types[event.type] += 1
            yield "tallied", (event.seq, subject.time_zone)
        for type, count in types.items():
            yield "tallies", (type, count)


def create_tables(conninfo: str) -> None:
    """The tables, as a migration would make them."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(TABLES)


def expected(conninfo: str) -> dict[str, Counter[str]]:
    """By ledger name: what the live version must hold when it has every event."""
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT name, type, seq FROM daybook.events JOIN daybook.ledgers USING (ledger_id) ORDER BY 1, 3"
        ).fetchall()
    tallies: dict[str, Counter[str]] = {}
    for name, type, _ in rows:
        tallies.setdefault(name, Counter())[type] += 1
    return tallies


def stored(conninfo: str, state: str = "live") -> dict[str, Counter[str]]:
    """By ledger name: what a version holds; its two tables must agree."""
    with psycopg.connect(conninfo) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        tallies: dict[str, Counter[str]] = {}
        for name, type, events in connection.execute(
            "SELECT l.name, type, events FROM projections.tallies JOIN projections.versions v USING (version)"
            " JOIN daybook.ledgers l USING (ledger_id) WHERE v.projection = 'tallies' AND v.state = %s",
            (state,),
        ):
            tallies.setdefault(name, Counter())[type] = events
        marked: dict[str, int] = dict(
            connection.execute(
                "SELECT l.name, count(*) FROM projections.tallied JOIN projections.versions v USING (version)"
                " JOIN daybook.ledgers l USING (ledger_id) WHERE v.projection = 'tallies' AND v.state = %s"
                " GROUP BY 1",
                (state,),
            ).fetchall()
        )
        reached: dict[str, int] = dict(
            connection.execute(
                "SELECT l.name, c.seq FROM projections.checkpoints c"
                " JOIN projections.versions v USING (projection, version)"
                " JOIN daybook.ledgers l USING (ledger_id)"
                " WHERE v.projection = 'tallies' AND v.state = %s AND c.seq > 0",
                (state,),
            ).fetchall()
        )
    assert {name: types.total() for name, types in tallies.items()} == marked == reached
    return tallies


@contextmanager
def working(conninfo: str, *projections: Projection, threads: int = 2) -> Iterator[Workers]:
    """Workers, closed at the end."""
    workers = Workers(conninfo, projections, threads=threads)
    try:
        yield workers
    finally:
        workers.close()


def ledger(conninfo: str, name: str, deposits: int) -> None:
    """Open a ledger, unless it is open, and make deposits in it."""
    with writing(conninfo) as writer:
        opening = c.LedgerOpening(name=name, chart=CHART)
        done(do(writer, opening, ledger=name, key="open"))
        if deposits:
            asked = [c.command(deposit(n % 7, 1)) for n in range(deposits)]
            writer.execute(name, Request(asked))


def caught_up(conninfo: str) -> bool:
    """Whether every live checkpoint is at its head."""
    with psycopg.connect(conninfo) as connection:
        # First, for without a version nothing is behind.
        [(versions,)] = connection.execute("SELECT count(*) FROM projections.versions").fetchall()
        [(behind,)] = connection.execute(
            "SELECT count(*) FROM daybook.heads h CROSS JOIN projections.versions v"
            " LEFT JOIN projections.checkpoints c USING (ledger_id, projection, version)"
            " WHERE v.state = 'live' AND h.seq > coalesce(c.seq, 0)"
        ).fetchall()
    return bool(versions) and not behind


@contextmanager
def worker_process(conninfo: str) -> Iterator[subprocess.Popen[bytes]]:
    """Workers in a process of their own, killed at the end if they still run."""
    command = [sys.executable, "-m", "tests.tallies", conninfo]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], env=os.environ) as process:
        try:
            yield process
        finally:
            process.kill()


def main(conninfo: str) -> None:
    """Work until killed."""
    Workers(conninfo, [Tallies()], threads=2)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])
