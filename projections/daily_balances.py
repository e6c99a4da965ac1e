"""Daily balances: what each calendar day of the ledger's time zone adds to an account's four counters.

A balance as of any moment is a sum of days and of the legs of one day (`balances_at`). A fact that is
recorded late adds to its own day, so nothing is ever recalculated. Days are those of `ledger.days`, which
PostgreSQL is handed, so that one set of time-zone data decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from ledger.days import day_of, spells
from ledger.events import Event
from ledger.wire import Connection
from projections.legs import QUERIES, parameters
from projections.numbering import Numbering
from projections.projection import Range, Subject


class DailyBalances:
    """See above."""

    name = "daily_balances"
    code_version = 1
    tables = ("daily_balances",)

    def apply(self, connection: Connection, range: Range) -> None:
        """Add the legs of the range to their days."""
        given = parameters(connection, range)
        known = spells(ZoneInfo(range.time_zone), given["year"])
        connection.execute(QUERIES["add_daily_balances"], given | known._asdict())

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """A plain fold, in memory that grows with the rows and not with the events."""
        zone = ZoneInfo(subject.time_zone)
        known = Numbering()
        days: dict[tuple[int, int, date], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for event in events:
            known.take_in(event)
            day = day_of(datetime.fromisoformat(event.effective_at), zone)
            for posting in event.postings:
                place = known.accounts[posting.account], known.assets[posting.asset], day
                counter = 0 if posting.side == "debit" else 1
                amount = int(posting.amount)
                if posting.kind != "posted":
                    counter += 2
                    amount = amount if posting.kind == "pending" else -amount
                days[place][counter] += amount
        for (account, asset, day), counters in days.items():
            yield "daily_balances", (account, asset, *counters, day)
