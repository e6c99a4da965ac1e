"""Stripe's events, from the wire to the books: every order, again and again, and with crashes between."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.exponents import TABLE, NotWhole, asset_of, minor
from adapters.inbox.connections import connect
from ledger.events import read_event
from ledger.wire import Connection
from ledger.writer import Writer
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.daybook_command import daybook
from tests.stripe_events import (
    Event,
    Shop,
    charge,
    dispute,
    event,
    invoice,
    payout,
    refund,
    session,
    withdrawal,
)

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

# Events in one right order; how many credits are used at once; what must be open at the end; balances that
# somebody worked out by hand.
STORIES: dict[str, tuple[list[Event], int, dict[str, dict[str, int]], dict[tuple[str, str], int]]] = {
    "a purchase": (
        [session(), charge(), event("payment_intent.succeeded", id="pi_1"), charge("charge.updated")],
        0,
        {"charge:ch_1": {USD: 1_000}},
        {(LIABILITY, USD): 1_000, ("stripe:unsettled", USD): 1_000},
    ),
    "a payment that takes its time": (
        [session(status="unpaid"), charge(), session("checkout.session.async_payment_succeeded")],
        0,
        {"charge:ch_1": {USD: 1_000}},
        {(LIABILITY, USD): 1_000, ("stripe:unsettled", USD): 1_000},
    ),
    "a half-used purchase refunded": (
        [
            session(), charge(), refund("refund.created", status="pending"), refund("refund.updated"),
            refund("charge.refund.updated"), event("charge.refunded", id="ch_1", amount_refunded=1_000),
        ],
        50,
        {"charge:ch_1": {USD: 1_000}},
        {
            ("credits:revenue:enrichment", USD): 500, ("credits:refunds:enrichment", USD): 500,
            ("stripe:unsettled", USD): 1_000, ("stripe:clearing", USD): -1_000,
        },
    ),
    "refunds of parts": (
        [
            session(), charge(), refund("refund.created", "re_1", 300), refund("refund.created", "re_2", 200),
            refund("refund.updated", "re_1", 300),
        ],
        50,
        {"charge:ch_1": {USD: 1_000}},
        {
            ("credits:revenue:enrichment", USD): 500, ("stripe:unsettled", USD): 1_000,
            ("stripe:clearing", USD): -500,
        },
    ),
    "a refund that failed": (
        [session(), charge(), refund("refund.created"), refund("refund.failed", status="failed")],
        0,
        # The credits are gone, the money is here: somebody must decide.
        {"charge:ch_1": {USD: 1_000}, "payment:pi_1": {USD: -1_000}},
        {(UNAPPLIED, USD): 1_000, ("stripe:unsettled", USD): 1_000},
    ),
    "a dispute won": (
        [
            session(), charge(), dispute("created", "needs_response", withdrawal()),
            dispute("funds_withdrawn", "needs_response", withdrawal()),
            dispute("closed", "won", withdrawal(), withdrawal(1_000, -1_500, "txn_r")),
            dispute("funds_reinstated", "won", withdrawal(), withdrawal(1_000, -1_500, "txn_r")),
        ],
        40,
        {"charge:ch_1": {USD: 1_000}},
        {
            (LIABILITY, USD): 600, ("credits:revenue:enrichment", USD): 400, ("stripe:unsettled", USD): 1_000,
        },
    ),
    "a dispute lost": (
        [
            session(), charge(), dispute("created", "needs_response", withdrawal()),
            dispute("closed", "lost", withdrawal()),
        ],
        40,
        {"charge:ch_1": {USD: 1_000}},
        {
            ("credits:dispute_loss:enrichment", USD): 400, ("credits:revenue:enrichment", USD): 400,
            ("stripe:unsettled", USD): 1_000, ("stripe:clearing", USD): -2_500,
            ("stripe:dispute_fee", USD): 1_500,
        },
    ),
    "a payout that was paid and failed": (
        [payout("created", "pending"), payout("paid", "paid"), payout("failed", "failed")], 0, {}, {}
    ),
    "a month of a subscription": (
        [
            session(mode="subscription", payment_intent=None), invoice("invoice.paid"),
            invoice("invoice.payment_succeeded"), charge(),
        ],
        0,
        {"charge:ch_1": {USD: 1_000}},
        {(LIABILITY, USD): 1_000, ("stripe:unsettled", USD): 1_000},
    ),
}  # fmt: skip


def money(shop: Shop) -> dict[tuple[str, str], int]:
    """Balances of money."""
    return {key: amount for key, amount in shop.balances().items() if not key[1].startswith("CREDIT")}


def renamed(told: Event, times: int) -> Event:
    """The same fact as another event."""
    return {**told, "id": f"{told['id']}_{times}"}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_in_its_order(shop: MakeShop, name: str) -> None:
    """What the books say is what somebody worked out; nothing is parked."""
    events, use, left, balances = STORIES[name]
    told = shop(use=use)
    for one in events:
        told.deliver(one)
    told.end()
    assert {view.state for view in told.webhooks()} <= {"posted", "ignored"}
    assert money(told) == balances
    assert told.open_items() == left


@pytest.mark.parametrize("name", STORIES)
def test_any_order_with_duplicates_and_crashes_gives_the_same_books(shop: MakeShop, name: str) -> None:
    """Events and copies of them in any order, the process ending anywhere: nothing is lost or done twice."""
    events, use, left, balances = STORIES[name]
    chance = random.Random(name)
    for turn in range(4):
        told = shop(use=use, unlucky=lambda: chance.random() < 0.25)
        twice = [*events, *(renamed(one, turn) for one in events), *chance.sample(events, 2)]
        order = list(reversed(events)) + twice if turn == 0 else chance.sample(twice, len(twice))
        for one in order:
            told.deliver(one)
        told.end()
        assert money(told) == balances, [one["type"] for one in order]
        assert told.open_items() == left


def test_an_audit_finds_the_books_right(shop: MakeShop) -> None:
    """Streams that payments and credits share are what their events make of them."""
    for name in ("a half-used purchase refunded", "a dispute lost", "a payout that was paid and failed"):
        events, use, *_ = STORIES[name]
        told = shop(use=use)
        for one in events:
            told.deliver(one)
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
        (event("customer.subscription.updated", id="sub_1"), "ignored", "moves no money"),
        ({"id": "evt_x", "type": "charge.succeeded"}, "ignored", "not succeeded"),
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

EFFECTS = {
    "balance.available": "ignored",
    "charge.captured": "posted",
    "charge.dispute.closed": "object_not_understood",
    "charge.dispute.created": "ignored",
    "charge.dispute.funds_withdrawn": "nothing_bought",
    "charge.failed": "ignored",
    "charge.refund.updated": "nothing_bought",
    "charge.refunded": "ignored",
    "charge.succeeded": "posted",
    "charge.updated": "posted",
    "checkout.session.completed": "order_not_named",
    "checkout.session.completed.payment_mode": "order_not_named",
    "checkout.session.completed.setup_mode": "ignored",
    "invoice.paid": "order_not_named",
    "invoice.payment_failed": "ignored",
    "invoice.payment_succeeded": "order_not_named",
    "payment_intent.canceled": "ignored",
    "payment_intent.created": "ignored",
    "payment_intent.payment_failed": "ignored",
    "payment_intent.processing": "ignored",
    "payment_intent.requires_action": "ignored",
    "payment_intent.succeeded": "ignored",
    "payout.created": "posted",
    "payout.paid": "posted",
    "payout.updated": "posted",
}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="Stripe's recorded webhooks are not on this machine")
def test_recorded_webhooks_have_their_effect_or_are_parked(shop: MakeShop) -> None:
    """Of several API versions, hand-trimmed or not: each as the table says, none a defect."""
    files = sorted(RECORDED.glob("*.json"))
    found: dict[str, str] = {}
    for file in files:
        at = shop()
        view = at.found(at.deliver(json.loads(file.read_bytes())))
        assert view.state in ("posted", "ignored", "parked") or view.reason == "nothing_bought"
        found[file.stem] = view.state if view.state in ("posted", "ignored") else str(view.reason)
    assert {name: found.get(name) for name in EFFECTS} == EFFECTS


# ---------------------------------------------------------------- how money is counted


@pytest.mark.parametrize(
    ("currency", "operation", "sent", "asset", "amount"),
    [
        ("USD", "charge", 2_000, "USD/2", 2_000),
        ("JPY", "charge", 500, "JPY/0", 500),
        ("MGA", "charge", 5, "MGA/2", 500),
        ("UGX", "charge", 500, "UGX/0", 5),
        ("ISK", "refund", -700, "ISK/0", -7),
        ("KWD", "charge", 1_230, "KWD/3", 1_230),
        ("HUF", "charge", 1_005, "HUF/2", 1_005),
        ("HUF", "payout", 1_100, "HUF/2", 1_100),
    ],
)
def test_amounts_are_counted_as_stripe_does(
    currency: str, operation: str, sent: int, asset: str, amount: int
) -> None:
    """By provider, currency and operation."""
    assert (asset_of("stripe", currency), minor("stripe", currency, operation, sent)) == (asset, amount)


@pytest.mark.parametrize(
    ("currency", "operation", "amount"),
    [("UGX", "charge", 550), ("ISK", "charge", 1), ("KWD", "charge", 1_234), ("TWD", "payout", 1_050)],
)
def test_an_amount_that_a_currency_does_not_have_is_refused(
    currency: str, operation: str, amount: int
) -> None:
    """Not rounded."""
    with pytest.raises(NotWhole):
        minor("stripe", currency, operation, amount)


def test_the_table_has_the_currencies_that_stripe_counts_otherwise() -> None:
    """Sixteen without decimals, five with three, two that are sent with decimals they do not have."""
    special = {currency for provider, currency, _ in TABLE if provider == "stripe"}
    whole = {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV"}
    assert special == whole | {"XAF", "XOF", "XPF", "ISK", "HUF", "TWD", "BHD", "JOD", "KWD", "OMR", "TND"}
