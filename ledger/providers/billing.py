"""Money between us and credit providers: lead fees taken back, invoiced, paid, set off; shares of revenue.

A fee is owed from the moment a lead is delivered; an invoice only groups fees. So the receivable of a credit
provider is, at every event, its fees on no invoice and what is open on its invoices.
"""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.entry import effective_moment, refuse
from ledger.loans.accounts import provider_payable
from ledger.loans.common import check_fund, check_payable
from ledger.product import credit, debit, record
from ledger.providers import accounts as a
from ledger.providers import commands as c
from ledger.providers.common import bid_of, invoice_of, lead_of, provider_of, subject
from ledger.providers.streams import Invoice, invoice_stream, lead_stream, provider_stream
from ledger.state import Accepted, State


def reverse_fee(state: State, command: Command, now: int) -> Accepted:
    """DR lead income, tax / CR receivable, as far as the fee is still owed, and payable for the rest."""
    body = command.body
    assert isinstance(body, c.LeadFeeReversal)
    provider, name = subject(command)
    lead = lead_of(state, name)
    bid = bid_of(lead, provider)
    if bid.fee_status in ("none", "reversed"):
        refuse("no_lead_fee", lead=name, provider=provider, fee=bid.fee_status)
    gross = bid.fee + bid.tax
    credited = gross
    streams = [lead_stream(name), provider_stream(provider)]
    data: dict[str, Any] = {
        "lead": name,
        "provider": provider,
        "asset": lead.asset,
        "fee": str(bid.fee),
        "tax": str(bid.tax),
        "reason": body.reason,
    }
    if bid.fee_status == "invoiced":
        credited = min(gross, invoice_of(state, provider, bid.invoice).open)
        data["invoice"] = bid.invoice
        streams.append(invoice_stream(provider, bid.invoice))
    data["credited"] = str(credited)
    lines = (
        debit(a.LEAD_INCOME, lead.asset, bid.fee),
        debit(a.TAX_PAYABLE, lead.asset, bid.tax),
        credit(a.receivable(provider), lead.asset, credited),
        credit(provider_payable(provider), lead.asset, gross - credited),
    )
    at = effective_moment(state, body, now)
    return record(state, command, "lead_fee_reversed", now, at, lines, streams, data)


def invoice(state: State, command: Command, now: int) -> Accepted:
    """Fees that are on no invoice yet; it posts nothing."""
    body = command.body
    assert isinstance(body, c.ProviderInvoice)
    provider, _ = subject(command)
    provider_of(state, provider)
    if state.streams[invoice_stream(provider, body.invoice)] is not None:
        refuse("provider_invoice_exists", provider=provider, invoice=body.invoice)
    lines: list[dict[str, str]] = []
    assets = set()
    for name in body.leads:
        lead = lead_of(state, name)
        bid = bid_of(lead, provider)
        if bid.fee_status != "open":
            refuse("no_lead_fee", lead=name, provider=provider, fee=bid.fee_status)
        lines.append({"lead": name, "fee": str(bid.fee), "tax": str(bid.tax)})
        assets.add(lead.asset)
    if len(assets) > 1:
        refuse("invoice_of_several_assets", assets=sorted(assets))
    data = {
        "provider": provider,
        "invoice": body.invoice,
        "asset": assets.pop(),
        "lines": lines,
        "total": str(sum(int(line["fee"]) + int(line["tax"]) for line in lines)),
    }
    leads = (lead_stream(name) for name in body.leads)
    streams = [invoice_stream(provider, body.invoice), provider_stream(provider), *leads]
    at = effective_moment(state, body, now)
    return record(state, command, "credit_provider_invoiced", now, at, (), streams, data)


def pay(state: State, command: Command, now: int) -> Accepted:
    """DR where the money is / CR receivable."""
    body = command.body
    assert isinstance(body, c.InvoicePayment)
    check_fund(state, body.account)
    return _reduce(state, command, now, "provider_invoice_paid", body, body.account)


def offset(state: State, command: Command, now: int) -> Accepted:
    """DR what we owe the provider / CR receivable: no more than we owe."""
    body = command.body
    assert isinstance(body, c.InvoiceOffset)
    provider, name = subject(command)
    found = invoice_of(state, provider, name)
    check_payable(state, provider, found.asset, int(body.amount))
    return _reduce(state, command, now, "provider_invoice_offset", body, provider_payable(provider))


def _reduce(
    state: State,
    command: Command,
    now: int,
    type: str,
    body: c.InvoicePayment | c.InvoiceOffset,
    account: str,
) -> Accepted:
    provider, name = subject(command)
    found: Invoice = invoice_of(state, provider, name)
    amount = int(body.amount)
    if amount > found.open:
        refuse("exceeds_invoice", invoice=name, open=str(found.open), amount=str(amount))
    lines = (debit(account, found.asset, amount), credit(a.receivable(provider), found.asset, amount))
    data = {"provider": provider, "invoice": name, "asset": found.asset, "amount": str(amount)}
    streams = (invoice_stream(provider, name),)
    at = effective_moment(state, body, now)
    return record(state, command, type, now, at, lines, streams, data)


def share(state: State, command: Command, now: int) -> Accepted:
    """DR revenue share / CR what we owe the provider."""
    body = command.body
    assert isinstance(body, c.RevenueShare)
    provider, _ = subject(command)
    provider_of(state, provider)
    amount = int(body.amount)
    lines = (
        debit(a.REVENUE_SHARE, body.asset, amount),
        credit(provider_payable(provider), body.asset, amount),
    )
    data = {"provider": provider, "asset": body.asset, "amount": str(amount), "reason": body.reason}
    at = effective_moment(state, body, now)
    return record(state, command, "revenue_shared", now, at, lines, (provider_stream(provider),), data)
