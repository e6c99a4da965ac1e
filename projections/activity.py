"""Account activity: every leg again, by account and asset in effective order.

`daybook.postings` has them in seq order. Statements over a period and balances within a day need them in the
order in which they count; what else they show is read from the book itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ledger.events import Event
from ledger.wire import Connection
from projections.legs import QUERIES, parameters
from projections.numbering import Numbering
from projections.projection import Range, Subject

_KINDS = {"posted": 0, "pending": 1, "release": 2}


class Activity:
    """See above."""

    name = "activity"
    code_version = 1
    tables = ("activity",)

    def apply(self, connection: Connection, range: Range) -> None:
        """Copy the legs of the range."""
        connection.execute(QUERIES["add_activity"], parameters(connection, range))

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """One row a posting."""
        known = Numbering()
        for event in events:
            known.take_in(event)
            for leg, posting in enumerate(event.postings):
                amount = int(posting.amount)
                yield (
                    "activity",
                    (
                        known.accounts[posting.account],
                        known.assets[posting.asset],
                        datetime.fromisoformat(event.effective_at),
                        event.seq,
                        amount if posting.side == "debit" else -amount,
                        leg,
                        _KINDS[posting.kind],
                    ),
                )
