"""Statements in CSV: a mapping says which column means what.

The mapping is TOML, such as:

    delimiter = ";"
    decimal = ","
    currency = "EUR"                # or currency = { column = "Waehrung" }
    date = { column = "Buchungstag", format = "%d.%m.%Y" }
    amount = "Betrag"               # with its sign; or credit = "Haben" and debit = "Soll"
    reference = "Kundenreferenz"
    id = "Primanota"                # if it has one
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, TextIO

import msgspec
from msgspec import Meta, Struct

from adapters.statements.amounts import StatementError, asset_of, day_of, minor_units, one_line
from ledger.reconciliation.items import Item

MOST_TEXT = 100_000


class DateColumn(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the booking date stands, and how it is written (strptime)."""

    column: str
    format: str = "%Y-%m-%d"


class CurrencyColumn(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the currency stands."""

    column: str


class CsvColumns(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping; values name columns, but for `delimiter`, `encoding`, `decimal`, plain `currency`."""

    date: DateColumn
    currency: str | CurrencyColumn
    amount: str = ""
    credit: str = ""
    debit: str = ""
    reference: str = ""
    id: str = ""
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8-sig"
    decimal: Annotated[str, Meta(pattern=r"^[.,]\Z")] = "."

    def __post_init__(self) -> None:
        if bool(self.amount) == bool(self.credit and self.debit):
            raise ValueError("either `amount` or both `credit` and `debit` name a column")

    def columns(self) -> set[str]:
        """Every column that the file must have."""
        named = {self.date.column, self.amount, self.credit, self.debit, self.reference, self.id}
        if isinstance(self.currency, CurrencyColumn):
            named.add(self.currency.column)
        return named - {""}


def read_columns(text: str) -> CsvColumns:
    """A mapping from TOML (StatementError)."""
    try:
        return msgspec.convert(tomllib.loads(text), CsvColumns)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise StatementError(f"the mapping: {error}.") from None


class CsvStatement:
    """A CSV statement as items."""

    first_day = last_day = ""

    def __init__(self, file: TextIO, columns: CsvColumns, assets: Mapping[str, str]) -> None:
        """`assets` are the ledger's by currency."""
        self._file = file
        self._columns = columns
        self._assets = assets

    def __iter__(self) -> Iterator[Item]:
        """The lines (StatementError, naming the line)."""
        rows = csv.DictReader(self._lines(), delimiter=self._columns.delimiter, strict=True)
        try:
            missing = self._columns.columns() - set(rows.fieldnames or ())
            if missing:
                raise ValueError(f"no column {', '.join(sorted(missing))}")
            for row in rows:
                yield self._item(row, rows.line_num)
        except (ValueError, csv.Error) as error:
            raise StatementError(f"line {max(rows.line_num, 1)}: {error}.") from None

    def _lines(self) -> Iterator[str]:
        while line := self._file.readline(MOST_TEXT):
            if len(line) == MOST_TEXT:
                raise ValueError(f"it is longer than {MOST_TEXT:,} characters")
            yield line

    def _item(self, row: Mapping[str | None, str | None], line: int) -> Item:
        columns = self._columns
        if None in row or None in row.values():
            raise ValueError("it has not as many fields as there are columns")
        fields = {name or "": text or "" for name, text in row.items()}
        try:
            day = datetime.strptime(fields[columns.date.column].strip(), columns.date.format)  # noqa: DTZ007
        except ValueError:
            shown = fields[columns.date.column]
            raise ValueError(
                f"column {columns.date.column}: {shown!r} is not {columns.date.format}"
            ) from None
        currency = columns.currency
        code = currency if isinstance(currency, str) else fields[currency.column].strip()
        asset = asset_of(code, self._assets)
        reference = one_line(fields[columns.reference], 140) if columns.reference else ""
        id = one_line(fields[columns.id], 64) if columns.id else ""
        return Item(
            day_of(day.date()),
            id or f"line {line}",
            reference,
            self._amount(fields, asset),
            asset,
            "posted",
        )

    def _amount(self, fields: Mapping[str, str], asset: str) -> int:
        columns = self._columns
        if columns.amount:
            return self._units(columns.amount, fields[columns.amount], asset)
        credit, debit = fields[columns.credit].strip(), fields[columns.debit].strip()
        if bool(credit) == bool(debit):
            raise ValueError(f"either {columns.credit} or {columns.debit} has an amount, and not both")
        if credit:
            return self._units(columns.credit, credit, asset)
        return -self._units(columns.debit, debit, asset)

    def _units(self, column: str, text: str, asset: str) -> int:
        plain = text.strip().replace(" ", "").replace("\u00a0", "").replace("'", "")
        if self._columns.decimal == ",":
            plain = re.sub(r"\.(?=[0-9]{3}(\D|\Z))", "", plain).replace(",", ".", 1)
        else:
            plain = re.sub(r",(?=[0-9]{3}(\D|\Z))", "", plain)
        try:
            return minor_units(plain, asset)
        except ValueError:
            raise ValueError(f"column {column}: {text!r} is no amount of {asset}") from None
