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
}
