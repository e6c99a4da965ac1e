"""Examples of the operations on payments: customer 42 pays a starter pack at Stripe."""

from __future__ import annotations

from typing import Any

from api.credit_examples import CREDIT_EXAMPLES

_AT = "2026-11-20T10:00:00.000000Z"
_SESSION = "cs_test_a1B2"
_ORDER = "co_1b4f0e9851971998e732078544c96b36c3d01ced"
_PAID = {**CREDIT_EXAMPLES["get_order"]["answer"], "id": _ORDER, "session": _SESSION}
_UNSETTLED, _UNAPPLIED, _CLEARING = "stripe:unsettled", "payments:unapplied", "stripe:clearing"
_USD = "USD/2"
_SUBSCRIPTION = {
    "subscription": "sub_1",
    "status": "past_due",
    "user_id": "42",
    "package": "starter",
    "customer": "cus_1",
    "current_period_end": "2026-12-20T10:00:00.000000Z",
    "cancel_at_period_end": False,
    "failure": {
        "told_at": _AT,
        "attempts": 1,
        "invoice": "in_1",
        "next_attempt_at": "2026-11-23T10:00:00.000000Z",
    },
    "told_at": _AT,
    "seq": 40,
}


def _entry(seq: int, type: str, moved: int, debit: str, credit: str, **data: Any) -> dict[str, Any]:
    """The entry of a fact that moves one amount."""
    legs = ((debit, "debit"), (credit, "credit"))
    entry: dict[str, Any] = {"seq": seq, "type": type, "effective_at": _AT, "recorded_at": _AT}
    entry["postings"] = [
        {"account": account, "side": side, "amount": moved, "asset": _USD, "kind": "posted"}
        for account, side in legs
    ]
    entry["balances"] = [
        {"account": account, "asset": _USD, "posted": moved, "pending": moved, "available": moved}
        for account, _ in legs
    ]
    return {**entry, "data": data}


_CHARGE = {"charge": "ch_1", "payment": "pi_1", "amount": 1_079, "asset": _USD}
_REFUND = {"refund": "re_1", "payment": "pi_1", "amount": 500, "asset": _USD}
_PAYOUT = {"payout": "po_1", "amount": 900, "asset": _USD}
_SETTLED = {"txn": "txn_1", "amount": 1_079, "fee": 61, "asset": _USD}
_WITHDRAWN = {"txn": "txn_2", "amount": -1_079, "fee": 1_500, "asset": _USD}
_DISPUTE = {"dispute": "dp_1", "payment": "pi_1", "status": "needs_response"}

PAYMENT_EXAMPLES: dict[str, dict[str, Any]] = {
    "create_checkout": {
        "body": {
            "userId": "42",
            "packageId": "starter",
            "successUrl": "https://myapp.com/success",
            "cancelUrl": "https://myapp.com/marketplace",
        },
        "answer": {
            "success": True,
            "checkoutUrl": f"https://checkout.stripe.com/c/pay/{_SESSION}",
            "sessionId": _SESSION,
            "order": _ORDER,
        },
    },
    "verify_checkout": {
        "answer": {
            "success": True,
            "status": "paid",
            "session": "complete",
            "metadata": {
                "ledger": "main",
                "order": _ORDER,
                "userId": "42",
                "packageId": "starter",
                "creditType": "enrichment",
                "creditAmount": "100",
            },
            "order": _PAID,
            "customer": "",
            "paymentMethod": "pm_1",
            "subscription": "",
        }
    },
    "fulfill_checkout_session": {"body": {"sessionId": _SESSION}, "answer": _PAID},
    "charge_order": {
        "body": {"order": "order-1842", "customer": "cus_1", "paymentMethod": "pm_1"},
        "answer": {**_PAID, "id": "order-1842", "paid": 999, "tax": 0, "session": "pi_1"},
    },
    "list_open_items": {
        "answer": {
            "items": [
                {"item": "charge:ch_1", "balance": {_USD: 1_079}, "last_seq": 31},
                {"item": "dispute:dp_1", "balance": {_USD: 1_079}, "last_seq": 34, "status": "lost"},
                {"item": "payment:pi_2", "balance": {_USD: -500}, "last_seq": 33},
            ],
            "next": None,
        }
    },
    "apply_open_item": {
        "body": {"item": "payment:pi_2", "account": "fees", "description": "A donation"},
        "answer": {
            **_entry(36, "open_item_applied", 500, _UNAPPLIED, "fees", item="payment:pi_2", account="fees"),
            "description": "A donation",
        },
    },
    "match_payout": {
        "body": _PAYOUT,
        "answer": _entry(
            37,
            "payout_matched",
            900,
            "payments:bank",
            "stripe:payout_in_transit",
            **(_PAYOUT | {"amount": "900"}),
        ),
    },
    "classify_balance_transaction": {
        "body": {"txn": "txn_3", "account": "fees"},
        "answer": _entry(
            38,
            "balance_transaction_classified",
            5,
            "stripe:unclassified",
            "fees",
            txn="txn_3",
            account="fees",
        ),
    },
    "record_charge": {
        "body": _CHARGE,
        "answer": _entry(
            31, "charge_recorded", 1_079, _UNSETTLED, _UNAPPLIED, **(_CHARGE | {"amount": "1079"})
        ),
    },
    "record_refund": {
        "body": _REFUND,
        "answer": _entry(32, "refund_recorded", 500, _UNAPPLIED, _CLEARING, **(_REFUND | {"amount": "500"})),
    },
    "record_refunded_total": {
        "body": {"charge": "ch_1", "payment": "pi_1", "amount": 700, "asset": _USD},
        "answer": {
            "seq": 33,
            "type": "refunded_total_recorded",
            "effective_at": _AT,
            "recorded_at": _AT,
            "postings": [],
            "balances": [],
            "data": {"charge": "ch_1", "payment": "pi_1", "amount": "700", "asset": _USD},
        },
    },
    "record_invoice_payment": {
        "body": {"invoice": "in_1", "payment": "pi_3"},
        "answer": {
            "seq": 34,
            "type": "invoice_payment_recorded",
            "effective_at": _AT,
            "recorded_at": _AT,
            "postings": [],
            "balances": [],
            "data": {"invoice": "in_1", "payment": "pi_3", "moved": {_USD: "1079"}, "order": "in_1"},
        },
    },
    "record_dispute": {
        "body": {**_DISPUTE, "settlements": [_WITHDRAWN]},
        "answer": _entry(
            34, "dispute_recorded", 1_079, "payments:disputes_receivable", _CLEARING, **_DISPUTE
        ),
    },
    "record_payout": {
        "body": _PAYOUT,
        "answer": _entry(
            35,
            "payout_recorded",
            900,
            "stripe:payout_in_transit",
            _CLEARING,
            **(_PAYOUT | {"amount": "900", "stage": "made"}),
        ),
    },
    "record_balance_transaction": {
        "body": {
            "kind": "charge",
            "type": "charge",
            "settlement": _SETTLED,
            "source": "ch_1",
            "payment": "pi_1",
        },
        "answer": _entry(
            33, "balance_transaction_recorded", 1_018, _CLEARING, _UNSETTLED, txn="txn_1", kind="charge"
        ),
    },
    "list_stripe_subscriptions": {"answer": {"subscriptions": [_SUBSCRIPTION], "next": None}},
    "get_stripe_subscription": {"answer": _SUBSCRIPTION},
    "cancel_stripe_subscription": {
        "body": {"at_period_end": True},
        "answer": {"subscription": "sub_1", "status": "active", "cancel_at_period_end": True},
    },
}
