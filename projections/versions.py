"""Versions of a projection: each is a set of partitions and a row that says what it is for.

Readers use the live version. Making, swapping and dropping versions are each one transaction, one at a time
in a database; nothing else of the engine changes the schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import IsolationLevel, errors
from psycopg import sql as composed
from psycopg.conninfo import make_conninfo

from ledger.wire import Connection
from projections.projection import Projection
from sql import load as load_queries

QUERIES = load_queries("projections.sql")


class Version(NamedTuple):
    """A row of `projections.versions`."""

    projection: str
    version: int
    state: str
    code_version: int
    difference: str | None


def as_projector(conninfo: str) -> str:
    """The conninfo of the engine's connections: UTC, as daybook_projector.

    Not waiting for the flush is safe here: a crash takes rows and checkpoint back together.
    """
    options = (
        "-c timezone=UTC -c client_min_messages=warning -c synchronous_commit=off -c role=daybook_projector"
    )
    return make_conninfo(conninfo, application_name="daybook projections", connect_timeout=5, options=options)


def connect(conninfo: str) -> Connection:
    """A connection of the engine, in autocommit mode (psycopg.Error)."""
    return psycopg.connect(as_projector(conninfo), autocommit=True)


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A transaction in which every statement sees what the first one saw."""
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction():
            yield
    finally:
        connection.isolation_level = None


def versions(connection: Connection, names: Iterable[str]) -> list[Version]:
    """The versions of some projections, oldest first."""
    found = connection.execute(QUERIES["versions"], {"projections": list(names)})
    return [Version(*row) for row in found]


def live_version(connection: Connection, projection: Projection) -> int:
    """The version that readers use; the first one is made if there is none."""
    ensure_live(connection, [projection])
    return next(v.version for v in versions(connection, [projection.name]) if v.state == "live")


def ensure_live(connection: Connection, projections: Iterable[Projection]) -> None:
    """Give each projection that has none its first version, which is live and catches up from seq 0."""
    wanted = {projection.name: projection for projection in projections}
    known = {version.projection for version in versions(connection, wanted)}
    for name in wanted.keys() - known:
        with connection.transaction():
            connection.execute(QUERIES["lock_versions"])
            if not versions(connection, [name]):
                make(connection, wanted[name], "live")


def make(connection: Connection, projection: Projection, state: str) -> int:
    """A new, empty version; the caller holds `lock_versions`."""
    row = connection.execute(
        QUERIES["insert_version"],
        {"projection": projection.name, "code_version": projection.code_version, "state": state},
    ).fetchone()
    assert row is not None
    version: int = row[0]
    for table in projection.tables:
        names = {"table": composed.Identifier(table), "partition": partition(table, version)}
        connection.execute(composed.SQL(QUERIES["create_partition"]).format(**names))
        connection.execute(
            composed.SQL(QUERIES["attach_partition"]).format(**names, version=composed.Literal(version))
        )
    return version


def partition(table: str, version: int) -> composed.Identifier:
    """The table that holds the rows of one version."""
    return composed.Identifier("projections", f"{table}_v{version}")


def drop(connection: Connection, projection: Projection, version: int) -> bool:
    """Drop a version with its rows, in one transaction; False: a reader is in the way, try again later."""
    key = {"projection": projection.name, "version": version}
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '200ms'")
            connection.execute(QUERIES["lock_versions"])
            for table in projection.tables:
                query = composed.SQL(QUERIES["drop_partition"])
                connection.execute(query.format(partition=partition(table, version)))
            connection.execute(QUERIES["delete_checkpoints"], key)
            connection.execute(QUERIES["delete_version"], key)
    except errors.LockNotAvailable:
        return False
    return True


def drop_retired(connection: Connection, projections: Iterable[Projection]) -> None:
    """Drop the versions that no reader can be looking at any more."""
    known = {projection.name: projection for projection in projections}
    for name, version in connection.execute(QUERIES["droppable"], {"projections": list(known)}).fetchall():
        drop(connection, known[name], version)
