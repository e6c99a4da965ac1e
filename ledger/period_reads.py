"""Reads about periods: which are closed and how that came, and what a period's result is."""

from __future__ import annotations

from typing import Any, NamedTuple

from ledger.events import read_event
from ledger.feed import read_page
from ledger.reader import QUERIES, Reader
from ledger.text import from_iso, iso, micros, moment
from ledger.views import ClosedPeriod, PeriodEvent, PeriodsView, period_event_view
from ledger.wire import Connection


class PeriodResult(NamedTuple):
    """A closed period, and what income and expense accounts have from all that counts before its end.

    `balances`: (address, asset, debits less credits), memo accounts apart, zeros left out, in order of asset
    and account. `closed_inside`: the closed periods inside it that end with it, the largest first.
    """

    period: str
    ends_at: int
    balances: list[tuple[str, str, int]]
    closed_inside: list[ClosedPeriod]


def periods(reader: Reader, ledger: str, after: int, limit: int) -> PeriodsView:
    """The closed periods in order of time, and a page of all closings and reopenings beyond a seq."""
    with reader.snapshot(ledger) as (connection, parameters):
        closed = _closed_periods(connection, parameters)
        page = {**parameters, "after": after, "limit": limit}
        found = connection.execute(QUERIES["period_events"], page).fetchall()
    history = [period_event_view(read_event(body)) for (body,) in found]
    return PeriodsView(closed, history, history[-1].seq if len(history) == limit else None)


def period_event(reader: Reader, ledger: str, seq: int) -> PeriodEvent:
    """The closing or reopening with this seq, which must be one."""
    [stored] = read_page(reader, ledger, seq - 1, 1).events
    return period_event_view(read_event(bytes(stored.body)))


def result_of_period(reader: Reader, ledger: str, closed_seq: int) -> PeriodResult:
    """Income and expense as of the end of the period that `closed_seq` closed.

    It passes once over all postings of income and expense accounts, for ten minutes at most.
    """
    closing = period_event(reader, ledger, closed_seq)
    assert closing.starts_at is not None
    assert closing.ends_at is not None
    with reader.snapshot(ledger) as (connection, parameters):
        connection.execute(QUERIES["patience"])
        before = moment(from_iso(closing.ends_at))
        found = connection.execute(QUERIES["temporary_balances"], {**parameters, "before": before}).fetchall()
        closed = _closed_periods(connection, parameters)
    inside = [
        each
        for each in closed
        if each.closed_seq != closed_seq
        and closing.starts_at <= each.starts_at < each.ends_at == closing.ends_at
    ]
    balances = [(address, asset, int(net)) for address, asset, net in found]
    return PeriodResult(closing.period, from_iso(closing.ends_at), balances, inside)


def _closed_periods(connection: Connection, parameters: dict[str, Any]) -> list[ClosedPeriod]:
    """In order of time, a period before those inside it."""
    found = connection.execute(QUERIES["closed_periods"], parameters)
    return [
        ClosedPeriod(period, iso(micros(start)), iso(micros(end)), seq, iso(micros(closed_at)))
        for seq, period, start, end, closed_at in found
    ]
