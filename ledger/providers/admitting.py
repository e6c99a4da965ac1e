"""Credit providers come and go: registered, changed, activated, suspended. None of it posts anything."""

from __future__ import annotations

from typing import Any

from ledger.commands import Command, ProductCommand
from ledger.entry import effective_moment, refuse
from ledger.loans.state import dump
from ledger.product import record
from ledger.providers import commands as c
from ledger.providers.common import provider_of, subject
from ledger.providers.criteria import Criteria, Licence, Terms
from ledger.providers.streams import PROVIDERS, Listed, provider_stream
from ledger.state import Accepted, State


def register(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.ProviderRegistration)
    name, _ = subject(command)
    if state.streams[provider_stream(name)] is not None:
        refuse("credit_provider_exists", provider=name)
    stream = state.streams[PROVIDERS]
    listed = Listed(()) if stream is None else stream.state
    if len(listed.providers) >= c.MOST_PROVIDERS:
        refuse("too_many_credit_providers", most=c.MOST_PROVIDERS)
    _check_assets(state, body)
    data = {"provider": name, **_details(body)}
    streams = (provider_stream(name), PROVIDERS)
    at = effective_moment(state, body, now)
    return record(state, command, "credit_provider_registered", now, at, (), streams, data)


def change(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.ProviderChange)
    _check_assets(state, body)
    return _about(state, command, now, "credit_provider_changed", _details(body))


def activate(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.ProviderActivation)
    for asset in body.lead_fees:
        if asset not in state.chart.asset_ids:
            refuse("asset_not_in_chart", asset=asset)
    terms = Terms(body.lead_fees, body.tax_rate, body.servicing_rate)
    return _about(state, command, now, "credit_provider_activated", {"terms": dump(terms)})


def suspend(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.ProviderSuspension)
    return _about(state, command, now, "credit_provider_suspended", {"reason": body.reason})


def _check_assets(state: State, body: c.ProviderDetails) -> None:
    capacity = body.credit_capacity
    for asset in (*capacity.supported_currencies, *capacity.total_capacity):
        if asset not in state.chart.asset_ids:
            refuse("asset_not_in_chart", asset=asset)


def _details(body: c.ProviderDetails) -> dict[str, Any]:
    registered, capacity = body.business_registration, body.credit_capacity
    licences = [
        Licence(one.license_type, one.license_number, one.issuing_authority, one.expiry_date)
        for one in body.licenses
    ]
    criteria = Criteria(
        minimum=int(capacity.minimum_loan_amount),
        maximum=int(capacity.maximum_loan_amount),
        lowest_rate=capacity.interest_rate_range.minimum,
        highest_rate=capacity.interest_rate_range.maximum,
        countries=capacity.geographic_coverage,
        assets=capacity.supported_currencies,
        capacity=capacity.total_capacity,
        open_leads=capacity.maximum_open_leads,
    )
    return {
        "name": body.company_name,
        "business_type": registered.business_type,
        "registration_number": registered.registration_number,
        "country": registered.registration_country,
        "licences": dump(licences),
        "criteria": dump(criteria),
    }


def _about(state: State, command: Command, now: int, type: str, data: dict[str, Any]) -> Accepted:
    """An event of one credit provider, which must be there."""
    assert isinstance(command.body, ProductCommand)
    name, _ = subject(command)
    provider_of(state, name)
    at = effective_moment(state, command.body, now)
    data = {"provider": name, **data}
    return record(state, command, type, now, at, (), (provider_stream(name),), data)
