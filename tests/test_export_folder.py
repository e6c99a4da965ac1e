"""An export is whole or it is not there; its tiles are those of the tree; its memory does not grow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ledger import commands as c
from ledger.batch import Request
from ledger.events import Event
from ledger.proofs import of_tiles
from ledger.proofs import root as root_of
from projections.exports.folder import Folder, new_folder
from projections.exports.source import Entry, ExportRefused
from projections.exports.tlog import TlogTiles
from tests.bookkeeping import deposit, open_ledger, writing
from tests.daybook_command import ROOT
from tests.export_oracle import make

# Exports everything, or stops for ever when it has reported twice; says "stopped" then.
STOPPING = """
import sys, time
from pathlib import Path
from projections.exports.export import FORMATS, Asked, export
from tests.export_oracle import signed_head
reports = 0
def progress(what, done, total):
    global reports
    reports += 1
    if reports == 2:
        print("stopped", flush=True)
        time.sleep(600)
head = signed_head(sys.argv[1], "main")
export(sys.argv[1], Asked("main", frozenset(FORMATS)), Path(sys.argv[2]), head, progress)
"""
# Exports everything with small row groups, and says in KiB how far its memory grew.
MEASURING = """
import re, sys
from pathlib import Path
from projections.exports import parquet_files
from projections.exports.export import FORMATS, Asked, export
from tests.export_oracle import signed_head
parquet_files.GROUP_ROWS = 512
Path(sys.argv[2]).mkdir()
head = signed_head(sys.argv[1], "main")
export(sys.argv[1], Asked("main", frozenset(FORMATS)), Path(sys.argv[2]) / "e", head, lambda *_: None)
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def script(text: str, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-c", text, *arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def fill(conninfo: str, count: int, opened: bool = False) -> None:
    with writing(conninfo) as writer:
        if not opened:
            open_ledger(writer)
        for start in range(0, count, 1_000):
            bodies = [
                deposit(n % 1_000, 1 + n, description=f"deposit {n} " + 900 * "x", reference=str(n))
                for n in range(start, min(start + 1_000, count))
            ]
            writer.execute("main", Request([c.command(body) for body in bodies]))


@contextmanager
def stopped_export(conninfo: str, target: Path) -> Iterator[subprocess.Popen[str]]:
    """An export in a process of its own that has written some and stands still; killed at the end."""
    process = script(STOPPING, conninfo, target)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "stopped\n"
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.torture
def test_a_killed_export_is_none_and_the_next_one_is_whole(database: str, tmp_path: Path) -> None:
    """kill -9 leaves no folder at its place; another export takes what is left away and is complete."""
    fill(database, 1_500)
    target = tmp_path / "export"
    partial = tmp_path / "export.partial"
    with stopped_export(database, target):
        assert partial.exists()
        with pytest.raises(ExportRefused, match="Another export is writing"):
            make(database, "main", target, "jsonl")
    assert not target.exists()
    assert not (partial / "manifest.json").exists()
    assert any(partial.rglob("*.csv"))

    make(database, "main", target)
    assert not partial.exists()
    make(database, "main", tmp_path / "undisturbed")
    assert contents(target) == contents(tmp_path / "undisturbed")


def contents(folder: Path) -> dict[str, Any]:
    """Every file by its hash, and the manifest but for its own time."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    del manifest["exported_at"]
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    del files["manifest.json"]
    return {"manifest": manifest} | {
        name: sha256(path.read_bytes()).hexdigest() for name, path in files.items()
    }


def test_an_export_never_touches_what_is_not_its_own(database: str, tmp_path: Path) -> None:
    """A folder that holds something, here or as DIR.partial, is refused and left as it is."""
    fill(database, 1)
    for name in ("export", "export.partial"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "thesis.txt").write_text("years of work")
        with pytest.raises(ExportRefused, match=r"thesis|not an empty folder"):
            make(database, "main", tmp_path / "export", "jsonl")
        assert (folder / "thesis.txt").read_text() == "years of work"
        (folder / "thesis.txt").unlink()
        folder.rmdir()
    (tmp_path / "export").write_text("a file")
    with pytest.raises(ExportRefused, match="not an empty folder"):
        make(database, "main", tmp_path / "export", "jsonl")


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    """Whatever goes wrong inside, neither the folder nor its beginnings are there."""

    def fail() -> None:
        with new_folder(tmp_path / "export") as folder:
            folder.create("csv/events.csv").write(b"seq")
            folder.whole("tlog/checkpoint", b"note")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux says what the peak was")
def test_memory_does_not_grow_with_the_ledger(database: str, tmp_path: Path) -> None:
    """Six thousand events more, in every format: the peak is higher by far less than their size."""
    peaks = []
    for count, opened in ((4_500, False), (6_500, True)):
        fill(database, count, opened)
        process = script(MEASURING, database, tmp_path / str(count))
        peaks.append(int(process.communicate(timeout=120)[0]))
        assert process.returncode == 0
    size = (tmp_path / "6500" / "e" / "events.jsonl").stat().st_size
    assert size > 10 << 20
    assert (peaks[1] - peaks[0]) << 10 < size / 4, (peaks, size)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 600])
def test_the_tiles_give_the_root_of_the_tree(tmp_path: Path, size: int) -> None:
    """Out of the files alone, as C2SP lays them out, comes the root that RFC 6962 defines for the leaves."""
    leaves = write_tiles(tmp_path, size)
    found = root_of(of_tiles(lambda level, index, width: tile(tmp_path, level, index, width), size), size)
    assert found == rfc_root(leaves)
    bodies = [b"%d" % n for n in range(size)]
    bundles = [bodies[start : start + 256] for start in range(0, size, 256)]
    for index, bundle in enumerate(bundles):
        suffix = "" if len(bundle) == 256 else f".p/{len(bundle)}"
        content = (tmp_path / f"tlog/tile/entries/{index:03}{suffix}").read_bytes()
        assert content == b"".join(len(body).to_bytes(2, "big") + body for body in bundle)


def test_a_tree_of_70_000_has_the_tiles_of_the_specification(tmp_path: Path) -> None:
    """C2SP tlog-tiles' own example: 273 full and one of 112 at level 0, one full and one of 17, one of 1."""
    write_tiles(tmp_path, 70_000)
    tiles = tmp_path / "tlog" / "tile"
    for level in ("0", "entries"):
        assert len([p for p in (tiles / level).iterdir() if p.is_file()]) == 273
        assert [p.name for p in (tiles / level).rglob("*.p/*")] == ["112"]
    assert sorted(str(p.relative_to(tiles / "1")) for p in (tiles / "1").rglob("*") if p.is_file()) == [
        "000",
        "001.p/17",
    ]
    assert [str(p.relative_to(tiles / "2")) for p in (tiles / "2").rglob("*") if p.is_file()] == ["000.p/1"]


def write_tiles(folder: Path, size: int) -> list[bytes]:
    """Tiles of the bodies 0, 1, 2, ...; answers their leaves."""
    event = Event(
        effective_at="", ledger="", recorded_at="", schema_version=1, seq=1, type="transaction_posted"
    )
    tiles = TlogTiles(Folder(folder))
    leaves = []
    for n in range(size):
        body = b"%d" % n
        leaves.append(sha256(b"\x00" + body).digest())
        tiles.add(Entry(n + 1, date.min, leaves[-1], body, event))
    tiles.finish()
    return leaves


def tile(folder: Path, level: int, index: int, width: int) -> bytes:
    suffix = "" if width == 256 else f".p/{width}"
    return (folder / f"tlog/tile/{level}/{index:03}{suffix}").read_bytes()


def rfc_root(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, as it is written there."""
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while 2 * k < len(hashes):
        k *= 2
    return sha256(b"\x01" + rfc_root(hashes[:k]) + rfc_root(hashes[k:])).digest()


def test_the_folder_is_renamed_last(tmp_path: Path) -> None:
    """While files are written nothing stands at the place; then all of it does."""
    target = tmp_path / "export"
    with new_folder(target) as folder:
        folder.whole("events.jsonl", b"{}\n")
        assert not target.exists()
        digest = folder.finish({"format": "test"})
        assert not target.exists()
    assert sorted(os.listdir(target)) == ["events.jsonl", "manifest.json"]
    assert sha256((target / "manifest.json").read_bytes()).hexdigest() == digest
