"""What a forger does to the folder of an export, each in a sentence, and which verdicts fail at which event.

A careless forger alters a file; a careful one brings the manifest up to date; the best one makes every hash
anew and signs with a key of his own. Each is tried.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from ledger.merkle import Frontier
from ledger.notes import SigningKey, TreeHead, new_key
from tests.tampering import Body, canonical
from tests.tamperings import SIZE


def lines(folder: Path) -> list[bytes]:
    """The bodies of an export."""
    return (folder / "events.jsonl").read_bytes().splitlines()


def tree_head(folder: Path, size: int | None = None) -> TreeHead:
    """The tree head of the first events of an export, as they are now."""
    bodies = lines(folder)[:size]
    tree = Frontier()
    for body in bodies:
        tree.add(sha256(b"\x00" + body).digest())
    return TreeHead(json.loads(bodies[0])["ledger"], 1, len(bodies), tree.root())


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def relist(folder: Path) -> None:
    """Bring the manifest's list up to date with the files that are there."""

    def change(manifest: dict[str, Any]) -> None:
        rows = {entry["path"]: entry.get("rows") for entry in manifest["files"]}
        manifest["files"] = []
        for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json"):
            name, content = path.relative_to(folder).as_posix(), path.read_bytes()
            entry = {"path": name, "bytes": len(content), "sha256": sha256(content).hexdigest()}
            manifest["files"].append(entry | ({"rows": rows[name]} if rows.get(name) is not None else {}))

    edit_manifest(folder, change)


def write_lines(folder: Path, bodies: list[bytes]) -> None:
    """Write events.jsonl anew."""
    (folder / "events.jsonl").write_bytes(b"".join(body + b"\n" for body in bodies))


def rewrite(seq: int, change: Callable[[Body], object]) -> Callable[[Path], None]:
    """Change a body in its canonical form."""

    def forge(folder: Path) -> None:
        bodies = lines(folder)
        event = json.loads(bodies[seq - 1])
        change(event)
        bodies[seq - 1] = canonical(event)
        write_lines(folder, bodies)

    return forge


def sign(folder: Path, key: SigningKey, *, with_key: bool = True) -> None:
    """Sign the tree head of what is there now, and say so in the manifest."""
    head = tree_head(folder)
    (folder / "tlog" / "checkpoint").write_text(key.sign(head.text), encoding="utf-8")
    if with_key:
        (folder / "tlog" / "verifier-key").write_text(f"{key.verifier}\n", encoding="utf-8")
    edit_manifest(
        folder,
        lambda m: m.update(
            seq=head.size, tree_head={"origin": head.origin, "size": head.size, "root": head.root.hex()}
        ),
    )


def events_only(folder: Path) -> None:
    """Leave only what every export has, so that nothing else tells of the forgery."""
    for name in ("csv", "parquet", "hledger", "beancount", "ads", "tlog/tile"):
        shutil.rmtree(folder / name)
    (folder / "dictionary.json").unlink()
    edit_manifest(folder, lambda m: (m.update(formats=["jsonl"]), m.pop("range"), m.pop("range_totals")))


def then(*steps: Callable[[Path], object]) -> Callable[[Path], None]:
    """One after another."""

    def forge(folder: Path) -> None:
        for step in steps:
            step(folder)

    return forge


def edit_row(path: str, row: int, column: str, value: str) -> Callable[[Path], None]:
    """Change a cell of a CSV file."""

    def forge(folder: Path) -> None:
        with (folder / path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        rows[row][rows[0].index(column)] = value
        text = StringIO(newline="")
        csv.writer(text).writerows(rows)
        (folder / path).write_bytes(text.getvalue().encode())

    return forge


def edit_matching(prefix: str, key: str, wanted: str, column: str, value: str) -> Callable[[Path], None]:
    """Change a cell of the first row of a CSV file that has a value."""

    def forge(folder: Path) -> None:
        [path] = folder.glob(f"{prefix}*")
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        place = rows[0].index(key)
        row = next(number for number, row in enumerate(rows) if row[place] == wanted)
        edit_row(path.relative_to(folder).as_posix(), row, column, value)(folder)

    return forge


def drop_row(path: str, row: int) -> Callable[[Path], None]:
    """Take a row away."""

    def forge(folder: Path) -> None:
        rows = (folder / path).read_bytes().splitlines(keepends=True)
        (folder / path).write_bytes(b"".join(rows[:row] + rows[row + 1 :]))

    return forge


def replace(path: str, old: str, new: str) -> Callable[[Path], None]:
    """Change a text once."""

    def forge(folder: Path) -> None:
        text = (folder / path).read_text(encoding="utf-8")
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")

    return forge


def flip(path: str, at: int) -> Callable[[Path], None]:
    """Change one bit of a file."""

    def forge(folder: Path) -> None:
        content = bytearray((folder / path).read_bytes())
        content[at] ^= 1
        (folder / path).write_bytes(bytes(content))

    return forge


def swap_lines(folder: Path) -> None:
    """Events 27 and 28 change places."""
    bodies = lines(folder)
    bodies[26], bodies[27] = bodies[27], bodies[26]
    write_lines(folder, bodies)


def drop_lines(first: int, last: int) -> Callable[[Path], None]:
    """Take events away."""
    return lambda folder: write_lines(folder, lines(folder)[: first - 1] + lines(folder)[last:])


def add_line(change: Callable[[Body], object]) -> Callable[[Path], None]:
    """One event more, like event 28 but changed."""

    def forge(folder: Path) -> None:
        bodies = lines(folder)
        event = json.loads(bodies[27])
        event |= {"seq": len(bodies) + 1, "recorded_at": json.loads(bodies[-1])["recorded_at"]}
        change(event)
        write_lines(folder, [*bodies, canonical(event)])

    return forge


def move_out(path: str) -> Callable[[Path], None]:
    """Put a file elsewhere and leave a link to it."""

    def forge(folder: Path) -> None:
        outside = folder.parent / "outside"
        shutil.move(folder / path, outside)
        (folder / path).symlink_to(outside)

    return forge


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
