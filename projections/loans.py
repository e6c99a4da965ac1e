"""Loans and borrowers: what lists, overviews and credit reports are made from.

A row is a loan as its last event has left it. Days past due follow from a row and a day, so that no run over
the loans is needed for a list to be right today: `oldest_due`, grace and policy stand in the row.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any

from msgspec import Struct

from ledger.events import Event
from ledger.wire import Connection
from projections.projection import Range, Subject
from sql import load as load_queries

QUERIES = load_queries("loan_models.sql")

# So many loans and borrowers are folded at once; of more, the events are read again for each part of them.
PART = 200_000

NAMING = ("loan_application_submitted", "borrower_assessed", "borrower_kyc_set")
STEPS = ("add_loans", "offer_loans", "move_loans", "assess_borrowers", "set_kyc")


class Loans:
    """See above."""

    name = "loans"
    code_version = 1
    tables = ("loans", "borrowers")

    def apply(self, connection: Connection, range: Range) -> None:
        """Applications, then terms, then what the range makes of all; and borrowers."""
        for step in STEPS:
            connection.execute(QUERIES[step], range._asdict())

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """One event after another, in as many passes as there are parts."""
        named = sum(event.type in NAMING for event in events)
        parts = -(-named // PART)
        for part in range(parts):
            loans: dict[str, _Loan] = {}
            borrowers: dict[str, tuple[Any, ...]] = {}
            for event in events:
                name = event.data.get("loan") or event.data.get("borrower", "")
                if zlib.crc32(name.encode()) % parts != part:
                    continue
                if event.type == "borrower_assessed":
                    borrowers[name] = _borrower(event)
                elif event.type == "borrower_kyc_set":
                    new = (event.seq, None, datetime.fromisoformat(event.effective_at), name, "", None)
                    _, *known, _, rating = borrowers.get(name, new)
                    borrowers[name] = (event.seq, *known, event.data["kyc"], rating)
                elif event.type.startswith("loan_") and "loan" in event.data and "status" in event.data:
                    _fold(loans, event)
            for name, loan in loans.items():
                yield "loans", loan.row(name)
            for row in borrowers.values():
                yield "borrowers", row


def _borrower(event: Event) -> tuple[Any, ...]:
    known = event.data["assessment"]
    score = known.get("score")
    return (
        event.seq,
        None if score is None else int(score),
        datetime.fromisoformat(event.effective_at),
        event.data["borrower"],
        known.get("kyc", "pending"),
        known.get("rating"),
    )


class _Loan(Struct):
    requested: int
    submitted_at: datetime
    borrower: str
    asset: str
    seq: int = 0
    status: str = ""
    offer: dict[str, Any] = {}
    policy: dict[str, Any] = {}
    owed: dict[str, str] = {}
    standing: dict[str, Any] = {}

    def row(self, name: str) -> tuple[Any, ...]:
        """As it is stored, after version and ledger."""
        amount, interest = self.offer.get("amount"), self.offer.get("interest", {})
        due, unpaid = self.standing.get("oldest_due"), self.policy.get("non_accrual_days", "90")
        return (
            self.seq,
            self.requested,
            None if amount is None else int(amount),
            int(self.standing.get("disbursed", 0)),
            *(int(self.owed.get(part, 0)) for part in ("principal", "interest", "fee", "penalty")),
            int(self.standing.get("overpaid", 0)),
            self.submitted_at,
            None if due is None else date.fromisoformat(due),
            int(self.policy.get("grace_days", 0)),
            None if unpaid is None or not self.offer else int(unpaid),
            int(self.offer.get("count", 0)),
            "non_accrual" in self.standing,
            "charged_off" in self.standing,
            interest.get("daily") is not None,
            name,
            self.borrower,
            self.asset,
            self.status,
            self.offer.get("provider") or "",
            interest.get("method", ""),
            interest.get("rate", ""),
        )


def _fold(loans: dict[str, _Loan], event: Event) -> None:
    data = event.data
    if event.type == "loan_application_submitted":
        submitted_at = datetime.fromisoformat(event.effective_at)
        loans[data["loan"]] = _Loan(int(data["amount"]), submitted_at, data["borrower"], data["asset"])
    loan = loans[data["loan"]]
    loan.seq, loan.status = event.seq, data["status"]
    if event.type in ("loan_approved", "loan_offer_accepted"):
        loan.offer, loan.policy = data["offer"], data["policy"]
    if "standing" in data:
        loan.owed, loan.standing = data["owed"], data["standing"]
