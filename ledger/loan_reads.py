"""Reading loans: what a loan, a borrower and the policy are, for those who ask over the API.

A loan is read as it is on a day: its book is copied and accrues to that day, which stores nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from ledger.chart import MAX_AMOUNT
from ledger.days import day_of
from ledger.loans.book import Book
from ledger.loans.calendar import LAST_DUE
from ledger.loans.costs import OfferCost, cost_of
from ledger.loans.entering import payoff
from ledger.loans.facts import AnyFact, Disbursed
from ledger.loans.payment_commands import PaymentMethod
from ledger.loans.payments import (
    Assigned,
    LoanPayment,
    PaymentStatus,
    payment_stream,
    virtual_account_stream,
)
from ledger.loans.state import (
    POLICY,
    Borrower,
    Kyc,
    Lender,
    Loan,
    Status,
    Tranche,
    borrower_stream,
    loan_stream,
)
from ledger.loans.statuses import (
    InstalmentStatus,
    KreditInterest,
    KreditLoan,
    instalment_status,
    kredit_interest,
    kredit_status,
)
from ledger.loans.terms import Offer, Policy, Rating
from ledger.loans.waterfall import Part
from ledger.reader import Reader
from ledger.text import iso
from sql import load

QUERIES = load("loans.sql")


class LoanNotFound(Exception):
    """`args[0]` is the name."""


class BorrowerNotFound(Exception):
    """`args[0]` is the name."""


class PaymentNotFound(Exception):
    """`args[0]` is the name."""


class VirtualAccountNotFound(Exception):
    """`args[0]` is the number."""


class Owed(Struct, frozen=True):
    """Minor units of each part, and together."""

    principal: int
    interest: int
    fee: int
    penalty: int
    total: int


class InstalmentView(Struct, frozen=True):
    """An instalment: what it asks, and what of that is paid, waived or credited (`_done`)."""

    start: date
    due: date
    principal: int
    interest: int
    principal_done: int
    interest_done: int
    status: InstalmentStatus


class ExtraView(Struct, frozen=True):
    """What is owed beside the instalments: fees, penalties, what was charged back."""

    part: Part
    due: date
    amount: int
    done: int


class FactView(Struct, frozen=True, omit_defaults=True):
    """A transaction of the loan: `seq` names it, to charge it back or to undo it."""

    seq: int
    kind: str
    day: date
    amount: int | None = None


class DisbursementView(Struct, frozen=True):
    """A disbursement: `seq` names it, to confirm it or to let it fail."""

    seq: int
    amount: int
    fee: int
    account: str
    method: str
    reference: str
    status: str


class LoanPosition(Struct, frozen=True, kw_only=True):
    """A loan that was disbursed, on a day. `due` is owed by then, `owed` in advance too."""

    on: date
    days_past_due: int
    bucket: str
    non_accrual: bool
    charged_off: bool
    disbursed: int
    owed: Owed
    due: Owed
    overpaid: int
    recovered: int
    allowance: int
    collateral: dict[str, int]
    schedule: list[InstalmentView]
    extras: list[ExtraView]
    transactions: list[FactView]


class LoanView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A loan from its application on; `position` once something was disbursed.

    `funding` is whose money it is, ours or a provider's. `cost` is what the offer costs in all from its first
    disbursement on, which is that day's until there is one.
    """

    loan: str
    borrower: str
    status: Status
    asset: str
    requested: int
    kredit_status: KreditLoan | None = None
    kredit_interest: KreditInterest | None = None
    offer: Offer | None = None
    funding: Literal["own", "provider"] | None = None
    cost: OfferCost | None = None
    conditions: tuple[str, ...] = ()
    expires_at: str = ""
    disbursements: list[DisbursementView] = []
    position: LoanPosition | None = None
    version: int = 0


class PayoffView(Struct, frozen=True):
    """What it takes to settle the loan on a day, and what is overpaid."""

    loan: str
    asset: str
    on: date
    payoff: Owed
    overpaid: int


class TakenOfLimit(Struct, frozen=True):
    """What a loan takes of its borrower's credit limit."""

    asset: str
    amount: int


class BorrowerView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A borrower; limits and what loans take of them by asset, minor units."""

    borrower: str
    kyc: Kyc
    rating: Rating | None = None
    score: int | None = None
    limits: dict[str, int] = {}
    loans: dict[str, TakenOfLimit] = {}


class PaymentView(Struct, frozen=True, kw_only=True):
    """A borrower's payment. `in_suspense` is of no loan yet; `repayment` names the transaction of `loan`.

    `matched_by`: `loan`, `reference`, `virtual_account` or `instalment`, which were said of it, or `hand`.
    """

    payment: str
    method: PaymentMethod
    asset: str
    amount: int
    status: PaymentStatus
    reference: str
    virtual_account: str | None
    borrower: str | None
    received_at: str | None
    failure: str | None
    in_suspense: int
    loan: str | None
    matched_by: str | None
    repayment: int | None
    repaid: int
    refunded: int
    version: int


class VirtualAccountView(Struct, frozen=True):
    """What is paid into a virtual account is for this loan."""

    virtual_account: str
    loan: str


class PolicyView(Struct, frozen=True):
    """The policy of loans that are approved from now on."""

    policy: Policy


def today(reader: Reader, ledger: str) -> date:
    """The day it is in the ledger's time zone."""
    return day_of(reader.clock(), ZoneInfo(reader.ledger(ledger).time_zone))


def count(reader: Reader, ledger: str) -> int:
    """How many loans there are, applications too."""
    with reader.snapshot(ledger) as (connection, parameters):
        row = connection.execute(QUERIES["count_loans"], parameters).fetchone()
        assert row is not None
        return int(row[0])


def every(reader: Reader, ledger: str, page: int = 1_000) -> Iterator[list[Loan]]:
    """All loans by name, page by page."""
    after = ""
    while streams := reader.streams(ledger, "loan", after=after, limit=page):
        yield [stream.state for stream, _ in streams]
        after = streams[-1][0].name


def find_loan(reader: Reader, ledger: str, name: str) -> tuple[Loan, int]:
    """A loan and the version of its stream (LoanNotFound)."""
    found = reader.stream(ledger, loan_stream(name))
    if found is None:
        raise LoanNotFound(name)
    loan: Loan = found[0].state
    return loan, found[0].version


def loan(reader: Reader, ledger: str, name: str, on: date | None) -> LoanView:
    """A loan as it is on a day, today unless asked (LoanNotFound)."""
    kept, version = find_loan(reader, ledger, name)
    day = today(reader, ledger) if on is None else on
    kept = on_day(kept, day)
    return LoanView(
        loan=kept.loan,
        borrower=kept.borrower,
        status=kept.status,
        kredit_status=kredit_status(kept, day),
        kredit_interest=None if kept.offer is None else kredit_interest(kept.offer.interest),
        asset=kept.asset,
        requested=kept.requested,
        offer=kept.offer,
        funding=None if kept.offer is None else funding(kept.offer),
        cost=_cost(kept, day),
        conditions=kept.conditions,
        expires_at="" if kept.expires_at is None else iso(kept.expires_at),
        disbursements=[_disbursement(tranche) for tranche in kept.tranches],
        position=None if kept.book is None else _position(kept, kept.book, day),
        version=version,
    )


def _cost(kept: Loan, day: date) -> OfferCost | None:
    """From the first disbursement on, or from the day; None also of what no ledger can hold, or that late."""
    if kept.offer is None:
        return None
    first = next((fact.day for fact in kept.facts if isinstance(fact, Disbursed)), day)
    if first.year + 100 > LAST_DUE.year:
        return None
    cost = cost_of(kept.offer, first)
    return cost if cost.total <= MAX_AMOUNT else None


def funding(offer: Offer) -> Literal["own", "provider"]:
    """Whose money an offer is."""
    return "own" if offer.provider is None else "provider"


def on_day(kept: Loan, day: date) -> Loan:
    """The loan when time has passed until a day."""
    if kept.book is None or day <= kept.book.accrued_to:
        return kept
    book = kept.book.copy()
    book.accrue(day)
    return msgspec.structs.replace(kept, book=book)


def _disbursement(tranche: Tranche) -> DisbursementView:
    return DisbursementView(
        tranche.seq,
        tranche.amount,
        tranche.fee,
        tranche.account,
        tranche.method,
        tranche.reference,
        tranche.status,
    )


def owed(parts: dict[Part, int]) -> Owed:
    """The parts, and their sum."""
    return Owed(parts["principal"], parts["interest"], parts["fee"], parts["penalty"], sum(parts.values()))


def _position(kept: Loan, book: Book, day: date) -> LoanPosition:
    days = book.days_past_due(day)
    due: dict[Part, int] = {"principal": 0, "interest": 0, "fee": 0, "penalty": 0}
    for item in book.items():
        if item.due <= day:
            due[item.part] += item.amount
    return LoanPosition(
        on=day,
        days_past_due=days,
        bucket=kept.policy.bucket(days),
        non_accrual=book.non_accrual,
        charged_off=book.charged_off,
        disbursed=book.disbursed,
        owed=owed(book.outstanding()),
        due=owed(due),
        overpaid=book.overpaid,
        recovered=book.recovered,
        allowance=book.allowance,
        collateral=book.collateral,
        schedule=[
            InstalmentView(
                row.start,
                row.due,
                row.principal,
                row.interest,
                row.principal_done,
                row.interest_done,
                instalment_status(row, day),
            )
            for row in book.rows
        ],
        extras=[ExtraView(extra.part, extra.due, extra.amount, extra.done) for extra in book.extras],
        transactions=[_fact(fact) for fact in kept.facts],
    )


def _fact(fact: AnyFact) -> FactView:
    kind: Any = type(fact).__struct_config__.tag
    return FactView(fact.seq, str(kind), fact.day, getattr(fact, "amount", None))


def payoff_of(reader: Reader, ledger: str, name: str, on: date | None) -> PayoffView:
    """What it takes to settle a loan on a day, today unless asked (LoanNotFound)."""
    kept, _ = find_loan(reader, ledger, name)
    day = today(reader, ledger) if on is None else on
    nothing: dict[Part, int] = {"principal": 0, "interest": 0, "fee": 0, "penalty": 0}
    if kept.book is None:
        return PayoffView(kept.loan, kept.asset, day, owed(nothing), 0)
    day = max(day, kept.book.accrued_to)
    return PayoffView(kept.loan, kept.asset, day, owed(payoff(kept.book, day)), kept.book.overpaid)


def borrower(reader: Reader, ledger: str, name: str) -> BorrowerView:
    """A borrower (BorrowerNotFound)."""
    found = reader.stream(ledger, borrower_stream(name))
    if found is None:
        raise BorrowerNotFound(name)
    kept: Borrower = found[0].state
    return BorrowerView(
        borrower=name,
        kyc=kept.kyc,
        rating=kept.rating,
        score=kept.score,
        limits=kept.limits,
        loans={name: TakenOfLimit(*taken) for name, taken in kept.taken.items()},
    )


def policy(reader: Reader, ledger: str) -> PolicyView:
    """The policy now: that which was set last, or what holds by itself."""
    found = reader.stream(ledger, POLICY)
    if found is None:
        return PolicyView(Policy())
    kept: Lender = found[0].state
    return PolicyView(kept.policy)


def payment(reader: Reader, ledger: str, name: str) -> PaymentView:
    """A borrower's payment (PaymentNotFound)."""
    found = reader.stream(ledger, payment_stream(name))
    if found is None:
        raise PaymentNotFound(name)
    kept: LoanPayment = found[0].state
    paid = kept.paid
    return PaymentView(
        payment=name,
        method=paid.method,
        asset=paid.asset,
        amount=paid.amount,
        status=kept.status,
        reference=paid.reference,
        virtual_account=paid.virtual_account,
        borrower=paid.borrower,
        received_at=None if kept.received_at is None else iso(kept.received_at),
        failure=kept.failed or None,
        in_suspense=kept.in_suspense,
        loan=kept.loan or None,
        matched_by=kept.matched_by or None,
        repayment=kept.repayment or None,
        repaid=kept.repaid,
        refunded=kept.refunded,
        version=found[0].version,
    )


def virtual_account(reader: Reader, ledger: str, number: str) -> VirtualAccountView:
    """Whose a virtual account is (VirtualAccountNotFound)."""
    found = reader.stream(ledger, virtual_account_stream(number))
    if found is None:
        raise VirtualAccountNotFound(number)
    kept: Assigned = found[0].state
    return VirtualAccountView(number, kept.loan)
