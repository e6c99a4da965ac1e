"""Credit transactions: what each wallet did, for histories, usage by period and metrics.

Balances are not here: they are the wallets' own streams, exact at every moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from ledger.credits.views import KINDS, transaction_view
from ledger.events import Event
from ledger.wire import Connection
from projections.projection import Range, Subject
from sql import load as load_queries

QUERIES = load_queries("credits.sql")
TYPES = ["credits_added", *KINDS]


class Credits:
    """See above."""

    name = "credits"
    code_version = 1
    tables = ("credit_transactions",)

    def apply(self, connection: Connection, range: Range) -> None:
        """One row an event of a wallet."""
        connection.execute(QUERIES["add_credit_transactions"], {**range._asdict(), "types": TYPES})

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """The same from the bodies."""
        for event in events:
            if event.type in TYPES and "balance" in event.data:
                yield "credit_transactions", _row(event)


def _row(event: Event) -> tuple[Any, ...]:
    view, data = transaction_view(event), event.data
    lots = data.get("lots", [])
    bought = [lot for lot in lots if (lot["from"], lot["source"]) == ("issued", "purchased")]
    paid = int(data.get("paid", 0))
    if event.type == "credits_added":
        paid = sum(int(lot.get("cost", 0)) for lot in lots)
    assets = [lot.get("asset", "") for lot in lots]
    return (
        event.seq,
        datetime.fromisoformat(event.effective_at),
        view.amount,
        view.balance_after,
        view.used,
        sum(int(lot["units"]) for lot in bought),
        paid,
        int(data.get("refunded", 0)),
        view.transaction_type,
        view.user_id,
        view.credit_type,
        data.get("asset", assets[0] if assets else ""),
        data.get("package", ""),
        data.get("order", ""),
    )
