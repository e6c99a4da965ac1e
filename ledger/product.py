"""What a product is: a package of pure deciders that stands on the ledger.

A product has *streams*, the subjects of its events: `wallet:42:enrichment` is a stream of kind `wallet`.
A stream's state is what `evolve` makes of its events, one after another, from what the events say and
nothing else; so a decision, a rebuild and an audit arrive at the same state. A command of a product becomes
exactly one event, which can belong to several streams and carries its postings, so that a status and the
money never disagree.

The state may name a moment when something happens by itself (a lot expires). The writer has the product
decide that first, effective at that moment, before anything later is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from ledger.chart import MAX_AMOUNT, AccountPattern
from ledger.commands import Command, StreamDue
from ledger.entry import accept, refuse
from ledger.events import POSTED, Event
from ledger.moves import move, positions_of
from ledger.state import Accepted, Account, Balance, Position, State


class Needs(Struct, frozen=True, gc=False):
    """The streams and account addresses that the state must hold to decide a command."""

    streams: Iterable[str] = ()
    accounts: Iterable[str] = ()


class Kind(NamedTuple):
    """Streams named `<kind>:<id>`, and how they come about.

    `evolve(state, event, stream)` is the state after the event (the first finds None); it is pure and reads
    nothing else. `due(state)` is when the stream must be decided by itself (microseconds), or None.
    `version` is raised when `evolve` changes: stored states of another version are folded again, when they
    are next read. So `due` must say the same as before, or a migration brings the stored moments up to date.
    `claims(state, stream)` says what control accounts hold for it: (address, asset, amount, debit positive).
    """

    state: type[Struct]
    version: int
    evolve: Callable[[Any, Event, str], Any]
    due: Callable[[Any], int | None] = lambda state: None
    claims: Callable[[Any, str], Iterable[tuple[str, str, int]]] = lambda state, stream: ()


class Product(NamedTuple):
    """A product's part of the ledger.

    `needs(state, command)` may look at streams that are loaded to name more; it is asked until nothing is
    missing. `due` decides for a stream whose moment has come: the command has the body `StreamDue` and the
    stream as its subject. Its event counts at that moment, moves the stream's due moment on and posts to the
    product's own accounts only, which nobody can close or limit: it cannot be refused. `patterns` are added
    to the charts that name the product; in accounts of the patterns `controlled` is what streams claim, and
    nothing else: an audit compares. The accounts `shared` are needed by all its commands.
    """

    name: str
    kinds: Mapping[str, Kind]
    deciders: Mapping[type, Callable[[State, Command, int], Accepted]]
    needs: Callable[[State, Command], Needs]
    due: Callable[[State, Command, int], Accepted]
    patterns: tuple[AccountPattern, ...]
    controlled: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


class Line(Struct, frozen=True, gc=False):
    """A leg that a product posts: `amount` minor units of `asset`, debit positive. Zero: no leg."""

    account: str
    asset: str
    amount: int
    kind: int = POSTED


def debit(account: str, asset: str, amount: int) -> Line:
    """A posted debit."""
    return Line(account, asset, amount)


def credit(account: str, asset: str, amount: int) -> Line:
    """A posted credit."""
    return Line(account, asset, -amount)


def record(
    state: State,
    command: Command,
    type: str,
    now: int,
    effective_at: int,
    lines: Sequence[Line],
    streams: Sequence[str],
    data: dict[str, Any],
    ends: Sequence[str] = (),
) -> Accepted:
    """The event of a product's command, with its postings (Refused: limits, unknown or closed accounts).

    `ends` are names of what ends with it; a second ending of the same name is refused by the database.
    """
    moved = [line for line in lines if line.amount]
    _check_balanced(type, moved)
    opened: dict[str, Account] = {}
    positions = positions_of(state, [m.account for m in moved], [m.asset for m in moved], opened)
    legs, touched = move(
        [(position, line.kind, line.amount) for position, line in zip(positions, moved, strict=True)]
    )
    if not isinstance(command.body, StreamDue):
        _check_room(touched)
    versions = {}
    for name in streams:
        stream = state.streams[name]
        versions[name] = 1 if stream is None else stream.version + 1
    accepted = accept(
        state, command, type, now, effective_at, legs, opened, data, streams=versions, ends=tuple(ends)
    )
    accepted.touched = touched
    return accepted


def _check_room(touched: Mapping[Position, Balance]) -> None:
    """Counters only grow, and what falls due cannot be refused: it has the upper half of them to itself.

    What it takes out of an account, commands have put in, so it moves no more than they did.
    """
    for position, after in touched.items():
        if position.account.terms.product and max(after) > MAX_AMOUNT // 2:
            refuse("amount_overflow", account=position.account.address, asset=position.asset)


def _check_balanced(type: str, lines: Iterable[Line]) -> None:
    """Products post balanced entries by their rules: one that is not is a defect, and nothing is stored."""
    sums: dict[tuple[str, int], int] = {}
    for line in lines:
        sums[line.asset, line.kind] = sums.get((line.asset, line.kind), 0) + line.amount
    assert not any(sums.values()), f"{type} is not balanced: {sums}"
