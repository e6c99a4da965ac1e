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
from typing import Literal, NamedTuple

from projections.audit.table_files import TableTrouble


class Fact(NamedTuple):
    """What a file says. `seq` is a leg's; debits are positive; amounts are decimals as written.

    An opening moves the balance that it states, an assertion does not: one is not taken for the other.
    `root` is what a journal takes the account for, in the words of hledger; empty: the file does not say.
    """

    what: Literal["leg", "opening", "balance"]
    seq: int
    day: str
    root: str
    account: str
    amount: str
    asset: str  # its code


Names = dict[str, str]

_HLEDGER_HEAD = re.compile(r"(\d{4}-\d\d-\d\d) \* \((open|assert|\d+)\)( [^;|,]*)?")
_HLEDGER_LINE = re.compile(r"    ([^ ;]+)  (-?[\d.]+) (\S+)(?: = (-?[\d.]+) (\S+))?")
# Behind a posting a comment could give it a date of its own, so it stands before the postings.
_HLEDGER_NOTE = re.compile(r"    ; (type: [a-z_]+, effective_at: [0-9T:.Z-]+|reference: [^;|,]*)")
_HLEDGER_COMMODITY = re.compile(r'commodity 1000\.(0*) "?([^\s"]+)"?  ; asset: (\S+)/(\d+)')
_HLEDGER_OTHER = re.compile(
    r"|;.*|account [^ ;]+|account (assets  ; type: A|liabilities  ; type: L|equity  ; type: E"
    r"|income  ; type: R|expenses  ; type: X)"
)


def hledger(path: Path) -> Iterator[Fact]:
    """The facts of a journal for hledger (TableTrouble)."""
    day, code, begun = "", "", False
    for number, line in _lines(path):
        head = _HLEDGER_HEAD.fullmatch(line)
        leg = _HLEDGER_LINE.fullmatch(line)
        if head is not None:
            day, code, begun = head[1], head[2], False
        elif leg is not None and code:
            begun = True
            root, _, account = leg[1].partition(":")
            amount, asset = (leg[4], leg[5]) if code == "assert" else (leg[2], leg[3])
            if (code == "assert") is (leg[4] is None) or (code == "assert" and leg[2].strip("0.")):
                raise TableTrouble(f"line {number} is neither a leg nor an assertion")
            place = (day, root, account, amount, asset.strip('"'))
            if code == "open":
                yield Fact("opening", 0, *place)
            elif code == "assert":
                yield Fact("balance", 0, *place)
            else:
                yield Fact("leg", int(code), *place)
        elif _HLEDGER_NOTE.fullmatch(line) is not None and code and not begun:
            continue
        elif (found := _HLEDGER_COMMODITY.fullmatch(line)) is not None:
            if (len(found[1]), found[2]) != (int(found[4]), found[3]):
                raise TableTrouble(f"line {number} shows amounts otherwise than the asset has them")
            code = ""
        elif _HLEDGER_OTHER.fullmatch(line) is not None:
            code = ""
        else:
            raise TableTrouble(f"line {number} is none of an export")


# A string that ends where it seems to: Beancount reads one that does not on into the next lines.
_STRING = r'"(?:[^"\\]|\\.)*"'
_BEAN_HEAD = re.compile(rf"(\d{{4}}-\d\d-\d\d) \* {_STRING}")
_BEAN_NAMED = re.compile(r"\d{4}-\d\d-\d\d (commodity|open) (\S+)")
_BEAN_NAME = re.compile(r'  (asset|address): "([^\s"\\]+)"')
_BEAN_SEQ = re.compile(r"  seq: (\d+)")
_BEAN_LINE = re.compile(r"  (\S+)  (-?[\d.]+) (\S+)")
_BEAN_BALANCE = re.compile(r"(\d{4}-\d\d-\d\d) balance (\S+)  (-?[\d.]+) ~ 0 (\S+)")
_BEAN_OTHER = re.compile(rf"|;;.*|option \"title\" {_STRING}|  (type|effective-at|reference): {_STRING}")
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
    meant: set[str] = set()
    named, seq, day = "", 0, ""
    for number, line in _lines(path):
        if (found := _BEAN_BALANCE.fullmatch(line)) is not None:
            asserted = (date.fromisoformat(found[1]) - timedelta(days=1)).isoformat()
            place = _bean_place(number, names, asserted, found[2], found[3], found[4])
            yield Fact("balance", 0, *place)
        elif (found := _BEAN_NAMED.fullmatch(line)) is not None:
            named = found[2]
        elif named and (found := _BEAN_NAME.fullmatch(line)) is not None:
            if named in names or found[2] in meant:
                raise TableTrouble(f"line {number} gives a name a second meaning, or a meaning a second name")
            stands_for = found[2] if found[1] == "address" else found[2].rpartition("/")[0]
            if stands_for != (_bean_address(named) if ":" in named else _bean_code(named)):
                raise TableTrouble(f"line {number} gives {named} another meaning than it spells")
            meant.add(found[2])
            names[named], named = found[2], ""
        elif (found := _BEAN_HEAD.fullmatch(line)) is not None:
            seq, day = 0, found[1]
        elif day and not seq and (found := _BEAN_SEQ.fullmatch(line)) is not None:
            seq = int(found[1])
        elif day and (found := _BEAN_LINE.fullmatch(line)) is not None:
            place = _bean_place(number, names, day, found[1], found[2], found[3])
            yield Fact("leg" if seq else "opening", seq, *place)
        elif _BEAN_OTHER.fullmatch(line) is None:
            raise TableTrouble(f"line {number} is none of an export")


def _bean_place(
    number: int, names: Names, day: str, account: str, amount: str, commodity: str
) -> tuple[str, str, str, str, str]:
    """What a fact says from its day on."""
    if account not in names or commodity not in names:
        raise TableTrouble(f"line {number} uses a name that is not declared")
    memo = account.startswith(f"{_BEAN_MEMO}:")
    root = "memo" if memo else _BEAN_ROOTS[account.partition(":")[0]]
    code, _, scale = names[commodity].rpartition("/")
    if len(amount.partition(".")[2]) != int(scale):
        raise TableTrouble(f"line {number} has an amount of another scale than {names[commodity]}")
    return day, root, names[account], amount, code


_BEAN_ESCAPES = {"--": "-", "-5F": "_", "-2E": "."}


def _bean_address(name: str) -> str:
    """The address that an account's name spells."""
    memo = name.startswith(f"{_BEAN_MEMO}:")
    *above, last = name.removeprefix(f"{_BEAN_MEMO}:" if memo else name.partition(":")[0] + ":").split(":")
    return ":".join(map(_bean_segment, [*(part.removesuffix("-") for part in above), last]))


def _bean_segment(part: str) -> str:
    part = part[4:] if part.startswith("0-00") else part[:1].lower() + part[1:]
    return re.sub("--|-5F|-2E", lambda found: _BEAN_ESCAPES[found[0]], part)


def _bean_code(name: str) -> str:
    """The code that a commodity's name spells."""
    runs = name.removeprefix("X''").removesuffix("''0").split("'")
    small = name.startswith("X''")
    return "".join(run.lower() if place % 2 != small else run for place, run in enumerate(runs))


def gl_detail(path: Path) -> Iterator[Fact]:
    """The legs of GL_Detail (TableTrouble)."""
    for row in _rows(path):
        sign = {"D": "", "C": "-"}[row["Amount_Credit_Debit_Indicator"]]
        amount = sign + row["Amount"]
        account = row["GL_Account_Number"]
        seq = int(row["Journal_ID"])
        yield Fact("leg", seq, row["Effective_Date"], "", account, amount, row["Amount_Currency"])


def trial_balance(path: Path) -> Iterator[Fact]:
    """The balances of Trial_Balance: `amount` is beginning and ending (TableTrouble)."""
    for row in _rows(path):
        amounts = f"{row['Amount_Beginning']} {row['Amount_Ending']}"
        account = row["GL_Account_Number"]
        yield Fact("balance", 0, row["Balance_As_Of_Date"], "", account, amounts, row["Amount_Currency"])


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
                text = line.removesuffix(b"\n").decode("utf-8")
            except UnicodeDecodeError as error:
                raise TableTrouble(f"line {number} is not UTF-8") from error
            if "\0" in text or "\r" in text:
                raise TableTrouble(f"line {number} ends earlier for some readers than for others")
            yield number, text


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                yield {name: cell.removeprefix("'") for name, cell in row.items()}
    except (csv.Error, UnicodeDecodeError, AttributeError) as error:
        raise TableTrouble(str(error)) from error
