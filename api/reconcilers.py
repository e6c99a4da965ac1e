"""Reconciliations in the service's process: the sides that it can ask, the jobs that ask them, and the clock.

A run over the API is a job: it may take hours, and whoever asked comes back to it. The thread here turns
schedules that are due into such jobs; several processes share both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psycopg
import structlog
from anyio import CapacityLimiter, to_thread

from api import reconciling
from api.bank_side import BankComparison, Statement, run_name
from api.settings import Work
from api.sides import Asking, Side, SideUnavailable, sides_of
from ledger.errors import LedgerNotFound, Overloaded, WriterError
from ledger.reader import Reader
from ledger.reconciliation.streams import Run
from ledger.reconciliation_reads import view
from ledger.writer import Writer
from projections import reconciliation_schedules as schedules
from projections.jobs import JobFailed, Runner, Task
from projections.versions import connect

log = structlog.get_logger(__name__)

POLL_SECONDS = 5.0
STATEMENTS = 2  # compared at once; others wait, each with its file on disk
MOST_COMING = 8


class Reconcilers:
    """What this process reconciles with; if it is to work here, the threads that do."""

    def __init__(self, conninfo: str, work: Work, writer: Writer, *, working: bool) -> None:
        """Starts the threads. Close it before the writer."""
        self._conninfo = conninfo
        self._writer = writer
        self._reader = Reader(conninfo, STATEMENTS + 2)
        self._limiter = CapacityLimiter(STATEMENTS)
        self.sides = sides_of(work, conninfo)
        self._coming = 0
        self._closing = threading.Event()
        self._runner: Runner | None = None
        self._thread: threading.Thread | None = None
        if working and self.sides:
            kinds = {schedules.kind_of(side): self._job(found) for side, found in self.sides.items()}
            self._runner = Runner(conninfo, kinds, threads=len(kinds))
            self._thread = threading.Thread(target=self._watch, name="daybook-schedules", daemon=True)
            self._thread.start()

    def hint(self) -> None:
        """A job was asked for."""
        if self._runner is not None:
            self._runner.hint()

    def serves(self, side: str, ledger: str) -> bool:
        """Whether a ledger, by its whole name, may be compared with a side over the API (psycopg.Error)."""
        found = self.sides.get(side)
        return found is not None and found.serves(ledger)

    @contextmanager
    def room(self) -> Iterator[None]:
        """For a statement on its way in, on this machine's disk (Overloaded)."""
        if self._coming >= MOST_COMING:
            raise Overloaded(f"{MOST_COMING} statements are coming in")
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def statement(
        self, ledger: str, account: str, statement: Statement, window_days: int, name: str | None
    ) -> Run:
        """The finished run of a bank statement (StatementError, RunRefused, LedgerNotFound)."""

        def run() -> Run:
            comparison = BankComparison(self._reader, ledger, account, statement, window_days)
            with TemporaryDirectory(prefix="daybook-reconcile-") as folder:
                return reconciling.run(
                    self._writer,
                    self._reader,
                    ledger,
                    name or run_name(comparison.about, statement),
                    comparison,
                    Path(folder),
                    lambda count: None,
                )

        return await to_thread.run_sync(run, limiter=self._limiter)

    def close(self) -> None:
        """End the threads; a run under way is gone on with by the next process."""
        self._closing.set()
        if self._runner is not None:
            self._runner.close()
        if self._thread is not None:
            self._thread.join()
        self._reader.close()

    def wait(self, told: Callable[[int], None]) -> list[tuple[str, str, str]]:
        """Until nothing is due and no job waits; `told` how many there are, now and then (psycopg.Error).

        The ledgers and sides whose scheduled run failed, and why: it is tried again ten minutes later.
        """
        with closing(connect(self._conninfo)) as connection:
            while True:
                now = datetime.now(UTC)
                schedules.ask_due(connection, self.sides, now)
                self.hint()
                count = schedules.waiting(connection, self.sides, now)
                told(count)
                if not count:
                    return schedules.failed(connection, self.sides)
                self._closing.wait(0.2)

    def _watch(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(connect(self._conninfo)) as connection:
                    while not self._closing.is_set():
                        if schedules.ask_due(connection, self.sides, datetime.now(UTC)):
                            self.hint()
                        self._closing.wait(POLL_SECONDS)
            except psycopg.Error as error:
                log.warning("schedules.database", error=str(error).strip())
                self._closing.wait(POLL_SECONDS)
            except Exception as error:
                log.error("schedules.defect", exc_info=error)
                self._closing.wait(POLL_SECONDS)

    def _job(self, side: Side) -> Callable[[Task], dict[str, Any]]:
        def run(task: Task) -> dict[str, Any]:
            asked = task.parameters
            start, end = (datetime.fromisoformat(asked[name]) for name in ("start", "end"))

            def report(count: int) -> None:
                task.report(count, None)

            asking = Asking(
                self._writer, self._reader, asked["ledger"], start, end, asked["run"], asked["anew"], report
            )
            try:
                done = side.run(asking)
            except SideUnavailable as error:
                raise JobFailed(str(error)) from error
            except reconciling.RunRefused as error:
                raise JobFailed(f"Refused: {error.rejection.code}.") from error
            except LedgerNotFound as error:
                raise JobFailed(f"There is no ledger {error}.") from error
            except WriterError as error:
                raise JobFailed(f"The ledger does not answer: {type(error).__name__}.") from error
            result: dict[str, Any] = msgspec.to_builtins(view(done))
            return result

        return run
