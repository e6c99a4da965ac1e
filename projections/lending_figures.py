"""What a lender looks at first: loans, borrowers, payments in figures; a borrower with a credit report.

Amounts are never summed across assets.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from msgspec import Struct

from ledger import loan_reads
from ledger.loan_accounts import ReportedLoan, reported
from ledger.loan_reads import find_loan, today
from ledger.loans.payment_commands import PaymentMethod
from ledger.loans.payments import PaymentStatus
from ledger.loans.state import Kyc, Status
from ledger.loans.terms import Rating
from ledger.reader import Reader
from projections import loan_lists
from projections.loan_payments import QUERIES as PAYMENTS
from projections.loans import QUERIES as LOANS
from projections.reading import position
from projections.voucher_reads import percent

MOST_REPORTED = 100


class LoanFigures(Struct, frozen=True, kw_only=True):
    """Loans of one asset and status. `amount` is what was offered, or asked for where nothing was.

    What is owed is owed in advance too; past due beyond the days of grace.
    """

    asset: str
    status: Status
    loans: int
    amount: int
    disbursed: int
    principal: int
    interest: int
    fee: int
    penalty: int
    overpaid: int
    past_due: int
    past_due_principal: int


class PaymentFigures(Struct, frozen=True):
    """Payments of one asset, status and method."""

    asset: str
    status: PaymentStatus
    method: PaymentMethod
    payments: int
    amount: int
    in_suspense: int
    refunded: int


class LendingOverview(Struct, frozen=True, kw_only=True):
    """A ledger's lending on a day, from events up to `seq`.

    `approval_rate`: approved in percent of approved and rejected applications, two decimals; null before one.
    """

    seq: int
    on: date
    applications: int
    approved: int
    rejected: int
    approval_rate: str | None
    borrowers: dict[Kyc, int]
    loans: list[LoanFigures]
    payments: list[PaymentFigures]


class LimitView(Struct, frozen=True):
    """A borrower's credit limit in an asset, what open loans take of it, and what is left."""

    asset: str
    limit: int
    taken: int
    free: int


class BorrowerOverview(Struct, frozen=True, kw_only=True):
    """A borrower's loans and payments in figures, on a day, from events up to `seq`."""

    seq: int
    on: date
    borrower: str
    kyc: Kyc
    rating: Rating | None
    score: int | None
    limits: list[LimitView]
    loans: list[LoanFigures]
    payments: list[PaymentFigures]


class CreditReport(Struct, frozen=True, kw_only=True):
    """What a credit report says of a borrower on a day, from events up to `seq`; loans by name.

    `next` continues as `after`, null at the end.
    """

    seq: int
    on: date
    borrower: str
    kyc: Kyc
    rating: Rating | None
    score: int | None
    limits: list[LimitView]
    loans: list[ReportedLoan]
    next: str | None


class _Found(Struct, frozen=True):
    seq: int
    loans: list[LoanFigures]
    approved: int
    payments: list[PaymentFigures]
    borrowers: dict[Kyc, int]


def overview(reader: Reader, ledger: str, on: date | None, min_seq: int | None) -> LendingOverview:
    """A ledger's lending on a day, today unless asked (Behind, Stopped)."""
    day = today(reader, ledger) if on is None else on
    found = _figures(reader, ledger, day, None, min_seq)
    rejected = sum(line.loans for line in found.loans if line.status == "rejected")
    return LendingOverview(
        seq=found.seq,
        on=day,
        applications=sum(line.loans for line in found.loans),
        approved=found.approved,
        rejected=rejected,
        approval_rate=percent(found.approved, rejected),
        borrowers=found.borrowers,
        loans=found.loans,
        payments=found.payments,
    )


def borrower_overview(
    reader: Reader, ledger: str, name: str, on: date | None, min_seq: int | None
) -> BorrowerOverview:
    """A borrower in figures on a day, today unless asked (BorrowerNotFound, Behind, Stopped)."""
    day = today(reader, ledger) if on is None else on
    known = loan_reads.borrower(reader, ledger, name)
    found = _figures(reader, ledger, day, name, min_seq)
    return BorrowerOverview(
        seq=found.seq,
        on=day,
        borrower=name,
        kyc=known.kyc,
        rating=known.rating,
        score=known.score,
        limits=_limits(known),
        loans=found.loans,
        payments=found.payments,
    )


def credit_report(
    reader: Reader,
    ledger: str,
    name: str,
    *,
    on: date | None = None,
    after: str = "",
    limit: int = MOST_REPORTED,
    min_seq: int | None = None,
) -> CreditReport:
    """A borrower's loans one by one on a day, today unless asked (BorrowerNotFound, Behind, Stopped)."""
    day = today(reader, ledger) if on is None else on
    known = loan_reads.borrower(reader, ledger, name)
    wanted = loan_lists.LoanFilter(borrower=name)
    page = loan_lists.loans(reader, ledger, wanted, on=day, after=after, limit=limit, min_seq=min_seq)
    return CreditReport(
        seq=page.seq,
        on=day,
        borrower=name,
        kyc=known.kyc,
        rating=known.rating,
        score=known.score,
        limits=_limits(known),
        loans=[reported(find_loan(reader, ledger, line.loan)[0], day) for line in page.loans],
        next=page.next,
    )


def _limits(known: loan_reads.BorrowerView) -> list[LimitView]:
    found = []
    for asset, limit in sorted(known.limits.items()):
        taken = sum(one.amount for one in known.loans.values() if one.asset == asset)
        found.append(LimitView(asset, limit, taken, max(limit - taken, 0)))
    return found


def _figures(reader: Reader, ledger: str, day: date, borrower: str | None, min_seq: int | None) -> _Found:
    with reader.snapshot(ledger) as (connection, parameters):
        loans_at = position(connection, parameters["ledger_id"], "loans", min_seq)
        payments_at = position(connection, parameters["ledger_id"], "loan_payments", min_seq)
        asked = {**parameters, "version": loans_at.version, "on": day, "borrower": borrower}
        rows = connection.execute(LOANS["loan_figures"], asked).fetchall()
        kyc = connection.execute(LOANS["borrower_figures"], asked).fetchall()
        asked |= {"version": payments_at.version, "loans_version": loans_at.version}
        paid = connection.execute(PAYMENTS["payment_figures"], asked).fetchall()
    names = LoanFigures.__struct_fields__
    return _Found(
        min(loans_at.seq, payments_at.seq),
        [LoanFigures(**dict(zip(names, _plain(row[:-1]), strict=True))) for row in rows],
        sum(int(row[-1]) for row in rows),
        [PaymentFigures(*_plain(row)) for row in paid],
        {status: int(count) for status, count in kyc},
    )


def _plain(row: Iterable[Any]) -> list[Any]:
    """Sums are decimals to PostgreSQL, and whole."""
    return [value if isinstance(value, str) else int(value) for value in row]
