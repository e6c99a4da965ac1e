"""What must be loaded to decide about credit providers, leads and invoices."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.commands import Command
from ledger.loans.accounts import provider_payable
from ledger.loans.state import POLICY, Loan, borrower_stream, loan_stream
from ledger.product import Needs
from ledger.providers import accounts as a
from ledger.providers import commands as c
from ledger.providers.common import subject
from ledger.providers.streams import PROVIDERS, TAKING, invoice_stream, lead_stream, provider_stream
from ledger.state import State


def needs(state: State, command: Command) -> Needs:
    """Streams and accounts; a lead leads to its loan, and both to the credit providers that bid on it."""
    body = command.body
    first, second = subject(command)
    match body:
        case c.ProviderRegistration():
            return Needs([provider_stream(first), PROVIDERS])
        case c.ProviderChange() | c.ProviderActivation() | c.ProviderSuspension():
            return Needs([provider_stream(first)])
        case c.LeadDistribution():
            return _distribution(state, body.lead_id)
        case c.LeadDecision():
            return Needs([lead_stream(second), loan_stream(second), provider_stream(first)])
        case c.LeadAcceptance():
            return _lead(state, first, [POLICY, provider_stream(body.provider)])
        case c.LeadFeeReversal():
            return _reversal(state, first, second)
        case c.ProviderInvoice():
            leads = [lead_stream(name) for name in body.leads]
            return Needs([provider_stream(first), invoice_stream(first, body.invoice), *leads])
        case c.InvoicePayment():
            return Needs([invoice_stream(first, second)], [body.account, a.receivable(first)])
        case c.InvoiceOffset():
            return Needs([invoice_stream(first, second)], [provider_payable(first), a.receivable(first)])
        case c.RevenueShare():
            return Needs([provider_stream(first)], [a.REVENUE_SHARE, provider_payable(first)])
        case c.LeadClosing():
            return _lead(state, first, [])
        case _:  # a lead that is due
            return _lead(state, second, [])


def _loan(state: State, name: str) -> list[str]:
    """A loan and its borrower."""
    known = state.streams.get(loan_stream(name))
    if known is None:
        return [loan_stream(name)]
    loan: Loan = known.state
    return [loan_stream(name), borrower_stream(loan.borrower)]


def _distribution(state: State, name: str) -> Needs:
    listed = state.streams.get(PROVIDERS)
    providers: Iterable[str] = () if listed is None else listed.state.providers
    streams = [lead_stream(name), *_loan(state, name), PROVIDERS, *map(provider_stream, providers)]
    return Needs(streams, [*map(a.receivable, providers), a.LEAD_INCOME, a.TAX_PAYABLE])


def _lead(state: State, name: str, streams: list[str]) -> Needs:
    """A lead with its loan and all credit providers whose capacity it takes."""
    known = state.streams.get(lead_stream(name))
    providers = [] if known is None else map(provider_stream, known.state.in_status(*TAKING))
    return Needs([lead_stream(name), *_loan(state, name), *providers, *streams])


def _reversal(state: State, provider: str, name: str) -> Needs:
    streams = [lead_stream(name), provider_stream(provider)]
    known = state.streams.get(lead_stream(name))
    bid = None if known is None else known.state.bids.get(provider)
    if bid is not None and bid.invoice:
        streams.append(invoice_stream(provider, bid.invoice))
    accounts = [a.receivable(provider), provider_payable(provider), a.LEAD_INCOME, a.TAX_PAYABLE]
    return Needs(streams, accounts)
