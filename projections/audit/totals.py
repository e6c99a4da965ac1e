"""The control totals of an export's manifest, counted again from the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta, tzinfo
from typing import Any

from ledger.days import day_of
from ledger.events import Event
from ledger.text import moment
from projections.audit.books import Books

KINDS = ("posted", "pending", "release")


class Sums:
    """Legs, debits and credits by asset and kind."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int], list[int]] = {}
        self.legs = 0

    def add(self, asset: str, kind: int, signed: int) -> None:
        """Count a leg."""
        sums = self._sums.get((asset, kind))
        if sums is None:
            sums = self._sums[asset, kind] = [0, 0, 0]
        sums[0] += 1
        self.legs += 1
        if signed > 0:
            sums[1] += signed
        else:
            sums[2] -= signed

    def of(self, asset: str, kind: int) -> dict[str, Any]:
        """As the manifest has them."""
        legs, debits, credits = self._sums.get((asset, kind), (0, 0, 0))
        return {"legs": legs, "debits": str(debits), "credits": str(credits)}

    def assets(self) -> list[str]:
        """Every asset that has a leg."""
        return sorted({asset for asset, _ in self._sums})


class Totals:
    """Of the whole book and, with a range of days, of the posted legs effective in it."""

    def __init__(self, books: Books, days: tuple[date, date] | None) -> None:
        self._books = books
        self._types: Counter[str] = Counter()
        self._sums = Sums()
        self._days = days
        self._range_sums = Sums()
        self.transactions = 0

    def entered(self, event: Event, day: date | None) -> None:
        """Count the event that the books entered last; `day` is its effective day, where one is wanted."""
        self._types[event.type] += 1
        add = self._sums.add
        legs = self._books.legs
        for position, kind, signed, *_ in legs:
            add(position.asset, kind, signed)
        if self._days is not None and day is not None and self._days[0] <= day <= self._days[1]:
            posted = [leg for leg in legs if leg[1] == 0]
            self.transactions += bool(posted)
            for position, kind, signed, *_ in posted:
                self._range_sums.add(position.asset, kind, signed)

    def whole(self) -> dict[str, Any]:
        """What `totals` must be."""
        seq = self._books.seq
        return {
            "events": seq,
            "first_seq": min(seq, 1),
            "last_seq": seq,
            "legs": self._sums.legs,
            "types": dict(sorted(self._types.items())),
            "assets": {
                asset: {name: self._sums.of(asset, kind) for kind, name in enumerate(KINDS)}
                for asset in self._sums.assets()
            },
        }

    @property
    def range_legs(self) -> int:
        """How many posted legs are effective in the range."""
        return self._range_sums.legs

    def of_range(self) -> dict[str, Any]:
        """What `range_totals` must be."""
        assert self._days is not None
        return {
            "transactions": self.transactions,
            "legs": self._range_sums.legs,
            "periods": [day.isoformat() for day in period_ends(*self._days)],
            "assets": {asset: self._range_sums.of(asset, 0) for asset in self._range_sums.assets()},
        }


def period_ends(first: date, last: date) -> Iterator[date]:
    """The last day of every month of the range, and its last day."""
    for month in range(12 * first.year + first.month, 12 * last.year + last.month):
        yield date(month // 12, month % 12 + 1, 1) - timedelta(days=1)
    yield last


def effective_day(micros: int, zone: tzinfo) -> date:
    """The calendar day that a moment is in, as `ledger.days` has it for periods, reports and exports."""
    return day_of(moment(micros), zone)


def first_difference(said: Any, counted: Any, place: str) -> tuple[str, str, str] | None:
    """Where two documents differ first: the place, what is said, what was counted."""
    if isinstance(said, Mapping) and isinstance(counted, Mapping):
        for name in sorted(said.keys() | counted.keys()):
            found = first_difference(said.get(name), counted.get(name), f"{place}.{name}")
            if found is not None:
                return found
        return None
    return None if said == counted and type(said) is type(counted) else (place, str(said), str(counted))
