"""The tools of a forger of exports: altering files, keeping the manifest up to date, signing anew."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any

from ledger.merkle import Frontier
from ledger.notes import SigningKey, TreeHead
from tests.tampering import Body, canonical


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


def replace_line(seq: int, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change a body in any way."""

    def forge(folder: Path) -> None:
        bodies = lines(folder)
        bodies[seq - 1] = change(bodies[seq - 1])
        write_lines(folder, bodies)

    return forge


def edit_text(path: str, pattern: str, to: str) -> Callable[[Path], None]:
    """Change every match in a text, of which there is one."""

    def forge(folder: Path) -> None:
        text, times = re.subn(pattern, to, (folder / path).read_bytes().decode(), flags=re.MULTILINE)
        assert times
        (folder / path).write_bytes(text.encode())

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
