"""What must be loaded to decide about Kredit's side."""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.credits.accounts import TAX_PAYABLE, accounts_of
from ledger.credits.streams import SETTINGS, wallet_stream
from ledger.entry import Refused
from ledger.kredit import commands as c
from ledger.kredit.accounts import (
    BANK_UNCONFIRMED,
    DEFERRED,
    SUBSCRIPTION_REVENUE,
    VERIFICATION_REVENUE,
    unbilled,
)
from ledger.kredit.billing import matched, period_of
from ledger.kredit.streams import (
    RULES,
    billing_stream,
    payment_stream,
    request_stream,
    session_stream,
    tenant_stream,
)
from ledger.product import Needs
from ledger.state import State

_BILLING = (BANK_UNCONFIRMED, DEFERRED, SUBSCRIPTION_REVENUE, TAX_PAYABLE)


def needs(state: State, command: Command) -> Needs:
    """Streams and accounts; a request leads to its last session, a session to its tenant's wallet."""
    body, subject = command.body, str(command.subject)
    match body:
        case c.SetKreditRules():
            return Needs([RULES])
        case c.RegisterTenant():
            return Needs([tenant_stream(body.tenant), RULES])
        case c.SetTenantTerms():
            return Needs([tenant_stream(subject)])
        case c.RequestVerification():
            return _request(state, body)
        case c.ReportSession():
            return _session(state, session_stream(subject))
        case c.RequestPayment():
            return Needs([payment_stream(body.request), tenant_stream(body.tenant), RULES])
        case c.DecidePayment():
            return _decision(state, payment_stream(subject))
        case c.RecordPayment():
            return _payment(state, body)
        case c.MatchPayment():
            return _match(state, body)
    if subject.startswith("kyc:"):
        return _session(state, subject)
    return Needs([subject], _BILLING)


def _request(state: State, body: c.RequestVerification) -> Needs:
    asked = request_stream(body.request)
    names = [tenant_stream(body.tenant), RULES, asked]
    requested = state.streams.get(asked)
    if requested is not None:
        names.append(session_stream(requested.state.session))
    if any(name not in state.streams for name in names):
        return Needs(names)
    rules = state.streams[RULES]
    credit_type = c.KreditRules().credit_type if rules is None else rules.state.rules.credit_type
    return _with_wallet(body.tenant, credit_type, names)


def _session(state: State, name: str) -> Needs:
    found = state.streams.get(name)
    if found is None:
        return Needs([name])
    session: Any = found.state
    if not session.hold:
        return Needs([name], [unbilled(session.tenant), VERIFICATION_REVENUE])
    return _with_wallet(session.tenant, session.credit_type, [name])


def _with_wallet(tenant: str, credit_type: str, names: list[str]) -> Needs:
    wallet = wallet_stream(tenant, credit_type)
    return Needs([*names, wallet, SETTINGS], accounts_of(tenant, credit_type)[1:])


def _decision(state: State, name: str) -> Needs:
    found = state.streams.get(name)
    tenant = [] if found is None else [tenant_stream(found.state.tenant)]
    return Needs([name, *tenant], _BILLING)


def _payment(state: State, body: c.RecordPayment) -> Needs:
    names = [tenant_stream(body.tenant), RULES]
    accounts = [BANK_UNCONFIRMED, unbilled(body.tenant)]
    try:
        period = period_of(state.zone, body.period_start, body.period_end)
    except Refused:
        return Needs(names, accounts)  # as it is going to be
    return Needs([*names, billing_stream(body.tenant, *period)], accounts)


def _match(state: State, body: c.MatchPayment) -> Needs:
    accounts = [BANK_UNCONFIRMED, body.account]
    try:
        return Needs([matched(state, body)], accounts)
    except Refused:
        return Needs([], accounts)  # as it is going to be
