"""Stripe: what its events mean to payments and credits. A pure function of one event; nothing is asked back.

Events come in any order and more than once, so an event is posted as the fact that it tells (`once`), and
what depends on another fact (the order that a refund is of) comes after it (`then`) and is tried until that
is known. Stripe's texts and amounts are not trusted to be there: versions of its API differ.
"""

from __future__ import annotations

from typing import Any

from adapters.adapter import Adapter, Event, Ignore, Park, Translation, at, members, plain, text_at
from adapters.exponents import NotWhole
from adapters.signatures import STRIPE
from adapters.stripe_objects import (
    CHARGED_ORDER,
    NO_SETTINGS,
    PROVIDER,
    Misread,
    Rule,
    StripeEndpoint,
    Told,
    moment,
    post,
)
from adapters.stripe_recurring import (
    invoice_failed,
    invoice_metadata,
    invoice_paid,
    invoice_payment,
    subscription,
)
from adapters.stripe_transactions import recorded
from ledger.commands import ProductCommand
from ledger.credits.purchase_commands import (
    DeclineOrder,
    FreezePurchase,
    FulfilOrder,
    LoseDispute,
    RefundPurchase,
    ReversePurchaseRefund,
    UnfreezePurchase,
)
from ledger.payments.commands import (
    BalanceFigures,
    RecordBalanceTransaction,
    RecordCharge,
    RecordDispute,
    RecordPayout,
    RecordRefund,
    RecordRefundedTotal,
    Stage,
)

# Objects whose events move no money by themselves, whatever they tell.
_SILENT = (
    "account.", "application_fee.", "balance.", "billing_portal.", "capability.", "cash_balance.", "coupon.",
    "credit_note.", "customer.", "file.", "invoice.", "invoiceitem.", "invoice_payment.", "mandate.",
    "payment_intent.", "payment_link.", "payment_method.", "person.", "plan.", "price.", "product.",
    "promotion_code.", "quote.", "radar.", "reporting.", "review.", "setup_intent.", "source.",
    "subscription_schedule.", "tax.", "tax_rate.", "test_helpers.",
)  # fmt: skip


def translate(event: Event, settings: StripeEndpoint = NO_SETTINGS) -> Translation:
    """What an event means."""
    rule = RULES.get(event.type)
    if rule is None:
        if event.type.startswith(_SILENT):
            return Ignore(f"{event.type} moves no money that another event does not tell of.")
        return Park("unknown_type", f"Daybook has no rule for {event.type or 'events without a type'}.")
    told = Told(event, settings)
    other = _other_ledger(told)
    if other:
        return Ignore(f"It is of the ledger {plain(other, 100)}.")
    try:
        return rule(told)
    except Misread as error:
        return Park("object_not_understood", f"In the object of {event.type}, {error}.")
    except NotWhole as error:
        return Park("amount_not_whole", f"{error}.")
    except ValueError as error:
        return Park("not_postable", f"What it says cannot be posted: {error}.")


def _other_ledger(told: Told) -> str:
    """The ledger that an object was made for at Stripe, if that is another one than the endpoint's."""
    named = told.text("metadata", "ledger") or text_at(invoice_metadata(told.object), "ledger")
    return named if named not in ("", told.event.ledger) else ""


# ---------------------------------------------------------------- money in


def charge(told: Told) -> Translation:
    """Money that was captured, once for each charge; charge.updated may be the first that tells."""
    status = told.text("status")
    if status not in ("", "succeeded", "paid") or at(told.object, "paid") is not True:
        return Ignore("The charge has not succeeded.")
    if at(told.object, "captured") is not True:
        return Ignore("The charge is authorised and not captured: no money has come.")
    captured = "amount_captured" if at(told.object, "amount_captured") is not None else "amount"
    id = told.id()
    body = RecordCharge(
        charge=id,
        payment=told.link("payment_intent") or id,
        amount=told.amount(captured),
        asset=told.asset(),
        order=told.reference("metadata", "order") or told.reference("metadata", CHARGED_ORDER),
        effective_at=told.when(),
    )
    return post(id, body, then=_brought(told))


def _brought(told: Told) -> RecordBalanceTransaction | None:
    """The balance transaction of a charge, where it came along and is not just named."""
    brought = at(told.object, "balance_transaction")
    if not isinstance(brought, dict):
        return None
    return recorded({**brought, "source": told.object}, told.event.received_at)


def session_paid(told: Told) -> Translation:
    """What was ordered is granted once it is paid: its order knows the price."""
    mode, status = told.text("mode"), told.text("payment_status")
    if mode == "setup":
        return Ignore("A session that sets up a payment method sells nothing.")
    if mode == "subscription":
        return Ignore("A subscription is granted by its invoices.")
    if status == "unpaid":
        return Ignore("The session waits for a payment that takes its time; its success is told later.")
    if status not in ("paid", "no_payment_required"):
        raise Misread("`payment_status` is not known")
    order = _order(told)
    if not order:
        return Park("order_not_named", "The session names no order in client_reference_id or metadata.order.")
    id = told.id()
    body = FulfilOrder(
        order=order,
        amount=told.or_zero("amount_total"),
        asset=told.asset(),
        tax=told.or_zero("total_details", "amount_tax"),
        discount=told.or_zero("total_details", "amount_discount"),
        payment=told.link("payment_intent"),
        session=id,
    )
    return post(id, body)


def intent_paid(told: Told) -> Translation:
    """A saved payment method was charged for an order. Of other payments, charges and sessions tell."""
    order = told.text("metadata", CHARGED_ORDER)
    if not order:
        return Ignore("Its charge tells of its money, and its session of what was bought.")
    id = told.id()
    body = FulfilOrder(
        order=order, amount=told.amount("amount_received"), asset=told.asset(), payment=id, session=id
    )
    return post(id, body)


def intent_failed(told: Told) -> Translation:
    """The order that a saved payment method was charged for waits no more; any other may still be paid."""
    order = told.text("metadata", CHARGED_ORDER)
    if not order:
        return Ignore("No money has moved, and what a session sells may still be paid.")
    error = at(told.object, "last_payment_error")
    reason = text_at(error, "decline_code") or text_at(error, "code") or told.text("cancellation_reason")
    reason = reason or "payment_failed"
    return post(f"{told.id()}:declined", DeclineOrder(order=order, reason=reason))


def session_failed(told: Told) -> Translation:
    """No money; an order that was paid meanwhile stays paid."""
    order = _order(told)
    if told.text("mode") != "payment" or not order:
        return Ignore("A session that failed or expired moves no money, and names no order of ours.")
    reason = "session_expired" if told.event.type.endswith("expired") else "payment_failed"
    return post(f"{told.id()}:declined", DeclineOrder(order=order, reason=reason))


def _order(told: Told) -> str:
    return told.text("metadata", "order") or told.text("client_reference_id")


# ---------------------------------------------------------------- money out


def refund(told: Told) -> Translation:
    """Cash now, and the purchase's side once it is known what was bought."""
    status = told.text("status")
    failed = status in ("failed", "canceled") or told.event.type == "refund.failed"
    if not failed and status in ("pending", "requires_action") and not told.link("balance_transaction"):
        return Ignore("The refund has moved no money yet.")
    id, payment = told.id(), told.payment()
    stage: Stage = "failed" if failed else "made"
    amount, asset = told.amount("amount", operation="refund"), told.asset()
    when = told.happened() if failed else told.when()
    cash = RecordRefund(
        refund=id, payment=payment, amount=amount, asset=asset, stage=stage, effective_at=when
    )
    product: ProductCommand = (
        ReversePurchaseRefund(payment=payment, refund=id)
        if failed
        else RefundPurchase(payment=payment, amount=amount, refund=id)
    )
    return post(f"{id}:{stage}", cash, then=product)


def dispute(told: Told) -> Translation:
    """Its balance transactions, as far as they came with it, and what becomes of the credits."""
    status = told.text("status")
    if status.startswith("warning_"):
        return Ignore("An inquiry carries no money.")
    id, payment = told.id(), told.payment()
    listed = at(told.object, "balance_transactions")
    found = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    moved = [moment(told.event, one.get("created")) for one in found]
    cash = RecordDispute(
        dispute=id,
        payment=payment,
        status=status,
        settlements=tuple(_settlement(told, one) for one in found),
        effective_at=max(filter(None, moved), default=told.happened()),
    )
    product: ProductCommand | None = None
    if status == "lost":
        amount = told.amount("amount", operation="dispute")
        product = LoseDispute(payment=payment, dispute=id, amount=amount)
    elif status == "won":
        product = UnfreezePurchase(payment=payment, dispute=id)
    elif status in ("needs_response", "under_review"):
        product = FreezePurchase(payment=payment, dispute=id)
    return post("", cash, then=product)


def _settlement(told: Told, body: dict[str, Any]) -> BalanceFigures:
    """A balance transaction that came with a dispute."""
    txn = Told(Event(PROVIDER, "", "", "", told.event.received_at, {"data": {"object": body}}))
    amount = txn.amount("amount", operation="balance")
    if txn.asset() == told.asset():
        return BalanceFigures(txn=txn.id(), amount=amount, fee=txn.or_zero("fee"), asset=txn.asset())
    disputed = told.amount("amount", operation="dispute")
    return BalanceFigures(
        txn=txn.id(),
        amount=amount,
        fee=txn.or_zero("fee"),
        asset=txn.asset(),
        source_amount=-disputed if amount < 0 else disputed,
        source_asset=told.asset(),
    )


def payout(told: Told) -> Translation:
    """On its way to the bank, or back from there: also after it was paid."""
    id, status = told.id(), told.text("status")
    failed = status in ("failed", "canceled") or told.event.type in ("payout.failed", "payout.canceled")
    stage: Stage = "failed" if failed else "made"
    body = RecordPayout(
        payout=id,
        amount=told.amount("amount", operation="payout"),
        asset=told.asset(),
        stage=stage,
        effective_at=told.happened() if failed else told.when(),
    )
    return post(f"{id}:{stage}", body)


def cumulative(told: Told) -> Translation:
    """charge.refunded tells how much was refunded in all: what its refunds, told one by one, come to."""
    id, amount = told.id(), told.amount("amount_refunded")
    if not amount:
        return Ignore("Nothing of it was refunded.")
    body = RecordRefundedTotal(
        charge=id, payment=told.link("payment_intent") or id, amount=amount, asset=told.asset()
    )
    return post(f"{id}:refunded:{amount}", body)


RULES: dict[str, Rule] = {
    "checkout.session.completed": session_paid,
    "checkout.session.async_payment_succeeded": session_paid,
    "checkout.session.async_payment_failed": session_failed,
    "checkout.session.expired": session_failed,
    "payment_intent.succeeded": intent_paid,
    "payment_intent.payment_failed": intent_failed,
    "payment_intent.canceled": intent_failed,
    **dict.fromkeys((f"charge.{what}" for what in ("succeeded", "captured", "updated")), charge),
    **dict.fromkeys((f"charge.{what}" for what in ("failed", "pending", "expired")), charge),
    "charge.refunded": cumulative,
    "charge.refund.updated": refund,
    **dict.fromkeys((f"refund.{what}" for what in ("created", "updated", "failed")), refund),
    **dict.fromkeys(
        (
            f"charge.dispute.{what}"
            for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
        ),
        dispute,
    ),
    **dict.fromkeys(("invoice.paid", "invoice.payment_succeeded"), invoice_paid),
    "invoice.payment_failed": invoice_failed,
    "invoice_payment.paid": invoice_payment,
    **dict.fromkeys(
        (
            f"customer.subscription.{what}"
            for what in ("created", "updated", "deleted", "paused", "resumed", "trial_will_end")
        ),
        subscription,
    ),
    **dict.fromkeys(
        (
            f"payout.{what}"
            for what in ("created", "updated", "paid", "failed", "canceled", "reconciliation_completed")
        ),
        payout,
    ),
}

ADAPTER = Adapter(
    PROVIDER, STRIPE, members(("id",), ("type",), ("data", "object", "id")), translate, StripeEndpoint
)
