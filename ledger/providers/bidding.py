"""Leads: distributed to all credit providers that match, answered by each, closed by time or by acceptance.

Capacity is taken in the event that distributes a lead, so that no race can take more than there is; it is
given back by the event that ends a bid. An acceptance is an event of the loan too: once it is accepted, by
whosever offer, no other offer can be.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from msgspec.structs import replace

from ledger.chart import MAX_AMOUNT
from ledger.commands import Command
from ledger.days import day_at
from ledger.entry import effective_moment, refuse
from ledger.loans.accounts import provider_payable
from ledger.loans.applying import check_limit
from ledger.loans.calendar import Every
from ledger.loans.common import borrower_of, policy_of, streams_of
from ledger.loans.costs import cost_of
from ledger.loans.schedule import Interest
from ledger.loans.state import FREE, Loan, dump
from ledger.loans.terms import Offer
from ledger.product import Line, credit, debit, record
from ledger.providers import accounts as a
from ledger.providers import commands as c
from ledger.providers.best import Best, Candidate, best_of
from ledger.providers.common import bid_of, check_active, lead_of, loan_named, provider_of, subject
from ledger.providers.criteria import HOUR, RULES_VERSION, CreditProvider, Wanted, against
from ledger.providers.streams import (
    PROVIDERS,
    TAKING,
    Bid,
    BidStatus,
    Lead,
    lead_due,
    lead_stream,
    provider_stream,
)
from ledger.state import Accepted, State
from ledger.text import iso, micros

BIDDING = 48 * HOUR


def _today(state: State, now: int) -> date:
    return day_at(now, state.zone)


# ---------------------------------------------------------------- distribution


def distribute(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.LeadDistribution)
    name = body.lead_id
    if state.streams[lead_stream(name)] is not None:
        refuse("lead_exists", lead=name)
    loan = loan_named(state, name, "submitted")
    if body.requested_amount not in (None, loan.requested):
        refuse("lead_differs", lead=name, applied=str(loan.requested), amount=str(body.requested_amount))
    borrower = borrower_of(state, loan.borrower)
    wanted = Wanted(loan.asset, loan.requested, body.country, _today(state, now))
    listed = state.streams[PROVIDERS]
    providers = [provider_of(state, one) for one in ([] if listed is None else listed.state.providers)]
    reasons = {one.provider: tuple(against(one, wanted)) for one in providers}
    matching = sorted(
        (one for one in providers if not reasons[one.provider]), key=lambda one: (-one.score, one.provider)
    )
    fees = {one.provider: _fee(one, loan.asset) for one in matching}
    data: dict[str, Any] = {
        "lead": name,
        "asset": loan.asset,
        "amount": str(loan.requested),
        "country": body.country,
        "tenure": body.tenure,
        "best_by": body.best_by,
        "sent_at": iso(now),
        "closes_at": iso(now + BIDDING),
        "rules": {"name": "declared_criteria", "version": RULES_VERSION},
        "matched": [_matched(one, *fees[one.provider]) for one in matching],
        "excluded": [
            {"provider": one, "reasons": list(reasons[one])} for one in sorted(reasons) if reasons[one]
        ],
    }
    for key, value in (("score", borrower.score), ("rating", borrower.rating), ("purpose", body.purpose)):
        if value:
            data[key] = value
    if body.commitment:
        data["commitment"] = body.commitment
    streams = [lead_stream(name), *(provider_stream(one.provider) for one in matching)]
    at = effective_moment(state, body, now)
    lines = _fee_lines(loan.asset, fees)
    return record(state, command, "lead_distributed", now, at, lines, streams, data)


def _fee(provider: CreditProvider, asset: str) -> tuple[int, int]:
    """The fee of a lead and its tax, half to even."""
    fee = provider.terms.lead_fees.get(asset, 0)
    tax = (Decimal(fee) * Decimal(provider.terms.tax_rate) / 100).to_integral_value(ROUND_HALF_EVEN)
    return fee, int(tax)


def _matched(provider: CreditProvider, fee: int, tax: int) -> dict[str, Any]:
    found: dict[str, Any] = {"provider": provider.provider, "name": provider.name, "score": provider.score}
    if provider.response_hours is not None:
        found["response_hours"] = provider.response_hours
    if fee:
        found["fee"] = str(fee)
    if tax:
        found["tax"] = str(tax)
    return found


def _fee_lines(asset: str, fees: dict[str, tuple[int, int]]) -> list[Line]:
    """DR each provider's receivable / CR lead income, tax payable."""
    lines = [debit(a.receivable(provider), asset, fee + tax) for provider, (fee, tax) in fees.items()]
    lines.append(credit(a.LEAD_INCOME, asset, sum(fee for fee, _ in fees.values())))
    lines.append(credit(a.TAX_PAYABLE, asset, sum(tax for _, tax in fees.values())))
    return lines


# ---------------------------------------------------------------- decision


def decide(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.LeadDecision)
    name, lead_name = subject(command)
    lead = lead_of(state, lead_name)
    bid = bid_of(lead, name)
    provider = provider_of(state, name)
    check_active(provider)
    if bid.status != "sent" or lead.status != "open":
        refuse("lead_not_open", lead=lead_name, provider=name, status=bid.status, bidding=lead.status)
    loan_named(state, lead_name, "submitted", "approved")
    data: dict[str, Any] = {
        "lead": lead_name,
        "provider": name,
        "decision": body.decision,
        "asset": lead.asset,
        "decided_at": iso(now),
        "response": str(now - lead.sent_at),
        "freed": str(bid.taken),
    }
    if body.decision == "approved":
        offer = _offer(lead, provider, body)
        assert body.expires_at is not None
        if micros(body.expires_at) <= now:
            refuse("offer_expired", loan=lead_name, expires_at=iso(micros(body.expires_at)))
        cost = cost_of(offer, _today(state, now))
        if cost.total > MAX_AMOUNT:
            refuse("amount_overflow", account=provider_payable(name), asset=lead.asset)
        data |= {
            "offer": dump(offer),
            "cost": dump(cost),
            "expires_at": iso(micros(body.expires_at)),
            "freed": str(bid.taken - offer.amount),
        }
    if body.conditions:
        data["conditions"] = list(body.conditions)
    if body.reason:
        data["reason"] = body.reason
    if body.custom_data:
        data["custom_data"] = body.custom_data
    streams = (lead_stream(lead_name), provider_stream(name))
    at = effective_moment(state, body, now)
    return record(state, command, "lead_decided", now, at, (), streams, data)


def _offer(lead: Lead, provider: CreditProvider, body: c.LeadDecision) -> Offer:
    """Equal monthly instalments, as many as the tenure has months of a twelfth of 365 days, one at least."""
    assert body.approved_amount is not None
    assert body.interest_rate is not None
    assert body.tenure is not None
    amount, rate, criteria = int(body.approved_amount), Decimal(body.interest_rate), provider.criteria
    if amount > lead.amount:
        refuse("exceeds_request", lead=lead.lead, requested=str(lead.amount), amount=str(amount))
    if not Decimal(criteria.lowest_rate) <= rate <= Decimal(criteria.highest_rate):
        refuse(
            "rate_outside_range",
            rate=body.interest_rate,
            lowest=criteria.lowest_rate,
            highest=criteria.highest_rate,
        )
    return Offer(
        asset=lead.asset,
        amount=amount,
        interest=Interest("equal_instalments", body.interest_rate),
        count=max(1, (24 * body.tenure + 365) // 730),
        every=Every("months", 1),
        fee=int(body.processing_fee),
        provider=provider.provider,
        servicing_rate=provider.terms.servicing_rate,
    )


# ---------------------------------------------------------------- acceptance


def accept(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.LeadAcceptance)
    name, _ = subject(command)
    lead = lead_of(state, name)
    bid = bid_of(lead, body.provider)
    loan = loan_named(state, name, "submitted", "approved")
    if bid.status == "expired":
        assert bid.expires_at is not None
        refuse("offer_expired", loan=name, expires_at=iso(bid.expires_at))
    if bid.status != "offered":
        refuse("no_standing_offer", lead=name, provider=body.provider, status=bid.status)
    provider = provider_of(state, body.provider)
    check_active(provider)
    policy = policy_of(state)
    after = replace(loan, decided="accepted", offer=bid.offer, policy=policy)
    check_limit(borrower_of(state, loan.borrower), after)
    best = _best(state, lead, loan, now)
    ended = [_end(one, other, "lost") for one, other in _others(lead, body.provider)]
    data: dict[str, Any] = {
        "lead": name,
        "provider": body.provider,
        "borrower": loan.borrower,
        "offer": dump(bid.offer),
        "policy": dump(policy),
        "ended": ended,
        "asset": lead.asset,
    }
    if best is not None:
        data["best"] = dump(best)
    if bid.conditions:
        data["conditions"] = list(bid.conditions)
    streams = streams_of(loan, after, data) + _streams(lead, (*_names(ended), body.provider))
    at = effective_moment(state, body, now)
    return record(state, command, "loan_offer_accepted", now, at, (), streams, data)


def _others(lead: Lead, provider: str) -> list[tuple[str, Bid]]:
    return [(one, bid) for one, bid in lead.in_status(*TAKING).items() if one != provider]


def _best(state: State, lead: Lead, loan: Loan, now: int) -> Best | None:
    """The best offer that stands, our own among them."""
    return best_of(standing(lead, loan, now, _today(state, now)), lead.best_by)


def standing(lead: Lead, loan: Loan, now: int, day: date) -> list[Candidate]:
    """The offers on a lead that can be accepted; our own costs what it would, disbursed on `day`."""
    found = []
    for provider, bid in lead.in_status("offered").items():
        assert bid.offer is not None
        assert bid.cost is not None
        if bid.expires_at is None or bid.expires_at > now:
            found.append(Candidate(provider, bid.offer, bid.cost, bid.decided_at))
    expired = loan.expires_at is not None and loan.expires_at <= now
    if loan.status == "approved" and loan.offer is not None and not expired:
        cost = cost_of(loan.offer, day)
        if cost.total <= MAX_AMOUNT:
            found.append(Candidate(loan.offer.provider, loan.offer, cost, None))
    return found


# ---------------------------------------------------------------- the end


def _end(provider: str, bid: Bid, became: BidStatus) -> dict[str, str]:
    return {"provider": provider, "was": bid.status, "became": became, "freed": str(bid.taken)}


def _names(ended: Iterable[dict[str, str]]) -> list[str]:
    return [end["provider"] for end in ended]


def _streams(lead: Lead, providers: Iterable[str]) -> list[str]:
    return [lead_stream(lead.lead), *(provider_stream(provider) for provider in providers)]


def close(state: State, command: Command, now: int) -> Accepted:
    """By hand: early; or all that is left of a lead whose loan is over, or is not that of a provider."""
    body = command.body
    assert isinstance(body, c.LeadClosing)
    name, _ = subject(command)
    lead, loan = lead_of(state, name), loan_named(state, name)
    elsewhere = lead.status != "accepted" and loan.status not in ("submitted", "approved")
    left = lead.in_status(*TAKING) if elsewhere or loan.status in FREE else {}
    if lead.status != "open" and not left:
        refuse("lead_not_open", lead=name, provider="", status="", bidding=lead.status)
    at = effective_moment(state, body, now)
    return _closed(state, command, "lead_closed", now, at, lead, left, {"reason": body.reason})


def _closed(
    state: State,
    command: Command,
    type: str,
    now: int,
    at: int,
    lead: Lead,
    left: dict[str, Bid],
    data: dict[str, Any],
) -> Accepted:
    """No more bids: who has not answered will not. `left` are offers that end with it."""
    unanswered = lead.in_status("sent")
    ended = [_end(one, bid, "unanswered") for one, bid in unanswered.items()]
    ended += [
        _end(one, bid, "released" if bid.status == "accepted" else "lost")
        for one, bid in left.items()
        if one not in unanswered
    ]
    data |= {"lead": lead.lead, "asset": lead.asset, "ended": ended}
    # The clock may be past the end of the bidding; what counts is what stood then.
    closed_at = min(now, lead.closes_at)
    best = None if left else _best(state, lead, loan_named(state, lead.lead), closed_at)
    if best is not None:
        data["best"] = dump(best)
    return record(state, command, type, now, at, (), _streams(lead, _names(ended)), data)


def lapse(state: State, command: Command, now: int) -> Accepted:
    """The moment of a lead has come: its bidding closes, or offers on it expire."""
    stream = state.streams[str(command.subject)]
    assert stream is not None
    lead: Lead = stream.state
    at = lead_due(lead)
    assert at is not None
    if lead.status == "open" and lead.closes_at == at:
        return _closed(state, command, "lead_bidding_closed", now, at, lead, {}, {})
    ended = [
        _end(one, bid, "expired") for one, bid in lead.in_status("offered").items() if bid.expires_at == at
    ]
    data = {"lead": lead.lead, "asset": lead.asset, "ended": ended}
    return record(state, command, "lead_offers_expired", now, at, (), _streams(lead, _names(ended)), data)
