"""Reports on a whole ledger as of any time: trial balance, balance sheet, income statement.

They read every account once (`balances_at.places`) and hold in memory only what they show. Contra accounts
carry a balance of the opposite sign and so net themselves where they are rolled up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import UNSET

from ledger.chart import DEBIT_TYPES, AccountType, Terms
from ledger.closing import REASON
from ledger.reader import QUERIES as BOOK_QUERIES
from ledger.reader import Reader
from ledger.text import iso, micros
from ledger.views import TrialBalanceLine, TrialBalanceTotal, TrialBalanceView
from ledger.wire import Connection
from projections.balances_at import (
    BEGINNING,
    QUERIES,
    AsOf,
    Instant,
    KnownAt,
    decode_terms,
    instant,
    period,
    places,
)
from projections.views import (
    BalanceSheetOfAsset,
    BalanceSheetView,
    IncomeStatementOfAsset,
    IncomeStatementView,
    MemoLine,
    RollUpLine,
)


def trial_balance(
    reader: Reader, ledger: str, as_of: AsOf | None, known_at: KnownAt | None, after: int, limit: int
) -> TrialBalanceView:
    """Lines of up to `limit` accounts beyond the cursor, where they have a balance, and the totals of all."""
    lines: list[TrialBalanceLine] = []
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    with reader.snapshot(ledger) as (connection, parameters):
        _take_time(connection)
        at = instant(connection, parameters, as_of, known_at)
        page = connection.execute(
            QUERIES["last_of_page"], {**parameters, "after": after, "limit": limit}
        ).fetchone()
        assert page is not None
        last, count = page
        for place in places(connection, parameters, at):
            dp, cp, dpend, cpend = place.balance
            figures = max(dp - cp, 0), max(cp - dp, 0), dpend, cpend
            totals[place.asset] = [a + b for a, b in zip(totals[place.asset], figures, strict=True)]
            if last is not None and after < place.account_id <= last:
                lines.append(TrialBalanceLine(place.address, place.terms.type, place.asset, *figures))
    return TrialBalanceView(
        at.seq,
        all(debit == credit and dpend == cpend for debit, credit, dpend, cpend in totals.values()),
        [TrialBalanceTotal(asset, *sums) for asset, sums in sorted(totals.items())],
        lines,
        last if count == limit else None,
        as_of=at.as_of or UNSET,
    )


def _take_time(connection: Connection) -> None:
    """The transaction may pass over much of a ledger, and finds its read models there until it ends."""
    connection.execute(BOOK_QUERIES["patience"])
    connection.execute(QUERIES["keep_versions"])


class _RollUp:
    """Balances of one asset by account type and address prefix, each on its type's normal side."""

    def __init__(self) -> None:
        self.lines: dict[tuple[bool, AccountType, str], int] = defaultdict(int)
        self.memo_total = 0

    def add(self, terms: Terms, prefix: str, net: int) -> None:
        """Debits less credits of an account."""
        signed = net if terms.type in DEBIT_TYPES else -net
        self.lines[terms.memo, terms.type, prefix] += signed
        if terms.memo:
            self.memo_total += net

    def of(self, type: AccountType) -> list[RollUpLine]:
        """The lines of a type that are not zero."""
        return [
            RollUpLine(prefix, balance)
            for (memo, of, prefix), balance in sorted(self.lines.items())
            if of == type and not memo and balance
        ]

    def memo(self, *types: AccountType) -> list[MemoLine]:
        """The memo lines of some types that are not zero."""
        return [
            MemoLine(prefix, of, balance)
            for (memo, of, prefix), balance in sorted(self.lines.items())
            if memo and balance and (not types or of in types)
        ]

    def total(self, type: AccountType) -> int:
        """Of all lines of a type."""
        return sum(line.balance for line in self.of(type))


Net = tuple[str, Terms, str, int]  # address, terms, asset, debits less credits


def _rolled_up(nets: Iterable[Net], depth: int) -> dict[str, _RollUp]:
    """By asset; accounts that share their first `depth` segments are one line."""
    found: dict[str, _RollUp] = defaultdict(_RollUp)
    for address, terms, asset, net in nets:
        found[asset].add(terms, ":".join(address.split(":", depth)[:depth]), net)
    return found


def _nets(connection: Connection, parameters: dict[str, Any], at: Instant, sign: int = 1) -> Iterator[Net]:
    for place in places(connection, parameters, at):
        yield place.address, place.terms, place.asset, sign * (place.balance[0] - place.balance[1])


def balance_sheet(
    reader: Reader, ledger: str, as_of: AsOf | None, known_at: KnownAt | None, depth: int
) -> BalanceSheetView:
    """Assets, liabilities and equity by the first `depth` segments of their addresses, for each asset."""
    with reader.snapshot(ledger) as (connection, parameters):
        _take_time(connection)
        at = instant(connection, parameters, as_of, known_at)
        found = _rolled_up(_nets(connection, parameters, at), depth)
    sheets = [_sheet(asset, lines) for asset, lines in sorted(found.items())]
    return BalanceSheetView(at.seq, depth, all(s.balanced for s in sheets), sheets, at.as_of or UNSET)


def _sheet(asset: str, lines: _RollUp) -> BalanceSheetOfAsset:
    assets, liabilities, equity = (lines.total(type) for type in ("asset", "liability", "equity"))
    earnings = lines.total("income") - lines.total("expense")
    return BalanceSheetOfAsset(
        asset=asset,
        assets=lines.of("asset"),
        liabilities=lines.of("liability"),
        equity=lines.of("equity"),
        total_assets=assets,
        total_liabilities=liabilities,
        total_equity=equity,
        current_earnings=earnings,
        balanced=assets == liabilities + equity + earnings,
        memo=lines.memo(),
        memo_total=lines.memo_total,
    )


def income_statement(
    reader: Reader,
    ledger: str,
    start: AsOf | None,
    to: AsOf | None,
    known_at: KnownAt | None,
    depth: int,
) -> IncomeStatementView:
    """Income and expense of [start, to), by the first `depth` segments, for each asset (EndsBeforeItStarts).

    It is what the balances moved by, less what closing entries and reversals of them moved: they only hand on
    to equity what was earned before, or take it back.
    """
    with reader.snapshot(ledger) as (connection, parameters):
        _take_time(connection)
        first, end = period(start, to, ZoneInfo(parameters["time_zone"]))
        seq = instant(connection, parameters, None, known_at).seq
        found = _rolled_up(
            (
                net
                for nets in (
                    _nets(connection, parameters, Instant(end, seq)),
                    _nets(connection, parameters, Instant(first, seq), -1) if first > BEGINNING else (),
                    _closing_entries(connection, parameters, first, end, seq),
                )
                for net in nets
                if net[1].type in ("income", "expense")
            ),
            depth,
        )
    statements = [_statement(asset, lines) for asset, lines in sorted(found.items())]
    return IncomeStatementView(
        seq=seq,
        depth=depth,
        start=UNSET if start is None else iso(micros(first)),
        to=UNSET if end is None else iso(micros(end)),
        statements=statements,
    )


def _closing_entries(
    connection: Connection, parameters: dict[str, Any], first: datetime, end: datetime | None, seq: int
) -> Iterator[Net]:
    """What closing entries and reversals of them moved, taken back."""
    wanted = {
        **parameters,
        "reason": REASON,
        "seq": seq,
        "start": first,
        "before": end or datetime.max.replace(tzinfo=first.tzinfo),
    }
    for _, address, terms, asset, debits, credits in connection.execute(QUERIES["closing_entries"], wanted):
        yield address, decode_terms(terms), asset, credits - debits


def _statement(asset: str, lines: _RollUp) -> IncomeStatementOfAsset:
    income, expenses = lines.total("income"), lines.total("expense")
    return IncomeStatementOfAsset(
        asset=asset,
        income=lines.of("income"),
        expenses=lines.of("expense"),
        total_income=income,
        total_expenses=expenses,
        net_income=income - expenses,
        memo=lines.memo("income", "expense"),
    )
