"""What recurs at Stripe: subscriptions as they stand, invoices that were paid and invoices that were not.

Versions of the API have the same things in other places; the newest is looked for first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from adapters.adapter import Ignore, Park, Translation, at, text_at
from adapters.exponents import minor
from adapters.stripe_objects import PROVIDER, Misread, Told, post
from ledger.credits.purchase_commands import FulfilOrder, OrderCredits
from ledger.payments.invoices import RecordInvoicePayment
from ledger.payments.subscriptions import RecordInvoiceFailure, RecordStripeSubscription


def invoice_paid(told: Told) -> Translation:
    """A month of a subscription: an order of its own, named by the invoice, and paid."""
    metadata = invoice_metadata(told.object)
    owner, package = text_at(metadata, "userId"), text_at(metadata, "packageId")
    if not package:
        sold = {told.settings.packages[id] for id in _sold(told.object) if id in told.settings.packages}
        if len(sold) > 1:
            return Park("several_packages", "The invoice is for several packages: order and fulfil each.")
        package = "".join(sold)
    if not owner or not package:
        return Park(
            "order_not_named",
            "The invoice names no userId and packageId in its subscription's metadata, and no price or "
            "product that the endpoint's settings have a package for.",
        )
    id = told.id()
    discounts = at(told.object, "total_discount_amounts") or []
    taxes = at(told.object, "total_taxes") or at(told.object, "total_tax_amounts") or []
    body = FulfilOrder(
        order=id,
        amount=told.or_zero("amount_paid"),
        asset=told.asset(),
        tax=_sum(told, taxes),
        discount=_sum(told, discounts),
        payment=_invoice_payment(told),
    )
    return post(id, OrderCredits(owner=owner, package=package, order=id), body)


def invoice_payment(told: Told) -> Translation:
    """What paid an invoice. Invoices of older versions say so themselves."""
    paid_by = _paid_by(told.object)
    if not paid_by:
        return Ignore("The invoice was not paid at Stripe.")
    return post("", RecordInvoicePayment(invoice=told.id("invoice"), payment=paid_by))


def invoice_failed(told: Told) -> Translation:
    """An invoice of a subscription that could not be collected; Stripe may try again."""
    subscription = (
        text_at(told.object, "parent", "subscription_details", "subscription")
        or text_at(told.object, "parent", "subscription_details", "subscription", "id")
        or told.link("subscription")
    )
    if not subscription:
        return Ignore("The invoice is of no subscription.")
    body = RecordInvoiceFailure(
        subscription=subscription,
        invoice=told.id(),
        attempts=told.number("attempt_count"),
        next_attempt_at=_moment(at(told.object, "next_payment_attempt")),
        told_at=_told_at(told),
    )
    return post("", body)


def subscription(told: Told) -> Translation:
    """A subscription as it stood when Stripe made the event; which is not when it came."""
    items = at(told.object, "items", "data")
    first = items[0] if isinstance(items, list) and items else None
    metadata = at(told.object, "metadata")
    body = RecordStripeSubscription(
        subscription=told.id(),
        status=told.text("status") or _missing("status"),
        customer=told.link("customer"),
        owner=text_at(metadata, "userId"),
        package=text_at(metadata, "packageId"),
        current_period_end=_moment(at(first, "current_period_end") or at(told.object, "current_period_end")),
        cancel_at_period_end=at(told.object, "cancel_at_period_end") is True,
        told_at=_told_at(told),
    )
    return post("", body)


def invoice_metadata(invoice: Any) -> Any:
    """The metadata of an invoice's subscription, as the invoice has them."""
    found = (
        at(invoice, "parent", "subscription_details", "metadata")
        or at(invoice, "subscription_details", "metadata")
        or at(invoice, "subscription", "metadata")
    )
    return found or next((one for line in _lines(invoice) if (one := at(line, "metadata"))), None)


def _lines(invoice: Any) -> Iterator[Any]:
    lines = at(invoice, "lines", "data")
    yield from lines if isinstance(lines, list) else ()


def _sold(invoice: Any) -> Iterator[str]:
    """The prices and products of an invoice's lines."""
    for line in _lines(invoice):
        for path in (
            ("pricing", "price_details", "price"),
            ("pricing", "price_details", "product"),
            ("price", "id"),
            ("price", "product"),
            ("plan", "id"),
            ("plan", "product"),
        ):
            yield text_at(line, *path)


def _paid_by(payment: Any) -> str:
    """The PaymentIntent, else the charge, of an invoice's payment; empty: it was not paid at Stripe."""
    for name in ("payment_intent", "charge"):
        if found := text_at(payment, "payment", name) or text_at(payment, "payment", name, "id"):
            return found
    return ""


def _invoice_payment(told: Told) -> str:
    payments = at(told.object, "payments", "data")
    for payment in payments if isinstance(payments, list) else []:
        if found := _paid_by(payment):
            return found
    return told.link("payment_intent") or told.link("charge") or told.id()


def _sum(told: Told, amounts: Any) -> int:
    found = 0
    for one in amounts if isinstance(amounts, list) else []:
        amount = at(one, "amount")
        if not isinstance(amount, int) or isinstance(amount, bool):
            raise Misread("an `amount` of taxes or discounts is not a whole number")
        found += minor(PROVIDER, told.currency(), "charge", amount)
    return found


def _told_at(told: Told) -> datetime:
    return _moment(at(told.event.body, "created")) or _missing("created")


def _moment(seconds: Any) -> datetime | None:
    """Seconds since 1970; of what is to come, too."""
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < 2**33:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _missing(name: str) -> Any:
    raise Misread(f"`{name}` is missing")
