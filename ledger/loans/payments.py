"""Streams of borrowers' payments and of virtual accounts: how events change them.

Money that was received waits in suspense until it is matched to a loan, be it for no time at all: a repayment
that is undone puts it there again. So what is open in payments is the balance of suspense, at every event.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.loans import accounts as a
from ledger.loans.payment_commands import PaymentMethod
from ledger.loans.state import dump, restored

PaymentStatus = Literal["pending", "failed", "suspense", "matched", "refunded"]


def payment_stream(payment: str) -> str:
    """The stream of a payment."""
    return f"loan_payment:{payment}"


def virtual_account_stream(number: str) -> str:
    """The stream of a virtual account."""
    return f"virtual_account:{number}"


class Paid(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was said of a payment when it was created: who paid what, and what it may be matched by."""

    payment: str
    method: PaymentMethod
    asset: str
    amount: int
    reference: str = ""
    loan: str | None = None
    virtual_account: str | None = None
    borrower: str | None = None


class LoanPayment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A payment. `in_suspense` is of no loan yet; `loan` has `repaid` of it, by the transaction `repayment`.

    `refunds` are what chargebacks gave back of the repayment, by their seq; `returned` came out of suspense.
    """

    paid: Paid
    received_at: int | None = None
    failed: str = ""
    in_suspense: int = 0
    loan: str = ""
    repayment: int = 0
    repaid: int = 0
    matched_by: str = ""
    refunds: dict[str, int] = {}
    returned: int = 0

    @property
    def refunded(self) -> int:
        """What was given back of it."""
        return self.returned + sum(self.refunds.values())

    @property
    def status(self) -> PaymentStatus:
        """Where the payment is in its life."""
        if self.received_at is None:
            return "failed" if self.failed else "pending"
        if self.in_suspense:
            return "suspense"
        return "refunded" if self.refunded == self.paid.amount else "matched"


class Assigned(Struct, frozen=True):
    """Whose a virtual account is."""

    loan: str


def received(paid: Paid, at: int) -> LoanPayment:
    """A payment whose money arrived at a moment: all of it is in suspense."""
    return LoanPayment(paid=paid, received_at=at, in_suspense=paid.amount)


def matched(payment: LoanPayment, loan: str, repayment: int, matched_by: str) -> LoanPayment:
    """What was in suspense repaid a loan, by a transaction of this seq."""
    return replace(
        payment,
        loan=loan,
        repayment=repayment,
        repaid=payment.in_suspense,
        in_suspense=0,
        matched_by=matched_by,
    )


def undone(payment: LoanPayment, transaction: int) -> LoanPayment:
    """Without a transaction of its loan: a refund is with the loan again, a repayment in suspense."""
    if transaction != payment.repayment:
        kept = {seq: n for seq, n in payment.refunds.items() if seq != str(transaction)}
        return replace(payment, refunds=kept)
    whole = payment.in_suspense + payment.repaid
    return replace(payment, in_suspense=whole, loan="", repayment=0, repaid=0, matched_by="")


def said_of(payment: LoanPayment) -> dict[str, Any]:
    """What an event says of a payment: all of it, as it is after the event."""
    return {"payment": dump(payment) | {"status": payment.status}}


def evolve_payment(payment: LoanPayment | None, event: Event, stream: str) -> LoanPayment:
    """A payment after one of its events, each of which has it whole."""
    return restored(event.data["payment"], LoanPayment)


def evolve_virtual_account(assigned: Assigned | None, event: Event, stream: str) -> Assigned:
    """The last loan that it was assigned to."""
    return Assigned(event.data["loan"])


def payment_claims(payment: LoanPayment, stream: str) -> Iterator[tuple[str, str, int]]:
    """What suspense holds for a payment."""
    if payment.in_suspense:
        yield a.SUSPENSE, payment.paid.asset, -payment.in_suspense
