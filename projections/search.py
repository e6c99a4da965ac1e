"""Search: what transactions can be found by, in the order of seq.

An inverted index in plain tables: a transaction's reference and pairs of metadata are terms, each a short
hash, so that a key of one ledger leads straight to its transactions, newest first. A later remark
(`transaction_annotated`) is found like the transaction's own metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any

from ledger.events import Event
from ledger.wire import Connection
from projections.legs import QUERIES
from projections.numbering import Numbering
from projections.projection import Range, Subject

REMARK = "transaction_annotated"


class Search:
    """See above."""

    name = "search"
    code_version = 1
    tables = ("search", "search_terms", "search_amounts")

    def apply(self, connection: Connection, range: Range) -> None:
        """Add the transactions of the range, and the remarks in it."""
        connection.execute(QUERIES["add_search"], {**range._asdict(), "remark": REMARK})

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """One event after another; only the terms of remarks are remembered, since they may repeat."""
        known = Numbering()
        remarked: set[tuple[int, bytes]] = set()
        for event in events:
            known.take_in(event)
            pairs = event.metadata.items()
            if event.type == REMARK:
                on = event.data["transaction"]
                remarked |= {(on, _term(f"remark:{len(name)}:{name}{value}")) for name, value in pairs}
            if not event.postings:
                continue
            for name, value in pairs:
                yield "search_terms", (event.seq, _term(f"metadata:{len(name)}:{name}{value}"))
            if event.reference:
                yield "search_terms", (event.seq, _term(f"reference:{event.reference}"))
            amounts = sorted({(known.assets[p.asset], int(p.amount)) for p in event.postings})
            for asset, amount in amounts:
                yield "search_amounts", (amount, event.seq, asset)
            yield (
                "search",
                (
                    event.seq,
                    datetime.fromisoformat(event.effective_at),
                    event.type,
                    sorted({known.accounts[p.account] for p in event.postings}),
                    [asset for asset, _ in amounts],
                    [amount for _, amount in amounts],
                ),
            )
        for row in remarked:
            yield "search_terms", row


def _term(text: str) -> bytes:
    return sha256(text.encode()).digest()[:16]
