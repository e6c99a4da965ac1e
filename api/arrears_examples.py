"""Examples of the operations on arrears and collections."""

from __future__ import annotations

from typing import Any

from api.loan_servicing_examples import entry

ARREARS_EXAMPLES: dict[str, dict[str, Any]] = {
    "get_portfolio_at_risk": {
        "answer": {
            "seq": 412,
            "on": "2026-06-30",
            "assets": [
                {
                    "asset": "USD/2",
                    "funding": "own",
                    "loans": 3,
                    "outstanding": 1_200_000,
                    "at_risk": [
                        {
                            "name": "PAR1",
                            "from_days": 1,
                            "loans": 2,
                            "outstanding": 700_000,
                            "ratio": "58.33",
                        },
                        {
                            "name": "PAR30",
                            "from_days": 31,
                            "loans": 1,
                            "outstanding": 300_000,
                            "ratio": "25.00",
                        },
                        {"name": "PAR60", "from_days": 61, "loans": 0, "outstanding": 0, "ratio": "0.00"},
                        {"name": "PAR90", "from_days": 91, "loans": 0, "outstanding": 0, "ratio": "0.00"},
                    ],
                    "buckets": [
                        {"bucket": "current", "loans": 1, "outstanding": 500_000},
                        {"bucket": "1-30", "loans": 1, "outstanding": 400_000},
                        {"bucket": "31-60", "loans": 1, "outstanding": 300_000},
                    ],
                }
            ],
        }
    },
    "announce_instalment": {
        "body": {"due": "2026-06-15"},
        "answer": entry(
            413,
            "loan_repayment_due",
            "2026-06-30T12:00:00.000000Z",
            """
        DR loans:interest_receivable               395 posted
        CR loans:interest_income                   395 posted
        =  loans:interest_receivable             12903    12903    12903
        =  loans:interest_income                 14360    14360    14360
            """,
        ),
    },
    "open_collection_case": {
        "body": {"assignee": "desk-2"},
        "answer": entry(414, "collection_case_opened", "2026-06-30T12:00:00.000000Z"),
    },
    "change_collection_case": {
        "body": {"status": "legal"},
        "answer": entry(415, "collection_case_changed", "2026-06-30T12:00:00.000000Z"),
    },
    "add_collection_note": {
        "body": {"text": "Called, will call back; see CRM 4711."},
        "answer": entry(416, "collection_note_added", "2026-06-30T12:00:00.000000Z"),
    },
    "promise_payment": {
        "body": {"amount": 30500, "by": "2031-07-10"},
        "answer": entry(417, "collection_promise_made", "2026-06-30T12:00:00.000000Z"),
    },
    "record_promise": {
        "body": {"promise": 1},
        "answer": entry(418, "collection_promise_kept", "2026-06-30T12:00:00.000000Z"),
    },
    "close_collection_case": {
        "body": {"outcome": "cured"},
        "answer": entry(419, "collection_case_closed", "2026-06-30T12:00:00.000000Z"),
    },
    "get_collection_case": {
        "answer": {
            "loan": "L-1042",
            "case": 1,
            "status": "legal",
            "trigger": "hand",
            "opened": "2026-06-30",
            "days_past_due": 36,
            "notes": 1,
            "promises": [
                {
                    "promise": 1,
                    "asset": "USD/2",
                    "amount": 30500,
                    "by": "2026-07-10",
                    "outcome": "pending",
                    "recorded": "pending",
                }
            ],
            "assignee": "desk-2",
            "version": 4,
        }
    },
    "list_collection_cases": {
        "answer": {
            "cases": [
                {
                    "loan": "L-1042",
                    "case": 1,
                    "status": "legal",
                    "trigger": "hand",
                    "opened": "2026-06-30",
                    "assignee": "desk-2",
                    "notes": 1,
                    "promises": 1,
                }
            ],
            "next": None,
        }
    },
    "list_collection_notes": {
        "answer": {
            "notes": [
                {
                    "seq": 416,
                    "case": 1,
                    "note": 1,
                    "text": "Called, will call back; see CRM 4711.",
                    "actor": "default",
                    "recorded_at": "2026-06-30T12:00:00.000000Z",
                }
            ],
            "next": None,
        }
    },
}
