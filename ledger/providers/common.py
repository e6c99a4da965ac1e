"""What the deciders of credit providers and leads share: finding what a command is about, and refusing."""

from __future__ import annotations

from ledger.commands import Command
from ledger.entry import refuse
from ledger.loans.state import Loan, Status, loan_stream
from ledger.providers.criteria import CreditProvider
from ledger.providers.streams import Bid, Invoice, Lead, invoice_stream, lead_stream, provider_stream
from ledger.state import State


def subject(command: Command) -> tuple[str, str]:
    """The names of what a command is about: the first, and the second or nothing."""
    first, _, second = str(command.subject).partition(":")
    return first, second


def provider_of(state: State, name: str) -> CreditProvider:
    """A credit provider, or the refusal that there is none."""
    stream = state.streams[provider_stream(name)]
    if stream is None:
        refuse("credit_provider_not_found", provider=name)
    provider: CreditProvider = stream.state
    return provider


def check_active(provider: CreditProvider) -> None:
    """It may decide, and lend, while it is active."""
    if provider.status != "active":
        refuse("credit_provider_not_active", provider=provider.provider, status=provider.status)


def lead_of(state: State, name: str) -> Lead:
    """A lead, or the refusal that there is none."""
    stream = state.streams[lead_stream(name)]
    if stream is None:
        refuse("lead_not_found", lead=name)
    lead: Lead = stream.state
    return lead


def bid_of(lead: Lead, provider: str) -> Bid:
    """A credit provider's part in a lead; whose lead it is not, for them it is not there."""
    bid = lead.bids.get(provider)
    if bid is None:
        refuse("lead_not_found", lead=lead.lead)
    return bid


def loan_named(state: State, name: str, *allowed: Status) -> Loan:
    """The application or loan that a lead is, in one of the statuses (any, if none is named)."""
    stream = state.streams[loan_stream(name)]
    if stream is None:
        refuse("loan_not_found", loan=name)
    loan: Loan = stream.state
    if allowed and loan.status not in allowed:
        refuse("loan_status", loan=name, status=loan.status, allowed=list(allowed))
    return loan


def invoice_of(state: State, provider: str, name: str) -> Invoice:
    """An invoice of a credit provider, or the refusal that there is none."""
    stream = state.streams[invoice_stream(provider, name)]
    if stream is None:
        refuse("provider_invoice_not_found", provider=provider, invoice=name)
    invoice: Invoice = stream.state
    return invoice
