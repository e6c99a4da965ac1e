"""An account's days and its activity, as its read models have them at their checkpoints."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ledger.events import KINDS, read_event
from ledger.reader import Reader, find_account, only_asset
from ledger.state import figures
from ledger.text import iso, micros, moment
from projections.balances_at import AsOf, period
from projections.finding import QUERIES
from projections.reading import position
from projections.views import ActivityLine, ActivityView, DailyBalance, DailyBalancesView

_END = datetime.max.replace(tzinfo=UTC)


def daily_balances(
    reader: Reader,
    ledger: str,
    address: str,
    asset: str | None,
    *,
    start: date | None,
    to: date | None,
    after: date | None,
    limit: int,
    min_seq: int | None = None,
) -> DailyBalancesView:
    """The days from `start` to `to`, both included, on which something counts, with their closing balances.

    Raises AccountNotFound, AssetNeeded, Behind, Stopped.
    """
    with reader.snapshot(ledger) as (connection, parameters):
        account_id, _, terms = find_account(connection, parameters, address)
        wanted = {**parameters, "account_id": account_id}
        asset = asset or only_asset(connection, wanted, address)
        at = position(connection, parameters["ledger_id"], "daily_balances", min_seq)
        wanted |= {
            "version": at.version,
            "asset": asset,
            "start": start or date.min,
            "end": to or date.max,
            "after": after or date.min,
            "limit": limit,
        }
        rows = connection.execute(QUERIES["days"], wanted).fetchall()
        before = None
        if rows:
            before = connection.execute(QUERIES["days_before"], {**wanted, "day": rows[0][0]}).fetchone()
    days = []
    counters = [int(value) for value in before] if before is not None else [0, 0, 0, 0]
    for day, *added in rows:
        counters = [counter + int(value) for counter, value in zip(counters, added, strict=True)]
        f = figures(terms.debit_normal, (counters[0], counters[1], counters[2], counters[3]))
        days.append(DailyBalance(day.isoformat(), added[0], added[1], f.posted, f.pending, f.available))
    return DailyBalancesView(
        address, asset, at.seq, days, days[-1].day if days and len(days) == limit else None
    )


class Before(NamedTuple):
    """Activity goes on before this leg; the text of it is a page's `next`."""

    at: datetime
    seq: int
    leg: int

    def __str__(self) -> str:
        return f"{micros(self.at)}.{self.seq}.{self.leg}"


def before(text: str) -> Before:
    """The leg that a page of activity gave as `next` (ValueError)."""
    try:
        at, seq, leg = map(int, text.split("."))
        return Before(moment(at), seq, leg)
    except (ValueError, OverflowError):
        raise ValueError("`before` is not the `next` of a page of activity") from None


def activity(
    reader: Reader,
    ledger: str,
    address: str,
    *,
    start: AsOf | None,
    to: AsOf | None,
    before: Before | None,
    limit: int,
    min_seq: int | None = None,
) -> ActivityView:
    """Legs of every asset effective in [start, to), the latest first.

    Raises AccountNotFound, EndsBeforeItStarts, Behind, Stopped.
    """
    with reader.snapshot(ledger) as (connection, parameters):
        account_id = find_account(connection, parameters, address)[0]
        at = position(connection, parameters["ledger_id"], "activity", min_seq)
        first, end = period(start, to, ZoneInfo(parameters["time_zone"]))
        below = before or Before(_END, 0, 0)
        wanted = {
            **parameters,
            "account_id": account_id,
            "version": at.version,
            "start": first,
            "end": end or _END,
            "before_at": below.at,
            "before_seq": below.seq,
            "before_leg": below.leg,
            "limit": limit,
        }
        rows = connection.execute(QUERIES["activity"], wanted).fetchall()
    lines = []
    for effective_at, seq, leg, kind, amount, asset, recorded_at, type, body in rows:
        event = read_event(body)
        lines.append(
            ActivityLine(
                seq=seq,
                leg=leg,
                type=type,
                kind=KINDS[kind],
                side="debit" if amount > 0 else "credit",
                amount=abs(amount),
                asset=asset,
                effective_at=iso(micros(effective_at)),
                recorded_at=iso(micros(recorded_at)),
                description=event.description,
                reference=event.reference,
            )
        )
    last = Before(*rows[-1][:3]) if rows and len(rows) == limit else None
    return ActivityView(address, at.seq, lines, None if last is None else str(last))
