"""Balances as of an effective moment, as known at a seq, or both.

With P the checkpoint of the read models, K the seq and T the moment that are asked:

    balance(T, K) = legs effective by T of events 1 .. P, from days and from the legs of one day
                    + those of events P+1 .. K, or - those of events K+1 .. P, from the posting rows

So the answer is exact at any K, without waiting, whether the read models are behind, at the head or beyond
what is asked; being behind only costs time. Attacked by tests/test_time_travel.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from ledger.chart import Terms
from ledger.days import day_of, end_of
from ledger.periods import start_of
from ledger.reader import QUERIES as BOOK_QUERIES
from ledger.reader import Reader, find_account, known_seq
from ledger.state import Balance
from ledger.text import MICROSECOND, iso, micros, moment
from ledger.views import BalancesView, balance_view
from ledger.wire import Connection
from projections.reading import position
from sql import load as load_queries

QUERIES = load_queries("time_travel.sql")

AsOf = date | datetime
KnownAt = int | datetime
LAST_ACCOUNT = 2**31 - 1
BEGINNING = datetime.min.replace(tzinfo=UTC)
_PAGE = 2_000

decode_terms = msgspec.json.Decoder(Terms).decode


class Instant(NamedTuple):
    """What a question about time comes down to: legs effective before `before`, of events 1 .. `seq`.

    `before` None: of whatever moment.
    """

    before: datetime | None
    seq: int

    @property
    def as_of(self) -> str | None:
        """The last moment that counts."""
        return None if self.before is None else iso(micros(self.before) - 1)


class Place(NamedTuple):
    """The counters of one asset of an account."""

    account_id: int
    address: str
    terms: Terms
    asset: str
    balance: Balance


def bound(as_of: AsOf, zone: ZoneInfo) -> datetime:
    """The first moment that does not count: after a moment, or after a calendar day of the ledger's zone."""
    if not isinstance(as_of, datetime):
        return end_of(as_of, zone)
    return min(as_of, datetime.max.replace(tzinfo=as_of.tzinfo) - MICROSECOND) + MICROSECOND


class EndsBeforeItStarts(ValueError):
    """A period whose end lies before its start; `args` are the names of both."""


def period(
    start: AsOf | None, to: AsOf | None, zone: ZoneInfo, names: tuple[str, str] = ("from", "to")
) -> tuple[datetime, datetime | None]:
    """[start, end) in UTC: from a moment or a day's beginning, to a moment or a day's end (None: no end).

    Raises EndsBeforeItStarts with the `names` that start and end have for whoever asks.
    """
    first = BEGINNING
    if isinstance(start, datetime):
        first = start
    elif start is not None and start > date.min:
        first = moment(start_of(start, zone))
    end = to if to is None or isinstance(to, datetime) else bound(to, zone)
    if end is not None and (end < first or (start != to and end == first and not isinstance(to, datetime))):
        raise EndsBeforeItStarts(*names)
    return first, end


def instant(
    connection: Connection, parameters: dict[str, Any], as_of: AsOf | None, known_at: KnownAt | None
) -> Instant:
    """The question in the terms of one snapshot."""
    seq = known_seq(connection, parameters, known_at)
    before = None if as_of is None else bound(as_of, ZoneInfo(parameters["time_zone"]))
    return Instant(before, seq)


def places(
    connection: Connection,
    parameters: dict[str, Any],
    at: Instant,
    first: int = 0,
    last: int = LAST_ACCOUNT,
) -> Iterator[Place]:
    """Every place of accounts `first` to `last` that has something on a counter, by account and asset.

    Read as it is consumed, so that a ledger of any size takes the same memory; consume all of it.
    """
    wanted = {**parameters, "seq": at.seq, "first": first, "last": last}
    query = QUERIES["balances_at_seq"]
    if at.before is not None and at.before <= _latest(connection, parameters):
        query = QUERIES["balances_before"]
        wanted |= _days(connection, parameters, at.before)
    with closing(connection.cursor()) as cursor:
        rows = cursor.execute(query, wanted) if first == last else cursor.stream(query, wanted, size=_PAGE)
        for account_id, address, terms, asset, dp, cp, dpend, cpend in rows:
            balance = dp, cp, int(dpend), int(cpend)
            yield Place(account_id, address, decode_terms(terms), asset, balance)


def _latest(connection: Connection, parameters: dict[str, Any]) -> datetime:
    """The last moment at which anything can be effective: nothing is before it is recorded."""
    head = connection.execute(BOOK_QUERIES["head"], parameters).fetchone()
    assert head is not None
    latest: datetime = head[2]
    return latest


def _days(connection: Connection, parameters: dict[str, Any], before: datetime) -> dict[str, Any]:
    """Whole days up to the one that `before` is in, that day's beginning, and both checkpoints."""
    zone = ZoneInfo(parameters["time_zone"])
    day = day_of(before, zone)
    day_start = BEGINNING if day == date.min else moment(start_of(day, zone))
    return {"before": before, "day": day, "day_start": day_start, **checkpoints(connection, parameters)}


def checkpoints(connection: Connection, parameters: dict[str, Any]) -> dict[str, Any]:
    """Versions and checkpoints of the read models, as parameters."""
    ledger_id = parameters["ledger_id"]
    days = position(connection, ledger_id, "daily_balances")
    legs = position(connection, ledger_id, "activity")
    return {
        "days_version": days.version,
        "days_seq": days.seq,
        "activity_version": legs.version,
        "activity_seq": legs.seq,
    }


def balances_at(
    reader: Reader, ledger: str, address: str, as_of: AsOf | None, known_at: KnownAt | None
) -> BalancesView:
    """Balances of the assets of an account that have something on a counter (AccountNotFound)."""
    with reader.snapshot(ledger) as (connection, parameters):
        account_id = find_account(connection, parameters, address)[0]
        at = instant(connection, parameters, as_of, known_at)
        found = list(places(connection, parameters, at, account_id, account_id))
    views = [balance_view(place.terms, place.asset, place.balance) for place in found]
    return BalancesView(address, at.seq, views, as_of=at.as_of or msgspec.UNSET)
