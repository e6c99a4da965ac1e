"""Workers: threads that keep the live versions of all projections at the heads of all ledgers.

Any number of processes may run them. Polling is the truth: a look at heads and checkpoints finds what is
behind, new ledgers and new projections included. A hint (NOTIFY, or a call) only makes the next look come
sooner. Ledgers take turns: whoever has been moved least recently comes first, and none gets more than one
range at a time. Nothing is remembered between looks but whose turn it is.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta

import psycopg
import structlog

from ledger.wire import Connection
from projections.advance import Place, advance_or_stop, begin
from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.versions import QUERIES, connect, drop_retired, ensure_live

log = structlog.get_logger(__name__)

CHANNEL = "daybook_heads"
RANGE_EVENTS = 10_000
TURNS = 1_000  # places taken at a look
# Between two looks: at least, so that a steady load comes in ranges and not one by one; at most.
PAUSE_SECONDS = 0.05
POLL_SECONDS = 0.5
# A look at every ledger; the others look at those written in the last seconds.
FULL_LOOK_SECONDS = 2.0
LATELY = timedelta(seconds=5)
RETRY_SECONDS = 1.0


class Workers:
    """The workers of one process. `close` ends them, each after the range that it is at."""

    def __init__(
        self, conninfo: str, projections: Sequence[Projection] = PROJECTIONS, *, threads: int = 2
    ) -> None:
        """Starts the threads; the connections are made when they are needed."""
        self._conninfo = conninfo
        self._projections = {projection.name: projection for projection in projections}
        self._looking = threading.Lock()
        self._turns: deque[tuple[Place, bool]] = deque()
        self._looked = self._looked_fully = float("-inf")
        self._hinted = threading.Event()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"daybook-projections-{i}", daemon=True)
            for i in range(threads)
        ]
        self._threads.append(threading.Thread(target=self._listen, name="daybook-hints", daemon=True))
        for thread in self._threads:
            thread.start()

    def hint(self) -> None:
        """Something was written: look soon."""
        if not self._hinted.is_set():
            self._hinted.set()

    def close(self) -> None:
        """Finish the ranges under way and end the threads."""
        self._closing.set()
        self._hinted.set()
        for thread in self._threads:
            thread.join()

    # ------------------------------------------------------------ the threads

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(connect(self._conninfo)) as connection:
                    while not self._closing.is_set():
                        self._turn(connection)
            except psycopg.Error as error:
                log.warning("projections.database", error=str(error).strip())
                self._closing.wait(RETRY_SECONDS)
            except Exception as error:
                log.error("projections.defect", exc_info=error)
                self._closing.wait(RETRY_SECONDS)

    def _turn(self, connection: Connection) -> None:
        with self._looking:
            if not self._turns and self._look_is_due():
                self._look(connection)
            turn = self._turns.popleft() if self._turns else None
        if turn is None:
            self._wait()
            return
        place, new = turn
        if new:
            begin(connection, place)
        step = advance_or_stop(connection, place, RANGE_EVENTS)
        if step is not None and step.upto < step.head:
            self._turns.append((place, False))

    def _wait(self) -> None:
        """Until a hint, or for as long as a poll may wait; never shorter than the pause between looks."""
        since = time.monotonic() - self._looked
        if since < PAUSE_SECONDS:
            self._closing.wait(PAUSE_SECONDS - since)
        elif since < POLL_SECONDS:
            self._hinted.wait(POLL_SECONDS - since)

    def _look_is_due(self) -> bool:
        since = time.monotonic() - self._looked
        return since >= POLL_SECONDS or (since >= PAUSE_SECONDS and self._hinted.is_set())

    def _look(self, connection: Connection) -> None:
        self._hinted.clear()
        now = time.monotonic()
        self._looked = now
        since: datetime | None = None
        if now - self._looked_fully >= FULL_LOOK_SECONDS:
            self._looked_fully = now
            ensure_live(connection, self._projections.values())
            drop_retired(connection, self._projections.values())
        else:
            [(clock,)] = connection.execute(QUERIES["clock"]).fetchall()
            since = clock - LATELY
        found = connection.execute(
            QUERIES["behind"],
            {
                "projections": list(self._projections),
                "codes": [projection.code_version for projection in self._projections.values()],
                "since": since,
                "limit": TURNS,
            },
        ).fetchall()
        self._turns.extend(
            (Place(self._projections[name], version, ledger_id), new)
            for name, version, ledger_id, new in found
        )
        if len(found) == TURNS:
            self._looked_fully = float("-inf")  # there may be more
        if found:
            # Under a steady load there is always more; the next look need not wait for a hint.
            self._hinted.set()

    def _listen(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(connect(self._conninfo)) as connection:
                    connection.execute(f"LISTEN {CHANNEL}".encode())
                    while not self._closing.is_set():
                        for _ in connection.notifies(timeout=1.0, stop_after=1):
                            self._hinted.set()
            except psycopg.Error:
                self._closing.wait(RETRY_SECONDS)
