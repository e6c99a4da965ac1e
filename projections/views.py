"""What readers of the read models get. Amounts are minor units of one asset, never summed across assets."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from ledger.chart import AccountType
from ledger.commands import Side
from ledger.views import EntryView, Kind


class RollUpLine(Struct, frozen=True):
    """Accounts of one type below an address prefix, contra accounts netted; on the type's normal side."""

    account: str
    balance: int


class MemoLine(Struct, frozen=True):
    """Memo accounts of one type below an address prefix; on the type's normal side."""

    account: str
    type: AccountType
    balance: int


class BalanceSheetOfAsset(Struct, frozen=True):
    """`total_assets` = `total_liabilities` + `total_equity` + `current_earnings`, else not `balanced`.

    `current_earnings` is income less expense that no closing entry has moved to equity yet. Memo accounts are
    apart; `memo_total` is their debits less their credits, zero when they balance among themselves. An entry
    between a memo account and another takes the sheet out of balance by just that.
    """

    asset: str
    assets: list[RollUpLine]
    liabilities: list[RollUpLine]
    equity: list[RollUpLine]
    total_assets: int
    total_liabilities: int
    total_equity: int
    current_earnings: int
    balanced: bool
    memo: list[MemoLine]
    memo_total: int


class BalanceSheetView(Struct, frozen=True):
    """Posted balances of what is effective by `as_of` (absent: of everything), of events 1 .. `seq`."""

    seq: int
    depth: int
    balanced: bool
    sheets: list[BalanceSheetOfAsset]
    as_of: str | UnsetType = UNSET


class IncomeStatementOfAsset(Struct, frozen=True):
    """`net_income` = `total_income` - `total_expenses`; memo accounts are apart."""

    asset: str
    income: list[RollUpLine]
    expenses: list[RollUpLine]
    total_income: int
    total_expenses: int
    net_income: int
    memo: list[MemoLine]


class IncomeStatementView(Struct, frozen=True, kw_only=True):
    """What income and expense came to in [`from`, `to`), closing entries apart, of events 1 .. `seq`."""

    seq: int
    depth: int
    start: str | UnsetType = field(default=UNSET, name="from")
    to: str | UnsetType = UNSET
    statements: list[IncomeStatementOfAsset]


class DailyBalance(Struct, frozen=True):
    """What was posted on a day with postings or holds, and the balances at its end, on the normal side."""

    day: str
    debits: int
    credits: int
    posted: int
    pending: int
    available: int


class DailyBalancesView(Struct, frozen=True):
    """Days of one asset of an account, of events 1 .. `seq`; `next` continues as `after`."""

    account: str
    asset: str
    seq: int
    days: list[DailyBalance]
    next: str | None


class ActivityLine(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One leg of an account."""

    seq: int
    leg: int
    type: str
    kind: Kind
    side: Side
    amount: int
    asset: str
    effective_at: str
    recorded_at: str
    description: str = ""
    reference: str = ""


class ActivityView(Struct, frozen=True):
    """An account's legs of every asset, the latest effective first, of events 1 .. `seq`."""

    account: str
    seq: int
    lines: list[ActivityLine]
    next: str | None


class FoundTransactions(Struct, frozen=True):
    """Matches of events 1 .. `seq`, newest first; `next` continues as `before`, even of a short page."""

    seq: int
    transactions: list[EntryView]
    next: int | None


class AssertionView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An asserted balance and the posted balance that the ledger now has at that moment (normal side).

    It is passing while `difference`, actual less expected, is within `tolerance`; `failing_since` is the seq
    of the event since which it is not.
    """

    seq: int
    account: str
    asset: str
    at: str
    expected: int
    tolerance: int
    actual: int
    difference: int
    status: Literal["passing", "failing"]
    source: str
    recorded_at: str
    reference: str = ""
    failing_since: int | None = None


class AssertionsView(Struct, frozen=True):
    """Assertions in order of seq, as judged by events 1 .. `seq`; `next` continues as `after`."""

    seq: int
    assertions: list[AssertionView]
    next: int | None
