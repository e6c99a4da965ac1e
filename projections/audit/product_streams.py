"""The states of products' streams: stored rows, and what the events fold to.

A state is by definition what a product's `evolve` makes of the events, so the audit folds with the same code;
the books check the money and the numbering of streams without it. Both sides come in the order of their
names, one stream in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ledger.events import read_event
from ledger.products import PRODUCTS, encode_state, kind_of
from ledger.state import Stream
from ledger.text import iso
from projections.audit.derived import canonical_state
from projections.audit.stored import StoredLedger
from projections.audit.tie_out import Claimed

Row = tuple[Any, ...]


def stored_streams(stored: StoredLedger) -> Iterator[Row]:
    """Rows of products' streams in the order of `compare.STREAMS`, the state in its one spelling."""
    for *row, state in stored.table("product_streams"):
        yield (*row, canonical_state(state))


def folded_streams(stored: StoredLedger, claimed: Claimed) -> Iterator[Row]:
    """The same rows as the events make them; what they claim of control accounts is added to `claimed`."""
    stream: Stream | None = None
    last_seq, broken = 0, ""
    for name, seq, body in stored.table("product_events"):
        if not PRODUCTS.has(name) or name == broken:
            continue
        if stream is not None and stream.name != name:
            yield _row(stream, last_seq, claimed)
            stream = None
        try:
            stream, last_seq = PRODUCTS.evolved(stream, read_event(body), name), seq
        except Exception as error:  # an event that nobody wrote: whatever `evolve` makes of it is a finding
            yield name, 0, seq, 0, kind_of(name), None, f"cannot be folded: {error!r}"
            stream, broken = None, name
    if stream is not None:
        yield _row(stream, last_seq, claimed)


def _row(stream: Stream, last_seq: int, claimed: Claimed) -> Row:
    for address, asset, amount in PRODUCTS.claims(stream):
        claimed[address, asset] += amount
    due = None if stream.due is None else iso(stream.due)
    state = canonical_state(encode_state(stream.state).decode())
    return stream.name, stream.version, last_seq, stream.state_version, stream.kind, due, state
