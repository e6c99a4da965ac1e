"""A journal for Beancount: plain text that `bean-check` accepts, its balance assertions included.

Beancount's names are narrower than ours: account components begin with a capital or a digit and hold
letters, digits and `-`; commodities are capitals, digits and `'._-`, and end in a capital or digit. Both
names are encoded so that no two of ours meet in one of Beancount's, and the file itself is the table to go
back by: the exact address and asset stand as metadata of `open` and `commodity`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from functools import lru_cache

from projections.exports.folder import Folder
from projections.exports.journals import Days, Posted, decimal, scale
from projections.exports.source import AccountRow, Entry, ExportRefused, Nature, PeriodBalance, Pin

PATH = "beancount/ledger.beancount"

ROOTS = {
    "asset": "Assets",
    "liability": "Liabilities",
    "equity": "Equity",
    "income": "Income",
    "expense": "Expenses",
}
MEMO = "Equity:Off-Balance"

_WORDS = frozenset({"TRUE", "FALSE", "NULL"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}

_HEAD = """\
;; The ledger {name} ({public_id}), incarnation {incarnation}, events 1 to {seq}.
;; Effective dates {first} to {last}, in the time zone {zone}.
;;
;; Posted legs only: holds move no balance of the books and are not here. Not carried either: metadata and
;; idempotency keys. events.jsonl has everything.
;; `address` and `asset` of each open and commodity line are the exact names; memo accounts are under
;; {memo}. A balance line asserts the end of the day before it.

option "title" "{name}"
"""


class BeancountJournal:
    """Writes PATH, in the order of `Journal`'s methods."""

    def __init__(self, folder: Folder, pin: Pin, days: Days, assets: Iterable[str]) -> None:
        self._file = folder.create(PATH)
        self._days = days
        self._rows = 0
        self._opened = False
        # Names may be used from the day of the opening balances on.
        self._since = days.first if days.first == date.min else days.before
        head = _HEAD.format(
            name=pin.name,
            public_id=pin.public_id,
            incarnation=pin.incarnation,
            seq=pin.seq,
            first=days.first,
            last=days.last,
            zone=pin.time_zone,
            memo=MEMO,
        )
        self._write(head)
        for asset in assets:
            self._write(f"{self._since} commodity {commodity(asset)}", f"  asset: {string(asset)}")

    def account(self, account: AccountRow) -> None:
        """Open it."""
        name_ = name(account.address, account.nature)
        self._write(f"{self._since} open {name_}", f"  address: {string(account.address)}")

    def opening(self, balances: list[PeriodBalance]) -> None:
        """One transaction, the day before the range, however many pages it has."""
        lines = [
            f"  {name(b.account, b.nature)}  {amount(b.closing, b.asset)}" for b in balances if b.closing
        ]
        if lines and not self._opened:
            self._write(f'\n{self._days.before} * "opening balances"')
            self._opened = True
        self._write(*lines)

    def transaction(self, entry: Entry, posted: Posted, natures: dict[str, Nature]) -> None:
        """A transaction, its seq as metadata."""
        event = entry.event
        lines = [
            f"\n{entry.day} * {string(event.description)}",
            f"  seq: {entry.seq}",
            f"  type: {string(event.type)}",
            f"  effective-at: {string(event.effective_at)}",
        ]
        if event.reference:
            lines.append(f"  reference: {string(event.reference)}")
        for _, leg in posted:
            units = int(leg.amount) if leg.side == "debit" else -int(leg.amount)
            lines.append(f"  {name(leg.account, natures[leg.account])}  {amount(units, leg.asset)}")
        self._write(*lines)
        self._rows += 1

    def period(self, end: date, balances: list[PeriodBalance]) -> None:
        """Assertions, which Beancount checks at the start of a day: so on the day after."""
        if balances:
            day = end + timedelta(days=1)
            lines = [
                f"{day} balance {name(b.account, b.nature)}  "
                f"{decimal(b.closing, scale(b.asset))} ~ 0 {commodity(b.asset)}"
                for b in balances
            ]
            self._write("", *lines)

    def finish(self) -> None:
        """Nothing is held back."""
        self._file.rows = self._rows

    def _write(self, *lines: str) -> None:
        self._file.write("".join(f"{line}\n" for line in lines).encode())


@lru_cache(maxsize=50_000)
def name(address: str, nature: Nature) -> str:
    """The account's name. All its parts but the last end in `-`, as no last part does.

    Beancount counts sub-accounts into an account's assertions, so no account may stand above another.
    """
    *above, last = map(_component, address.split(":"))
    root = MEMO if nature.memo else ROOTS[nature.type]
    return ":".join([root, *(f"{part}-" for part in above), last])


def _component(segment: str) -> str:
    first, rest = segment[0], segment[1:]
    if first.islower() or first.isdigit():
        return first.upper() + _escaped(rest)
    return "0-00" + _escaped(segment)


def _escaped(text: str) -> str:
    return text.replace("-", "--").replace("_", "-5F").replace(".", "-2E")


@lru_cache(maxsize=1024)
def commodity(asset: str) -> str:
    """The asset's code in capitals. `'` changes between capitals and small letters; `X''` begins with small
    ones, and `''0` ends a code that ends in neither letter nor digit, or is a word of Beancount's."""
    code = asset.rsplit("/", 1)[0]
    runs = re.findall("[a-z]+|[^a-z]+", code)
    spelled = "'".join(runs).upper()
    if code[0].islower():
        spelled = f"X''{spelled}"
    if not spelled[-1].isalnum() or spelled in _WORDS:
        spelled += "''0"
    return spelled


def amount(units: int, asset: str) -> str:
    """Minor units as Beancount writes an amount."""
    return f"{decimal(units, scale(asset))} {commodity(asset)}"


def string(text: str) -> str:
    """A Beancount string (ExportRefused: Beancount's text ends at a NUL)."""
    if "\x00" in text:
        raise ExportRefused(f"Beancount cannot carry the NUL character in {text[:40]!r}.")
    return '"' + "".join(_ESCAPES.get(character, character) for character in text) + '"'
