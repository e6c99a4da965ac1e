"""What is asked about Kredit: its tenants, their verifications, what they pay.

Kredit is a platform of lenders. To the book a lender is a *tenant* of Kredit's, by Kredit's own id.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

from ledger.chart import AssetCode
from ledger.commands import Address, Amount, Metadata, Moment, Name, ProductCommand, Reference, _integer, _utc
from ledger.credits.commands import CreditType
from ledger.days import FIRST_YEAR, day_or_moment
from ledger.text import check_metadata, check_text

TenantId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+\Z", max_length=64, examples=["cm7tenant"])]
RequestId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+\Z", max_length=128, examples=["req_1842"])]
SessionId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
Target = Annotated[
    str,
    Meta(
        pattern=r"^(https?://[!-~]+|/[!-~]*)\Z",
        max_length=2_000,
        description="Where to send: a URL, or a path below the address of Kredit's backend.",
        examples=["https://kredit.example.com/api/webhooks/trueidentity"],
    ),
]
Day = Annotated[
    str,
    Meta(max_length=40, description="A date, or a moment, whose date in the ledger's time zone counts."),
]
Billing = Literal["prepaid", "postpaid"]
BillingType = Literal["first_subscription", "addon_purchase", "renewal"]
Report = Literal["started", "processing", "completed", "expired", "failed"]
Result = Literal["approved", "rejected"]
_Short = Annotated[str, Meta(max_length=255)]
_Text = Annotated[str, Meta(max_length=1_000)]


class KreditRules(Struct, frozen=True, forbid_unknown_fields=True):
    """What verifications and subscriptions cost. A session keeps the price that it was requested at.

    A verification takes `price` credits of `credit_type`, or is worth `amount` minor units of `asset` to a
    tenant that pays afterwards. `tax_basis_points` is contained in what is paid for a subscription.
    `billing`: of tenants that nothing else is said of. `session_hours`: how long a session is open.
    """

    credit_type: CreditType = "verification"
    price: Annotated[int, Meta(ge=1, le=1_000_000_000)] = 40
    amount: Annotated[int, Meta(ge=0, le=10**15)] = 400
    asset: AssetCode = "MYR/2"
    tax_basis_points: Annotated[int, Meta(ge=0, le=10_000)] = 800
    billing: Billing = "prepaid"
    session_hours: Annotated[int, Meta(ge=1, le=720)] = 24


class SetKreditRules(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Set what verifications and subscriptions cost from now on."""

    operation: ClassVar[str] = "set_kredit_rules"
    rules: KreditRules


class RegisterTenant(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A tenant of Kredit's is to be known."""

    operation: ClassVar[str] = "register_kredit_tenant"
    tenant: TenantId
    slug: _Short = ""
    name: _Short = ""
    webhook_url: Target | None = None

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("slug", self.slug)
        check_text("name", self.name)


class SetTenantTerms(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """How the tenant that is the command's subject pays, and which ledger has its loans (none: not here)."""

    operation: ClassVar[str] = "set_kredit_tenant"
    billing: Billing
    loans: Name | None = None


class RequestVerification(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A session is to be opened for a borrower; credits are held for it.

    `request` is the SHA-256 of what was asked: asked again, it is another session once that one is over.
    """

    operation: ClassVar[str] = "request_verification"
    tenant: TenantId
    request: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    webhook_url: Target
    borrower: _Short = ""
    session_metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("borrower", self.borrower)
        check_metadata(self.session_metadata)


class ReportSession(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What has become of the session that is the command's subject."""

    operation: ClassVar[str] = "report_verification"
    status: Report
    result: Result | None = None
    reason: _Text = ""
    happened_at: Moment | None = None

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("reason", self.reason)
        if (self.result is not None) is not (self.status == "completed"):
            raise ValueError("`result` is that of a session that is completed, and of no other")
        if self.happened_at is not None:
            self.happened_at = _utc("happened_at", self.happened_at)


class RequestPayment(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A tenant says that it has paid for a subscription: `amount` minor units with tax. No cash yet."""

    operation: ClassVar[str] = "request_subscription_payment"
    request: RequestId
    tenant: TenantId
    plan: Annotated[str, Meta(min_length=1, max_length=255)]
    amount: Amount
    billing_type: BillingType = "first_subscription"
    payment_reference: Reference
    period_start: Day
    period_end: Day
    requested_at: Moment | None = None
    add_ons: Annotated[list[_Short], Meta(max_length=100)] = field(default_factory=list)
    line_items: Annotated[list[dict[_Short, _Text]], Meta(max_length=100)] = field(default_factory=list)
    decision_webhook_url: Target | None = None

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        self.amount = _integer("amount", self.amount, 1)
        texts = [("plan", self.plan), ("payment_reference", self.payment_reference)]
        texts += [("add_ons", name) for name in self.add_ons]
        texts += [("line_items", text) for item in self.line_items for pair in item.items() for text in pair]
        for name, text in texts:
            check_text(name, text)
        _check_period(self.period_start, self.period_end)
        if self.requested_at is not None:
            self.requested_at = _utc("requested_at", self.requested_at)


class DecidePayment(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The payment that is the command's subject was found at the bank, or not."""

    operation: ClassVar[str] = "decide_subscription_payment"
    status: Result
    rejection_reason: _Text = ""

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("rejection_reason", self.rejection_reason)
        if (self.status == "rejected") is not bool(self.rejection_reason):
            raise ValueError("`rejection_reason` is for what is rejected, which has one")


class RecordPayment(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A tenant that pays afterwards has paid for its verifications of a period."""

    operation: ClassVar[str] = "record_kredit_payment"
    tenant: TenantId
    period_start: Day
    period_end: Day
    amount: Amount

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        self.amount = _integer("amount", self.amount, 1)
        _check_period(self.period_start, self.period_end)


class MatchPayment(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The bank has confirmed a payment: it is on `account`.

    Of a subscription by its `request`; for verifications by `tenant`, `period_start` and `period_end`.
    """

    operation: ClassVar[str] = "match_kredit_payment"
    account: Address
    request: RequestId | None = None
    tenant: TenantId | None = None
    period_start: Day | None = None
    period_end: Day | None = None

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        period = (self.tenant, self.period_start, self.period_end)
        if any(period) if self.request is not None else not all(period):
            raise ValueError(
                "a payment is named by `request`, or by `tenant`, `period_start` and `period_end`"
            )
        if self.period_start is not None and self.period_end is not None:
            _check_period(self.period_start, self.period_end)


def day_of_period(field: str, text: str) -> date | datetime:
    """A day or a moment, with days of the calendar on both sides of it (ValueError, naming the field)."""
    at = day_or_moment(field, text)
    if not FIRST_YEAR <= at.year < date.max.year:
        raise ValueError(f"`{field}` is outside the years {FIRST_YEAR} to {date.max.year - 1}")
    return at


def _check_period(start: str, end: str) -> None:
    first, last = day_of_period("period_start", start), day_of_period("period_end", end)
    if type(first) is type(last) and last < first:
        raise ValueError("`period_end` lies before `period_start`")
