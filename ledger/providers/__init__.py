"""Credit providers: lenders that make offers on applications for loans, and whose loans we service.

An application is *distributed*: it becomes a lead of every credit provider that its declared criteria let
through, each with a bid in it. They answer with offers that stand for a while; bidding closes after 48 hours
or when the borrower accepts one, which makes the loan theirs (`ledger.loans`: funded by them, disbursed from
their funds, collected for them). For each lead they owe us a fee.

Read accounts, criteria, best, commands, streams, common, admitting, bidding, billing, needs; and telling.
"""

from __future__ import annotations

from ledger.product import Kind, Product
from ledger.providers import admitting, bidding, billing
from ledger.providers import commands as c
from ledger.providers.accounts import CONTROLLED, PATTERNS
from ledger.providers.criteria import CreditProvider
from ledger.providers.needs import needs
from ledger.providers.streams import (
    Invoice,
    Lead,
    Listed,
    evolve_invoice,
    evolve_lead,
    evolve_list,
    evolve_provider,
    invoice_claims,
    lead_claims,
    lead_due,
)

PRODUCT = Product(
    name="providers",
    kinds={
        "credit_provider": Kind(CreditProvider, 1, evolve_provider),
        "credit_providers": Kind(Listed, 1, evolve_list),
        "lead": Kind(Lead, 1, evolve_lead, lead_due, lead_claims),
        "provider_invoice": Kind(Invoice, 1, evolve_invoice, claims=invoice_claims),
    },
    deciders={
        c.ProviderRegistration: admitting.register,
        c.ProviderChange: admitting.change,
        c.ProviderActivation: admitting.activate,
        c.ProviderSuspension: admitting.suspend,
        c.LeadDistribution: bidding.distribute,
        c.LeadDecision: bidding.decide,
        c.LeadAcceptance: bidding.accept,
        c.LeadClosing: bidding.close,
        c.LeadFeeReversal: billing.reverse_fee,
        c.ProviderInvoice: billing.invoice,
        c.InvoicePayment: billing.pay,
        c.InvoiceOffset: billing.offset,
        c.RevenueShare: billing.share,
    },
    needs=needs,
    due=bidding.lapse,
    patterns=PATTERNS,
    controlled=CONTROLLED,
)
