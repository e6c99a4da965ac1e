"""Examples of what is done with an active loan; and how examples write an entry down."""

from __future__ import annotations

from typing import Any


def entry(seq: int, type: str, at: str, text: str = "", **more: Any) -> dict[str, Any]:
    """Lines: side, account, amount, kind; or `=`, account, its posted, pending and available balance."""
    lines = [line.split() for line in text.strip().splitlines()]
    sides = {"DR": "debit", "CR": "credit"}
    return {
        "seq": seq,
        "type": type,
        "effective_at": at,
        "recorded_at": "2026-11-20T10:00:00.000000Z",
        "postings": [
            {
                "account": line[1],
                "side": sides[line[0]],
                "amount": int(line[2]),
                "asset": "USD/2",
                "kind": line[3],
            }
            for line in lines
            if line[0] in sides
        ],
        "balances": [
            {
                "account": line[1],
                "asset": "USD/2",
                "posted": int(line[2]),
                "pending": int(line[3]),
                "available": int(line[4]),
            }
            for line in lines
            if line[0] == "="
        ],
        **more,
    }


SERVICING_EXAMPLES: dict[str, dict[str, Any]] = {
    "accrue_loan": {
        "body": {},
        "answer": entry(
            9,
            "loan_accrued",
            "2026-05-31T12:00:00.000000Z",
            """
        DR loans:interest_receivable             12903 posted
        CR loans:interest_income                 14360 posted
        DR loans:deferred_fees                    1457 posted
        =  loans:interest_receivable             12903    12903    12903
        =  loans:interest_income                 14360    14360    14360
        =  loans:deferred_fees                   48543    48543    48543
            """,
        ),
    },
    "repay_loan": {
        "body": {"amount": 152500, "account": "bank", "effective_at": "2026-06-15T09:30:00Z"},
        "answer": entry(
            10,
            "loan_repaid",
            "2026-06-15T09:30:00.000000Z",
            """
        DR loans:interest_receivable             12097 posted
        CR loans:interest_income                 13463 posted
        DR loans:deferred_fees                    1366 posted
        DR bank                                 152500 posted
        CR loans:interest_receivable             25000 posted
        CR loans:portfolio                      127500 posted
        =  loans:interest_receivable                 0        0        0
        =  loans:interest_income                 27823    27823    27823
        =  loans:deferred_fees                   47177    47177    47177
        =  bank                               -2297500 -2297500 -2297500
        =  loans:portfolio                     2372500  2372500  2372500
            """,
        ),
    },
    "prepay_loan": {
        "body": {"amount": 500000, "account": "bank", "reduce": "term"},
        "answer": entry(
            16,
            "loan_prepaid",
            "2026-07-15T12:00:00.000000Z",
            """
        DR loans:interest_receivable             15026 posted
        CR loans:interest_income                 16757 posted
        DR loans:deferred_fees                    1731 posted
        DR bank                                 500000 posted
        CR loans:interest_receivable             23725 posted
        CR loans:portfolio                      476275 posted
        =  loans:interest_receivable                 0        0        0
        =  loans:interest_income                 54281    54281    54281
        =  loans:deferred_fees                   44444    44444    44444
        =  bank                               -1797500 -1797500 -1797500
        =  loans:portfolio                     1896225  1896225  1896225
            """,
        ),
    },
    "settle_loan": {
        "body": {"amount": 100500, "account": "bank"},
        "answer": entry(
            32,
            "loan_settled",
            "2026-05-25T12:00:00.000000Z",
            """
        DR loans:interest_receivable               323 posted
        CR loans:interest_income                   323 posted
        DR bank                                 100500 posted
        CR loans:interest_receivable               323 posted
        CR loans:portfolio                      100000 posted
        CR loans:overpayments                      177 posted
        =  loans:interest_receivable                 0        0        0
        =  loans:interest_income                 90612    90612    90612
        =  bank                               -1722000 -1722000 -1722000
        =  loans:portfolio                           0        0        0
        =  loans:overpayments                      177      177      177
            """,
        ),
    },
    "refund_overpayment": {
        "body": {"amount": 177, "account": "bank"},
        "answer": entry(
            33,
            "loan_overpayment_refunded",
            "2026-05-26T12:00:00.000000Z",
            """
        DR loans:overpayments                      177 posted
        CR bank                                    177 posted
        =  loans:overpayments                        0        0        0
        =  bank                               -1722177 -1722177 -1722177
            """,
        ),
    },
    "charge_back_repayment": {
        "body": {"repayment": 10, "amount": 2500, "account": "bank"},
        "answer": entry(
            14,
            "loan_repayment_charged_back",
            "2026-06-25T12:00:00.000000Z",
            """
        DR loans:interest_receivable              2372 posted
        CR loans:interest_income                  2645 posted
        DR loans:deferred_fees                     273 posted
        DR loans:portfolio                        2500 posted
        CR bank                                   2500 posted
        =  loans:interest_receivable              7908     7908     7908
        =  loans:interest_income                 36642    36642    36642
        =  loans:deferred_fees                   46266    46266    46266
        =  loans:portfolio                     2375000  2375000  2375000
        =  bank                               -2300000 -2300000 -2300000
            """,
        ),
    },
    "undo_loan_transaction": {
        "body": {"transaction": 14, "reason": "The bank took it back by mistake"},
        "answer": entry(
            15,
            "loan_transaction_undone",
            "2026-06-26T12:00:00.000000Z",
            """
        DR loans:interest_receivable               791 posted
        CR loans:interest_income                   882 posted
        DR loans:deferred_fees                      91 posted
        DR bank                                   2500 posted
        CR loans:portfolio                        2500 posted
        =  loans:interest_receivable              8699     8699     8699
        =  loans:interest_income                 37524    37524    37524
        =  loans:deferred_fees                   46175    46175    46175
        =  bank                               -2297500 -2297500 -2297500
        =  loans:portfolio                     2372500  2372500  2372500
            """,
        ),
    },
    "charge_loan": {
        "body": {"part": "penalty", "amount": 1500},
        "answer": entry(
            11,
            "loan_charged",
            "2026-06-20T12:00:00.000000Z",
            """
        DR loans:interest_receivable              3954 posted
        CR loans:interest_income                  4410 posted
        DR loans:deferred_fees                     456 posted
        DR loans:penalties_receivable             1500 posted
        CR loans:penalty_income                   1500 posted
        =  loans:interest_receivable              3954     3954     3954
        =  loans:interest_income                 32233    32233    32233
        =  loans:deferred_fees                   46721    46721    46721
        =  loans:penalties_receivable             1500     1500     1500
        =  loans:penalty_income                   1500     1500     1500
            """,
        ),
    },
    "waive_loan": {
        "body": {"amounts": {"penalty": 500}},
        "answer": entry(
            12,
            "loan_waived",
            "2026-06-21T12:00:00.000000Z",
            """
        DR loans:interest_receivable               791 posted
        CR loans:interest_income                   882 posted
        DR loans:deferred_fees                      91 posted
        CR loans:penalties_receivable              500 posted
        DR loans:losses_written_off                500 posted
        =  loans:interest_receivable              4745     4745     4745
        =  loans:interest_income                 33115    33115    33115
        =  loans:deferred_fees                   46630    46630    46630
        =  loans:penalties_receivable             1000     1000     1000
        =  loans:losses_written_off                500      500      500
            """,
        ),
    },
    "credit_goodwill": {
        "body": {"amount": 1000},
        "answer": entry(
            13,
            "loan_goodwill_credited",
            "2026-06-22T12:00:00.000000Z",
            """
        DR loans:interest_receivable               791 posted
        CR loans:interest_income                   882 posted
        DR loans:deferred_fees                      91 posted
        CR loans:penalties_receivable             1000 posted
        DR loans:penalties_reversed               1000 posted
        =  loans:interest_receivable              5536     5536     5536
        =  loans:interest_income                 33997    33997    33997
        =  loans:deferred_fees                   46539    46539    46539
        =  loans:penalties_receivable                0        0        0
        =  loans:penalties_reversed               1000     1000     1000
            """,
        ),
    },
    "reschedule_loan": {
        "body": {"first_due": "2026-10-15", "count": 12},
        "answer": entry(
            18,
            "loan_rescheduled",
            "2026-08-01T12:00:00.000000Z",
            """
        DR loans:interest_receivable               612 posted
        CR loans:interest_income                   716 posted
        DR loans:deferred_fees                     104 posted
        =  loans:interest_receivable             10399    10399    10399
        =  loans:interest_income                 66449    66449    66449
        =  loans:deferred_fees                   42675    42675    42675
            """,
        ),
    },
    "charge_off_loan": {
        "body": {},
        "answer": entry(
            23,
            "loan_charged_off",
            "2026-09-03T12:00:00.000000Z",
            """
        DR loans:unearned_interest               26588 posted
        CR loans:interest_income                   722 posted
        DR loans:deferred_fees                   39344 posted
        DR loans:charge_off_expense            1872999 posted
        CR loans:portfolio                     1872999 posted
        CR loans:charge_off_expense              65210 posted
        DR loans:allowance                       19060 posted
        CR loans:impairment_expense              19060 posted
        =  loans:unearned_interest                   0        0        0
        =  loans:interest_income                 90289    90289    90289
        =  loans:deferred_fees                       0        0        0
        =  loans:charge_off_expense            1807789  1807789  1807789
        =  loans:portfolio                           0        0        0
        =  loans:allowance                           0        0        0
        =  loans:impairment_expense                  0        0        0
            """,
        ),
    },
    "write_off_loan": {
        "body": {},
        "answer": entry(24, "loan_written_off", "2026-09-04T12:00:00.000000Z"),
    },
    "provision_loan": {
        "body": {},
        "answer": entry(
            17,
            "loan_provisioned",
            "2026-07-31T12:00:00.000000Z",
            """
        DR loans:interest_receivable              9787 posted
        CR loans:interest_income                 11452 posted
        DR loans:deferred_fees                    1665 posted
        DR loans:impairment_expense              19060 posted
        CR loans:allowance                       19060 posted
        =  loans:interest_receivable              9787     9787     9787
        =  loans:interest_income                 65733    65733    65733
        =  loans:deferred_fees                   42779    42779    42779
        =  loans:impairment_expense              19060    19060    19060
        =  loans:allowance                       19060    19060    19060
            """,
        ),
    },
    "lock_collateral": {
        "body": {"collateral": "CAR-1", "value": 1800000},
        "answer": entry(
            19,
            "loan_collateral_locked",
            "2026-08-02T12:00:00.000000Z",
            """
        DR loans:interest_receivable               618 posted
        CR loans:interest_income                   722 posted
        DR loans:deferred_fees                     104 posted
        DR loans:collateral_held               1800000 posted
        CR loans:collateral_offset             1800000 posted
        =  loans:interest_receivable             11017    11017    11017
        =  loans:interest_income                 67171    67171    67171
        =  loans:deferred_fees                   42571    42571    42571
        =  loans:collateral_held               1800000  1800000  1800000
        =  loans:collateral_offset             1800000  1800000  1800000
            """,
        ),
    },
    "release_collateral": {
        "body": {"collateral": "CAR-2"},
        "answer": entry(
            22,
            "loan_collateral_released",
            "2026-09-02T12:00:00.000000Z",
            """
        DR loans:unearned_interest                 619 posted
        CR loans:interest_income                   723 posted
        DR loans:deferred_fees                     104 posted
        CR loans:collateral_held               1800000 posted
        DR loans:collateral_offset             1800000 posted
        =  loans:unearned_interest               26588    26588    26588
        =  loans:interest_income                 89567    89567    89567
        =  loans:deferred_fees                   39344    39344    39344
        =  loans:collateral_held                     0        0        0
        =  loans:collateral_offset                   0        0        0
            """,
        ),
    },
    "liquidate_collateral": {
        "body": {"collateral": "CAR-1", "amount": 80000, "costs": 5000, "account": "bank"},
        "answer": entry(
            20,
            "loan_collateral_liquidated",
            "2026-09-01T12:00:00.000000Z",
            """
        DR loans:interest_receivable             18550 posted
        CR loans:interest_income                 21673 posted
        DR loans:deferred_fees                    3123 posted
        CR loans:collateral_held               1800000 posted
        DR loans:collateral_offset             1800000 posted
        DR bank                                  75000 posted
        DR loans:recovery_costs                   5000 posted
        CR loans:unearned_interest               27207 posted
        CR loans:interest_receivable             29567 posted
        CR loans:portfolio                       23226 posted
        =  loans:interest_receivable                 0        0        0
        =  loans:interest_income                 88844    88844    88844
        =  loans:deferred_fees                   39448    39448    39448
        =  loans:collateral_held                     0        0        0
        =  loans:collateral_offset                   0        0        0
        =  bank                               -1722500 -1722500 -1722500
        =  loans:recovery_costs                   5000     5000     5000
        =  loans:unearned_interest               27207    27207    27207
        =  loans:portfolio                     1872999  1872999  1872999
            """,
        ),
    },
}
