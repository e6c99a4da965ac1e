"""Examples of loans: what operations take and answer. They follow upon each other, more or less."""

from __future__ import annotations

from typing import Any

from api.loan_servicing_examples import SERVICING_EXAMPLES, entry

LOAN_EXAMPLES: dict[str, dict[str, Any]] = {
    "set_loan_policy": {
        "body": {
            "policy": {
                "waterfall": {"name": "penalty_first"},
                "grace_days": 3,
                "non_accrual_days": 90,
                "four_eyes_above": {"USD/2": 10000000},
            }
        },
        "answer": entry(2, "loan_policy_set", "2026-05-15T12:00:00.000000Z"),
    },
    "assess_borrower": {
        "body": {"kyc": "verified", "rating": "low", "score": 742, "limits": {"USD/2": 5000000}},
        "answer": entry(3, "borrower_assessed", "2026-05-15T12:00:00.000000Z"),
    },
    "submit_loan_application": {
        "body": {
            "loan": "L-1042",
            "borrower": "B-7",
            "asset": "USD/2",
            "amount": 2500000,
            "purpose": "Business expansion",
        },
        "answer": entry(4, "loan_application_submitted", "2026-05-15T12:00:00.000000Z"),
    },
    "approve_loan": {
        "body": {
            "offer": {
                "asset": "USD/2",
                "amount": 2500000,
                "interest": {"method": "equal_instalments", "rate": "12", "multiple": 100},
                "count": 18,
                "fee": 50000,
            },
            "conditions": ["Proof of income for the last 3 months"],
            "expires_at": "2041-06-15T00:00:00Z",
        },
        "answer": entry(5, "loan_approved", "2026-05-15T12:00:00.000000Z"),
    },
    "reject_loan": {
        "body": {"reason": "Debt to income is too high"},
        "answer": entry(42, "loan_rejected", "2026-05-15T12:00:00.000000Z"),
    },
    "withdraw_loan": {
        "body": {},
        "answer": entry(40, "loan_withdrawn", "2026-05-15T12:00:00.000000Z"),
    },
    "accept_loan": {
        "body": {},
        "answer": entry(6, "loan_accepted", "2026-05-15T12:00:00.000000Z"),
    },
    "disburse_loan": {
        "body": {"account": "bank", "method": "bank_transfer", "reference": "LOAN_L-1042"},
        "answer": entry(
            7,
            "loan_disbursement_held",
            "2026-05-15T12:00:00.000000Z",
            """
        DR loans:portfolio                     2500000 pending
        CR bank                                2450000 pending
        CR loans:deferred_fees                   50000 pending
        =  loans:portfolio                           0  2500000        0
        =  bank                                      0 -2450000 -2450000
        =  loans:deferred_fees                       0    50000        0
            """,
            reference="LOAN_L-1042",
        ),
    },
    "confirm_disbursement": {
        "body": {"disbursement": 7},
        "answer": entry(
            8,
            "loan_disbursed",
            "2026-05-15T12:00:00.000000Z",
            """
        DR loans:portfolio                     2500000 release
        CR bank                                2450000 release
        CR loans:deferred_fees                   50000 release
        DR loans:portfolio                     2500000 posted
        CR bank                                2450000 posted
        CR loans:deferred_fees                   50000 posted
        =  loans:portfolio                     2500000  2500000  2500000
        =  bank                               -2450000 -2450000 -2450000
        =  loans:deferred_fees                   50000    50000    50000
            """,
        ),
    },
    "fail_disbursement": {
        "body": {"disbursement": 38, "reason": "No such account"},
        "answer": entry(
            39,
            "loan_disbursement_failed",
            "2026-05-15T12:00:00.000000Z",
            """
        DR loans:portfolio                      100000 release
        CR bank                                 100000 release
        =  loans:portfolio                           0        0        0
        =  bank                               -1722177 -1722177 -1722177
            """,
        ),
    },
    "receive_provider_funds": {
        "body": {"asset": "USD/2", "amount": 2500000, "account": "bank"},
        "answer": entry(
            43,
            "provider_funds_received",
            "2026-05-15T12:00:00.000000Z",
            """
        DR bank                                2500000 posted
        CR loans:provider_funds:acme           2500000 posted
        =  bank                                 777823   777823   777823
        =  loans:provider_funds:acme           2500000  2500000  2500000
            """,
        ),
    },
    "remit_to_provider": {
        "body": {"asset": "USD/2", "amount": 95000, "account": "bank"},
        "answer": entry(
            51,
            "provider_paid",
            "2026-06-20T12:00:00.000000Z",
            """
        DR loans:provider_payable:acme           95000 posted
        CR bank                                  95000 posted
        =  loans:provider_payable:acme               0        0        0
        =  bank                               -1717177 -1717177 -1717177
            """,
        ),
    },
    **SERVICING_EXAMPLES,
    "get_loan_policy": {"answer": {"policy": {"grace_days": 3}}},
    "get_borrower": {
        "answer": {
            "borrower": "B-7",
            "kyc": "verified",
            "rating": "low",
            "score": 742,
            "limits": {"USD/2": 5000000},
            "loans": {"L-1042": {"asset": "USD/2", "amount": 2500000}},
        }
    },
    "list_loans": {
        "answer": {
            "seq": 17,
            "on": "2026-06-20",
            "loans": [
                {
                    "loan": "L-1042",
                    "borrower": "B-7",
                    "status": "active",
                    "kredit_status": "IN_ARREARS",
                    "asset": "USD/2",
                    "requested": 2500000,
                    "amount": 2500000,
                    "disbursed": 2500000,
                    "principal": 2025000,
                    "interest": 25164,
                    "fee": 0,
                    "penalty": 0,
                    "overpaid": 0,
                    "days_past_due": 5,
                    "oldest_due": "2026-06-15",
                    "instalments": 3,
                    "rate": "12",
                    "kredit_interest": "DECLINING_BALANCE",
                    "provider": None,
                    "submitted_at": "2026-05-15T12:00:00.000000Z",
                    "seq": 12,
                }
            ],
            "next": None,
        }
    },
    "list_borrowers": {
        "answer": {
            "seq": 17,
            "borrowers": [
                {
                    "borrower": "B-7",
                    "kyc": "verified",
                    "rating": "low",
                    "score": 742,
                    "assessed_at": "2026-05-15T12:00:00.000000Z",
                    "seq": 3,
                }
            ],
            "next": None,
        }
    },
    "get_loan": {
        "answer": {
            "loan": "L-1042",
            "borrower": "B-7",
            "status": "active",
            "asset": "USD/2",
            "requested": 2500000,
            "kredit_status": "IN_ARREARS",
            "kredit_interest": "DECLINING_BALANCE",
            "offer": {
                "asset": "USD/2",
                "amount": 2500000,
                "interest": {"method": "equal_instalments", "rate": "12", "multiple": 100},
                "count": 3,
                "fee": 50000,
            },
            "funding": "own",
            "cost": {"interest": 50164, "fee": 50000, "total": 100164},
            "disbursements": [
                {
                    "seq": 6,
                    "amount": 2500000,
                    "fee": 50000,
                    "account": "bank",
                    "method": "bank_transfer",
                    "reference": "LOAN_L-1042",
                    "status": "confirmed",
                }
            ],
            "position": {
                "on": "2026-06-20",
                "days_past_due": 5,
                "bucket": "1-30",
                "non_accrual": False,
                "charged_off": False,
                "disbursed": 2500000,
                "owed": {"principal": 2025000, "interest": 25164, "fee": 0, "penalty": 0, "total": 2050164},
                "due": {"principal": 350100, "interest": 0, "fee": 0, "penalty": 0, "total": 350100},
                "overpaid": 0,
                "recovered": 0,
                "allowance": 0,
                "collateral": {},
                "schedule": [
                    {
                        "start": "2026-05-15",
                        "due": "2026-06-15",
                        "principal": 825100,
                        "interest": 25000,
                        "principal_done": 475000,
                        "interest_done": 25000,
                        "status": "overdue",
                    },
                    {
                        "start": "2026-06-15",
                        "due": "2026-07-15",
                        "principal": 833351,
                        "interest": 16749,
                        "principal_done": 0,
                        "interest_done": 0,
                        "status": "pending",
                    },
                    {
                        "start": "2026-07-15",
                        "due": "2026-08-15",
                        "principal": 841549,
                        "interest": 8415,
                        "principal_done": 0,
                        "interest_done": 0,
                        "status": "pending",
                    },
                ],
                "extras": [],
                "transactions": [
                    {"seq": 7, "kind": "disbursed", "day": "2026-05-15", "amount": 2500000},
                    {"seq": 8, "kind": "repaid", "day": "2026-06-15", "amount": 500000},
                ],
            },
            "version": 6,
        }
    },
    "get_payoff": {
        "answer": {
            "loan": "L-1042",
            "asset": "USD/2",
            "on": "2026-06-25",
            "payoff": {"principal": 2372500, "interest": 7908, "fee": 0, "penalty": 1000, "total": 2381408},
            "overpaid": 0,
        }
    },
}
