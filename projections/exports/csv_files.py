"""CSV: RFC 4180, with a guard against spreadsheets that take text for formulas.

A cell of text that a spreadsheet would run (it begins with = + - @, or with what is skipped before them) gets
a `'` in front, and so does one that begins with `'`: whoever removes one leading `'` has the exact text. The
guard is always on, because the file does not know who opens it; numbers and dates never need it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from typing import Any

from ledger.text import iso
from projections.exports.folder import Folder, OutFile
from projections.exports.tables import DAY, FLAG, MOMENT, TEXT, Table

_RISKY = frozenset("=+-@'\t\r\n\uff1d\uff0b\uff0d\uff20")

Column = Sequence[Any]


def safe(text: str) -> str:
    """The text as a cell holds it."""
    return f"'{text}" if text[:1] in _RISKY else text


def _texts(column: Column) -> Iterable[Any]:
    return map(safe, column)


def _moments(column: Column) -> Iterable[Any]:
    return map(iso, column)


def _days(column: Column) -> Iterable[Any]:
    return [day.isoformat() for day in column]


def _flags(column: Column) -> Iterable[Any]:
    return ["true" if flag else "false" for flag in column]


_CELLS: dict[str, Callable[[Column], Iterable[Any]]] = {
    TEXT: _texts,
    MOMENT: _moments,
    DAY: _days,
    FLAG: _flags,
}


class CsvFile:
    """One file: a header, then rows of cells that are safe already."""

    def __init__(self, file: OutFile, header: Sequence[str]) -> None:
        self._file = file
        file.rows = 0
        self._append([header])

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Append rows; None is an empty cell."""
        self._append(rows)
        assert self._file.rows is not None
        self._file.rows += len(rows)

    def _append(self, rows: Iterable[Sequence[Any]]) -> None:
        text = StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._file.write(text.getvalue().encode())


class CsvTables:
    """The book as tables in the folder `csv`."""

    def __init__(self, folder: Folder, tables: Iterable[Table]) -> None:
        self._files = {
            table.name: CsvFile(folder.create(csv_path(table)), [column.name for column in table.columns])
            for table in tables
        }

    def write(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        """Append rows."""
        if rows:
            cells = (
                _CELLS[column.kind](values) if column.kind in _CELLS else values
                for column, values in zip(table.columns, zip(*rows, strict=True), strict=True)
            )
            self._files[table.name].write(list(zip(*cells, strict=True)))

    def finish(self) -> None:
        """Nothing is held back."""


def csv_path(table: Table) -> str:
    """Where a table lies in the folder."""
    return f"csv/{table.name}.csv"
