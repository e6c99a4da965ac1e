"""Examples of borrowers' payments. They follow upon those of loans, more or less."""

from __future__ import annotations

from typing import Any

from api.loan_servicing_examples import entry

PAYMENT: dict[str, Any] = {
    "payment": "P-88",
    "method": "bank_transfer",
    "asset": "USD/2",
    "amount": 850100,
}

LOANS_IN_FIGURES: list[dict[str, Any]] = [
    {
        "asset": "USD/2",
        "status": "active",
        "loans": 1,
        "amount": 2500000,
        "disbursed": 2500000,
        "principal": 2025000,
        "interest": 25164,
        "fee": 0,
        "penalty": 0,
        "overpaid": 0,
        "past_due": 1,
        "past_due_principal": 2025000,
    }
]
PAYMENTS_IN_FIGURES: list[dict[str, Any]] = [
    {
        "asset": "USD/2",
        "status": "suspense",
        "method": "bank_transfer",
        "payments": 1,
        "amount": 850100,
        "in_suspense": 850100,
        "refunded": 0,
    }
]
BORROWER: dict[str, Any] = {
    "seq": 64,
    "on": "2026-06-20",
    "borrower": "B-7",
    "kyc": "verified",
    "rating": "low",
    "score": 742,
    "limits": [{"asset": "USD/2", "limit": 5000000, "taken": 2500000, "free": 2500000}],
}
OWED: dict[str, int] = {"principal": 2025000, "interest": 25164, "fee": 0, "penalty": 0, "total": 2050164}

LOAN_PAYMENT_EXAMPLES: dict[str, dict[str, Any]] = {
    "create_loan_payment": {
        "body": {**PAYMENT, "reference": "LOAN_L-1042", "borrower": "B-7"},
        "answer": entry(
            60,
            "loan_payment_created",
            "2026-06-15T12:00:00.000000Z",
            reference="LOAN_L-1042",
        ),
    },
    "process_loan_payment": {
        "body": {},
        "answer": entry(
            61,
            "loan_payment_processed",
            "2026-06-15T12:00:00.000000Z",
            """
        DR loans:clearing:bank_transfer         850100 posted
        CR loans:interest_receivable             25000 posted
        CR loans:portfolio                      825100 posted
        =  loans:clearing:bank_transfer         850100   850100   850100
        =  loans:interest_receivable                 0        0        0
        =  loans:portfolio                     1674900  1674900  1674900
            """,
        ),
    },
    "fail_loan_payment": {
        "body": {"reason": "Insufficient funds"},
        "answer": entry(62, "loan_payment_failed", "2026-06-15T12:00:00.000000Z"),
    },
    "match_loan_payment": {
        "body": {"loan": "L"},
        "answer": entry(
            63,
            "loan_payment_matched",
            "2026-06-15T12:00:00.000000Z",
            """
        DR loans:suspense                       850100 posted
        CR loans:interest_receivable             25000 posted
        CR loans:portfolio                      825100 posted
        =  loans:suspense                            0        0        0
        =  loans:interest_receivable                 0        0        0
        =  loans:portfolio                     1674900  1674900  1674900
            """,
        ),
    },
    "refund_loan_payment": {
        "body": {"amount": 100, "reason": "Paid too much"},
        "answer": entry(
            64,
            "loan_payment_refunded",
            "2026-06-20T12:00:00.000000Z",
            """
        DR loans:suspense                          100 posted
        CR loans:clearing:bank_transfer            100 posted
        =  loans:suspense                       850000   850000   850000
        =  loans:clearing:bank_transfer         850000   850000   850000
            """,
        ),
    },
    "get_loan_payment": {
        "answer": {
            **PAYMENT,
            "status": "matched",
            "reference": "LOAN_L-1042",
            "virtual_account": None,
            "borrower": "B-7",
            "received_at": "2026-06-15T12:00:00.000000Z",
            "failure": None,
            "in_suspense": 0,
            "loan": "L-1042",
            "matched_by": "reference",
            "repayment": 61,
            "repaid": 850100,
            "refunded": 0,
            "version": 2,
        }
    },
    "list_loan_payments": {
        "answer": {
            "seq": 64,
            "payments": [
                {
                    **PAYMENT,
                    "payment": "P-89",
                    "status": "suspense",
                    "in_suspense": 850100,
                    "refunded": 0,
                    "loan": None,
                    "borrower": None,
                    "reference": "Rent",
                    "matched_by": None,
                    "created_at": "2026-06-15T12:00:00.000000Z",
                    "received_at": "2026-06-15T12:00:00.000000Z",
                    "seq": 59,
                }
            ],
            "next": None,
        }
    },
    "assign_virtual_account": {
        "body": {"loan": "L"},
        "answer": entry(58, "virtual_account_assigned", "2026-05-16T12:00:00.000000Z"),
    },
    "get_virtual_account": {"answer": {"virtual_account": "VA-0042", "loan": "L-1042"}},
    "set_kyc_status": {
        "body": {"kyc": "verified"},
        "answer": entry(57, "borrower_kyc_set", "2026-05-15T12:00:00.000000Z"),
    },
    "get_lending_overview": {
        "answer": {
            "seq": 64,
            "on": "2026-06-20",
            "applications": 1,
            "approved": 1,
            "rejected": 0,
            "approval_rate": "100.00",
            "borrowers": {"verified": 1},
            "loans": LOANS_IN_FIGURES,
            "payments": PAYMENTS_IN_FIGURES,
        }
    },
    "get_borrower_overview": {
        "answer": {**BORROWER, "loans": LOANS_IN_FIGURES, "payments": PAYMENTS_IN_FIGURES}
    },
    "get_credit_report": {
        "answer": {
            **BORROWER,
            "loans": [
                {
                    "loan": "L-1042",
                    "status": "active",
                    "kredit_status": "IN_ARREARS",
                    "asset": "USD/2",
                    "amount": 2500000,
                    "opened": "2026-05-15",
                    "closed": None,
                    "owed": OWED,
                    "overdue": 350100,
                    "days_past_due": 5,
                    "worst_days_past_due": 5,
                    "charged_off": False,
                    "written_off": False,
                    "instalments": {"overdue": 1, "pending": 2},
                }
            ],
            "next": None,
        }
    },
    "get_loan_statement": {
        "answer": {
            "loan": "L-1042",
            "borrower": "B-7",
            "asset": "USD/2",
            "start": "2026-06-01",
            "to": "2026-06-20",
            "opening": 2513710,
            "lines": [
                {
                    "day": "2026-06-15",
                    "kind": "accrued",
                    "seq": None,
                    "amount": 11290,
                    "change": {"principal": 0, "interest": 11290, "fee": 0, "penalty": 0, "total": 11290},
                    "overpaid": 0,
                    "balance": 2525000,
                },
                {
                    "day": "2026-06-15",
                    "kind": "repaid",
                    "seq": 10,
                    "amount": 500000,
                    "change": {
                        "principal": -475000,
                        "interest": -25000,
                        "fee": 0,
                        "penalty": 0,
                        "total": -500000,
                    },
                    "overpaid": 0,
                    "balance": 2025000,
                },
            ],
            "closing": 2025000,
            "closing_parts": {
                "principal": 2025000,
                "interest": 0,
                "fee": 0,
                "penalty": 0,
                "total": 2025000,
            },
            "overpaid": 0,
        }
    },
}
