"""The accounting files of an export against the events: every posted leg of the range, every balance.

They come in another order than the events, so each event has a sum of the hashes of its legs, as it is in
the file and as it should be; balances are kept by account, asset and period.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

from ledger.events import Event
from projections.audit.accounts import Account, Position
from projections.audit.books import Books
from projections.audit.compare import Differences
from projections.audit.folder import FilePart
from projections.audit.journal_files import READERS
from projections.audit.rows import HASHES
from projections.audit.table_files import TableTrouble

ROOTS = {
    "asset": "assets",
    "liability": "liabilities",
    "equity": "equity",
    "income": "income",
    "expense": "expenses",
}


class Journals:
    """Fed with every event, in order; compares the files at the end."""

    def __init__(
        self, folder: Path, files: Mapping[str, FilePart], books: Books, ends: list[date], first: date
    ) -> None:
        """`ends` are the last days of the periods of the range that begins on `first`."""
        self._folder = folder
        self._paths = {path: prefix for path in files for prefix in READERS if path.startswith(prefix)}
        self._books = books
        self._ends = ends
        self._first = first
        self._legs = array("Q", [0])
        self._changes: dict[Position, list[int]] = {}
        self._since: dict[Position, int] = {}  # the first period with a posted leg

    @property
    def wanted(self) -> bool:
        """Whether there is any such file."""
        return bool(self._paths)

    def entered(self, event: Event, day: date) -> None:
        """Take in the posted legs of an event."""
        self._legs.append(0)
        if day > self._ends[-1]:
            return
        period = 0 if day < self._first else 1 + bisect_left(self._ends, day)
        total = 0
        for position, kind, signed, *_ in self._books.legs:
            if kind:
                continue
            changes = self._changes.get(position)
            if changes is None:
                changes = self._changes[position] = [0] * (len(self._ends) + 1)
                self._since[position] = period
            changes[period] += signed
            self._since[position] = min(self._since[position], period)
            if period:
                total += _hash(event.seq, day.isoformat(), position, _decimal(signed, position.asset))
        self._legs[event.seq] = total & HASHES

    def finish(self, differences: Differences) -> None:
        """Compare every file."""
        for path, prefix in sorted(self._paths.items()):
            try:
                self._compare(path, prefix, differences)
            except (TableTrouble, KeyError, ValueError, OverflowError) as error:
                differences.unreadable(path, str(error), seq=None)

    def _compare(self, path: str, prefix: str, differences: Differences) -> None:
        legs = array("Q", bytes(8 * len(self._legs)))
        balances: dict[tuple[str, ...], int] = {}
        for fact in READERS[prefix](self._folder / path):
            account = self._books.accounts.get(fact.account)
            if account is None or (fact.root and fact.root != _root(account)):
                differences.extra(path, f"{fact.root}:{fact.account}, event {fact.seq}", seq=fact.seq or None)
                return
            if not fact.seq:
                key = (fact.day, fact.account, fact.asset, fact.amount)
                balances[key] = balances.get(key, 0) + 1
            elif fact.seq < len(legs):
                mark = hash(f"{fact.seq}|{fact.day}|{fact.account}|{fact.asset}|{fact.amount}".encode())
                legs[fact.seq] = (legs[fact.seq] + mark) & HASHES
            else:
                differences.extra(path, f"event {fact.seq}", seq=fact.seq)
        if not prefix.endswith("Trial_Balance") and legs != self._legs:
            seq = next(
                seq for seq, pair in enumerate(zip(legs, self._legs, strict=True)) if pair[0] != pair[1]
            )
            differences.column(path, f"event {seq}", "legs", "others", "those of its body", seq=seq)
        if not prefix.endswith("GL_Detail"):
            self._compare_balances(path, balances, self._balances(prefix), differences)

    def _compare_balances(
        self,
        path: str,
        found: dict[tuple[str, ...], int],
        expected: Iterable[tuple[str, ...]],
        differences: Differences,
    ) -> None:
        for key in expected:
            if found.pop(key, 0) != 1:
                differences.missing(path, f"balance {' '.join(key)}", seq=None)
                return
        for key in found:
            differences.extra(path, f"balance {' '.join(key)}")
            return

    def _balances(self, prefix: str) -> Iterator[tuple[str, ...]]:
        """Day, account, code and amount of every balance that the file must state."""
        for position, changes in self._changes.items():
            place = (position.account.address, position.asset.rsplit("/", 1)[0])
            balance = changes[0]
            trial = prefix.endswith("Trial_Balance")
            if balance and not trial:
                opened = (self._first - timedelta(days=1)).isoformat()
                yield (opened, *place, _decimal(balance, position.asset))
            for period, end in enumerate(self._ends, 1):
                before, balance = balance, balance + changes[period]
                if period >= self._since[position]:
                    amount = _decimal(balance, position.asset)
                    if trial:
                        amount = f"{_decimal(before, position.asset)} {amount}"
                    yield (end.isoformat(), *place, amount)


def _hash(seq: int, day: str, position: Position, amount: str) -> int:
    code = position.asset.rsplit("/", 1)[0]
    return hash(f"{seq}|{day}|{position.account.address}|{code}|{amount}".encode())


def _root(account: Account) -> str:
    return "memo" if account.terms.memo else ROOTS[account.terms.type]


def _decimal(units: int, asset: str) -> str:
    """Minor units with exactly the asset's scale; as they are where it has none, which the books note."""
    places = asset.rpartition("/")[2]
    scale = int(places) if re.fullmatch("[0-9]{1,2}", places) else 0
    digits = str(abs(units)).zfill(scale + 1)
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if units < 0 else text
