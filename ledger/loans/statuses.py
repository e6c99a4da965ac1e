"""Words for where a loan and its instalments are: ours, and Kredit's for the same."""

from __future__ import annotations

from datetime import date
from typing import Literal

from ledger.loans.debt import Row
from ledger.loans.schedule import Interest
from ledger.loans.state import Loan

KreditLoan = Literal["PENDING_DISBURSEMENT", "ACTIVE", "IN_ARREARS", "COMPLETED", "DEFAULTED", "WRITTEN_OFF"]
KreditInterest = Literal["FLAT", "RULE_78", "DECLINING_BALANCE", "EFFECTIVE_RATE"]
InstalmentStatus = Literal["pending", "partial", "paid", "overdue", "cancelled"]


def kredit_status(loan: Loan, day: date) -> KreditLoan | None:
    """Kredit's word for a loan on a day; None: to Kredit it is no loan."""
    match loan.status:
        case "submitted" | "rejected" | "withdrawn":
            return None
        case "approved" | "accepted":
            return "PENDING_DISBURSEMENT"
        case "repaid" | "overpaid":
            return "COMPLETED"
        case "written_off" | "recovery":
            return "WRITTEN_OFF"
    assert loan.book is not None
    if loan.book.charged_off or loan.book.non_accrual:
        return "DEFAULTED"
    return "IN_ARREARS" if loan.book.days_past_due(day) else "ACTIVE"


def kredit_interest(interest: Interest) -> KreditInterest:
    """Kredit's word for how interest is reckoned."""
    if interest.method == "flat":
        return "FLAT"
    if interest.method == "rule_of_78":
        return "RULE_78"
    return "DECLINING_BALANCE" if interest.daily is None else "EFFECTIVE_RATE"


def instalment_status(row: Row, day: date) -> InstalmentStatus:
    """Where an instalment is on a day. Kredit's words are the same in capitals."""
    asked, done = row.principal + row.interest, row.principal_done + row.interest_done
    if not asked:
        return "cancelled"
    if done == asked:
        return "paid"
    if row.due < day:
        return "overdue"
    return "partial" if done else "pending"
