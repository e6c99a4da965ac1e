"""Arrears of loans: what of each is outstanding from which day on, and since when something of it is owed.

Days past due on any day follow from that, whatever came late: an event that changes the past says what was
outstanding since the day that it changes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from ledger.events import Event
from ledger.loans.debt import Exposure
from ledger.loans.history import Entry, History, accrued, add, without
from ledger.loans.state import fact_of, terms_of
from ledger.wire import Connection
from projections.projection import Range, Subject
from sql import load as load_queries

QUERIES = load_queries("arrears.sql")

TYPES = [
    "loan_disbursed",
    "loan_repaid",
    "loan_prepaid",
    "loan_settled",
    "loan_repayment_charged_back",
    "loan_transaction_undone",
    "loan_charged",
    "loan_waived",
    "loan_goodwill_credited",
    "loan_rescheduled",
    "loan_charged_off",
    "loan_written_off",
    "loan_collateral_liquidated",
    "loan_overpayment_refunded",
    "loan_provisioned",
    "loan_collateral_locked",
    "loan_collateral_released",
    "loan_payment_processed",
    "loan_payment_matched",
    "loan_payment_refunded",
]

# What gives a loan its offer and policy.
APPROVED = ("loan_approved", "loan_offer_accepted")

# So many loans are folded at once; of more, the events are read again for each part of them.
PART = 10_000


class Arrears:
    """See above."""

    name = "arrears"
    code_version = 1
    tables = ("arrears_loans", "arrears_exposures")

    def apply(self, connection: Connection, range: Range) -> None:
        """The loans that are approved, then what becomes of all."""
        connection.execute(QUERIES["add_arrears_loans"], range._asdict())
        wanted = {**range._asdict(), "types": TYPES}
        connection.execute(QUERIES["drop_exposures"], wanted)
        connection.execute(QUERIES["add_exposures"], wanted)

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """From the loans' facts, not from what the events say of exposures; in passes over parts of them."""
        approved = sum(event.type in APPROVED for event in events)
        parts = -(-approved // PART)
        for part in range(parts):
            loans: dict[str, _Loan] = {}
            for event in events:
                loan = event.data.get("loan")
                if event.type.startswith("loan_") and loan and zlib.crc32(loan.encode()) % parts == part:
                    if event.type in APPROVED:
                        loans[loan] = _Loan(event)
                    elif loan in loans:
                        loans[loan].apply(event)
            for name in list(loans):
                yield from loans.pop(name).rows(name)


class _Loan:
    def __init__(self, approved: Event) -> None:
        self.history = History(*terms_of(approved))
        self.days: dict[date, Exposure] = {}

    def apply(self, event: Event) -> None:
        entry = self._entry(event)
        if entry is None:
            return
        self.history = entry.history
        if entry.exposures is not None:
            kept = {day: exposure for day, exposure in self.days.items() if day < entry.exposures.since}
            self.days = kept | dict(entry.exposures.days)

    def _entry(self, event: Event) -> Entry | None:
        data = event.data
        if event.type == "loan_transaction_undone":
            return without(self.history, int(data["undone"]), date.fromisoformat(data["to"]))
        if "to" in data:  # time passed, and no more: an accrual or an announcement
            return accrued(self.history, date.fromisoformat(data["to"]))
        return add(self.history, fact_of(event)) if "fact" in data else None

    def rows(self, name: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """As they are stored, after version and ledger."""
        offer = self.history.offer
        yield "arrears_loans", (self.history.policy.grace_days, name, offer.asset, offer.provider or "")
        for day, exposure in self.days.items():
            yield "arrears_exposures", (exposure.principal, day, exposure.oldest_due, name)
