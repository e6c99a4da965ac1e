"""The operations on payments: checkouts, the work list and what is done about it, facts told by hand."""

from __future__ import annotations

from typing import Any, Literal

from api import checkouts, fulfilling, payments
from api.handlers import Handler, command, read
from api.http import NoQuery
from api.operation import DATED, POSTING, Operation
from ledger import payment_reads as reads
from ledger.credits.views import CreditOrder
from ledger.payments import commands as c
from ledger.payments import invoices
from ledger.views import EntryView

_LEDGER = "/v1/ledgers/{ledger}"
_CHECKOUTS = _LEDGER + "/credits/checkouts"
_PAYMENTS = _LEDGER + "/payments"
_SUBSCRIPTIONS = _PAYMENTS + "/stripe-subscriptions"
_POSTED = (*DATED, *POSTING)
_STRIPE = ("stripe_not_configured", "stripe_refused", "stripe_key_refused", "stripe_unreachable")
_GRANTED = ("order_not_found", "order_fulfilled", "payment_differs", "too_many_lots", *_POSTED)


def _asked(
    path: str,
    id: str,
    summary: str,
    handler: Handler,
    body: type,
    answer: type,
    codes: tuple[str, ...],
    *,
    description: str = "",
    scope: Literal["ledger:write", "ledger:admin"] = "ledger:admin",
    status: int = 200,
    keyed: bool = False,
    optional_body: bool = False,
) -> Operation:
    return Operation(
        "POST",
        path,
        id,
        summary,
        description=description,
        tag="Payments",
        scope=scope,
        handler=handler,
        body=body,
        optional_body=optional_body,
        answer=answer,
        status=status,
        codes=codes,
        keyed=keyed,
    )


def _fact(path: str, id: str, summary: str, body: type, *codes: str, description: str = "") -> Operation:
    """A command of payments, as its entry."""
    return Operation(
        "POST",
        _PAYMENTS + path,
        id,
        summary,
        description=description,
        tag="Payments",
        scope="ledger:admin",
        handler=command,
        body=body,
        answer=EntryView,
        status=201,
        codes=(*_POSTED, *codes),
        location=_LEDGER + "/transactions/{seq}",
    )


def _read(
    path: str,
    id: str,
    summary: str,
    function: Any,
    answer: type,
    query: type[Any] = NoQuery,
    codes: tuple[str, ...] = (),
    description: str = "",
) -> Operation:
    return Operation(
        "GET",
        path,
        id,
        summary,
        description=description,
        tag="Payments",
        scope="ledger:read",
        handler=read(function),
        query=query,
        answer=answer,
        codes=codes,
    )


PAYMENT_OPERATIONS: tuple[Operation, ...] = (
    _asked(
        _CHECKOUTS,
        "create_checkout",
        "Order a package and make a session to pay it in",
        checkouts.create,
        checkouts.Checkout,
        checkouts.CheckoutView,
        (
            *_STRIPE,
            "currency_not_taken",
            "payment_declined",
            "package_not_found",
            "package_not_active",
            "order_exists",
            "order_fulfilled",
            *DATED,
        ),
        description=(
            "Send the customer to `checkoutUrl`. Stripe's webhook grants the credits, those of a "
            "subscription with each invoice. Asked again under its key, within a day, it is the same session."
        ),
        scope="ledger:write",
        status=201,
        keyed=True,
    ),
    Operation(
        "GET",
        _CHECKOUTS + "/{session}",
        "verify_checkout",
        "Whether a session is paid",
        description="As Stripe says now. It grants nothing: `order.status` says whether its webhook has.",
        tag="Payments",
        scope="ledger:read",
        handler=checkouts.verify,
        answer=checkouts.CheckoutStatus,
        codes=(*_STRIPE, "checkout_not_found"),
    ),
    _asked(
        _CHECKOUTS + "/fulfil",
        "fulfill_checkout_session",
        "Grant what a paid session has bought",
        fulfilling.fulfil,
        fulfilling.Fulfilment,
        CreditOrder,
        (*_STRIPE, "checkout_not_found", "checkout_unpaid", "checkout_grants_nothing",
         "package_not_found", "package_not_active", "order_exists", *_GRANTED),
        description=(
            "For webhooks that are late or were refused. It does what the webhook does under the webhook's "
            "key, so that both together grant once, and may be repeated."
        ),
    ),
    _asked(
        _LEDGER + "/credits/orders/charge",
        "charge_order",
        "Charge an order to a saved payment method",
        fulfilling.charge,
        fulfilling.SavedCharge,
        CreditOrder,
        (*_STRIPE, "currency_not_taken", "payment_declined", "order_not_pending",
         "idempotency_key_reused", *_GRANTED),
        description=(
            "For top-ups, without the customer. Paid, it is fulfilled; declined, so is the order. Asked "
            "again, it is the same payment."
        ),
    ),
    _read(
        _PAYMENTS + "/open-items",
        "list_open_items",
        "The work list: what is open",
        payments.open_items,
        reads.OpenItems,
        payments.OpenItemsQuery,
        description=(
            "`payment`: paid and nothing bought, or the other way; `charge`: not settled; `dispute`: not "
            "decided or not written off; `payout`: not at the bank; `txn`: nobody has said what it was."
        ),
    ),
    _fact("/open-items/apply", "apply_open_item", "Say where the money of an open item belongs",
          c.ApplyOpenItem, "item_not_open",
          description="Of a payment that bought nothing, or a dispute that nothing answers for."),
    _fact("/payouts/match", "match_payout", "Note that the bank has a payout", c.MatchPayout,
          description="Below zero: it went back."),
    _fact("/balance-transactions/classify", "classify_balance_transaction",
          "Say what an unclassified balance transaction was", c.ClassifyBalanceTransaction,
          "nothing_to_classify"),
    _fact("/charges", "record_charge", "Record a charge", c.RecordCharge, "already_recorded",
          description="This and the six below are told by webhooks, and by hand where none came."),
    _fact("/refunds", "record_refund", "Record a refund's cash", c.RecordRefund, "already_recorded"),
    _fact("/refunded-totals", "record_refunded_total", "Note how much was refunded of a charge in all",
          c.RecordRefundedTotal, "already_recorded",
          description="A cross-check: its payment is open while its refunds come to less."),
    _fact("/invoice-payments", "record_invoice_payment", "Say what paid an invoice",
          invoices.RecordInvoicePayment, "already_recorded",
          description="What was bought for the invoice is open with that payment from now on."),
    _fact("/disputes", "record_dispute", "Record a dispute's cash", c.RecordDispute),
    _fact("/payouts", "record_payout", "Record a payout", c.RecordPayout, "already_recorded"),
    _fact("/balance-transactions", "record_balance_transaction", "Record a balance transaction",
          c.RecordBalanceTransaction, "already_recorded"),
    _read(
        _SUBSCRIPTIONS,
        "list_stripe_subscriptions",
        "Subscriptions at Stripe",
        payments.subscriptions,
        reads.StripeSubscriptions,
        payments.StripeSubscriptionsQuery,
        description="As Stripe told last by its own clock, whatever order its webhooks came in.",
    ),
    _read(
        _SUBSCRIPTIONS + "/{stripe_subscription}",
        "get_stripe_subscription",
        "A subscription at Stripe",
        payments.subscription,
        reads.StripeSubscriptionView,
        codes=("stripe_subscription_not_found",),
    ),
    _asked(
        _SUBSCRIPTIONS + "/{stripe_subscription}/cancel",
        "cancel_stripe_subscription",
        "End a subscription at Stripe",
        payments.cancel,
        payments.SubscriptionEnding,
        payments.SubscriptionEnded,
        (*_STRIPE, "stripe_subscription_not_found"),
        description="When what is paid for ends, or at once. It stands here when Stripe's webhook has come.",
        optional_body=True,
        scope="ledger:write",
    ),
)  # fmt: skip
