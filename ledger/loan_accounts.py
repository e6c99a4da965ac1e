"""Reading what became of loans over time: the statement of one, what a credit report says of it."""

from __future__ import annotations

from datetime import date

from msgspec import Struct, structs

from ledger.loan_reads import Owed, find_loan, on_day, owed, today
from ledger.loans.facts import Disbursed
from ledger.loans.state import Loan, Status
from ledger.loans.statement import Debt, steps
from ledger.loans.statuses import InstalmentStatus, KreditLoan, instalment_status, kredit_status
from ledger.loans.waterfall import PARTS
from ledger.reader import Reader


class StatementLine(Struct, frozen=True, kw_only=True):
    """A fact of the loan, named by `seq`, or interest that `accrued`: what it made more or less of each part.

    Below zero: it was paid, waived or credited. `overpaid` is what it added to the overpayment, `balance`
    what is owed after it: all that has accrued, less what is overpaid.
    """

    day: date
    kind: str
    seq: int | None
    amount: int | None
    change: Owed
    overpaid: int
    balance: int


class LoanStatement(Struct, frozen=True, kw_only=True):
    """A loan's account from a day to a day: opening and closing balance, and all between."""

    loan: str
    borrower: str
    asset: str
    start: date | None
    to: date
    opening: int
    lines: list[StatementLine]
    closing: int
    closing_parts: Owed
    overpaid: int


class ReportedLoan(Struct, frozen=True, kw_only=True):
    """A loan in a credit report. `worst_days_past_due`: the latest it ever was, by what is known now.

    `instalments` are counted by status; `opened` is the day of the first disbursement.
    """

    loan: str
    status: Status
    kredit_status: KreditLoan | None
    asset: str
    amount: int
    opened: date | None = None
    closed: date | None = None
    owed: Owed = owed(dict.fromkeys(PARTS, 0))
    overdue: int = 0
    days_past_due: int = 0
    worst_days_past_due: int = 0
    charged_off: bool = False
    written_off: bool = False
    instalments: dict[InstalmentStatus, int] = {}


def statement(reader: Reader, ledger: str, name: str, start: date | None, to: date | None) -> LoanStatement:
    """A loan's account to the end of a day, today unless asked (LoanNotFound)."""
    kept, _ = find_loan(reader, ledger, name)
    last = today(reader, ledger) if to is None else to
    lines: list[StatementLine] = []
    debt = Debt(dict.fromkeys(PARTS, 0), 0)
    opening = 0
    for step in steps(kept.history, last, start) if kept.facts else ():
        before, debt = debt, step.after
        if start is not None and step.day < start:
            opening = debt.balance
            continue
        change = {part: debt.parts[part] - before.parts[part] for part in PARTS}
        lines.append(
            StatementLine(
                day=step.day,
                kind=step.kind,
                seq=step.seq,
                amount=step.amount,
                change=owed(change),
                overpaid=debt.overpaid - before.overpaid,
                balance=debt.balance,
            )
        )
    return LoanStatement(
        loan=kept.loan,
        borrower=kept.borrower,
        asset=kept.asset,
        start=start,
        to=last,
        opening=opening,
        lines=lines,
        closing=debt.balance,
        closing_parts=owed(debt.parts),
        overpaid=debt.overpaid,
    )


def reported(kept: Loan, day: date) -> ReportedLoan:
    """What a credit report says of a loan as it is on a day."""
    loan = on_day(kept, day)
    book = loan.book
    offered = loan.requested if loan.offer is None else loan.offer.amount
    plain = ReportedLoan(
        loan=loan.loan,
        status=loan.status,
        kredit_status=kredit_status(loan, day),
        asset=loan.asset,
        amount=offered,
    )
    if book is None:
        return plain
    counted: dict[InstalmentStatus, int] = {}
    for row in book.rows:
        status = instalment_status(row, day)
        counted[status] = counted.get(status, 0) + 1
    late = book.days_past_due(day)
    return structs.replace(
        plain,
        opened=next(fact.day for fact in loan.facts if isinstance(fact, Disbursed)),
        closed=book.closed,
        owed=owed(book.outstanding()),
        overdue=sum(item.amount for item in book.items() if item.due < day) if late else 0,
        days_past_due=late,
        worst_days_past_due=max([late, *(step.days_past_due for step in steps(loan.history, day))]),
        charged_off=book.charged_off,
        written_off=book.written_off,
        instalments=counted,
    )
