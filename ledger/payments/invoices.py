"""Invoices and what paid them: what was bought for an invoice meets the money of its payment.

Invoices of Stripe's API since 2025-03-31 do not say what paid them; an event of its own does. Until that
comes, what was bought is open under the invoice's name. Then all that is open there moves to the payment's
item, and what comes later under the invoice's name is posted to the payment's.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from ledger.commands import Command, ProductCommand
from ledger.entry import effective_moment, refuse
from ledger.payments.items import Payment
from ledger.product import record
from ledger.state import Accepted, State

# Apart from each other by their first letters, so that no item is found by way of more than one other.
Invoice = Annotated[str, Meta(pattern=r"^in_[A-Za-z0-9_]+\Z", max_length=64, examples=["in_1"])]
PaidBy = Annotated[str, Meta(pattern=r"^(pi|ch|py)_[A-Za-z0-9_]+\Z", max_length=200, examples=["pi_1"])]


class RecordInvoicePayment(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What paid an invoice: what was bought for it is open with this `payment`. An invoice's first counts."""

    operation: ClassVar[str] = "record_invoice_payment"
    invoice: Invoice
    payment: PaidBy


def record_invoice_payment(state: State, command: Command, now: int) -> Accepted:
    """The invoice's open item is its payment's from now on (Refused: it is another's, or this was told)."""
    body = command.body
    assert isinstance(body, RecordInvoicePayment)
    name = f"payment:{body.invoice}"
    stream = state.streams[name]
    known = Payment() if stream is None else stream.state
    assert isinstance(known, Payment)
    if known.paid_by:
        refuse("already_recorded", what=f"what paid {body.invoice}")
    data: dict[str, Any] = {"invoice": body.invoice, "payment": body.payment}
    if known.balance:
        data["moved"] = {asset: str(amount) for asset, amount in known.balance.items()}
    if known.order:
        data["order"] = known.order
    at = effective_moment(state, body, now)
    streams = [name, f"payment:{body.payment}"]
    return record(state, command, "invoice_payment_recorded", now, at, [], streams, data)
