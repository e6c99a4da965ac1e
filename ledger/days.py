"""Calendar days of a ledger's time zone, as spans of UTC time that follow upon each other.

A day lasts from its first midnight to the next day's: 23 or 25 hours where the clock changes, none where a
zone skips a date. So every moment is in exactly one day, even in the zones that put the clock back over
midnight, where the local date alone would go backwards.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import NamedTuple

from ledger.periods import start_of
from ledger.text import micros, moment

# No zone changed its clocks before.
FIRST_YEAR = 1800

_DAY = timedelta(days=1)
_DAY_MICROS = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
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
    return day_at(micros(at), zone)


def day_at(us: int, zone: tzinfo) -> date:
    """`day_of` a moment in microseconds."""
    try:
        day = date.fromordinal(_EPOCH + us // _DAY_MICROS)
    except (OverflowError, ValueError):
        return date.min if us < 0 else date.max
    while day > date.min and start_of(day, zone) > us:
        day -= _DAY
    while day < date.max and start_of(day + _DAY, zone) <= us:
        day += _DAY
    return day


class Spells(NamedTuple):
    """Days as PostgreSQL can look them up: a moment is in the UTC date of itself less `shifts[n]`, where `n`
    of the `starts` are at or before it."""

    starts: list[datetime]
    shifts: list[timedelta]


@lru_cache(maxsize=100)
def spells(zone: tzinfo, last_year: int) -> Spells:
    """The spells of a zone through a year: within one, days are 24 hours long.

    The hour that a long day has more is taken into the next spell, whose dates it belongs to.
    """
    found = Spells([], [])
    offset = None
    for number in range(date(FIRST_YEAR, 1, 1).toordinal(), date(last_year + 1, 1, 1).toordinal()):
        midnight = datetime.fromordinal(number).replace(tzinfo=zone)
        offset, before = midnight.utcoffset(), offset
        if offset == before:
            continue
        assert offset is not None
        if before is not None:
            found.starts.append(midnight.replace(tzinfo=UTC) - max(offset, before))
        found.shifts.append(-offset)
    return found


def end_of(day: date, zone: tzinfo) -> datetime:
    """The first moment after a day, in UTC; the last moment there is for the last day of the calendar."""
    if day == date.max:
        return datetime.max.replace(tzinfo=UTC)
    return moment(start_of(day + _DAY, zone))
