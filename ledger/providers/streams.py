"""The streams of credit providers: providers and the list of them, leads, invoices; how events change them.

A lead is an application for a loan, by the same name, that credit providers were asked to make offers on.
Each of them has a bid in it: what it was sent, what it answered, and the fee that it owes for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.loans.costs import OfferCost
from ledger.loans.state import restored
from ledger.loans.terms import Offer
from ledger.providers.accounts import receivable
from ledger.providers.best import BestBy
from ledger.providers.criteria import CreditProvider, Criteria, Licence, Reason, Terms
from ledger.text import from_iso

PROVIDERS = "credit_providers:main"

BidStatus = Literal["sent", "offered", "declined", "unanswered", "expired", "lost", "accepted", "released"]
# Bids that take of their provider's capacity.
TAKING: tuple[BidStatus, ...] = ("sent", "offered", "accepted")


class Bid(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A credit provider's part in a lead: `taken` of its capacity, and the `fee` and `tax` that it owes.

    The fee is `open` until it is on an `invoice` or reversed.
    """

    name: str
    score: int
    response_hours: int | None = None
    taken: int
    fee: int = 0
    tax: int = 0
    fee_status: Literal["none", "open", "invoiced", "reversed"] = "none"
    invoice: str = ""
    status: BidStatus = "sent"
    offer: Offer | None = None
    cost: OfferCost | None = None
    conditions: tuple[str, ...] = ()
    expires_at: int | None = None
    decided_at: int | None = None


class Excluded(Struct, frozen=True):
    """A credit provider that was not asked, and why not."""

    provider: str
    reasons: tuple[Reason, ...]


class Lead(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application that credit providers bid on; `bids` by provider, the best score first."""

    lead: str
    asset: str
    amount: int
    country: str
    tenure: int
    best_by: BestBy
    sent_at: int
    closes_at: int
    purpose: str = ""
    score: int | None = None
    rating: str | None = None
    status: Literal["open", "closed", "accepted"] = "open"
    bids: dict[str, Bid]
    excluded: tuple[Excluded, ...] = ()

    def in_status(self, *statuses: BidStatus) -> dict[str, Bid]:
        """The bids that are in one of the statuses."""
        return {name: bid for name, bid in self.bids.items() if bid.status in statuses}


class Listed(Struct, frozen=True):
    """All credit providers, in the order in which they were registered."""

    providers: tuple[str, ...]


class Invoice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Lead fees with their tax, by lead. What is neither paid nor credited is `open`."""

    provider: str
    invoice: str
    asset: str
    lines: dict[str, int]
    paid: int = 0
    credited: int = 0

    @property
    def total(self) -> int:
        """Of all lines."""
        return sum(self.lines.values())

    @property
    def open(self) -> int:
        """What is still owed; never below zero."""
        return self.total - self.paid - self.credited


def provider_stream(provider: str) -> str:
    """The stream of a credit provider."""
    return f"credit_provider:{provider}"


def lead_stream(lead: str) -> str:
    """The stream of a lead."""
    return f"lead:{lead}"


def invoice_stream(provider: str, invoice: str) -> str:
    """The stream of an invoice; its name is the provider's own."""
    return f"provider_invoice:{provider}:{invoice}"


# ---------------------------------------------------------------- credit providers


def evolve_list(listed: Listed | None, event: Event, stream: str) -> Listed:
    """One more."""
    known = () if listed is None else listed.providers
    return Listed((*known, event.data["provider"]))


def evolve_provider(provider: CreditProvider | None, event: Event, stream: str) -> CreditProvider:
    """A credit provider after one of its events."""
    data = event.data
    if provider is None:
        return CreditProvider(provider=data["provider"], **_details(data))
    name = provider.provider
    match event.type:
        case "credit_provider_changed":
            return replace(provider, **_details(data))
        case "credit_provider_activated":
            return replace(provider, status="active", terms=restored(data["terms"], Terms))
        case "credit_provider_suspended":
            return replace(provider, status="suspended")
        case "lead_distributed":
            provider = replace(provider, received=provider.received + 1, open_leads=provider.open_leads + 1)
            return _take(provider, data["asset"], int(data["amount"]))
        case "lead_decided":
            return _decided(provider, data)
    ended = next((end for end in data.get("ended", ()) if end["provider"] == name), None)
    if ended is None:
        return provider
    if ended["was"] == "sent":
        provider = replace(provider, open_leads=provider.open_leads - 1)
    return _take(provider, data["asset"], -int(ended["freed"]))


def _details(data: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": data["name"],
        "business_type": data["business_type"],
        "registration_number": data["registration_number"],
        "country": data["country"],
        "licences": restored(data["licences"], tuple[Licence, ...]),
        "criteria": restored(data["criteria"], Criteria),
    }


def _decided(provider: CreditProvider, data: dict[str, Any]) -> CreditProvider:
    provider = replace(
        provider,
        decided=provider.decided + 1,
        approved=provider.approved + (data["decision"] == "approved"),
        response=provider.response + int(data["response"]),
        open_leads=provider.open_leads - 1,
    )
    return _take(provider, data["asset"], -int(data["freed"]))


def _take(provider: CreditProvider, asset: str, amount: int) -> CreditProvider:
    """More of the capacity is taken, or less."""
    taken = provider.taken.get(asset, 0) + amount
    rest = {other: n for other, n in provider.taken.items() if other != asset}
    return replace(provider, taken={**rest, asset: taken} if taken else rest)


# ---------------------------------------------------------------- leads


def evolve_lead(lead: Lead | None, event: Event, stream: str) -> Lead:
    """A lead after one of its events."""
    data = event.data
    if lead is None:
        return _distributed(data)
    match event.type:
        case "lead_decided":
            return _with(lead, data["provider"], **_answer(lead.bids[data["provider"]], data))
        case "lead_fee_reversed":
            return _with(lead, data["provider"], fee_status="reversed")
        case "credit_provider_invoiced":
            return _with(lead, data["provider"], fee_status="invoiced", invoice=data["invoice"])
        case "loan_offer_accepted":
            lead = replace(_with(lead, data["provider"], status="accepted"), status="accepted")
        case "lead_closed" | "lead_bidding_closed":
            lead = replace(lead, status="closed")
    for ended in data["ended"]:
        lead = _with(lead, ended["provider"], status=ended["became"], taken=0)
    return lead


def _distributed(data: dict[str, Any]) -> Lead:
    bids = {}
    for match in data["matched"]:
        fee, tax = int(match.get("fee", 0)), int(match.get("tax", 0))
        bids[match["provider"]] = Bid(
            name=match["name"],
            score=match["score"],
            response_hours=match.get("response_hours"),
            taken=int(data["amount"]),
            fee=fee,
            tax=tax,
            fee_status="open" if fee + tax else "none",
        )
    return Lead(
        lead=data["lead"],
        asset=data["asset"],
        amount=int(data["amount"]),
        country=data["country"],
        tenure=data["tenure"],
        best_by=data["best_by"],
        sent_at=from_iso(data["sent_at"]),
        closes_at=from_iso(data["closes_at"]),
        purpose=data.get("purpose", ""),
        score=data.get("score"),
        rating=data.get("rating"),
        bids=bids,
        excluded=restored(data["excluded"], tuple[Excluded, ...]),
    )


def _answer(bid: Bid, data: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "decided_at": from_iso(data["decided_at"]),
        "taken": bid.taken - int(data["freed"]),
        "status": "declined",
    }
    if data["decision"] == "approved":
        answer |= {
            "status": "offered",
            "offer": restored(data["offer"], Offer),
            "cost": restored(data["cost"], OfferCost),
            "conditions": tuple(data.get("conditions", ())),
            "expires_at": from_iso(data["expires_at"]),
        }
    return answer


def _with(lead: Lead, provider: str, **changes: Any) -> Lead:
    return replace(lead, bids={**lead.bids, provider: replace(lead.bids[provider], **changes)})


def lead_due(lead: Lead) -> int | None:
    """When the bidding closes by itself, or the next offer expires."""
    moments = [bid.expires_at for bid in lead.in_status("offered").values() if bid.expires_at is not None]
    if lead.status == "open":
        moments.append(lead.closes_at)
    return min(moments, default=None)


def lead_claims(lead: Lead, stream: str) -> Iterator[tuple[str, str, int]]:
    """The fees that are owed and on no invoice yet."""
    for provider, bid in lead.bids.items():
        if bid.fee_status == "open":
            yield receivable(provider), lead.asset, bid.fee + bid.tax


# ---------------------------------------------------------------- invoices


def evolve_invoice(invoice: Invoice | None, event: Event, stream: str) -> Invoice:
    """An invoice after it was made, paid, set off, or a line of it credited."""
    data = event.data
    if invoice is None:
        lines = {line["lead"]: int(line["fee"]) + int(line["tax"]) for line in data["lines"]}
        return Invoice(provider=data["provider"], invoice=data["invoice"], asset=data["asset"], lines=lines)
    if event.type == "lead_fee_reversed":
        return replace(invoice, credited=invoice.credited + int(data["credited"]))
    return replace(invoice, paid=invoice.paid + int(data["amount"]))


def invoice_claims(invoice: Invoice, stream: str) -> Iterator[tuple[str, str, int]]:
    """What is owed on it."""
    if invoice.open:
        yield receivable(invoice.provider), invoice.asset, invoice.open
