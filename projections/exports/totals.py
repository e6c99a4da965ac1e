"""Control totals: what a reader of the folder can add up again to know that nothing is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ledger.events import KINDS, EventPosting
from projections.exports.source import Entry


class Sums:
    """Legs, debits and credits of each asset, by one more word if wanted; minor units."""

    def __init__(self) -> None:
        self.legs: Counter[tuple[str, str]] = Counter()
        self._amounts: Counter[tuple[str, str, str]] = Counter()

    def add(self, legs: Iterable[EventPosting]) -> None:
        """Count legs."""
        for leg in legs:
            self.legs[leg.asset, leg.kind] += 1
            self._amounts[leg.asset, leg.kind, leg.side] += int(leg.amount)

    def assets(self) -> list[str]:
        """The assets with a leg, in order."""
        return sorted({asset for asset, _ in self.legs})

    def of(self, asset: str, kind: str) -> dict[str, Any]:
        """Legs, debits and credits as the manifest has them."""
        return {
            "legs": self.legs[asset, kind],
            "debits": str(self._amounts[asset, kind, "debit"]),
            "credits": str(self._amounts[asset, kind, "credit"]),
        }


class BookTotals:
    """The totals of the whole book."""

    def __init__(self) -> None:
        self.sums = Sums()
        self.recorded_at = ""
        self._types: Counter[str] = Counter()
        self._first = self._last = 0

    def add(self, entry: Entry) -> None:
        """The next event."""
        event = entry.event
        self._first = self._first or entry.seq
        self._last = entry.seq
        self.recorded_at = event.recorded_at
        self._types[event.type] += 1
        self.sums.add(event.postings)

    @property
    def events(self) -> int:
        """How many there were."""
        return self._types.total()

    def manifest(self) -> dict[str, Any]:
        """As the manifest has them."""
        return {
            "events": self.events,
            "first_seq": self._first,
            "last_seq": self._last,
            "legs": self.sums.legs.total(),
            "types": dict(sorted(self._types.items())),
            "assets": {
                asset: {kind: self.sums.of(asset, kind) for kind in KINDS} for asset in self.sums.assets()
            },
        }


class RangeTotals:
    """The totals of the accounting files: posted legs of the range."""

    def __init__(self) -> None:
        self._sums = Sums()
        self._transactions = 0

    def add(self, legs: Iterable[EventPosting]) -> None:
        """The posted legs of the next event."""
        self._transactions += 1
        self._sums.add(legs)

    def manifest(self, periods: list[str]) -> dict[str, Any]:
        """As the manifest has them."""
        return {
            "transactions": self._transactions,
            "legs": self._sums.legs.total(),
            "periods": periods,
            "assets": {asset: self._sums.of(asset, "posted") for asset in self._sums.assets()},
        }
