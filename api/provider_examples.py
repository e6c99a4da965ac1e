"""Examples of credit providers, as in the system whose surface this is: one lead, two offers, its fee."""

from __future__ import annotations

from typing import Any

from api.loan_servicing_examples import entry

_AT = "2026-06-01T10:00:00.000000Z"
_DETAILS: dict[str, Any] = {
    "companyName": "FirstCredit Bank",
    "businessRegistration": {
        "registrationNumber": "BC123456789",
        "businessType": "bank",
        "registrationCountry": "US",
    },
    "licenses": [
        {
            "licenseType": "Banking License",
            "licenseNumber": "BL-2024-001",
            "issuingAuthority": "Federal Reserve",
            "expiryDate": "2041-12-31",
        }
    ],
    "creditCapacity": {
        "minimumLoanAmount": 500000,
        "maximumLoanAmount": 50000000,
        "interestRateRange": {"minimum": "3.5", "maximum": "18"},
        "geographicCoverage": ["US", "CA"],
        "supportedCurrencies": ["USD/2"],
        "totalCapacity": {"USD/2": 100000000},
    },
}
_CONTACT: dict[str, Any] = {
    "businessEmail": "api@firstcredit.example",
    "contactPerson": "John Smith",
    "technicalRequirements": {
        "webhookUrl": "https://api.firstcredit.example/webhooks/caas",
        "apiEndpoints": {
            "baseUrl": "https://api.firstcredit.example",
            "loanApplicationEndpoint": "/loans/applications",
            "statusEndpoint": "/loans/{id}/status",
        },
        "authMethod": "bearer_token",
    },
}
_APPLICANT: dict[str, Any] = {
    "personalInfo": {
        "firstName": "Sarah",
        "lastName": "Johnson",
        "email": "sarah@email.example",
        "phoneNumber": "+1-555-0123",
        "address": {
            "street": "123 Main St",
            "city": "New York",
            "state": "NY",
            "country": "US",
            "postalCode": "10001",
        },
    },
    "employmentInfo": {
        "employmentStatus": "employed",
        "companyName": "Tech Corp",
        "monthlyIncome": 850000,
        "employmentDuration": 36,
    },
    "financialInfo": {
        "bankAccount": {"accountNumber": "****1234", "bankName": "Chase Bank", "accountType": "savings"},
        "monthlyExpenses": 420000,
        "existingLoans": [{"lender": "QuickLoan Inc", "outstanding": 120000}],
        "creditCards": [{"limit": 500000}],
    },
}
_ASSESSMENT: dict[str, Any] = {
    "creditScore": 742,
    "riskRating": "low",
    "debtToIncomeRatio": "0.49",
    "recommendations": {
        "recommendedAmount": 2500000,
        "recommendedTenure": 365,
        "recommendedInterestRate": "7.5",
    },
}
_PROVIDER: dict[str, Any] = {
    "providerId": "acme",
    "companyName": "FirstCredit Bank",
    "status": "active",
    "businessType": "bank",
    "registrationNumber": "BC123456789",
    "registrationCountry": "US",
    "licenses": _DETAILS["licenses"],
    "creditCapacity": {
        "minimumLoanAmount": 500000,
        "maximumLoanAmount": 50000000,
        "interestRateMinimum": "3.5",
        "interestRateMaximum": "18",
        "geographicCoverage": ["US", "CA"],
        "supportedCurrencies": ["USD/2"],
        "totalCapacity": {"USD/2": 100000000},
        "capacityTaken": {"USD/2": 2500000},
        "maximumOpenLeads": None,
        "openLeads": 1,
    },
    "leadFees": {"USD/2": 1250},
    "taxRate": "0",
    "servicingRate": "5",
    "score": 92,
    "expectedResponseTime": 4,
}
_OFFER: dict[str, Any] = {
    "funding": "provider",
    "approvedAmount": 2500000,
    "interestRate": "8.5",
    "instalments": 12,
    "processingFee": 50000,
    "totalInterest": 116599,
    "totalCost": 166599,
    "providerId": "acme",
    "conditions": ["Proof of income for last 3 months"],
    "expiresAt": "2041-08-15T23:59:59.000000Z",
    "score": 92,
}
_MONEY: dict[str, Any] = {
    "asset": "USD/2",
    "totalDisbursedAmount": 245000000,
    "totalRevenue": 4528000,
    "leadFees": 195000,
    "servicingIncome": 4333000,
    "costPerLead": 1250,
    "revenuePerLead": 29025,
}
_PERIOD = {"startDate": "2026-07-01T00:00:00.000000Z", "endDate": "2026-08-01T00:00:00.000000Z"}
_INVOICE: dict[str, Any] = {
    "invoiceId": "2026-06",
    "providerId": "acme",
    "asset": "USD/2",
    "lines": [{"leadId": "L-1042", "amount": 1250}],
    "total": 1250,
    "paid": 1000,
    "credited": 0,
    "open": 250,
}

PROVIDER_EXAMPLES: dict[str, dict[str, Any]] = {
    "register_credit_provider": {
        "body": {**_DETAILS, **_CONTACT, "providerId": "acme"},
        "answer": {
            "success": True,
            "providerId": "acme",
            "status": "pending",
            "apiCredentials": {
                "providerId": "acme",
                "apiKey": "daybook_3xf8717p_...",
                "webhookSecret": "5d0f...",
            },
            "onboardingChecklist": ["You are activated, and get leads from then on"],
        },
    },
    "list_credit_providers": {"answer": {"providers": [_PROVIDER], "next": None}},
    "get_credit_provider": {"answer": _PROVIDER},
    "change_credit_provider": {"body": _DETAILS, "answer": entry(61, "credit_provider_changed", _AT)},
    "get_credit_provider_contact": {"answer": _CONTACT},
    "set_credit_provider_contact": {"body": _CONTACT, "answer": _CONTACT},
    "activate_credit_provider": {
        "body": {"lead_fees": {"USD/2": 1250}, "tax_rate": "0", "servicing_rate": "5"},
        "answer": entry(62, "credit_provider_activated", _AT),
    },
    "suspend_credit_provider": {
        "body": {"reason": "Answers too late"},
        "answer": entry(70, "credit_provider_suspended", _AT),
    },
    "make_credit_provider_key": {
        "body": {},
        "answer": {"providerId": "acme", "apiKey": "daybook_9k2m4q1z_..."},
    },
    "distribute_lead": {
        "body": {
            "leadId": "L-1042",
            "applicant": _APPLICANT,
            "loanApplication": {"requestedAmount": 2500000, "purpose": "Business expansion", "tenure": 365},
            "creditAssessment": _ASSESSMENT,
        },
        "answer": {
            "success": True,
            "distributionId": "dist_63",
            "providersNotified": 2,
            "estimatedResponseTime": 8,
            "distribution": [
                {
                    "providerId": "acme",
                    "providerName": "FirstCredit Bank",
                    "score": 92,
                    "expectedResponseTime": 4,
                },
                {
                    "providerId": "quick",
                    "providerName": "QuickLoan Inc",
                    "score": 87,
                    "expectedResponseTime": 8,
                },
            ],
        },
    },
    "get_lead": {
        "answer": {
            "leadId": "L-1042",
            "status": "open",
            "asset": "USD/2",
            "requestedAmount": 2500000,
            "country": "US",
            "tenure": 365,
            "purpose": "Business expansion",
            "creditScore": 742,
            "riskRating": "low",
            "sentAt": _AT,
            "closesAt": "2026-06-03T10:00:00.000000Z",
            "bestBy": "lowest_rate",
            "offers": [_OFFER],
            "bestOffer": {
                "funding": "provider",
                "decidedBy": "only_offer",
                "reason": "The only offer",
                "providerId": "acme",
            },
            "providers": [
                {
                    "providerId": "acme",
                    "providerName": "FirstCredit Bank",
                    "score": 92,
                    "expectedResponseTime": 4,
                    "status": "offered",
                }
            ],
            "excluded": [{"providerId": "slow", "reasons": ["country_not_covered"]}],
        }
    },
    "accept_lead_offer": {
        "body": {"provider": "acme"},
        "answer": entry(65, "loan_offer_accepted", _AT),
    },
    "close_lead": {
        "body": {"reason": "The borrower has chosen"},
        "answer": entry(66, "lead_closed", _AT),
    },
    "erase_applicant": {"answer": {"leadId": "L-1042"}},
    "list_own_leads": {
        "answer": {
            "seq": 64,
            "leads": [
                {
                    "leadId": "L-1042",
                    "status": "offered",
                    "asset": "USD/2",
                    "requestedAmount": 2500000,
                    "approvedAmount": 2500000,
                    "disbursedAmount": 0,
                    "leadFee": 1250,
                    "feeReversed": False,
                    "sentAt": _AT,
                    "decidedAt": "2026-06-01T14:00:00.000000Z",
                }
            ],
            "next": None,
        }
    },
    "get_own_lead": {
        "answer": {
            "leadId": "L-1042",
            "status": "offered",
            "asset": "USD/2",
            "requestedAmount": 2500000,
            "country": "US",
            "tenure": 365,
            "purpose": "Business expansion",
            "creditScore": 742,
            "riskRating": "low",
            "sentAt": _AT,
            "expiresAt": "2026-06-03T10:00:00.000000Z",
            "leadFee": 1250,
            "leadFeeTax": 0,
            "feeStatus": "open",
            "offer": _OFFER,
            "applicant": {"applicant": _APPLICANT, "creditAssessment": _ASSESSMENT},
        }
    },
    "decide_lead": {
        "body": {
            "leadId": "L-1042",
            "providerId": "acme",
            "decision": "approved",
            "approvedAmount": 2500000,
            "interestRate": "8.5",
            "tenure": 365,
            "processingFee": 50000,
            "conditions": ["Employment verification required", "Proof of income for last 3 months"],
            "expiresAt": "2041-08-15T23:59:59Z",
            "customData": {"internalLoanId": "FL-2024-001234"},
        },
        "answer": {
            "success": True,
            "accepted": True,
            "nextSteps": ["The borrower sees the offer until it expires"],
        },
    },
    "reverse_lead_fee": {
        "body": {"reason": "The applicant was a test"},
        "answer": entry(
            67,
            "lead_fee_reversed",
            _AT,
            """
        DR providers:lead_income                  1250 posted
        CR providers:receivable:acme              1250 posted
        =  providers:lead_income                     0        0        0
        =  providers:receivable:acme                 0        0        0
            """,
        ),
    },
    "invoice_credit_provider": {
        "body": {"invoice": "2026-06", "leads": ["L-1042"]},
        "answer": entry(64, "credit_provider_invoiced", _AT),
    },
    "list_provider_invoices": {"answer": {"invoices": [_INVOICE], "next": None}},
    "get_provider_invoice": {"answer": _INVOICE},
    "pay_provider_invoice": {
        "body": {"amount": 1000, "account": "bank"},
        "answer": entry(
            65,
            "provider_invoice_paid",
            _AT,
            """
        DR bank                                   1000 posted
        CR providers:receivable:acme              1000 posted
        =  bank                                   1000     1000     1000
        =  providers:receivable:acme               250      250      250
            """,
        ),
    },
    "offset_provider_invoice": {
        "body": {"amount": 250},
        "answer": entry(
            66,
            "provider_invoice_offset",
            _AT,
            """
        DR loans:provider_payable:acme             250 posted
        CR providers:receivable:acme               250 posted
        =  loans:provider_payable:acme              50       50       50
        =  providers:receivable:acme                 0        0        0
            """,
        ),
    },
    "share_revenue": {
        "body": {"asset": "USD/2", "amount": 300, "reason": "Second quarter"},
        "answer": entry(
            65,
            "revenue_shared",
            _AT,
            """
        DR providers:revenue_share                 300 posted
        CR loans:provider_payable:acme             300 posted
        =  providers:revenue_share                 300      300      300
        =  loans:provider_payable:acme             300      300      300
            """,
        ),
    },
    "get_provider_analytics": {
        "answer": {
            "seq": 900,
            "providerId": "acme",
            "period": _PERIOD,
            "metrics": {
                "leadsReceived": 156,
                "leadsProcessed": 142,
                "leadsApproved": 89,
                "leadsAccepted": 61,
                "leadsPending": 14,
                "conversionRate": "62.7",
                "approvalRate": "57.1",
                "averageProcessingTime": "4.2",
            },
            "financialMetrics": [_MONEY],
            "performanceRanking": {"overallRank": 3, "totalProviders": 25, "topPercentile": 12},
        }
    },
    "get_provider_dashboard": {
        "answer": {
            "seq": 900,
            "providerId": "acme",
            "period": _PERIOD,
            "overview": {
                "totalLeads": 156,
                "pendingLeads": 14,
                "conversionRate": "57.1",
                "averageResponseTime": "4.2",
            },
            "revenue": [_MONEY],
            "leadDistribution": {
                "byAmount": [
                    {
                        "asset": "USD/2",
                        "minimum": 0,
                        "maximum": 1000000,
                        "count": 45,
                        "percentage": "28.8",
                    }
                ],
                "byRiskRating": [{"rating": "low", "count": 89, "percentage": "57.1"}],
            },
            "performanceMetrics": {
                "approvalRate": {"current": "57.1", "trend": "up", "change": "3.2"},
                "processingTime": {"current": "4.2", "trend": "down", "change": "-0.8"},
            },
        }
    },
}
