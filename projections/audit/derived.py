"""What the rows beside the events should be: their hashes, as the books go along, or the rows themselves.

The first pass keeps sums of hashes only. When a table's sums differ from those of its stored rows, a second
pass over the events gives the rows of the 256 events in question.
"""

from __future__ import annotations

import struct
from array import array
from typing import Any

import msgspec

from ledger.events import Event
from ledger.text import from_iso
from projections.audit.books import Books
from projections.audit.rows import ENDINGS, EVENT_STREAMS, KEYS, LAYOUTS, POSTINGS, TO_2000, Layout, Tally
from projections.audit.subjects import ROOM, STREAM, Subject

STATE_VERSION = 1
_canonical = msgspec.json.Encoder(order="sorted").encode


class Derived:
    """Fed with every event after the books."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.tallies = {layout.table: Tally() for layout in LAYOUTS}
        self.states = array("q")  # of streams: the hash of its row by its transaction's seq; 0: none
        self._postings = self.tallies[POSTINGS.table]
        self._moment = ("", 0)

    def entered(self, event: Event, leaf: bytes) -> None:
        """Add the rows of the event that the books entered last."""
        seq = event.seq
        if seq >= len(self.states):
            self._grow(seq + ROOM)
        try:
            self._add_rows(seq, event)
        except struct.error:
            return  # a number that no column can hold: the books have noted it, and no stored row is equal

    def _add_rows(self, seq: int, event: Event) -> None:
        if self.books.legs:
            self._add_postings(seq, event)
        if event.key and (event.batch is None or event.batch[0] == 0):
            size = 1 if event.batch is None else event.batch[1]
            self._add(KEYS, seq, key_row(seq, size, event.fingerprint, event.key))
        subject = self.books.touched
        if subject is None:
            for name, version in event.streams.items():
                self._add(EVENT_STREAMS, seq, EVENT_STREAMS.pack(seq, version, name))
            for name in event.ends:
                self._add(ENDINGS, seq, ENDINGS.pack(seq, name))
        else:
            stream = f"{STREAM}{subject.seq}"
            self._add(EVENT_STREAMS, seq, EVENT_STREAMS.pack(seq, subject.version, stream))
            if subject.ended_by == seq:
                self._add(ENDINGS, seq, ENDINGS.pack(seq, stream))
            self._add_state(subject, seq)

    def micros(self, text: str) -> int:
        """A moment's microseconds; events of a batch share it."""
        if self._moment[0] != text:
            self._moment = (text, from_iso(text))
        return self._moment[1]

    def _grow(self, seq: int) -> None:
        for tally in self.tallies.values():
            tally.grow(seq)
        missing = seq + 1 - len(self.states)
        if missing > 0:
            self.states.frombytes(bytes(8 * missing))

    def _add_postings(self, seq: int, event: Event) -> None:
        total = 0
        at = self.micros(event.effective_at) - TO_2000
        pack = POSTINGS.fixed.pack
        for leg, (position, kind, signed, *counters) in enumerate(self.books.legs):
            debits, credits, debits_pending, credits_pending = counters
            row = pack(
                11, 8, seq, 8, signed, 8, at, 8, debits, 8, credits, 8, debits_pending, 8, credits_pending,
                4, position.account.number, 4, position.asset_number, 2, leg, 2, kind,
            )  # fmt: skip
            total += hash(row)
        self._postings.add(seq, total)

    def _add(self, layout: Layout, seq: int, row: bytes) -> None:
        self.tallies[layout.table].add(seq, hash(row))

    def _add_state(self, subject: Subject, seq: int) -> None:
        self.states[subject.seq] = state_hash(stream_row(subject, seq))


class Collected(Derived):
    """The rows of some events in one table, and the rows of some streams, by key."""

    def __init__(self, books: Books, layout: Layout | None, seqs: range, stream: int = 0) -> None:
        super().__init__(books)
        self.rows: list[bytes] = []
        self.stream: tuple[Any, ...] | None = None
        self._layout = layout
        self._seqs = seqs
        self._stream = stream

    def _grow(self, seq: int) -> None:
        """Nothing is summed."""
        self.states.frombytes(bytes(8 * (seq + 1 - len(self.states))))

    def _add_postings(self, seq: int, event: Event) -> None:
        if self._layout is not POSTINGS or seq not in self._seqs:
            return
        at = self.micros(event.effective_at)
        for leg, (position, kind, signed, *counters) in enumerate(self.books.legs):
            numbers = (position.account.number, position.asset_number, leg, kind)
            self.rows.append(POSTINGS.pack(seq, signed, at, *counters, *numbers))

    def _add(self, layout: Layout, seq: int, row: bytes) -> None:
        if layout is self._layout and seq in self._seqs:
            self.rows.append(row)

    def _add_state(self, subject: Subject, seq: int) -> None:
        if subject.seq == self._stream:
            self.stream = stream_row(subject, seq)


def key_row(seq: int, size: int, fingerprint: str, key: str) -> bytes:
    """`KEYS.pack`, for what almost every event has."""
    name = key.encode()
    mark = _unhex(fingerprint)
    return b"".join(
        (
            KEYS.fixed.pack(4, 8, seq, 2, size),
            len(mark).to_bytes(4, "big"),
            mark,
            len(name).to_bytes(4, "big"),
            name,
        )
    )


def _unhex(fingerprint: str) -> bytes:
    """The bytes of a fingerprint; none of one that is not hex, which no stored row can then be equal to."""
    try:
        return bytes.fromhex(fingerprint)
    except ValueError:
        return b""


def stream_row(subject: Subject, last_seq: int) -> tuple[Any, ...]:
    """A row of `streams`: stream, version, last_seq, state_version, kind, due_at, state (canonical)."""
    state: dict[str, Any] = {
        "seq": subject.seq,
        "type": subject.type,
        "status": subject.status,
        "effective_at": from_iso(subject.effective_at),
        "legs": [
            [leg.account, leg.asset, leg.amount if leg.debit else -leg.amount, left]
            for leg, left in zip(subject.legs, subject.left, strict=True)
        ],
        "version": subject.version,
    }
    if subject.expires_at is not None:
        state["expires_at"] = from_iso(subject.expires_at)
    if subject.ended_by is not None:
        state["ended_by"] = subject.ended_by
    stream = f"{STREAM}{subject.seq}"
    return stream, subject.version, last_seq, STATE_VERSION, "transaction", None, _canonical(state).decode()


def state_hash(row: tuple[Any, ...]) -> int:
    """A stream's row as a number that is not 0."""
    return hash(_canonical(row)) or 1


def canonical_state(text: str) -> str:
    """A stored state in one spelling; one that is not JSON stays as it is."""
    try:
        return _canonical(msgspec.json.decode(text)).decode()
    except (msgspec.MsgspecError, RecursionError):
        return text
