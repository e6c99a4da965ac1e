"""An account's statement over a period, in effective order: opening, running and closing balances.

A page after the first goes on with the balance at its cursor, which holds the seq that the first page was
made at; so whatever is recorded meanwhile, the pages of one statement add up.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import UNSET

from ledger.events import KINDS, PENDING, POSTED, read_event
from ledger.reader import Reader, find_account, known_seq, only_asset
from ledger.state import Balance, figures
from ledger.text import iso, micros, moment
from ledger.views import StatementBalance, StatementLine, StatementView
from ledger.wire import Connection
from projections.balances_at import (
    BEGINNING,
    QUERIES,
    AsOf,
    Instant,
    KnownAt,
    checkpoints,
    period,
    places,
)

NOTHING: Balance = (0, 0, 0, 0)
CURSOR_PATTERN = r"-?[0-9]{1,18}\.[0-9]{1,18}\.[0-9]{1,4}\.[0-9]{1,18}"

_END = datetime.max.replace(tzinfo=BEGINNING.tzinfo)


class Cursor(NamedTuple):
    """The last leg of a page, and the seq that its statement is made at."""

    at: datetime
    seq: int
    leg: int
    known_at: int

    def __str__(self) -> str:
        return f"{micros(self.at)}.{self.seq}.{self.leg}.{self.known_at}"


def cursor(text: str) -> Cursor:
    """The cursor that a page gave as `next` (ValueError)."""
    try:
        if re.fullmatch(CURSOR_PATTERN, text):
            at, seq, leg, known_at = map(int, text.split("."))
            return Cursor(moment(at), seq, leg, known_at)
    except OverflowError:
        pass
    raise ValueError("`after` is not the `next` of a statement over a period")


def add(balance: Balance, kind: int, amount: int) -> Balance:
    """The counters after one more leg (`amount` signed, debit positive)."""
    counters = list(balance)
    which = (0 if amount > 0 else 1) + (0 if kind == POSTED else 2)
    counters[which] += abs(amount) if kind in (POSTED, PENDING) else -abs(amount)
    return counters[0], counters[1], counters[2], counters[3]


def period_statement(
    reader: Reader,
    ledger: str,
    address: str,
    asset: str | None,
    *,
    start: AsOf | None,
    to: AsOf | None,
    known_at: KnownAt | None,
    after: Cursor | None,
    limit: int,
) -> StatementView:
    """A page of the statement (AccountNotFound, AssetNeeded, EndsBeforeItStarts)."""
    with reader.snapshot(ledger) as (connection, parameters):
        account_id, _, terms = find_account(connection, parameters, address)
        wanted = {**parameters, "account_id": account_id}
        asset = asset or only_asset(connection, wanted, address)
        seq = known_seq(connection, parameters, after.known_at if after else known_at)
        first, end = period(start, to, ZoneInfo(parameters["time_zone"]))

        def at(instant: Instant) -> Balance:
            found = places(connection, parameters, instant, account_id, account_id)
            return next((place.balance for place in list(found) if place.asset == asset), NOTHING)

        opening = NOTHING if first == BEGINNING else at(Instant(first, seq))
        closing = at(Instant(end, seq))
        wanted |= {**checkpoints(connection, parameters), "seq": seq, "asset": asset, "limit": limit}
        wanted |= {"start": first, "before": end or _END}
        balance = opening
        if after is not None:
            balance = _at_cursor(connection, wanted, at(Instant(after.at, seq)), after)
        rows = _legs(connection, wanted, after or Cursor(BEGINNING, 0, -1, seq))
    lines = []
    for effective_at, leg_seq, leg, kind, amount, recorded_at, type, body in rows:
        event = read_event(body)
        balance = add(balance, kind, amount)
        f = figures(terms.debit_normal, balance)
        lines.append(
            StatementLine(
                seq=leg_seq,
                leg=leg,
                type=type,
                kind=KINDS[kind],
                side="debit" if amount > 0 else "credit",
                amount=abs(amount),
                effective_at=iso(micros(effective_at)),
                original_effective_at=event.original_effective_at,
                recorded_at=iso(micros(recorded_at)),
                posted=f.posted,
                pending=f.pending,
                available=f.available,
                description=event.description,
                reference=event.reference,
            )
        )
    last = Cursor(rows[-1][0], rows[-1][1], rows[-1][2], seq) if len(rows) == limit else None
    return StatementView(
        address,
        asset,
        lines,
        None if last is None else str(last),
        seq=seq,
        start=UNSET if start is None else iso(micros(first)),
        to=UNSET if end is None else iso(micros(end)),
        opening=_shown(terms.debit_normal, opening),
        closing=_shown(terms.debit_normal, closing),
        debits=closing[0] - opening[0],
        credits=closing[1] - opening[1],
    )


def _shown(debit_normal: bool, balance: Balance) -> StatementBalance:
    f = figures(debit_normal, balance)
    return StatementBalance(f.posted, f.pending, f.available)


def _at_cursor(connection: Connection, wanted: dict[str, Any], before: Balance, after: Cursor) -> Balance:
    """The balance right after the cursor's leg: what came before its moment, and the legs of the moment."""
    found = connection.execute(QUERIES["counters_at_moment"], _after(wanted, after)).fetchone()
    assert found is not None
    a, b, c, d = (x + int(y) for x, y in zip(before, found, strict=True))
    return a, b, c, d


def _legs(connection: Connection, wanted: dict[str, Any], after: Cursor) -> list[tuple[Any, ...]]:
    return connection.execute(QUERIES["legs_between"], _after(wanted, after)).fetchall()


def _after(wanted: dict[str, Any], after: Cursor) -> dict[str, Any]:
    return {**wanted, "after_at": after.at, "after_seq": after.seq, "after_leg": after.leg}
