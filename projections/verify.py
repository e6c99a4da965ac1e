"""Verifying a read model: recompute it from the event bodies, and name the first row that differs.

The stored rows are copied, with the checkpoint that they belong to, in one short snapshot; then the bodies of
events 1 .. checkpoint are folded by the projection's naive `recompute` into a second temporary table. Events
and workers go on meanwhile: what is compared is pinned at a seq, and no snapshot is held while folding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

from msgspec import Struct
from psycopg import sql as composed

from ledger.errors import LedgerNotFound
from ledger.events import Event, read_event
from ledger.wire import Connection
from projections.compare import Columns, Difference, columns, first_difference
from projections.projection import Projection, Subject
from projections.versions import QUERIES, connect, live_version, partition, snapshot

PAGE = 2_000
ROWS = 5_000

Report = Callable[[int, int], None]


class Verified(Struct, frozen=True, kw_only=True):
    """What verifying one projection of one ledger found, at which seq; no finding: all is right.

    `rows` were recomputed; null where nobody counts them.
    """

    projection: str
    ledger: str
    version: int
    seq: int
    rows: int | None
    difference: Difference | None
    finding: str | None


def subjects(connection: Connection, projection: Projection, ledger: str | None) -> list[Subject]:
    """The ledgers to verify, each with the checkpoint that its live version has now."""
    version = live_version(connection, projection)
    found = connection.execute(
        QUERIES["ledgers"], {"projection": projection.name, "version": version, "ledger": ledger}
    )
    return [Subject(id, name, time_zone, seq) for id, name, time_zone, _, seq in found]


def verify(
    conninfo: str, projection: Projection, ledger: str | None, report: Report = lambda done, total: None
) -> Iterator[Verified]:
    """Verify one projection, ledger by ledger (LedgerNotFound, psycopg.Error).

    `report(events done, events in all)` is called as it goes on, and may raise to end it.
    """
    with closing(connect(conninfo)) as connection:
        chosen = subjects(connection, projection, ledger)
        if ledger is not None and not chosen:
            raise LedgerNotFound(ledger)
        total = sum(subject.seq for subject in chosen)
        before = 0
        for subject in chosen:
            verified = _verify(connection, projection, subject, _from(report, before, total))
            before += subject.seq
            report(before, total)
            yield verified


def _from(report: Report, before: int, total: int) -> Callable[[int], None]:
    return lambda done: report(min(before + done, total), total)


def _verify(
    connection: Connection, projection: Projection, subject: Subject, report: Callable[[int], None]
) -> Verified:
    key = {"projection": projection.name, "ledger_id": subject.ledger_id}
    version, seq = _copy_stored(connection, projection, key)
    subject = subject._replace(seq=seq)
    shape = {table: columns(connection, table) for table in projection.tables}
    for table in projection.tables:
        _run(connection, "temporary_recomputed", table)
    counts = dict.fromkeys(projection.tables, 0)
    waiting: dict[str, list[tuple[Any, ...]]] = {table: [] for table in projection.tables}
    for table, row in projection.recompute(_Events(connection, subject, report), subject):
        waiting[table].append((version, subject.ledger_id, *row))
        counts[table] += 1
        if len(waiting[table]) >= ROWS:
            _load(connection, table, shape[table], waiting[table])
    for table, rows in waiting.items():
        _load(connection, table, shape[table], rows)
    difference = _compare(connection, projection, subject.ledger_id, counts)
    for table in projection.tables:
        _run(connection, "drop_temporary", table)
    return Verified(
        projection=projection.name,
        ledger=subject.name,
        version=version,
        seq=seq,
        rows=sum(counts.values()),
        difference=difference,
        finding=None if difference is None else str(difference),
    )


def _copy_stored(connection: Connection, projection: Projection, key: dict[str, Any]) -> tuple[int, int]:
    """Copy the rows of the live version, and its checkpoint, in one snapshot."""
    with snapshot(connection):
        version = live_version(connection, projection)
        found = connection.execute(QUERIES["checkpoint"], {**key, "version": version}).fetchone()
        for table in projection.tables:
            _run(connection, "temporary_stored", table, partition(table, version), key)
    return version, found[0] if found is not None else 0


class _Events:
    """The events of a subject, page by page, read anew by each iteration; reports what was first seen."""

    def __init__(self, connection: Connection, subject: Subject, report: Callable[[int], None]) -> None:
        self._connection = connection
        self._subject = subject
        self._report = report
        self._seen = 0

    def __iter__(self) -> Iterator[Event]:
        after = 0
        while after < self._subject.seq:
            upto = min(after + PAGE, self._subject.seq)
            page = {"ledger_id": self._subject.ledger_id, "after": after, "upto": upto}
            for (body,) in self._connection.execute(QUERIES["bodies"], page).fetchall():
                yield read_event(body)
            after = upto
            self._seen = max(self._seen, after)
            self._report(self._seen)


def _load(connection: Connection, table: str, shape: Columns, rows: list[tuple[Any, ...]]) -> None:
    names = composed.SQL(", ").join(map(composed.Identifier, ["version", "ledger_id", *shape.all]))
    query = composed.SQL(QUERIES["copy_recomputed"]).format(table=_recomputed(table), columns=names)
    with connection.cursor() as cursor, cursor.copy(query) as copy:
        for row in rows:
            copy.write_row(row)
    rows.clear()


def _compare(
    connection: Connection, projection: Projection, ledger_id: int, counts: dict[str, int]
) -> Difference | None:
    for table in projection.tables:
        found = first_difference(connection, table, ledger_id, _stored(table), _recomputed(table))
        if found is not None:
            return found
        count = composed.SQL(QUERIES["count"]).format(table=_stored(table))
        [(rows,)] = connection.execute(count).fetchall()
        if rows != counts[table]:
            raise ValueError(f"{projection.name} recomputes a row of {table} twice")
    return None


def _stored(table: str) -> composed.Identifier:
    return composed.Identifier("pg_temp", f"stored_{table}")


def _recomputed(table: str) -> composed.Identifier:
    return composed.Identifier("pg_temp", f"recomputed_{table}")


def _run(
    connection: Connection,
    query: str,
    table: str,
    part: composed.Identifier | None = None,
    key: dict[str, Any] | None = None,
) -> None:
    names = {
        "stored": _stored(table),
        "recomputed": _recomputed(table),
        "table": composed.Identifier(table),
        "partition": part or _stored(table),
    }
    connection.execute(composed.SQL(QUERIES[query]).format(**names), key)
