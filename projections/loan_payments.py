"""Borrowers' payments: what they can be listed by; those in suspense are a work list."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from ledger.events import Event
from ledger.loans.payment_commands import PaymentMethod
from ledger.loans.payments import PaymentStatus
from ledger.reader import Reader
from ledger.text import iso, micros
from ledger.wire import Connection
from projections.balances_at import AsOf, period
from projections.projection import Range, Subject
from projections.reading import position
from sql import load as load_queries

QUERIES = load_queries("loan_payments.sql")

TYPES = [
    "loan_payment_created",
    "loan_payment_processed",
    "loan_payment_failed",
    "loan_payment_matched",
    "loan_payment_refunded",
    "loan_transaction_undone",
]

# So many payments are folded at once; of more, the events are read again for each part of them.
PART = 200_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LoanPayments:
    """See above."""

    name = "loan_payments"
    code_version = 1
    tables = ("loan_payments",)

    def apply(self, connection: Connection, range: Range) -> None:
        """Each payment as the range leaves it."""
        connection.execute(QUERIES["move_payments"], {**range._asdict(), "types": TYPES})

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """One event after another, in as many passes as there are parts."""
        begun = ("loan_payment_created", "loan_payment_processed")
        parts = -(-sum(event.type in begun for event in events) // PART)
        for part in range(parts):
            found: dict[str, tuple[str, Event]] = {}
            for event in events:
                if event.type in TYPES and "payment" in event.data:
                    name = event.data["payment"]["paid"]["payment"]
                    if zlib.crc32(name.encode()) % parts == part:
                        created_at = found[name][0] if name in found else event.effective_at
                        found[name] = (created_at, event)
            for name, (created_at, event) in found.items():
                yield "loan_payments", _row(name, created_at, event)


def _row(name: str, created_at: str, event: Event) -> tuple[Any, ...]:
    payment = event.data["payment"]
    paid, received = payment["paid"], payment.get("received_at")
    return (
        event.seq,
        int(paid["amount"]),
        int(payment.get("in_suspense", 0)),
        int(payment.get("returned", 0)) + sum(map(int, payment.get("refunds", {}).values())),
        datetime.fromisoformat(created_at),
        None if received is None else _EPOCH + timedelta(microseconds=int(received)),
        name,
        paid["method"],
        paid["asset"],
        payment["status"],
        payment.get("loan", ""),
        paid.get("borrower") or "",
        paid.get("reference", ""),
        payment.get("matched_by", ""),
    )


# ---------------------------------------------------------------- lists


class PaymentFilter(Struct, frozen=True, kw_only=True):
    """What a list of payments is narrowed by; None: by nothing."""

    status: PaymentStatus | None = None
    method: PaymentMethod | None = None
    loan: str | None = None
    borrower: str | None = None
    asset: str | None = None
    created_from: AsOf | None = None
    created_to: AsOf | None = None


class PaymentLine(Struct, frozen=True, kw_only=True):
    """A payment in a list; amounts in minor units, `seq` is of its last event.

    `loan` is the one that it repaid, `matched_by` how that was found; `received_at` when the money came.
    """

    payment: str
    method: PaymentMethod
    asset: str
    amount: int
    status: PaymentStatus
    in_suspense: int
    refunded: int
    loan: str | None
    borrower: str | None
    reference: str
    matched_by: str | None
    created_at: str
    received_at: str | None
    seq: int


class PaymentsPage(Struct, frozen=True):
    """Payments by name, from events up to `seq`; `next` continues as `after`, null at the end."""

    seq: int
    payments: list[PaymentLine]
    next: str | None


def payments(
    reader: Reader,
    ledger: str,
    wanted: PaymentFilter,
    *,
    after: str = "",
    limit: int = 100,
    min_seq: int | None = None,
) -> PaymentsPage:
    """Payments beyond a name (EndsBeforeItStarts, Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "loan_payments", min_seq)
        start, end = period(wanted.created_from, wanted.created_to, ZoneInfo(parameters["time_zone"]))
        asked = {
            **parameters,
            "version": at.version,
            "after": after,
            "limit": limit,
            "from": start,
            "before": end,
            **{name: getattr(wanted, name) for name in wanted.__struct_fields__},
        }
        rows = connection.execute(QUERIES["payments"], asked).fetchall()
    found = [_line(row) for row in rows]
    return PaymentsPage(at.seq, found, found[-1].payment if len(found) == limit else None)


def _line(row: tuple[Any, ...]) -> PaymentLine:
    line = dict(zip(PaymentLine.__struct_fields__, row, strict=True))
    for name in ("loan", "borrower", "matched_by"):
        line[name] = line[name] or None
    for name in ("created_at", "received_at"):
        line[name] = None if line[name] is None else iso(micros(line[name]))
    return PaymentLine(**line)
