"""Calendars of loans: when instalments are due, and what part of a year lies between two days.

Dates are calendar days of the ledger's time zone; nothing here knows a clock. A part of a year is a Decimal
under the caller's context.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

Unit = Literal["months", "weeks", "days"]

# Nothing is due later, so that every day that is reckoned from a due day is one that there is.
LAST_DUE = date(2999, 12, 31)
_IN_A_CENTURY: dict[Unit, int] = {"months": 1_200, "weeks": 5_200, "days": 36_500}


class Every(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How far instalments are apart: `count` months, weeks or days."""

    unit: Unit = "months"
    count: Annotated[int, Meta(ge=1, le=366)] = 1

    def after(self, first: date, number: int) -> date:
        """The day `number` intervals after `first`; in a month too short for it, the month's last day."""
        if self.unit == "months":
            months = first.year * 12 + first.month - 1 + number * self.count
            year, month = divmod(months, 12)
            return date(year, month + 1, min(first.day, monthrange(year, month + 1)[1]))
        return first + timedelta(days=number * self.count * (7 if self.unit == "weeks" else 1))

    def within_a_century(self, number: int) -> bool:
        """Whether so many intervals are no more than a hundred years."""
        return number * self.count <= _IN_A_CENTURY[self.unit]

    def year_part(self, start: date, end: date) -> Decimal:
        """What part of a year a period is: months are twelfths, weeks 52nds, days 365ths.

        What is not whole months counts its days as 360ths (30E/360).
        """
        if self.unit != "months":
            return Decimal((end - start).days) / (364 if self.unit == "weeks" else 365)
        if start.day == end.day or _is_cut(start, end.day) or _is_cut(end, start.day):
            return Decimal((end.year - start.year) * 12 + end.month - start.month) / 12
        return THIRTY_360.year_part(start, end)


class DayCount(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How days count for interest by the day.

    `year` is how many days a year has: `actual` counts days of leap years as 366ths and others as 365ths
    (ISDA 2006, section 4.16(b)). `month` 30 counts every month as 30 days and the 31st as the 30th (30E/360).
    """

    year: Literal["actual", "360", "364", "365"] = "365"
    month: Literal["actual", "30"] = "actual"

    def days(self, start: date, end: date) -> int:
        """Days from `start` to `end`."""
        if self.month == "30":
            years, months = end.year - start.year, end.month - start.month
            return 360 * years + 30 * months + min(end.day, 30) - min(start.day, 30)
        return (end - start).days

    def year_part(self, start: date, end: date) -> Decimal:
        """What part of a year lies between two days."""
        if self.year != "actual":
            return Decimal(self.days(start, end)) / Decimal(self.year)
        part = Decimal(0)
        while start < end:
            stop = min(end, date(start.year + 1, 1, 1))
            part += Decimal(self.days(start, stop)) / (366 if isleap(start.year) else 365)
            start = stop
        return part


THIRTY_360 = DayCount("360", "30")


def _is_cut(last: date, day: int) -> bool:
    """Whether a day is the last of its month, because the month has no `day`."""
    return last.day < day and last.day == monthrange(last.year, last.month)[1]
