"""Stripe's Checkout: the session that an order is paid in, and what a session means once it is paid.

A session names the ledger that it is of. It means the same to that ledger whoever tells of it: its webhook,
or somebody who looks for it at Stripe. Both are turned into the same command under the same key.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from adapters.adapter import Event, Ignore, Translation, at, text_at
from adapters.exponents import sent
from adapters.stripe import translate
from adapters.stripe_calls import StripeApi
from adapters.stripe_objects import CHARGED_ORDER, PROVIDER, StripeEndpoint
from ledger.credits.views import CreditOrder

Mode = Literal["payment", "subscription"]
Interval = Literal["day", "week", "month", "year"]
LONGEST_TEXT = 250


class Sale(NamedTuple):
    """What is sold in a session. `ledger` is its whole name; `order` empty: a subscription, whose invoices
    are orders of their own."""

    ledger: str
    owner: str
    package: str
    order: str
    name: str
    description: str
    credit_type: str
    credit_amount: int
    price: int
    asset: str


def session_for(
    sale: Sale, success_url: str, cancel_url: str, *, interval: Interval | None = None, save: bool = False
) -> dict[str, Any]:
    """The session as Stripe is asked for it (NotWhole). `interval`: how often a subscription is paid.

    `save`: the payment method can be charged later, without the customer.
    """
    currency, amount = sent(PROVIDER, sale.asset, "charge", sale.price)
    product = {"name": sale.name[:LONGEST_TEXT]}
    if sale.description:
        product["description"] = sale.description[:LONGEST_TEXT]
    price: dict[str, Any] = {"currency": currency.lower(), "unit_amount": amount, "product_data": product}
    known = {"ledger": sale.ledger, "userId": sale.owner, "packageId": sale.package}
    told = {**known, "creditType": sale.credit_type, "creditAmount": str(sale.credit_amount)}
    wanted: dict[str, Any] = {
        "line_items": [{"price_data": price, "quantity": 1}],
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    if interval is not None:
        price["recurring"] = {"interval": interval}
        return wanted | {
            "mode": "subscription",
            "client_reference_id": sale.owner,
            "metadata": told,
            "subscription_data": {"metadata": known},
        }
    payment: dict[str, Any] = {"metadata": {"ledger": sale.ledger, "order": sale.order}}
    wanted |= {
        "mode": "payment",
        "client_reference_id": sale.order,
        "metadata": {**told, "order": sale.order},
        "payment_intent_data": payment,
    }
    if save:
        payment["setup_future_usage"] = "off_session"
        wanted["customer_creation"] = "always"
    return wanted


def is_paid(session: dict[str, Any]) -> bool:
    """Whether a session is over and paid, or had nothing to be paid. An open one may say the latter too."""
    return text_at(session, "status") == "complete" and text_at(session, "payment_status") != "unpaid"


def meaning(stripe: StripeApi, session: dict[str, Any], ledger: str, settings: StripeEndpoint) -> Translation:
    """What a paid session means: what its webhook, or that of its first invoice, means.

    Asks Stripe for the invoice (the errors of `stripe_calls`).
    """
    if text_at(session, "mode") != "subscription":
        return as_told("checkout.session.completed", session, ledger, settings)
    invoice = text_at(session, "invoice") or text_at(session, "invoice", "id")
    if not invoice:
        return Ignore("The subscription has no invoice yet.")
    found = stripe.invoice(invoice)
    if text_at(found, "status") != "paid":
        return Ignore("The subscription's first invoice is not paid.")
    return as_told("invoice.paid", found, ledger, settings)


def as_told(type: str, object: dict[str, Any], ledger: str, settings: StripeEndpoint) -> Translation:
    """What an object means, as an event of this type would tell of it."""
    id = text_at(object, "id")
    body = {"data": {"object": object}}
    return translate(Event(PROVIDER, id, type, id, datetime.now(UTC), body, ledger), settings)


def charge_for(ledger: str, order: CreditOrder, customer: str, payment_method: str) -> dict[str, Any]:
    """The charge of an order to a saved payment method, as Stripe is asked for it (NotWhole)."""
    currency, amount = sent(PROVIDER, order.asset, "charge", order.price)
    return {
        "amount": amount,
        "currency": currency.lower(),
        "customer": customer,
        "payment_method": payment_method,
        "off_session": True,
        "confirm": True,
        "metadata": {"ledger": ledger, CHARGED_ORDER: order.id},
    }


def order_named(session: dict[str, Any]) -> str:
    """The order that is paid in a session; empty: none. A subscription's is paid by its invoices."""
    if text_at(session, "mode") == "subscription":
        return ""
    return text_at(session, "metadata", "order") or text_at(session, "client_reference_id")


def named_ledger(session: dict[str, Any]) -> str:
    """The ledger that a session was made for; empty: it was not made here."""
    return text_at(at(session, "metadata"), "ledger")
