"""Events of the CaaS platform: payments find their loans, KYC opens the door to applications."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.adapter import Event, NoSettings, Park, Post
from adapters.caas import parse, translate
from adapters.inbox import desk
from adapters.inbox.connections import connect
from adapters.inbox.door import Letter, receive
from adapters.inbox.endpoints import EndpointOpening, create
from adapters.inbox.settling import Settler
from ledger import commands as c
from ledger.loans import payment_commands as p
from ledger.reader import Reader
from ledger.vault import Vault
from ledger.wire import Connection
from ledger.writer import Writer
from tests.bookkeeping import do, done, writing
from tests.loan_books import CHART
from tests.senders import SECRETS, signed
from tests.test_loan_ledger import ask, failures, lent

NOW = datetime(2026, 2, 20, tzinfo=UTC)


def said(type: str, id: str = "evt-1", **data: Any) -> dict[str, Any]:
    return {"eventId": id, "eventType": type, "timestamp": "2026-02-15T10:00:00Z", "data": data}


def payment(payment: str = "pay-1", id: str = "evt-1", **more: Any) -> dict[str, Any]:
    return said("sme.payment.received", id, payment={"id": payment, "amount": 112, "currency": "USD", **more})


def translated(body: dict[str, Any]) -> Post | Park:
    named = parse(json.dumps(body).encode())
    found = translate(Event("caas", named.id, named.type, named.subject, NOW, body), NoSettings())
    assert isinstance(found, Post | Park)
    return found


def test_a_payment_becomes_a_payment_that_was_received() -> None:
    """In minor units, once by its own id, as of when it was received, with all that it may be matched by."""
    body = payment(
        amount=112.5,
        method="check",
        reference="LOAN_L1",
        virtualAccount="VA-1",
        userId="u-7",
        receivedAt="2026-02-14T09:00:00Z",
    )
    found = translated(body)
    assert isinstance(found, Post)
    [one] = found.commands
    assert found.once == "payment:pay-1"
    assert one.body == p.NewLoanPayment(
        payment="pay-1",
        method="check",
        asset="USD/2",
        amount=11_250,
        reference="LOAN_L1",
        virtual_account="VA-1",
        borrower="u-7",
        processed=True,
        effective_at=datetime(2026, 2, 14, 9, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("amount", "currency", "asset", "units"),
    [
        (1500, "JPY", "JPY/0", 1_500),
        ("1.234", "KWD", "KWD/3", 1_234),
        ("0.10", "EUR", "EUR/2", 10),
        (25, "UGX", "UGX/0", 25),
    ],
)
def test_amounts_are_of_the_currency(amount: Any, currency: str, asset: str, units: int) -> None:
    """With as many decimals as ISO 4217 gives it."""
    found = translated(payment(amount=amount, currency=currency))
    assert isinstance(found, Post)
    body = found.commands[0].body
    assert isinstance(body, p.NewLoanPayment)
    assert (body.asset, body.amount) == (asset, units)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (payment(""), "payment_not_understood"),
        (payment("p 1"), "payment_not_understood"),
        (payment(method="barter"), "payment_not_understood"),
        (payment(currency="usd"), "currency_not_known"),
        (payment(currency=None), "currency_not_known"),
        (payment(amount=0), "amount_not_understood"),
        (payment(amount="1.001"), "amount_not_understood"),
        (payment(amount="NaN"), "amount_not_understood"),
        (payment(amount="1e99999999"), "amount_not_understood"),
        (payment(amount=True), "amount_not_understood"),
        (payment(amount=None), "amount_not_understood"),
        (said("sme.kyc.verified"), "user_not_understood"),
        (said("sme.kyc.verified", userId="u\x00"), "user_not_understood"),
        (said("lead_received", leadId="lead-1"), "unknown_type"),
        ({"eventId": "e", "data": 7}, "unknown_type"),
    ],
)
def test_what_is_not_understood_waits_for_people(body: dict[str, Any], code: str) -> None:
    """With a code that says what, and nothing posted."""
    found = translated(body)
    assert isinstance(found, Park)
    assert found.code == code


def test_a_clock_that_is_ahead_is_not_believed() -> None:
    """Nothing counts later than it came in; what is no moment is left out."""
    for told, moment in (("2030-01-01T00:00:00Z", NOW), ("soon", datetime(2026, 2, 15, 10, tzinfo=UTC))):
        found = translated(payment(receivedAt=told))
        assert isinstance(found, Post)
        body = found.commands[0].body
        assert isinstance(body, p.NewLoanPayment)
        assert body.effective_at == moment


# ---------------------------------------------------------------- through the inbox


class Platform:
    """An inbox for the ledger `main` that is sent events, and settles them."""

    def __init__(self, database: str, keys: Path, writer: Writer, connection: Connection) -> None:
        self.vault, self.connection = Vault(keys), connection
        self.settler = Settler(writer.submit)
        opening = EndpointOpening("caas", secret=SECRETS["caas"])
        self.endpoint = create(connection, self.vault, "main", opening).endpoint.id

    def send(self, event: dict[str, Any]) -> desk.WebhookView:
        body = json.dumps(event).encode()
        headers = [(name.lower(), value) for name, value in signed("caas", body).items()]
        number = receive(self.connection, self.vault, "caas", self.endpoint, Letter(headers, body)).received
        self.settler.settle(self.connection, "default", number.number)
        return desk.webhook(self.connection, "main", number.number).webhook


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with writing(database) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHART)))
        yield writer


@pytest.fixture
def platform(database: str, tmp_path: Path, writer: Writer) -> Iterator[Platform]:
    with connect(database) as connection:
        yield Platform(database, tmp_path, writer, connection)


def test_events_in_any_order_and_twice_leave_each_payment_once(
    database: str, writer: Writer, platform: Platform
) -> None:
    """Payments before and after their loan, each told twice by its id and once more under another: those with
    a sign repay the loan, the others wait; suspense is what waits, and the books pass the audit.
    """
    told = [
        payment("pay-1", "e1", reference="LOAN_L1"),
        payment("pay-2", "e2", virtualAccount="VA-1", amount=111),
        payment("pay-3", "e3", userId="B1", amount=110),
        payment("pay-4", "e4", reference="hello"),
        payment("pay-1", "e5", reference="LOAN_L1"),
    ]
    early = payment("pay-0", "e0", reference="LOAN_L1", amount=5)
    assert platform.send(early).state == "posted"
    lent(writer)
    done(ask(writer, "assign_virtual_account", "virtual_account:VA-1", loan="L1"))
    for event in random.Random(7).sample(told, len(told)) * 2:
        assert platform.send(event).state == "posted"
    with closing(Reader(database)) as reader:
        found = [stream.state for stream, _ in reader.streams("main", "loan_payment", after="", limit=9)]
        [suspense] = reader.balances("main", "loans:suspense").balances
    assert [(one.paid.payment, one.status, one.matched_by) for one in found] == [
        ("pay-0", "suspense", ""),
        ("pay-1", "matched", "reference"),
        ("pay-2", "matched", "virtual_account"),
        ("pay-3", "matched", "instalment"),
        ("pay-4", "suspense", ""),
    ]
    assert suspense.posted == sum(one.in_suspense for one in found) == 500 + 11_200
    assert failures(database) == []


def test_kyc_that_was_verified_lets_a_borrower_apply(writer: Writer, platform: Platform) -> None:
    """Before it the application is refused; told twice it changes nothing more."""
    application: dict[str, Any] = {"borrower": "u-7", "asset": "USD/2", "amount": 100}
    done(ask(writer, "assess_borrower", "borrower:u-7", kyc="pending"))
    refused = ask(writer, "submit_loan_application", "loan:L1", **application)
    assert "kyc_not_verified" in str(refused)
    for id in ("e1", "e1", "e2"):
        sent = platform.send(said("sme.kyc.verified", id, userId="u-7"))
        assert sent.state == "posted"
    done(ask(writer, "submit_loan_application", "loan:L1", **application))
