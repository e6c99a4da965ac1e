"""Events as Stripe sends them, as far as anybody here reads them, and an inbox that they are delivered to."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from adapters.inbox import desk
from adapters.inbox.connections import utc_now
from adapters.inbox.door import Letter, receive
from adapters.inbox.endpoints import EndpointOpening, create
from adapters.inbox.settling import Settler
from ledger import commands as c
from ledger.batch import Outcome, Recorded, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.credits.commands import CreatePackage, DeductCredits
from ledger.credits.purchase_commands import FulfilOrder, OrderCredits
from ledger.payment_reads import open_items
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


def refund(type: str, id: str = "re_1", amount: int = 1_000, status: str = "succeeded", **more: Any) -> Event:
    told = {
        "id": id, "amount": amount, "status": status, "charge": "ch_1", "payment_intent": "pi_1",
        "balance_transaction": f"txn_{id}",
    }  # fmt: skip
    return event(type, **told | more)


def withdrawal(
    amount: int = -1_000, fee: int = 1_500, id: str = "txn_w", currency: str = "usd"
) -> dict[str, Any]:
    return {"id": id, "amount": amount, "fee": fee, "net": amount - fee, "currency": currency}


def dispute(what: str, status: str, *transactions: dict[str, Any], amount: int = 1_000) -> Event:
    return event(
        f"charge.dispute.{what}", id="dp_1", amount=amount, status=status, charge="ch_1",
        payment_intent="pi_1", balance_transactions=list(transactions),
    )  # fmt: skip


def payout(what: str, status: str) -> Event:
    return event(f"payout.{what}", id="po_1", amount=1_100, status=status, balance_transaction="txn_po")


def invoice(type: str, amount: int = 1_000, tax: int = 0) -> Event:
    metadata = {"userId": "42", "packageId": "p"}
    return event(
        type, id="in_1", amount_paid=amount, payment_intent="pi_1",
        parent={"subscription_details": {"metadata": metadata}}, total_taxes=[{"amount": tax}],
        total_discount_amounts=[],
    )  # fmt: skip


def newer_invoice(type: str, amount: int = 1_000, tax: int = 0) -> Event:
    """An invoice as the API tells it since 2025-03-31: not what paid it."""
    told = invoice(type, amount, tax)
    del told["data"]["object"]["payment_intent"]
    return told


def invoice_payment() -> Event:
    """What paid it."""
    paid_by = {"type": "payment_intent", "payment_intent": "pi_1"}
    return event("invoice_payment.paid", id="inpay_1", invoice="in_1", status="paid", payment=paid_by)


def txn(type: str, amount: int, fee: int, source: Any, **more: Any) -> dict[str, Any]:
    """A balance transaction as Stripe lists it."""
    id = more.pop("id", f"txn_{type}")
    return {
        "id": id, "object": "balance_transaction", "type": type, "amount": amount, "fee": fee,
        "net": amount - fee, "currency": "usd", "created": CREATED, "source": source,
    } | more  # fmt: skip


class Crash(BaseException):
    """The process ends here."""


class Shop:
    """A ledger that sells 100 credits for 1,000, and an inbox that Stripe's events are delivered to.

    `use` credits are used as soon as there are any. Whenever `unlucky()` says so the process ends: before or
    after something is posted, or before it is written down what became of it.
    """

    def __init__(
        self,
        database: str,
        keys: Path,
        writer: Writer,
        connection: Connection,
        use: int = 0,
        unlucky: Callable[[], bool] = lambda: False,
        package: dict[str, Any] | None = None,
        ordered: bool = True,
    ) -> None:
        self.database, self.writer, self.connection = database, writer, connection
        self.name = f"shop-{next(_numbers)}"
        self.now = utc_now()
        self._vault, self._use, self._unlucky = Vault(keys), use, unlucky
        self._settler = Settler(self._submit, self._clock, lambda: 1.0)
        terms = {"credit_amount": 100, "price": 1_000} | (package or {})
        bodies = [
            c.LedgerOpening(name=self.name, chart=CHART),
            CreatePackage(package="p", name="P", credit_type="enrichment", asset="USD/2", **terms),
            OrderCredits(owner="42", package="p", order="o"),
        ]
        for body in bodies if ordered else bodies[:-1]:
            assert isinstance(self.ask(body), Recorded)
        opening = EndpointOpening("stripe", secret=SECRETS["stripe"])
        self._endpoint = create(connection, self._vault, self.name, opening).endpoint.id

    def ask(self, body: Any, key: str | None = None) -> Outcome:
        """A command and its outcome."""
        [outcome] = self.writer.execute(self.name, Request([c.command(body, key=key)]))
        return outcome

    def deliver(self, told: Event) -> int:
        """An event comes in and is worked on."""
        number = self.store(told)
        self.settle()
        return number

    def store(self, told: Event) -> int:
        """An event comes in, signed; its number."""
        body = json.dumps(told).encode()
        headers = [(name.lower(), value) for name, value in signed("stripe", body).items()]
        stored = receive(self.connection, self._vault, "stripe", self._endpoint, Letter(headers, body))
        return stored.received.number

    def settle(self) -> None:
        """Work on what waits now; after a crash, again."""
        self.now = max(self.now, utc_now())
        self.surely(lambda: self._settler.settle(self.connection, "default"))

    def surely(self, work: Callable[[], object]) -> None:
        """Do something again for as long as the process ends in the middle of it."""
        while True:
            try:
                work()
                return
            except Crash:
                continue

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

    def balances(self, debits: bool = False) -> dict[tuple[str, str], int]:
        """Posted balances that are not zero; as the account counts, or debits positive."""
        with closing(Reader(self.database, 1)) as reader:
            addresses = [a.address for a in reader.accounts(self.name, 0, 1_000, None, None)[0]]
            return {
                (address, row.asset): row.debits_posted - row.credits_posted if debits else row.posted
                for address in addresses
                for row in reader.balances(self.name, address).balances
                if row.posted
            }

    def open_items(self) -> dict[str, dict[str, int]]:
        """What is open, by stream: the work list."""
        with closing(Reader(self.database, 1)) as reader:
            return {
                one.item: {**one.refunds_missing, **one.balance}
                for one in open_items(reader, self.name, limit=100)
            }

    def seam(self) -> None:
        """A place at which the process may end."""
        if self._unlucky():
            raise Crash

    def _clock(self) -> datetime:
        # The settler asks when it begins, and when it is about to write down what became of a webhook.
        self.seam()
        return self.now

    def _submit(self, ledger: str, request: Request, answer: Callable[[Answer], None]) -> None:
        self.seam()
        outcomes = self.writer.execute(ledger, request)
        for command, outcome in zip(request.commands, outcomes, strict=False):
            if isinstance(command.body, FulfilOrder) and isinstance(outcome, Recorded) and self._use:
                used = self.ask(DeductCredits(owner="42", credit_type="enrichment", amount=self._use))
                assert isinstance(used, Recorded), used
        self.seam()
        answer(outcomes)
