"""Where two sets of the same rows first differ: a table, a key, a column.

Used on two versions of a read model, and on stored rows beside recomputed ones. The comparison is one query
a table; sorting and joining are PostgreSQL's, within its memory settings.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any, NamedTuple

from msgspec import Struct
from psycopg import sql as composed

from ledger.wire import Connection
from projections.versions import QUERIES

LONGEST = 200  # characters of a value that are shown whole


class Difference(Struct, frozen=True, kw_only=True):
    """The first row that differs, by table and primary key; values as PostgreSQL writes them.

    `column` is null where a row is on one side only; then that side has all its values, the other null.
    """

    table: str
    key: dict[str, str]
    column: str | None
    stored: str | None
    expected: str | None

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value}" for name, value in self.key.items())
        if self.column is not None:
            return f"{self.table} ({key}): {self.column} is {self.stored}, expected {self.expected}"
        if self.stored is None:
            return f"{self.table} ({key}): the row is missing, expected {self.expected}"
        return f"{self.table} ({key}): the row should not be there, it has {self.stored}"


class Columns(NamedTuple):
    """Of a table, without version and ledger_id: all, and those of the primary key, in the table's order."""

    all: list[str]
    key: list[str]


def columns(connection: Connection, table: str) -> Columns:
    """The columns of a table of the schema `projections`."""
    found = connection.execute(QUERIES["columns"], {"table": f"projections.{table}"}).fetchall()
    return Columns([name for name, _ in found], [name for name, key in found if key])


def first_difference(
    connection: Connection,
    table: str,
    ledger_id: int,
    stored: composed.Identifier,
    expected: composed.Identifier,
) -> Difference | None:
    """Compare two tables with the columns of a read model's table, in one ledger."""
    names = columns(connection, table)
    query = composed.SQL(QUERIES["first_difference"]).format(
        one=stored,
        other=expected,
        key=composed.SQL(", ").join(map(composed.Identifier, ["ledger_id", *names.key])),
        texts=composed.SQL(", ").join(
            composed.SQL("{}::text AS {}").format(
                composed.Identifier(side, name), composed.Identifier(f"{side} {name}")
            )
            for side in ("one", "other")
            for name in names.all
        ),
        values_one=_qualified("one", names),
        values_other=_qualified("other", names),
    )
    row = connection.execute(query, {"ledger_id": ledger_id}).fetchone()
    return None if row is None else _difference(table, names, row)


def _qualified(side: str, names: Columns) -> composed.Composed:
    return composed.SQL(", ").join(composed.Identifier(side, name) for name in ["ledger_id", *names.all])


def _difference(table: str, names: Columns, row: tuple[Any, ...]) -> Difference:
    is_stored, is_expected, *texts = row
    stored = dict(zip(names.all, texts[: len(names.all)], strict=True))
    expected = dict(zip(names.all, texts[len(names.all) :], strict=True))
    key = {name: (stored if is_stored else expected)[name] for name in names.key}
    if is_stored and is_expected:
        column = next(name for name in names.all if stored[name] != expected[name])
        here, there = stored[column], expected[column]
        return Difference(
            table=table, key=key, column=column, stored=_cut(here, there), expected=_cut(there, here)
        )
    return Difference(
        table=table,
        key=key,
        column=None,
        stored=_values(stored, names) if is_stored else None,
        expected=_values(expected, names) if is_expected else None,
    )


def _values(row: dict[str, Any], names: Columns) -> str:
    return (
        ", ".join(f"{name} {_cut(row[name], None)}" for name in names.all if name not in names.key)
        or "its key"
    )


def _cut(value: str | None, other: str | None) -> str | None:
    """A value that a person can read: of a long one, the part where it begins to differ."""
    if value is None or len(value) <= LONGEST:
        return value
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(value, other or "", strict=False)))
    begin = max(0, same - LONGEST // 4)
    return f"{'...' if begin else ''}{value[begin : begin + LONGEST // 2]}... ({len(value)} characters)"
