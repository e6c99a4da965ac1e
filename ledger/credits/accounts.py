"""The accounts of credits: their addresses, and the patterns that a chart gets with the product.

Units are memo accounts in the credit type's own asset; money is in the currency of the purchase. What is
unmarked is shared with who brings the money in: Stripe's adapter and credits meet in `payments:unapplied`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ledger.chart import AccountPattern, AccountType

UNAPPLIED = "payments:unapplied"
TAX_PAYABLE = "tax:payable"
DISPUTES = "payments:disputes_receivable"


class Accounts(NamedTuple):
    """The addresses that one wallet's events post to. `asset` is that of its units."""

    asset: str
    available: str
    held: str
    frozen: str
    issued: str
    consumed: str
    expired: str
    retired: str
    liability: str
    revenue: str
    breakage: str
    recognised: str
    unclaimed: str
    adjustments: str
    refunds: str
    dispute_loss: str
    receivable: str


@lru_cache(maxsize=10_000)
def accounts_of(owner: str, credit_type: str) -> Accounts:
    """The accounts of a wallet."""
    wallet = f"customers:{owner}:credits:{credit_type}"
    return Accounts(
        asset=f"CREDIT.{credit_type}/0",
        available=wallet,
        held=f"{wallet}:held",
        frozen=f"{wallet}:frozen",
        issued="credits:units:issued",
        consumed="credits:units:consumed",
        expired="credits:units:expired",
        retired="credits:units:retired",
        liability=f"credits:contract_liability:{credit_type}",
        revenue=f"credits:revenue:{credit_type}",
        breakage=f"credits:breakage_revenue:{credit_type}",
        recognised=f"credits:breakage_recognised:{credit_type}",
        unclaimed=f"credits:unclaimed_property:{credit_type}",
        adjustments=f"credits:adjustments:{credit_type}",
        refunds=f"credits:refunds:{credit_type}",
        dispute_loss=f"credits:dispute_loss:{credit_type}",
        receivable=f"customers:{owner}:credits_receivable",
    )


def _own(pattern: str, type: AccountType, contra: bool = False, memo: bool = False) -> AccountPattern:
    return AccountPattern(pattern, type, contra=contra, memo=memo, product="credits")


PATTERNS = (
    _own("customers:{owner}:credits:{type}", "liability", memo=True),
    _own("customers:{owner}:credits:{type}:held", "liability", memo=True),
    _own("customers:{owner}:credits:{type}:frozen", "liability", memo=True),
    _own("credits:units:issued", "asset", memo=True),
    _own("credits:units:consumed", "liability", memo=True),
    _own("credits:units:expired", "liability", memo=True),
    _own("credits:units:retired", "liability", memo=True),
    _own("credits:contract_liability:{type}", "liability"),
    _own("credits:breakage_recognised:{type}", "liability", contra=True),
    _own("credits:unclaimed_property:{type}", "liability"),
    _own("credits:revenue:{type}", "income"),
    _own("credits:breakage_revenue:{type}", "income"),
    _own("credits:adjustments:{type}", "income"),
    _own("credits:refunds:{type}", "income", contra=True),
    _own("credits:dispute_loss:{type}", "expense"),
    AccountPattern("customers:{owner}:credits_receivable", "asset"),
    AccountPattern(UNAPPLIED, "liability"),
    AccountPattern(TAX_PAYABLE, "liability"),
    AccountPattern(DISPUTES, "asset"),
)
