"""The engine of projections in the service's process: workers, jobs, and questions about both.

With DAYBOOK_PROJECTIONS=off the threads are elsewhere (`daybook projections run`); this process only asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from psycopg_pool import ConnectionPool

from ledger.wire import Connection
from projections import jobs
from projections.hints import Hints
from projections.jobs import Job, Runner
from projections.kinds import KINDS
from projections.registry import PROJECTIONS
from projections.status import stopped
from projections.versions import as_projector
from projections.workers import Workers

P = ParamSpec("P")
T = TypeVar("T")

CONNECTIONS = 2
# Health may be asked by anybody, and the look passes over every checkpoint.
HEALTH_SECONDS = 2.0


class Engine:
    """The workers and job runner of one process, and its connections as daybook_projector."""

    def __init__(self, conninfo: str, *, working: bool) -> None:
        """Starts the threads if they are to work here; connections are made when they are needed."""
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            as_projector(conninfo),
            min_size=0,
            max_size=CONNECTIONS,
            timeout=10,
            kwargs={"autocommit": True},
            check=ConnectionPool.check_connection,
            open=True,
        )
        self._limiter = CapacityLimiter(CONNECTIONS)
        self._stopped: dict[str, int] = {}
        self._looked = float("-inf")
        self._workers = Workers(conninfo) if working else None
        self._hints = None if working else Hints(conninfo)
        self._runner = Runner(conninfo, KINDS) if working else None

    def hint(self) -> None:
        """Something was committed: the workers, wherever they are, may look."""
        for workers in (self._workers, self._hints):
            if workers is not None:
                workers.hint()

    async def run(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function on a connection as daybook_projector, in a thread."""

        def run() -> T:
            with self._pool.connection() as connection:
                return function(connection, *args, **kwargs)

        return await to_thread.run_sync(run, limiter=self._limiter)

    async def ask(self, kind: str, parameters: dict[str, Any]) -> Job:
        """Queue a job; here, or where the jobs run, it is taken up at once or within a second."""
        asked = await self.run(jobs.ask, kind, parameters)
        if self._runner is not None:
            self._runner.hint()
        return asked

    async def stopped(self) -> dict[str, int]:
        """The projections that have stopped, each with in how many ledgers (psycopg.Error).

        As of two seconds ago at most; who asks at the same time gets the answer before that.
        """
        now = time.monotonic()
        if now - self._looked >= HEALTH_SECONDS:
            self._looked = now
            self._stopped = await self.run(stopped, PROJECTIONS)
        return self._stopped

    async def close(self) -> None:
        """End the threads, each after the step that it is at, and close the connections."""
        for threads in (self._runner, self._workers, self._hints):
            if threads is not None:
                await to_thread.run_sync(threads.close)
        await to_thread.run_sync(self._pool.close)
