"""Examples of Kredit's side: a lender verifies a borrower, and subscribes for November."""

from __future__ import annotations

from typing import Any

_AT = "2026-11-20T10:00:00.000000Z"
_TENANT = "cm7tenant"
_CLIENT = "5f0ad6a4-5a4e-8e4b-9d0f-3c1b6a1e7f20"
_SESSION = "0d5b8f9e-41a7-8c33-a2b4-6f1d2c3e4a5b"
_URL = "https://kredit.example.com/api/webhooks/trueidentity"


def _entry(seq: int, type: str, legs: list[tuple[str, str, int, str, int]]) -> dict[str, Any]:
    """Legs: account, side, amount, asset, and the balance after it."""
    return {
        "seq": seq,
        "type": type,
        "effective_at": _AT,
        "recorded_at": _AT,
        "postings": [
            {"account": account, "side": side, "amount": amount, "asset": asset, "kind": "posted"}
            for account, side, amount, asset, _ in legs
        ],
        "balances": [
            {"account": account, "asset": asset, "posted": after, "pending": after, "available": after}
            for account, _, _, asset, after in legs
        ],
    }


def _done(seq: int, type: str) -> dict[str, Any]:
    return {"seq": seq, "type": type, "recorded_at": _AT}


_PAGE = {"page": 1, "pageSize": 20, "total": 1, "totalPages": 1}
_OVERVIEW = {
    "tenantId": _TENANT,
    "tenantName": "Demo Lender",
    "tenantSlug": "demo-lender",
    "email": "ops@lender.example",
    "subscriptionStatus": "PAID",
    "borrowerCount": 1,
    "applicationCount": 2,
    "loanCount": 1,
    "totalDisbursed": 5000.00,
    "totalProfit": 50.00,
    "createdAt": _AT,
}
_OF = {"id": _TENANT, "name": "Demo Lender", "slug": "demo-lender"}
_PAYMENT = {
    "request_id": "req_1842",
    "tenant_id": _TENANT,
    "plan": "CORE",
    "amount_cents": 10_800,
    "amount_myr": 108.0,
    "billing_type": "first_subscription",
    "payment_reference": "INV-CM7-1",
    "period_start": "2026-11-01",
    "period_end": "2026-11-30",
    "requested_at": "2026-11-20T09:59:00.000Z",
    "requested_add_ons": ["TRUEIDENTITY"],
    "line_items": [{"description": "Core", "amount": 100}],
}

KREDIT_EXAMPLES: dict[str, dict[str, Any]] = {
    "request_kredit_verification": {
        "body": {
            "tenant_id": _TENANT,
            "borrower_id": "b-7",
            "document_name": "AHMAD BIN ABDULLAH",
            "document_number": "901234567890",
            "document_type": "1",
            "webhook_url": _URL,
            "metadata": {"director_id": "d-1"},
        },
        "answer": {
            "session_id": _SESSION,
            "onboarding_url": "https://ekyc.example.com/onboarding/abc123",
            "status": "pending",
            "expires_at": "2026-11-21T10:00:00.000000Z",
        },
    },
    "create_kredit_tenant": {
        "body": {
            "tenant_id": _TENANT,
            "tenant_slug": "demo-lender",
            "tenant_name": "Demo Lender",
            "contact_email": "ops@lender.example",
            "webhook_url": "/api/webhooks/trueidentity",
        },
        "answer": {
            "created": True,
            "client_id": _CLIENT,
            "tenant_id": _TENANT,
            "code": "KREDIT_DEMO-LENDER",
            "name": "Demo Lender",
            "message": "Tenant client created",
        },
    },
    "request_kredit_payment": {
        "body": {"event": "subscription.payment.requested", **_PAYMENT},
        "answer": {
            "success": True,
            "id": "req_1842",
            "request_id": "req_1842",
            "status": "pending",
            "client_id": _CLIENT,
        },
    },
    "get_kredit_usage": {
        "answer": {
            "tenant_id": _TENANT,
            "client_id": _CLIENT,
            "period_start": "2026-11-01",
            "period_end": "2026-11-30",
            "verification_count": 42,
            "usage_credits": 1_680,
            "usage_amount_myr": 168.0,
        }
    },
    "get_kredit_overview": {
        "answer": {
            "success": True,
            "data": {
                "summary": {
                    "tenantCount": 1,
                    "totalBorrowers": 1,
                    "totalApplications": 2,
                    "totalLoans": 1,
                    "totalDisbursedFacilitated": 5000.00,
                    "totalOutstanding": 4745.00,
                    "totalProfit": 50.00,
                },
                "tenants": [_OVERVIEW],
                "pagination": _PAGE,
            },
        }
    },
    "list_kredit_tenants": {
        "answer": {
            "success": True,
            "data": {
                "tenants": [
                    {
                        **_OVERVIEW,
                        "clientId": _CLIENT,
                        "clientCode": "KREDIT_DEMO-LENDER",
                        "billing": "prepaid",
                        "contactNumber": None,
                        "registrationNumber": None,
                        "subscription": {
                            "plan": "CORE",
                            "status": "ACTIVE",
                            "currentPeriodStart": "2026-11-01",
                            "currentPeriodEnd": "2026-11-30",
                        },
                        "subscribedAt": _AT,
                    }
                ],
                "pagination": _PAGE,
            },
        }
    },
    "list_kredit_borrowers": {
        "answer": {
            "success": True,
            "data": {
                "borrowers": [
                    {
                        "id": "b-7",
                        "tenant": _OF,
                        "documentVerified": True,
                        "verificationStatus": "VERIFIED",
                        "score": 700,
                        "loanCount": 1,
                        "createdAt": _AT,
                        "performanceProjection": {
                            "riskLevel": "low",
                            "totalLoans": 1,
                            "defaultedLoans": 0,
                            "inArrearsLoans": 0,
                        },
                    }
                ],
                "pagination": _PAGE,
            },
        }
    },
    "list_kredit_loans": {
        "answer": {
            "success": True,
            "data": {
                "loans": [
                    {
                        "id": "L-1",
                        "tenantId": _TENANT,
                        "tenant": _OF,
                        "borrowerId": "b-7",
                        "borrower": {"id": "b-7"},
                        "currency": "MYR",
                        "principalAmount": 5000.00,
                        "outstanding": 4745.00,
                        "interestRate": "12",
                        "term": 18,
                        "status": "ACTIVE",
                        "daysPastDue": 0,
                        "createdAt": _AT,
                    }
                ],
                "pagination": _PAGE,
            },
        }
    },
    "set_kredit_rules": {
        "body": {"rules": {"price": 40, "amount": 400, "asset": "MYR/2", "tax_basis_points": 800}},
        "answer": _done(3, "kredit_rules_set"),
    },
    "set_kredit_tenant": {
        "body": {"billing": "postpaid", "loans": "demo-lender"},
        "answer": _done(5, "kredit_tenant_set"),
    },
    "get_verification": {
        "answer": {
            "session": _SESSION,
            "tenant": _TENANT,
            "borrower": "b-7",
            "status": "completed",
            "result": "approved",
            "reason": "",
            "units": 40,
            "amount": 400,
            "asset": "MYR/2",
            "hold": 6,
            "requested_at": _AT,
            "ends_at": "2026-11-21T10:00:00.000000Z",
        }
    },
    "report_verification": {
        "body": {"status": "completed", "result": "approved"},
        "answer": _entry(
            7,
            "kyc_session_completed",
            [
                ("credits:contract_liability:verification", "debit", 400, "MYR/2", 600),
                ("credits:revenue:verification", "credit", 400, "MYR/2", 400),
                (f"customers:{_TENANT}:credits:verification:held", "debit", 40, "CREDIT.verification/0", 0),
                ("credits:units:consumed", "credit", 40, "CREDIT.verification/0", 40),
            ],
        ),
    },
    "list_subscription_payments": {
        "answer": {
            "payments": [
                {
                    "request": "req_1842",
                    "tenant": _TENANT,
                    "plan": "CORE",
                    "billing_type": "first_subscription",
                    "status": "pending",
                    "asset": "MYR/2",
                    "amount": 10_800,
                    "tax": 800,
                    "period_start": "2026-11-01",
                    "period_end": "2026-11-30",
                    "payment_reference": "INV-CM7-1",
                    "requested_at": "2026-11-20T09:59:00.000000Z",
                    "decided_at": "",
                    "decided_by": "",
                    "rejection_reason": "",
                    "released": 0,
                    "matched": False,
                }
            ],
            "next": None,
        }
    },
    "decide_subscription_payment": {
        "body": {"status": "approved"},
        "answer": _entry(
            9,
            "subscription_payment_approved",
            [
                ("kredit:bank_unconfirmed", "debit", 10_800, "MYR/2", 10_800),
                ("kredit:deferred_subscription", "credit", 10_000, "MYR/2", 10_000),
                ("tax:payable", "credit", 800, "MYR/2", 800),
            ],
        ),
    },
    "record_kredit_payment": {
        "body": {
            "tenant": _TENANT,
            "period_start": "2026-10-01",
            "period_end": "2026-10-31",
            "amount": 16_800,
        },
        "answer": _entry(
            10,
            "kredit_payment_recorded",
            [
                ("kredit:bank_unconfirmed", "debit", 16_800, "MYR/2", 27_600),
                (f"kredit:unbilled:{_TENANT}", "credit", 16_800, "MYR/2", 0),
            ],
        ),
    },
    "match_kredit_payment": {
        "body": {"request": "req_1842", "account": "bank"},
        "answer": _entry(
            11,
            "kredit_payment_matched",
            [
                ("bank", "debit", 10_800, "MYR/2", 10_800),
                ("kredit:bank_unconfirmed", "credit", 10_800, "MYR/2", 16_800),
            ],
        ),
    },
}
