"""From the event loop to the ledger's threads and back.

Threads that wake each other for every request spend their time on that. So the requests of one turn of the
loop are queued together, and the answers of one batch, which the writer gives all at once from one of its
threads, wake the loop once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread

from adapters.buffr_client import BuffrClient
from adapters.kyc_client import KycClient, KycProvider
from api.access.gate import Gate
from api.access.keys import KeyRing
from api.couriers import Webhooks
from api.distribution import Distributor
from api.engine import Engine
from api.feeds import Feeds
from api.intake import Inbox
from api.kredit_details import Details
from api.one_core import OneCore
from api.reconcilers import Reconcilers
from api.registry import Registry
from api.settings import Work
from api.stripe_requests import StripeRequests
from ledger.batch import Outcome, Request
from ledger.errors import ClockBehind, Overloaded, WriterError
from ledger.keeping import Keeping
from ledger.reader import Reader
from ledger.writer import Answer, Writer
from projections.proving import Prover
from projections.tree_heads import Keeper, TreeHeads

if TYPE_CHECKING:
    from adapters.stripe_worker import BalanceWorker

P = ParamSpec("P")
T = TypeVar("T")

READERS = 4
# Reads that wait for a thread. Those beyond would be answered after their clients have gone.
MOST_WAITING = 400


class Bridge:
    """Writer, reader, engine, prover and key ring of one process, for coroutines of one event loop."""

    gate: Gate  # for what outlasts the look at its credentials

    def __init__(self, conninfo: str, keeping: Keeping, exports: Path, work: Work) -> None:
        """Starts the threads; the connections are made when they are needed."""
        self.reader = Reader(conninfo, READERS)
        self.exports = exports
        self.feeds = Feeds(conninfo)
        self.keys = KeyRing(conninfo)
        self._writer = Writer(conninfo)
        self.engine = Engine(conninfo, working=work.projecting)
        self.webhooks = Webhooks(
            conninfo, keeping.folder, sending=work.sending, insecure=work.insecure_webhooks
        )
        self.inbox = Inbox(
            conninfo,
            self.webhooks.vault,
            self._submit_behind,
            working=work.sending,
            stripe_secret="" if work.stripe_webhook is None else work.stripe_webhook.secret,
        )
        self.stripe = None if work.stripe is None else StripeRequests(work.stripe)
        self.registry = Registry(self.keys.pool, keeping.folder)
        self.kredit = Details(conninfo, self.webhooks.vault)
        self.kyc: KycProvider | None = None
        if work.kyc is not None:
            self.kyc = KycClient(work.kyc.url, work.kyc.key, work.kyc.callback)
        self._distributor = None
        if work.sending and work.buffr is not None:
            client = BuffrClient(work.buffr.url, work.buffr.key)
            self._distributor = Distributor(
                conninfo, client, self.reader, self._writer, self.registry, self.webhooks.vault
            )
        self.reconcilers = Reconcilers(conninfo, work, self._writer, working=work.sending)
        self.execute = self._writer.execute  # for threads that wait for the outcomes
        self._balance = self._balance_worker(conninfo, work)
        self.prover = Prover(TreeHeads(self.reader, keeping))
        self.keeper = Keeper(conninfo, keeping)
        self._loop = asyncio.get_running_loop()
        self._questions: list[tuple[str, Request, asyncio.Future[Answer]]] = []
        self._answers: deque[tuple[str, asyncio.Future[Answer], Answer]] = deque()
        self._woken = False
        self._limiter = CapacityLimiter(READERS)
        self._one_core = OneCore()
        self.clock_behind_at = float("-inf")  # time.monotonic() of the last refusal

    async def submit(self, ledger: str, request: Request) -> list[Outcome]:
        """The outcomes of a request, after its commit (WriterError)."""
        future: asyncio.Future[Answer] = self._loop.create_future()
        if not self._questions:
            self._loop.call_soon(self._ask)
        self._questions.append((ledger, request, future))
        answer = await future
        if isinstance(answer, WriterError):
            if isinstance(answer, ClockBehind):
                self.clock_behind_at = time.monotonic()
            raise answer
        return answer

    def _hint(self, ledger: str) -> None:
        self.feeds.hint(ledger)
        self.engine.hint()
        self.webhooks.hint()

    def _submit_behind(self, ledger: str, request: Request, done: Callable[[Answer], None]) -> None:
        """`Writer.submit` for a thread whose commands nobody waits for here (Overloaded)."""

        def answered(answer: Answer) -> None:
            done(answer)
            self._loop.call_soon_threadsafe(self._hint, ledger)

        self._writer.submit(ledger, request, answered)

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a read in a thread; as many at once as the reader has connections (Overloaded)."""
        if self._limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise Overloaded(f"{MOST_WAITING} reads are waiting")
        return await to_thread.run_sync(partial(function, *args, **kwargs), limiter=self._limiter)

    async def close(self) -> None:
        """Answer what is queued, then end the threads and close the connections."""
        self._one_core.close()
        if self._distributor is not None:
            await to_thread.run_sync(self._distributor.close)
        await to_thread.run_sync(self.reconcilers.close)
        await self.inbox.close()
        if self.kyc is not None:
            await to_thread.run_sync(self.kyc.close)
        await to_thread.run_sync(self.kredit.close)
        if self._balance is not None:
            await to_thread.run_sync(self._balance.close)
        await to_thread.run_sync(self._writer.close)
        await to_thread.run_sync(self.keeper.close)
        await self.webhooks.close()
        await self.engine.close()
        await to_thread.run_sync(self.reader.close)
        await self.feeds.close()
        await to_thread.run_sync(self.keys.close)

    def _balance_worker(self, conninfo: str, work: Work) -> BalanceWorker | None:
        if work.stripe is None or not work.sending:
            return None
        # Imported here: Stripe's client takes a while to load.
        from adapters.stripe_balance import client_of
        from adapters.stripe_worker import BalanceWorker

        return BalanceWorker(
            conninfo, client_of(work.stripe.secret_key, work.stripe.address), self._writer.execute
        )

    def _ask(self) -> None:
        for ledger, request, future in self._questions:
            try:
                self._writer.submit(ledger, request, partial(self._done, ledger, future))
            except WriterError as error:
                if not future.done():
                    future.set_result(error)
        self._questions.clear()

    def _done(self, ledger: str, future: asyncio.Future[Answer], answer: Answer) -> None:
        """In a thread of the writer. The append comes before the look at the flag, so none is left behind."""
        self._answers.append((ledger, future, answer))
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        written = set()
        while self._answers:
            ledger, future, answer = self._answers.popleft()
            if not isinstance(answer, WriterError):
                written.add(ledger)
            if not future.done():
                future.set_result(answer)
        for ledger in written:
            self._hint(ledger)
