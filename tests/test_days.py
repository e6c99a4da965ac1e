"""Calendar days of a time zone: every moment is in one, whatever the clocks of the zone did."""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.time_zones import time_zones
from ledger.days import day_of, day_or_moment, end_of, spells
from ledger.periods import start_of
from ledger.text import moment

ZONES = ("Europe/Prague", "America/St_Johns", "Pacific/Apia", "America/Sao_Paulo", "Africa/Monrovia", "UTC")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Prague", date(2026, 3, 29), 23),
        ("Europe/Prague", date(2026, 10, 25), 25),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),
        ("Pacific/Apia", date(2011, 12, 30), 0),
        ("Pacific/Apia", date(2011, 12, 31), 24),
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_a_day_lasts_as_long_as_its_clocks_say(zone: str, day: date, hours: int) -> None:
    """23 or 25 hours where the clock changes, nothing where the zone skips the date."""
    start = moment(start_of(day, ZoneInfo(zone)))
    assert end_of(day, ZoneInfo(zone)) - start == hours * HOUR


@given(minutes=st.integers(0, 78_840_000), zone=st.sampled_from(ZONES))
def test_every_moment_is_in_exactly_one_day(minutes: int, zone: str) -> None:
    """Its day has begun and has not ended; it is the local date, but where midnight is repeated."""
    at = datetime(1880, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    info = ZoneInfo(zone)
    day = day_of(at, info)
    assert moment(start_of(day, info)) <= at < end_of(day, info)
    assert day - at.astimezone(info).date() in (timedelta(0), timedelta(days=1))


def test_the_repeated_minute_after_midnight_belongs_to_the_day_that_has_begun() -> None:
    """In St. John's the clock went from 0:01 back to 23:01: the day went on."""
    zone = ZoneInfo("America/St_Johns")
    change = datetime(2010, 11, 7, 2, 31, tzinfo=UTC)
    assert change.astimezone(zone).date() == date(2010, 11, 6)
    assert day_of(change, zone) == date(2010, 11, 7)
    assert day_of(change - timedelta(seconds=61), zone) == date(2010, 11, 6)


@settings(deadline=None)
@given(minutes=st.integers(0, 78_840_000), zone=st.sampled_from(ZONES))
def test_spells_say_the_same_days(minutes: int, zone: str) -> None:
    """A moment less the shift of its spell is in the UTC date that is its day."""
    at = datetime(1880, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    known = spells(ZoneInfo(zone), 2030)
    shift = known.shifts[bisect_right(known.starts, at)]
    assert (at - shift).date() == day_of(at, ZoneInfo(zone))


@pytest.mark.parametrize("zone", ZONES)
def test_spells_are_right_to_the_microsecond_where_they_begin(zone: str) -> None:
    """At every start, a microsecond before it, and around the midnights beside it."""
    info = ZoneInfo(zone)
    known = spells(info, 2030)
    assert known.starts == sorted(known.starts)
    for start in known.starts:
        for hours in (-25, -24, -1, 0, 1, 2, 24):
            for at in (start + hours * HOUR, start + hours * HOUR - timedelta(microseconds=1)):
                shift = known.shifts[bisect_right(known.starts, at)]
                assert (at - shift).date() == day_of(at, info), at


def test_the_ends_of_the_calendar_are_days_too() -> None:
    """Moments whose local date would lie outside the calendar are in its first or last day."""
    assert day_of(datetime(1, 1, 1, tzinfo=UTC), ZoneInfo("America/New_York")) == date.min
    east, west = timezone(timedelta(hours=5)), timezone(timedelta(hours=-5))
    assert day_of(datetime(1, 1, 1, tzinfo=east), ZoneInfo("UTC")) == date.min
    assert day_of(datetime(9999, 12, 31, 23, tzinfo=west), ZoneInfo("UTC")) == date.max
    assert day_of(datetime(9999, 12, 31, 23, tzinfo=UTC), ZoneInfo("Asia/Tokyo")) == date.max
    assert end_of(date.max, ZoneInfo("Asia/Tokyo")).year == 9999


def test_a_day_or_a_moment_is_read() -> None:
    """A day stays a day, a moment is in UTC; everything else is refused by name."""
    assert day_or_moment("as_of", "2026-10-31") == date(2026, 10, 31)
    assert day_or_moment("as_of", "2026-10-31T01:00:00+02:00") == datetime(2026, 10, 30, 23, tzinfo=UTC)
    for wrong in ("2026-10-31T01:00:00", "2026-02-30", "now", "", "20261031", "0001-01-01T00:00:00+10:00"):
        with pytest.raises(ValueError, match="`as_of`"):
            day_or_moment("as_of", wrong)


def test_no_day_begins_within_a_quarter_of_an_hour_since_1980() -> None:
    """In every zone there is; the projection of days sums by quarters before it sums by days."""
    quarter = timedelta(minutes=15)
    for name in sorted(time_zones()):
        zone = ZoneInfo(name)
        offsets = {
            datetime(year, month, day, tzinfo=zone).utcoffset()
            for year in range(1980, 2027)
            for month in range(1, 13)
            for day in (9, 24)
        }
        assert {offset for offset in offsets if offset is None or offset % quarter} == set(), name
