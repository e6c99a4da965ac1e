"""Examples of voucher programmes: a sponsor funds `relief`, a voucher is issued 40.00 of it are paid."""

from __future__ import annotations

from typing import Any

_AT = "2026-11-20T10:00:00.000000Z"
_CODE = "7Q2M-0X4K-9TRB-C1ZE"
_HASH = "2bd806c97f0e00af1a1fc3328fa763a9269723c8db8fac4f93af71db186d6e90"


def _entry(
    seq: int, type: str, legs: list[tuple[str, str, int, int]], data: dict[str, Any]
) -> dict[str, Any]:
    """Legs: account, side, amount, and the balance after it."""
    return {
        "seq": seq,
        "type": type,
        "effective_at": _AT,
        "recorded_at": _AT,
        "postings": [
            {"account": account, "side": side, "amount": amount, "asset": "NAD/2", "kind": "posted"}
            for account, side, amount, _ in legs
        ],
        "balances": [
            {"account": account, "asset": "NAD/2", "posted": after, "pending": after, "available": after}
            for account, _, _, after in legs
        ],
        "data": data,
    }


_PROGRAMME = {"programme": "relief", "name": "Drought relief", "asset": "NAD/2", "sponsor": "Ministry"}
_TRUST = {
    "programme": "relief",
    "asset": "NAD/2",
    "day": "2026-11-20",
    "status": "failing",
    "bank": 95_750,
    "bank_day": "2026-11-19",
    "since": 0,
    "outstanding": 6_000,
    "unsettled": 0,
    "fund": 90_000,
    "deficiency": 250,
    "book": 96_000,
    "failing_since": "2026-11-19",
}
_FIGURES = {
    **_PROGRAMME,
    "seq": 8,
    "trust": 100_000,
    "fund": 90_000,
    "outstanding": 6_000,
    "unsettled": 4_000,
    "fees_unpaid": 0,
    "deficiency": 0,
}
_VOUCHER = {
    "voucher": "V-1042",
    "programme": "relief",
    "asset": "NAD/2",
    "amount": 10_000,
    "status": "partially_redeemed",
    "redeemed": 4_000,
    "remaining": 6_000,
    "beneficiary": "B-7",
    "seq": 8,
    "expires_at": "2027-02-18T22:00:00.000000Z",
}
_NEW = {"programme": "relief", "voucher": "V-1042", "beneficiary": "B-7", "amount": 10_000}
_ISSUED = _entry(
    7,
    "voucher_issued",
    [
        ("vouchers:relief:fund", "debit", 10_000, 90_000),
        ("vouchers:relief:outstanding", "credit", 10_000, 10_000),
    ],
    {**_NEW, "amount": "10000", "asset": "NAD/2", "code_hash": _HASH},
)
_PAYOUT = {"amount": 4_000, "payee_type": "agent", "payee": "A1"}
_REDEEMED = _entry(
    8,
    "voucher_redeemed",
    [
        ("vouchers:relief:outstanding", "debit", 4_000, 6_000),
        ("vouchers:relief:payable:agent:A1", "credit", 4_000, 4_000),
    ],
    {"voucher": "V-1042", "amount": "4000", "payee_type": "agent", "payee": "A1"},
)


def _back(type: str, data: dict[str, Any]) -> dict[str, Any]:
    legs = [
        ("vouchers:relief:outstanding", "debit", 6_000, 0),
        ("vouchers:relief:fund", "credit", 6_000, 96_000),
    ]
    return _entry(9, type, legs, {"voucher": "V-1042", "amount": "6000", **data})


_PERSON = {"name": "Maria Shikongo", "id_number": "85010112345", "phone": "+264811234567"}
_REGISTERED = {
    "beneficiary": "B-7",
    **_PERSON,
    "buffr_user": "",
    "registered_at": "2026-11-20T10:00:00Z",
    "commitment": _HASH,
    "salt": "5f" * 32,
}
_LINE = {
    **{
        name: _VOUCHER[name]
        for name in (
            "voucher",
            "programme",
            "asset",
            "beneficiary",
            "status",
            "amount",
            "redeemed",
            "remaining",
            "seq",
        )
    },
    "expired": 0,
    "issued_at": _AT,
    "distributed_at": None,
    "contradictions": 0,
}

VOUCHER_EXAMPLES: dict[str, dict[str, Any]] = {
    "open_programme": {
        "body": {**_PROGRAMME, "expires_after_days": 90},
        "answer": {"seq": 5, "type": "programme_opened", "recorded_at": _AT},
    },
    "list_programmes": {"answer": {"programmes": [_PROGRAMME], "next": None}},
    "get_programme": {"answer": _FIGURES},
    "fund_programme": {
        "body": {"amount": 100_000, "reference": "bank-77"},
        "answer": _entry(
            6,
            "programme_funded",
            [
                ("vouchers:relief:trust", "debit", 100_000, 100_000),
                ("vouchers:relief:fund", "credit", 100_000, 100_000),
            ],
            {"programme": "relief", "amount": "100000"},
        ),
    },
    "return_funds": {
        "body": {"amount": 1_500},
        "answer": _entry(
            10,
            "funds_returned",
            [
                ("vouchers:relief:fund", "debit", 1_500, 94_500),
                ("vouchers:relief:trust", "credit", 1_500, 94_500),
            ],
            {"programme": "relief", "amount": "1500"},
        ),
    },
    "charge_voucher_fee": {
        "body": {"payee": "A1", "amount": 100},
        "answer": _entry(
            11,
            "voucher_fee_charged",
            [("vouchers:relief:cost", "debit", 100, 100), ("vouchers:relief:fees:A1", "credit", 100, 100)],
            {"programme": "relief", "payee": "A1", "amount": "100"},
        ),
    },
    "pay_voucher_fee": {
        "body": {"payee": "A1", "amount": 100},
        "answer": _entry(
            12,
            "voucher_fee_paid",
            [
                ("vouchers:relief:fees:A1", "debit", 100, 0),
                ("vouchers:relief:operating", "credit", 100, -100),
            ],
            {"programme": "relief", "payee": "A1", "amount": "100"},
        ),
    },
    "settle_payees": {
        "body": {"payees": [{"payee_type": "agent", "payee": "A1"}]},
        "answer": _entry(
            13,
            "payees_settled",
            [
                ("vouchers:relief:payable:agent:A1", "debit", 4_000, 0),
                ("vouchers:relief:trust", "credit", 4_000, 94_500),
            ],
            {"programme": "relief", "payees": [{"payee_type": "agent", "payee": "A1", "amount": "4000"}]},
        ),
    },
    "issue_voucher": {"body": _NEW, "answer": {"voucher": "V-1042", "code": _CODE, "entry": _ISSUED}},
    "issue_vouchers": {
        "body": {"vouchers": [{**_NEW, "voucher": "V-2001"}, {**_NEW, "voucher": "V-2002"}]},
        "answer": {
            "results": [
                {"status": 201, "voucher": "V-2001", "code": _CODE, "seq": 14},
                {"status": 201, "voucher": "V-2002", "code": "C1ZE-9TRB-0X4K-7Q2M", "seq": 15},
            ]
        },
    },
    "list_vouchers": {"answer": {"seq": 8, "vouchers": [_LINE], "next": None}},
    "get_voucher_metrics": {
        "answer": {
            "seq": 8,
            "issued": 1000,
            "to_distribute": 1000,
            "distributed": 990,
            "declined": 4,
            "success_rate": "99.60",
            "discrepancies": 2,
            "webhooks": 1480,
            "webhooks_waiting": 0,
            "webhooks_unposted": 1,
            "idempotency_hit_rate": "1.33",
            "webhook_latency_mean_ms": 14.2,
            "webhook_latency_p95_ms": 40.9,
        }
    },
    "get_trust_report": {
        "answer": {"seq": 12, "programmes": [_TRUST], "in_all": [{**_TRUST, "programme": ""}]}
    },
    "get_three_way_differences": {
        "answer": {
            "differences": [
                {
                    "subject": "voucher",
                    "name": "V-1042",
                    "programme": "relief",
                    "asset": "NAD/2",
                    "ledger": {"status": "redeemed", "amount": 10_000},
                    "buffr": {"status": "delivered", "amount": 10_000},
                    "bank": {"status": "paid", "amount": 10_000},
                }
            ],
            "more": False,
        }
    },
    "register_beneficiary": {
        "body": _PERSON,
        "answer": {"seq": 4, "type": "beneficiary_registered", "recorded_at": _AT},
    },
    "get_beneficiary": {"answer": _REGISTERED},
    "list_beneficiaries": {"answer": {"beneficiaries": [_REGISTERED], "next": None}},
    "erase_beneficiary": {
        "body": {"reason": "asked for by the person"},
        "answer": {"seq": 20, "type": "beneficiary_erased", "recorded_at": _AT},
    },
    "list_beneficiaries_for_buffr": {
        "answer": {
            "success": True,
            "data": [
                {
                    "id": "B-7",
                    "name": "Maria Shikongo",
                    "idNumber": "85010112345",
                    "phone": "+264811234567",
                    "buffrUserId": "",
                }
            ],
            "next": None,
        }
    },
    "get_voucher_for_buffr": {
        "answer": {
            "success": True,
            "data": {
                "voucher_id": "V-1042",
                "beneficiary_id": "B-7",
                "status": "partially_redeemed",
                "amount": 100.0,
                "remaining": 60.0,
                "expiry_date": "2027-02-18T22:00:00.000000Z",
            },
        }
    },
    "get_voucher": {"answer": _VOUCHER},
    "get_voucher_code": {"answer": {"voucher": "V-1042", "code": _CODE}},
    "redeem_code": {"body": {"code": _CODE, **_PAYOUT}, "answer": _REDEEMED},
    "redeem_voucher": {"body": _PAYOUT, "answer": _REDEEMED},
    "distribute_voucher": {
        "body": {"delivery": "buffr-771"},
        "answer": _entry(8, "voucher_distributed", [], {"voucher": "V-1042", "delivery": "buffr-771"}),
    },
    "deliver_voucher": {
        "body": {"delivery": "buffr-771"},
        "answer": _entry(8, "voucher_delivered", [], {"voucher": "V-1042", "delivery": "buffr-771"}),
    },
    "expire_voucher": {"body": {}, "answer": _back("voucher_expired", {})},
    "cancel_voucher": {
        "body": {"reason": "moved away"},
        "answer": _back("voucher_cancelled", {"reason": "moved away"}),
    },
    "fail_voucher": {
        "body": {"reason": "no such phone"},
        "answer": _entry(8, "voucher_failed", [], {"voucher": "V-1042", "reason": "no such phone"}),
    },
    "reissue_voucher": {
        "body": {"replacement": "V-1042b"},
        "answer": {
            "voucher": "V-1042b",
            "code": _CODE,
            "entry": _entry(
                9,
                "voucher_reissued",
                [],
                {
                    "programme": "relief",
                    "voucher": "V-1042",
                    "replacement": "V-1042b",
                    "asset": "NAD/2",
                    "amount": "6000",
                    "beneficiary": "B-7",
                    "code_hash": _HASH,
                },
            ),
        },
    },
}
