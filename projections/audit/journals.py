"""The accounting files of an export against the events: every posted leg of the range, every balance.

They come in another order than the events, so each event has a sum of the hashes of its legs, as it is in
the file and as it should be, and so has each day of its balances. Only the balances of the first day that
differs are looked at one by one.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

from ledger.events import Event
from projections.audit.accounts import Account, Position
from projections.audit.books import Books
from projections.audit.compare import Differences
from projections.audit.folder import FilePart
from projections.audit.journal_files import READERS, Fact
from projections.audit.rows import HASHES
from projections.audit.table_files import TableTrouble
from projections.audit.totals import period_ends

ROOTS = {
    "asset": "assets",
    "liability": "liabilities",
    "equity": "equity",
    "income": "income",
    "expense": "expenses",
}

Day = tuple[str, str]  # opening or balance, and its day
Key = tuple[str, str, str, str, str]  # the same, account, code and amount


class Journals:
    """Fed with every event, in order; compares the files at the end."""

    def __init__(
        self, folder: Path, files: Mapping[str, FilePart], books: Books, first: date, last: date
    ) -> None:
        """The files are of the days from `first` to `last`."""
        self._folder = folder
        self._paths = {path: prefix for path in files for prefix in READERS if path.startswith(prefix)}
        self._books = books
        self._ends = list(period_ends(first, last))
        self._first = first
        self._legs = array("Q", [0])
        self._changes: dict[Position, dict[int, int]] = {}  # by period, 0: before the first

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
            changes = self._changes.setdefault(position, {})
            changes[period] = changes.get(period, 0) + signed
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
        sums: dict[Day, int] = {}
        for fact in READERS[prefix](self._folder / path):
            account = self._books.accounts.get(fact.account)
            if account is None or (fact.root and fact.root != _root(account)):
                differences.extra(path, f"{fact.root}:{fact.account}, event {fact.seq}", seq=fact.seq or None)
                return
            if fact.what != "leg":
                day = (fact.what, fact.day)
                sums[day] = (sums.get(day, 0) + hash("|".join(_key(fact)).encode())) & HASHES
            elif 0 < fact.seq < len(legs):
                mark = hash(f"{fact.seq}|{fact.day}|{fact.account}|{fact.asset}|{fact.amount}".encode())
                legs[fact.seq] = (legs[fact.seq] + mark) & HASHES
            else:
                differences.extra(path, f"event {fact.seq}", seq=max(fact.seq, 0))
        if not prefix.endswith("Trial_Balance") and legs != self._legs:
            seq = next(
                seq for seq, pair in enumerate(zip(legs, self._legs, strict=True)) if pair[0] != pair[1]
            )
            differences.column(path, f"event {seq}", "legs", "others", "those of its body", seq=seq)
        if not prefix.endswith("GL_Detail"):
            self._compare_balances(path, prefix, sums, differences)

    def _compare_balances(
        self, path: str, prefix: str, found: dict[Day, int], differences: Differences
    ) -> None:
        expected: dict[Day, int] = {}
        for key in self._balances(prefix):
            expected[key[:2]] = (expected.get(key[:2], 0) + hash("|".join(key).encode())) & HASHES
        wrong = [day for day in found.keys() | expected.keys() if found.get(day) != expected.get(day)]
        if not wrong:
            return
        first = min(wrong, key=lambda day: (day[1], day[0]))
        there = Counter(
            _key(fact) for fact in READERS[prefix](self._folder / path) if (fact.what, fact.day) == first
        )
        for key in self._balances(prefix):
            if key[:2] == first and there.pop(key, 0) != 1:
                differences.missing(path, " ".join(key), seq=None)
                return
        differences.extra(path, " ".join(next(iter(there))))

    def _balances(self, prefix: str) -> Iterator[Key]:
        """Every opening and balance that the file must state."""
        trial = prefix.endswith("Trial_Balance")
        days = [end.isoformat() for end in self._ends]
        for position, changes in self._changes.items():
            place = (position.account.address, position.asset.rsplit("/", 1)[0])
            balance = changes.get(0, 0)
            if balance and not trial:
                opened = (self._first - timedelta(days=1)).isoformat()
                yield ("opening", opened, *place, _decimal(balance, position.asset))
            for period in range(max(min(changes), 1), len(days) + 1):
                before, balance = balance, balance + changes.get(period, 0)
                amount = _decimal(balance, position.asset)
                if trial:
                    amount = f"{_decimal(before, position.asset)} {amount}"
                yield ("balance", days[period - 1], *place, amount)


def _key(fact: Fact) -> Key:
    return fact.what, fact.day, fact.account, fact.asset, fact.amount


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
