"""Kredit's tenants, and what things cost."""

from __future__ import annotations

import msgspec

from ledger.commands import Command
from ledger.entry import effective_moment, refuse
from ledger.kredit import commands as c
from ledger.kredit.common import id_of, rules_of, tenant_of
from ledger.kredit.streams import RULES, tenant_stream
from ledger.product import record
from ledger.state import Accepted, State


def set_rules(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.SetKreditRules)
    if body.rules.asset not in state.chart.asset_ids:
        refuse("asset_not_in_chart", asset=body.rules.asset)
    at = effective_moment(state, body, now)
    data = {"rules": msgspec.to_builtins(body.rules)}
    return record(state, command, "kredit_rules_set", now, at, [], [RULES], data)


def register(state: State, command: Command, now: int) -> Accepted:
    """A new tenant; or what is new about one that is known. Nothing new: it is there already."""
    body = command.body
    assert isinstance(body, c.RegisterTenant)
    name = tenant_stream(body.tenant)
    stream = state.streams[name]
    told = {"slug": body.slug, "name": body.name, "webhook_url": body.webhook_url or ""}
    said = {what: text for what, text in told.items() if text}
    data = {"tenant": body.tenant, **said}
    at = effective_moment(state, body, now)
    if stream is None:
        data |= {"client": id_of(state, name), "billing": rules_of(state).billing}
        return record(state, command, "kredit_tenant_registered", now, at, [], [name], data)
    if all(getattr(stream.state, what) == text for what, text in said.items()):
        refuse("already_recorded", what=name)
    return record(state, command, "kredit_tenant_changed", now, at, [], [name], data)


def set_terms(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.SetTenantTerms)
    tenant = tenant_of(state, str(command.subject))
    data = {"tenant": tenant.tenant, "billing": body.billing}
    if body.loans is not None:
        data["loans"] = body.loans
    at = effective_moment(state, body, now)
    streams = [tenant_stream(tenant.tenant)]
    return record(state, command, "kredit_tenant_set", now, at, [], streams, data)
