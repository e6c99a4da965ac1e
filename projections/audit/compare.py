"""Stored rows of what changes (accounts, balances, holds, the head) against what the books say they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from projections.audit.accounts import Account
from projections.audit.books import Books
from projections.audit.product_streams import folded_streams, stored_streams
from projections.audit.stored import Head, StoredLedger
from projections.audit.tie_out import Claimed, untied
from projections.audit.verdicts import Difference, Findings

Row = tuple[Any, ...]
_terms = msgspec.json.Encoder(order="sorted").encode


class Table(NamedTuple):
    """A small table: the first `keys` columns name a row; rows come in their order."""

    name: str
    columns: tuple[str, ...]
    keys: int


ASSETS = Table("assets", ("asset_id", "asset"), 1)
ACCOUNTS = Table("accounts", ("account_id", "address", "opened_seq", "closed_seq", "terms"), 1)
BALANCES = Table(
    "balances",
    (
        "account_id", "asset_id", "debits_posted", "credits_posted", "debits_pending", "credits_pending",
        "last_seq", "version", "min_available", "max_balance", "debit_normal",
    ),
    2,
)  # fmt: skip
LAST_SEQ = BALANCES.columns.index("last_seq")
HOLDS = Table("holds", ("expires_at", "seq"), 2)
STREAMS = Table("streams", ("stream", "version", "last_seq", "state_version", "kind", "due_at", "state"), 1)
PERIODS = Table("closed_periods", ("period", "starts_at", "ends_at", "seq"), 1)


def expected_rows(books: Books) -> Iterator[tuple[Table, Iterable[Row], Callable[[Row], int]]]:
    """Each small table: what its rows should be, in order, and the last event that made a row."""
    by_number = list(books.accounts.values())
    asset_rows = [(number, asset) for asset, number in books.assets.items()]
    yield ASSETS, asset_rows, lambda row: books.chart_seq
    yield ACCOUNTS, (_account_row(a) for a in by_number), lambda row: row[2]
    yield BALANCES, _balance_rows(books), lambda row: row[LAST_SEQ]
    holds = sorted((expires_at, seq) for seq, expires_at in books.subjects.holds().items())
    yield HOLDS, holds, lambda row: row[1]
    periods = [(period, *closed) for period, closed in sorted(books.periods.items())]
    yield PERIODS, periods, lambda row: row[3]


def _account_row(account: Account) -> Row:
    terms = _terms(account.terms).decode()
    return (account.number, account.address, account.opened, account.closed, terms)


def _balance_rows(books: Books) -> Iterator[Row]:
    for account in books.accounts.values():
        for p in sorted(account.positions.values(), key=lambda p: p.asset_number):
            counters = (p.debits, p.credits, p.debits_pending, p.credits_pending)
            bounds = (p.low, p.high, account.debit_normal)
            yield (account.number, p.asset_number, *counters, p.last_seq, p.version, *bounds)


class Differences:
    """Notes where stored rows are not what the events say."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def column(
        self, table: str, row: str, column: str, stored: str | None, expected: str | None, *, seq: int | None
    ) -> None:
        """A row has another value than it should."""
        sentence = f"{table} ({row}): {column} is {stored}, the events say {expected}"
        self._add(seq, sentence, Difference(table, row, column, stored, expected))

    def extra(self, table: str, row: str, *, seq: int | None = None) -> None:
        """A row is there that no event made."""
        sentence = f"{table} ({row}) is stored, the events know nothing of it"
        self._add(seq, sentence, Difference(table, row, "", "a row", None))

    def missing(self, table: str, row: str, *, seq: int | None) -> None:
        """A row is not there."""
        sentence = f"{table} ({row}) is not stored, the events say that it should be"
        self._add(seq, sentence, Difference(table, row, "", None, "a row"))

    def unreadable(self, table: str, why: str, *, seq: int | None) -> None:
        """What is stored cannot be read."""
        self._add(seq, f"{table} cannot be read: {why}", Difference(table, "", "", None, None))

    def untied(self, sentence: str, *, seq: int) -> None:
        """A control account has something else than the streams that it stands for."""
        self._findings.add("accounting", seq, sentence)

    def _add(self, seq: int | None, sentence: str, difference: Difference) -> None:
        self._findings.add("projections", seq, sentence, difference)


def compare_changing(differences: Differences, stored: StoredLedger, head: Head, books: Books) -> None:
    """Compare the head, the ledger's own row and the small tables; in one snapshot with the head."""
    about: list[tuple[str, str, Any, Any]] = [
        ("heads", "incarnation", head.incarnation, books.incarnation),
        ("heads", "recorded_at", head.recorded_at, books.recorded_at or head.recorded_at),
        ("heads", "accounts", head.accounts, len(books.accounts)),
        ("heads", "chart_seq", head.chart_seq, books.chart_seq),
        ("ledgers", "name", stored.name, books.name),
        ("ledgers", "public_id", stored.public_id, books.ledger),
        ("ledgers", "time_zone", stored.time_zone, books.time_zone),
        ("ledgers", "opened_at", stored.opened_at, books.opened_at),
    ]
    due = books.subjects.due()
    if due is not None and (head.next_expiry is None or head.next_expiry > due[0]):
        about.append(("heads", "next_expiry", head.next_expiry, due[0]))
    for table, column, have, want in about:
        if have != want:
            differences.column(table, stored.name, column, _text(have), _text(want), seq=books.seq)
    addresses = list(books.accounts)
    for small, rows, seq_of in expected_rows(books):
        _compare(differences, small, rows, stored.table(small.name), seq_of, addresses)
    claimed = Claimed()
    folded, found = folded_streams(stored, claimed), stored_streams(stored)
    _compare(differences, STREAMS, folded, found, lambda row: row[2], addresses)
    for sentence in untied(books, claimed):
        differences.untied(sentence, seq=books.seq)


def _compare(
    differences: Differences,
    table: Table,
    expected: Iterable[Row],
    stored: Iterable[Row],
    seq_of: Callable[[Row], int],
    addresses: list[str],
) -> None:
    """Find the first row that is missing, too many or different; both come in the order of their keys."""
    mine, theirs = iter(expected), iter(stored)
    want, have = next(mine, None), next(theirs, None)
    while want is not None or have is not None:
        if want is None or (have is not None and have[: table.keys] < want[: table.keys]):
            assert have is not None
            differences.extra(table.name, _name(table, have, addresses))
            have = next(theirs, None)
            continue
        name = _name(table, want, addresses)
        if have is None or have[: table.keys] != want[: table.keys]:
            differences.missing(table.name, name, seq=seq_of(want))
            want = next(mine, None)
            continue
        if have != want:
            index = next(i for i, (a, b) in enumerate(zip(have, want, strict=True)) if a != b)
            pair = (_text(have[index]), _text(want[index]))
            seq = max(seq_of(want), have[LAST_SEQ]) if table is BALANCES else seq_of(want)
            differences.column(table.name, name, table.columns[index], *pair, seq=seq)
        want, have = next(mine, None), next(theirs, None)


def _name(table: Table, row: Row, addresses: list[str]) -> str:
    """A row's key; accounts by address too."""
    names = [f"{column} {value}" for column, value in zip(table.columns[: table.keys], row, strict=False)]
    if table.columns[0] == "account_id" and 0 < row[0] <= len(addresses):
        names[0] += f" {addresses[row[0] - 1]}"
    return ", ".join(names)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
