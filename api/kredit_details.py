"""What is known of Kredit's tenants and sessions and is not for the book: contacts, where a person goes.

Each is JSON, sealed with the key outside the database. To forget one is to delete its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from ledger.vault import Vault
from sql import load as load_queries

QUERIES = load_queries("kredit.sql")
# Each waits for a provider of verifications while it asks it.
CONNECTIONS = 4
PATIENCE_SECONDS = 4.0

T = TypeVar("T")


class Details:
    """The details of an installation. Threads may share it."""

    def __init__(self, conninfo: str, vault: Vault) -> None:
        """Connections are made when they are needed."""
        self._vault = vault
        options = "-c timezone=UTC -c statement_timeout=30s -c role=daybook_access"
        self._pool: ConnectionPool[psycopg.Connection[Any]] = ConnectionPool(
            make_conninfo(conninfo, application_name="daybook kredit", connect_timeout=5, options=options),
            min_size=0,
            max_size=CONNECTIONS,
            timeout=PATIENCE_SECONDS,
            check=ConnectionPool.check_connection,
            open=True,
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def find(self, tenant: str, ledger: str, subject: str, type: type[T]) -> T | None:
        """What is known of a subject (VaultError, psycopg.Error; so do the others)."""
        with self._of(tenant, ledger, subject) as (connection, named):
            return self._find(connection, named, type)

    def keep(self, tenant: str, ledger: str, subject: str, value: Any) -> None:
        """Keep what is known of it now."""
        with self._of(tenant, ledger, subject) as (connection, named):
            self._keep(connection, named, value)

    def once(
        self, tenant: str, ledger: str, subject: str, type: type[T], make: Callable[[], T | None]
    ) -> T | None:
        """What is kept of it, else what `make` makes and is kept; one at a time, among all processes."""
        with self._of(tenant, ledger, subject) as (connection, named):
            connection.execute(QUERIES["lock_subject"], named)
            found = self._find(connection, named, type)
            if found is None:
                found = make()
                if found is not None:
                    self._keep(connection, named, found)
            return found

    @contextmanager
    def _of(
        self, tenant: str, ledger: str, subject: str
    ) -> Iterator[tuple[psycopg.Connection[Any], dict[str, Any]]]:
        named = {"tenant": tenant, "ledger": ledger, "subject": subject}
        with self._pool.connection() as connection:
            connection.execute(QUERIES["work_for"], named)
            yield connection, named

    def _find(self, connection: psycopg.Connection[Any], named: dict[str, Any], type: type[T]) -> T | None:
        row = connection.execute(QUERIES["details"], named).fetchone()
        if row is None:
            return None
        return msgspec.json.decode(self._vault.open(row[0], _owner(named)), type=type)

    def _keep(self, connection: psycopg.Connection[Any], named: dict[str, Any], value: Any) -> None:
        text = msgspec.json.encode(value).decode()
        connection.execute(QUERIES["keep_details"], named | {"sealed": self._vault.seal(text, _owner(named))})


def _owner(named: dict[str, Any]) -> str:
    return "kredit:{tenant}/{ledger}/{subject}".format(**named)
