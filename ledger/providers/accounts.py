"""The accounts of what credit providers owe us and we owe them, by address.

What was collected for them, and their funds, stand on accounts of loans (`ledger.loans.accounts`); a share of
revenue becomes part of the same payable, so that one remittance pays all.
"""

from __future__ import annotations

from ledger.chart import ANY_ASSET, AccountPattern, Limits

LEAD_INCOME = "providers:lead_income"
REVENUE_SHARE = "providers:revenue_share"
TAX_PAYABLE = "tax:payable"

RECEIVABLE = "providers:receivable:{provider}"

PATTERNS = (
    AccountPattern(RECEIVABLE, "asset", limits={ANY_ASSET: Limits(min_available=0)}, product="providers"),
    AccountPattern(LEAD_INCOME, "income"),
    AccountPattern(REVENUE_SHARE, "expense"),
    AccountPattern(TAX_PAYABLE, "liability"),
)

# What leads and invoices claim, and nothing else.
CONTROLLED = (RECEIVABLE,)


def receivable(provider: str) -> str:
    """The lead fees that a credit provider owes us."""
    return f"providers:receivable:{provider}"
