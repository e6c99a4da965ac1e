"""What a credit provider is told of an event: what concerns it, spelled as in the system that it knows.

An event that distributes a lead says of everybody; each is told of its own bid alone. Who applies is not
told but fetched, with a key: webhooks are logged by many hands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ledger.events import Event

Data = dict[str, Any]


class Told(NamedTuple):
    """A message's type and data; until when it matters, or nothing."""

    event_type: str
    data: Data
    expires_at: str = ""


def told(event: Event, provider: str) -> Told:
    """What a credit provider is told of an event of its stream, which is one of `TELLING`."""
    return TELLING[event.type](event.data, provider)


def _sent(data: Data, provider: str) -> Told:
    match = next(one for one in data["matched"] if one["provider"] == provider)
    about: Data = {
        "leadId": data["lead"],
        "loanApplication": {
            "requestedAmount": int(data["amount"]),
            "asset": data["asset"],
            "purpose": data.get("purpose", ""),
            "tenure": data["tenure"],
            "country": data["country"],
        },
        "creditAssessment": {"creditScore": data.get("score"), "riskRating": data.get("rating")},
        "leadFee": int(match.get("fee", 0)),
        "leadFeeTax": int(match.get("tax", 0)),
    }
    return Told("lead_received", about, data["closes_at"])


def _accepted(data: Data, provider: str) -> Told:
    if data["provider"] == provider:
        return Told("offer_accepted", {"leadId": data["lead"], "status": "accepted"})
    return _ended(data, provider)


def _ended(data: Data, provider: str) -> Told:
    end = next(one for one in data["ended"] if one["provider"] == provider)
    return Told("lead_closed", {"leadId": data["lead"], "status": end["became"]})


def _reversed(data: Data, provider: str) -> Told:
    fee = {"leadFee": int(data["fee"]), "leadFeeTax": int(data["tax"]), "asset": data["asset"]}
    return Told("lead_fee_reversed", {"leadId": data["lead"], **fee, "reason": data["reason"]})


def _invoiced(data: Data, provider: str) -> Told:
    lines = [
        {"leadId": line["lead"], "leadFee": int(line["fee"]), "leadFeeTax": int(line["tax"])}
        for line in data["lines"]
    ]
    about = {"invoiceId": data["invoice"], "asset": data["asset"], "total": int(data["total"])}
    return Told("invoice_made", {**about, "lines": lines})


def _status(status: str) -> Callable[[Data, str], Told]:
    return lambda data, provider: Told("provider_status", {"status": status})


TELLING: dict[str, Callable[[Data, str], Told]] = {
    "credit_provider_activated": _status("active"),
    "credit_provider_suspended": _status("suspended"),
    "lead_distributed": _sent,
    "loan_offer_accepted": _accepted,
    "lead_closed": _ended,
    "lead_bidding_closed": _ended,
    "lead_offers_expired": _ended,
    "lead_fee_reversed": _reversed,
    "credit_provider_invoiced": _invoiced,
}
