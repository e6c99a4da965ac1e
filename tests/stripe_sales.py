"""What can become of a sale by Stripe: the events that tell of it, and the books that must be at the end.

`books` adds up what was agreed and what happened, in no order at all and by no code of the ledger's: the
figures are those of DOMAIN.md, sections 1 and 2.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from adapters.stripe_objects import CHARGED_ORDER
from ledger.payments.commands import MatchPayout
from tests.stripe_events import (
    Event,
    charge,
    dispute,
    event,
    invoice,
    invoice_payment,
    newer_invoice,
    payout,
    refund,
    session,
    txn,
    withdrawal,
)

USD, MYR, CREDIT = "USD/2", "MYR/2", "CREDIT.enrichment/0"
OWN = "customers:42:credits:enrichment"
Step = Any  # an event, a balance transaction that is fetched, or a command of somebody's
Way = Literal[
    "session", "later", "late failure", "declined", "month", "newer month", "charged", "free", "nothing"
]
Books = dict[tuple[str, str], int]


@dataclass(frozen=True)
class Back:
    """A refund of so much, which may fail."""

    amount: int
    failed: bool = False


@dataclass(frozen=True)
class Sale:
    """100 units for 1,000, unless it says otherwise, of which `used` are used as soon as they are there.

    `rates`: what 100 USD cents are in MYR sen when charged, when paid back, and when that comes back.
    """

    way: Way = "session"
    units: int = 100
    bonus: int = 0
    price: int = 1_000
    tax: int = 0
    used: int = 0
    fee: int = 59
    refunds: tuple[Back, ...] = ()
    dispute: Literal["", "open", "won", "lost"] = ""
    rates: tuple[int, int, int] | None = None
    payout: Literal["", "made", "failed", "matched", "matched and failed"] = ""

    @property
    def paid(self) -> int:
        return 0 if self.way == "free" else self.price + self.tax

    @property
    def is_paid(self) -> bool:
        return self.way not in ("declined", "nothing")

    @property
    def refunded(self) -> int:
        return sum(back.amount for back in self.refunds if not back.failed)

    def settled(self, amount: int, fee: int, when: int) -> tuple[int, int]:
        """What a balance transaction has of an amount and fee, in the currency of the balance."""
        rate = 100 if self.rates is None else self.rates[when]
        return int(Fraction(amount * rate, 100)), int(Fraction(fee * rate, 100))


SALES: dict[str, Sale] = {
    "a purchase": Sale(tax=80, bonus=10, used=40),
    "a purchase for nothing": Sale(way="free", used=7),
    "an asynchronous payment that succeeded": Sale(way="later", tax=80),
    "an asynchronous payment that failed": Sale(way="declined"),
    "a failure that is told late": Sale(way="late failure"),
    "all of a half-used purchase refunded": Sale(used=50, tax=80, refunds=(Back(1_080),)),
    "parts of a half-used purchase refunded": Sale(
        units=97, bonus=3, price=1_001, tax=77, used=50, refunds=(Back(333), Back(334))
    ),
    # Of seven units for 100, two cost 29 and three 43, but five 71.
    "parts that do not divide refunded": Sale(units=7, price=100, refunds=(Back(29), Back(43))),
    "a refund that failed": Sale(used=50, tax=80, refunds=(Back(1_080, failed=True),)),
    "two refunds of which one failed": Sale(
        units=97, price=1_001, used=30, refunds=(Back(700, failed=True), Back(301))
    ),
    "a dispute that is open": Sale(used=40, dispute="open"),
    "a dispute won": Sale(used=40, dispute="won"),
    "a dispute lost": Sale(used=40, tax=80, dispute="lost"),
    "a payout that is paid": Sale(way="nothing", payout="matched"),
    "a payout that failed": Sale(way="nothing", payout="failed"),
    "a payout that failed after it was paid": Sale(way="nothing", payout="matched and failed"),
    "a saved payment method that was charged": Sale(way="charged", used=20),
    "a month of a subscription": Sale(way="month", tax=80, used=20),
    "a month refunded": Sale(way="month", used=20, refunds=(Back(1_000),)),
    "a newer month refunded in part": Sale(way="newer month", tax=80, used=20, refunds=(Back(540),)),
    "a newer month lost in a dispute": Sale(way="newer month", used=20, dispute="lost"),
    "another currency": Sale(used=50, rates=(423, 430, 425)),
    "another currency, refunded": Sale(used=50, rates=(423, 430, 425), refunds=(Back(1_000),)),
    "another currency, a refund failed": Sale(rates=(423, 430, 425), refunds=(Back(1_000, failed=True),)),
    "another currency, a dispute won": Sale(rates=(423, 430, 425), dispute="won"),
    "another currency, a dispute lost": Sale(used=40, rates=(423, 410, 425), dispute="lost"),
}

WITHDRAWAL_FEE, PAYOUT = 1_500, 1_100


def steps(sale: Sale) -> list[Step]:
    """What is told of a sale, each fact once, in one right order."""
    told = _bought(sale)
    if sale.is_paid and sale.paid:
        told += [charge(amount=sale.paid, metadata={"order": "o"})]
        told += [_txn(sale, "charge", sale.paid, sale.fee, 0, told[-1])]
    for number, back in enumerate(sale.refunds):
        told += _refunded(sale, f"re_{number}", back)
    if sale.dispute:
        told += _disputed(sale)
    return told + _paid_out(sale)


def echoes(sale: Sale) -> list[Step]:
    """What tells the same once more: other events of the same facts, and events that mean nothing alone."""
    told: list[Step] = []
    if sale.is_paid and sale.paid:
        told += [event("payment_intent.succeeded", id="pi_1"), charge("charge.updated", sale.paid)]
        captured = charge("charge.captured", sale.paid)
        settled = _txn(sale, "charge", sale.paid, sale.fee, 0, captured)
        captured["data"]["object"]["balance_transaction"] = settled | {"source": "ch_1"}
        told += [captured, settled]
    if sale.way == "month":
        told += [
            invoice("invoice.payment_succeeded", sale.paid, sale.tax),
            event("invoice.payment_failed", id="in_1", subscription="sub_1", attempt_count=1),
            _subscription("active", 10),
        ]
    if sale.way == "newer month":
        told += [newer_invoice("invoice.payment_succeeded", sale.paid, sale.tax), invoice_payment()]
    for number, back in enumerate(sale.refunds):
        id = f"re_{number}"
        told += [
            refund("refund.created", id, back.amount, "pending", balance_transaction=None),
            refund("charge.refund.updated", id, back.amount, "failed" if back.failed else "succeeded"),
        ]
    if sale.refunds:
        told += [charge("charge.refunded", sale.paid, amount_refunded=sale.refunds[0].amount)]
    if sale.dispute:
        told += _disputed(sale)
    if sale.payout:
        told += [payout("paid", "paid"), payout("updated", "paid")]
    return told


def _bought(sale: Sale) -> list[Step]:
    total = {"amount_tax": sale.tax, "amount_discount": sale.price if sale.way == "free" else 0}
    terms: dict[str, Any] = {"amount_total": sale.paid, "total_details": total}
    unpaid = session(status="unpaid", **terms)
    match sale.way:
        case "session":
            return [session(**terms)]
        case "later":
            return [unpaid, session("checkout.session.async_payment_succeeded", **terms)]
        case "late failure":
            return [
                session(**terms),
                session("checkout.session.async_payment_failed", status="unpaid", **terms),
                session("checkout.session.expired", status="unpaid", **terms),
            ]
        case "declined":
            return [
                unpaid,
                session("checkout.session.async_payment_failed", status="unpaid", **terms),
                charge("charge.failed", sale.paid, status="failed", paid=False, captured=False),
                event("payment_intent.payment_failed", id="pi_1"),
            ]
        case "month":
            return [
                session(mode="subscription", payment_intent=None),
                invoice("invoice.paid", sale.paid, sale.tax),
                _subscription("incomplete", 0),
                _subscription("active", 10),
            ]
        case "newer month":
            return [newer_invoice("invoice.paid", sale.paid, sale.tax), invoice_payment()]
        case "charged":
            named = {CHARGED_ORDER: "o"}
            return [event("payment_intent.succeeded", id="pi_1", amount_received=sale.paid, metadata=named)]
        case "free":
            return [session(status="no_payment_required", payment_intent=None, **terms)]
    return []


def _subscription(status: str, seconds: int) -> Event:
    told = event("customer.subscription.updated", id="sub_1", status=status)
    return {**told, "created": told["created"] + seconds}


def _refunded(sale: Sale, id: str, back: Back) -> list[Step]:
    made = refund("refund.created", id, back.amount)
    told = [made, _txn(sale, "refund", -back.amount, 0, 1, made)]
    if back.failed:
        failed = refund("refund.failed", id, back.amount, "failed")
        told += [failed, _txn(sale, "refund_failure", back.amount, 0, 2, failed)]
    return told


def _disputed(sale: Sale) -> list[Step]:
    amount, fee = sale.settled(sale.paid, WITHDRAWAL_FEE, 1)
    back, fee_back = sale.settled(sale.paid, WITHDRAWAL_FEE, 2)
    currency = "usd" if sale.rates is None else "myr"
    out = withdrawal(-amount, fee, currency=currency)
    told = [dispute("created", "needs_response", out, amount=sale.paid)]
    if sale.dispute == "lost":
        told += [dispute("closed", "lost", out, amount=sale.paid)]
    if sale.dispute == "won":
        returned = withdrawal(back, -fee_back, "txn_r", currency=currency)
        told += [
            dispute("closed", "won", out, amount=sale.paid),
            dispute("funds_reinstated", "won", out, returned, amount=sale.paid),
        ]
    return [*told, _txn(sale, "adjustment", -sale.paid, WITHDRAWAL_FEE, 1, told[0], id="txn_w")]


def _paid_out(sale: Sale) -> list[Step]:
    if not sale.payout:
        return []
    made = payout("created", "pending")
    told: list[Step] = [made, txn("payout", -PAYOUT, 15, made["data"]["object"])]
    if "failed" in sale.payout:
        failed = payout("failed", "failed")
        told += [failed, txn("payout_failure", PAYOUT, 0, failed["data"]["object"])]
    if "matched" in sale.payout:
        told += [MatchPayout(payout="po_1", amount=PAYOUT, asset=USD)]
    return told


def _txn(sale: Sale, type: str, amount: int, fee: int, when: int, of: Event, **more: Any) -> Step:
    moved, cost = sale.settled(amount, fee, when)
    currency = "usd" if sale.rates is None else "myr"
    source = dict(of["data"]["object"])
    more = {"id": f"txn_{type}_{source['id']}", **more}
    return txn(type, moved, cost, source, currency=currency, **more)


# ---------------------------------------------------------------- the books that there must be


def books(sale: Sale) -> tuple[Books, dict[str, dict[str, int]]]:
    """Balances, debits positive, without zeros; and the open items."""
    b: Counter[tuple[str, str]] = Counter()
    items: dict[str, dict[str, int]] = {}
    if sale.is_paid:
        _goods(sale, b)
    if sale.is_paid and sale.paid:
        _cash(sale, b)
    if sale.dispute == "open":
        items["dispute:dp_1"] = {USD: sale.paid}
    if sale.payout:
        transit = PAYOUT * (1 - ("failed" in sale.payout) - ("matched" in sale.payout))
        b["stripe:payout_in_transit", USD] += transit
        b["payments:bank", USD] += PAYOUT * ("matched" in sale.payout)
        b["stripe:processing_fee", USD] += 15
        b["stripe:clearing", USD] -= 15 + PAYOUT * ("failed" not in sale.payout)
        items |= {"payout:po_1": {USD: transit}} if transit else {}
    return {key: amount for key, amount in b.items() if amount}, items


def _goods(sale: Sale, b: Counter[tuple[str, str]]) -> None:
    """What was bought, used, given back and lost: units, and what they cost."""
    whole, net = sale.units + sale.bonus, sale.paid - sale.tax
    shared = round(Fraction(net * sale.bonus, whole))
    lots = [[sale.bonus, shared], [sale.units, net - shared]]
    back = sale.paid if sale.dispute == "lost" else sale.refunded
    used, earned = _take(lots, sale.used)
    gone, worth = _take(lots, round(Fraction(whole * back, sale.paid)) if sale.paid else 0)
    tax = round(Fraction(sale.tax * back, sale.paid)) if sale.paid else 0
    left = whole - used - gone
    b["credits:units:issued", CREDIT] += whole
    b["credits:units:consumed", CREDIT] -= used
    b["credits:units:retired", CREDIT] -= gone
    b[OWN + ":frozen" * (sale.dispute == "open"), CREDIT] -= left
    b["credits:contract_liability:enrichment", USD] -= net - earned - worth
    b["credits:revenue:enrichment", USD] -= earned
    b["tax:payable", USD] -= sale.tax - tax
    rest = "dispute_loss" if sale.dispute == "lost" else "refunds"
    b[f"credits:{rest}:enrichment", USD] += back - tax - worth


def _take(lots: list[list[int]], units: int) -> tuple[int, int]:
    """So many units of lots, the first first, as far as there are any; and what they cost."""
    taken = cost = 0
    for lot in lots:
        part = min(lot[0], units - taken)
        worth = round(Fraction(lot[1] * part, lot[0])) if part else 0
        lot[0], lot[1] = lot[0] - part, lot[1] - worth
        taken, cost = taken + part, cost + worth
    return taken, cost


def _cash(sale: Sale, b: Counter[tuple[str, str]]) -> None:
    """What Stripe's balance has, its fees, and what another currency has gained or lost."""
    moved = [(sale.paid, sale.fee, 0, "processing_fee")]
    for back in sale.refunds:
        moved += [(-back.amount, 0, 1, "processing_fee")]
        moved += [(back.amount, 0, 2, "processing_fee")] if back.failed else []
    if sale.dispute:
        moved += [(-sale.paid, WITHDRAWAL_FEE, 1, "dispute_fee")]
        moved += [(sale.paid, -WITHDRAWAL_FEE, 2, "dispute_fee")] if sale.dispute == "won" else []
    if sale.dispute == "open":
        b["payments:disputes_receivable", USD] += sale.paid
    asset = USD if sale.rates is None else MYR
    position = Counter({USD: 0, MYR: 0})
    for amount, fee, when, account in moved:
        there, cost = sale.settled(amount, fee, when)
        b["stripe:clearing", asset] += there - cost
        b[f"stripe:{account}", asset] += cost
        position[USD] += amount
        position[MYR] -= there
    if sale.rates is None:
        return
    if position[USD]:
        b["fx:position", USD] += position[USD]
        b["fx:position", MYR] += position[MYR]
    elif position[MYR] > 0:
        b["fx:realised_loss", MYR] += position[MYR]
    else:
        b["fx:realised_gain", MYR] += position[MYR]
