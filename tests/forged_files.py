"""What a forger writes into files of an export, hoping that this reader takes it otherwise than others do.

A journal that hledger or Beancount would read as something else than the facts that are compared; files of a
form that no reader of ours expects. Each must end in a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow
import pyarrow.parquet

from tests.forgeries import MINE, Forgery
from tests.forging import edit_manifest, edit_text, lines, move_out, relist, replace_line, rewrite, then
from tests.tampering import nested

HLEDGER = "hledger/ledger.journal"
BEANCOUNT = "beancount/ledger.beancount"


def edit(path: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change a text in any way."""

    def forge(folder: Path) -> None:
        text = (folder / path).read_bytes().decode()
        assert change(text) != text
        (folder / path).write_bytes(change(text).encode())

    return forge


def _assertions_opened(text: str) -> str:
    """The assertions of hledger's last day as opening balances, which move what they only stated."""
    before, _, block = text.rpartition(" * (assert)")
    return before + " * (open)" + re.sub(r"  \S+ \S+ = ", "  ", block)


def _balances_opened(text: str) -> str:
    """The assertions of Beancount's last day as a transaction of no event, so that they move."""
    found = re.findall(r"(?m)^(\S+) balance (\S+)  (\S+) ~ 0 (\S+)$", text)
    day = found[-1][0]
    kept = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{day} balance"))
    legs = "".join(f"  {name}  {amount} {code}\n" for at, name, amount, code in found if at == day)
    return f'{kept}\n{date.fromisoformat(day) - timedelta(days=1)} * "opening balances"\n{legs}'


def _second_name(text: str) -> str:
    """Cash has two names, and one leg goes to the second."""
    opened = '  address: "cash"\n'
    text = text.replace(opened, f"{opened}2026-01-01 open Assets:Cash2\n{opened}")
    return text.replace("\n  Assets:Cash  ", "\n  Assets:Cash2  ", 1)


def _swapped(text: str, pattern: str, one: str, other: str) -> str:
    """One text for the other wherever the pattern has it, and the other way round."""
    return re.sub(pattern, lambda found: found[0].replace(found[1], other if found[1] == one else one), text)


def _ten_entries(folder: Path) -> None:
    size = sum(2 + len(line) for line in lines(folder)[:10])
    path = folder / "tlog/tile/entries/000.p/39"
    path.write_bytes(path.read_bytes()[:size])


def _floats(folder: Path) -> None:
    path = folder / "parquet/postings.parquet"
    table = pyarrow.parquet.read_table(path)
    place = table.schema.get_field_index("amount")
    column = table.column("amount").cast(pyarrow.float64())
    pyarrow.parquet.write_table(table.set_column(place, "amount", column), path)


def _journal(what: str, path: str, change: Callable[[str], str]) -> Forgery:
    """Nothing but the journal tells, and its rows are not of one event."""
    return Forgery(what, then(edit(path, change), relist), {"projections": None})


FILE_FORGERIES = (
    _journal("hledger's assertions become opening balances", HLEDGER, _assertions_opened),
    _journal("Beancount's assertions become opening balances", BEANCOUNT, _balances_opened),
    _journal(
        "a comment gives a posting of hledger's another date",
        HLEDGER,
        lambda text: text.replace(" USD\n", " USD\n    ; date:2020-01-01\n", 2),
    ),
    _journal(
        "a comment behind a posting of hledger's gives it another date",
        HLEDGER,
        lambda text: text.replace("cash  10.00 USD\n", "cash  10.00 USD  ; date:2020-01-01\n"),
    ),
    _journal(
        "a description of hledger's ends in a comment",
        HLEDGER,
        lambda text: text.replace("* (2) ", "* (2) ;date:2020-01-01"),
    ),
    _journal(
        "an account of hledger's has the type of another",
        HLEDGER,
        lambda text: text.replace("account assets:cash\n", "account assets:cash  ; type: L\n"),
    ),
    _journal(
        "a note on an account of hledger's looks like that of a transaction",
        HLEDGER,
        lambda text: text.replace(
            "account assets:cash\n",
            "2026-01-01 * (5)\naccount assets:cash\n    ; type: liability, effective_at: 1\n",
        ),
    ),
    _journal(
        "a root of hledger's has the type of another",
        HLEDGER,
        lambda text: text.replace("account assets  ; type: A", "account assets  ; type: E"),
    ),
    _journal(
        "hledger shows an asset without its decimals",
        HLEDGER,
        lambda text: text.replace("commodity 1000.00 EUR", "commodity 1000. EUR"),
    ),
    _journal(
        "a string of Beancount's goes on over the next lines",
        BEANCOUNT,
        lambda text: text.replace('* ""', '* "" "', 1),
    ),
    _journal(
        "a string of Beancount's escapes its end",
        BEANCOUNT,
        lambda text: text.replace('reference: "order-1"', 'reference: "order-1\\"'),
    ),
    _journal("an account of Beancount's has two names", BEANCOUNT, _second_name),
    _journal(
        "two accounts of Beancount's change names",
        BEANCOUNT,
        lambda text: _swapped(text, r"Customers-:([12])\b", "1", "2"),
    ),
    _journal(
        "two assets of Beancount's change names",
        BEANCOUNT,
        lambda text: _swapped(text, r"(?:commodity|\d) (EUR|USD)\b", "EUR", "USD"),
    ),
    _journal(
        "an asset of Beancount's is said to have another scale",
        BEANCOUNT,
        lambda text: text.replace('"EUR/2"', '"EUR/3"'),
    ),
    _journal(
        "a transaction of Beancount's is of two events",
        BEANCOUNT,
        lambda text: re.sub(r'  reference: "order-1"', "  seq: 3", text),
    ),
    _journal(
        "Beancount stops reading in the middle",
        BEANCOUNT,
        lambda text: text.replace('* ""', '* "\0"', 1),
    ),
    _journal(
        "hledger's journal has another kind of line end",
        HLEDGER,
        lambda text: text.replace("; The ledger", ";\rThe ledger"),
    ),
    Forgery(
        "a body is nested deeper than can be read",
        then(replace_line(29, lambda body: nested(body, 20_000)), relist),
        {"integrity": 29, "completeness": 21},
    ),
    Forgery(
        "a body is longer than any can be",
        then(rewrite(29, lambda e: e.update(description="long" * 20_000)), relist),
        {"integrity": 29, "completeness": 21},
    ),
    Forgery(
        "an amount has thousands of digits",
        then(rewrite(29, lambda e: e["postings"][0].update(amount="9" * 5000)), relist),
        {"integrity": 29, "completeness": 21, "accounting": 29, "projections": 29},
    ),
    Forgery(
        "the manifest is nested deeper than can be read",
        edit_text("manifest.json", '"totals": {', '"totals": {"x": ' + "[" * 20_000 + "]" * 20_000 + ","),
        {"integrity": None},
    ),
    *(
        Forgery(
            f"the manifest's range is from {first} to {last}",
            lambda folder, first=first, last=last: edit_manifest(  # type: ignore[misc]
                folder, lambda m: m.update(range={"from": first, "to": last})
            ),
            {"projections": None},
        )
        for first, last in (
            ("2026-01-01", "9999-12-31"),
            ("0001-01-01", "9999-12-31"),
            ("2026-11-21", "2026-01-01"),
        )
    ),
    Forgery(
        "the manifest's time zone is a folder of time zones",
        lambda folder: edit_manifest(folder, lambda m: m["ledger"].update(time_zone="Europe")),
        {"projections": 1},
    ),
    Forgery(
        "the rows of a CSV file are a cell short",
        then(edit_text("csv/balances.csv", ",[0-9]+\r\n", "\r\n"), relist),
        {"projections": 19},
    ),
    Forgery(
        "a row of something else is added to the balances",
        then(edit_text("balances.jsonl", r"\Z", '{"x":"1"}\n'), relist),
        {"projections": None},
    ),
    Forgery(
        "an entry bundle ends behind its tenth entry",
        then(_ten_entries, relist),
        {"integrity": 11},
    ),
    *(
        Forgery(
            f"a tile of {what} is empty",
            then(lambda folder, what=what: (folder / f"tlog/tile/{what}/000.p/39").write_bytes(b""), relist),  # type: ignore[misc]
            {"integrity": None},
        )
        for what in ("entries", "0")
    ),
    Forgery(
        "amounts of a Parquet file are floats of the same value",
        then(_floats, relist),
        {"projections": 2},
    ),
    Forgery(
        "the public key is another, and the tree head is signed as it was",
        then(lambda folder: (folder / "tlog/verifier-key").write_text(f"{MINE.verifier}\n"), relist),
        {"integrity": None},
    ),
    Forgery("the manifest is a link to one outside", move_out("manifest.json"), {"integrity": None}),
    Forgery(
        "a Parquet file is cut",
        then(lambda folder: (folder / "parquet/balances.parquet").write_bytes(b"PAR1"), relist),
        {"projections": 19},
    ),
    _journal(
        "an assertion of Beancount's stands twice",
        BEANCOUNT,
        lambda text: re.sub(r"(.* balance Assets:Cash .*\n)", r"\1\1", text, count=1),
    ),
)
