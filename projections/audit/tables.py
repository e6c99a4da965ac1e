"""The tables of an export (CSV, Parquet, balances.jsonl), row by row against the events.

Rows come in the order of their keys, which is the order of the events, so both sides are read side by side, a
chunk at a time and column by column. Written from docs/audit-export.md alone: nothing here is shared with
what writes the tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from ledger.events import Event
from projections.audit.accounts import Account, whole
from projections.audit.books import Books
from projections.audit.compare import Differences
from projections.audit.folder import BALANCES, FilePart
from projections.audit.table_files import (
    Column,
    CsvFile,
    JsonFile,
    ParquetFile,
    TableFile,
    TableTrouble,
)

# What a column holds. Moments stand as ISO text here, days as dates.
INT, OPTIONAL, TEXT, JSON, FLAG, MOMENT, DAY = "int", "optional", "text", "json", "flag", "moment", "day"

TEXTS = (
    "actor",
    "approver",
    "description",
    "fingerprint",
    "key",
    "original_effective_at",
    "reference",
    "request_id",
)
JSONS = ("metadata", "data", "streams", "ends", "accounts_opened")
COUNTERS = ("debits_posted", "credits_posted", "debits_pending", "credits_pending")
TABLES: dict[str, dict[str, str]] = {
    "events": {
        "seq": INT,
        "type": TEXT,
        "schema_version": INT,
        "effective_at": MOMENT,
        "recorded_at": MOMENT,
        "effective_date": DAY,
        **dict.fromkeys(TEXTS, TEXT),
        "batch_index": OPTIONAL,
        "batch_size": OPTIONAL,
        **dict.fromkeys(JSONS, JSON),
        "legs": INT,
        "leaf": TEXT,
    },
    "postings": {
        "seq": INT,
        "leg": INT,
        "account": TEXT,
        "asset": TEXT,
        "kind": TEXT,
        "side": TEXT,
        "amount": INT,
        "effective_at": MOMENT,
        "effective_date": DAY,
    },
    "accounts": {
        "number": INT,
        "address": TEXT,
        "type": TEXT,
        "contra": FLAG,
        "memo": FLAG,
        "normal_balance": TEXT,
        "assets": JSON,
        "opened_seq": INT,
        "closed_seq": OPTIONAL,
    },
    "balances": {"account": TEXT, "asset": TEXT, **dict.fromkeys(COUNTERS, INT)},
}
CHUNK = 2_000

Row = tuple[Any, ...]
_canonical = msgspec.json.Encoder(order="sorted").encode


class Tables:
    """Every table file of a folder, fed with every event."""

    def __init__(
        self, stack: ExitStack, folder: Path, files: Mapping[str, FilePart], differences: Differences
    ) -> None:
        self._differences = differences
        self._files: dict[str, list[TableFile]] = {name: [] for name in TABLES}
        for name in TABLES:
            for path, open_ in ((f"csv/{name}.csv", CsvFile), (f"parquet/{name}.parquet", ParquetFile)):
                if path in files:
                    file = stack.enter_context((folder / path).open("rb"))
                    self._files[name].append(open_(path, file))
        if BALANCES in files:
            file = stack.enter_context((folder / BALANCES).open("rb"))
            self._files["balances"].append(JsonFile(BALANCES, file))
        self.wanted = bool(self._files["events"] or self._files["postings"])
        self._events: list[Row] = []
        self._postings: list[Row] = []

    @property
    def counts(self) -> dict[str, int]:
        """How many rows were expected of each file."""
        return {file.path: file.count for files in self._files.values() for file in files}

    def entered(self, event: Event, leaf: bytes, day: date) -> None:
        """Compare the rows of an event, in due course."""
        if self._files["events"]:
            self._events.append(_event_row(event, leaf, day))
        if self._files["postings"]:
            seq, at = event.seq, event.effective_at
            self._postings += [
                (seq, leg, p.account, p.asset, p.kind, p.side, whole(p.amount), at, day)
                for leg, p in enumerate(event.postings)
            ]
        if len(self._events) >= CHUNK or len(self._postings) >= CHUNK:
            self._compare_events()

    def _compare_events(self) -> None:
        for name, rows in (("events", self._events), ("postings", self._postings)):
            self._expect(name, rows, [row[0] for row in rows])
            rows.clear()

    def finish(self, books: Books) -> None:
        """Compare the rows of accounts and balances, and see that no table has more rows than there are."""
        self._compare_events()
        accounts = list(books.accounts.values())
        for first in range(0, len(accounts), CHUNK):
            some = accounts[first : first + CHUNK]
            self._expect("accounts", [_account_row(a) for a in some], [a.opened for a in some])
            balances = [(a.address, p) for a in some for _, p in sorted(a.positions.items())]
            rows = [
                (address, p.asset, p.debits, p.credits, p.debits_pending, p.credits_pending)
                for address, p in balances
            ]
            self._expect("balances", rows, [p.last_seq for _, p in balances])
        for files in self._files.values():
            for file in files:
                self._end(file)

    def _expect(self, name: str, rows: list[Row], seqs: list[int]) -> None:
        """Compare the next rows of a table in every format that it is there in."""
        files = [file for file in self._files[name] if not file.done]
        if not rows or not files:
            return
        kinds = TABLES[name]
        columns = list(zip(*rows, strict=True))
        for file in files:
            try:
                found = file.take(tuple(kinds), len(rows))
            except TableTrouble as error:
                file.done = True
                self._differences.unreadable(file.path, str(error), seq=seqs[0])
                continue
            wanted = [file.form(kind, column) for kind, column in zip(kinds.values(), columns, strict=True)]
            if found != wanted:
                self._explain(file, tuple(kinds), found, wanted, seqs)
            file.count += len(rows)

    def _explain(
        self,
        file: TableFile,
        names: Sequence[str],
        found: Sequence[Column],
        wanted: Sequence[Column],
        seqs: list[int],
    ) -> None:
        """The first row that is missing or differs ends the table."""
        file.done = True
        for place, seq in enumerate(seqs):
            row = f"row {file.count + place + 1}"
            if place >= len(found[0]):
                self._differences.missing(file.path, row, seq=seq)
                return
            for name, have, want in zip(names, found, wanted, strict=True):
                if have[place] != want[place]:
                    pair = (str(have[place]), str(want[place]))
                    self._differences.column(file.path, row, name, *pair, seq=seq)
                    return

    def _end(self, file: TableFile) -> None:
        if file.done:
            return
        try:
            more = file.take((), 1)
        except TableTrouble as error:
            self._differences.unreadable(file.path, str(error), seq=None)
            return
        if more and more[0]:
            self._differences.extra(file.path, f"row {file.count + 1}")


def _event_row(event: Event, leaf: bytes, day: date) -> Row:
    index, size = event.batch or (None, None)
    return (
        event.seq,
        event.type,
        event.schema_version,
        event.effective_at,
        event.recorded_at,
        day,
        event.actor,
        event.approver,
        event.description,
        event.fingerprint,
        event.key,
        event.original_effective_at,
        event.reference,
        event.request_id,
        index,
        size,
        _object(event.metadata),
        _object(event.data),
        _object(event.streams),
        _canonical(event.ends).decode(),
        _object(event.accounts_opened),
        len(event.postings),
        leaf.hex(),
    )


def _object(value: dict[str, Any]) -> str:
    return _canonical(value).decode() if value else "{}"


def _account_row(account: Account) -> Row:
    terms = account.terms
    normal = "debit" if account.debit_normal else "credit"
    assets = _canonical(terms.assets or []).decode()
    nature = (terms.type, terms.contra, terms.memo, normal, assets)
    return (account.number, account.address, *nature, account.opened, account.closed)
