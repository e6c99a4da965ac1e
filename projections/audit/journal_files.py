"""Reading the accounting files of an export (hledger, Beancount, Audit Data Standards), strictly.

Each becomes the same facts: a posted leg of an event on a day, and the balance of an account on a day. A line
that docs/audit-export.md does not know is trouble: an `include` or a rule could bring in what is not the
ledger's.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from projections.audit.table_files import TableTrouble


class Fact(NamedTuple):
    """What a file says. `seq` 0: a balance, not a leg. Debits are positive; amounts are decimals as written.

    `root` is what a journal takes the account for, in the words of hledger; empty: the file does not say.
    """

    seq: int
    day: str
    root: str
    account: str
    amount: str
    asset: str  # its code


Names = dict[str, str]

_HLEDGER_HEAD = re.compile(r"(\d{4}-\d\d-\d\d) \* \((open|assert|\d+)\)( .*)?")
_HLEDGER_LINE = re.compile(r"    ([^ ;]+)  (-?[\d.]+) (\S+)(?: = (-?[\d.]+) (\S+))?")
_HLEDGER_OTHER = re.compile(
    r"|;.*|    ;.*|commodity 1000\.0* \S+  ; asset: \S+|account [^ ]+(  ; type: [ALERX])?"
)


def hledger(path: Path) -> Iterator[Fact]:
    """The facts of a journal for hledger (TableTrouble)."""
    seq, day, what = 0, "", ""
    for number, line in _lines(path):
        head = _HLEDGER_HEAD.fullmatch(line)
        leg = _HLEDGER_LINE.fullmatch(line)
        if head is not None:
            day, what = head[1], head[2]
            seq = int(what) if what.isdecimal() else 0
        elif leg is not None and what:
            root, _, account = leg[1].partition(":")
            amount, code = (leg[4], leg[5]) if what == "assert" else (leg[2], leg[3])
            if (what == "assert") is (leg[4] is None) or (what == "assert" and leg[2].strip("0.")):
                raise TableTrouble(f"line {number} is neither a leg nor an assertion")
            yield Fact(seq, day, root, account, amount, code.strip('"'))
        elif _HLEDGER_OTHER.fullmatch(line) is None:
            raise TableTrouble(f"line {number} is none of an export")


_BEAN_HEAD = re.compile(r'(\d{4}-\d\d-\d\d) \* "(.*)"')
_BEAN_NAMED = re.compile(r"\d{4}-\d\d-\d\d (commodity|open) (\S+)")
_BEAN_NAME = re.compile(r'  (?:asset|address): "(\S+)"')
_BEAN_SEQ = re.compile(r"  seq: (\d+)")
_BEAN_LINE = re.compile(r"  (\S+)  (-?[\d.]+) (\S+)")
_BEAN_BALANCE = re.compile(r"(\d{4}-\d\d-\d\d) balance (\S+)  (-?[\d.]+) ~ 0 (\S+)")
_BEAN_OTHER = re.compile(r'|;;.*|option "title" "[^"]*"|  (type|effective-at|reference): "(.*)"')
_BEAN_MEMO = "Equity:Off-Balance"
_BEAN_ROOTS = {
    "Assets": "assets",
    "Liabilities": "liabilities",
    "Equity": "equity",
    "Income": "income",
    "Expenses": "expenses",
}


def beancount(path: Path) -> Iterator[Fact]:
    """The facts of a journal for Beancount (TableTrouble). The file itself says what its names stand for."""
    names: Names = {}
    named, seq, day = "", 0, ""
    for number, line in _lines(path):
        if (found := _BEAN_BALANCE.fullmatch(line)) is not None:
            asserted = (date.fromisoformat(found[1]) - timedelta(days=1)).isoformat()
            yield _bean_fact(number, names, 0, asserted, found[2], found[3], found[4])
        elif (found := _BEAN_NAMED.fullmatch(line)) is not None:
            named = found[2]
        elif named and (found := _BEAN_NAME.fullmatch(line)) is not None:
            names[named], named = found[1], ""
        elif (found := _BEAN_HEAD.fullmatch(line)) is not None:
            seq, day = 0, found[1]
        elif (found := _BEAN_SEQ.fullmatch(line)) is not None:
            seq = int(found[1])
        elif day and (found := _BEAN_LINE.fullmatch(line)) is not None:
            yield _bean_fact(number, names, seq, day, found[1], found[2], found[3])
        elif _BEAN_OTHER.fullmatch(line) is None:
            raise TableTrouble(f"line {number} is none of an export")


def _bean_fact(
    number: int, names: Names, seq: int, day: str, account: str, amount: str, commodity: str
) -> Fact:
    if account not in names or commodity not in names:
        raise TableTrouble(f"line {number} uses a name that is not declared")
    memo = account.startswith(f"{_BEAN_MEMO}:")
    root = "memo" if memo else _BEAN_ROOTS.get(account.partition(":")[0], "")
    return Fact(seq, day, root, names[account], amount, names[commodity].rsplit("/", 1)[0])


def gl_detail(path: Path) -> Iterator[Fact]:
    """The legs of GL_Detail (TableTrouble)."""
    for row in _rows(path):
        sign = {"D": "", "C": "-"}[row["Amount_Credit_Debit_Indicator"]]
        amount = sign + row["Amount"]
        account = row["GL_Account_Number"]
        yield Fact(int(row["Journal_ID"]), row["Effective_Date"], "", account, amount, row["Amount_Currency"])


def trial_balance(path: Path) -> Iterator[Fact]:
    """The balances of Trial_Balance: `amount` is beginning and ending (TableTrouble)."""
    for row in _rows(path):
        amounts = f"{row['Amount_Beginning']} {row['Amount_Ending']}"
        account = row["GL_Account_Number"]
        yield Fact(0, row["Balance_As_Of_Date"], "", account, amounts, row["Amount_Currency"])


READERS: dict[str, Callable[[Path], Iterator[Fact]]] = {
    "hledger/ledger.journal": hledger,
    "beancount/ledger.beancount": beancount,
    "ads/GL_Detail": gl_detail,
    "ads/Trial_Balance": trial_balance,
}


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield number, line.removesuffix(b"\n").decode("utf-8")
            except UnicodeDecodeError as error:
                raise TableTrouble(f"line {number} is not UTF-8") from error


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                yield {name: cell.removeprefix("'") for name, cell in row.items()}
    except (csv.Error, UnicodeDecodeError, AttributeError) as error:
        raise TableTrouble(str(error)) from error
