"""Versions of a projection: each is a set of partitions and a row that says what it is for.

Readers use the live version. Making, swapping and dropping versions are each one transaction, one at a time
in a database; nothing else of the engine changes the schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import psycopg
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


def versions(connection: Connection, names: Iterable[str]) -> list[Version]:
    """The versions of some projections, oldest first."""
    found = connection.execute(QUERIES["versions"], {"projections": list(names)})
    return [Version(*row) for row in found]


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
    return composed.Identifier(f"{table}_v{version}")
