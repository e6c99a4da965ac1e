"""A worker's connection to PostgreSQL: made when needed, dropped when in trouble, asked for again."""

from __future__ import annotations

import time

import psycopg
import structlog

from ledger import store
from ledger.errors import Unavailable
from ledger.store import Trouble
from ledger.wire import Connection

log = structlog.get_logger(__name__)

LOCK_TIMEOUT_SECONDS = 2
PATIENCE_SECONDS = 30.0


class Link:
    """A worker's connection, made when needed and dropped when in trouble."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: Connection | None = None

    def connection(self) -> Connection:
        """The connection, as the writer role (psycopg.Error)."""
        if self._connection is None:
            self._connection = store.connect(self._conninfo, LOCK_TIMEOUT_SECONDS)
        return self._connection

    def tries(self) -> _Tries:
        """Connections to try with, until PATIENCE_SECONDS have passed without success (Unavailable)."""
        return _Tries(self)

    def failed(self, error: psycopg.Error) -> Trouble | None:
        """Leave the connection idle, or drop it; what the error means."""
        trouble = store.why(error)
        if self._connection is not None and self._connection.broken:
            trouble = Trouble.CONNECTION
        if trouble is Trouble.CONNECTION or self._connection is None:
            log.warning("writer.connection", error=type(error).__name__)
            self.drop()
            return trouble
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self.drop()
        return trouble

    def terminate_stalled(self, ledger_id: int) -> None:
        """End a transaction that has held the ledger's head for more than 10 s."""
        try:
            with store.connect(self._conninfo, LOCK_TIMEOUT_SECONDS, role=None) as connection:
                for (ended,) in connection.execute(
                    store.QUERIES["terminate_stalled"], {"ledger_id": ledger_id}
                ):
                    log.warning("writer.terminated_stalled_holder", ledger_id=ledger_id, ended=ended)
        except psycopg.Error as error:
            log.warning("writer.cannot_terminate", ledger_id=ledger_id, error=type(error).__name__)

    def drop(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Tries:
    """Iterates over a link's connections, with a pause that grows while there is none.

    What is no matter of the connection (a database without the schema) is raised at once (psycopg.Error).
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._deadline = time.monotonic() + PATIENCE_SECONDS
        self._pause = 0.05

    def __iter__(self) -> _Tries:
        return self

    def __next__(self) -> Connection:
        while True:
            if time.monotonic() > self._deadline:
                raise Unavailable("the database did not answer in time")
            try:
                return self._link.connection()
            except psycopg.Error as error:
                if self._link.failed(error) is None:
                    raise
                time.sleep(self._pause)
                self._pause = min(2 * self._pause, 1.0)
