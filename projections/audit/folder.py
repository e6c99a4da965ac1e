"""The folder of an export: its manifest, its files, and its events line by line.

docs/audit-export.md is the contract. Nothing outside the folder is read: a path that leads out of it, and a
file that is a link, belong to no export.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import msgspec
from msgspec import Struct

from projections.audit.verdicts import Findings
from projections.audit.verifier import CHUNK, Stored

MANIFEST = "manifest.json"
EVENTS = "events.jsonl"
BALANCES = "balances.jsonl"
CHECKPOINT = "tlog/checkpoint"
KEY = "tlog/verifier-key"
ALWAYS = (EVENTS, BALANCES, CHECKPOINT, KEY)
FORMAT = ("daybook-audit-export", 1)

BLOCK = 1 << 20
LONGEST_LINE = 1 << 17  # a body has at most 64 KiB
MARK = 64  # lines between two known offsets

_path = re.compile(r"[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)*\Z")


class LedgerPart(Struct, forbid_unknown_fields=True):
    """The ledger as the manifest names it."""

    name: str
    id: str
    time_zone: str


class TreeHeadPart(Struct, forbid_unknown_fields=True):
    """The tree head as the manifest repeats it."""

    origin: str
    size: int
    root: str


class FilePart(Struct, forbid_unknown_fields=True):
    """A file as the manifest lists it."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None


class Manifest(Struct, forbid_unknown_fields=True):
    """manifest.json; the totals stay as they are, because they are compared whole."""

    format: str
    version: int
    ledger: LedgerPart
    incarnation: int
    seq: int
    recorded_at: str
    tree_head: TreeHeadPart
    formats: list[str]
    exported_at: str
    daybook: str
    totals: dict[str, Any]
    files: list[FilePart]
    range: dict[str, str] | None = None
    range_totals: dict[str, Any] | None = None


class NotAnExport(Exception):
    """The folder has no manifest that can be read: a sentence that says why."""


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an export (NotAnExport)."""
    path = folder / MANIFEST
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise NotAnExport(f"{MANIFEST} is not a file of its own")
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise NotAnExport(f"{MANIFEST} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnExport(f"{MANIFEST} is not a manifest: {error}") from error
    if (manifest.format, manifest.version) != FORMAT:
        raise NotAnExport(f"{MANIFEST} is of {manifest.format} version {manifest.version}")
    return manifest


def check_listing(folder: Path, manifest: Manifest, findings: Findings) -> dict[str, FilePart]:
    """The files that are listed and there; integrity fails for those that are only one of the two."""
    listed = {part.path: part for part in manifest.files}
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    there.pop(MANIFEST, None)
    for path in sorted(listed.keys() | there.keys() | set(ALWAYS)):
        if path not in listed:
            _broken(findings, f"{path} is not listed in {MANIFEST}")
        elif not _path.match(path) or ".." in path.split("/"):
            _broken(findings, f"{MANIFEST} lists {path!r}, which is no path within an export")
        elif path not in there:
            _broken(findings, f"{path} is not there")
        elif there[path].is_symlink() or not there[path].is_file():
            _broken(findings, f"{path} is not a file of its own")
        else:
            continue
        listed.pop(path, None)
    if len(manifest.files) != len({part.path for part in manifest.files}):
        _broken(findings, f"{MANIFEST} lists a file twice")
    return listed


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        for name in files:
            yield Path(place, name)
        for name in folders:
            if Path(place, name).is_symlink():
                yield Path(place, name)


def check_sum(part: FilePart, size: int, digest: str, findings: Findings) -> None:
    """A file's size and hash against the manifest."""
    if (size, digest) != (part.bytes, part.sha256):
        _broken(findings, f"{part.path} is not the file that {MANIFEST} lists: its bytes were altered")


def check_sums(
    folder: Path, parts: Sequence[FilePart], findings: Findings, progress: Callable[[str, int, int], None]
) -> None:
    """Hash files and compare them with the manifest."""
    total = sum(part.bytes for part in parts)
    done = 0
    for part in parts:
        digest, size = sha256(), 0
        with (folder / part.path).open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
        check_sum(part, size, digest.hexdigest(), findings)
        done += size
        progress("bytes of other files", done, max(total, done))


def _broken(findings: Findings, sentence: str) -> None:
    findings.add("integrity", None, sentence)


class EventLines:
    """events.jsonl: read once from front to back, and again where a body is asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest = sha256()
        self.bytes = 0
        self.lines = 0
        self.trouble: str | None = None  # why reading ended before the end
        self._file = file
        self._marks = array("q")
        self._start = 0  # offset of the next line

    def chunks(self) -> Iterator[list[Stored]]:
        """Events in the order of their lines, some at a time."""
        rest = b""
        while block := self._read():
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            for first in range(0, len(lines), CHUNK):
                yield self._chunk(lines[first : first + CHUNK])
            if len(rest) > LONGEST_LINE:
                self.trouble = "is longer than an event can be"
                return
        if rest:
            self.trouble = "has no end"

    def _read(self) -> bytes:
        block = self._file.read(BLOCK)
        self.digest.update(block)
        self.bytes += len(block)
        return block

    def _chunk(self, lines: list[bytes]) -> list[Stored]:
        stored: list[Stored] = []
        seq, offset = self.lines, self._start
        for line in lines:
            if not seq % MARK:
                self._marks.append(offset)
            seq += 1
            offset += len(line) + 1
            stored.append((seq, line, None))
        self.lines, self._start = seq, offset
        return stored

    def bodies(self, seqs: Sequence[int]) -> dict[int, bytes]:
        """The bodies of some events that were read before."""
        found: dict[int, bytes] = {}
        back = self._file.tell()
        for seq in seqs:
            mark = (seq - 1) // MARK
            self._file.seek(self._marks[mark])
            for _ in range(mark * MARK, seq - 1):
                self._file.readline()
            found[seq] = self._file.readline().removesuffix(b"\n")
        self._file.seek(back)
        return found
