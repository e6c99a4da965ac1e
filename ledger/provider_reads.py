"""Reading credit providers, leads and invoices, for those who ask over the API.

Spelled as in the system whose surface this is. What stands in a stream is exact at head; lists and figures
over time are a read model (`projections.provider_leads`).
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ledger.loan_reads import LoanNotFound, funding, today
from ledger.loans.costs import OfferCost
from ledger.loans.state import Loan, loan_stream
from ledger.loans.terms import Offer
from ledger.providers.best import BestBy, best_of
from ledger.providers.bidding import standing
from ledger.providers.criteria import CreditProvider, Reason, Status
from ledger.providers.streams import (
    Bid,
    BidStatus,
    Invoice,
    Lead,
    invoice_stream,
    lead_stream,
    provider_stream,
)
from ledger.reader import Reader
from ledger.text import iso, micros


class CreditProviderNotFound(LookupError):
    """`args[0]` is the name."""


class LeadNotFound(LookupError):
    """`args[0]` is the name."""


class InvoiceNotFound(LookupError):
    """`args` are the provider and the name."""


class LicenceView(Struct, frozen=True, rename="camel"):
    """A licence to lend, good through its expiry date."""

    license_type: str
    license_number: str
    issuing_authority: str
    expiry_date: str


class CapacityView(Struct, frozen=True, rename="camel"):
    """Which leads a credit provider takes, and what of its capacity is taken, by asset."""

    minimum_loan_amount: int
    maximum_loan_amount: int
    interest_rate_minimum: str
    interest_rate_maximum: str
    geographic_coverage: tuple[str, ...]
    supported_currencies: tuple[str, ...]
    total_capacity: dict[str, int]
    capacity_taken: dict[str, int]
    maximum_open_leads: int | None
    open_leads: int


class CreditProviderView(Struct, frozen=True, rename="camel"):
    """A credit provider at head. Lead fees are without tax; the expected response time is in hours."""

    provider_id: str
    company_name: str
    status: Status
    business_type: str
    registration_number: str
    registration_country: str
    licenses: list[LicenceView]
    credit_capacity: CapacityView
    lead_fees: dict[str, int]
    tax_rate: str
    servicing_rate: str
    score: int
    expected_response_time: int | None


class CreditProviders(Struct, frozen=True):
    """Credit providers by name; `next` continues as `after`, null at the end."""

    providers: list[CreditProviderView]
    next: str | None


class OfferView(Struct, frozen=True, rename="camel", omit_defaults=True):
    """An offer on a lead, ours or a provider's; `totalCost` is the interest of its schedule and its fee."""

    funding: Literal["own", "provider"]
    approved_amount: int
    interest_rate: str
    instalments: int
    processing_fee: int
    total_interest: int
    total_cost: int
    provider_id: str | None = None
    conditions: tuple[str, ...] = ()
    expires_at: str = ""
    score: int | None = None


class BestOffer(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The best of the offers that stand, and what told it from the next."""

    funding: Literal["own", "provider"]
    decided_by: str
    reason: str
    provider_id: str | None = None


class BidView(Struct, frozen=True, rename="camel"):
    """A credit provider that a lead was sent to, and what became of it."""

    provider_id: str
    provider_name: str
    score: int
    expected_response_time: int | None
    status: BidStatus


class ExcludedView(Struct, frozen=True, rename="camel"):
    """A credit provider that was not asked, and why not."""

    provider_id: str
    reasons: tuple[Reason, ...]


class LeadView(Struct, frozen=True, rename="camel"):
    """A lead with all its offers; amounts in minor units of its asset, `tenure` in days."""

    lead_id: str
    status: Literal["open", "closed", "accepted"]
    asset: str
    requested_amount: int
    country: str
    tenure: int
    purpose: str
    credit_score: int | None
    risk_rating: str | None
    sent_at: str
    closes_at: str
    best_by: BestBy
    offers: list[OfferView]
    best_offer: BestOffer | None
    providers: list[BidView]
    excluded: list[ExcludedView]


class InvoiceLine(Struct, frozen=True, rename="camel"):
    """A lead fee with its tax."""

    lead_id: str
    amount: int


class InvoiceView(Struct, frozen=True, rename="camel"):
    """An invoice: `open` is its total less what was paid or set off, and credited."""

    invoice_id: str
    provider_id: str
    asset: str
    lines: list[InvoiceLine]
    total: int
    paid: int
    credited: int
    open: int


class Invoices(Struct, frozen=True):
    """Invoices of a credit provider by name; `next` continues as `after`, null at the end."""

    invoices: list[InvoiceView]
    next: str | None


# ---------------------------------------------------------------- credit providers


def provider(reader: Reader, ledger: str, name: str) -> CreditProviderView:
    """A credit provider (CreditProviderNotFound)."""
    found = reader.stream(ledger, provider_stream(name))
    if found is None:
        raise CreditProviderNotFound(name)
    return _provider(found[0].state)


def providers(reader: Reader, ledger: str, after: str, limit: int) -> CreditProviders:
    """Credit providers beyond a name."""
    start = provider_stream(after) if after else ""
    found = reader.streams(ledger, "credit_provider", after=start, limit=limit)
    views = [_provider(stream.state) for stream, _ in found]
    return CreditProviders(views, views[-1].provider_id if len(views) == limit else None)


def _provider(kept: CreditProvider) -> CreditProviderView:
    criteria = kept.criteria
    return CreditProviderView(
        provider_id=kept.provider,
        company_name=kept.name,
        status=kept.status,
        business_type=kept.business_type,
        registration_number=kept.registration_number,
        registration_country=kept.country,
        licenses=[
            LicenceView(one.kind, one.number, one.authority, one.expires_on.isoformat())
            for one in kept.licences
        ],
        credit_capacity=CapacityView(
            minimum_loan_amount=criteria.minimum,
            maximum_loan_amount=criteria.maximum,
            interest_rate_minimum=criteria.lowest_rate,
            interest_rate_maximum=criteria.highest_rate,
            geographic_coverage=criteria.countries,
            supported_currencies=criteria.assets,
            total_capacity=criteria.capacity,
            capacity_taken=kept.taken,
            maximum_open_leads=criteria.open_leads,
            open_leads=kept.open_leads,
        ),
        lead_fees=kept.terms.lead_fees,
        tax_rate=kept.terms.tax_rate,
        servicing_rate=kept.terms.servicing_rate,
        score=kept.score,
        expected_response_time=kept.response_hours,
    )


# ---------------------------------------------------------------- leads


def is_lead(reader: Reader, ledger: str, name: str) -> bool:
    """Whether an application was distributed."""
    return reader.stream(ledger, lead_stream(name)) is not None


def lead_state(reader: Reader, ledger: str, name: str) -> Lead:
    """A lead as its stream has it (LeadNotFound)."""
    found = reader.stream(ledger, lead_stream(name))
    if found is None:
        raise LeadNotFound(name)
    lead: Lead = found[0].state
    return lead


def bid_state(reader: Reader, ledger: str, provider: str, name: str) -> tuple[Lead, Bid]:
    """A lead and a credit provider's part in it; whose lead it is not, for them it is not there."""
    lead = lead_state(reader, ledger, name)
    if provider not in lead.bids:
        raise LeadNotFound(name)
    return lead, lead.bids[provider]


def lead(reader: Reader, ledger: str, name: str) -> LeadView:
    """A lead with its offers now (LeadNotFound, LoanNotFound)."""
    kept = lead_state(reader, ledger, name)
    found = reader.stream(ledger, loan_stream(name))
    if found is None:
        raise LoanNotFound(name)
    loan: Loan = found[0].state
    day = today(reader, ledger)
    candidates = standing(kept, loan, micros(reader.clock()), day)
    best = best_of(candidates, kept.best_by)
    offers = [offer_of(bid) for bid in kept.bids.values() if bid.offer is not None]
    own = next((one for one in candidates if one.provider is None), None)
    if own is not None:
        offers.append(_offer(own.offer, own.cost))
    return LeadView(
        lead_id=name,
        status=kept.status,
        asset=kept.asset,
        requested_amount=kept.amount,
        country=kept.country,
        tenure=kept.tenure,
        purpose=kept.purpose,
        credit_score=kept.score,
        risk_rating=kept.rating,
        sent_at=iso(kept.sent_at),
        closes_at=iso(kept.closes_at),
        best_by=kept.best_by,
        offers=offers,
        best_offer=None
        if best is None
        else BestOffer(
            "own" if best.provider is None else "provider", best.decided_by, best.reason, best.provider
        ),
        providers=[
            BidView(one, bid.name, bid.score, bid.response_hours, bid.status)
            for one, bid in kept.bids.items()
        ],
        excluded=[ExcludedView(one.provider, one.reasons) for one in kept.excluded],
    )


def offer_of(bid: Bid) -> OfferView:
    """The offer of a bid that has one."""
    assert bid.offer is not None
    assert bid.cost is not None
    return _offer(bid.offer, bid.cost, bid)


def _offer(offer: Offer, cost: OfferCost, bid: Bid | None = None) -> OfferView:
    return OfferView(
        funding=funding(offer),
        approved_amount=offer.amount,
        interest_rate=offer.interest.rate,
        instalments=offer.count,
        processing_fee=offer.fee,
        total_interest=cost.interest,
        total_cost=cost.total,
        provider_id=offer.provider,
        conditions=() if bid is None else bid.conditions,
        expires_at="" if bid is None or bid.expires_at is None else iso(bid.expires_at),
        score=None if bid is None else bid.score,
    )


# ---------------------------------------------------------------- invoices


def invoice(reader: Reader, ledger: str, provider: str, name: str) -> InvoiceView:
    """An invoice (InvoiceNotFound)."""
    found = reader.stream(ledger, invoice_stream(provider, name))
    if found is None:
        raise InvoiceNotFound(provider, name)
    return _invoice(found[0].state)


def invoices(reader: Reader, ledger: str, provider: str, after: str, limit: int) -> Invoices:
    """Invoices of a credit provider beyond a name."""
    start = invoice_stream(provider, after) if after else ""
    found = reader.streams(ledger, "provider_invoice", prefix=f"{provider}:", after=start, limit=limit)
    views = [_invoice(stream.state) for stream, _ in found]
    return Invoices(views, views[-1].invoice_id if len(views) == limit else None)


def _invoice(kept: Invoice) -> InvoiceView:
    return InvoiceView(
        invoice_id=kept.invoice,
        provider_id=kept.provider,
        asset=kept.asset,
        lines=[InvoiceLine(name, amount) for name, amount in kept.lines.items()],
        total=kept.total,
        paid=kept.paid,
        credited=kept.credited,
        open=kept.open,
    )
