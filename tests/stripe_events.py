"""Events as Stripe sends them, as far as anybody here reads them, and an inbox that they are delivered to."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from adapters.inbox import desk
from adapters.inbox.connections import utc_now
from adapters.inbox.door import Letter, receive
from adapters.inbox.endpoints import EndpointOpening, create
from adapters.inbox.settling import Settler, Submit
from ledger import commands as c
from ledger.batch import Outcome, Recorded, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.credits.commands import CreatePackage, DeductCredits
from ledger.credits.purchase_commands import OrderCredits
from ledger.payments.items import Item
from ledger.reader import Reader
from ledger.vault import Vault
from ledger.wire import Connection
from ledger.writer import Answer, Writer
from tests.senders import SECRETS, signed

CHART = ChartDocument(
    assets=("USD/2", "MYR/2", "CREDIT.enrichment/0"),
    accounts=(AccountPattern("costs", "expense"),),
    products=("credits", "payments"),
)
CREATED = 1_760_000_000
Event = dict[str, Any]
_numbers = count(1)


def event(type: str, **object: Any) -> Event:
    """An event with an id of its own."""
    return {
        "id": f"evt_{next(_numbers)}",
        "object": "event",
        "type": type,
        "created": CREATED,
        "data": {"object": {"created": CREATED, "currency": "usd", **object}},
    }


def charge(type: str = "charge.succeeded", amount: int = 1_000, **more: Any) -> Event:
    told = {
        "id": "ch_1", "payment_intent": "pi_1", "amount": amount, "amount_captured": amount,
        "status": "succeeded", "paid": True, "captured": True, "balance_transaction": "txn_1",
    }  # fmt: skip
    return event(type, **told | more)


def session(type: str = "checkout.session.completed", status: str = "paid", **more: Any) -> Event:
    told = {
        "id": "cs_1", "mode": "payment", "payment_status": status, "payment_intent": "pi_1",
        "amount_total": 1_000, "metadata": {"order": "o"},
        "total_details": {"amount_tax": 0, "amount_discount": 0},
    }  # fmt: skip
    return event(type, **told | more)


def refund(type: str, id: str = "re_1", amount: int = 1_000, status: str = "succeeded") -> Event:
    return event(
        type, id=id, amount=amount, status=status, charge="ch_1", payment_intent="pi_1",
        balance_transaction=f"txn_{id}",
    )  # fmt: skip


def withdrawal(amount: int = -1_000, fee: int = 1_500, id: str = "txn_w") -> dict[str, Any]:
    return {"id": id, "amount": amount, "fee": fee, "net": amount - fee, "currency": "usd"}


def dispute(what: str, status: str, *transactions: dict[str, Any]) -> Event:
    return event(
        f"charge.dispute.{what}", id="dp_1", amount=1_000, status=status, charge="ch_1",
        payment_intent="pi_1", balance_transactions=list(transactions),
    )  # fmt: skip


def payout(what: str, status: str) -> Event:
    return event(f"payout.{what}", id="po_1", amount=1_100, status=status, balance_transaction="txn_po")


def invoice(type: str, id: str = "in_1") -> Event:
    metadata = {"userId": "42", "packageId": "p"}
    return event(
        type, id=id, amount_paid=1_000, payment_intent="pi_1",
        parent={"subscription_details": {"metadata": metadata}}, total_taxes=[], total_discount_amounts=[],
    )  # fmt: skip


class Crash(BaseException):
    """The process ends here."""


class Shop:
    """A ledger that sells 100 credits for 1,000, and an inbox that Stripe's events are delivered to.

    `use` credits are used as soon as there are any; whenever `unlucky()` says so, the process ends after
    something was posted and before it is written down.
    """

    def __init__(
        self,
        database: str,
        keys: Path,
        writer: Writer,
        connection: Connection,
        use: int = 0,
        unlucky: Callable[[], bool] = lambda: False,
    ) -> None:
        self.database, self.writer, self.connection = database, writer, connection
        self.name = f"shop-{next(_numbers)}"
        self.now = utc_now()
        self._vault, self._use, self._unlucky = Vault(keys), use, unlucky
        self._settler = Settler(self._submitting(), lambda: self.now, lambda: 1.0)
        for body in (
            c.LedgerOpening(name=self.name, chart=CHART),
            CreatePackage(
                package="p", name="P", credit_type="enrichment", credit_amount=100, price=1_000, asset="USD/2"
            ),
            OrderCredits(owner="42", package="p", order="o"),
        ):
            assert isinstance(self.ask(body), Recorded)
        opening = EndpointOpening("stripe", secret=SECRETS["stripe"])
        self._endpoint = create(connection, self._vault, self.name, opening).endpoint.id

    def ask(self, body: Any) -> Outcome:
        """A command and its outcome."""
        [outcome] = self.writer.execute(self.name, Request([c.command(body)]))
        return outcome

    def deliver(self, told: Event) -> int:
        """An event comes in and is worked on."""
        body = json.dumps(told).encode()
        headers = [(name.lower(), value) for name, value in signed("stripe", body).items()]
        stored = receive(self.connection, self._vault, "stripe", self._endpoint, Letter(headers, body))
        self.now = max(self.now, utc_now())
        self.settle()
        return stored.received.number

    def settle(self) -> None:
        """Work on what waits now; after a crash, again."""
        while True:
            try:
                self._settler.settle(self.connection, "default")
                break
            except Crash:
                continue
        if self._use:
            used = self.ask(DeductCredits(owner="42", credit_type="enrichment", amount=self._use))
            self._use = 0 if isinstance(used, Recorded) else self._use

    def end(self) -> None:
        """Time passes until nothing waits any more."""
        for _ in range(25):
            if not any(view.state == "received" for view in self.webhooks()):
                return
            self.now += timedelta(minutes=6)
            self.settle()
        raise AssertionError("something waits for ever")

    def webhooks(self) -> list[desk.WebhookView]:
        return desk.webhooks(self.connection, self.name, None, None, 0, 1_000)

    def found(self, number: int) -> desk.WebhookView:
        return desk.webhook(self.connection, self.name, number).webhook

    def balances(self) -> dict[tuple[str, str], int]:
        """Posted balances that are not zero, by account and asset."""
        with closing(Reader(self.database, 1)) as reader:
            addresses = [a.address for a in reader.accounts(self.name, 0, 1_000, None, None)[0]]
            return {
                (address, row.asset): row.posted
                for address in addresses
                for row in reader.balances(self.name, address).balances
                if row.posted
            }

    def open_items(self) -> dict[str, dict[str, int]]:
        """What is open, by stream."""
        found: dict[str, dict[str, int]] = {}
        with closing(Reader(self.database, 1)) as reader:
            for kind in ("payment", "charge", "dispute", "payout", "txn"):
                for stream, _ in reader.streams(self.name, kind, limit=100):
                    assert isinstance(stream.state, Item)
                    if stream.state.balance:
                        found[stream.name] = stream.state.balance
        return found

    def _submitting(self) -> Submit:
        def submit(ledger: str, request: Request, answer: Callable[[Answer], None]) -> None:
            if not self._unlucky():
                self.writer.submit(ledger, request, answer)
                return
            self.writer.execute(ledger, request)
            raise Crash

        return submit
