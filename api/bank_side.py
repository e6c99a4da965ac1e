"""A bank's side of a reconciliation: a statement file, and the account in the ledger that it is of.

The whole file is read and checked before a run begins, and again by the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from msgspec import Struct

from adapters.statements.amounts import StatementError, minor_units, one_line
from adapters.statements.camt import CamtStatement
from adapters.statements.csv_file import CsvColumns, CsvStatement
from ledger import reconciliation_reads as reads
from ledger.reader import Reader
from ledger.reconciliation.items import Finding, Item, Rules
from ledger.reconciliation.matching import reconcile
from ledger.reconciliation.sides import About, Passing, ToldBalance

SIDE = "bank"


class Statement(Struct, frozen=True, kw_only=True):
    """A statement file and how it is read. `columns` None: camt.053. `of_account`: which one of several.

    `title` names the file to people. `closing`: what the account held at the end of its last day, as a
    decimal number, of a file that does not say it.
    """

    file: Path
    title: str
    columns: CsvColumns | None = None
    of_account: str = ""
    closing: str = ""


class BankComparison:
    """An account beside its bank statement."""

    def __init__(
        self, reader: Reader, ledger: str, account: str, statement: Statement, window_days: int
    ) -> None:
        """Reads the statement to its end (StatementError, OSError, UnicodeError)."""
        self._reader = reader
        self._ledger = ledger
        self._statement = statement
        self._assets = {asset.partition("/")[0]: asset for asset in reader.chart(ledger).chart.assets}
        self._told = "", ""
        self._closing: dict[tuple[str, str], int] = {}
        with statement.file.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._seen: set[str] = set()
        first, last = "9999-12-31", ""
        for item in self._items():
            self._seen.add(item.asset)
            first, last = min(first, item.day), max(last, item.day)
        first, last = min(self._told[0] or first, first), max(self._told[1], last)
        self.about = About(
            side=SIDE,
            source=one_line(statement.title, 255),
            digest=digest,
            account=account,
            window_days=window_days,
            first_day=first if last else "",
            last_day=last,
            balances=self._balances(last),
        )

    def findings(self, known_at: int, folder: Path, passing: Passing) -> Iterator[Finding]:
        """The account, as far around the statement's days as the window reaches, beside the statement."""
        about = self.about
        rules = Rules(window_days=about.window_days, first_day=about.first_day, last_day=about.last_day)
        return reconcile(passing(self._here(known_at)), passing(self._items()), rules, folder)

    def _balances(self, last_day: str) -> tuple[ToldBalance, ...]:
        if not self._statement.closing:
            return tuple(ToldBalance(day, asset, amount) for (asset, day), amount in self._closing.items())
        if len(self._seen) != 1:
            raise StatementError("a closing balance is of a statement with entries in one currency.")
        [asset] = self._seen
        try:
            return (ToldBalance(last_day, asset, minor_units(self._statement.closing, asset)),)
        except ValueError as error:
            raise StatementError(f"the closing balance: {error}.") from None

    def _here(self, known_at: int) -> Iterator[Item]:
        about = self.about
        if not about.last_day:
            return
        window = timedelta(days=about.window_days or 0)
        first = (date.fromisoformat(about.first_day) - window).isoformat()
        last = (date.fromisoformat(about.last_day) + window).isoformat()
        for item in reads.account_items(self._reader, self._ledger, about.account, known_at, first, last):
            if not self._seen or item.asset in self._seen:
                yield item

    def _items(self) -> Iterator[Item]:
        columns = self._statement.columns
        if columns is None:
            with self._statement.file.open("rb") as binary:
                camt = CamtStatement(binary, self._assets, self._statement.of_account)
                yield from camt
                # What it says itself of its days is known at its end.
                self._told = camt.first_day, camt.last_day
                self._closing = camt.closing
        else:
            with self._statement.file.open(encoding=columns.encoding, newline="") as text:
                yield from CsvStatement(text, columns, self._assets)


def run_name(about: About, statement: Statement) -> str:
    """The name of the run of a file with its options: the same for the same."""
    options = f"{about.digest} {about.account} {about.window_days} {statement.of_account} {statement.columns}"
    options += f" {statement.closing}" if statement.closing else ""
    return f"bank-{hashlib.sha256(options.encode()).hexdigest()[:16]}"
