"""Calendar days of a ledger's time zone, as spans of UTC time that follow upon each other.

A day lasts from its first midnight to the next day's: 23 or 25 hours where the clock changes, none where a
zone skips a date. So every moment is in exactly one day, even in the zones that put the clock back over
midnight, where the local date alone would go backwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo

from ledger.periods import start_of
from ledger.text import micros, moment

_DAY = timedelta(days=1)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")


def day_or_moment(field: str, text: str) -> date | datetime:
    """A calendar day (`2026-10-31`), or a moment with its offset, in UTC (ValueError, naming the field)."""
    try:
        if _DATE.match(text):
            return date.fromisoformat(text)
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"`{field}` is neither a day such as 2026-10-31 nor a moment with its offset from UTC")


def day_of(at: datetime, zone: tzinfo) -> date:
    """The day that a moment is in; the first or last of the calendar where the local date is outside it."""
    try:
        day = at.astimezone(zone).date()
    except OverflowError:
        return date.min if at.year == 1 else date.max
    while day < date.max and start_of(day + _DAY, zone) <= micros(at):
        day += _DAY
    return day


def starts(first: date, last: date, zone: tzinfo) -> Iterator[datetime]:
    """When the days after `first` begin, up to `last`, in UTC: they part the time between the two days."""
    for n in range(1, (last - first).days + 1):
        yield moment(start_of(first + n * _DAY, zone))


def end_of(day: date, zone: tzinfo) -> datetime:
    """The first moment after a day, in UTC; the last moment there is for the last day of the calendar."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return moment(start_of(day + _DAY, zone))
