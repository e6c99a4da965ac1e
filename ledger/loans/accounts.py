"""The accounts of loans: control accounts that only the product posts to, with one sub-ledger, the loans.

Income and expense accounts are open to others too: periods are closed by posting to them. What a loan adds to
each account stands in its stream (`Book.totals`), so that the sum over the loans is the
balance of the account. Money itself (banks, suspense, clearing) stands on accounts of the ledger's own.
"""

from __future__ import annotations

from typing import Literal

from ledger.chart import ANY_ASSET, AccountPattern, AccountType, Limits

# The parts of a debt that are income.
Earned = Literal["interest", "fee", "penalty"]

PORTFOLIO = "loans:portfolio"
RECEIVABLE: dict[Earned, str] = {
    "interest": "loans:interest_receivable",
    "fee": "loans:fees_receivable",
    "penalty": "loans:penalties_receivable",
}
INCOME: dict[Earned, str] = {
    "interest": "loans:interest_income",
    "fee": "loans:fee_income",
    "penalty": "loans:penalty_income",
}
# Income given back: by charge-off and by goodwill.
CONTRA: dict[Earned, str] = {
    "interest": "loans:interest_reversed",
    "fee": "loans:fees_reversed",
    "penalty": "loans:penalties_reversed",
}
DEFERRED_FEES = "loans:deferred_fees"
UNEARNED = "loans:unearned_interest"
OVERPAID = "loans:overpayments"
SUSPENDED = "loans:suspended_income"
SUSPENDED_OFFSET = "loans:suspended_income_offset"
LOSSES = "loans:losses_written_off"
GOODWILL = "loans:goodwill_expense"
CHARGE_OFFS = "loans:charge_off_expense"
IMPAIRMENT = "loans:impairment_expense"
ALLOWANCE = "loans:allowance"
RECOVERIES = "loans:recovery_income"
COLLATERAL = "loans:collateral_held"
COLLATERAL_OFFSET = "loans:collateral_offset"
RECOVERY_COSTS = "loans:recovery_costs"
BORROWER_PAYABLE = "loans:borrower_payable"
SERVICED = "loans:serviced_principal"
SERVICED_OFFSET = "loans:serviced_principal_offset"
SERVICING_INCOME = "loans:servicing_income"


SUSPENSE = "loans:suspense"


def clearing(method: str) -> str:
    """What was paid by a method and has not reached the bank."""
    return f"loans:clearing:{method}"


def provider_funds(provider: str) -> str:
    """What a provider has given us to disburse."""
    return f"loans:provider_funds:{provider}"


def provider_payable(provider: str) -> str:
    """What we have collected for a provider."""
    return f"loans:provider_payable:{provider}"


def _pattern(
    address: str, type: AccountType, *, contra: bool = False, memo: bool = False, covered: bool = False
) -> AccountPattern:
    limits = {ANY_ASSET: Limits(min_available=0)} if covered else {}
    # Closing entries bring income and expense to zero: they are no control accounts.
    owner = "" if type in ("income", "expense") else "loans"
    return AccountPattern(address, type, contra, memo, None, limits, owner)


PATTERNS = (
    _pattern(PORTFOLIO, "asset"),
    *(_pattern(address, "asset") for address in RECEIVABLE.values()),
    *(_pattern(address, "income") for address in INCOME.values()),
    *(_pattern(address, "income", contra=True) for address in CONTRA.values()),
    _pattern(DEFERRED_FEES, "liability"),
    _pattern(UNEARNED, "liability"),
    _pattern(OVERPAID, "liability", covered=True),
    _pattern(SUSPENDED, "asset", memo=True),
    _pattern(SUSPENDED_OFFSET, "asset", contra=True, memo=True),
    _pattern(LOSSES, "expense"),
    _pattern(GOODWILL, "expense"),
    _pattern(CHARGE_OFFS, "expense"),
    _pattern(IMPAIRMENT, "expense"),
    _pattern(ALLOWANCE, "asset", contra=True),
    _pattern(RECOVERIES, "income"),
    _pattern(COLLATERAL, "asset", memo=True),
    _pattern(COLLATERAL_OFFSET, "asset", contra=True, memo=True),
    _pattern(RECOVERY_COSTS, "expense"),
    _pattern(BORROWER_PAYABLE, "liability"),
    _pattern(SERVICED, "asset", memo=True),
    _pattern(SERVICED_OFFSET, "asset", contra=True, memo=True),
    _pattern(SERVICING_INCOME, "income"),
    _pattern(provider_funds("{provider}"), "liability", covered=True),
    _pattern(provider_payable("{provider}"), "liability"),
    _pattern(SUSPENSE, "liability"),
    # Whoever moves money on to the bank posts here too.
    AccountPattern(clearing("{method}"), "asset"),
)

# Accounts that loans alone post to, of one sub-ledger: what we owe providers comes from elsewhere too.
OWN = frozenset(entry.pattern for entry in PATTERNS if entry.product and "{" not in entry.pattern)
