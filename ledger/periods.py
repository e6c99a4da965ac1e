"""Periods: calendar years, quarters, months and days of a ledger's time zone, and those that are closed.

A period is named as ISO 8601 names it: `2026`, `2026-Q3`, `2026-10`, `2026-10-15`. Its days begin at
midnight in the ledger's time zone, so that it starts and ends at UTC moments, the end excluded:
`[starts_at, ends_at)`.
The moments of a closing are those of its event; new time-zone data never moves them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache

from msgspec import Struct

from ledger.text import micros

PERIOD_PATTERN = r"^[1-9][0-9]{3}(-Q[1-4]|-[0-9]{2}(-[0-9]{2})?)?\Z"

_period = re.compile(r"([0-9]{4})(?:-Q([1-4])|-([0-9]{2})(?:-([0-9]{2}))?)?\Z")
_DAY = timedelta(days=1)
_BEFORE_TIME = -(2**63)


def days_of(period: str) -> tuple[date, date]:
    """The first day of a period, and the first day after it (ValueError: no such period)."""
    found = _period.match(period)
    if found is None:
        raise ValueError(f"`period` {period!r} is not a year, a quarter, a month or a day")
    year, quarter, month, day = found.groups()
    try:
        if day is not None:
            first = date(int(year), int(month), int(day))
            return first, first + _DAY
        if month is not None:
            return _months(int(year), int(month), 1)
        if quarter is not None:
            return _months(int(year), 3 * int(quarter) - 2, 3)
        return _months(int(year), 1, 12)
    except (ValueError, OverflowError):
        raise ValueError(f"`period` {period!r} is not in the calendar") from None


def _months(year: int, first: int, count: int) -> tuple[date, date]:
    after = first + count - 1
    return date(year, first, 1), date(year + after // 12, after % 12 + 1, 1)


@lru_cache(maxsize=4096)
def start_of(day: date, zone: tzinfo) -> int:
    """The first moment of a calendar day, in microseconds UTC.

    Where the clock is put forward over midnight, that is the moment of the change; where it is put back over
    midnight, the first of the two midnights (PEP 495: `fold` 0 has the offset before the change).
    """
    return micros(datetime(day.year, day.month, day.day, tzinfo=zone))


def bounds_of(period: str, zone: tzinfo) -> tuple[int, int]:
    """(starts_at, ends_at) of a period, in microseconds UTC, the end excluded (ValueError)."""
    first, after = days_of(period)
    return start_of(first, zone), start_of(after, zone)


class Closing(Struct, frozen=True):
    """A closed period and the seq of the event that closed it."""

    period: str
    starts_at: int
    ends_at: int
    seq: int


class Closings:
    """The closed periods of a ledger. It never changes: closing and reopening give another.

    `until` is the end of the last: an event effective then or later, which is nearly every event, needs no
    further look.
    """

    __slots__ = ("_outermost", "_starts", "by_period", "until")

    def __init__(self, closings: Iterable[Closing] = ()) -> None:
        self.by_period = {closing.period: closing for closing in closings}
        self.until = max((c.ends_at for c in self.by_period.values()), default=_BEFORE_TIME)
        # Those that are in no other: their starts rise, and so do their ends.
        self._outermost: list[Closing] = []
        for closing in sorted(self.by_period.values(), key=lambda c: (c.starts_at, -c.ends_at)):
            if not self._outermost or closing.ends_at > self._outermost[-1].ends_at:
                self._outermost.append(closing)
        self._starts = [closing.starts_at for closing in self._outermost]

    def at(self, moment: int) -> Closing | None:
        """The largest closed period that a moment is in."""
        index = bisect_right(self._starts, moment) - 1
        if index < 0 or moment >= self._outermost[index].ends_at:
            return None
        return self._outermost[index]

    def first_open(self, moment: int) -> int:
        """The first moment at or after `moment` that is in no closed period."""
        closing = self.at(moment)
        while closing is not None:
            moment = closing.ends_at
            closing = self.at(moment)
        return moment

    def with_closed(self, closing: Closing) -> Closings:
        """These and one more."""
        return Closings((*self.by_period.values(), closing))

    def without(self, period: str) -> Closings:
        """These but one."""
        return Closings(closing for closing in self.by_period.values() if closing.period != period)
