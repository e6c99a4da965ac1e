"""Ageing: what is said of instalments, once each, and taken back when late facts show that it was not so.

Whether an instalment fell due unpaid and whether it was missed follows from the facts, like all of a book.
What has been said of it is kept beside the book; announcements bring that to the book, step by step.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.commands import Command
from ledger.entry import refuse
from ledger.loans import commands as c
from ledger.loans.common import dated, entered, loan_of
from ledger.loans.debt import FELL_DUE, MISSED
from ledger.loans.history import accrued
from ledger.loans.state import LENT, Loan
from ledger.state import Accepted, State

_TYPES = {FELL_DUE: "loan_repayment_due", MISSED: "loan_repayment_missed"}


def unsaid(loan: Loan) -> Iterator[tuple[str, int]]:
    """What is to be said of instalments, in order: due day (ISO), and the stage to say."""
    stages = _stages(loan)
    for due in sorted(stages.keys() | loan.announced.keys()):
        said, stands = loan.announced.get(due, 0), stages.get(due, 0)
        if stands < said:
            yield due, stands
        for stage in range(said + 1, stands + 1):
            yield due, stage


def _stages(loan: Loan) -> dict[str, int]:
    """Those of instalments that fell due."""
    assert loan.book is not None
    return {row.due.isoformat(): row.stage for row in loan.book.rows if row.stage}


def announce(state: State, command: Command, now: int) -> Accepted:
    """The next thing to say of one instalment."""
    body = command.body
    assert isinstance(body, c.Announcement)
    loan = loan_of(state, command, *LENT)
    effective_at, _, day = dated(state, body, now)
    entry = accrued(loan.history, day)
    due = body.due.isoformat()
    stage = next((stage for on, stage in unsaid(loan.at(entry)) if on == due), None)
    if stage is None:
        refuse("nothing_to_announce", loan=loan.loan, due=due)
    assert entry.history.book is not None
    row = next((row for row in entry.history.book.rows if row.due == body.due), None)
    type = "loan_repayment_corrected" if stage < loan.announced.get(due, 0) else _TYPES[stage]
    data = {"to": day.isoformat(), "due": due, "stage": str(stage)}
    if row is not None:
        data |= {
            "principal": str(row.principal - row.principal_done),
            "interest": str(row.interest - row.interest_done),
        }
    return entered(state, command, type, now, effective_at, loan, entry, data)
