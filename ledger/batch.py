"""A batch: many commands decided one after another, and the rows that they become.

`decide_batch` runs the pure `decide` over the commands in order, each seeing its predecessors, makes rows of
each event at once, while all that it is made of is in the processor's cache, and seals the result: Merkle
root, COPY buffers, changed balances. Nothing here talks to the database, so a batch can be built while its
predecessor is still being committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from typing import Any

import msgspec
from msgspec import Struct

from ledger import rows
from ledger.approvals import approved, needs_approval
from ledger.chart import Terms
from ledger.commands import Command, HoldExpiry, StreamDue
from ledger.decide import decide
from ledger.events import Event
from ledger.merkle import leaf_hash
from ledger.periods import Closing
from ledger.products import encode_state
from ledger.rejections import Rejection
from ledger.state import (
    Accepted,
    Journal,
    KeyOutcome,
    Leg,
    NotLoaded,
    Position,
    State,
    Stream,
    Subject,
    Token,
    evolve,
    stream_of,
)

# Of what is due, so many in one batch: a stream that falls due over and over does not make it endless.
DUE_PER_BATCH = 1_000


class DueFailed(Exception):
    """What is due cannot be decided, and so nothing later; the cause is a defect, or an error of `fetch`."""


class Recorded(Struct, frozen=True, gc=False):
    """A command became this event; `legs` carry the counters after each leg."""

    event: Event
    legs: list[Leg]


class Previewed(Struct, frozen=True):
    """The event that a command would become; nothing was stored."""

    event: Event
    legs: list[Leg]


class Replayed(Struct, frozen=True):
    """The key was used before by the same request, which became these events."""

    seq: int
    events: int


class Refusal(Struct, frozen=True):
    """A command was refused, now or (`replayed`) when its key was first used."""

    rejection: Rejection
    replayed: bool = False


# What falls due and when (microseconds): a hold by its seq, or a product's stream by its name.
Due = tuple[int, int | str]
Fetch = Callable[[Command], bool]

Outcome = Recorded | Previewed | Replayed | Refusal

_encode_rejections = msgspec.json.Encoder().encode
_decode_rejections = msgspec.json.Decoder(list[Rejection]).decode


class Request(Struct):
    """What came in together. Atomic: all or none, under one key. Preview: decided, then undone.

    Alone: in a batch of its own, before the holds that are due expire. That is for a `Restoration`, whose
    event is to be the first after those that the ledger still shares with the one that was lost.
    """

    commands: list[Command]
    atomic: bool = False
    preview: bool = False
    key: str | None = None
    fingerprint: bytes = b""
    alone: bool = False


class StreamRow(Struct, frozen=True, gc=False):
    """A product's stream as a batch leaves it, the last event on it, and its state encoded."""

    stream: Stream
    seq: int
    state: bytes | None  # None: it is yet to be encoded


class Plan:
    """A decided batch: what to write if the ledger is still at `basis`, and what to answer then."""

    def __init__(self, state: State, now: int, fetch: Fetch) -> None:
        self.fetch = fetch
        self.basis: Token = state.token
        self.now = now
        self.ledger_id = state.ledger_id
        self.accepted: list[Accepted] = []
        self.keys: dict[str, KeyOutcome] = {}
        self.outcomes: list[list[Outcome]] = []
        self.next_expiry_before = state.next_expiry
        self.more_due = False  # then no request was decided
        self.assets_before = len(state.chart.asset_ids)
        # filled by _append
        self.leaves: list[bytes] = []
        self.events = bytearray()  # this and the next three are encoded rows
        self.postings = bytearray()
        self.event_streams = bytearray()
        self.endings = bytearray()
        self.moved: dict[Position, int] = {}  # and the last event that moved it
        self.new_holds: dict[int, int] = {}  # when they expire, by seq
        self.subjects: dict[int, Subject] = {}
        self.subject_seqs: dict[int, int] = {}  # the last event on each
        self.streams: dict[str, StreamRow] = {}
        self.opening: str | None = None  # the time zone of a ledger opened now
        self.assets: dict[str, int] = {}
        self.opened: list[tuple[int, int, str, Terms]] = []  # account_id, opened_seq, address
        self.ended_holds: list[tuple[int, int]] = []  # expires_at, seq
        self.limited: list[tuple[int, Terms]] = []  # account_id
        self.closed: list[tuple[int, int]] = []  # account_id, seq
        self.closings: dict[str, Closing] = {}  # periods closed now
        self.reopened: list[str] = []  # periods closed before, to be reopened
        # filled by _seal
        self.copies: list[tuple[str, bytes]] = []
        self.balances: list[str] = []  # columns, as array literals
        self.incarnation = state.incarnation
        self.head: tuple[Any, ...] = ()

    @property
    def writes_head(self) -> bool:
        """Whether the head row changes: there are events, or the next expiry moved."""
        return bool(self.accepted) or self.head[-1] != self.next_expiry_before

    @property
    def writes(self) -> bool:
        """Whether there is anything to store at all."""
        return self.writes_head or bool(self.keys)


def decide_batch(
    state: State,
    requests: Iterable[Request],
    known_keys: dict[str, KeyOutcome],
    now: int,
    due: Iterable[Due] = (),
    next_expiry: int | None = None,
    fetch: Fetch = lambda command: False,
) -> Plan:
    """Decide what is due, then the requests, on a state that holds all they name; the state moves on.

    `known_keys` are the outcomes of keys used before; `due` the holds and streams whose time has come, and
    `next_expiry` when the first after them falls due. `fetch` loads what a product's command turns out to
    need and says whether there was anything; if not, NotLoaded, and nobody must use the state any more; nor
    after DueFailed or any defect of a decider. More may be due than one batch decides (`more_due`): then the
    requests are left for a later one.
    """
    plan = Plan(state, now, fetch)
    state.next_expiry = next_expiry
    _decide_due(plan, state, due, now)
    plan.more_due = bool(plan.accepted) and state.next_expiry is not None and state.next_expiry <= now
    for request in () if plan.more_due else requests:
        if request.atomic or request.preview:
            plan.outcomes.append(_decide_group(plan, state, request, known_keys, now))
        else:
            plan.outcomes.append(
                [_decide_one(plan, state, command, known_keys, now) for command in request.commands]
            )
    _seal(plan, state)
    return plan


def _decide_due(plan: Plan, state: State, due: Iterable[Due], now: int) -> None:
    """Holds expire and streams are decided, the earliest first; a stream may fall due again at once."""
    waiting = [(at, isinstance(what, str), what) for at, what in due]
    heapify(waiting)
    last, later = state.next_expiry, []
    while waiting:
        at, _, what = heappop(waiting)
        known = state.streams.get(what) if isinstance(what, str) else None
        if known is not None and known.due != at:
            continue  # another stream's event has moved it: it waits for its new moment
        if at > now or (last is not None and at > last) or len(plan.accepted) >= DUE_PER_BATCH:
            later.append(at)
            continue
        try:
            again = _decide_one_due(plan, state, what, at, now)
        except Exception as error:
            raise DueFailed(f"{stream_of(what) if isinstance(what, int) else what}: {error!r}") from error
        for waits in again:
            heappush(waiting, waits)
    state.next_expiry = min((at for at in (last, *later) if at is not None), default=None)


def _decide_one_due(
    plan: Plan, state: State, what: int | str, at: int, now: int
) -> list[tuple[int, bool, str]]:
    """When the streams that the event belongs to are due next."""
    accepted = _decide(plan, state, due_command(what), now)
    assert isinstance(accepted, Accepted), accepted
    assert accepted.effective_at == at
    evolve(state, accepted)
    _append(plan, state, accepted)
    again = []
    for stream in accepted.streams:
        assert stream.name != what or stream.due is None or stream.due > at, "it does not move on"
        if stream.due is not None:
            again.append((stream.due, True, stream.name))
    return again


def due_command(what: int | str) -> Command:
    """The writer's own command about a hold or a stream that is due."""
    return Command(StreamDue() if isinstance(what, str) else HoldExpiry(), what)


def _decide(plan: Plan, state: State, command: Command, now: int) -> Accepted | Rejection:
    while True:
        try:
            return decide(state, command, now)
        except NotLoaded:
            if not plan.fetch(command):
                raise


def _known(
    plan: Plan, key: str, fingerprint: bytes, known_keys: dict[str, KeyOutcome]
) -> list[Outcome] | None:
    """The outcomes that a used key stands for."""
    known = plan.keys.get(key) or known_keys.get(key)
    if known is None:
        return None
    if known.fingerprint != fingerprint:
        return [Refusal(Rejection("idempotency_key_reused", {"key": key}))]
    if known.rejections is None:
        return [Replayed(known.seq, known.events)]
    return [Refusal(rejection, True) for rejection in _decode_rejections(known.rejections)]


def _decide_one(
    plan: Plan, state: State, command: Command, known_keys: dict[str, KeyOutcome], now: int
) -> Outcome:
    key = command.key
    if key is not None:
        known = _known(plan, key, command.fingerprint, known_keys)
        if known is not None:
            return known[0]
    accepted = _decide(plan, state, command, now)
    above = state.chart.approval_above
    if above and isinstance(accepted, Accepted) and not approved([command]):
        accepted = needs_approval(above, [accepted]) or accepted
    if accepted.__class__ is Accepted:
        evolve(state, accepted)
        _append(plan, state, accepted)
        if key is not None:
            plan.keys[key] = KeyOutcome(command.fingerprint, accepted.event.seq, 1)
        return Recorded(accepted.event, accepted.legs)
    assert isinstance(accepted, Rejection)
    if key is not None and accepted.code != "ledger_not_found":  # there is nobody to remember it
        plan.keys[key] = KeyOutcome(command.fingerprint, state.seq, 0, _encode_rejections([accepted]))
    return Refusal(accepted)


def _is_nowhere(refused: list[Outcome]) -> bool:
    """Whether there is no ledger that could remember the refusal."""
    return any(isinstance(o, Refusal) and o.rejection.code == "ledger_not_found" for o in refused)


def _decide_group(
    plan: Plan, state: State, request: Request, known_keys: dict[str, KeyOutcome], now: int
) -> list[Outcome]:
    """All or none: the first refusal undoes the group; the others answer `linked_failed`."""
    size = len(request.commands)
    if request.key is not None:
        known = _known(plan, request.key, request.fingerprint, known_keys)
        if known is not None:
            return known if len(known) == size or isinstance(known[0], Replayed) else known * size
    seq = state.seq
    journal = state.journal = Journal(state)
    group: list[Accepted] = []
    refused: list[Outcome] | None = None
    above = state.chart.approval_above
    for index, command in enumerate(request.commands):
        if request.atomic:
            command.batch = (index, size)
        accepted = _decide(plan, state, command, now)
        if isinstance(accepted, Rejection):
            linked = Refusal(Rejection("linked_failed", {"index": index, "code": accepted.code}))
            refused = [Refusal(accepted) if i == index else linked for i in range(size)]
            break
        evolve(state, accepted)
        group.append(accepted)
    if refused is None and above and not request.preview and not approved(request.commands):
        needed = needs_approval(above, group)
        if needed is not None:
            linked = Refusal(Rejection("linked_failed", {"index": 0, "code": needed.code}))
            refused = [Refusal(needed), *[linked] * (size - 1)]
    state.journal = None
    if refused is not None or request.preview:
        journal.undo(state)
    if request.preview:
        return refused or [Previewed(a.event, a.legs) for a in group]
    if refused is not None:
        if request.key is not None and not _is_nowhere(refused):
            rejections = _encode_rejections([r.rejection for r in refused if isinstance(r, Refusal)])
            plan.keys[request.key] = KeyOutcome(request.fingerprint, state.seq, 0, rejections)
        return refused
    if request.key is not None:
        plan.keys[request.key] = KeyOutcome(request.fingerprint, seq + 1, size)
    for accepted in group:
        _append(plan, state, accepted)
    return [Recorded(a.event, a.legs) for a in group]


def _append(plan: Plan, state: State, accepted: Accepted) -> None:
    """One more event of the batch, whose state has evolved: its rows, and what it changed."""
    plan.accepted.append(accepted)
    ledger_id, seq = plan.ledger_id, accepted.event.seq
    leaf = leaf_hash(accepted.body)
    state.frontier.add(leaf)
    plan.leaves.append(leaf)
    plan.events += rows.event(ledger_id, plan.now, accepted, leaf)
    plan.postings += rows.postings(ledger_id, accepted)
    plan.moved.update(dict.fromkeys(accepted.touched, seq))
    if accepted.opened:
        plan.opened += [(a.account_id, a.opened_seq, a.address, a.terms) for a in accepted.opened]
    if accepted.subject is not None:
        _append_subject(plan, accepted, accepted.subject)
    for stream in accepted.streams:
        # Once while it is at hand is enough: one that many events move is encoded again when all are decided.
        encoded = None if stream.name in plan.streams else encode_state(stream.state)
        plan.streams[stream.name] = StreamRow(stream, seq, encoded)
        plan.event_streams += rows.event_stream(ledger_id, seq, stream.name, stream.version)
    for name in accepted.event.ends:
        plan.endings += rows.ending(ledger_id, seq, name)
    if not accepted.legs:
        _append_settings(plan, state, accepted)


def _append_subject(plan: Plan, accepted: Accepted, subject: Subject) -> None:
    ledger_id, seq = plan.ledger_id, accepted.event.seq
    plan.subjects[subject.seq] = subject
    plan.subject_seqs[subject.seq] = seq
    plan.event_streams += rows.event_stream(ledger_id, seq, subject.stream, subject.version)
    if accepted.expiry is not None:
        plan.new_holds[seq] = accepted.expiry
    if accepted.ended:
        plan.endings += rows.ending(ledger_id, seq, subject.stream)
        if subject.expires_at is not None and plan.new_holds.pop(subject.seq, None) is None:
            plan.ended_holds.append((subject.expires_at, subject.seq))


def _append_settings(plan: Plan, state: State, accepted: Accepted) -> None:
    """What only events without legs change."""
    seq = accepted.event.seq
    if accepted.limited is not None:
        account, terms = accepted.limited
        plan.limited.append((account.account_id, terms))
        plan.moved.update(dict.fromkeys(account.positions.values(), seq))
    if seq == 1:
        plan.opening = accepted.event.data["time_zone"]
    if accepted.chart is not None:
        plan.assets = {asset: n for asset, n in state.chart.asset_ids.items() if n > plan.assets_before}
    if accepted.closed is not None:
        plan.closed.append((accepted.closed.account_id, seq))
    if accepted.closing is not None:
        plan.closings[accepted.closing.period] = accepted.closing
    # A period may be reopened that was closed in this very batch, and closed again.
    if accepted.reopened is not None and plan.closings.pop(accepted.reopened, None) is None:
        plan.reopened.append(accepted.reopened)


def _seal(plan: Plan, state: State) -> None:
    """What the batch comes to as a whole, and the state's root and clock at its end."""
    ledger_id = plan.ledger_id
    plan.balances = _columns(
        [
            (
                *position.balance,
                seq,
                position.version,
                position.min_available,
                position.max_balance,
                position.account.account_id,
                position.asset_id,
                position.account.debit_normal,
            )
            for position, seq in plan.moved.items()
        ]
    )
    for table, encoded in (
        ("events", plan.events),
        ("postings", plan.postings),
        ("event_streams", plan.event_streams),
        ("endings", plan.endings),
        ("holds", b"".join([rows.hold(ledger_id, at, seq) for seq, at in plan.new_holds.items()])),
        ("idempotency_keys", b"".join([rows.key(ledger_id, *of) for of in plan.keys.items()])),
    ):
        if encoded:
            plan.copies.append((table, rows.buffer(encoded)))
    if plan.accepted:
        state.root = state.frontier.root()
        state.recorded_at = plan.now
    plan.incarnation = state.incarnation
    plan.head = (
        state.seq,
        state.recorded_at,
        state.root,
        state.frontier.pack(),
        state.accounts_count,
        state.chart_seq,
        state.next_expiry,
    )


def _columns(table: list[tuple[int | None, ...]]) -> list[str]:
    """The columns of some rows as PostgreSQL array literals."""
    return [
        "{" + ",".join(["NULL" if value is None else str(value) for value in column]) + "}"
        for column in zip(*table, strict=True)
    ]
