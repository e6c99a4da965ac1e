"""Stripe's events, from the wire to the books: every order, again and again, and with crashes between."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.exponents import TABLE, NotWhole, asset_of, minor
from adapters.inbox.connections import connect
from adapters.stripe_transactions import recorded
from ledger.batch import Refusal
from ledger.events import read_event
from ledger.payments.commands import MatchPayout
from ledger.wire import Connection
from ledger.writer import Writer
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.daybook_command import daybook
from tests.exhaustive import EXHAUSTIVE
from tests.senders import SECRETS, signed
from tests.served import served
from tests.stripe_events import Event, Shop, charge, dispute, event, invoice, refund, session
from tests.stripe_sales import SALES, Step, books, steps

ROOT = Path(__file__).parent.parent
RECORDED = Path(os.environ.get("DAYBOOK_SHARED_DATA", ROOT.parent / "shared" / "data"), "stripe", "webhooks")
USD = "USD/2"
LIABILITY, UNAPPLIED = "credits:contract_liability:enrichment", "payments:unapplied"


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def writer(database: str) -> Iterator[Writer]:
    with writing(database) as writer:
        yield writer


@pytest.fixture(scope="module")
def connection(database: str) -> Iterator[Connection]:
    with connect(database) as connection:
        yield connection


MakeShop = Callable[..., Shop]


@pytest.fixture
def shop(database: str, writer: Writer, connection: Connection, tmp_path: Path) -> MakeShop:
    def make(**terms: Any) -> Shop:
        return Shop(database, tmp_path, writer, connection, **terms)

    return make


# ---------------------------------------------------------------- stories

TURNS = 20 if EXHAUSTIVE else 1


def money(shop: Shop) -> dict[tuple[str, str], int]:
    """Balances of money."""
    return {key: amount for key, amount in shop.balances().items() if not key[1].startswith("CREDIT")}


def renamed(told: Step, times: int) -> Step:
    """The same fact as another event."""
    return {**told, "id": f"{told['id']}_{times}"} if _is_event(told) else told


def _is_event(told: Step) -> bool:
    return isinstance(told, dict) and told["object"] == "event"


def tell(shop: Shop, step: Step, settle: bool) -> None:
    """An event by the inbox, worked on now or later; a balance transaction or a match at once."""
    if _is_event(step):
        shop.store(step)
        if settle:
            shop.settle()
        return
    body = recorded(step, shop.now) if isinstance(step, dict) else step

    def ask() -> None:
        shop.seam()
        outcome = shop.ask(body, key="match" if isinstance(body, MatchPayout) else None)
        if isinstance(outcome, Refusal):
            assert outcome.rejection.code == "already_recorded", outcome
        shop.seam()

    shop.surely(ask)


@pytest.mark.parametrize("name", SALES)
def test_any_order_with_copies_and_crashes_gives_the_same_books(shop: MakeShop, name: str) -> None:
    """In a real database, the process ending anywhere: the books are what was worked out by hand."""
    sale, chance = SALES[name], random.Random(name)
    balances, items = books(sale)
    for turn in range(TURNS):
        told = shop(
            use=sale.used,
            unlucky=lambda: chance.random() < 0.1,
            package={"credit_amount": sale.units, "bonus_amount": sale.bonus, "price": sale.price},
            ordered=not sale.way.endswith("month"),
        )
        facts = steps(sale)
        again = chance.sample(facts, min(2, len(facts)))
        order = [*facts, *again, *(renamed(one, turn) for one in again)]
        chance.shuffle(order)
        for one in order:
            tell(told, one, settle=chance.random() < 0.7)
        told.settle()
        told.end()
        assert told.balances(debits=True) == balances, order
        assert told.open_items() == items, order
        states = {view.reason for view in told.webhooks() if view.state not in ("posted", "ignored")}
        assert states <= ({"order_not_pending"} if sale.way == "late failure" else set()), order


def test_an_audit_finds_the_books_right(shop: MakeShop) -> None:
    """Streams that payments and credits share are what their events make of them."""
    for name in ("two refunds of which one failed", "another currency, a dispute lost"):
        sale = SALES[name]
        told = shop(use=sale.used, package={"credit_amount": sale.units, "price": sale.price})
        for one in steps(sale):
            tell(told, one, settle=True)
        told.end()
        done = daybook(told.database, "audit", "check", "--ledger", told.name)
        assert (done.returncode, "projections\tok" in done.stdout) == (0, True), done.stdout


# ---------------------------------------------------------------- single rules


@pytest.mark.parametrize(
    ("told", "state", "reason"),
    [
        (charge(captured=False), "ignored", "authorised"),
        (charge(status="failed", paid=False), "ignored", "not succeeded"),
        (charge(amount_captured="x"), "parked", "amount_captured"),
        (charge(currency=None), "parked", "currency"),
        (charge(id=None), "parked", "`id` is missing"),
        (charge(currency="ugx", amount_captured=105), "parked", "multiple of 100"),
        (session(metadata={}), "parked", "names no order"),
        (session(mode="setup", payment_status="no_payment_required"), "ignored", "sells nothing"),
        (session(payment_status="what"), "parked", "payment_status"),
        (session(metadata={"order": "another"}), "parked", "no such order"),
        (session(amount_total=900), "parked", "900"),
        (refund("refund.created"), "received", "nothing_bought"),
        (
            event("refund.created", id="re_1", amount=5, status="pending", charge="ch_1"),
            "ignored",
            "no money yet",
        ),
        (dispute("created", "warning_needs_response"), "ignored", "no money"),
        (event("invoice.paid", id="in_1", amount_paid=5), "parked", "userId"),
        (event("issuing_card.created", id="ic_1"), "parked", "no rule"),
        (event("customer.created", id="cus_1"), "ignored", "moves no money"),
        (event("customer.subscription.updated", id="sub_1"), "parked", "`status` is missing"),
        (event("customer.subscription.updated", id="sub_1", status="active"), "posted", ""),
        (event("invoice.payment_failed", id="in_1", attempt_count=1), "ignored", "no subscription"),
        (event("invoice.payment_failed", id="in_1", subscription="sub_1"), "parked", "attempt_count"),
        (session(metadata={"order": "o", "ledger": "other"}), "ignored", "of the ledger other"),
        (charge(metadata={"ledger": "other"}), "ignored", "of the ledger other"),
        (event("payment_intent.succeeded", id="pi_1"), "ignored", "what was bought"),
        ({"id": "evt_x", "type": "charge.succeeded"}, "ignored", "not succeeded"),
        (charge(amount_captured=0), "parked", "not between 1 and"),
        (invoice("invoice.paid", amount=0, tax=80), "parked", "part of `amount`"),
        (event("payout.paid", id="po_1", amount=2**70, status="paid"), "parked", "not between"),
        (
            event("customer.subscription.updated", id="sub_1", status="active", metadata={"userId": "\0"}),
            "parked",
            "NUL",
        ),
    ],
)
def test_what_an_event_means(shop: MakeShop, told: Event, state: str, reason: str) -> None:
    """Ignored or parked with a sentence that says why; nothing is a defect."""
    at = shop()
    found = at.found(at.deliver(told))
    assert found.state == state, found
    assert reason.lower() in f"{found.reason} {found.detail}".lower()


def test_what_nothing_was_bought_with_is_parked_in_the_end(shop: MakeShop) -> None:
    """A refund of a payment that bought nothing of ours: its cash is posted, somebody must look."""
    at = shop()
    number = at.deliver(refund("refund.created"))
    at.end()
    found = at.found(number)
    assert (found.state, found.reason) == ("parked", "nothing_bought")
    assert "Its money is posted" in str(found.detail)
    assert at.open_items() == {"payment:pi_1": {USD: 1_000}}


def test_a_late_failure_leaves_a_paid_session_alone(shop: MakeShop) -> None:
    """The order stays fulfilled; the failure is parked for people to see."""
    at = shop()
    at.deliver(session())
    late = at.deliver(session("checkout.session.async_payment_failed", status="unpaid"))
    assert (at.found(late).state, at.found(late).reason) == ("parked", "order_not_pending")
    assert at.balances()[LIABILITY, USD] == 1_000


def test_a_failure_that_came_first_does_not_keep_the_money_from_buying(shop: MakeShop) -> None:
    """Declined, then paid all the same: granted once."""
    at = shop()
    at.deliver(session("checkout.session.expired", status="unpaid"))
    at.deliver(session())
    assert at.balances()[LIABILITY, USD] == 1_000


def test_a_session_that_costs_nothing_grants_a_lot_without_cost(shop: MakeShop) -> None:
    """`no_payment_required`, with a discount of all of it."""
    at = shop()
    free = session(
        status="no_payment_required", payment_intent=None, amount_total=0,
        total_details={"amount_tax": 0, "amount_discount": 1_000},
    )  # fmt: skip
    assert at.found(at.deliver(free)).state == "posted"
    assert money(at) == {}
    assert at.balances()["customers:42:credits:enrichment", "CREDIT.enrichment/0"] == 100


def test_facts_count_when_they_happened(shop: MakeShop, database: str) -> None:
    """A charge is effective when Stripe made it, by its clock; by ours when that is ahead."""
    at = shop()
    for told, happened in ((charge(), True), (charge(id="ch_2", created=2**32), False)):
        [seq] = at.found(at.deliver(told)).seqs or []
        with psycopg.connect(database) as connection:
            query = "SELECT body FROM daybook.events JOIN daybook.ledgers USING (ledger_id) WHERE name = %s"
            [*_, (body,)] = connection.execute(f"{query} AND seq <= %s ORDER BY seq", (at.name, seq))
        found = read_event(body)
        assert (found.effective_at == "2025-10-09T08:53:20.000000Z") == happened
        assert found.effective_at <= found.recorded_at


# ---------------------------------------------------------------- what others recorded

Effect = tuple[str, dict[str, int], dict[str, int]]


def charged(amount: int, charge: str, payment: str) -> Effect:
    """DR unsettled / CR unapplied, both open until something else is known."""
    open = {f"charge:{charge}": amount, f"payment:{payment}": -amount}
    return "posted", {"stripe:unsettled": amount, UNAPPLIED: amount}, open


def paid_out(amount: int, payout: str) -> Effect:
    """DR in transit / CR clearing."""
    money = {"stripe:payout_in_transit": amount, "stripe:clearing": -amount}
    return "posted", money, {f"payout:{payout}": amount}


NOUGHTS = "0" * 24
IGNORED: Effect = ("ignored", {}, {})
NOT_NAMED: Effect = ("order_not_named", {}, {})
# What becomes of each, the money that it moves, and what is open then; all of them in US dollars.
EFFECTS: dict[str, Effect] = {
    "balance.available": IGNORED,
    "charge.captured": charged(100, f"ch_{NOUGHTS}", f"ch_{NOUGHTS}"),
    # Without an id, as old versions of the API sent it.
    "charge.dispute.closed": ("object_not_understood", {}, {}),
    # An inquiry.
    "charge.dispute.created": IGNORED,
    "charge.dispute.funds_withdrawn": (
        "nothing_bought",
        {"payments:disputes_receivable": 25_000, "stripe:dispute_fee": 1_500, "stripe:clearing": -26_500},
        {"dispute:dp_00000000000000": 25_000},
    ),
    "charge.failed": IGNORED,
    "charge.refund.updated": (
        "nothing_bought", {UNAPPLIED: -100, "stripe:clearing": -100}, {f"payment:ch_{NOUGHTS}": 100}
    ),
    # No money; nobody has told of the refund that it speaks of.
    "charge.refunded": ("posted", {}, {f"payment:ch_{NOUGHTS}": 100}),
    "charge.succeeded": charged(2_000, f"ch_{NOUGHTS}", f"pi_{NOUGHTS}"),
    "charge.updated": charged(1_000, "ch_00000000000000", "ch_00000000000000"),
    "checkout.session.completed": NOT_NAMED,
    "checkout.session.completed.payment_mode": NOT_NAMED,
    "checkout.session.completed.setup_mode": IGNORED,
    "invoice.paid": NOT_NAMED,
    "invoice.payment_failed": IGNORED,
    "invoice.payment_succeeded": NOT_NAMED,
    "payment_intent.canceled": IGNORED,
    "payment_intent.created": IGNORED,
    "payment_intent.payment_failed": IGNORED,
    "payment_intent.processing": IGNORED,
    "payment_intent.requires_action": IGNORED,
    "payment_intent.succeeded": IGNORED,
    "payout.created": paid_out(1_100, f"po_{NOUGHTS}"),
    "payout.paid": paid_out(1_100, f"po_{NOUGHTS}"),
    "payout.updated": paid_out(1_100, f"po_{NOUGHTS}"),
}  # fmt: skip
recorded_webhooks = pytest.mark.skipif(
    not RECORDED.is_dir(), reason="Stripe's recorded webhooks are not on this machine"
)


@recorded_webhooks
def test_recorded_webhooks_have_their_effect_or_are_parked(shop: MakeShop) -> None:
    """Of several API versions, hand-trimmed or not: each as the table says, to the last minor unit."""
    found: dict[str, Effect] = {}
    for file in sorted(RECORDED.glob("*.json")):
        at = shop()
        number = at.deliver(json.loads(file.read_bytes()))
        at.end()
        view = at.found(number)
        assert view.state in ("posted", "ignored", "parked")
        assert (view.detail is None) == (view.state == "posted")
        items = {item: amount for item, balance in at.open_items().items() for amount in balance.values()}
        moved = {account: amount for (account, asset), amount in money(at).items() if asset == USD}
        assert len(moved) == len(money(at))
        found[file.stem] = view.state if view.state != "parked" else str(view.reason), moved, items
    assert found == EFFECTS


@recorded_webhooks
def test_recorded_webhooks_are_taken_at_the_endpoint(new_database: NewDatabase) -> None:
    """Signed and sent to the service: 200 for each, again as a duplicate; 400 when a byte is another one."""
    with new_database() as conninfo, served(conninfo) as service:
        book = service.open({"assets": [USD], "accounts": [], "products": ["payments"]})
        opening = {"provider": "stripe", "secret": SECRETS["stripe"]}
        for file in sorted(RECORDED.glob("*.json")):
            # Their ids are noughts, the same in many: each has an endpoint of its own.
            path = book.call("POST", "/inbox/endpoints", opening).json()["endpoint"]["path"]
            raw = file.read_bytes()
            sent = signed("stripe", raw)
            answers = [
                service.client.post(path, content=body, headers=sent) for body in (raw, raw, raw + b" ")
            ]
            assert [answer.status_code for answer in answers] == [200, 200, 400], file.stem


# ---------------------------------------------------------------- how money is counted


OPERATIONS = ("charge", "refund", "dispute", "balance", "payout")
WHOLE = [
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"
]  # fmt: skip
# What is sent, what it is worth in the currency, and what is no amount of it.
COUNTED: list[tuple[list[str], tuple[str, ...], int, str, int | None]] = [
    (WHOLE, OPERATIONS, 507, "507", None),
    (["UGX", "ISK"], OPERATIONS, 500, "5", 550),
    (["HUF", "TWD"], OPERATIONS[:-1], 1_005, "10.05", None),
    (["HUF", "TWD"], ("payout",), 1_100, "11.00", 1_105),
    (["BHD", "JOD", "KWD", "OMR", "TND"], OPERATIONS, 1_230, "1.230", 1_234),
    (["USD", "EUR", "MYR", "GBP", "AED"], OPERATIONS, 1_005, "10.05", None),
]


@pytest.mark.parametrize(
    ("currency", "operation", "sent", "worth", "wrong"),
    [
        (currency, operation, sent, worth, wrong)
        for currencies, operations, sent, worth, wrong in COUNTED
        for currency in currencies
        for operation in operations
    ],
)
def test_amounts_are_counted_as_stripe_does(
    currency: str, operation: str, sent: int, worth: str, wrong: int | None
) -> None:
    """By currency and operation, in and out; what the currency does not have is refused, not rounded."""
    code, _, scale = asset_of("stripe", currency).partition("/")
    assert code == currency
    for sign in (1, -1):
        assert minor("stripe", currency, operation, sign * sent) == sign * Decimal(worth) * 10 ** int(scale)
        if wrong is not None:
            with pytest.raises(NotWhole):
                minor("stripe", currency, operation, sign * wrong)


def test_no_other_currency_is_counted_otherwise() -> None:
    """The table has those that the documents name, and no more."""
    special = {currency for provider, currency, _ in TABLE if provider == "stripe"}
    named = {currency for currencies, *_ in COUNTED[:-1] for currency in currencies}
    assert special == named
    assert len(named) == 15 + 2 + 2 + 5
