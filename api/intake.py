"""The inbox in the service's process: its connections, and the thread that settles what came in."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Concatenate, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from psycopg_pool import ConnectionPool

from adapters.inbox.connections import as_inbox
from adapters.inbox.settling import Settler, Submit
from adapters.inbox.workers import Workers
from ledger.errors import Overloaded
from ledger.vault import Vault
from ledger.wire import Connection

P = ParamSpec("P")
T = TypeVar("T")

CONNECTIONS = 4
MOST_WAITING = 100  # for a connection; each may hold a webhook of a megabyte
# Providers wait for seconds, and send again.
PATIENCE_SECONDS = 4.0
HEALTH_SECONDS = 2.0
LATE = timedelta(minutes=1)


class Inbox:
    """The inbox's connections in one process, and the thread that settles webhooks if it is to work here."""

    def __init__(
        self, conninfo: str, vault: Vault, submit: Submit, *, working: bool, stripe_secret: str = ""
    ) -> None:
        """Starts the thread; connections are made when they are needed.

        `stripe_secret`: what Stripe's default endpoint gets that is made without one.
        """
        self.vault = vault
        self.stripe_secret = stripe_secret
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            as_inbox(conninfo),
            min_size=0,
            max_size=CONNECTIONS,
            timeout=PATIENCE_SECONDS,
            kwargs={"autocommit": True},
            check=ConnectionPool.check_connection,
            open=True,
        )
        self._limiter = CapacityLimiter(CONNECTIONS)
        self.settler = Settler(submit)
        self._late = 0
        self._looked = float("-inf")
        self._workers = Workers(conninfo, self.settler) if working else None

    def hint(self) -> None:
        """Something came in."""
        if self._workers is not None:
            self._workers.hint()

    async def run(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a function on a connection as daybook_inbox, in a thread (Overloaded)."""
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise Overloaded(f"{MOST_WAITING} wait for the inbox")

        def run() -> T:
            with self._pool.connection() as connection:
                return function(connection, *args, **kwargs)

        return await to_thread.run_sync(run, limiter=self._limiter)

    async def late(self) -> int:
        """How many tenants have webhooks that nobody has settled in time (psycopg.Error, Overloaded).

        As of two seconds ago at most; who asks at the same time gets the answer before that.
        """
        now = time.monotonic()
        if now - self._looked >= HEALTH_SECONDS:
            self._looked = now
            self._late = len(await self.run(self.settler.waiting, LATE))
        return self._late

    async def close(self) -> None:
        """End the thread after what it is at, and close the connections."""
        if self._workers is not None:
            await to_thread.run_sync(self._workers.close)
        await to_thread.run_sync(self._pool.close)
