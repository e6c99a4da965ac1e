"""The operations on credit providers, leads and what they owe, spelled as in the system that they replace."""

from __future__ import annotations

from typing import Any, Literal

from api import handlers
from api import lending_providers as p
from api import provider_reading as r
from api.access.scopes import Scope
from api.http import NoQuery
from api.lead_bodies import Contact, LeadRequest, Registration
from api.operation import DATED, POSTING, Operation
from ledger import provider_reads as reads
from ledger.providers import commands as c
from ledger.views import EntryView
from projections import provider_reads as figures

_LEDGER = "/v1/ledgers/{ledger}"
_PROVIDERS = _LEDGER + "/loan-providers"
_PROVIDER = _PROVIDERS + "/{loan_provider}"
_OWN_LEAD = _PROVIDER + "/leads/{loan}"
_INVOICES = _PROVIDER + "/invoices"
_INVOICE = _INVOICES + "/{provider_invoice}"
_LEADS = _LEDGER + "/leads"
_LEAD = _LEADS + "/{loan}"

DECIDE: Scope = "credit:lead:decide"
COLLECT: Scope = "credit:collection:manage"
_THEIRS = ("credit_provider_not_found",)
_SEALED = ("secrets_unavailable",)


def _asked(
    method: Literal["POST", "PUT"],
    path: str,
    id: str,
    summary: str,
    scope: Scope,
    body: type,
    codes: tuple[str, ...],
    *,
    description: str = "",
    handler: handlers.Handler = p.command,
    answer: type = EntryView,
    status: int = 201,
    optional_body: bool = False,
    keyed: bool = True,
) -> Operation:
    return Operation(
        method,
        path,
        id,
        summary,
        description=description or (body.__doc__ or "").strip(),
        tag="Credit providers",
        scope=scope,
        handler=handler,
        body=body,
        optional_body=optional_body,
        answer=answer,
        status=status if method == "POST" else 200,
        codes=codes,
        keyed=keyed,
    )


def _read(
    path: str,
    id: str,
    summary: str,
    scope: Scope,
    handler: handlers.Handler,
    answer: type,
    query: type[Any] = NoQuery,
    codes: tuple[str, ...] = (),
    description: str = "",
) -> Operation:
    return Operation(
        "GET",
        path,
        id,
        summary,
        description=description,
        tag="Credit providers",
        scope=scope,
        handler=handler,
        query=query,
        answer=answer,
        codes=codes,
    )


PROVIDER_OPERATIONS: tuple[Operation, ...] = (
    _asked(
        "POST",
        _PROVIDERS,
        "register_credit_provider",
        "Register a credit provider",
        "ledger:admin",
        Registration,
        (
            *DATED,
            *_SEALED,
            "credit_provider_exists",
            "too_many_credit_providers",
            "too_many_subscriptions",
            "asset_not_in_chart",
            "tenant_not_found",
        ),
        description=(
            "It is pending. The answer has its API key and the secret of its webhook, this once; who to talk "
            "to is kept outside the book."
        ),
        handler=p.register,
        answer=p.Registered,
    ),
    _read(
        _PROVIDERS,
        "list_credit_providers",
        "Credit providers by name",
        "ledger:read",
        handlers.read(r.list_providers),
        reads.CreditProviders,
        r.NamesQuery,
    ),
    _read(
        _PROVIDER,
        "get_credit_provider",
        "A credit provider at head",
        DECIDE,
        r.own(r.get_provider),
        reads.CreditProviderView,
        codes=_THEIRS,
    ),
    _asked(
        "PUT",
        _PROVIDER,
        "change_credit_provider",
        "Change who a credit provider is and which leads it takes",
        "ledger:admin",
        c.ProviderChange,
        (*DATED, *_THEIRS, "asset_not_in_chart"),
    ),
    _read(
        _PROVIDER + "/contact",
        "get_credit_provider_contact",
        "Who to talk to at a credit provider",
        "ledger:admin",
        r.get_contact,
        Contact,
        codes=(*_THEIRS, *_SEALED),
    ),
    _asked(
        "PUT",
        _PROVIDER + "/contact",
        "set_credit_provider_contact",
        "Say who to talk to at a credit provider",
        "ledger:admin",
        Contact,
        (*_THEIRS, *_SEALED),
        handler=p.set_contact,
        answer=Contact,
        keyed=False,
    ),
    _asked(
        "POST",
        _PROVIDER + "/activate",
        "activate_credit_provider",
        "Let a credit provider have leads",
        "ledger:admin",
        c.ProviderActivation,
        (*DATED, *_THEIRS, "asset_not_in_chart"),
    ),
    _asked(
        "POST",
        _PROVIDER + "/suspend",
        "suspend_credit_provider",
        "Let a credit provider have no more leads",
        "ledger:admin",
        c.ProviderSuspension,
        (*DATED, *_THEIRS),
    ),
    _asked(
        "POST",
        _PROVIDER + "/keys",
        "make_credit_provider_key",
        "Make another key of a credit provider",
        "ledger:admin",
        p.NoMembers,
        (*_THEIRS, "tenant_not_found"),
        description="It sees and decides this provider's leads, and is good for nothing else.",
        handler=p.make_key,
        answer=p.Credentials,
        optional_body=True,
        keyed=False,
    ),
    _asked(
        "POST",
        _LEADS,
        "distribute_lead",
        "Send an application to all credit providers that match",
        "credit:application:create",
        LeadRequest,
        (
            *DATED,
            *POSTING,
            *_SEALED,
            "loan_not_found",
            "loan_status",
            "borrower_not_found",
            "lead_exists",
            "lead_differs",
        ),
        description=(
            "`leadId` is the name of an application. Who applies is kept outside the book, for the credit "
            "providers that get the lead."
        ),
        handler=p.distribute,
        answer=p.Distributed,
    ),
    _read(
        _LEAD,
        "get_lead",
        "A lead with its offers, the best of them, and whom it was sent to",
        "ledger:read",
        handlers.read(r.get_lead),
        reads.LeadView,
        codes=("lead_not_found", "loan_not_found"),
    ),
    _asked(
        "POST",
        _LEAD + "/accept",
        "accept_lead_offer",
        "Accept a credit provider's offer",
        "credit:application:create",
        c.LeadAcceptance,
        (
            *DATED,
            *POSTING,
            *_THEIRS,
            "lead_not_found",
            "loan_not_found",
            "loan_status",
            "borrower_not_found",
            "credit_limit_exceeded",
            "credit_provider_not_active",
            "no_standing_offer",
            "offer_expired",
        ),
    ),
    _asked(
        "POST",
        _LEAD + "/close",
        "close_lead",
        "Close the bidding on a lead",
        "credit:application:approve",
        c.LeadClosing,
        (*DATED, "lead_not_found", "loan_not_found", "lead_not_open"),
    ),
    Operation(
        "DELETE",
        _LEAD + "/applicant",
        "erase_applicant",
        "Erase who applied",
        description="Data, key and salt are destroyed; every proof of the book still verifies.",
        tag="Credit providers",
        scope="beneficiary:manage",
        handler=p.erase_applicant,
        answer=p.Erased,
        codes=("lead_not_found",),
    ),
    _read(
        _PROVIDER + "/leads",
        "list_own_leads",
        "Leads of a credit provider",
        DECIDE,
        r.own(r.list_leads),
        figures.LeadLines,
        r.LeadsQuery,
        _THEIRS,
        "As far as the read model has come (`seq`).",
    ),
    _read(
        _OWN_LEAD,
        "get_own_lead",
        "A lead of a credit provider, and who applies",
        DECIDE,
        r.get_own_lead,
        r.ProviderLeadView,
        codes=(*_THEIRS, *_SEALED, "lead_not_found"),
    ),
    _asked(
        "POST",
        _OWN_LEAD + "/decision",
        "decide_lead",
        "Answer a lead",
        DECIDE,
        c.LeadDecision,
        (
            *DATED,
            *POSTING,
            *_THEIRS,
            "credit_provider_not_active",
            "lead_not_found",
            "lead_not_open",
            "loan_not_found",
            "loan_status",
            "exceeds_request",
            "rate_outside_range",
            "offer_expired",
        ),
        handler=p.decide,
        answer=p.DecisionTaken,
    ),
    _asked(
        "POST",
        _OWN_LEAD + "/reverse-fee",
        "reverse_lead_fee",
        "Take back the fee of an invalid lead",
        COLLECT,
        c.LeadFeeReversal,
        (*DATED, *POSTING, "lead_not_found", "no_lead_fee", "provider_invoice_not_found"),
    ),
    _asked(
        "POST",
        _INVOICES,
        "invoice_credit_provider",
        "Put lead fees on an invoice",
        COLLECT,
        c.ProviderInvoice,
        (
            *DATED,
            *_THEIRS,
            "lead_not_found",
            "no_lead_fee",
            "provider_invoice_exists",
            "invoice_of_several_assets",
        ),
    ),
    _read(
        _INVOICES,
        "list_provider_invoices",
        "Invoices of a credit provider by name",
        DECIDE,
        r.own(r.list_invoices),
        reads.Invoices,
        r.NamesQuery,
        _THEIRS,
    ),
    _read(
        _INVOICE,
        "get_provider_invoice",
        "An invoice of a credit provider",
        DECIDE,
        r.own(r.get_invoice),
        reads.InvoiceView,
        codes=(*_THEIRS, "provider_invoice_not_found"),
    ),
    _asked(
        "POST",
        _INVOICE + "/pay",
        "pay_provider_invoice",
        "Enter the payment of an invoice",
        COLLECT,
        c.InvoicePayment,
        (*DATED, *POSTING, "provider_invoice_not_found", "exceeds_invoice"),
    ),
    _asked(
        "POST",
        _INVOICE + "/offset",
        "offset_provider_invoice",
        "Set what we owe off against an invoice",
        COLLECT,
        c.InvoiceOffset,
        (*DATED, *POSTING, "provider_invoice_not_found", "exceeds_invoice", "exceeds_payable"),
    ),
    _asked(
        "POST",
        _PROVIDER + "/revenue-share",
        "share_revenue",
        "Owe a credit provider a share of revenue",
        COLLECT,
        c.RevenueShare,
        (*DATED, *POSTING, *_THEIRS),
    ),
    _read(
        _PROVIDER + "/analytics",
        "get_provider_analytics",
        "How a credit provider did in a period",
        DECIDE,
        r.own(r.analytics),
        figures.Analytics,
        r.PeriodQuery,
        _THEIRS,
        "Of leads that were sent from `startDate` (30 days before the end) until before `endDate` (now).",
    ),
    _read(
        _PROVIDER + "/dashboard",
        "get_provider_dashboard",
        "What a credit provider looks at",
        DECIDE,
        r.own(r.dashboard),
        figures.Dashboard,
        r.PeriodQuery,
        _THEIRS,
        "Of leads that were sent in the period; trends are against as long a period before it.",
    ),
)
