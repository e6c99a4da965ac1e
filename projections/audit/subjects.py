"""What later events refer to: holds, and the transactions that reversals and remarks name.

The audit holds in memory only what is open: a hold until it ends, a transaction that is reversed in part.
Of the others it keeps five bytes an event: how many events its stream has, and how far on the event is that
ended it. A transaction that is named for the first time is read again from its body.
"""

from __future__ import annotations

from array import array
from heapq import heappop, heappush
from typing import Any, NamedTuple

from ledger.events import Event, EventPosting
from projections.audit.moments import is_moment

ROOM = 4_096  # events that room is made for at a time
STREAM = "transaction:"
HOLD_ENDS = {"hold_posted": "posted", "hold_voided": "voided", "hold_expired": "expired"}
NAMEABLE = ("transaction_posted", "hold_posted", "transaction_reversed")


class Leg(NamedTuple):
    """A leg that can be taken back: debit or credit `amount` of `asset`."""

    account: str
    asset: str
    debit: bool
    amount: int


class Subject:
    """A transaction on whose stream there are events, and what is left of its legs."""

    __slots__ = ("effective_at", "ended_by", "expires_at", "left", "legs", "seq", "status", "type", "version")

    def __init__(self, event: Event) -> None:
        held = event.type == "transaction_held"
        kind = "pending" if held else "posted"
        self.seq = event.seq
        self.type = event.type
        self.status = kind
        self.effective_at = event.effective_at
        expires_at = event.data.get("expires_at") if held else None
        self.expires_at: str | None = expires_at if is_moment(expires_at) else None
        self.legs = [
            Leg(p.account, p.asset, p.side == "debit", int(p.amount))
            for p in event.postings
            if p.kind == kind
        ]
        self.left = [leg.amount for leg in self.legs]
        self.version = 0
        self.ended_by: int | None = None


class Subjects:
    """Open subjects, and the traces of all."""

    def __init__(self) -> None:
        self.open: dict[int, Subject] = {}
        self.versions = bytearray(1)
        self._many: dict[int, int] = {}  # versions beyond a byte
        self._ends = array("I", [0])
        self._far: dict[int, int] = {}  # endings beyond four bytes
        self._due: list[tuple[str, int]] = []

    def grow(self, seq: int) -> None:
        """Make room for the events up to `seq`."""
        missing = seq + 1 - len(self.versions)
        if missing > 0:
            missing += ROOM
            self.versions.extend(bytes(missing))
            self._ends.frombytes(bytes(4 * missing))

    def version(self, seq: int) -> int:
        """How many events the stream of a transaction has."""
        return self._many.get(seq) or self.versions[seq]

    def ended_by(self, seq: int) -> int | None:
        """The event that left nothing of a transaction."""
        after = self._ends[seq]
        return self._far.get(seq) or (seq + after if after else None)

    def due(self) -> tuple[str, int] | None:
        """When the next open hold expires, and which it is."""
        while self._due and self._due[0][1] not in self.open:
            heappop(self._due)
        return self._due[0] if self._due else None

    def holds(self) -> dict[int, str]:
        """Open holds that have a time-out, and when they expire."""
        return {
            seq: subject.expires_at for seq, subject in self.open.items() if subject.expires_at is not None
        }

    def needs(self, event: Event) -> int | None:
        """The transaction that an event names and that is not in memory: its body is wanted."""
        seq = event.data.get("transaction")
        if type(seq) is int and 0 < seq < event.seq and seq not in self.open:
            return seq
        return None

    def hold(self, event: Event) -> Subject:
        """Enter a new hold."""
        subject = self.open[event.seq] = Subject(event)
        self._step(subject)
        if subject.expires_at is not None:
            heappush(self._due, (subject.expires_at, event.seq))
        return subject

    def named(self, origin: Event) -> Subject | None:
        """The subject of a transaction that is not in memory: one never touched, or one that has ended."""
        if origin.type not in NAMEABLE and origin.type != "transaction_held":
            return None
        subject = Subject(origin)
        subject.version = self.version(origin.seq)
        subject.ended_by = self.ended_by(origin.seq)
        if subject.ended_by is not None:
            subject.left = [0] * len(subject.left)
        return subject

    def remark(self, subject: Subject) -> None:
        """Enter an annotation."""
        self._step(subject)

    def take(self, subject: Subject, event: Event, amounts: list[int]) -> None:
        """Enter what an event takes; the last of it ends the subject."""
        self._step(subject)
        subject.left = [left - amount for left, amount in zip(subject.left, amounts, strict=True)]
        if any(subject.left):
            self.open[subject.seq] = subject
            return
        subject.status = HOLD_ENDS.get(event.type, "reversed")
        subject.ended_by = event.seq
        after = event.seq - subject.seq
        if after < 2**32:
            self._ends[subject.seq] = after
        else:
            self._far[subject.seq] = event.seq
        self.open.pop(subject.seq, None)

    def _step(self, subject: Subject) -> None:
        subject.version += 1
        self.versions[subject.seq] = min(subject.version, 255)
        if subject.version > 254:
            self._many[subject.seq] = subject.version


def end_status(ending: Event) -> str:
    """What a subject is called after the event that ended it."""
    return HOLD_ENDS.get(ending.type, "reversed")


def wrong_name(subject: Subject | None, event: Event) -> str | None:
    """Why an event may not name this transaction at all."""
    seq = event.data.get("transaction")
    if type(seq) is not int or not 0 < seq < event.seq:
        return f"a {event.type} names {seq}, which is not an earlier event"
    if subject is None:
        return f"a {event.type} names event {seq}, which is not a transaction"
    if event.type == "transaction_annotated":
        return None
    if subject.ended_by is not None:
        return f"takes from transaction {seq}, of which event {subject.ended_by} left nothing"
    if event.type == "transaction_reversed" and subject.type not in ("transaction_posted", "hold_posted"):
        return f"reverses event {seq}, a {subject.type}"
    if event.type in HOLD_ENDS and subject.type != "transaction_held":
        return f"a {event.type} names event {seq}, which is not a hold"
    if event.effective_at < subject.effective_at:
        return f"is effective at {event.effective_at}, before the transaction that it takes from"
    return None


def taken(subject: Subject, event: Event) -> tuple[list[int], str | None]:
    """What an event takes of each leg, and how its postings differ from that."""
    data: dict[str, Any] = event.data
    named = data.get("amounts")
    amounts = subject.left if named is None else [int(amount) for amount in named]
    if len(amounts) != len(subject.left):
        return [0] * len(subject.left), "names more or fewer amounts than the transaction has legs"
    for index, (amount, left) in enumerate(zip(amounts, subject.left, strict=True)):
        if not 0 <= amount <= left:
            return amounts, f"takes {amount} of leg {index} of {subject.seq}, of which {left} is left"
    released = subject.left if event.type != "hold_posted" or data.get("final") else amounts
    if event.type == "transaction_reversed":
        wanted, released = _postings(subject, amounts, "posted", opposite=True), amounts
    else:
        wanted = _postings(subject, released, "release")
        if event.type == "hold_posted":
            wanted += _postings(subject, amounts, "posted")
    if wanted != event.postings:
        return released, f"its postings are not what it takes from transaction {subject.seq}"
    return released, None


def _postings(subject: Subject, amounts: list[int], kind: Any, opposite: bool = False) -> list[EventPosting]:
    return [
        EventPosting(
            leg.account, str(amount), leg.asset, "debit" if leg.debit is not opposite else "credit", kind
        )
        for leg, amount in zip(subject.legs, amounts, strict=True)
        if amount
    ]
