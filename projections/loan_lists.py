"""Loans and borrowers as their read model has them: lists by every filter, on any day."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from ledger.loan_reads import today
from ledger.loans.calendar import DayCount
from ledger.loans.schedule import Interest, Method
from ledger.loans.state import Kyc, Status
from ledger.loans.statuses import KreditInterest, KreditLoan, kredit_interest
from ledger.loans.terms import Rating
from ledger.reader import Reader
from ledger.text import iso, micros
from projections.balances_at import AsOf, period
from projections.loans import QUERIES
from projections.reading import position


class LoanFilter(Struct, frozen=True, kw_only=True):
    """What a list of loans is narrowed by; None: by nothing. `past_due`: so many days or more.

    `names`: to these.
    """

    names: list[str] | None = None
    borrower: str | None = None
    status: Status | None = None
    kredit_status: KreditLoan | None = None
    asset: str | None = None
    provider: str | None = None
    past_due: int | None = None
    submitted_from: AsOf | None = None
    submitted_to: AsOf | None = None


class LoanLine(Struct, frozen=True, kw_only=True):
    """A loan in a list, on a day. What is owed is owed in advance too; `seq` is of its last event.

    `amount` and what follows from an offer are null without one. `oldest_due`: the first day on which
    something that is owed is due, past or to come.
    """

    loan: str
    borrower: str
    status: Status
    kredit_status: KreditLoan | None
    asset: str
    requested: int
    amount: int | None
    disbursed: int
    principal: int
    interest: int
    fee: int
    penalty: int
    overpaid: int
    days_past_due: int
    oldest_due: date | None
    instalments: int | None
    rate: str | None
    kredit_interest: KreditInterest | None
    provider: str | None
    submitted_at: str
    seq: int


class LoansPage(Struct, frozen=True):
    """Loans by name, from events up to `seq`; `next` continues as `after`, null at the end."""

    seq: int
    on: date
    loans: list[LoanLine]
    next: str | None


class BorrowerLine(Struct, frozen=True):
    """A borrower in a list, as assessed last."""

    borrower: str
    kyc: Kyc
    rating: Rating | None
    score: int | None
    assessed_at: str
    seq: int


class BorrowersPage(Struct, frozen=True):
    """Borrowers by name, from events up to `seq`; `next` continues as `after`, null at the end."""

    seq: int
    borrowers: list[BorrowerLine]
    next: str | None


def loans(
    reader: Reader,
    ledger: str,
    wanted: LoanFilter,
    *,
    on: date | None = None,
    after: str = "",
    limit: int = 100,
    min_seq: int | None = None,
) -> LoansPage:
    """Loans beyond a name as they are on a day, today unless asked.

    Raises EndsBeforeItStarts of the period of submission, Behind, Stopped.
    """
    day = today(reader, ledger) if on is None else on
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "loans", min_seq)
        start, end = period(wanted.submitted_from, wanted.submitted_to, ZoneInfo(parameters["time_zone"]))
        asked = {
            **parameters,
            "version": at.version,
            "on": day,
            "after": after,
            "limit": limit,
            "from": start,
            "before": end,
            **{name: getattr(wanted, name) for name in wanted.__struct_fields__},
        }
        rows = connection.execute(QUERIES["loans"], asked).fetchall()
    found = [_line(row) for row in rows]
    return LoansPage(at.seq, day, found, found[-1].loan if len(found) == limit else None)


def _line(row: tuple[Any, ...]) -> LoanLine:
    *line, instalments, rate, method, daily, provider, submitted_at, seq = row
    plain = LoanLine.__struct_fields__[: len(line)]
    return LoanLine(
        **dict(zip(plain, line, strict=True)),
        instalments=instalments or None,
        rate=rate or None,
        kredit_interest=_kredit_interest(method, daily) if method else None,
        provider=provider or None,
        submitted_at=iso(micros(submitted_at)),
        seq=seq,
    )


def _kredit_interest(method: Method, daily: bool) -> KreditInterest:
    return kredit_interest(Interest(method=method, rate="0", daily=DayCount() if daily else None))


def borrowers(
    reader: Reader,
    ledger: str,
    *,
    kyc: Kyc | None = None,
    rating: Rating | None = None,
    after: str = "",
    limit: int = 100,
    min_seq: int | None = None,
) -> BorrowersPage:
    """Borrowers beyond a name (Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "loans", min_seq)
        asked = {"version": at.version, "kyc": kyc, "rating": rating, "after": after, "limit": limit}
        rows = connection.execute(QUERIES["borrowers"], {**parameters, **asked}).fetchall()
    found = [
        BorrowerLine(name, known, risk, score, iso(micros(assessed_at)), seq)
        for name, known, risk, score, assessed_at, seq in rows
    ]
    return BorrowersPage(at.seq, found, found[-1].borrower if len(found) == limit else None)
