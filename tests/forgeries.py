"""What a forger does to the folder of an export, each in a sentence, and which verdicts fail at which event.

A careless forger alters a file; a careful one brings the manifest up to date; the best one makes every hash
anew and signs with a key of his own. Each is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ledger.notes import new_key
from tests.forging import (
    add_line,
    drop_lines,
    drop_row,
    edit_manifest,
    edit_matching,
    edit_row,
    events_only,
    flip,
    lines,
    move_out,
    relist,
    replace,
    rewrite,
    sign,
    swap_lines,
    then,
    write_lines,
)
from tests.tamperings import SIZE

MINE = new_key("daybook-test")


class Forgery(NamedTuple):
    """What is done to the folder, and which verdicts fail at which seq, with heads and the right key."""

    what: str
    do: Callable[[Path], object]
    caught: dict[str, int | None]


def _signed_anew(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    """A forgery of events only, with every hash made anew and signed by a key of the forger's."""
    return then(events_only, *steps, lambda folder: sign(folder, MINE), relist)


FORGERIES = (
    Forgery(
        "a letter of a description is changed",
        then(rewrite(16, lambda e: e.update(description="Bee")), relist),
        {"integrity": 16, "completeness": 11, "projections": 16},
    ),
    Forgery(
        "a body is no longer JSON",
        lambda folder: write_lines(
            folder, [*lines(folder)[:15], b"x" + lines(folder)[15], *lines(folder)[16:]]
        ),
        {"integrity": 16, "completeness": 11},
    ),
    Forgery(
        "a description is rewritten, hashes and manifest with it, and signed by another key",
        _signed_anew(rewrite(16, lambda e: e.update(description="Gift"))),
        {"integrity": None, "completeness": 11},
    ),
    Forgery(
        "the tree head is signed by another key",
        then(lambda folder: sign(folder, MINE), relist),
        {"integrity": None},
    ),
    Forgery(
        "the tree head is signed by another key of the same name, and the public key stays",
        then(lambda folder: sign(folder, MINE, with_key=False), relist),
        {"integrity": None},
    ),
    Forgery("two events change places", then(swap_lines, relist), {"integrity": 27, "completeness": 21}),
    Forgery(
        "an event in the middle is removed",
        then(drop_lines(16, 16), relist),
        {"integrity": 16, "completeness": 11},
    ),
    Forgery(
        "the last events are removed, and the signed tree head stays",
        then(drop_lines(31, SIZE), relist),
        {"integrity": 31, "completeness": 31, "projections": 29},
    ),
    Forgery(
        "an event is added, and the signed tree head stays",
        then(add_line(lambda e: None), relist),
        {"integrity": SIZE + 1, "projections": SIZE + 1},
    ),
    Forgery(
        "an event is removed from the tail, balances and totals stay, signed by another key",
        _signed_anew(drop_lines(SIZE, SIZE)),
        {"integrity": None, "completeness": SIZE, "projections": 33},
    ),
    Forgery(
        "an event does not balance",
        then(rewrite(29, lambda e: e["postings"][0].update(amount="4")), relist),
        {"integrity": 29, "completeness": 21, "accounting": 29, "projections": 29},
    ),
    Forgery(
        "a key has a second effect",
        then(add_line(lambda e: e.update(key="deposit-3")), relist),
        {"integrity": SIZE + 1, "accounting": SIZE + 1, "projections": SIZE + 1},
    ),
    Forgery(
        "a reversal exceeds what it reverses",
        then(
            rewrite(
                17,
                lambda e: (
                    e["data"].update(amounts=["450", "450"]),
                    [p.update(amount="450") for p in e["postings"]],
                ),
            ),
            relist,
        ),
        {"integrity": 17, "completeness": 11, "accounting": 17, "projections": 17},
    ),
    Forgery(
        "an event is effective in a closed period",
        then(add_line(lambda e: e.update(effective_at="2021-06-01T00:00:00.000000Z")), relist),
        {"integrity": SIZE + 1, "accounting": SIZE + 1, "projections": SIZE + 1},
    ),
    Forgery("a tile is altered", then(flip("tlog/tile/0/000.p/39", 32 * 6), relist), {"integrity": 7}),
    Forgery(
        "an entry bundle is altered", then(flip("tlog/tile/entries/000.p/39", 100), relist), {"integrity": 1}
    ),
    Forgery(
        "a tile is taken away",
        then(lambda folder: (folder / "tlog/tile/0/000.p/39").unlink(), relist),
        {"integrity": None},
    ),
    Forgery(
        "a balance is altered",
        then(replace("balances.jsonl", '"credits_posted":"1011"', '"credits_posted":"1012"'), relist),
        {"projections": SIZE},
    ),
    Forgery(
        "a posting of the CSV file is altered",
        then(edit_row("csv/postings.csv", 3, "amount", "2001"), relist),
        {"projections": 3},
    ),
    Forgery(
        "a date of the CSV file is altered",
        then(edit_row("csv/events.csv", 16, "effective_date", "2026-01-01"), relist),
        {"projections": 16},
    ),
    Forgery(
        "an account of the CSV file is altered",
        then(edit_row("csv/accounts.csv", 3, "type", "asset"), relist),
        {"projections": 3},
    ),
    Forgery(
        "a row is taken from a CSV file",
        then(drop_row("csv/balances.csv", 4), relist),
        {"projections": 15},
    ),
    Forgery(
        "an amount of the hledger journal is altered",
        then(replace("hledger/ledger.journal", "fees  -4.00 USD", "fees  -5.00 USD"), relist),
        {"projections": 16},
    ),
    Forgery(
        "an assertion of the hledger journal is altered",
        then(replace("hledger/ledger.journal", "= -2.50 USD", "= -3.50 USD"), relist),
        {"projections": None},
    ),
    Forgery(
        "the hledger journal includes another",
        then(
            replace("hledger/ledger.journal", "account memo\n", "account memo\ninclude more.journal\n"),
            relist,
        ),
        {"projections": None},
    ),
    Forgery(
        "an account of the Beancount journal is another",
        then(replace("beancount/ledger.beancount", "Income:Fees  -4.00", "Assets:Cash  -4.00"), relist),
        {"projections": 16},
    ),
    Forgery(
        "a transaction is added to the Beancount journal",
        then(
            replace(
                "beancount/ledger.beancount",
                "\n\n2026",
                '\n\n2026-01-01 * "Mine"\n  Assets:Cash  1.00 USD\n  Income:Fees  -1.00 USD\n\n2026',
            ),
            relist,
        ),
        {"projections": None},
    ),
    Forgery(
        "a line of GL_Detail is on the other side",
        then(
            edit_matching("ads/GL_Detail", "Journal_ID", "16", "Amount_Credit_Debit_Indicator", "C"), relist
        ),
        {"projections": 16},
    ),
    Forgery(
        "a balance of the Trial_Balance is altered",
        then(
            edit_matching("ads/Trial_Balance", "GL_Account_Number", "fees", "Amount_Ending", "-3.50"), relist
        ),
        {"projections": None},
    ),
    Forgery("a file is altered, not the manifest", flip("hledger/ledger.journal", 90), {"integrity": None}),
    Forgery(
        "a file is taken away", lambda folder: (folder / "csv/postings.csv").unlink(), {"integrity": None}
    ),
    Forgery(
        "a file is added", lambda folder: (folder / "csv/more.csv").write_text("more"), {"integrity": None}
    ),
    Forgery(
        "a file is a link to one outside",
        move_out("csv/postings.csv"),
        {"integrity": None},
    ),
    Forgery(
        "the manifest's totals are altered",
        lambda folder: edit_manifest(
            folder, lambda m: m["totals"]["assets"]["USD/2"]["posted"].update(debits="1")
        ),
        {"projections": None},
    ),
    Forgery(
        "the manifest's totals of the range are altered",
        lambda folder: edit_manifest(folder, lambda m: m["range_totals"].update(transactions=1)),
        {"projections": None},
    ),
    Forgery(
        "the manifest's seq is altered",
        lambda folder: edit_manifest(folder, lambda m: m.update(seq=38)),
        {"projections": None},
    ),
    Forgery(
        "the manifest names another ledger",
        lambda folder: edit_manifest(folder, lambda m: m["ledger"].update(name="theirs")),
        {"projections": None},
    ),
    Forgery(
        "the manifest says another time of the last event",
        lambda folder: edit_manifest(folder, lambda m: m.update(recorded_at="2026-01-01T00:00:00.000000Z")),
        {"projections": None},
    ),
    Forgery(
        "the manifest leaves a format out",
        lambda folder: edit_manifest(folder, lambda m: m["formats"].remove("csv")),
        {"projections": None},
    ),
)
