"""Jobs: long work that somebody asks for and then asks after - rebuilds, verifications, exports.

A job is a row, and whoever runs it holds an advisory lock on its number, in the session that reports its
progress. So a job whose process died is free at once, one whose process merely stalls is not run twice, and
one whose session is lost stops at its next report. A job that is taken up again is run from its beginning:
what is already done, the work itself must know (a rebuild resumes its version; an export starts over).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Literal, NamedTuple

import psycopg
import structlog
from msgspec import Struct
from psycopg.types.json import Jsonb

from ledger.text import iso, micros
from ledger.wire import Connection
from projections.versions import connect
from sql import load as load_queries

log = structlog.get_logger(__name__)

QUERIES = load_queries("jobs.sql")

THREAD = "daybook-jobs"  # what its threads' names begin with
POLL_SECONDS = 1.0
REPORT_SECONDS = 0.25
ATTEMPTS = 5


class Job(Struct, frozen=True):
    """A job. `progress` of `total` is in units of its kind; both are known only as it goes on.

    `result` is there when it is done, `error` when it failed.
    """

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    cancelling: bool
    attempts: int
    progress: int
    total: int | None
    parameters: dict[str, Any]
    result: dict[str, Any] | None
    error: str | None
    made_at: str
    started_at: str | None
    heartbeat: str | None
    ended_at: str | None


class JobNotFound(LookupError):
    """No job has this id."""


class JobFailed(Exception):
    """The work cannot be done; the message, a sentence for whoever asked, becomes the job's error."""


class Cancelled(Exception):
    """Somebody cancelled the job, or the process is ending; raised by `report`, for the work to unwind."""


class Task(NamedTuple):
    """What a kind of job is given: the database, what was asked, and where to report.

    `report(progress, total)` may be called as often as one likes; it raises Cancelled.
    """

    conninfo: str
    parameters: dict[str, Any]
    report: Callable[[int, int | None], None]


# Returns the result, to be stored as JSON; raises JobFailed with a sentence for whoever asked.
Run = Callable[[Task], dict[str, Any]]


def ask(connection: Connection, kind: str, parameters: dict[str, Any]) -> Job:
    """Queue a job; any process that runs this kind takes it up."""
    row = connection.execute(QUERIES["ask"], {"kind": kind, "parameters": Jsonb(parameters)}).fetchone()
    assert row is not None
    return job(connection, row[0])


def job(connection: Connection, id: str) -> Job:
    """A job as it stands (JobNotFound)."""
    row = connection.execute(QUERIES["job"], {"job": id}).fetchone()
    if row is None:
        raise JobNotFound(id)
    return Job(*row[:10], *map(_at, row[10:]))


def cancel(connection: Connection, id: str) -> Job:
    """Ask a job to end; one that has ended stays as it is (JobNotFound)."""
    connection.execute(QUERIES["cancel"], {"job": id})
    return job(connection, id)


def _at(moment: datetime | None) -> Any:
    return None if moment is None else iso(micros(moment))


class Runner:
    """The threads of one process that run jobs of the given kinds, one job a thread."""

    def __init__(self, conninfo: str, kinds: Mapping[str, Run], *, threads: int = 1) -> None:
        """Starts the threads; the connections are made when they are needed."""
        self._conninfo = conninfo
        self._kinds = kinds
        self._closing = threading.Event()
        self._hinted = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"{THREAD}-{i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def hint(self) -> None:
        """A job was asked for: look soon."""
        self._hinted.set()

    def close(self) -> None:
        """End the threads. A job under way is left at its next report, for the next process."""
        self._closing.set()
        self._hinted.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(connect(self._conninfo)) as connection:
                    while not self._closing.is_set():
                        if not self._run_one(connection):
                            self._hinted.wait(POLL_SECONDS)
                            self._hinted.clear()
            except Exception as error:
                log.warning("jobs.database", error=str(error).strip())
                self._closing.wait(POLL_SECONDS)

    def _run_one(self, connection: Connection) -> bool:
        """Run the first job that nobody runs; whether there was one (psycopg.Error)."""
        for (number,) in connection.execute(QUERIES["waiting"], {"kinds": list(self._kinds)}).fetchall():
            [(locked,)] = connection.execute(QUERIES["lock"], {"number": number}).fetchall()
            if not locked:
                continue
            try:
                begun = connection.execute(QUERIES["begin"], {"number": number}).fetchone()
                if begun is not None:
                    self._run(connection, number, *begun)
                    return True
            finally:
                if not connection.closed:
                    connection.execute(QUERIES["unlock"], {"number": number})
        return False

    def _run(
        self,
        connection: Connection,
        number: int,
        id: str,
        kind: str,
        parameters: dict[str, Any],
        attempts: int,
        cancelling: bool,
    ) -> None:
        state: str
        result: dict[str, Any] | None = None
        error: str | None = None
        if cancelling:
            state = "cancelled"
        elif attempts > ATTEMPTS:
            state, error = "failed", f"The process that ran it died, {ATTEMPTS} times."
        else:
            reporter = _Reporter(connection, number, self._closing)
            try:
                result = self._kinds[kind](Task(self._conninfo, parameters, reporter.report))
                reporter.flush()
                state = "done"
            except JobFailed as failure:
                state, error = "failed", str(failure)
            except Cancelled:
                if self._closing.is_set():
                    connection.execute(QUERIES["leave"], {"number": number})
                    return
                state = "cancelled"
            except Exception as defect:
                if connection.closed or isinstance(defect, psycopg.OperationalError):
                    raise
                log.error("jobs.failed", job=id, kind=kind, exc_info=defect)
                state, error = "failed", f"{type(defect).__name__}: {' '.join(str(defect).split())}"[:500]
        values = {"number": number, "state": state, "error": error}
        connection.execute(QUERIES["end"], {**values, "result": None if result is None else Jsonb(result)})


class _Reporter:
    """Stores progress now and then; raises when the work is to end."""

    def __init__(self, connection: Connection, number: int, closing: threading.Event) -> None:
        self._connection = connection
        self._number = number
        self._closing = closing
        self._lock = threading.Lock()
        self._reported = float("-inf")
        self._last: tuple[int, int | None] = (0, None)

    def report(self, progress: int, total: int | None = None) -> None:
        """Any thread of the work may call it."""
        with self._lock:
            self._last = (progress, total)
            if self._closing.is_set():
                raise Cancelled
            if time.monotonic() - self._reported >= REPORT_SECONDS and self._store():
                raise Cancelled

    def flush(self) -> None:
        """Store the last progress."""
        with self._lock:
            self._store()

    def _store(self) -> bool:
        progress, total = self._last
        self._reported = time.monotonic()
        [(cancelling,)] = self._connection.execute(
            QUERIES["report"], {"number": self._number, "progress": progress, "total": total}
        ).fetchall()
        return bool(cancelling)
