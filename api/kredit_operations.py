"""The operations of Kredit's side: its own paths in and out, and what people do about them."""

from __future__ import annotations

from typing import Any

from adapters import kredit
from api import handlers
from api import kredit_reads as reads
from api import kredit_views as views
from api import kredit_webhooks as webhooks
from api.operation import DATED, POSTING, Operation
from ledger.kredit import commands as k
from ledger.views import Acknowledged, EntryView

_IN = "/api/webhooks/kredit"
_INTERNAL = "/api/internal/kredit"
_LEDGER = "/v1/ledgers/{ledger}/kredit"
_ENTRY = "/v1/ledgers/{ledger}/transactions/{seq}"

# What may come of every request of Kredit's; a signature stands for the second person.
_POSTING = tuple(code for code in POSTING if code != "approval_required")
_ASKED = (*DATED, *_POSTING, "kredit_tenant_not_found", "event_too_large", "clock_behind")


def _webhook(
    path: str, id: str, summary: str, handler: Any, told: type, answer: type, text: str, *codes: str
) -> Operation:
    return Operation(
        "POST",
        _IN + path,
        id,
        summary,
        description=text,
        tag="Kredit",
        scope="none",
        handler=webhooks.for_kredit(handler),
        signed=True,
        told=told,
        answer=answer,
        codes=(*_ASKED, *codes),
    )


def _command(
    method: Any, path: str, summary: str, scope: Any, body: type[Any], answer: type, *codes: str
) -> Operation:
    return Operation(
        method,
        _LEDGER + path,
        body.operation,
        summary,
        description=(body.__doc__ or "").strip(),
        tag="Kredit",
        scope=scope,
        handler=handlers.command,
        body=body,
        answer=answer,
        status=200 if method == "PUT" else 201,
        location=_ENTRY if answer is EntryView else None,
        codes=(*DATED, *codes),
    )


def _table(path: str, id: str, summary: str, handler: Any, answer: type) -> Operation:
    return Operation(
        "GET",
        f"{_INTERNAL}/admin{path}",
        id,
        summary,
        tag="Kredit",
        scope="ledger:read",
        handler=webhooks.for_kredit(handler),
        query=views.TableQuery,
        answer=answer,
        codes=("ledger_not_found", "secrets_unavailable"),
    )


KREDIT_OPERATIONS: tuple[Operation, ...] = (
    _webhook(
        "/verification-request",
        "request_kredit_verification",
        "Kredit asks for a verification",
        webhooks.verification_requested,
        kredit.VerificationBody,
        webhooks.VerificationAnswer,
        "Credits are held; the answer says where the borrower goes. The same body again, while its session "
        "is open, has the same answer.",
        "verification_unpaid",
        "verification_open",
        "usage_limit_exceeded",
        "kyc_unavailable",
        "kyc_not_configured",
    ),
    _webhook(
        "/tenant-created",
        "create_kredit_tenant",
        "Kredit tells of a tenant",
        webhooks.tenant_created,
        kredit.TenantBody,
        webhooks.TenantAnswer,
        "`created` is false for a tenant that is known.",
    ),
    _webhook(
        "/subscription-payment-request",
        "request_kredit_payment",
        "Kredit tells that a tenant has paid for a subscription",
        webhooks.payment_requested,
        kredit.PaymentBody,
        webhooks.PaymentAnswer,
        "It is pending, and no cash, until somebody decides. Asked again, it is answered as it stands.",
        "kredit_request_differs",
        "kredit_payment_exists",
        "period_ends_before",
    ),
    Operation(
        "GET",
        _INTERNAL + "/usage",
        "get_kredit_usage",
        "What a tenant of Kredit's used in a period",
        description="Completed verifications, approved or rejected; both ends of the period are in.",
        tag="Kredit",
        scope="ledger:read",
        handler=webhooks.for_kredit(reads.usage),
        query=views.UsageQuery,
        answer=views.UsageAnswer,
        codes=("ledger_not_found", "kredit_tenant_not_found"),
    ),
    _table(
        "/overview",
        "get_kredit_overview",
        "Kredit's tenants and their figures",
        reads.overview,
        views.OverviewAnswer,
    ),
    _table("/tenants", "list_kredit_tenants", "Kredit's tenants", reads.tenants, views.TenantsAnswer),
    _table(
        "/borrowers",
        "list_kredit_borrowers",
        "Borrowers of Kredit's tenants",
        reads.borrowers,
        views.BorrowersAnswer,
    ),
    _table("/loans", "list_kredit_loans", "Loans of Kredit's tenants", reads.loans, views.LoansAnswer),
    _command(
        "PUT",
        "/rules",
        "Set what verifications and subscriptions cost",
        "ledger:admin",
        k.SetKreditRules,
        Acknowledged,
        "asset_not_in_chart",
    ),
    _command(
        "PUT",
        "/tenants/{kredit_tenant}",
        "Say how a tenant of Kredit's pays, and where its loans are",
        "ledger:admin",
        k.SetTenantTerms,
        Acknowledged,
        "kredit_tenant_not_found",
    ),
    Operation(
        "GET",
        _LEDGER + "/verifications/{verification}",
        "get_verification",
        "A verification",
        tag="Kredit",
        scope="ledger:read",
        handler=handlers.read(reads.session),
        query=views.SessionQuery,
        answer=views.SessionView,
        codes=("verification_not_found",),
    ),
    _command(
        "POST",
        "/verifications/{verification}/report",
        "Report on a verification by hand",
        "ledger:write",
        k.ReportSession,
        EntryView,
        *POSTING,
        "verification_not_found",
        "verification_over",
        "credit_hold_not_open",
    ),
    Operation(
        "GET",
        _LEDGER + "/subscription-payments",
        "list_subscription_payments",
        "Payments for subscriptions",
        description="`status=pending` is the work list.",
        tag="Kredit",
        scope="ledger:read",
        handler=handlers.read(reads.payments),
        query=views.PaymentsQuery,
        answer=views.SubscriptionPaymentsPage,
    ),
    _command(
        "POST",
        "/subscription-payments/{request}/decide",
        "Approve or reject a payment for a subscription",
        "ledger:write",
        k.DecidePayment,
        EntryView,
        *POSTING,
        "kredit_payment_not_found",
        "kredit_payment_decided",
    ),
    _command(
        "POST",
        "/payments",
        "Record what a tenant paid for a period of verifications",
        "ledger:write",
        k.RecordPayment,
        EntryView,
        *POSTING,
        "kredit_tenant_not_found",
        "kredit_tenant_prepaid",
        "period_ends_before",
        "already_recorded",
    ),
    _command(
        "POST",
        "/bank-matches",
        "Confirm that a payment is at the bank",
        "ledger:write",
        k.MatchPayment,
        EntryView,
        *POSTING,
        "kredit_payment_not_found",
        "kredit_payment_not_approved",
        "period_ends_before",
        "already_recorded",
    ),
)
