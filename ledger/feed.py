"""The event log as others follow it: pages beyond a seq, filtered by type and by stream.

seq has no gaps and never falls behind what a reader has seen (invariant 3), so a seq is all that a reader has
to remember. `Page.position` is how far the page has looked, whatever the filter let through: who goes on from
it misses nothing and looks at nothing twice.
"""

from __future__ import annotations

from msgspec import Raw, Struct

from ledger.reader import Reader
from ledger.views import EventView
from sql import load as load_queries

QUERIES = load_queries("feed.sql")

SCAN = 1_000  # events that one page looks at
UNBOUNDED = 2**62


class Filter(Struct, frozen=True):
    """Which events are wanted: of these types, of this stream. None: of any."""

    types: tuple[str, ...] | None = None
    stream: str | None = None


ANY = Filter()


class Page(Struct, frozen=True):
    """Events in seq order. All wanted ones beyond the page's start and up to `position` are among them."""

    events: list[EventView]
    position: int


def head_seq(reader: Reader, ledger: str) -> int:
    """The seq of the last event (LedgerNotFound)."""
    with reader.snapshot(ledger) as (connection, parameters):
        row = connection.execute(QUERIES["head_seq"], parameters).fetchone()
        assert row is not None
        return int(row[0])


def read_page(
    reader: Reader, ledger: str, after: int, limit: int, wanted: Filter = ANY, max_bytes: int = UNBOUNDED
) -> Page:
    """Up to `limit` events beyond `after`, no more once their bodies reach `max_bytes` (LedgerNotFound).

    `position` is `after` only when there is no event beyond it.
    """
    asked = {
        "after": after,
        "types": None if wanted.types is None else list(wanted.types),
        "stream": wanted.stream,
        "limit": limit,
        "bytes": max_bytes,
        "scan": max(SCAN, limit),
    }
    query = QUERIES["log_page" if wanted.stream is None else "stream_page"]
    with reader.snapshot(ledger) as (connection, parameters):
        rows = connection.execute(query, parameters | asked, binary=True).fetchall()
    events = [EventView(seq, leaf.hex(), Raw(body)) for seq, leaf, body in rows if body is not None]
    return Page(events, rows[-1][0] if rows else after)
