"""The tlog bundle of an export (C2SP tlog-tiles) against the events: every tile and every entry bundle.

A tile names the very event that is not what it was, where a root only says that one of them is.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from projections.audit.folder import FilePart
from projections.audit.verdicts import Findings

WIDTH = 256
HASH = 32
TILES = "tlog/tile/"


class TileCheck:
    """Fed with every event; the hashes of one tile of each level are in hand."""

    def __init__(self, folder: Path, files: Mapping[str, FilePart], findings: Findings) -> None:
        self._folder = folder
        self._left = {path for path in files if path.startswith(TILES)}
        self._findings = findings
        self._bundle: list[bytes] = []
        self._levels: list[list[bytes]] = []
        self._full: list[int] = []

    def add(self, body: bytes, leaf: bytes) -> None:
        """The next event."""
        size = len(body) & 0xFFFF  # a longer one is found out by its length
        self._bundle += (size.to_bytes(2, "big"), body)
        self._push(0, leaf)

    def finish(self) -> None:
        """Compare the partial tiles; a tile that no event asked for is one too many."""
        for level, hashes in enumerate(self._levels):
            if hashes:
                self._compare(level, hashes)
        for path in sorted(self._left):
            self._findings.add("integrity", None, f"{path} is no tile of a tree of this size")

    def _push(self, level: int, hash: bytes) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        hashes = self._levels[level]
        hashes.append(hash)
        if len(hashes) == WIDTH:
            self._compare(level, hashes)
            self._full[level] += 1
            self._push(level + 1, _root(hashes))
            hashes.clear()

    def _compare(self, level: int, hashes: list[bytes]) -> None:
        index = self._full[level]
        name = _name(index, len(hashes))
        first = index * WIDTH ** (level + 1) + 1
        if level == 0:
            self._compare_bundle(name, first)
        path, stored = self._read(f"{TILES}{level}/{name}")
        if stored == b"".join(hashes):
            return
        places = range(min(len(hashes), -(-len(stored) // HASH)))
        place = next((i for i in places if stored[HASH * i : HASH * (i + 1)] != hashes[i]), None)
        if place is None:
            if stored:
                self._findings.add("integrity", None, f"{path} is of a tree of another size")
            return
        seq = first + place * WIDTH**level
        until = seq + WIDTH**level - 1
        which = f"event {seq}" if level == 0 else f"events {seq} to {until}"
        self._findings.add("integrity", seq, f"{path} has another hash for {which} than its body")

    def _compare_bundle(self, name: str, first: int) -> None:
        wanted, self._bundle = self._bundle, []
        path, stored = self._read(f"{TILES}entries/{name}")
        at = 0
        for place, (size, body) in enumerate(zip(wanted[::2], wanted[1::2], strict=True)):
            seq = first + place
            if at >= len(stored):
                if stored:
                    self._findings.add("integrity", seq, f"{path} ends before event {seq}")
                return
            entry = size + body
            if stored[at : at + len(entry)] != entry:
                self._findings.add("integrity", seq, f"{path} has another body for event {seq}")
                return
            at += len(entry)
        if stored[at:]:
            self._findings.add("integrity", None, f"{path} holds more than its events")

    def _read(self, path: str) -> tuple[str, bytes]:
        """A tile, or the partial one of another width in its place; nothing when there is none."""
        if path not in self._left:
            self._findings.add("integrity", None, f"{path} is not there")
            place = path.partition(".p/")[0] + ".p/"
            path = next((other for other in sorted(self._left) if other.startswith(place)), "")
        if not path:
            return path, b""
        self._left.discard(path)
        content = (self._folder / path).read_bytes()
        if not content:
            self._findings.add("integrity", None, f"{path} is empty")
        return path, content


def _name(index: int, width: int) -> str:
    """x001/x234/067 for 1234067; 000.p/5 for a tile of five hashes."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03}")
    name = "/".join(reversed(groups))
    return name if width == WIDTH else f"{name}.p/{width}"


def _root(hashes: list[bytes]) -> bytes:
    """The root over 256 hashes."""
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return hashes[0]
