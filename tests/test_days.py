"""Calendar days of a time zone: every moment is in one, whatever the clocks of the zone did."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.days import day_of, day_or_moment, end_of, starts
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


def test_days_are_parted_by_their_starts() -> None:
    """As many starts as days after the first, each the end of the day before."""
    zone = ZoneInfo("Europe/Prague")
    found = list(starts(date(2026, 10, 24), date(2026, 10, 26), zone))
    assert found == [end_of(date(2026, 10, 24), zone), end_of(date(2026, 10, 25), zone)]
    assert list(starts(date(2026, 10, 24), date(2026, 10, 24), zone)) == []


def test_the_ends_of_the_calendar_are_days_too() -> None:
    """Moments whose local date would lie outside the calendar are in its first or last day."""
    assert day_of(datetime(1, 1, 1, tzinfo=UTC), ZoneInfo("America/New_York")) == date.min
    assert day_of(datetime(9999, 12, 31, 23, tzinfo=UTC), ZoneInfo("Asia/Tokyo")) == date.max
    assert end_of(date.max, ZoneInfo("Asia/Tokyo")).year == 9999


def test_a_day_or_a_moment_is_read() -> None:
    """A day stays a day, a moment is in UTC; everything else is refused by name."""
    assert day_or_moment("as_of", "2026-10-31") == date(2026, 10, 31)
    assert day_or_moment("as_of", "2026-10-31T01:00:00+02:00") == datetime(2026, 10, 30, 23, tzinfo=UTC)
    for wrong in ("2026-10-31T01:00:00", "2026-02-30", "now", "", "20261031", "0001-01-01T00:00:00+10:00"):
        with pytest.raises(ValueError, match="`as_of`"):
            day_or_moment("as_of", wrong)
