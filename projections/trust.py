"""The daily trust report: does the bank hold what is owed from a programme's trust account?

What the bank holds is what it says: the last balance asserted of the trust account by then, as reconciling a
statement does by itself, and what the book has moved since. What is owed are the sponsor's fund, the
open vouchers and the payees. It is an assertion that nobody has to make: each day is judged anew by all that
counts by its end, however late it was recorded, and fails from the day on which the bank lacks something.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from ledger.days import day_of, end_of
from ledger.reader import Reader
from projections.reading import position
from sql import load as load_queries

QUERIES = load_queries("trust.sql")

_LAST_MOMENT = timedelta(microseconds=1)

Status = Literal["passing", "failing", "unknown"]
_Place = tuple[str, str]
_Told = tuple[int, int | None]  # what the bank said, and what the book had at a moment within the day


class TrustLine(Struct, frozen=True):
    """A programme at the end of a day, minor units. `programme` empty: all that have the asset, together.

    `bank` is what the bank said last, on `bank_day`, mostly of its end; `since` what the book has moved after
    that; `book` what it has in the trust account. `deficiency` is what `bank` and `since` lack of
    `outstanding`, `unsettled` and `fund`; below zero, they have more. unknown: the bank has said nothing.
    `failing_since` is the first day since which it fails without a break.
    """

    programme: str
    asset: str
    day: str
    status: Status
    bank: int | None
    bank_day: str | None
    since: int
    outstanding: int
    unsettled: int
    fund: int
    deficiency: int | None
    book: int
    failing_since: str | None


class TrustReport(Struct, frozen=True):
    """Every programme on every day asked for, from events up to `seq`; and all of an asset together.

    In all, `deficiency` is what single programmes lack: no surplus of one covers another's.
    """

    seq: int
    programmes: list[TrustLine]
    in_all: list[TrustLine]


def trust_report(
    reader: Reader,
    ledger: str,
    *,
    to: date | None = None,
    days: int = 1,
    programme: str | None = None,
    status: Status | None = None,
    min_seq: int | None = None,
) -> TrustReport:
    """So many days up to `to`, which is one of them; today by default (Behind, Stopped).

    `programme` and `status` choose lines; `in_all` is of what `programme` leaves.
    """
    zone = ZoneInfo(reader.ledger(ledger).time_zone)
    last = (to or day_of(reader.clock(), zone)).toordinal()
    wanted = [date.fromordinal(number) for number in range(max(1, last - days + 1), last + 1)]
    told: dict[_Place, dict[date, _Told]] = defaultdict(dict)
    lines: list[TrustLine] = []
    with reader.snapshot(ledger) as (connection, parameters):
        asked = {**parameters, "programme": programme, "upto": wanted[-1]}
        judged = position(connection, parameters["ledger_id"], "assertions", min_seq)
        said = connection.execute(QUERIES["told_balances"], {**asked, "version": judged.version})
        for name, asset, at, expected, actual in said:
            day = day_of(at, zone)
            whole = end_of(day, zone) - at <= _LAST_MOMENT
            told[name, asset][day] = expected, None if whole else actual
        counted = position(connection, parameters["ledger_id"], "daily_balances", min_seq)
        with connection.cursor("trust_days") as cursor:
            cursor.itersize = 5_000
            cursor.execute(QUERIES["trust_days"], {**asked, "version": counted.version})
            for place, rows in groupby(cursor, key=lambda row: (row[0], row[1])):
                lines += _lines(place, rows, told[place], wanted)
    in_all = _in_all(lines)
    chosen = [line for line in lines if status in (None, line.status)]
    together = [line for line in in_all if status in (None, line.status)]
    return TrustReport(min(judged.seq, counted.seq), chosen, together)


class _Standing:
    """A programme after the days so far."""

    def __init__(self) -> None:
        self.trust = self.fund = self.outstanding = self.unsettled = self.since = 0
        self.bank: int | None = None
        self.bank_day: date | None = None
        self.failing_since: date | None = None

    def pass_day(self, day: date, moved: tuple[int, ...], told: _Told | None) -> None:
        """Of a whole day the bank has all that the book has; of a moment, what the book had then."""
        trust, fund, outstanding, unsettled = moved
        self.trust += trust
        self.fund += fund
        self.outstanding += outstanding
        self.unsettled += unsettled
        if told is not None:
            (self.bank, had), self.bank_day = told, day
            self.since = 0 if had is None else self.trust - had
        else:
            self.since += trust
        lacks = self.deficiency is not None and self.deficiency > 0
        self.failing_since = (self.failing_since or day) if lacks else None

    @property
    def deficiency(self) -> int | None:
        """What the bank lacks of what is owed."""
        if self.bank is None:
            return None
        return self.fund + self.outstanding + self.unsettled - self.bank - self.since


def _lines(
    place: _Place, rows: Iterator[tuple[Any, ...]], told: dict[date, _Told], days: list[date]
) -> list[TrustLine]:
    """The days asked for, after all that came before them."""
    moved = {row[2]: tuple(map(int, row[3:])) for row in rows}
    standing, found = _Standing(), []
    for day in sorted({*moved, *told, *days}):
        if day > days[-1]:
            break
        standing.pass_day(day, moved.get(day, (0, 0, 0, 0)), told.get(day))
        if day >= days[0]:
            found.append(_line(place, day, standing))
    return found


def _line(place: _Place, day: date, standing: _Standing) -> TrustLine:
    return TrustLine(
        programme=place[0],
        asset=place[1],
        day=day.isoformat(),
        status=_status(standing.deficiency),
        bank=standing.bank,
        bank_day=None if standing.bank_day is None else standing.bank_day.isoformat(),
        since=0 if standing.bank is None else standing.since,
        outstanding=standing.outstanding,
        unsettled=standing.unsettled,
        fund=standing.fund,
        deficiency=standing.deficiency,
        book=standing.trust,
        failing_since=None if standing.failing_since is None else standing.failing_since.isoformat(),
    )


def _status(deficiency: int | None) -> Status:
    if deficiency is None:
        return "unknown"
    return "failing" if deficiency > 0 else "passing"


def _in_all(lines: list[TrustLine]) -> Iterator[TrustLine]:
    """Of each asset and day: fails when one programme does."""
    ordered = sorted(lines, key=lambda line: (line.asset, line.day))
    for (asset, day), group in groupby(ordered, key=lambda line: (line.asset, line.day)):
        those = list(group)
        unknown = any(line.bank is None for line in those)
        lacking = [line for line in those if line.status == "failing"]
        yield TrustLine(
            programme="",
            asset=asset,
            day=day,
            status="failing" if lacking else "unknown" if unknown else "passing",
            bank=None if unknown else sum(line.bank or 0 for line in those),
            bank_day=None if unknown else min(line.bank_day or "" for line in those),
            since=sum(line.since for line in those),
            outstanding=sum(line.outstanding for line in those),
            unsettled=sum(line.unsettled for line in those),
            fund=sum(line.fund for line in those),
            deficiency=None if unknown and not lacking else _sum(lacking or those),
            book=sum(line.book for line in those),
            failing_since=min((line.failing_since or "" for line in lacking), default=None),
        )


def _sum(lines: list[TrustLine]) -> int:
    return sum(line.deficiency or 0 for line in lines)
