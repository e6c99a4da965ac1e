"""The thread that fetches Stripe's balance transactions for the ledger of Stripe's default endpoint.

Webhooks tell of money first; this settles it, and finds whatever no webhook told. Several processes may do it
at once: the ledger takes each balance transaction once.
"""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import structlog
from stripe import StripeClient, StripeError

from adapters.inbox.connections import connect
from adapters.inbox.endpoints import default_endpoint
from adapters.stripe_balance import Execute, Trouble, fetch
from adapters.stripe_objects import PROVIDER
from ledger.errors import WriterError
from ledger.reader import Reader

log = structlog.get_logger(__name__)

POLL_SECONDS = 60.0
# Longer outages are for `daybook stripe fetch --from`.
AT_FIRST = timedelta(days=30)
AGAIN = timedelta(days=3)


class BalanceWorker:
    """One thread; `close` ends it after the page that it is at."""

    def __init__(self, conninfo: str, client: StripeClient, execute: Execute) -> None:
        """Starts the thread. `execute` waits for the outcomes of a request."""
        self._conninfo = conninfo
        self._client = client
        self._execute = execute
        self._back = AT_FIRST
        self._told: set[Trouble] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="daybook-stripe", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. Close it before the writer that it asks."""
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._closing.is_set():
            try:
                self._fetch()
            except (StripeError, WriterError, psycopg.Error) as error:
                log.warning("stripe.later", error=type(error).__name__)
            except Exception as error:
                log.error("stripe.defect", exc_info=error)
            self._closing.wait(POLL_SECONDS)

    def _fetch(self) -> None:
        ledger = default_ledger(self._conninfo)
        if ledger is None:
            return
        now = datetime.now(UTC)
        with closing(Reader(self._conninfo, 1)) as reader:
            for page in fetch(
                self._client, reader, self._execute, ledger, now - self._back, now + timedelta(seconds=1)
            ):
                for trouble in page.troubles:
                    if trouble not in self._told:
                        self._told.add(trouble)
                        log.warning("stripe.not_posted", txn=trouble.txn, reason=trouble.reason)
                if self._closing.is_set():
                    return
        self._back = AGAIN


def default_ledger(conninfo: str) -> str | None:
    """The ledger that Stripe's default endpoint is of; None: there is none (psycopg.Error)."""
    with closing(connect(conninfo)) as connection:
        found = default_endpoint(connection, PROVIDER)
    return None if found is None else found.ledger
