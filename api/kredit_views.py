"""What is read of Kredit's side: questions and answers, as Kredit's contract spells them where it does."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from api.queries import Incarnation, Limit
from ledger.commands import Name
from ledger.kredit import commands as k
from ledger.kredit import streams as s
from ledger.loans.statuses import KreditLoan
from ledger.loans.terms import Rating

_LedgerName = Annotated[
    Name, Meta(description="The ledger with Kredit's tenants, where the key sees several.")
]
_PageNumber = Annotated[int, Meta(ge=1, le=100_000, description="The page, from 1.")]
_PageSize = Annotated[int, Meta(ge=1, le=100, description="Rows of a page.")]
_Search = Annotated[str, Meta(max_length=100, description="Only what has this text in its names.")]


class UsageQuery(Struct, forbid_unknown_fields=True):
    """A tenant and a period, both ends in: days of the ledger's time zone, or moments."""

    tenant_id: k.TenantId
    period_start: k.Day
    period_end: k.Day
    ledger: _LedgerName | None = None


class TableQuery(Struct, forbid_unknown_fields=True, rename="camel"):
    """A page of a table."""

    page: _PageNumber = 1
    page_size: _PageSize = 20
    search: _Search = ""
    tenant_id: Annotated[k.TenantId, Meta(description="Only this tenant's.")] | None = None
    ledger: _LedgerName | None = None


class SessionQuery(Struct, forbid_unknown_fields=True):
    """No more than which life of the ledger is meant."""

    incarnation: Incarnation | None = None


class PaymentsQuery(Struct, forbid_unknown_fields=True):
    """Payments for subscriptions by their request."""

    status: Annotated[s.PaymentStatus, Meta(description="Only these: `pending` is the work list.")] | None = (
        None
    )
    after: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,128}\Z", description="Go on beyond this request.")
    ] = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


class UsageAnswer(Struct, frozen=True):
    """What a tenant used in a period."""

    tenant_id: str
    client_id: str
    period_start: str
    period_end: str
    verification_count: int
    usage_credits: int
    usage_amount_myr: Raw


class SessionView(Struct, frozen=True):
    """A verification. `hold` is of the credits it takes; null: its tenant pays afterwards."""

    session: str
    tenant: str
    borrower: str
    status: s.SessionStatus
    result: k.Result | None
    reason: str
    units: int
    amount: int
    asset: str
    hold: int | None
    requested_at: str
    ends_at: str


class SubscriptionPaymentView(Struct, frozen=True):
    """A payment for a subscription; `released` of its net is earned. Minor units."""

    request: str
    tenant: str
    plan: str
    billing_type: str
    status: s.PaymentStatus
    asset: str
    amount: int
    tax: int
    period_start: str
    period_end: str
    payment_reference: str
    requested_at: str
    decided_at: str
    decided_by: str
    rejection_reason: str
    released: int
    matched: bool


class SubscriptionPaymentsPage(Struct, frozen=True):
    """Payments; `next` continues as `after`, null at the end. A filter may let none through."""

    payments: list[SubscriptionPaymentView]
    next: str | None


class Pagination(Struct, frozen=True, rename="camel"):
    """Which page, and how many there are."""

    page: int
    page_size: int
    total: int
    total_pages: int


class TenantSubscription(Struct, frozen=True, rename="camel"):
    """What a tenant subscribed last."""

    plan: str
    status: Literal["ACTIVE", "EXPIRED"]
    current_period_start: str
    current_period_end: str


class OfTenant(Struct, frozen=True):
    """A tenant in a row of another table."""

    id: str
    name: str
    slug: str


class OverviewRow(Struct, frozen=True, rename="camel"):
    """A tenant with what its loans come to."""

    tenant_id: str
    tenant_name: str
    tenant_slug: str
    email: str | None
    subscription_status: Literal["FREE", "PAID", "OVERDUE"]
    borrower_count: int
    application_count: int
    loan_count: int
    total_disbursed: Raw
    total_profit: Raw
    created_at: str


class TenantRow(OverviewRow, frozen=True, rename="camel"):
    """A tenant with all that is known of it."""

    client_id: str
    client_code: str
    billing: k.Billing
    contact_number: str | None
    registration_number: str | None
    subscription: TenantSubscription | None
    subscribed_at: str | None


class Summary(Struct, frozen=True, rename="camel"):
    """Over all tenants, whatever the page shows."""

    tenant_count: int
    total_borrowers: int
    total_applications: int
    total_loans: int
    total_disbursed_facilitated: Raw
    total_outstanding: Raw
    total_profit: Raw


class Overview(Struct, frozen=True):
    """Figures of all tenants, and a page of them."""

    summary: Summary
    tenants: list[OverviewRow]
    pagination: Pagination


class Tenants(Struct, frozen=True):
    """A page of tenants."""

    tenants: list[TenantRow]
    pagination: Pagination


class Borrower(Struct, frozen=True):
    """A borrower in a row of another table: who they are is not in the book."""

    id: str


class Performance(Struct, frozen=True, rename="camel"):
    """How a borrower's loans stand."""

    risk_level: Rating | None
    total_loans: int
    defaulted_loans: int
    in_arrears_loans: int


class BorrowerRow(Struct, frozen=True, rename="camel"):
    """A borrower of a tenant."""

    id: str
    tenant: OfTenant
    document_verified: bool
    verification_status: str
    score: int | None
    loan_count: int
    created_at: str
    performance_projection: Performance


class Borrowers(Struct, frozen=True):
    """A page of borrowers."""

    borrowers: list[BorrowerRow]
    pagination: Pagination


class LoanRow(Struct, frozen=True, rename="camel"):
    """A loan of a tenant; amounts are of its currency."""

    id: str
    tenant_id: str
    tenant: OfTenant
    borrower_id: str
    borrower: Borrower
    currency: str
    principal_amount: Raw
    outstanding: Raw
    interest_rate: str | None
    term: int | None
    status: KreditLoan | None
    days_past_due: int
    created_at: str


class Loans(Struct, frozen=True):
    """A page of loans."""

    loans: list[LoanRow]
    pagination: Pagination


class OverviewAnswer(Struct, frozen=True):
    """Kredit's envelope of figures and tenants."""

    success: bool
    data: Overview


class TenantsAnswer(Struct, frozen=True):
    """Kredit's envelope of tenants."""

    success: bool
    data: Tenants


class BorrowersAnswer(Struct, frozen=True):
    """Kredit's envelope of borrowers."""

    success: bool
    data: Borrowers


class LoansAnswer(Struct, frozen=True):
    """Kredit's envelope of loans."""

    success: bool
    data: Loans
