"""Stripe's balance: fetched by its official client, and posted one balance transaction after another.

Webhooks seldom bring balance transactions along, so they are asked for: day by day, the oldest day first.
Whatever the ledger knows is left alone, so fetching may be cut short and done again, and days may overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from stripe import StripeClient

from adapters.adapter import text_at
from adapters.exponents import NotWhole
from adapters.inbox.settling import SIGNATURE
from adapters.stripe_objects import Misread
from adapters.stripe_transactions import recorded
from ledger.batch import Outcome, Refusal, Request
from ledger.commands import command
from ledger.payments.commands import RecordBalanceTransaction
from ledger.reader import Reader

PAGE = 100
DAY = timedelta(days=1)
ATTEMPTS = 3
ACTOR = "stripe:balance"

Execute = Callable[[str, Request], Sequence[Outcome]]


class Trouble(NamedTuple):
    """A balance transaction that was not posted, and why: a code or a sentence."""

    txn: str
    reason: str


class Fetched(NamedTuple):
    """What became of the balance transactions of a time; `known`: posted before."""

    posted: int
    known: int
    troubles: tuple[Trouble, ...]

    def plus(self, other: Fetched) -> Fetched:
        """Both together."""
        return Fetched(self.posted + other.posted, self.known + other.known, self.troubles + other.troubles)


NOTHING = Fetched(0, 0, ())


def client_of(key: str, address: str | None = None) -> StripeClient:
    """The official client; `address` instead of Stripe's own."""
    addresses = None if address is None else {"api": address}
    return StripeClient(key, base_addresses=addresses, max_network_retries=ATTEMPTS)  # type: ignore[arg-type]


def pages(client: StripeClient, start: datetime, end: datetime) -> Iterator[list[dict[str, Any]]]:
    """What Stripe's balance moved by from `start` until before `end`, day by day (stripe.StripeError)."""
    while start < end:
        until = min(start + DAY, end)
        asked = {"created": created(start, until), "expand": ["data.source"]}
        yield from listed(client.v1.balance_transactions.list, asked)
        start = until


def created(start: datetime, end: datetime) -> dict[str, int]:
    """Stripe's filter for what was made from `start` until before `end`."""
    return {"gte": int(start.timestamp()), "lt": int(end.timestamp())}


def listed(ask: Callable[[Any], Any], asked: dict[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The pages of a list of Stripe's, the newest first (stripe.StripeError)."""
    after: dict[str, Any] = {}
    while True:
        answer = ask({"limit": PAGE, **asked, **after})
        page = [one.to_dict() for one in answer.data]
        if page:
            yield page
        if not answer.has_more or not page:
            break
        after = {"starting_after": page[-1]["id"]}


def fetch(
    client: StripeClient, reader: Reader, execute: Execute, ledger: str, start: datetime, end: datetime
) -> Iterator[Fetched]:
    """Post what is not known; what became of each page (LedgerNotFound, WriterError, stripe.StripeError)."""
    for page in pages(client, start, end):
        yield _post(reader, execute, ledger, page)


def _post(reader: Reader, execute: Execute, ledger: str, page: list[dict[str, Any]]) -> Fetched:
    now = datetime.now(UTC)
    known = 0
    troubles: list[Trouble] = []
    bodies: list[RecordBalanceTransaction] = []
    for one in page:
        try:
            body = recorded(one, now)
        except (Misread, NotWhole, ValueError) as error:
            troubles.append(Trouble(text_at(one, "id"), f"{error}"))
            continue
        if reader.stream(ledger, f"txn:{body.settlement.txn}") is None:
            bodies.append(body)
        else:
            known += 1
    posted = 0
    if bodies:
        commands = [command(body) for body in bodies]
        for each in commands:
            each.actor, each.approver = ACTOR, SIGNATURE
        for body, outcome in zip(bodies, execute(ledger, Request(commands)), strict=True):
            if not isinstance(outcome, Refusal):
                posted += 1
            elif outcome.rejection.code == "already_recorded":
                known += 1
            else:
                troubles.append(Trouble(body.settlement.txn, outcome.rejection.code))
    return Fetched(posted, known, tuple(troubles))
