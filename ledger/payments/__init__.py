"""Payments by Stripe: the cash side of what customers pay, get back, dispute, and of what reaches the bank.

Cash and products post apart and meet in `payments:unapplied`. Each fact of Stripe's is posted once, whoever
tells it and in whatever order: what an event posts depends on what its own facts have posted so far, and
never on another fact, so the sum is the same for every order (docs/payments.md,
tests/test_payments.py, tests/test_stripe_orders.py).

Read accounts, commands, items, cash, invoices, subscriptions.
"""

from __future__ import annotations

from ledger.commands import Command
from ledger.payments import cash, invoices, subscriptions
from ledger.payments import commands as c
from ledger.payments.accounts import DISPUTES, IN_TRANSIT, PATTERNS, UNAPPLIED, UNCLASSIFIED, UNSETTLED
from ledger.payments.items import Item, Movement, Payment, evolve_item, evolve_movement, evolve_payment
from ledger.product import Kind, Product
from ledger.state import Accepted, State


def _never_due(state: State, command: Command, now: int) -> Accepted:
    raise AssertionError("no stream of payments has a moment to come")


PRODUCT = Product(
    name="payments",
    kinds={
        "payment": Kind(Payment, 2, evolve_payment(UNAPPLIED)),
        "charge": Kind(Item, 2, evolve_item(UNSETTLED)),
        "refund": Kind(Movement, 1, evolve_movement()),
        "payout": Kind(Movement, 1, evolve_movement(IN_TRANSIT)),
        "dispute": Kind(Item, 2, evolve_item(DISPUTES)),
        "txn": Kind(Item, 2, evolve_item(UNCLASSIFIED)),
        "stripe_subscription": Kind(subscriptions.Subscription, 1, subscriptions.evolve_subscription),
    },
    deciders={
        c.RecordCharge: cash.record_charge,
        c.RecordRefund: cash.record_refund,
        c.RecordRefundedTotal: cash.record_refunded_total,
        c.RecordPayout: cash.record_payout,
        c.RecordDispute: cash.record_dispute,
        c.RecordBalanceTransaction: cash.record_balance_transaction,
        c.MatchPayout: cash.match_payout,
        c.ClassifyBalanceTransaction: cash.classify,
        c.ApplyOpenItem: cash.apply,
        invoices.RecordInvoicePayment: invoices.record_invoice_payment,
        subscriptions.RecordStripeSubscription: subscriptions.record_subscription,
        subscriptions.RecordInvoiceFailure: subscriptions.record_failure,
    },
    needs=cash.needs,
    due=_never_due,
    patterns=PATTERNS,
)
