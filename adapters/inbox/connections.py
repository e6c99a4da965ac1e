"""Connections of the inbox: as daybook_inbox, a transaction for one tenant at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from psycopg.conninfo import make_conninfo

from ledger.text import iso, micros
from ledger.wire import Connection
from sql import load as load_queries

QUERIES = load_queries("inbox.sql")


def as_inbox(conninfo: str) -> str:
    """The conninfo of the inbox's connections: UTC, as daybook_inbox. Commits wait for the disk."""
    options = "-c timezone=UTC -c statement_timeout=30s -c role=daybook_inbox"
    return make_conninfo(conninfo, application_name="daybook inbox", connect_timeout=5, options=options)


def connect(conninfo: str) -> Connection:
    """A connection in autocommit mode (psycopg.Error)."""
    return psycopg.connect(as_inbox(conninfo), autocommit=True)


@contextmanager
def working_for(connection: Connection, tenant: str) -> Iterator[None]:
    """A transaction that sees and writes rows of this tenant only."""
    with connection.transaction():
        connection.execute(QUERIES["work_for"], {"tenant": tenant})
        yield


def utc_now() -> datetime:
    """The clock of this process."""
    return datetime.now(UTC)


def shown(moment: datetime) -> str:
    """A moment as it is shown."""
    return iso(micros(moment))
