"""The audit's core: stored events go in, in order; the tree, the books and what offends come out.

What is hashed is what is stored, byte for byte. A body that is not the canonical form of its event, or that
stands in another place than it says, is an integrity finding. Where events are missing or cannot be read,
the books end: nothing can be said of what follows from an event that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Protocol

import msgspec

from ledger.events import Event, UnknownEvent, encode, read_event
from projections.audit.books import Books
from projections.audit.moments import is_moment
from projections.audit.tree import Tree
from projections.audit.verdicts import Findings

CHUNK = 2_000
MAX_BODY = 65_535
DEEP = 200  # brackets; no event is nested so deep, long ones have as many side by side
SPARE = 60  # calls that whatever handles an event later may be further down the stack

# seq, body, and the leaf hash that is stored beside it, if one is
Stored = tuple[int, bytes, bytes | None]


class Source(Protocol):
    """Where the events come from; gives earlier ones again."""

    def bodies(self, seqs: Sequence[int]) -> dict[int, bytes]:
        """The bodies of some events that were fed before, by seq."""


class Verifier:
    """Integrity of the bytes and the accounting of one ledger, as far as it was fed."""

    def __init__(self, source: Source, findings: Findings, sizes: Iterable[int] = ()) -> None:
        """`sizes` are the tree sizes whose roots will be asked for."""
        self.findings = findings
        self.tree = Tree(sizes)
        self.books = Books(findings)
        self.complete = True  # no event is missing so far
        self.halted: str | None = None  # why the books ended before the last event
        self.hashed: Callable[[bytes, bytes], None] | None = None  # told of every body and its leaf
        self._source = source
        self._known: dict[int, Event] = {}

    def add(self, chunk: Sequence[Stored], entered: Callable[[Event, bytes], None] | None = None) -> None:
        """Feed the events that follow; `entered` gets each that went into the books, with its leaf."""
        events, leaves = self._hash(chunk)
        books = self.books
        self._known = {event.seq: event for event in events}
        wanted = books.wanted(events)
        if wanted:
            self._known |= self._read(sorted(wanted))
        enter = books.enter
        origin = self._origin
        for event, leaf in zip(events, leaves, strict=True):
            enter(event, origin)
            if entered is not None:
                entered(event, leaf)

    @property
    def whole(self) -> bool:
        """Whether every event so far is in the books."""
        return self.complete and self.halted is None

    def finish(self) -> None:
        """Check what only the whole shows."""
        if self.halted is None:
            self.books.finish(self._read)

    def _hash(self, chunk: Sequence[Stored]) -> tuple[list[Event], list[bytes]]:
        """Hash every body into the tree; the events that the books can enter, and their leaves."""
        tree = self.tree
        add_leaf = tree.add
        integrity = self.findings.add
        events: list[Event] = []
        leaves: list[bytes] = []
        for seq, body, stored_leaf in chunk:
            if seq != tree.size + 1:
                self.missing(tree.size + 1, f"after {tree.size} comes {seq}")
                return events, leaves
            leaf = sha256(b"\x00" + body).digest()
            if stored_leaf is not None and stored_leaf != leaf:
                integrity("integrity", seq, "the stored leaf is not the hash of the stored body")
            add_leaf(leaf)
            if self.hashed is not None:
                self.hashed(body, leaf)
            event = self._event(seq, body)
            if event is not None and self.halted is None:
                events.append(event)
                leaves.append(leaf)
        return events, leaves

    def missing(self, seq: int, why: str) -> None:
        """An event is not there: neither the tree nor the books can go on."""
        if self.complete:
            sentence = f"event {seq} is not there: {why}"
            self.findings.add("integrity", seq, sentence)
            self.findings.add("accounting", seq, sentence)
            self.complete = False
            self.halted = self.halted or sentence

    def _event(self, seq: int, body: bytes) -> Event | None:
        if len(body) > MAX_BODY:
            self._unreadable(seq, f"the body has {len(body)} bytes, more than {MAX_BODY}")
            return None
        try:
            event = _read(body)
        except (msgspec.MsgspecError, UnknownEvent, UnicodeDecodeError, RecursionError) as error:
            self._unreadable(seq, f"the body cannot be read: {error}")
            return None
        if event.seq != seq:
            self._unreadable(seq, f"the event that is stored as {seq} says that it is {event.seq}")
            return None
        if not (is_moment(event.recorded_at) and is_moment(event.effective_at)):
            self._unreadable(seq, "its moments are not UTC with six decimals")
            return None
        if encode(event) != body:
            self.findings.add("integrity", seq, "the body is not in the canonical form of its event")
        return event

    def _unreadable(self, seq: int, sentence: str) -> None:
        self.findings.add("integrity", seq, sentence)
        self.halted = self.halted or f"event {seq} cannot be entered: {sentence}"

    def _origin(self, seq: int) -> Event | None:
        if not 0 < seq <= self.books.seq:
            return None
        event = self._known.get(seq)
        return event if event is not None else self._read([seq]).get(seq)

    def _read(self, seqs: Sequence[int]) -> dict[int, Event]:
        return {seq: read_event(body) for seq, body in self._source.bodies(seqs).items()}


def _read(body: bytes) -> Event:
    """`read_event`, RecursionError too for what is nested so deep that it can be read here alone."""
    if body.count(b"[") + body.count(b"{") > DEEP:
        return _read_further_down(body, SPARE)
    return read_event(body)


def _read_further_down(body: bytes, calls: int) -> Event:
    return _read_further_down(body, calls - 1) if calls else read_event(body)
