"""Leads by credit provider: what lists and figures over time are made from.

What decides - capacity, bids, fees, invoices - is in the streams, exact at every moment.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from ledger.events import Event
from ledger.wire import Connection
from projections.projection import Range, Subject
from sql import load as load_queries

QUERIES = load_queries("provider_models.sql")
STEPS = ("add_leads", "decide_leads", "accept_leads", "end_leads", "reverse_lead_fees", "lend_leads")
SERVICING = "loans:servicing_income"

# So many leads are folded at once; of more, the events are read again for each part of them.
PART = 10_000


class ProviderLeads:
    """See above."""

    name = "provider_leads"
    code_version = 1
    tables = ("provider_leads",)

    def apply(self, connection: Connection, range: Range) -> None:
        """A bid is sent, answered, accepted and ended, in this order; what a loan does comes after."""
        for step in STEPS:
            connection.execute(QUERIES[step], range._asdict())

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """One event after another, in as many passes as there are parts."""
        sent = sum(event.type == "lead_distributed" for event in events)
        parts = -(-sent // PART)
        for part in range(parts):
            found: dict[str, dict[str, _Bid]] = {}
            for event in events:
                name = event.data.get("lead") or event.data.get("loan", "")
                if name and zlib.crc32(name.encode()) % parts == part:
                    _fold(found, name, event)
            for name, bids in found.items():
                for provider, bid in bids.items():
                    yield "provider_leads", bid.row(provider, name)


class _Bid(Struct):
    seq: int
    requested: int
    fee: int
    sent_at: datetime
    asset: str
    rating: str
    approved: int | None = None
    disbursed: int = 0
    servicing: int = 0
    decided_at: datetime | None = None
    reversed: bool = False
    status: str = "sent"

    def row(self, provider: str, lead: str) -> tuple[Any, ...]:
        """As it is stored, after version and ledger."""
        amounts = (self.requested, self.approved, self.disbursed, self.fee, self.servicing)
        names = (provider, lead, self.asset, self.rating, self.status)
        return (self.seq, *amounts, self.sent_at, self.decided_at, self.reversed, *names)


def _fold(found: dict[str, dict[str, _Bid]], name: str, event: Event) -> None:
    data = event.data
    if event.type == "lead_distributed":
        found[name] = {
            match["provider"]: _Bid(
                event.seq,
                int(data["amount"]),
                int(match.get("fee", 0)),
                datetime.fromisoformat(data["sent_at"]),
                data["asset"],
                data.get("rating", ""),
            )
            for match in data["matched"]
        }
    bids = found.get(name, {})
    match event.type:
        case "lead_decided":
            bid = bids[data["provider"]]
            bid.decided_at = datetime.fromisoformat(data["decided_at"])
            bid.status = "declined"
            if data["decision"] == "approved":
                bid.approved, bid.status = int(data["offer"]["amount"]), "offered"
        case "lead_fee_reversed":
            bids[data["provider"]].reversed = True
        case "loan_offer_accepted":
            bids[data["provider"]].status = "accepted"
    for end in data.get("ended", ()):
        bids[end["provider"]].status = end["became"]
    for bid in bids.values():
        if bid.status in ("accepted", "released"):
            _lend(bid, event)


def _lend(bid: _Bid, event: Event) -> None:
    """What the loan of an accepted offer did."""
    if event.type == "loan_disbursed":
        bid.disbursed += int(event.data["fact"]["amount"])
    for leg in event.postings:
        if leg.account == SERVICING and leg.kind == "posted":
            bid.servicing += int(leg.amount) if leg.side == "credit" else -int(leg.amount)
