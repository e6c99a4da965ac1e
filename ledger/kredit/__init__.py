"""Kredit: a platform of lenders, to whom we sell verifications of their borrowers, and subscriptions.

What it asks for comes in as webhooks that are answered at once, and what it is told goes out as callbacks
(docs/kredit.md). Credits that verifications hold and use are in the wallets of the product `credits`, whose
owner is the tenant.

Read accounts, commands, streams, common, tenants, sessions, billing, needs; callbacks stands apart.
"""

from __future__ import annotations

from ledger.commands import Command
from ledger.kredit import billing, sessions, tenants
from ledger.kredit import commands as c
from ledger.kredit.accounts import CONTROLLED, PATTERNS
from ledger.kredit.needs import needs
from ledger.kredit.streams import (
    Paid,
    Payment,
    Requested,
    Rules,
    Session,
    Tenant,
    Usage,
    evolve_paid,
    evolve_payment,
    evolve_requested,
    evolve_rules,
    evolve_session,
    evolve_tenant,
    evolve_usage,
    paid_claims,
    payment_claims,
    payment_due,
    session_due,
    usage_claims,
)
from ledger.product import Kind, Product
from ledger.state import Accepted, State


def _due(state: State, command: Command, now: int) -> Accepted:
    if str(command.subject).startswith("kyc:"):
        return sessions.lapse(state, command, now)
    return billing.release(state, command, now)


PRODUCT = Product(
    name="kredit",
    kinds={
        "kredit": Kind(Rules, 1, evolve_rules),
        "kredit_tenant": Kind(Tenant, 2, evolve_tenant),
        "kyc": Kind(Session, 1, evolve_session, session_due),
        "kyc_request": Kind(Requested, 1, evolve_requested),
        "kyc_usage": Kind(Usage, 1, evolve_usage, claims=usage_claims),
        "kredit_payment": Kind(Payment, 1, evolve_payment, payment_due, payment_claims),
        "kredit_billing": Kind(Paid, 1, evolve_paid, claims=paid_claims),
    },
    deciders={
        c.SetKreditRules: tenants.set_rules,
        c.RegisterTenant: tenants.register,
        c.SetTenantTerms: tenants.set_terms,
        c.RequestVerification: sessions.request,
        c.ReportSession: sessions.report,
        c.RequestPayment: billing.request,
        c.DecidePayment: billing.decide,
        c.RecordPayment: billing.record_payment,
        c.MatchPayment: billing.match,
    },
    needs=needs,
    due=_due,
    patterns=PATTERNS,
    controlled=CONTROLLED,
)
