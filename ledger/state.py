"""What a decision reads: the part of one ledger's state at head that the commands at hand need.

A `State` is exact for what it holds and says nothing of the rest: the writer loads every account and
transaction that a command names before it is decided. An account that is known not to exist is None; one
that was never loaded is `NotLoaded`: a product's command named it only now, and it is fetched.

`evolve` is the only code that changes a State. Inside an atomic group it keeps a journal, so that the group
can be undone; outside there is nothing to undo, because a batch that fails drops the whole State.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any, Literal, NoReturn

import msgspec
from msgspec import Struct

from ledger.chart import EMPTY_CHART, Chart, Terms
from ledger.events import Event
from ledger.merkle import EMPTY_ROOT, Frontier
from ledger.periods import Closing, Closings
from ledger.text import from_iso

# Types whose posted legs a reversal can name (a reversal itself is refused by name).
REVERSIBLE = frozenset({"transaction_posted", "hold_posted", "transaction_reversed"})

# debits posted, credits posted, debits pending, credits pending
Balance = tuple[int, int, int, int]
ZERO: Balance = (0, 0, 0, 0)


class Account:
    """An open or closed account, and its positions by asset."""

    __slots__ = ("account_id", "address", "closed_seq", "debit_normal", "opened_seq", "positions", "terms")

    def __init__(
        self, account_id: int, address: str, terms: Terms, opened_seq: int, closed_seq: int | None = None
    ) -> None:
        self.account_id = account_id
        self.address = address
        self.terms = terms
        self.debit_normal = terms.debit_normal
        self.opened_seq = opened_seq
        self.closed_seq = closed_seq
        self.positions: dict[str, Position] = {}


class Position:
    """One (account, asset): its four counters, its limits, and how many events touched it (`version`)."""

    __slots__ = ("account", "asset", "asset_id", "balance", "max_balance", "min_available", "version")

    def __init__(
        self, account: Account, asset: str, asset_id: int, balance: Balance = ZERO, version: int = 0
    ) -> None:
        self.account = account
        self.asset = asset
        self.asset_id = asset_id
        self.balance = balance
        self.version = version
        limits = account.terms.limits_of(asset)
        self.min_available = limits.min_available
        self.max_balance = limits.max_balance


class Figures(Struct, frozen=True, gc=False):
    """The balances that people ask for, on the account's normal side, minor units.

    posted = normal side - other side; pending = posted with all pending amounts of both sides;
    available = posted - the other side's pending; held = the other side's pending;
    reach = posted + the normal side's pending, which `max_balance` bounds.
    """

    posted: int
    pending: int
    available: int
    held: int
    reach: int


def figures(debit_normal: bool, balance: Balance) -> Figures:
    """The figures of four counters for an account whose normal side is debit or credit."""
    normal, other, normal_pending, other_pending = (
        balance if debit_normal else (balance[1], balance[0], balance[3], balance[2])
    )
    posted = normal - other
    return Figures(
        posted,
        posted + normal_pending - other_pending,
        posted - other_pending,
        other_pending,
        posted + normal_pending,
    )


Status = Literal["pending", "posted", "voided", "expired", "reversed"]


class SubjectLeg(Struct, frozen=True, array_like=True):
    """A leg that later events refer to: its signed amount (debit positive) and what is left of it."""

    account: str
    asset: str
    amount: int
    left: int


class Subject(Struct, frozen=True, omit_defaults=True):
    """State of the stream `transaction:<seq>`.

    For a hold, `left` is what can still be posted; for a posted transaction, what can still be reversed.
    `version` is the number of events on the stream, `ended_by` the one that left nothing.
    """

    seq: int
    type: str
    status: Status
    effective_at: int
    legs: tuple[SubjectLeg, ...]
    version: int = 0
    expires_at: int | None = None
    ended_by: int | None = None

    @property
    def stream(self) -> str:
        """Its name in the store."""
        return stream_of(self.seq)


SUBJECT_STATE_VERSION = 1
encode_subject = msgspec.json.Encoder().encode
decode_subject = msgspec.json.Decoder(Subject).decode


def stream_of(seq: int) -> str:
    """The stream of a transaction: of its hold, its reversals, its annotations."""
    return f"transaction:{seq}"


def subject_of(event: Event) -> Subject:
    """The subject that a plain transaction, part or reversal is before anything refers to it."""
    legs = tuple(
        SubjectLeg(p.account, p.asset, amount if p.side == "debit" else -amount, amount)
        for p in event.postings
        if p.kind == "posted"
        for amount in (int(p.amount),)
    )
    return Subject(event.seq, event.type, "posted", from_iso(event.effective_at), legs)


class Stream(Struct, frozen=True, gc=False):
    """A product's stream: what its `version` events made of it, and when it must be decided again (`due`)."""

    name: str
    kind: str
    version: int
    state: Any
    state_version: int
    due: int | None = None


class NotLoaded(KeyError):
    """A decision asks for an account or a stream that nobody has loaded yet."""


class _Loaded(dict[str, Any]):
    """What was loaded, by name; None: known not to exist."""

    def __missing__(self, name: str) -> NoReturn:
        raise NotLoaded(name)


class KeyOutcome(Struct, frozen=True, gc=False):
    """What a key stands for: events `seq` .. `seq + events - 1`, or rejections as stored JSON."""

    fingerprint: bytes
    seq: int
    events: int
    rejections: bytes | None = None


# A leg of an event: position, kind, signed amount, and the position's counters after it.
Leg = tuple[Position, int, int, Balance]


class Accepted(Struct, gc=False, eq=False):
    """An accepted command: exactly one event, and what it does to the state."""

    event: Event
    body: bytes
    effective_at: int
    legs: list[Leg]
    opened: list[Account]
    touched: dict[Position, Balance] = {}
    subject: Subject | None = None
    ended: bool = False
    expiry: int | None = None  # of a new hold
    chart: Chart | None = None
    limited: tuple[Account, Terms] | None = None
    closed: Account | None = None
    closing: Closing | None = None
    reopened: str | None = None  # a period
    incarnation: int | None = None
    streams: tuple[Stream, ...] = ()


Token = tuple[int, int, bytes]  # incarnation, seq, root


class State:
    """One ledger at `seq`, as far as it was loaded."""

    __slots__ = (
        "accounts",
        "accounts_count",
        "chart",
        "chart_seq",
        "closings",
        "frontier",
        "incarnation",
        "journal",
        "ledger_id",
        "next_expiry",
        "public_id",
        "recorded_at",
        "root",
        "seq",
        "streams",
        "subjects",
        "time_zone",
        "zone_of",
    )

    def __init__(self, ledger_id: int, public_id: str, zone_of: Callable[[str], tzinfo]) -> None:
        """A ledger before its first event. `zone_of` finds a time zone by name: its data are the world's."""
        self.ledger_id = ledger_id
        self.public_id = public_id
        self.zone_of = zone_of
        self.time_zone = "UTC"
        self.closings = Closings()
        self.incarnation = 1
        self.seq = 0
        self.recorded_at = 0
        self.frontier = Frontier()
        self.root = EMPTY_ROOT
        self.accounts_count = 0
        self.chart = Chart(EMPTY_CHART, {})
        self.chart_seq = 0
        self.next_expiry: int | None = None
        self.accounts: dict[str, Account | None] = _Loaded()
        self.streams: dict[str, Stream | None] = _Loaded()
        self.subjects: dict[int, Subject | None] = {}
        self.journal: Journal | None = None

    @property
    def token(self) -> Token:
        """What names this state: equal tokens, equal ledgers."""
        return self.incarnation, self.seq, self.root

    @property
    def zone(self) -> tzinfo:
        """The time zone whose calendar days are the ledger's."""
        return self.zone_of(self.time_zone)


_SCALARS = (
    "accounts_count",
    "chart",
    "chart_seq",
    "closings",
    "incarnation",
    "next_expiry",
    "seq",
    "time_zone",
)


class Journal:
    """What an atomic group changed, and how to put it back."""

    def __init__(self, state: State) -> None:
        self._scalars = {name: getattr(state, name) for name in _SCALARS}
        self.balances: list[tuple[Position, Balance, int]] = []
        self.accounts: list[str] = []
        self.terms: list[tuple[Account, Terms, int | None]] = []
        self.subjects: list[tuple[int, Subject | None]] = []
        self.streams: list[tuple[str, Stream | None]] = []

    def undo(self, state: State) -> None:
        """Take everything back since the journal began."""
        for name, value in self._scalars.items():
            setattr(state, name, value)
        for account, terms, closed_seq in reversed(self.terms):
            account.closed_seq = closed_seq
            _set_terms(account, terms)
        for position, balance, version in reversed(self.balances):
            position.balance, position.version = balance, version
            if not version:
                del position.account.positions[position.asset]
        for address in self.accounts:
            state.accounts[address] = None
        for seq, subject in reversed(self.subjects):
            state.subjects[seq] = subject
        for name, stream in reversed(self.streams):
            state.streams[name] = stream


def evolve(state: State, accepted: Accepted) -> None:
    """Apply an accepted command: afterwards the state is the one at the event's seq."""
    state.seq += 1
    journal = state.journal
    for position, balance in accepted.touched.items():
        if journal is not None:
            journal.balances.append((position, position.balance, position.version))
        if not position.version:
            position.account.positions[position.asset] = position
        position.balance = balance
        position.version += 1
    if accepted.opened:
        for account in accepted.opened:
            state.accounts[account.address] = account
            if journal is not None:
                journal.accounts.append(account.address)
        state.accounts_count += len(accepted.opened)
    if accepted.subject is not None:
        _set_subject(state, accepted.subject)
        _expect(state, accepted.expiry)
    for stream in accepted.streams:
        if journal is not None:
            journal.streams.append((stream.name, state.streams[stream.name]))
        state.streams[stream.name] = stream
        _expect(state, stream.due)
    if accepted.event.type in REVERSIBLE and accepted.event.seq in state.subjects:
        # somebody asked for this seq before it existed
        _set_subject(state, subject_of(accepted.event))
    if not accepted.legs:
        _evolve_settings(state, accepted)


def _evolve_settings(state: State, accepted: Accepted) -> None:
    """What only events without legs change."""
    journal = state.journal
    if accepted.event.type == "ledger_opened":
        state.time_zone = accepted.event.data["time_zone"]
    if accepted.chart is not None:
        state.chart = accepted.chart
        state.chart_seq = accepted.event.seq
    if accepted.limited is not None:
        account, terms = accepted.limited
        if journal is not None:
            journal.terms.append((account, account.terms, account.closed_seq))
        _set_terms(account, terms)
    if accepted.closed is not None:
        if journal is not None:
            journal.terms.append((accepted.closed, accepted.closed.terms, accepted.closed.closed_seq))
        accepted.closed.closed_seq = accepted.event.seq
    if accepted.closing is not None:
        state.closings = state.closings.with_closed(accepted.closing)
    if accepted.reopened is not None:
        state.closings = state.closings.without(accepted.reopened)
    if accepted.incarnation is not None:
        state.incarnation = accepted.incarnation


def _expect(state: State, due: int | None) -> None:
    if due is not None and (state.next_expiry is None or due < state.next_expiry):
        state.next_expiry = due


def _set_subject(state: State, subject: Subject) -> None:
    if state.journal is not None:
        state.journal.subjects.append((subject.seq, state.subjects.get(subject.seq)))
    state.subjects[subject.seq] = subject


def _set_terms(account: Account, terms: Terms) -> None:
    account.terms = terms
    for position in account.positions.values():
        limits = terms.limits_of(position.asset)
        position.min_available, position.max_balance = limits.min_available, limits.max_balance
