"""What readers get: the shapes of answers, and how they are made from events and rows.

Amounts and balances are minor units; balances are on the account's normal side. Moments are UTC strings
with six decimals.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Raw, Struct, UnsetType, field
from msgspec.json import decode
from msgspec.structs import replace

from ledger.chart import AccountType, ChartDocument, Limits, Terms
from ledger.commands import Side
from ledger.events import Event
from ledger.state import Balance, Leg, Status, figures
from ledger.text import encode_canonical

Kind = Literal["posted", "pending", "release"]


class LedgerView(Struct, frozen=True):
    """A ledger at its head. `root` is the Merkle root over all events, hex."""

    name: str
    id: str
    time_zone: str
    opened_at: str
    incarnation: int
    seq: int
    recorded_at: str
    root: str
    accounts: int


class LedgerName(Struct, frozen=True):
    """A ledger in a list."""

    name: str
    id: str
    time_zone: str
    opened_at: str


class AccountView(Struct, frozen=True, omit_defaults=True):
    """An account and the terms it was opened with; `assets` absent: any asset of the ledger."""

    address: str
    type: AccountType
    normal_balance: Side
    status: Literal["open", "closed"]
    opened_seq: int
    contra: bool = False
    memo: bool = False
    assets: tuple[str, ...] | None = None
    limits: dict[str, Limits] = {}
    closed_seq: int | None = None


class BalanceView(Struct, frozen=True):
    """The balances of one asset of an account. `version` counts the events that touched it (now only)."""

    asset: str
    posted: int
    pending: int
    available: int
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int
    version: int | UnsetType = UNSET


class BalancesView(Struct, frozen=True):
    """An account's balances from everything up to `seq`; with `as_of`, from what is effective by then."""

    account: str
    seq: int
    balances: list[BalanceView]
    as_of: str | UnsetType = UNSET


class PostingView(Struct, frozen=True, gc=False):
    """A leg. `release` takes a held amount back from pending."""

    account: str
    side: Side
    amount: int
    asset: str
    kind: Kind


class BalanceAfter(Struct, frozen=True, gc=False):
    """Balances of a touched (account, asset) right after the event."""

    account: str
    asset: str
    posted: int
    pending: int
    available: int


class EntryView(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A transaction event: its postings and the balances after it.

    `original_effective_at` is when it would have counted, had its period not been closed; `transaction` the
    seq of the transaction that it posts, voids, expires or reverses; `asked` the amount that an `up_to`
    transaction asked for; `batch` the place in an atomic batch; `data` what a product's event says
    (docs/events.md).
    """

    seq: int
    type: str
    effective_at: str
    original_effective_at: str = ""
    recorded_at: str
    postings: list[PostingView]
    balances: list[BalanceAfter]
    description: str = ""
    reference: str = ""
    metadata: dict[str, str] = {}
    transaction: int | None = None
    final: bool | None = None
    expires_at: str | None = None
    asked: int | None = None
    accounts_opened: list[str] = []
    batch: tuple[int, int] | None = None
    idempotency_key: str = ""
    data: dict[str, Any] = {}
    preview: bool = False


class TransactionView(EntryView, frozen=True, omit_defaults=True, kw_only=True):
    """A transaction and what became of it: its status now, what is left by leg, the events on it.

    `remaining`: of a hold, what can still be posted; of a posted transaction, what can still be reversed.
    The end of a hold (void, expiry) has no status of its own, and nothing remains of it or of a reversal.
    """

    status: Status | None = None
    remaining: list[int] = []
    events: list[int] = []
    annotations: list[dict[str, str]] = []


class StatementLine(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One leg of the account, with its balances after it."""

    seq: int
    leg: int
    type: str
    kind: Kind
    side: Side
    amount: int
    effective_at: str
    original_effective_at: str = ""
    recorded_at: str
    posted: int
    pending: int
    available: int
    description: str = ""
    reference: str = ""


class StatementBalance(Struct, frozen=True):
    """Balances with which a statement over a period opens or closes."""

    posted: int
    pending: int
    available: int


class StatementView(Struct, frozen=True):
    """An account's legs of one asset; `next` continues as `after`.

    In seq order; or, over a period [`from`, `to`), in effective order, of events 1 .. `seq`: every balance is
    then that of all legs effective before the line, and its own. `debits`, `credits`: posted in the period.
    """

    account: str
    asset: str
    lines: list[StatementLine]
    next: str | None
    seq: int | UnsetType = UNSET
    start: str | UnsetType = field(default=UNSET, name="from")
    to: str | UnsetType = UNSET
    opening: StatementBalance | UnsetType = UNSET
    closing: StatementBalance | UnsetType = UNSET
    debits: int | UnsetType = UNSET
    credits: int | UnsetType = UNSET


class TrialBalanceLine(Struct, frozen=True):
    """An account's posted balance of one asset, in its column."""

    account: str
    type: AccountType
    asset: str
    debit: int
    credit: int
    debits_pending: int
    credits_pending: int


class TrialBalanceTotal(Struct, frozen=True):
    """Totals of one asset over the whole ledger; a ledger that balances has debit = credit."""

    asset: str
    debit: int
    credit: int
    debits_pending: int
    credits_pending: int


class TrialBalanceView(Struct, frozen=True):
    """The trial balance at `seq`: lines by account (paged by `next`), totals of the whole ledger.

    With `as_of`, of what is effective by then.
    """

    seq: int
    balanced: bool
    totals: list[TrialBalanceTotal]
    lines: list[TrialBalanceLine]
    next: int | None
    as_of: str | UnsetType = UNSET


class EventView(Struct, frozen=True):
    """An event as stored. `body` is the canonical JSON itself; `leaf` is hex SHA-256(0x00 || body)."""

    seq: int
    leaf: str
    body: Raw


class ChartView(Struct, frozen=True):
    """The chart in force and every asset of the ledger."""

    chart: ChartDocument
    seq: int


class Acknowledged(Struct, frozen=True):
    """A command that moves no money became this event."""

    seq: int
    type: str
    recorded_at: str


class ClosedPeriod(Struct, frozen=True):
    """A period that is closed, by the event `closed_seq`: nothing more counts in [starts_at, ends_at)."""

    period: str
    starts_at: str
    ends_at: str
    closed_seq: int
    closed_at: str


class PeriodEvent(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A closing (with its bounds) or a reopening (with its reason and the closing that it took back)."""

    seq: int
    type: str
    period: str
    recorded_at: str
    starts_at: str | None = None
    ends_at: str | None = None
    reason: str | None = None
    closed_seq: int | None = None


class PeriodsView(Struct, frozen=True):
    """The closed periods, and how they came to be: a page of events; `next` continues as `after`."""

    closed: list[ClosedPeriod]
    history: list[PeriodEvent]
    next: int | None


class ClosingView(PeriodEvent, frozen=True, omit_defaults=True, kw_only=True):
    """The event that closed a period, and the seqs of the closing entries that were posted with it."""

    closing_entries: list[int] = []


def period_event_view(event: Event) -> PeriodEvent:
    """From the event."""
    return PeriodEvent(seq=event.seq, type=event.type, recorded_at=event.recorded_at, **event.data)


def balance_view(terms: Terms, asset: str, balance: Balance, version: int | UnsetType = UNSET) -> BalanceView:
    """The figures of four counters."""
    f = figures(terms.debit_normal, balance)
    return BalanceView(asset, f.posted, f.pending, f.available, *balance, version)


def account_view(address: str, opened_seq: int, closed_seq: int | None, terms: Terms) -> AccountView:
    """An account's row."""
    return AccountView(
        address,
        terms.type,
        "debit" if terms.debit_normal else "credit",
        "open" if closed_seq is None else "closed",
        opened_seq,
        terms.contra,
        terms.memo,
        terms.assets,
        terms.limits,
        closed_seq,
    )


class LegAfter(Struct, frozen=True, gc=False):
    """What an answer needs of a leg: its account and asset, and the counters after it."""

    account: str
    debit_normal: bool
    asset: str
    after: Balance


def legs_after(legs: list[Leg]) -> list[LegAfter]:
    """From the legs of a decision."""
    return [LegAfter(p.account.address, p.account.debit_normal, p.asset, after) for p, _, _, after in legs]


def entry_view(event: Event, legs: list[LegAfter], preview: bool = False) -> EntryView:
    """The answer for an event: the same bytes when it is fresh and when it is replayed."""
    balances = []
    for leg in {(leg.account, leg.asset): leg for leg in legs}.values():
        f = figures(leg.debit_normal, leg.after)
        balances.append(BalanceAfter(leg.account, leg.asset, f.posted, f.pending, f.available))
    view = EntryView(
        seq=event.seq,
        type=event.type,
        effective_at=event.effective_at,
        recorded_at=event.recorded_at,
        postings=[PostingView(p.account, p.side, int(p.amount), p.asset, p.kind) for p in event.postings],
        balances=balances,
        description=event.description,
        reference=event.reference,
        metadata=event.metadata,
        batch=event.batch,
        idempotency_key=event.key,
    )
    # Few events have more, and a keyword costs more than a look.
    more: dict[str, Any] = {}
    if event.original_effective_at:
        more["original_effective_at"] = event.original_effective_at
    if event.accounts_opened:
        more["accounts_opened"] = sorted(event.accounts_opened)
    if event.data:
        more |= _of_data(event)
    if preview:
        more["preview"] = True
    return replace(view, **more) if more else view


def _of_data(event: Event) -> dict[str, Any]:
    """What belongs to the event's type: of the ledger's own a member each, of a product's as it is stored."""
    data = event.data
    found = {name: data.get(name) for name in ("transaction", "final", "expires_at")}
    if "up_to" in data:
        found["asked"] = int(data["up_to"])
    if not all(name.startswith("transaction:") for name in event.streams):
        # Members in canonical order.
        found["data"] = decode(encode_canonical(data))
    return found
