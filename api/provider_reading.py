"""Reading credit providers over HTTP: themselves, their leads, invoices and figures.

A credential that is a provider's sees what is that provider's; to it, no other provider is there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

from anyio import to_thread
from msgspec import Meta, Struct, field

from api.handlers import Call, Handler, Reply
from api.handlers import read as read_handler
from api.lead_bodies import CONTACT, LEAD, Contact, Lead
from api.problems import Refused, make
from api.queries import Incarnation, Limit, MinSeq
from api.registry import PersonNotFound
from ledger import provider_reads as reads
from ledger.commands import Moment
from ledger.providers.streams import TAKING, BidStatus
from ledger.reader import Reader
from ledger.text import iso
from projections import provider_reads as figures

MONTH = timedelta(days=30)
Path = dict[str, Any]
After = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,64}\Z", description="Go on beyond this name.")]


class NamesQuery(Struct, forbid_unknown_fields=True):
    """A page by name."""

    after: After = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


class LeadsQuery(Struct, forbid_unknown_fields=True):
    """Leads of a credit provider by name."""

    status: Annotated[BidStatus, Meta(description="Only these.")] | None = None
    after: After = ""
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


class PeriodQuery(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Leads that were sent from a moment (30 days before the end) until before another (now)."""

    start_date: Moment | None = None
    end_date: Moment | None = None
    min_seq: MinSeq | None = field(default=None, name="min_seq")
    incarnation: Incarnation | None = None


class ProviderLeadView(Struct, frozen=True, rename="camel", omit_defaults=True):
    """A lead as a credit provider sees it: its own offer, and who applies.

    That is left out once it was erased, or the provider's part in the lead is over.
    """

    lead_id: str
    status: BidStatus
    asset: str
    requested_amount: int
    country: str
    tenure: int
    purpose: str
    credit_score: int | None
    risk_rating: str | None
    sent_at: str
    expires_at: str
    lead_fee: int
    lead_fee_tax: int
    fee_status: Literal["none", "open", "invoiced", "reversed"]
    offer: reads.OfferView | None = None
    applicant: Lead | None = None


# ---------------------------------------------------------------- whose it is


def check_own(call: Call) -> None:
    """A provider's credentials are good for that provider; others decide for any who may decide loans."""
    principal, asked = call.principal, call.path["loan_provider"]
    if principal.provider is not None:
        if principal.provider != asked:
            raise reads.CreditProviderNotFound(asked)
    elif not principal.may("credit:application:approve"):
        evidence = {"scope": "credit:application:approve", "actor": principal.actor}
        raise Refused(make("forbidden", "The credentials are no credit provider's.", evidence=evidence))


def own(function: Callable[[Reader, Path, Any], Any]) -> Handler:
    """A handler that reads what is a credit provider's, for itself and for us."""
    inner = read_handler(function)

    async def handler(call: Call) -> Reply | None:
        await call.bridge.read(call.reader.incarnation, call.path["ledger"])
        check_own(call)
        return await inner(call)

    return handler


# ---------------------------------------------------------------- what there is


def get_provider(reader: Reader, path: Path, query: Any) -> reads.CreditProviderView:
    return reads.provider(reader, path["ledger"], path["loan_provider"])


def list_providers(reader: Reader, path: Path, query: NamesQuery) -> reads.CreditProviders:
    return reads.providers(reader, path["ledger"], query.after, query.limit)


def get_lead(reader: Reader, path: Path, query: Any) -> reads.LeadView:
    return reads.lead(reader, path["ledger"], path["loan"])


def list_leads(reader: Reader, path: Path, query: LeadsQuery) -> figures.LeadLines:
    name = path["loan_provider"]
    reads.provider(reader, path["ledger"], name)
    return figures.leads(reader, path["ledger"], name, query.status, query.after, query.limit, query.min_seq)


def analytics(reader: Reader, path: Path, query: PeriodQuery) -> figures.Analytics:
    return figures.analytics(*_period(reader, path, query))


def dashboard(reader: Reader, path: Path, query: PeriodQuery) -> figures.Dashboard:
    return figures.dashboard(*_period(reader, path, query))


def _period(reader: Reader, path: Path, query: PeriodQuery) -> Any:
    name = path["loan_provider"]
    reads.provider(reader, path["ledger"], name)
    end = reader.clock() if query.end_date is None else query.end_date
    start = end - MONTH if query.start_date is None else query.start_date
    if end <= start:
        detail = "`startDate` is later than `endDate`, or the same."
        raise Refused(make("invalid_request", detail, field="endDate"))
    return reader, path["ledger"], name, start, end, query.min_seq


def list_invoices(reader: Reader, path: Path, query: NamesQuery) -> reads.Invoices:
    name = path["loan_provider"]
    reads.provider(reader, path["ledger"], name)
    return reads.invoices(reader, path["ledger"], name, query.after, query.limit)


def get_invoice(reader: Reader, path: Path, query: Any) -> reads.InvoiceView:
    return reads.invoice(reader, path["ledger"], path["loan_provider"], path["provider_invoice"])


async def get_own_lead(call: Call) -> Reply:
    """A lead, with who applies."""
    ledger, provider, name = (call.path[key] for key in ("ledger", "loan_provider", "loan"))
    await call.bridge.read(call.reader.incarnation, ledger)
    check_own(call)
    lead, bid = await call.bridge.read(reads.bid_state, call.reader, ledger, provider, name)
    applicant = None
    if bid.status in TAKING:
        with suppress(PersonNotFound):
            place = call.principal.tenant, ledger, LEAD, name
            applicant = (await to_thread.run_sync(call.bridge.registry.person, *place)).person
    view = ProviderLeadView(
        lead_id=name,
        status=bid.status,
        asset=lead.asset,
        requested_amount=lead.amount,
        country=lead.country,
        tenure=lead.tenure,
        purpose=lead.purpose,
        credit_score=lead.score,
        risk_rating=lead.rating,
        sent_at=iso(lead.sent_at),
        expires_at=iso(lead.closes_at),
        lead_fee=bid.fee,
        lead_fee_tax=bid.tax,
        fee_status=bid.fee_status,
        offer=None if bid.offer is None else reads.offer_of(bid),
        applicant=applicant,
    )
    return Reply(200, view)


async def get_contact(call: Call) -> Reply:
    """Who to talk to at a credit provider."""
    ledger, name = call.path["ledger"], call.path["loan_provider"]
    await call.bridge.read(call.reader.incarnation, ledger)
    try:
        place = call.principal.tenant, ledger, CONTACT, name
        kept = await to_thread.run_sync(call.bridge.registry.person, *place)
    except PersonNotFound:
        raise reads.CreditProviderNotFound(name) from None
    contact: Contact = kept.person
    return Reply(200, contact)
