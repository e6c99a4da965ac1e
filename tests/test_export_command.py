"""`daybook audit export` as a person runs it."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from ledger.notes import open_tree_head, verifier_key
from tests.bookkeeping import deposit, do, open_ledger, writing
from tests.conftest import NewDatabase
from tests.daybook_command import COMMAND, ROOT, environment, fails, succeeds


@pytest.fixture(scope="module")
def shop(new_database: NewDatabase) -> Iterator[str]:
    """A database with the ledger `main`: its opening and two deposits."""
    with new_database() as conninfo:
        with writing(conninfo) as writer:
            open_ledger(writer)
            for amount in (5_000, 250):
                do(writer, deposit(1, amount))
        yield conninfo


def test_an_export_of_everything(shop: str, tmp_path: Path) -> None:
    """It says what it wrote and how fast; the manifest has the hash that was printed; the head is signed."""
    target, keys = tmp_path / "audit", tmp_path / "keys"
    said = succeeds(shop, "audit", "export", "--ledger", "main", target, DAYBOOK_KEYS=str(keys))
    assert re.match(
        rf"Exported main, events 1 to 3, to {re.escape(str(target))} in \d+\.\d s, [\d,]+ events/s: "
        "jsonl, csv, parquet, tlog, hledger, beancount, ads.\n",
        said,
    )
    manifest = (target / "manifest.json").read_bytes()
    assert said.splitlines()[-1] == f"SHA-256 of its manifest.json: {sha256(manifest).hexdigest()}"
    key = verifier_key((target / "tlog" / "verifier-key").read_text().strip())
    head = open_tree_head((target / "tlog" / "checkpoint").read_bytes(), [key])
    assert head.size == json.loads(manifest)["seq"] == 3
    again = fails(shop, "audit", "export", "--ledger", "main", target, DAYBOOK_KEYS=str(keys))
    assert again == f"Error: {target} exists and is not an empty folder.\n"


def test_formats_and_range_are_chosen(shop: str, tmp_path: Path) -> None:
    """`--format` may be repeated; without an accounting format there is no range."""
    target = tmp_path / "audit"
    options = ("--format", "csv", "--format", "jsonl", target, "--ledger", "main")
    said = succeeds(shop, "audit", "export", *options, DAYBOOK_KEYS=str(tmp_path / "keys"))
    assert said.splitlines()[0].endswith(" events/s: jsonl, csv.")
    assert "range" not in json.loads((target / "manifest.json").read_bytes())
    assert sorted(p.name for p in target.iterdir()) == [
        "balances.jsonl",
        "csv",
        "dictionary.json",
        "events.jsonl",
        "manifest.json",
        "tlog",
    ]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--ledger", "none"), 1, "Error: There is no ledger none: `daybook open` opens one.\n"),
        (("--ledger", "main", "--from", "2026-02-30"), 2, "'2026-02-30' is not a date such as 2026-01-31."),
        (("--ledger", "main", "--to", "9999-12-31"), 1, "Error: 9999-12-31 is in the future of UTC.\n"),
        (("--ledger", "main", "--format", "xlsx"), 2, "'xlsx' is not one of"),
        ((), 2, "Missing option '--ledger'"),
    ],
)
def test_what_cannot_be_exported_is_said(
    shop: str, tmp_path: Path, options: tuple[str, ...], code: int, sentence: str
) -> None:
    """A sentence, and no folder."""
    keys = str(tmp_path / "keys")
    assert sentence in fails(
        shop, "audit", "export", *options, tmp_path / "audit", code=code, DAYBOOK_KEYS=keys
    )
    assert not (tmp_path / "audit").exists()
    assert not (tmp_path / "audit.partial").exists()


def test_what_cannot_be_written_is_said(shop: str, tmp_path: Path) -> None:
    """No folder where it should be, or no room for a file: a sentence, and nothing is left."""
    (tmp_path / "file").write_text("")
    keys = str(tmp_path / "keys")
    said = fails(shop, "audit", "export", "--ledger", "main", tmp_path / "file" / "x", DAYBOOK_KEYS=keys)
    assert "cannot be made: Not a directory." in said

    # No file may be longer than 1 KiB, which the key and the tree head are not.
    command = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", *COMMAND]
    target = tmp_path / "audit"
    done = subprocess.run(
        [*command, "audit", "export", "--ledger", "main", target],
        cwd=ROOT,
        env=environment(shop, DAYBOOK_KEYS=keys),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, f"Error: {target} cannot be written: File too large.\n")
    assert not target.exists()
    assert not target.with_name("audit.partial").exists()
