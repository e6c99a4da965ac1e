"""A journal for hledger: text that `hledger check --strict` accepts, its balance assertions included."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache
from urllib.parse import quote

from projections.exports.folder import Folder
from projections.exports.journals import Days, Posted, decimal, scale
from projections.exports.source import AccountRow, Entry, Nature, PeriodBalance, Pin

PATH = "hledger/ledger.journal"

ROOTS = {
    "asset": "assets",
    "liability": "liabilities",
    "equity": "equity",
    "income": "income",
    "expense": "expenses",
}
MEMO = "memo"
# Of what hledger calls the types of its account declarations, those of ROOTS; memo accounts have none.
_TYPES = {"assets": "A", "liabilities": "L", "equity": "E", "income": "R", "expenses": "X"}

# What ends or splits hledger's descriptions and tags, what it strips, and the sign of the encoding itself.
_special = re.compile("[%;|,\x00-\x1f\x7f-\x9f\u2028\u2029]|^\\s+|\\s+\\Z")

_HEAD = """\
; The ledger {name} ({public_id}), incarnation {incarnation}, events 1 to {seq}.
; Effective dates {first} to {last}, in the time zone {zone}.
;
; Posted legs only: holds move no balance of the books and are not here. Not carried either: metadata and
; idempotency keys. events.jsonl has everything.
; An account is the ledger's address under the root of its type, memo accounts under `{memo}`.
; Descriptions and references are percent-encoded where hledger would take a character for its own.

"""


class HledgerJournal:
    """Writes PATH, in the order of `Journal`'s methods."""

    def __init__(self, folder: Folder, pin: Pin, days: Days, assets: Iterable[str]) -> None:
        self._file = folder.create(PATH)
        self._days = days
        self._rows = 0
        self._opened = False
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
        lines = [f"commodity {_sample(asset)} {commodity(asset)}  ; asset: {asset}" for asset in assets]
        lines += [f"account {root}  ; type: {letter}" for root, letter in _TYPES.items()]
        lines.append(f"account {MEMO}")
        self._write(head, *lines)

    def account(self, account: AccountRow) -> None:
        """Declare it."""
        self._write(f"account {name(account.address, account.nature)}")

    def opening(self, balances: list[PeriodBalance]) -> None:
        """One transaction, the day before the range, however many pages it has."""
        lines = [
            f"    {name(b.account, b.nature)}  {amount(b.closing, b.asset)}" for b in balances if b.closing
        ]
        if lines and not self._opened:
            self._write(f"\n{self._days.before} * (open) opening balances")
            self._opened = True
        self._write(*lines)

    def transaction(self, entry: Entry, posted: Posted, natures: dict[str, Nature]) -> None:
        """A transaction, its seq as code."""
        event = entry.event
        lines = [
            f"\n{entry.day} * ({entry.seq}) {encoded(event.description)}",
            f"    ; type: {event.type}, effective_at: {event.effective_at}",
        ]
        if event.reference:
            lines.append(f"    ; reference: {encoded(event.reference)}")
        for _, leg in posted:
            units = int(leg.amount) if leg.side == "debit" else -int(leg.amount)
            lines.append(f"    {name(leg.account, natures[leg.account])}  {amount(units, leg.asset)}")
        self._write(*lines)
        self._rows += 1

    def period(self, end: date, balances: list[PeriodBalance]) -> None:
        """A transaction of zeros that assert."""
        if balances:
            lines = [f"\n{end} * (assert) balances at the end of the day"]
            for b in balances:
                zero, balance = amount(0, b.asset), amount(b.closing, b.asset)
                lines.append(f"    {name(b.account, b.nature)}  {zero} = {balance}")
            self._write(*lines)

    def finish(self) -> None:
        """Nothing is held back."""
        self._file.rows = self._rows

    def _write(self, *lines: str) -> None:
        self._file.write("".join(f"{line}\n" for line in lines).encode())


@lru_cache(maxsize=50_000)
def name(address: str, nature: Nature) -> str:
    """The account's name; without its first part it is the address."""
    return f"{MEMO if nature.memo else ROOTS[nature.type]}:{address}"


@lru_cache(maxsize=1024)
def commodity(asset: str) -> str:
    """The asset's code, in quotes where hledger wants them."""
    code = asset.rsplit("/", 1)[0]
    return code if code.isalpha() else f'"{code}"'


def amount(units: int, asset: str) -> str:
    """Minor units as hledger writes an amount."""
    return f"{decimal(units, scale(asset))} {commodity(asset)}"


def _sample(asset: str) -> str:
    places = scale(asset)
    return f"1000.{'0' * places}"


def encoded(text: str) -> str:
    """The text on one line, percent-encoded where needed; unquoting gives it back."""
    return _special.sub(lambda found: quote(found[0], safe=""), text)
