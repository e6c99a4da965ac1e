"""Table files read some rows at a time, column by column, and how a value looks in each format."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from io import TextIOWrapper
from itertools import islice
from typing import IO, Any, Protocol

import msgspec
import pyarrow
import pyarrow.parquet

from ledger.text import from_iso

EPOCH = date(1970, 1, 1)
BATCH = 2_000

Column = list[Any]


class TableTrouble(Exception):
    """A table cannot be read any further: a clause that says why."""


class TableFile(Protocol):
    """One file of a table. `count` rows were expected so far; `done`: it was found wanting."""

    path: str
    count: int
    done: bool

    def take(self, names: Sequence[str], rows: int) -> list[Column]:
        """The next rows as columns, fewer at the end (TableTrouble); `names`, if any, must be its own."""

    def form(self, kind: str, column: Sequence[Any]) -> Column:
        """Values as the file has them."""


class CsvFile:
    """RFC 4180; text that a spreadsheet would run has one more ' in front."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.path = path
        self.count = 0
        self.done = False
        self._reader = csv.reader(TextIOWrapper(file, encoding="utf-8", newline=""), strict=True)
        self._names: list[str] | None = None

    def take(self, names: Sequence[str], rows: int) -> list[Column]:
        """The next rows as columns of text."""
        try:
            if self._names is None:
                self._names = next(self._reader, [])
            _check_names(self._names, names)
            found = list(islice(self._reader, rows))
            if any(len(row) != len(self._names) for row in found):
                raise TableTrouble("it has a row of more or fewer cells than columns")
            columns = [list(column) for column in zip(*found, strict=True)]
        except (csv.Error, UnicodeDecodeError, ValueError) as error:
            raise TableTrouble(str(error)) from error
        return columns or [[] for _ in self._names]

    def form(self, kind: str, column: Sequence[Any]) -> Column:
        """As cells."""
        match kind:
            case "text":
                return [f"'{text}" if text.startswith(_FORMULA) else text for text in column]
            case "day":
                return [day.isoformat() for day in column]
            case "flag":
                return ["true" if flag else "false" for flag in column]
            case "optional":
                return ["" if value is None else str(value) for value in column]
            case _:
                return list(map(str, column))


_FORMULA = tuple("=+-@'\t\r\n\uff1d\uff0b\uff0d\uff20")


class ParquetFile:
    """Typed columns; moments are compared as microseconds, days as day numbers."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.path = path
        self.count = 0
        self.done = False
        self._file = file
        self._batches: Iterator[Any] | None = None
        self._names: list[str] = []
        self._rest: list[Column] = []

    def take(self, names: Sequence[str], rows: int) -> list[Column]:
        """The next rows as columns of values."""
        try:
            if self._batches is None:
                whole = pyarrow.parquet.ParquetFile(self._file)
                self._names = whole.schema_arrow.names
                self._rest = [[] for _ in self._names]
                self._batches = whole.iter_batches(batch_size=BATCH)
            _check_names(self._names, names)
            while self._rest and len(self._rest[0]) < rows:
                batch = next(self._batches, None)
                if batch is None:
                    break
                for column, values in zip(self._rest, batch.columns, strict=True):
                    column += _values(values)
        except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
            raise TableTrouble(str(error)) from error
        taken = [column[:rows] for column in self._rest]
        self._rest = [column[rows:] for column in self._rest]
        return taken

    def form(self, kind: str, column: Sequence[Any]) -> Column:
        """As values."""
        if kind == "moment":
            return _mapped(from_iso, column)
        if kind == "day":
            return [(day - EPOCH).days for day in column]
        return list(column)


_TYPES = (
    pyarrow.int32(),
    pyarrow.int64(),
    pyarrow.string(),
    pyarrow.bool_(),
    pyarrow.date32(),
    pyarrow.timestamp("us", tz="UTC"),
)


def _values(column: Any) -> Column:
    """As Python has them (ValueError: of a type that no export has, such as floats, which may equal ours)."""
    if column.type not in _TYPES:
        raise ValueError(f"it has a column of {column.type}")
    if pyarrow.types.is_timestamp(column.type):
        column = column.cast(pyarrow.int64())
    elif pyarrow.types.is_date32(column.type):
        column = column.cast(pyarrow.int32())
    values: Column = column.to_pylist()
    return values


def _mapped(function: Callable[[Any], Any], column: Sequence[Any]) -> Column:
    """The function of every value; neighbours are often alike."""
    known = {value: function(value) for value in set(column)}
    return [known[value] for value in column]


class JsonFile:
    """balances.jsonl: one object of strings a line."""

    def __init__(self, path: str, file: IO[bytes]) -> None:
        self.path = path
        self.count = 0
        self.done = False
        self._file = file

    def take(self, names: Sequence[str], rows: int) -> list[Column]:
        """The next rows as columns of text."""
        try:
            found = [_decode(line) for line in islice(self._file, rows)]
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TableTrouble(str(error)) from error
        for row in found:
            if names:
                _check_names(list(row), names)
        return [[row[name] for row in found] for name in names] if names else [found]

    def form(self, kind: str, column: Sequence[Any]) -> Column:
        """As strings."""
        return list(map(str, column))


_decode = msgspec.json.Decoder(dict[str, str]).decode


def _check_names(found: Sequence[str], wanted: Sequence[str]) -> None:
    if wanted and tuple(found) != tuple(wanted):
        raise TableTrouble(f"its columns are {', '.join(found)}, not {', '.join(wanted)}")
