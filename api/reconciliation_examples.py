"""Examples of the operations on reconciliations: a day of Stripe's, one fee of which is another."""

from __future__ import annotations

from typing import Any

_RUN = {
    "run": "stripe-2026-11-20",
    "side": "stripe",
    "source": "Stripe, 2026-11-20T00:00:00+00:00 to 2026-11-21T00:00:00+00:00",
    "status": "finished",
    "account": "stripe:clearing",
    "window_days": 3,
    "first_day": "2026-11-20",
    "last_day": "2026-11-20",
    "known_at": 1_842,
    "match_rate": "99.76",
    "counts": {"match": 412, "amount_mismatch": 1},
    "kinds": {"fee_differs": 1},
    "items": 1,
    "unresolved": 1,
    "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
_SIDE = {
    "id": "ch_1842",
    "day": "2026-11-20",
    "amount": "2067",
    "asset": "USD/2",
    "fee": "93",
    "reference": "txn_1842",
    "status": "charge",
}
_ITEM = {
    "item": "1.1",
    "outcome": "amount_mismatch",
    "kind": "fee_differs",
    "rule": "reference",
    "here": [_SIDE],
    "there": [{**_SIDE, "amount": "2066", "fee": "94"}],
}
_SCHEDULE = {
    "side": "stripe",
    "daily_at": "06:00",
    "every_minutes": None,
    "from_at": "2026-11-20T00:00:00.000000Z",
    "next_at": "2026-11-21T06:00:00.000000Z",
    "job": None,
}
_JOB = {
    "id": "6d1c4f0e-53d7-4f0b-9c5e-0f4b6a1e2d3c",
    "kind": "reconcile_stripe",
    "state": "queued",
    "cancelling": False,
    "attempts": 0,
    "progress": 0,
    "total": None,
    "parameters": {
        "ledger": "main",
        "side": "stripe",
        "start": "2026-11-20T00:00:00.000000Z",
        "end": "2026-11-21T00:00:00.000000Z",
        "run": "stripe-2026-11-20",
        "anew": True,
    },
    "result": None,
    "error": None,
    "made_at": "2026-11-21T10:00:00.000000Z",
    "started_at": None,
    "heartbeat": None,
    "ended_at": None,
}
_BANK = {
    **_RUN,
    "run": "bank-5d0c2f0b1a7e4c93",
    "side": "bank",
    "source": "january.xml",
    "account": "bank",
    "kinds": {},
}

RECONCILIATION_EXAMPLES: dict[str, dict[str, Any]] = {
    "start_reconciliation": {
        "body": {"side": "stripe", "from": "2026-11-20", "to": "2026-11-20"},
        "answer": _JOB,
    },
    "reconcile_statement": {"answer": _BANK},
    "list_reconciliations": {"answer": {"reconciliations": [_BANK, _RUN], "next": None}},
    "get_reconciliation": {"answer": _RUN},
    "list_reconciliation_items": {"answer": {"items": [_ITEM], "next": None}},
    "get_reconciliation_item": {"answer": _ITEM},
    "resolve_reconciliation_item": {
        "body": {"explanation": "Stripe has corrected its fee."},
        "answer": {
            "seq": 1_845,
            "type": "reconciliation_item_resolved",
            "recorded_at": "2026-11-21T10:00:00.000000Z",
        },
    },
    "list_reconciliation_schedules": {"answer": {"schedules": [_SCHEDULE]}},
    "put_reconciliation_schedule": {"body": {"daily_at": "06:00"}, "answer": _SCHEDULE},
    "delete_reconciliation_schedule": {"answer": _SCHEDULE},
}
