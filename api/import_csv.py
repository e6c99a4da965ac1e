"""CSV files and the mapping that makes transactions of their rows.

A mapping is a TOML file:

    delimiter = ";"
    key = "trans:{trans_id}"
    description = "{operation}"
    effective_at = { column = "date", format = "%y%m%d" }
    amount = { column = "amount", asset = "CZK/2" }

    [metadata]
    counterparty = "{bank}/{account}"

    [maps.bank]                 # what a template shows instead of a column's value
    "" = "unknown"

    [[rule]]                    # the first rule whose columns all have one of the values decides
    when = { type = "PRIJEM", operation = ["VKLAD", "CASH"] }
    debit = "bank:cash"
    credit = "customers:{account_id}"

`{column}` in a template stands for the row's value; `when` looks at the value as it is in the file.
Local times are those of the ledger's time zone; one that occurs twice is the first of the two.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, Struct

from api.import_files import InputError, Line, Source
from ledger.chart import MAX_AMOUNT, AssetCode
from ledger.commands import Transaction
from ledger.text import is_address

_capture = re.compile(r"\{([^{}]+)\}")
_number = re.compile(r"^(-?)([0-9]+)(?:\.([0-9]+))?\Z")


class EffectiveAt(Struct, frozen=True, forbid_unknown_fields=True):
    """The column that holds the effective time, and its `strptime` format."""

    column: str
    format: str


class AmountColumn(Struct, frozen=True, forbid_unknown_fields=True):
    """The column that holds a decimal amount of one asset."""

    column: str
    asset: AssetCode


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """Which accounts a row debits and credits, if each column of `when` has one of its values."""

    debit: str
    credit: str
    when: dict[str, str | list[str]] = {}


class CsvMapping(Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping file, as the module's head describes it."""

    amount: AmountColumn
    rule: Annotated[list[Rule], Meta(min_length=1)]
    delimiter: Annotated[str, Meta(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8-sig"
    key: str | None = None
    effective_at: EffectiveAt | None = None
    description: str = ""
    reference: str = ""
    metadata: dict[str, str] = {}
    maps: dict[str, dict[str, str]] = {}


def read_mapping(path: Path) -> CsvMapping:
    """A mapping file (InputError, naming what is wrong in it)."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), CsvMapping)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}.") from error


def csv_rows(source: Source, mapping: CsvMapping, time_zone: ZoneInfo) -> Iterator[Line]:
    """The rows of a CSV file with a header (InputError when the mapping does not fit the header)."""
    spoken: list[str] = []  # the text of the record being read
    records = csv.reader(_overheard(source, spoken), delimiter=mapping.delimiter, strict=True)
    try:
        header = next(records, None)
    except csv.Error as error:
        raise InputError(f"{source.path}, header: {error}.") from error
    if header is None:
        raise InputError(f"{source.path} is empty: its first line must name the columns.")
    translate = _Translator(mapping, header, time_zone, str(source.path))
    while True:
        spoken.clear()
        number = source.line_number + 1
        content: Transaction | str
        try:
            record = next(records)
            if not record:
                continue
            text = "".join(spoken)
            content = source.undecodable(text) or translate(record)
        except StopIteration:
            return
        except csv.Error as error:
            text, content = "".join(spoken), str(error)
        yield Line(number, text, content)


def _overheard(lines: Iterable[str], spoken: list[str]) -> Iterator[str]:
    for line in lines:
        spoken.append(line)
        yield line


class _Translator:
    """Makes a transaction of a record, by a mapping whose columns are found in the header once."""

    def __init__(self, mapping: CsvMapping, header: list[str], time_zone: ZoneInfo, where: str) -> None:
        if len(set(header)) < len(header):
            raise InputError(f"{where}: the header names a column twice: {', '.join(header)}.")
        self._mapping = mapping
        self._header = header
        self._scale = int(mapping.amount.asset.rsplit("/", 1)[1])
        self._check_columns(where)
        self._templates = {text: _capture.split(text) for text in self._all_templates()}
        self._rules = [
            (
                [(c, frozenset([v] if isinstance(v, str) else v)) for c, v in rule.when.items()],
                rule,
            )
            for rule in mapping.rule
        ]

        # A file has far fewer days than rows.
        @lru_cache(maxsize=4096)
        def moment(text: str, format: str) -> datetime:
            parsed = datetime.strptime(text, format)  # noqa: DTZ007 (the zone follows)
            return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=time_zone)

        self._moment = moment

    def _all_templates(self) -> list[str]:
        m = self._mapping
        texts = [m.key or "", m.description, m.reference, *m.metadata.values()]
        return texts + [text for rule in m.rule for text in (rule.debit, rule.credit)]

    def _check_columns(self, where: str) -> None:
        m = self._mapping
        named = [m.amount.column, *m.maps, *(column for rule in m.rule for column in rule.when)]
        if m.effective_at is not None:
            named.append(m.effective_at.column)
        named += [column for text in self._all_templates() for column in _capture.findall(text)]
        for column in named:
            if column not in self._header:
                has = ", ".join(self._header)
                raise InputError(f"{where} has no column {column!r}, which the mapping names; it has {has}.")

    def __call__(self, record: list[str]) -> Transaction | str:
        """The transaction, or what is wrong with the record."""
        if len(record) != len(self._header):
            return f"{len(record)} fields where the header has {len(self._header)}"
        row = dict(zip(self._header, record, strict=True))
        try:
            return msgspec.convert(self._request(row), Transaction)
        except ValueError as error:  # msgspec.ValidationError is one
            return str(error)

    def _request(self, row: dict[str, str]) -> dict[str, object]:
        m = self._mapping
        rule = self._rule(row)
        amount = _minor_units(m.amount.column, row[m.amount.column], self._scale)
        shown = {**row, **{column: names.get(row[column], row[column]) for column, names in m.maps.items()}}
        request: dict[str, object] = {
            "postings": [
                {
                    "account": self._address(side, template, shown),
                    "side": side,
                    "amount": amount,
                    "asset": m.amount.asset,
                }
                for side, template in (("debit", rule.debit), ("credit", rule.credit))
            ],
            "description": self._fill(m.description, shown).strip(),
            "reference": self._fill(m.reference, shown).strip(),
            "metadata": {
                name: text
                for name, template in m.metadata.items()
                if (text := self._fill(template, shown).strip())
            },
        }
        if m.key is not None:
            request["idempotency_key"] = self._fill(m.key, shown)
        if m.effective_at is not None:
            column, format = m.effective_at.column, m.effective_at.format
            try:
                request["effective_at"] = self._moment(row[column], format)
            except ValueError:
                raise ValueError(
                    f"`{column}` is {row[column]!r}, which is not a time of the form {format}"
                ) from None
        return request

    def _rule(self, row: dict[str, str]) -> Rule:
        for when, rule in self._rules:
            if all(row[column] in values for column, values in when):
                return rule
        columns = dict.fromkeys(column for when, _ in self._rules for column, _ in when)
        raise ValueError("no rule matches " + ", ".join(f"{column} = {row[column]!r}" for column in columns))

    def _fill(self, template: str, shown: dict[str, str]) -> str:
        parts = self._templates[template]
        if len(parts) == 1:
            return template
        return "".join(shown[part] if i % 2 else part for i, part in enumerate(parts))

    def _address(self, side: str, template: str, shown: dict[str, str]) -> str:
        address = self._fill(template, shown)
        if not is_address(address):
            raise ValueError(f"`{side}` account {address!r} is not an address (made by {template!r})")
        return address


def _minor_units(column: str, text: str, scale: int) -> int:
    """Decimal text as minor units, exactly (ValueError)."""
    found = _number.match(text)
    if found is None:
        raise ValueError(f"`{column}` is {text!r}, which is not a decimal number")
    sign, whole, decimals = found.groups(default="")
    if len(decimals) > scale:
        raise ValueError(f"`{column}` is {text}, which has more than {scale} decimals")
    units = int(whole + decimals.ljust(scale, "0")) if len(whole) <= 19 else MAX_AMOUNT + 1
    if sign or not 1 <= units <= MAX_AMOUNT:
        raise ValueError(f"`{column}` is {text}, which is not between 1 and {MAX_AMOUNT} minor units")
    return units
