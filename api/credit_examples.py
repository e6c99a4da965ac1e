"""Examples of the operations on prepaid credits: customer 42 buys a starter pack and uses it."""

from __future__ import annotations

from typing import Any

_WALLET = {"userId": "42", "creditType": "enrichment"}
_AT = "2026-11-20T10:00:00.000000Z"
_BALANCE = {
    **_WALLET,
    "balance": 990,
    "held": 0,
    "frozen": 0,
    "totalPurchased": 1_000,
    "totalUsed": 10,
    "seq": 16,
}


def _transaction(id: int, kind: str, amount: int, balance: int, **more: Any) -> dict[str, Any]:
    return {
        "id": id,
        **_WALLET,
        "transactionType": kind,
        "amount": amount,
        "balanceAfter": balance,
        "used": 0,
        "description": "",
        "referenceId": "",
        "referenceType": "",
        "metadata": {},
        "effectiveAt": _AT,
        "createdAt": _AT,
        **more,
    }


_USE = {
    "description": "Enriched 10 leads from list #123",
    "referenceId": "123",
    "referenceType": "lead_list",
    "metadata": {"leadsProcessed": "10"},
}
_USED = _transaction(16, "usage", -10, 990, used=10, **_USE)
_PACKAGE_TERMS = {
    "name": "Starter pack",
    "creditType": "enrichment",
    "creditAmount": 100,
    "price": 999,
    "asset": "USD/2",
    "sortOrder": 1,
    "expiryDays": 365,
}
_PACKAGE = {
    "id": "professional",
    "name": "Starter pack",
    "description": "Perfect for getting started",
    "creditAmount": 100,
    "bonusAmount": 0,
    "price": 999,
    "asset": "USD/2",
    "creditType": "enrichment",
    "isActive": True,
    "sortOrder": 1,
    "expiryDays": 365,
    "priority": 0,
    "metadata": {},
    "createdAt": _AT,
    "updatedAt": _AT,
}
_STARTER = {**_PACKAGE, "id": "starter"}
_ORDER = {
    "id": "order-1842",
    "userId": "42",
    "packageId": "starter",
    "creditType": "enrichment",
    "creditAmount": 100,
    "bonusAmount": 0,
    "price": 999,
    "asset": "USD/2",
    "status": "pending",
    "paid": 0,
    "tax": 0,
    "refunded": 0,
    "retired": 0,
    "session": "",
    "dispute": "",
    "fulfilledBy": None,
    "createdAt": _AT,
}
_PAID = {**_ORDER, "status": "fulfilled", "paid": 1_079, "tax": 80, "fulfilledBy": 30, "session": "cs_1842"}
_SETTINGS = {
    "breakage": {"policy": "proportional", "expected": 1_000},
    "lowBalance": 20,
    "usageLimit": {"units": 1_000_000, "window": "day"},
}

CREDIT_EXAMPLES: dict[str, dict[str, Any]] = {
    "get_all_balances": {"answer": {"balances": [_BALANCE]}},
    "get_balance": {"answer": _BALANCE},
    "check_balance": {"answer": {"hasSufficient": False, "balance": 990, "required": 1_000, "shortfall": 10}},
    "add_credits": {
        "body": {**_WALLET, "amount": 100, "transactionType": "bonus", "description": "Welcome"},
        "answer": _transaction(15, "bonus", 100, 100, description="Welcome"),
    },
    "deduct_credits": {"body": {**_WALLET, "amount": 10, **_USE}, "answer": _USED},
    "refund_credits": {
        "body": {"transactionId": 16, "description": "The list was empty"},
        "answer": _transaction(17, "refund", 10, 1_000, used=-10, description="The list was empty"),
    },
    "adjust_credits": {
        "body": {**_WALLET, "amount": 100, "description": "Bonus credits for feedback"},
        "answer": _transaction(18, "adjustment", 100, 1_100, description="Bonus credits for feedback"),
    },
    "hold_credits": {
        "body": {**_WALLET, "amount": 30, "timeoutSeconds": 600},
        "answer": _transaction(17, "hold", -30, 970),
    },
    "change_credit_hold": {
        "body": {**_WALLET, "hold": 17, "increase": 5, "timeoutSeconds": 3_600},
        "answer": _transaction(18, "hold", -5, 965),
    },
    "capture_credit_hold": {
        "body": {**_WALLET, "hold": 18, "amount": 5, "final": True},
        "answer": _transaction(19, "usage", 25, 990, used=5),
    },
    "release_credit_hold": {
        "body": {**_WALLET, "hold": 19},
        "answer": _transaction(20, "release", 30, 990),
    },
    "get_transaction_history": {"answer": {"seq": 16, "transactions": [_USED], "next": None}},
    "get_usage_stats": {
        "answer": {
            "totalUsed": 10,
            "totalPurchased": 1_000,
            "balance": 990,
            "averageDaily": "0.50",
            "transactions": 2,
            "days": 20,
            "seq": 16,
        }
    },
    "get_credit_metrics": {
        "answer": {
            "seq": 16,
            "days": 20,
            "types": [
                {
                    "creditType": "enrichment",
                    "totalUsed": 10,
                    "totalPurchased": 1_000,
                    "averageDaily": "0.50",
                    "transactions": 2,
                    "uses": 1,
                    "refunds": 0,
                    "refundRate": "0.0000",
                    "purchases": 1,
                    "purchasesRefunded": 0,
                    "purchaseRefundRate": "0.0000",
                }
            ],
            "popularPackages": [
                {"packageId": "starter", "asset": "USD/2", "purchases": 1, "credits": 100, "paid": 1_079}
            ],
            "money": [{"asset": "USD/2", "paid": 1_079, "refunded": 0}],
        }
    },
    "create_package": {
        "body": {**_PACKAGE_TERMS, "id": "professional", "description": "Perfect for getting started"},
        "answer": _PACKAGE,
    },
    "update_package": {
        "body": {"id": "starter", "price": 999, "isActive": True},
        "answer": _STARTER,
    },
    "get_packages": {"answer": {"packages": [_STARTER]}},
    "get_products": {"answer": {"products": {"enrichment": [_STARTER]}}},
    "purchase_credits": {"body": {"userId": "42", "packageId": "starter"}, "answer": _ORDER},
    "get_order": {"answer": _PAID},
    "fulfil_order": {
        "body": {"order": "order-1843", "amount": 1_079, "tax": 80, "asset": "USD/2", "session": "cs_1843"},
        "answer": {**_PAID, "id": "order-1843", "session": "cs_1843"},
    },
    "decline_order": {
        "body": {"order": "order-1844", "reason": "card_declined"},
        "answer": {**_ORDER, "id": "order-1844", "status": "declined"},
    },
    "refund_purchase": {
        "body": {"order": "order-1845", "amount": 500},
        "answer": {**_PAID, "id": "order-1845", "refunded": 500, "retired": 46},
    },
    "reverse_purchase_refund": {
        "body": {"order": "order-1849", "refund": "re_1849"},
        "answer": {**_PAID, "id": "order-1849"},
    },
    "freeze_purchase": {
        "body": {"order": "order-1846", "dispute": "dp_1846"},
        "answer": {**_PAID, "id": "order-1846", "dispute": "dp_1846"},
    },
    "unfreeze_purchase": {
        "body": {"order": "order-1847", "dispute": "dp_1847"},
        "answer": {**_PAID, "id": "order-1847"},
    },
    "lose_dispute": {
        "body": {"order": "order-1848", "dispute": "dp_1848"},
        "answer": {**_PAID, "id": "order-1848", "refunded": 1_079, "retired": 100},
    },
    "set_credit_settings": {
        "body": {"creditType": "scraping", "settings": _SETTINGS},
        "answer": {"seq": 21, "type": "credit_settings_set", "recorded_at": _AT},
    },
    "get_credit_settings": {"answer": {"types": {"scraping": _SETTINGS}, "default": {}}},
    "set_wallet_settings": {
        "body": {**_WALLET, "autoTopUp": {"threshold": 20, "packageId": "starter"}},
        "answer": {"seq": 22, "type": "wallet_settings_set", "recorded_at": _AT},
    },
}
