"""The book as a static transparency log (C2SP tlog-tiles): independent tools re-derive the root from it.

Tiles are written as they fill, one of each level is in hand, and the partial ones come at the end. A
level's hash is the root of a full tile below it.
"""

from __future__ import annotations

from ledger.proofs import TILE_WIDTH, perfect_root, tile_path
from projections.exports.folder import Folder
from projections.exports.source import Entry


class TlogTiles:
    """Writes `tlog/tile`."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._bundle: list[bytes] = []
        self._bundles = 0
        self._levels: list[list[bytes]] = []
        self._full: list[int] = []  # by level: how many tiles are full

    def add(self, entry: Entry) -> None:
        """The next event. Its leaf is taken as stored, its body too: whether they agree is for who checks."""
        self._bundle += (len(entry.body).to_bytes(2, "big"), entry.body)
        self._push(0, entry.leaf)
        if not self._levels[0]:
            self._write_bundle(TILE_WIDTH)

    def finish(self) -> None:
        """Write the partial tiles."""
        if self._levels and self._levels[0]:
            self._write_bundle(len(self._levels[0]))
        for level, hashes in enumerate(self._levels):
            if hashes:
                self._write_tile(level, hashes)

    def _push(self, level: int, hash: bytes) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._full.append(0)
        hashes = self._levels[level]
        hashes.append(hash)
        if len(hashes) == TILE_WIDTH:
            self._write_tile(level, hashes)
            self._full[level] += 1
            self._push(level + 1, perfect_root(b"".join(hashes)))
            hashes.clear()

    def _write_tile(self, level: int, hashes: list[bytes]) -> None:
        path = tile_path(self._full[level], len(hashes))
        self._folder.whole(f"tlog/tile/{level}/{path}", b"".join(hashes))

    def _write_bundle(self, width: int) -> None:
        self._folder.whole(f"tlog/tile/entries/{tile_path(self._bundles, width)}", b"".join(self._bundle))
        self._bundles += 1
        self._bundle.clear()
