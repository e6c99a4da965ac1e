"""The accounts of Kredit's billing. Credits that are held and used are on the accounts of credits."""

from __future__ import annotations

from ledger.chart import AccountPattern, AccountType
from ledger.credits.accounts import TAX_PAYABLE

BANK_UNCONFIRMED = "kredit:bank_unconfirmed"
DEFERRED = "kredit:deferred_subscription"
SUBSCRIPTION_REVENUE = "kredit:subscription_revenue"
VERIFICATION_REVENUE = "kredit:verification_revenue"


def unbilled(tenant: str) -> str:
    """What a postpaid tenant owes for verifications."""
    return f"kredit:unbilled:{tenant}"


def _own(pattern: str, type: AccountType) -> AccountPattern:
    return AccountPattern(pattern, type, product="kredit")


PATTERNS = (
    _own(BANK_UNCONFIRMED, "asset"),
    _own(DEFERRED, "liability"),
    _own("kredit:unbilled:{tenant}", "asset"),
    _own(SUBSCRIPTION_REVENUE, "income"),
    _own(VERIFICATION_REVENUE, "income"),
    # As credits ship it.
    AccountPattern(TAX_PAYABLE, "liability"),
)
# What payments and uses claim, and nothing else.
CONTROLLED = (BANK_UNCONFIRMED, DEFERRED, "kredit:unbilled:{tenant}")
