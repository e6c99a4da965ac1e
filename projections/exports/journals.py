"""What the accounting files have in common: the range of days, its periods, amounts, and one stream.

An accounting file is fed in the order in which it is read: the accounts, the balances before the range,
then for each period its transactions and the balances at its end.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

from ledger.events import EventPosting
from projections.exports.source import (
    AccountRow,
    Entry,
    Nature,
    PeriodBalance,
)

Posted = list[tuple[int, EventPosting]]  # the posted legs of an event, each with its place in the body


class Days(NamedTuple):
    """The effective days of an export, both included."""

    first: date
    last: date

    @property
    def before(self) -> date:
        """The day of the opening balances; there are none before the first day of the calendar."""
        return self.first - timedelta(days=1)

    def ends(self) -> list[date]:
        """The last day of each month in the range, and its last day."""
        ends: list[date] = []
        day = self.first
        while not ends or ends[-1] < self.last:
            month = day.replace(day=monthrange(day.year, day.month)[1])
            ends.append(min(month, self.last))
            if month < self.last:
                day = month + timedelta(days=1)
        return ends


class Journal(Protocol):
    """An accounting file. The methods are called in the order in which they stand here."""

    def account(self, account: AccountRow) -> None:
        """An account of the ledger."""

    def opening(self, balances: list[PeriodBalance]) -> None:
        """The balances before the range, a page of them."""

    def transaction(self, entry: Entry, posted: Posted, natures: dict[str, Nature]) -> None:
        """The next event in the order of the journals that has posted legs; `natures` of their accounts."""

    def period(self, end: date, balances: list[PeriodBalance]) -> None:
        """The balances at a period's end, a page of them."""

    def finish(self) -> None:
        """No more will come."""


@lru_cache(maxsize=1024)
def scale(asset: str) -> int:
    """How many decimals the minor unit of `CODE/SCALE` has."""
    return int(asset.rsplit("/", 1)[1])


def decimal(amount: int, places: int) -> str:
    """Minor units as a decimal with exactly so many places: 5000 with 2 is `50.00`."""
    if not places:
        return str(amount)
    digits = str(abs(amount)).rjust(places + 1, "0")
    return f"{'-' if amount < 0 else ''}{digits[:-places]}.{digits[-places:]}"
