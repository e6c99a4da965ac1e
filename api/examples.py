"""Examples for the OpenAPI document, by operation id: a body, and what it is answered with.

They tell one story: a ledger is opened, a customer pays in, a hold is placed and posted.
"""

from __future__ import annotations

from typing import Any

from api.arrears_examples import ARREARS_EXAMPLES
from api.credit_examples import CREDIT_EXAMPLES
from api.kredit_examples import KREDIT_EXAMPLES
from api.loan_examples import LOAN_EXAMPLES
from api.loan_payment_examples import LOAN_PAYMENT_EXAMPLES
from api.payment_examples import PAYMENT_EXAMPLES
from api.provider_examples import PROVIDER_EXAMPLES
from api.reconciliation_examples import RECONCILIATION_EXAMPLES
from api.voucher_examples import VOUCHER_EXAMPLES

_CHART = {
    "assets": ["USD/2"],
    "accounts": [
        {"pattern": "cash", "type": "asset"},
        {"pattern": "fees", "type": "income"},
        {
            "pattern": "customers:{customer}:wallet",
            "type": "liability",
            "limits": {"*": {"min_available": 0}},
        },
    ],
}
_POSTINGS = [
    {"account": "cash", "side": "debit", "amount": 999, "asset": "USD/2"},
    {"account": "customers:42:wallet", "side": "credit", "amount": 999, "asset": "USD/2"},
]
_KEY_REQUEST = {"name": "billing service", "scopes": ["ledger:write"], "ledgers": ["main"]}
_KEY = {
    "id": "0d0d8f6e-3c0e-4b5e-8d39-0b2a9a1a7c51",
    "tenant": "default",
    "prefix": "k3v9x2ab",
    "name": "billing service",
    "scopes": ["ledger:write"],
    "ledgers": ["main"],
    "created_at": "2026-11-20T10:00:00Z",
    "created_by": "key:a1b2c3d4",
    "expires_at": None,
    "revoked_at": None,
    "last_used_at": None,
    "provider": None,
}
_SECRET = "daybook_k3v9x2ab_(43 characters, shown once)"
_TENANT = {"name": "acme", "created_at": "2026-11-20T10:00:00Z"}
_TRANSACTION = {
    "description": "Starter pack",
    "effective_at": "2026-11-20T10:00:00Z",
    "reference": "order-1842",
    "metadata": {"order": "1842"},
    "postings": _POSTINGS,
}
_ENTRY = {
    "seq": 2,
    "type": "transaction_posted",
    "effective_at": "2026-11-20T10:00:00.000000Z",
    "recorded_at": "2026-11-20T10:00:03.123456Z",
    "postings": [{**posting, "kind": "posted"} for posting in _POSTINGS],
    "balances": [
        {"account": "cash", "asset": "USD/2", "posted": 999, "pending": 999, "available": 999},
        {"account": "customers:42:wallet", "asset": "USD/2", "posted": 999, "pending": 999, "available": 999},
    ],
    "description": "Starter pack",
    "reference": "order-1842",
    "metadata": {"order": "1842"},
    "accounts_opened": ["cash", "customers:42:wallet"],
    "idempotency_key": "order-1842",
}
_SPENT = [
    {"account": "customers:42:wallet", "side": "debit", "amount": 300, "asset": "USD/2"},
    {"account": "fees", "side": "credit", "amount": 300, "asset": "USD/2"},
]
_LEDGER = {
    "name": "main",
    "id": "0b0e2a4e-6f0c-4f62-9a53-0b4f6b3a7f10",
    "time_zone": "Europe/Prague",
    "opened_at": "2026-11-20T09:59:00.000000Z",
}
_APPROVAL = {
    "id": "2f7c0e4e-9a53-4d62-8f10-7b0b4f6b3a10",
    "status": "pending",
    "operation": "transaction",
    "commands": 1,
    "evidence": {"asset": "USD/2", "amount": "999", "above": "500"},
    "asked_by": "key:cl3rk000",
    "asked_at": "2026-11-20T10:00:03.123456Z",
    "expires_at": "2026-11-27T10:00:03.123456Z",
    "decided_by": None,
    "decided_at": None,
    "reason": None,
    "seq": None,
    "events": None,
    "rejection": None,
}
_TREE_HEAD = {
    "origin": "daybook/0b0e2a4e-6f0c-4f62-9a53-0b4f6b3a7f10/1",
    "ledger": "0b0e2a4e-6f0c-4f62-9a53-0b4f6b3a7f10",
    "incarnation": 1,
    "size": 2,
    "root": "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "note": (
        "daybook/0b0e2a4e-6f0c-4f62-9a53-0b4f6b3a7f10/1\n2\n+sVCA+fMaWzw38tCySodnbr3CtnmIfS9jZhmLwDjwSU=\n\n"
        "— daybook-5b1a7f02 x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6K"
        "E6RyyBwJnAM=\n"
    ),
}

_JOB = {
    "id": "6d1c4f0e-53d7-4f0b-9c5e-0f4b6a1e2d3c",
    "kind": "rebuild",
    "state": "running",
    "cancelling": False,
    "attempts": 1,
    "progress": 250000,
    "total": 1000000,
    "parameters": {"projection": "tiles", "workers": 4, "accept_differences": False},
    "result": None,
    "error": None,
    "made_at": "2026-11-21T10:00:00.000000Z",
    "started_at": "2026-11-21T10:00:00.120000Z",
    "heartbeat": "2026-11-21T10:00:07.000000Z",
    "ended_at": None,
}
_CLOSING = {
    "seq": 10,
    "type": "period_closed",
    "period": "2026-10",
    "recorded_at": "2026-11-20T11:30:00.000000Z",
    "starts_at": "2026-09-30T22:00:00.000000Z",
    "ends_at": "2026-10-31T23:00:00.000000Z",
}
_QUEUED = {
    "state": "queued",
    "attempts": 0,
    "progress": 0,
    "total": None,
    "started_at": None,
    "heartbeat": None,
}
_PROJECTION_LEDGER = {
    "ledger": "main",
    "version": 3,
    "head": 1024,
    "checkpoint": 1000,
    "state": "stopped",
    "lag_events": 24,
    "lag_seconds": 61.5,
    "rate": 52000.0,
    "eta_seconds": 0.0,
    "error_seq": 1001,
    "error": "ValueError: level 0: hashes of tiles 3 to 3 are missing",
    "moved_at": "2026-11-21T10:00:00.000000Z",
}
_PROJECTION = {
    "projection": "tiles",
    "version": 3,
    "state": "live",
    "outdated": False,
    "ledgers": 2,
    "head": 2048,
    "checkpoint": 2024,
    "lag_events": 24,
    "lag_seconds": 61.5,
    "rate": 52000.0,
    "eta_seconds": 0.0,
    "stopped": 1,
    "errors": [_PROJECTION_LEDGER],
    "difference": None,
}
_ACCOUNT = {
    "address": "customers:42:wallet",
    "type": "liability",
    "normal_balance": "credit",
    "status": "open",
    "opened_seq": 2,
    "limits": {"*": {"min_available": 0}},
}


def _moved(seq: int, type: str, kinds: tuple[str, ...], wallet: tuple[int, int, int], **more: Any) -> Any:
    """An entry on the hold of 300 from the wallet to fees; `wallet`: its posted, pending, available after."""
    posted, pending, available = wallet
    earned = 999 - posted
    return {
        "seq": seq,
        "type": type,
        "effective_at": "2026-11-20T10:05:00.000000Z",
        "recorded_at": "2026-11-20T10:05:00.000000Z",
        "postings": [{**posting, "kind": kind} for kind in kinds for posting in _SPENT],
        "balances": [
            {
                "account": "customers:42:wallet",
                "asset": "USD/2",
                "posted": posted,
                "pending": pending,
                "available": available,
            },
            {
                "account": "fees",
                "asset": "USD/2",
                "posted": earned,
                "pending": 999 - pending,
                "available": earned,
            },
        ],
        **more,
    }


def _acknowledged(seq: int, type: str) -> dict[str, Any]:
    return {"seq": seq, "type": type, "recorded_at": "2026-11-20T10:00:00.000000Z"}


_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
_SUBSCRIPTION = {
    "id": "0f6f0c1e-5f34-4d0b-8f0e-7f6f5f4f3f2f",
    "url": "https://example.com/hooks/ledger",
    "scheme": "standard",
    "types": ["transaction_posted"],
    "description": "",
    "state": "active",
    "disabled_reason": None,
    "checkpoint": 9,
    "failing_since": None,
    "made_at": "2026-11-20T10:00:00.000000Z",
    "former_secret_until": None,
    "waiting": 0,
    "dead": 0,
    "provider": None,
}
_ATTEMPT = {
    "number": 17,
    "seq": 5,
    "attempt": 1,
    "made_at": "2026-11-20T10:00:00.000000Z",
    "status": 204,
    "error": None,
    "latency_ms": 87,
}


_CHARGE = {
    "event": "charge.success",
    "data": {
        "id": 696134701,
        "status": "success",
        "reference": "order-1842",
        "amount": 999,
        "currency": "USD",
    },
}
_ENDPOINT = {
    "id": "7b1f1d1c-2b8e-4d5a-9a51-6d0f6c3f2a10",
    "provider": "paystack",
    "path": "/webhooks/paystack/7b1f1d1c-2b8e-4d5a-9a51-6d0f6c3f2a10",
    "default": True,
    "description": "Live account",
    "settings": {},
    "made_at": "2026-11-20T09:00:00.000000Z",
    "former_secret_until": None,
}
_OUR_SHOP = {
    "provider": "standard",
    "path": "/webhooks/standard/7b1f1d1c-2b8e-4d5a-9a51-6d0f6c3f2a10",
    "default": False,
    "description": "Our shop",
}
_WEBHOOK = {
    "number": 17,
    "endpoint": "7b1f1d1c-2b8e-4d5a-9a51-6d0f6c3f2a10",
    "provider": "paystack",
    "event_id": "charge.success:696134701",
    "type": "charge.success",
    "subject": "order-1842",
    "state": "parked",
    "reason": "account_not_in_chart",
    "detail": "No pattern of the chart matches the address (account: payments:unapplied).",
    "seqs": None,
    "attempts": 0,
    "received_at": "2026-11-20T10:00:00.000000Z",
    "settled_at": "2026-11-20T10:00:00.100000Z",
    "next_at": None,
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "open_ledger": {
        "body": {"name": "main", "time_zone": "Europe/Prague", "chart": _CHART},
        "answer": _acknowledged(1, "ledger_opened"),
    },
    "create_api_key": {"body": _KEY_REQUEST, "answer": {"key": _KEY, "secret": _SECRET}},
    "list_api_keys": {"answer": {"keys": [_KEY]}},
    "revoke_api_key": {"answer": _KEY | {"revoked_at": "2026-11-20T12:00:00Z"}},
    "rotate_api_key": {"body": {"overlap_seconds": 86400}, "answer": {"key": _KEY, "secret": _SECRET}},
    "create_tenant": {"body": {"name": "acme"}, "answer": _TENANT},
    "list_tenants": {"answer": {"tenants": [_TENANT], "next": None}},
    "create_tenant_api_key": {"body": _KEY_REQUEST, "answer": {"key": _KEY, "secret": _SECRET}},
    "list_approvals": {"answer": {"approvals": [_APPROVAL], "next": None}},
    "get_approval": {
        "answer": {
            **_APPROVAL,
            "atomic": False,
            "request": [{"operation": "transaction", "subject": "", "body": {"postings": _POSTINGS}}],
        }
    },
    "approve": {
        "answer": {
            **_APPROVAL,
            "status": "posted",
            "decided_by": "key:m4n4g3r0",
            "decided_at": "2026-11-20T11:00:00Z",
            "seq": 12,
            "events": 1,
        }
    },
    "reject": {
        "body": {"reason": "The invoice is not ours."},
        "answer": {
            **_APPROVAL,
            "status": "rejected",
            "decided_by": "key:m4n4g3r0",
            "decided_at": "2026-11-20T11:00:00Z",
            "reason": "The invoice is not ours.",
        },
    },
    "list_ledgers": {"answer": {"ledgers": [_LEDGER], "next": None}},
    "get_ledger": {
        "answer": {
            **_LEDGER,
            "incarnation": 1,
            "seq": 2,
            "recorded_at": "2026-11-20T10:00:03.123456Z",
            "root": "5f" * 32,
            "accounts": 2,
        }
    },
    "set_chart": {"body": _CHART, "answer": _acknowledged(3, "chart_set")},
    "get_chart": {"answer": {"chart": _CHART, "seq": 3}},
    "create_transaction": {"body": _TRANSACTION, "answer": _ENTRY},
    "create_transactions": {
        "body": {
            "atomic": False,
            "transactions": [
                {"postings": _POSTINGS, "idempotency_key": "order-1842"},
                {"postings": _SPENT, "pending": True, "timeout_seconds": 600},
            ],
        },
        "answer": {
            "results": [
                {"status": 201, "transaction": _ENTRY, "replayed": True},
                {
                    "status": 201,
                    "transaction": _moved(3, "transaction_held", ("pending",), (999, 699, 699)),
                },
            ]
        },
    },
    "list_transactions": {"answer": {"transactions": [_ENTRY], "next": None}},
    "get_transaction": {"answer": {**_ENTRY, "status": "posted", "remaining": [999, 999]}},
    "post_hold": {
        "body": {"amounts": [300, 300], "final": True},
        "answer": _moved(4, "hold_posted", ("release", "posted"), (699, 699, 699), transaction=3, final=True),
    },
    "void_hold": {
        "body": {"description": "Order cancelled"},
        "answer": _moved(
            4, "hold_voided", ("release",), (999, 999, 999), transaction=3, description="Order cancelled"
        ),
    },
    "reverse_transaction": {
        "body": {"reference": "refund-77"},
        "answer": {
            "seq": 5,
            "type": "transaction_reversed",
            "effective_at": "2026-11-20T11:00:00.000000Z",
            "recorded_at": "2026-11-20T11:00:00.000000Z",
            "postings": [
                {**posting, "side": side, "kind": "posted"}
                for posting, side in zip(_POSTINGS, ("credit", "debit"), strict=True)
            ],
            "balances": [
                {"account": account, "asset": "USD/2", "posted": 0, "pending": 0, "available": 0}
                for account in ("cash", "customers:42:wallet")
            ],
            "reference": "refund-77",
            "transaction": 2,
        },
    },
    "annotate_transaction": {
        "body": {"metadata": {"reviewed_by": "ana"}},
        "answer": _acknowledged(6, "transaction_annotated"),
    },
    "open_account": {
        "body": {"address": "customers:43:wallet"},
        "answer": _acknowledged(7, "account_opened"),
    },
    "list_accounts": {"answer": {"accounts": [_ACCOUNT], "next": None}},
    "get_account": {"answer": _ACCOUNT},
    "get_balances": {
        "answer": {
            "account": "customers:42:wallet",
            "seq": 2,
            "balances": [
                {
                    "asset": "USD/2",
                    "posted": 999,
                    "pending": 999,
                    "available": 999,
                    "debits_posted": 0,
                    "credits_posted": 999,
                    "debits_pending": 0,
                    "credits_pending": 0,
                    "version": 1,
                }
            ],
        }
    },
    "get_statement": {
        "answer": {
            "account": "customers:42:wallet",
            "asset": "USD/2",
            "lines": [
                {
                    "seq": 2,
                    "leg": 1,
                    "type": "transaction_posted",
                    "kind": "posted",
                    "side": "credit",
                    "amount": 999,
                    "effective_at": "2026-11-20T10:00:00.000000Z",
                    "recorded_at": "2026-11-20T10:00:03.123456Z",
                    "posted": 999,
                    "pending": 999,
                    "available": 999,
                    "description": "Starter pack",
                    "reference": "order-1842",
                }
            ],
            "next": None,
        }
    },
    "set_limits": {
        "body": {"limits": {"USD/2": {"min_available": -10_000, "max_balance": 1_000_000}}},
        "answer": _acknowledged(8, "account_limits_set"),
    },
    "close_account": {"body": {}, "answer": _acknowledged(9, "account_closed")},
    "close_period": {
        "body": {"retained_earnings": "retained"},
        "answer": {**_CLOSING, "seq": 13, "closing_entries": [12]},
    },
    "reopen_period": {
        "body": {"reason": "An invoice of October came late", "closed_seq": 13},
        "answer": _acknowledged(14, "period_reopened"),
    },
    "list_periods": {
        "answer": {
            "closed": [],
            "history": [
                _CLOSING,
                {
                    "seq": 14,
                    "type": "period_reopened",
                    "period": "2026-10",
                    "recorded_at": "2026-11-20T12:00:00.000000Z",
                    "reason": "An invoice of October came late",
                    "closed_seq": 13,
                },
            ],
            "next": None,
        }
    },
    "assert_balance": {
        "body": {
            "account": "cash",
            "asset": "USD/2",
            "at": "2026-11-19",
            "expected": 0,
            "source": "bank statement 2026-11-19",
        },
        "answer": _acknowledged(15, "balance_asserted"),
    },
    "get_trial_balance": {
        "answer": {
            "seq": 2,
            "balanced": True,
            "totals": [
                {"asset": "USD/2", "debit": 999, "credit": 999, "debits_pending": 0, "credits_pending": 0}
            ],
            "lines": [
                {
                    "account": account,
                    "type": type,
                    "asset": "USD/2",
                    "debit": debit,
                    "credit": 999 - debit,
                    "debits_pending": 0,
                    "credits_pending": 0,
                }
                for account, type, debit in (("cash", "asset", 999), ("customers:42:wallet", "liability", 0))
            ],
            "next": None,
        }
    },
    "get_balance_sheet": {
        "answer": {
            "seq": 4,
            "depth": 1,
            "balanced": True,
            "as_of": "2026-11-20T22:59:59.999999Z",
            "sheets": [
                {
                    "asset": "USD/2",
                    "assets": [{"account": "cash", "balance": 999}],
                    "liabilities": [{"account": "customers", "balance": 699}],
                    "equity": [],
                    "total_assets": 999,
                    "total_liabilities": 699,
                    "total_equity": 0,
                    "current_earnings": 300,
                    "balanced": True,
                    "memo": [],
                    "memo_total": 0,
                }
            ],
        }
    },
    "get_income_statement": {
        "answer": {
            "seq": 4,
            "depth": 1,
            "from": "2026-10-31T23:00:00.000000Z",
            "to": "2026-11-30T23:00:00.000000Z",
            "statements": [
                {
                    "asset": "USD/2",
                    "income": [{"account": "fees", "balance": 300}],
                    "expenses": [],
                    "total_income": 300,
                    "total_expenses": 0,
                    "net_income": 300,
                    "memo": [],
                }
            ],
        }
    },
    "list_daily_balances": {
        "answer": {
            "account": "customers:42:wallet",
            "asset": "USD/2",
            "seq": 4,
            "days": [
                {
                    "day": "2026-11-20",
                    "debits": 300,
                    "credits": 999,
                    "posted": 699,
                    "pending": 699,
                    "available": 699,
                }
            ],
            "next": None,
        }
    },
    "list_activity": {
        "answer": {
            "account": "customers:42:wallet",
            "seq": 2,
            "lines": [
                {
                    "seq": 2,
                    "leg": 1,
                    "type": "transaction_posted",
                    "kind": "posted",
                    "side": "credit",
                    "amount": 999,
                    "asset": "USD/2",
                    "effective_at": "2026-11-20T10:00:00.000000Z",
                    "recorded_at": "2026-11-20T10:00:03.123456Z",
                    "description": "Starter pack",
                    "reference": "order-1842",
                }
            ],
            "next": None,
        }
    },
    "search_transactions": {"answer": {"seq": 4, "transactions": [_ENTRY], "next": None}},
    "list_assertions": {
        "answer": {
            "seq": 8,
            "assertions": [
                {
                    "seq": 7,
                    "account": "cash",
                    "asset": "USD/2",
                    "at": "2026-11-20T22:59:59.999999Z",
                    "expected": 1099,
                    "tolerance": 0,
                    "actual": 999,
                    "difference": -100,
                    "status": "failing",
                    "source": "bank statement 2026-11",
                    "recorded_at": "2026-11-21T08:00:00.000000Z",
                    "failing_since": 7,
                }
            ],
            "next": None,
        }
    },
    "list_events": {
        "answer": {
            "incarnation": 1,
            "events": [
                {
                    "seq": 9,
                    "leaf": "a3" * 32,
                    "body": {
                        "data": {"account": "customers:43:wallet"},
                        "effective_at": "2026-11-20T10:00:00.000000Z",
                        "ledger": "0b0e2a4e-6f0c-4f62-9a53-0b4f6b3a7f10",
                        "recorded_at": "2026-11-20T10:00:00.000000Z",
                        "request_id": "8c1d",
                        "schema_version": 1,
                        "seq": 9,
                        "type": "account_closed",
                    },
                }
            ],
            "next": None,
            "position": 9,
        }
    },
    "get_tree_head": {"answer": _TREE_HEAD},
    "get_inclusion_proof": {
        "answer": {
            "proof": "inclusion",
            "seq": 2,
            "leaf": "70a4b0dc5c5ff1b1e2ac1c0ed59b5fb8c9d0ec3d3f3b5f3a6e8c1c3a3e0c6f5d",
            "path": ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"],
            "tree_head": _TREE_HEAD,
            "body": {
                "data": {"account": "customers:43:wallet"},
                "effective_at": "2026-11-20T10:00:00.000000Z",
                "ledger": "0b0e2a4e-6f0c-4f62-9a53-0b4f6b3a7f10",
                "recorded_at": "2026-11-20T10:00:00.000000Z",
                "request_id": "8c1d",
                "schema_version": 1,
                "seq": 2,
                "type": "account_closed",
            },
        }
    },
    "get_consistency_proof": {
        "answer": {
            "proof": "consistency",
            "first_size": 1,
            "first_root": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "path": ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"],
            "tree_head": _TREE_HEAD,
        }
    },
    "get_checkpoint": {"answer": _TREE_HEAD["note"]},
    "get_entry_bundle": {},
    "get_tile": {},
    "create_export": {
        "body": {"formats": ["csv", "hledger"], "from": "2026-01-01", "to": "2026-03-31"},
        "answer": {
            **_JOB,
            "kind": "export",
            "state": "queued",
            "attempts": 0,
            "progress": 0,
            "total": None,
            "parameters": {
                "ledger": "main",
                "formats": ["csv", "hledger"],
                "from": "2026-01-01",
                "to": "2026-03-31",
                "tree_head": _TREE_HEAD["note"],
                "verifier_key": "daybook-5b1a7f02+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                "folder": "/var/lib/daybook/data-exports/main-2-5f0c1e7a9b3d",
            },
            "started_at": None,
            "heartbeat": None,
        },
    },
    "get_export_file": {},
    "get_verifier_key": {
        "answer": {
            "name": "daybook-5b1a7f02",
            "algorithm": "Ed25519",
            "verifier_key": "daybook-5b1a7f02+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        }
    },
    "list_projections": {"answer": {"projections": [_PROJECTION]}},
    "get_projection": {"answer": {"ledgers": [_PROJECTION_LEDGER], "next": None}},
    "rebuild_projection": {"body": {"workers": 4}, "answer": {**_JOB, **_QUEUED}},
    "verify_projection": {
        "body": {"ledger": "main"},
        "answer": {
            **_JOB,
            **_QUEUED,
            "kind": "verify",
            "parameters": {"projection": "tiles", "ledger": "main"},
        },
    },
    "rollback_projection": {
        "answer": {**_JOB, **_QUEUED, "kind": "rollback", "parameters": {"projection": "tiles"}}
    },
    "retry_projection": {
        "body": {},
        "answer": {**_JOB, **_QUEUED, "kind": "retry", "parameters": {"projection": "tiles", "ledger": None}},
    },
    "get_job": {"answer": _JOB},
    "cancel_job": {"answer": {**_JOB, "cancelling": True}},
    "create_subscription": {
        "body": {"url": "https://example.com/hooks/ledger", "types": ["transaction_posted"]},
        "answer": {"subscription": _SUBSCRIPTION, "secret": _SECRET},
    },
    "list_subscriptions": {"answer": {"subscriptions": [_SUBSCRIPTION]}},
    "get_subscription": {"answer": _SUBSCRIPTION},
    "change_subscription": {
        "body": {"url": "https://example.com/hooks/ledger", "types": ["transaction_posted", "hold_posted"]},
        "answer": {**_SUBSCRIPTION, "types": ["transaction_posted", "hold_posted"]},
    },
    "delete_subscription": {"answer": _SUBSCRIPTION},
    "pause_subscription": {"answer": {**_SUBSCRIPTION, "state": "paused"}},
    "resume_subscription": {"answer": _SUBSCRIPTION},
    "rotate_secret": {
        "body": {},
        "answer": {
            "subscription": {**_SUBSCRIPTION, "former_secret_until": "2026-11-21T10:00:00.000000Z"},
            "secret": _SECRET,
        },
    },
    "ping_subscription": {"answer": {**_ATTEMPT, "seq": None}},
    "replay_subscription": {"body": {"after": 3}, "answer": {**_SUBSCRIPTION, "checkpoint": 3}},
    "list_messages": {
        "answer": {
            "messages": [
                {"seq": 5, "type": "transaction_posted", "attempts": 10, "dead": True, "next_at": None}
            ],
            "next": None,
        }
    },
    "replay_dead_messages": {"body": {"seqs": [5]}, "answer": {**_SUBSCRIPTION, "waiting": 1}},
    "list_attempts": {"answer": {"attempts": [_ATTEMPT], "next": None}},
    "receive_webhook": {"body": _CHARGE, "answer": {"number": 17, "duplicate": False}},
    "receive_webhook_at": {"body": _CHARGE, "answer": {"number": 17, "duplicate": True}},
    "receive_buffr_webhook": {
        "body": {
            "event": "voucher.redeemed",
            "data": {
                "voucher_id": "V-1042",
                "amount": 40.0,
                "agent_id": "A1",
                "timestamp": "2026-11-20T10:00:00Z",
            },
        },
        "answer": {"success": True, "message": "Webhook stored", "data": {"webhookEventId": 17}},
    },
    "create_endpoint": {
        "body": {
            "provider": "standard",
            "description": "Our shop",
        },
        "answer": {
            "endpoint": {**_ENDPOINT, **_OUR_SHOP},
            "secret": _SECRET,
        },
    },
    "list_endpoints": {"answer": {"endpoints": [_ENDPOINT]}},
    "get_endpoint": {"answer": _ENDPOINT},
    "change_endpoint": {
        "body": {"settings": {"channels": {"card": "paystack:cards"}}, "default": True},
        "answer": {**_ENDPOINT, "settings": {"channels": {"card": "paystack:cards"}}, "description": ""},
    },
    "rotate_endpoint_secret": {
        "body": {},
        "answer": {
            "endpoint": {
                **_ENDPOINT,
                **_OUR_SHOP,
                "former_secret_until": "2026-11-21T10:00:00.000000Z",
            },
            "secret": _SECRET,
        },
    },
    "delete_endpoint": {"answer": _ENDPOINT},
    "get_inbox": {
        "answer": {
            "states": [
                {"state": "parked", "webhooks": 2, "oldest_received_at": "2026-11-20T10:00:00.000000Z"}
            ]
        }
    },
    "list_webhooks": {"answer": {"webhooks": [_WEBHOOK], "next": None}},
    "get_webhook": {
        "answer": {
            "webhook": _WEBHOOK,
            "headers": [["content-type", "application/json"]],
            "body": "{}",
        }
    },
    "replay_webhook": {
        "answer": {
            **_WEBHOOK,
            "state": "received",
            "reason": None,
            "detail": None,
            "settled_at": None,
            "next_at": "2026-11-20T10:05:00.000000Z",
        }
    },
    "replay_parked_webhooks": {"body": {"reason": "account_not_in_chart"}, "answer": {"replayed": 2}},
    "list_rejections": {
        "answer": {
            "rejections": [
                {
                    "code": "ledger_exists",
                    "status": 409,
                    "transient": False,
                    "sentence": "A ledger of this name exists.",
                    "evidence": ["name"],
                }
            ]
        }
    },
    "get_live": {"answer": {"status": "healthy"}},
    "get_ready": {"answer": {"status": "healthy"}},
    **CREDIT_EXAMPLES,
    **KREDIT_EXAMPLES,
    **ARREARS_EXAMPLES,
    **LOAN_EXAMPLES,
    **LOAN_PAYMENT_EXAMPLES,
    **PAYMENT_EXAMPLES,
    **PROVIDER_EXAMPLES,
    **VOUCHER_EXAMPLES,
    **RECONCILIATION_EXAMPLES,
}
