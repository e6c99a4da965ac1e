"""What is sent about credit providers and leads beside what the book keeps: people, and who to talk to.

These are the payloads of the system whose surface this is. What is personal in them goes to the registry of
people, encrypted under a key of each one's own; the book has a commitment to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field, structs

from api.registry import Kind
from ledger.commands import Amount, Moment, _integer
from ledger.loans.terms import Id
from ledger.providers import commands as c
from ledger.text import check_text

_Text = Annotated[str, Meta(max_length=255)]
_Money = Annotated[int, Meta(ge=0, le=10**15)]
_Scalar = str | int | bool | None


class Checked(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Texts are Unicode in its normal form, without NUL."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, str):
                check_text(name, value)


class ApiEndpoints(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Where the provider's own system is; for people to know, we ask nothing of it."""

    base_url: _Text = ""
    loan_application_endpoint: _Text = ""
    status_endpoint: _Text = ""


class TechnicalRequirements(
    Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Where leads are sent: a webhook in scheme `sha256`."""

    webhook_url: Annotated[str, Meta(min_length=1, max_length=2_000)] | None = None
    api_endpoints: ApiEndpoints | None = None
    auth_method: _Text = ""


class Contact(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Who to talk to at a credit provider, and how its system is reached."""

    business_email: Annotated[str, Meta(min_length=1, max_length=255)]
    contact_person: Annotated[str, Meta(min_length=1, max_length=255)]
    technical_requirements: TechnicalRequirements = field(default_factory=TechnicalRequirements)


class Registration(
    c.ProviderDetails, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """A credit provider that is to be registered. `providerId` is made of its registration unless given."""

    business_email: Annotated[str, Meta(min_length=1, max_length=255)]
    contact_person: Annotated[str, Meta(min_length=1, max_length=255)]
    technical_requirements: TechnicalRequirements = field(default_factory=TechnicalRequirements)
    provider_id: Id | None = None

    def contact(self) -> Contact:
        """What of it is not for the book (ValueError)."""
        return Contact(
            business_email=self.business_email,
            contact_person=self.contact_person,
            technical_requirements=self.technical_requirements,
        )

    def command(self) -> c.ProviderRegistration:
        """What of it is for the book."""
        names = c.ProviderRegistration.__struct_fields__
        return c.ProviderRegistration(**{name: getattr(self, name) for name in names})


class Address(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Where somebody lives; the country decides who covers it."""

    country: c.Country
    street: _Text = ""
    city: _Text = ""
    state: _Text = ""
    postal_code: _Text = ""


class PersonalInfo(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Who applies."""

    first_name: _Text
    last_name: _Text
    address: Address
    email: _Text = ""
    phone_number: _Text = ""


class EmploymentInfo(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What they live on; `employmentDuration` in months."""

    employment_status: _Text = ""
    company_name: _Text = ""
    monthly_income: _Money | None = None
    employment_duration: Annotated[int, Meta(ge=0, le=1_200)] | None = None


class BankAccount(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Where they have their money."""

    account_number: _Text = ""
    bank_name: _Text = ""
    account_type: _Text = ""


class FinancialInfo(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What they spend and owe."""

    bank_account: BankAccount | None = None
    monthly_expenses: _Money | None = None
    existing_loans: Annotated[list[dict[str, _Scalar]], Meta(max_length=50)] = field(default_factory=list)
    credit_cards: Annotated[list[dict[str, _Scalar]], Meta(max_length=50)] = field(default_factory=list)


class Recommendations(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What an assessment advises."""

    recommended_amount: _Money | None = None
    recommended_tenure: Annotated[int, Meta(ge=0, le=c.LONGEST)] | None = None
    recommended_interest_rate: c.Rate | None = None

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.recommended_interest_rate is not None:
            rate = c.rate_of("recommendedInterestRate", self.recommended_interest_rate)
            self.recommended_interest_rate = rate


class CreditAssessment(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What was found out about them. Score and rating of the borrower count, as the book has them."""

    credit_score: Annotated[int, Meta(ge=300, le=850)] | None = None
    risk_rating: Literal["low", "medium", "high"] | None = None
    debt_to_income_ratio: c.Rate | None = None
    recommendations: Recommendations | None = None

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        if self.debt_to_income_ratio is not None:
            self.debt_to_income_ratio = c.rate_of("debtToIncomeRatio", self.debt_to_income_ratio)


class Applicant(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Who applies: shown to the credit providers that have the lead."""

    personal_info: PersonalInfo
    employment_info: EmploymentInfo | None = None
    financial_info: FinancialInfo | None = None


class Lead(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What is known of a lead beside the book."""

    applicant: Applicant
    credit_assessment: CreditAssessment | None = None


class LoanApplication(Checked, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """What is applied for: the amount of the application that it is, in minor units; `tenure` in days."""

    requested_amount: Amount
    tenure: Annotated[int, Meta(ge=1, le=c.LONGEST)]
    purpose: Annotated[str, Meta(max_length=500)] = ""

    def __post_init__(self) -> None:
        Checked.__post_init__(self)
        self.requested_amount = _integer("requestedAmount", self.requested_amount, 1)


class LeadRequest(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """An application, by its name, that is to be sent to all credit providers that match."""

    lead_id: Id
    applicant: Applicant
    loan_application: LoanApplication
    credit_assessment: CreditAssessment | None = None
    best_by: c.BestBy = "lowest_rate"
    effective_at: Moment | None = None

    def lead(self) -> Lead:
        """What of it is not for the book."""
        return Lead(applicant=self.applicant, credit_assessment=self.credit_assessment)

    def command(self, commitment: str) -> c.LeadDistribution:
        """What of it is for the book."""
        return c.LeadDistribution(
            lead_id=self.lead_id,
            country=self.applicant.personal_info.address.country,
            best_by=self.best_by,
            commitment=commitment,
            effective_at=self.effective_at,
            **structs.asdict(self.loan_application),
        )


CONTACT = Kind("provider_contact", Contact)
LEAD = Kind("lead", Lead)
