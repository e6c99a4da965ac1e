"""What Kredit's tenants pay: for subscriptions, and afterwards for verifications.

A payment that is said to have been made is no cash. Approved, it is expected at the bank, and the net of it
is earned day by day over its period, both ends in; when the bank has it, it is cash. What is released on a
day brings the sum to `round_half_even(net x days / days in all)`, so the last day takes the rest.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from ledger.commands import Command
from ledger.credits.accounts import TAX_PAYABLE
from ledger.credits.lots import round_half_even
from ledger.days import day_at, day_of
from ledger.entry import effective_moment, refuse
from ledger.kredit import commands as c
from ledger.kredit.accounts import BANK_UNCONFIRMED, DEFERRED, SUBSCRIPTION_REVENUE, unbilled
from ledger.kredit.common import rules_of, tenant_of
from ledger.kredit.streams import Paid, Payment, billing_stream, payment_stream, tenant_stream
from ledger.loans.common import check_fund
from ledger.periods import start_of
from ledger.product import Line, credit, debit, record
from ledger.state import Accepted, State
from ledger.text import iso, micros

DAY = timedelta(days=1)
WHOLE = 10_000  # basis points


def request(state: State, command: Command, now: int) -> Accepted:
    """Said to be paid: nothing is posted."""
    body = command.body
    assert isinstance(body, c.RequestPayment)
    tenant, rules = tenant_of(state, body.tenant), rules_of(state)
    name = payment_stream(body.request)
    if state.streams[name] is not None:
        refuse("kredit_payment_exists", request=body.request)
    if rules.asset not in state.chart.asset_ids:
        refuse("asset_not_in_chart", asset=rules.asset)
    start, end = period_of(state.zone, body.period_start, body.period_end)
    tax = round_half_even(body.amount * rules.tax_basis_points, WHOLE + rules.tax_basis_points)
    data: dict[str, Any] = {
        "request": body.request,
        "tenant": tenant.tenant,
        "plan": body.plan,
        "asset": rules.asset,
        "amount": str(body.amount),
        "tax": str(tax),
        "billing_type": body.billing_type,
        "payment_reference": body.payment_reference,
        "period_start": start.isoformat(),
        "period_end": end.isoformat(),
    }
    if body.requested_at is not None:
        data["requested_at"] = iso(micros(body.requested_at))
    if body.add_ons:
        data["add_ons"] = body.add_ons
    if body.line_items:
        data["line_items"] = body.line_items
    if body.decision_webhook_url is not None:
        data["decision_webhook_url"] = body.decision_webhook_url
    at = effective_moment(state, body, now)
    return record(state, command, "subscription_payment_requested", now, at, [], [name], data)


def decide(state: State, command: Command, now: int) -> Accepted:
    """Approved: DR bank unconfirmed / CR deferred, tax payable, and at once what of the period is over."""
    body = command.body
    assert isinstance(body, c.DecidePayment)
    payment = payment_of(state, str(command.subject))
    if payment.status != "pending":
        refuse("kredit_payment_decided", request=payment.request, status=payment.status)
    at = effective_moment(state, body, now)
    name = payment_stream(payment.request)
    type = f"subscription_payment_{body.status}"
    data = _about(payment)
    if body.status == "rejected":
        data["rejection_reason"] = body.rejection_reason
        return record(state, command, type, now, at, [], [name], data, [f"{name}:decided"])
    today = day_at(now, state.zone)
    days = min(max((today - date.fromisoformat(payment.start)).days, 0), days_in(payment))
    released = earned(payment, days)
    asset = payment.asset
    lines = [
        debit(BANK_UNCONFIRMED, asset, payment.amount),
        credit(DEFERRED, asset, payment.amount - payment.tax),
        credit(TAX_PAYABLE, asset, payment.tax),
        *_release(asset, released),
    ]
    data |= _progress(state, payment, days, released)
    streams = [name, tenant_stream(payment.tenant)]
    return record(state, command, type, now, at, lines, streams, data, [f"{name}:decided"])


def release(state: State, command: Command, now: int) -> Accepted:
    """A day of the period is over: DR deferred / CR revenue."""
    payment = payment_of(state, str(command.subject).partition(":")[2])
    assert payment.release_at is not None
    days = payment.days + 1
    released = earned(payment, days) - payment.released
    data = {
        "request": payment.request,
        "tenant": payment.tenant,
        **_progress(state, payment, days, released),
    }
    lines = _release(payment.asset, released)
    name = str(command.subject)
    return record(state, command, "subscription_released", now, payment.release_at, lines, [name], data)


def record_payment(state: State, command: Command, now: int) -> Accepted:
    """Once for a tenant and period: DR bank unconfirmed / CR unbilled."""
    body = command.body
    assert isinstance(body, c.RecordPayment)
    tenant, rules = tenant_of(state, body.tenant), rules_of(state)
    if tenant.billing != "postpaid":
        refuse("kredit_tenant_prepaid", tenant=tenant.tenant)
    start, end = period_of(state.zone, body.period_start, body.period_end)
    name = billing_stream(tenant.tenant, start, end)
    if state.streams[name] is not None:
        refuse("already_recorded", what=name)
    at = effective_moment(state, body, now)
    data = {
        "tenant": tenant.tenant,
        "client": tenant.client,
        "period_start": start.isoformat(),
        "period_end": end.isoformat(),
        "asset": rules.asset,
        "amount": str(body.amount),
    }
    if tenant.webhook_url:
        data["webhook_url"] = tenant.webhook_url
    lines = [
        debit(BANK_UNCONFIRMED, rules.asset, body.amount),
        credit(unbilled(tenant.tenant), rules.asset, body.amount),
    ]
    return record(state, command, "kredit_payment_recorded", now, at, lines, [name], data, [name])


def match(state: State, command: Command, now: int) -> Accepted:
    """The bank has it: DR bank / CR bank unconfirmed."""
    body = command.body
    assert isinstance(body, c.MatchPayment)
    check_fund(state, body.account)
    name = matched(state, body)
    stream = state.streams[name]
    if stream is None:
        refuse("kredit_payment_not_found", payment=name)
    paid: Payment | Paid = stream.state
    if isinstance(paid, Payment) and paid.status != "approved":
        refuse("kredit_payment_not_approved", request=paid.request, status=paid.status)
    if paid.matched:
        refuse("already_recorded", what=name)
    at = effective_moment(state, body, now)
    lines = [debit(body.account, paid.asset, paid.amount), credit(BANK_UNCONFIRMED, paid.asset, paid.amount)]
    data = {"payment": name, "tenant": paid.tenant, "account": body.account}
    return record(state, command, "kredit_payment_matched", now, at, lines, [name], data, [f"{name}:matched"])


def matched(state: State, body: c.MatchPayment) -> str:
    """The stream of the payment that the bank has confirmed (Refused)."""
    if body.request is not None:
        return payment_stream(body.request)
    assert body.tenant is not None
    assert body.period_start is not None
    assert body.period_end is not None
    return billing_stream(body.tenant, *period_of(state.zone, body.period_start, body.period_end))


def period_of(zone: tzinfo, start: str, end: str) -> tuple[date, date]:
    """The first and the last day of a period, by the ledger's calendar (Refused)."""
    first, last = (
        day_of(at, zone) if isinstance(at, datetime) else at
        for at in (c.day_of_period("period_start", start), c.day_of_period("period_end", end))
    )
    if last < first:
        refuse("period_ends_before", period_start=first.isoformat(), period_end=last.isoformat())
    return first, last


def payment_of(state: State, request: str) -> Payment:
    """A payment for a subscription (Refused)."""
    stream = state.streams[payment_stream(request)]
    if stream is None:
        refuse("kredit_payment_not_found", payment=request)
    assert isinstance(stream.state, Payment)
    return stream.state


def days_in(payment: Payment) -> int:
    """How many days its period has."""
    return (date.fromisoformat(payment.end) - date.fromisoformat(payment.start)).days + 1


def earned(payment: Payment, days: int) -> int:
    """What of its net is earned when so many days are over."""
    return round_half_even((payment.amount - payment.tax) * days, days_in(payment))


def _release(asset: str, amount: int) -> list[Line]:
    return [debit(DEFERRED, asset, amount), credit(SUBSCRIPTION_REVENUE, asset, amount)]


def _progress(state: State, payment: Payment, days: int, released: int) -> dict[str, Any]:
    """How far the release has come; `release_at`: when the next day is over."""
    data: dict[str, Any] = {"days": days, "released": str(released)}
    if days < days_in(payment):
        over = date.fromisoformat(payment.start) + (days + 1) * DAY
        data["release_at"] = iso(start_of(over, state.zone))
    return data


def _about(payment: Payment) -> dict[str, Any]:
    """What whoever asked is told with the decision."""
    data = {
        "request": payment.request,
        "tenant": payment.tenant,
        "plan": payment.plan,
        "asset": payment.asset,
        "amount": str(payment.amount),
        "payment_reference": payment.reference,
        "period_start": payment.start,
        "period_end": payment.end,
    }
    if payment.decision_webhook_url:
        data["decision_webhook_url"] = payment.decision_webhook_url
    return data
