"""Hints: NOTIFY to workers in other processes that something was written. Losing one costs a poll, no event.

It is never sent by the transaction that writes, since NOTIFY makes commits wait for each other in the whole
server. A thread sends it from a connection of its own, at most twenty times a second.
"""

from __future__ import annotations

import threading
from contextlib import closing

import psycopg

from projections.versions import connect
from projections.workers import CHANNEL

PAUSE_SECONDS = 0.05
RETRY_SECONDS = 1.0


class Hints:
    """The thread that hints. `hint` costs a look at a flag."""

    def __init__(self, conninfo: str) -> None:
        """Starts the thread; the connection is made at the first hint."""
        self._conninfo = conninfo
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="daybook-hinting", daemon=True)
        self._thread.start()

    def hint(self) -> None:
        """Something was committed."""
        if not self._wanted.is_set():
            self._wanted.set()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._wanted.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            try:
                with closing(connect(self._conninfo)) as connection:
                    while not self._closing.is_set():
                        self._wanted.wait()
                        self._wanted.clear()
                        connection.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
                        self._closing.wait(PAUSE_SECONDS)
            except psycopg.Error:
                self._closing.wait(RETRY_SECONDS)
