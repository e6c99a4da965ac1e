"""The thread that settles what waits, in every process that delivers webhooks; they share the work."""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg
import structlog

from adapters.inbox.connections import connect
from adapters.inbox.settling import Settler

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.5
RETRY_SECONDS = 1.0


class Workers:
    """One thread with one connection. `close` ends it after what it is at."""

    def __init__(self, conninfo: str, settler: Settler) -> None:
        """Starts the thread."""
        self._conninfo = conninfo
        self._settler = settler
        self._closing = threading.Event()
        self._hinted = threading.Event()
        self._thread = threading.Thread(target=self._work, name="daybook-inbox", daemon=True)
        self._thread.start()

    def hint(self) -> None:
        """Something came in: look now."""
        self._hinted.set()

    def close(self) -> None:
        """Finish what is under way and end the thread. Close it before the writer that it submits to."""
        self._closing.set()
        self._hinted.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(connect(self._conninfo)) as connection:
                    while not self._closing.is_set():
                        self._hinted.clear()
                        worked = sum(
                            self._settler.settle(connection, tenant)
                            for tenant in self._settler.waiting(connection)
                            if not self._closing.is_set()
                        )
                        if not worked:
                            self._hinted.wait(POLL_SECONDS)
            except psycopg.Error as error:
                log.warning("inbox.database", error=str(error).strip())
                self._closing.wait(RETRY_SECONDS)
            except Exception as error:
                log.error("inbox.defect", exc_info=error)
                self._closing.wait(RETRY_SECONDS)
