"""The accounts of payments. What is unmarked is shared with credits, other providers, and people."""

from __future__ import annotations

from ledger.chart import AccountPattern, AccountType

UNAPPLIED = "payments:unapplied"
DISPUTES = "payments:disputes_receivable"
BANK = "payments:bank"
UNSETTLED = "stripe:unsettled"
CLEARING = "stripe:clearing"
PROCESSING_FEE = "stripe:processing_fee"
DISPUTE_FEE = "stripe:dispute_fee"
IN_TRANSIT = "stripe:payout_in_transit"
UNCLASSIFIED = "stripe:unclassified"
FX_POSITION = "fx:position"
FX_GAIN = "fx:realised_gain"
FX_LOSS = "fx:realised_loss"


def _own(pattern: str, type: AccountType) -> AccountPattern:
    return AccountPattern(pattern, type, product="payments")


PATTERNS = (
    # As credits ship them.
    AccountPattern(UNAPPLIED, "liability"),
    AccountPattern(DISPUTES, "asset"),
    AccountPattern(BANK, "asset"),
    _own(UNSETTLED, "asset"),
    _own(CLEARING, "asset"),
    _own(PROCESSING_FEE, "expense"),
    _own(DISPUTE_FEE, "expense"),
    _own(IN_TRANSIT, "asset"),
    _own(UNCLASSIFIED, "liability"),
    _own(FX_POSITION, "asset"),
    _own(FX_GAIN, "income"),
    _own(FX_LOSS, "expense"),
)
ACCOUNTS = tuple(entry.pattern for entry in PATTERNS)
