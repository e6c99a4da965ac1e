"""Making an export: two passes over the ledger, each feeding every format that wants it.

The first reads the book in seq order (events, tables, tiles, totals), the second the range of effective
days in the order of the journals (hledger, Beancount, ADS). What a format cannot carry exactly ends the
export.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime
from importlib.metadata import version
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import msgspec

from ledger.notes import TreeHead, VerifierKey, open_tree_head
from ledger.text import iso, micros
from projections.exports.ads import AdsFiles, ads_dictionary
from projections.exports.beancount import BeancountJournal
from projections.exports.csv_files import CsvTables, csv_path
from projections.exports.folder import Folder, OutFile, new_folder
from projections.exports.hledger import HledgerJournal
from projections.exports.journals import Days, Journal, Posted
from projections.exports.parquet_files import ParquetTables, parquet_path
from projections.exports.source import (
    BalanceRow,
    Entry,
    ExportRefused,
    Nature,
    Pin,
    Source,
)
from projections.exports.tables import (
    ACCOUNTS,
    BALANCES,
    EVENTS,
    POSTINGS,
    TABLES,
    Table,
    TableWriter,
    account_row,
    balance_row,
    dictionary_entry,
    event_row,
    posting_rows,
)
from projections.exports.tlog import TlogTiles
from projections.exports.totals import BookTotals, RangeTotals

VERSION = 1
Format = Literal["jsonl", "csv", "parquet", "tlog", "hledger", "beancount", "ads"]
FORMATS: tuple[Format, ...] = get_args(Format)
ACCOUNTING: frozenset[Format] = frozenset(("hledger", "beancount", "ads"))
PAGE = 512

Row = TypeVar("Row")

# What is being done, how much of it is done, and of how much; it may raise to cancel the export.
Progress = Callable[[str, int, int], None]


class Asked(NamedTuple):
    """What to export. `first` and `last` are the range's days, None: the ledger's own first and last."""

    ledger: str
    formats: frozenset[Format]
    first: date | None = None
    last: date | None = None


class Signed(NamedTuple):
    """A signed tree head as a note, and the public key that it is checked with."""

    note: str
    verifier: VerifierKey


class Exported(NamedTuple):
    """What was made: the pinned seq, the formats, the accounting range, and the manifest's SHA-256 in hex."""

    pin: Pin
    formats: list[Format]
    days: Days | None
    manifest: str


def export(conninfo: str, asked: Asked, target: Path, signed: Signed, progress: Progress) -> Exported:
    """Write an export of a ledger, as of a signed tree head of it, to the folder `target`.

    LedgerNotFound; NoteError: the tree head is not signed so; ExportRefused: nothing stands at `target` then,
    nor after any other exception.
    """
    head = open_tree_head(signed.note, [signed.verifier])
    with Source(conninfo, asked.ledger, head) as source, new_folder(target) as folder:
        days = _days(source, asked) if asked.formats & ACCOUNTING else None
        pin = source.pin
        folder.whole("tlog/checkpoint", signed.note.encode())
        folder.whole("tlog/verifier-key", f"{signed.verifier}\n".encode())
        totals = _book(source, folder, asked.formats, progress)
        manifest = _manifest(pin, asked, head, totals)
        if days is not None:
            manifest["range"] = {"from": days.first.isoformat(), "to": days.last.isoformat()}
            journals = _journals(asked.formats, folder, pin, days, totals.sums.assets())
            manifest["range_totals"] = _accounting(source, journals, days, progress)
        dictionary = _dictionary(asked.formats, days)
        if dictionary:
            folder.whole("dictionary.json", _pretty(dictionary))
        return Exported(pin, manifest["formats"], days, folder.finish(manifest))


def _days(source: Source, asked: Asked) -> Days:
    today = source.pin.today
    for day in (asked.first, asked.last):
        if day is not None and day > today:
            raise ExportRefused(f"{day} is in the future of {source.pin.time_zone}.")
    first, last = source.posting_days() or (today, today)
    if asked.last is not None:
        last = asked.last
    first = asked.first or min(first, last)
    if asked.last is None:
        last = max(first, last)
    if first > last:
        raise ExportRefused(f"The range from {first} to {last} has no day.")
    return Days(first, last)


# ---------------------------------------------------------------- the book


def _book(source: Source, folder: Folder, formats: frozenset[Format], progress: Progress) -> BookTotals:
    totals = BookTotals()
    tables: list[TableWriter] = []
    if "csv" in formats:
        tables.append(CsvTables(folder, TABLES))
    if "parquet" in formats:
        tables.append(ParquetTables(folder, TABLES))
    tiles = TlogTiles(folder) if "tlog" in formats else None
    lines = folder.create("events.jsonl")
    for page in _pages(source.book()):
        lines.write(b"".join([part for entry in page for part in (entry.body, b"\n")]))
        for entry in page:
            totals.add(entry)
            if tiles is not None:
                tiles.add(entry)
        if tables:
            _tabulate(page, tables)
        progress("events", page[-1].seq, source.pin.seq)
    lines.rows = totals.events
    if tiles is not None:
        tiles.finish()
    for account_page in _pages(source.accounts()):
        _write(tables, ACCOUNTS, [account_row(account) for account in account_page])
    _balances(source, folder.create("balances.jsonl"), tables)
    for writer in tables:
        writer.finish()
    return totals


def _tabulate(page: list[Entry], tables: list[TableWriter]) -> None:
    _write(tables, EVENTS, [event_row(entry) for entry in page])
    _write(tables, POSTINGS, [row for entry in page for row in posting_rows(entry)])


def _write(tables: list[TableWriter], table: Table, rows: list[tuple[Any, ...]]) -> None:
    for writer in tables:
        writer.write(table, rows)


def _balances(source: Source, file: OutFile, tables: list[TableWriter]) -> None:
    file.rows = 0
    for page in _pages(source.balances()):
        file.write(b"".join([msgspec.json.encode(_balance_line(balance)) + b"\n" for balance in page]))
        file.rows += len(page)
        _write(tables, BALANCES, [balance_row(balance) for balance in page])


def _balance_line(balance: BalanceRow) -> dict[str, str]:
    return {name: str(value) for name, value in balance._asdict().items()}


# ---------------------------------------------------------------- the accounting files


def _journals(
    formats: frozenset[Format], folder: Folder, pin: Pin, days: Days, assets: list[str]
) -> list[Journal]:
    journals: list[Journal] = []
    if "hledger" in formats:
        journals.append(HledgerJournal(folder, pin, days, assets))
    if "beancount" in formats:
        journals.append(BeancountJournal(folder, pin, days, assets))
    if "ads" in formats:
        journals.append(AdsFiles(folder, pin, days))
    return journals


def _accounting(source: Source, journals: list[Journal], days: Days, progress: Progress) -> dict[str, Any]:
    """Feed the journals; answers the totals of the range."""
    totals = RangeTotals()
    for account in source.accounts():
        for journal in journals:
            journal.account(account)
    ends = days.ends()
    periods = groupby(source.period_balances(days.first, ends), attrgetter("period"))
    balances = next(periods, None)
    moved = _posted(source, days, progress)
    waiting = next(moved, None)
    for period, end in enumerate((days.first, *ends)):
        while period and waiting is not None and waiting[0].day <= end:
            totals.add([leg for _, leg in waiting[1]])
            for journal in journals:
                journal.transaction(*waiting)
            waiting = next(moved, None)
        if balances is not None and balances[0] == period:
            for page in _pages(balances[1]):
                for journal in journals:
                    journal.period(end, page) if period else journal.opening(page)
            balances = next(periods, None)
    for journal in journals:
        journal.finish()
    return totals.manifest([end.isoformat() for end in ends])


def _posted(
    source: Source, days: Days, progress: Progress
) -> Iterator[tuple[Entry, Posted, dict[str, Nature]]]:
    """The events of the range that have posted legs, with these and what their accounts are."""
    done, total = 0, source.moved(*days)
    for page in _pages(source.effective(*days)):
        posted = [
            [(place, leg) for place, leg in enumerate(entry.event.postings) if leg.kind == "posted"]
            for entry in page
        ]
        natures = source.natures({leg.account for legs in posted for _, leg in legs})
        for entry, legs in zip(page, posted, strict=True):
            if legs:
                yield entry, legs, natures
        done += len(page)
        progress("journals", done, total)


# ---------------------------------------------------------------- what describes the rest


def _manifest(pin: Pin, asked: Asked, head: TreeHead, totals: BookTotals) -> dict[str, Any]:
    return {
        "format": "daybook-audit-export",
        "version": VERSION,
        "ledger": {"name": pin.name, "id": pin.public_id, "time_zone": pin.time_zone},
        "incarnation": pin.incarnation,
        "seq": pin.seq,
        "recorded_at": totals.recorded_at,
        "tree_head": {"origin": head.origin, "size": head.size, "root": head.root.hex()},
        "formats": [format for format in FORMATS if format in asked.formats | {"jsonl"}],
        "exported_at": iso(micros(datetime.now(UTC))),
        "daybook": version("daybook"),
        "totals": totals.manifest(),
    }


def _dictionary(formats: frozenset[Format], days: Days | None) -> dict[str, Any]:
    paths = [path for name, path in (("csv", csv_path), ("parquet", parquet_path)) if name in formats]
    tables = {
        table.name: dictionary_entry(table, [path(table) for path in paths]) for table in TABLES if paths
    }
    return tables | (ads_dictionary(days) if days is not None and "ads" in formats else {})


def _pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The same rows, PAGE at a time."""
    iterator = iter(rows)
    while page := list(islice(iterator, PAGE)):
        yield page


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
