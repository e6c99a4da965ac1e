"""What can be asked about credit providers and leads: the bodies of the commands, validated once.

Registration, distribution and decision are spelled as in the system whose surface this is (`companyName`).
The subject of a command is what its path names: a provider, a lead, a provider and a lead, a provider and
an invoice, parted by a colon. Amounts are minor units.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

from ledger.chart import AssetCode
from ledger.commands import Address, Amount, AmountOrZero, Moment, ProductCommand, Reason, _integer, _utc
from ledger.loans.schedule import MOST_INSTALMENTS
from ledger.loans.terms import Id, Percent
from ledger.text import check_text

MOST_PROVIDERS = 100
MOST_LINES = 100

Text = Annotated[str, Meta(min_length=1, max_length=255)]
Country = Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z", examples=["US"])]
if TYPE_CHECKING:
    # Inside Daybook a rate is text. A client may send a number, which is that decimal and not its double.
    Rate = str
else:
    _decimals = Annotated[str, Meta(pattern=r"^[0-9]{1,4}(\.[0-9]{1,10})?\Z", examples=["8.5"])]
    Rate = Annotated[_decimals | Annotated[float, Meta(ge=0, lt=10_000)], Meta(description="Percent a year.")]
BestBy = Literal["lowest_rate", "lowest_total_cost"]
# The longest that a loan may run, in days: as many months as a schedule has instalments at most.
LONGEST = MOST_INSTALMENTS * 365 // 12


def rate_of(field: str, rate: str | float) -> str:
    """A rate as text: of a number, the shortest decimal that it is written with (ValueError)."""
    if isinstance(rate, str):
        return rate
    text = f"{Decimal(repr(abs(rate))).normalize():f}"
    if len(text.partition(".")[2]) > 10:
        raise ValueError(f"`{field}` has more than ten decimals")
    return text


def _amounts(name: str, amounts: dict[str, int]) -> dict[str, int]:
    return {asset: _integer(name, amount, 0) for asset, amount in amounts.items()}


class BusinessRegistration(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Where and as what a company is registered."""

    registration_number: Text
    business_type: Text
    registration_country: Country

    def __post_init__(self) -> None:
        check_text("registrationNumber", self.registration_number)
        check_text("businessType", self.business_type)


class License(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """A licence to lend; it counts through `expiryDate`."""

    license_type: Text
    license_number: Text
    issuing_authority: Text
    expiry_date: date

    def __post_init__(self) -> None:
        check_text("licenseType", self.license_type)
        check_text("licenseNumber", self.license_number)
        check_text("issuingAuthority", self.issuing_authority)


class RateRange(Struct, forbid_unknown_fields=True, kw_only=True):
    """The rates that a credit provider offers, percent a year."""

    minimum: Rate
    maximum: Rate

    def __post_init__(self) -> None:
        self.minimum = rate_of("interestRateRange.minimum", self.minimum)
        self.maximum = rate_of("interestRateRange.maximum", self.maximum)
        if Decimal(self.minimum) > Decimal(self.maximum):
            raise ValueError("`interestRateRange` ends before it begins")


class CreditCapacity(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Which leads a credit provider takes. Amounts are minor units of each of `supportedCurrencies`.

    `totalCapacity`: what it lends in all, by asset; an asset that is left out: as much as comes.
    `maximumOpenLeads`: how many it has to answer at once.
    """

    minimum_loan_amount: Amount
    maximum_loan_amount: Amount
    interest_rate_range: RateRange
    geographic_coverage: Annotated[tuple[Country, ...], Meta(min_length=1, max_length=250)]
    supported_currencies: Annotated[tuple[AssetCode, ...], Meta(min_length=1, max_length=50)]
    total_capacity: Annotated[dict[AssetCode, AmountOrZero], Meta(max_length=50)] = field(
        default_factory=dict
    )
    maximum_open_leads: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None

    def __post_init__(self) -> None:
        self.minimum_loan_amount = _integer("minimumLoanAmount", self.minimum_loan_amount, 1)
        self.maximum_loan_amount = _integer("maximumLoanAmount", self.maximum_loan_amount, 1)
        self.total_capacity = _amounts("totalCapacity", self.total_capacity)
        if self.minimum_loan_amount > self.maximum_loan_amount:
            raise ValueError("`minimumLoanAmount` is more than `maximumLoanAmount`")


class ProviderDetails(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Who a credit provider is, and which leads it takes."""

    company_name: Text
    business_registration: BusinessRegistration
    licenses: Annotated[tuple[License, ...], Meta(min_length=1, max_length=20)]
    credit_capacity: CreditCapacity

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("companyName", self.company_name)


class ProviderRegistration(
    ProviderDetails, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Register a credit provider, which is pending until it is activated. It has one registration."""

    operation: ClassVar[str] = "register_credit_provider"


class ProviderChange(
    ProviderDetails, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """What is true of a credit provider from now on; it replaces what was."""

    operation: ClassVar[str] = "change_credit_provider"


class ProviderActivation(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Let a credit provider have leads, pending or suspended as it may be, on these terms.

    `lead_fees` by asset, without the tax of `tax_rate` percent; an asset that is left out has no fee. We keep
    `servicing_rate` percent of what we collect for it.
    """

    operation: ClassVar[str] = "activate_credit_provider"
    lead_fees: Annotated[dict[AssetCode, AmountOrZero], Meta(max_length=50)] = field(default_factory=dict)
    tax_rate: Percent = "0"
    servicing_rate: Percent = "0"

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        self.lead_fees = _amounts("lead_fees", self.lead_fees)


class ProviderSuspension(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """No more leads for a credit provider, and no more decisions of it, until it is activated again."""

    operation: ClassVar[str] = "suspend_credit_provider"
    reason: Reason

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("reason", self.reason)


# ---------------------------------------------------------------- leads


class LeadDistribution(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Ask every credit provider that matches for an offer on an application, and charge each its lead fee.

    `tenure` is in days; the amount is that of the application. `commitment` is to who applies, whose data
    stay outside the book.
    """

    operation: ClassVar[str] = "distribute_lead"
    lead_id: Id
    requested_amount: Amount | None = None
    country: Country
    tenure: Annotated[int, Meta(ge=1, le=LONGEST)]
    purpose: Annotated[str, Meta(max_length=500)] = ""
    best_by: BestBy = "lowest_rate"
    commitment: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] = ""

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("purpose", self.purpose)
        if self.requested_amount is not None:
            self.requested_amount = _integer("requestedAmount", self.requested_amount, 1)


class LeadDecision(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """A credit provider's answer to a lead; approved, it is an offer that stands until `expiresAt`.

    `tenure` is in days, paid back in equal monthly instalments. `processingFee`, the provider's own, is taken
    from the disbursement.
    """

    operation: ClassVar[str] = "decide_lead"
    decision: Literal["approved", "rejected"]
    lead_id: Id | None = None
    provider_id: Id | None = None
    approved_amount: Amount | None = None
    interest_rate: Rate | None = None
    tenure: Annotated[int, Meta(ge=1, le=LONGEST)] | None = None
    processing_fee: AmountOrZero = 0
    conditions: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=500)], ...], Meta(max_length=20)
    ] = ()
    expires_at: Moment | None = None
    reason: Annotated[str, Meta(max_length=500)] = ""
    custom_data: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=500)]],
        Meta(max_length=20),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("reason", self.reason)
        for text in (*self.conditions, *self.custom_data, *self.custom_data.values()):
            check_text("conditions", text)
        self.processing_fee = _integer("processingFee", self.processing_fee, 0)
        if self.interest_rate is not None:
            self.interest_rate = rate_of("interestRate", self.interest_rate)
        offered = (self.approved_amount, self.interest_rate, self.tenure, self.expires_at)
        if self.decision == "approved" and None in offered:
            raise ValueError(
                "`decision` approved needs `approvedAmount`, `interestRate`, `tenure` and `expiresAt`"
            )
        if self.decision == "rejected" and (any(offered) or self.processing_fee):
            raise ValueError("`decision` rejected has no offer")
        if self.approved_amount is not None:
            self.approved_amount = _integer("approvedAmount", self.approved_amount, 1)
            if self.processing_fee > self.approved_amount:
                raise ValueError("`processingFee` is more than `approvedAmount`")
        if self.expires_at is not None:
            self.expires_at = _utc("expiresAt", self.expires_at)


class LeadAcceptance(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The borrower accepts a credit provider's offer: the loan is approved and accepted on its terms."""

    operation: ClassVar[str] = "accept_lead_offer"
    provider: Id


class LeadClosing(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Close the bidding early, and give back what is taken of capacity for a loan that will not be."""

    operation: ClassVar[str] = "close_lead"
    reason: Reason

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("reason", self.reason)


# ---------------------------------------------------------------- money


class LeadFeeReversal(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A lead was invalid: its fee is not owed. What was paid of it already becomes payable."""

    operation: ClassVar[str] = "reverse_lead_fee"
    reason: Reason

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("reason", self.reason)


class ProviderInvoice(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Put lead fees of one asset on an invoice, by their leads. It posts nothing."""

    operation: ClassVar[str] = "invoice_credit_provider"
    invoice: Id
    leads: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=MOST_LINES)]

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        if len(set(self.leads)) != len(self.leads):
            raise ValueError("`leads` names one twice")


class _Amount(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    amount: Amount

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        self.amount = _integer("amount", self.amount, 1)


class InvoicePayment(_Amount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A credit provider has paid an invoice, or a part of it, into `account`."""

    operation: ClassVar[str] = "pay_provider_invoice"
    account: Address


class InvoiceOffset(_Amount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Set what we owe a credit provider off against an invoice."""

    operation: ClassVar[str] = "offset_provider_invoice"


class RevenueShare(_Amount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A share of our revenue becomes payable to a credit provider, with what we collect for it."""

    operation: ClassVar[str] = "share_revenue"
    asset: AssetCode
    reason: Reason

    def __post_init__(self) -> None:
        _Amount.__post_init__(self)
        check_text("reason", self.reason)
