"""Tiles: the Merkle tree of a ledger in pieces of 256 hashes (C2SP tlog-tiles): a proof reads few rows.

The projection keeps the tiles that are complete. `TileReader` gives any tile of a tree of any size, complete
or not: what the projection does not have yet is made of the level below, and in the end of the events.
So a proof is right however far behind the projection is; near the head it reads O(log n) rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from ledger.events import Event, encode
from ledger.proofs import HASH, TILE_HEIGHT, TILE_WIDTH, Hashes, of_tiles, perfect_root
from ledger.wire import Connection
from projections.projection import Range, Subject
from sql import load as load_queries

QUERIES = load_queries("tiles.sql")

LEVELS = 8  # 256**8 leaves are more than a seq can count
PAGE = 64  # tiles read at once, of 8 KB each


class Tiles:
    """The projection."""

    name = "tiles"
    code_version = 1
    tables = ("tiles",)

    def apply(self, connection: Connection, range: Range) -> None:
        """Add the tiles that were completed between `after` and `upto`, level by level."""
        for level in _levels(range.upto):
            span = TILE_HEIGHT * (level + 1)
            first, last = range.after >> span, range.upto >> span
            for begin in _pages(first, last):
                self._add(connection, range, level, begin, min(begin + PAGE, last))

    def _add(self, connection: Connection, range: Range, level: int, first: int, last: int) -> None:
        place: dict[str, Any] = {"version": range.version, "ledger_id": range.ledger_id, "level": level}
        query = QUERIES["upper_tiles" if level else "leaf_tiles"]
        found = connection.execute(query, {**place, "first": first, "last": last}).fetchall()
        if len(found) != last - first or any(len(hashes) != TILE_WIDTH * HASH for _, hashes in found):
            raise ValueError(f"level {level}: hashes of tiles {first} to {last - 1} are missing")
        rows = [
            {**place, "index": index, "root": perfect_root(hashes), "hashes": hashes}
            for index, hashes in found
        ]
        with connection.cursor() as cursor:
            cursor.executemany(QUERIES["insert_tile"], rows)

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Leaf after leaf, each level's hashes in a list that becomes a tile when it has 256."""
        levels: list[list[bytes]] = [[] for _ in range(LEVELS)]
        counts = [0] * LEVELS
        for event in events:
            hash = sha256(b"\x00" + encode(event)).digest()
            for level, hashes in enumerate(levels):
                hashes.append(hash)
                if len(hashes) < 256:
                    break
                hash = _tree_head(hashes)
                yield "tiles", (level, counts[level], hash, b"".join(hashes))
                counts[level] += 1
                hashes.clear()


def _levels(size: int) -> range:
    """The levels that have a complete tile in a tree of so many leaves."""
    return range((size.bit_length() - 1) // TILE_HEIGHT if size else 0)


def _pages(first: int, last: int) -> range:
    return range(first, last, PAGE)


def _tree_head(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1 over leaf hashes, as it is written there."""
    if len(hashes) == 1:
        return hashes[0]
    half = len(hashes) // 2
    return sha256(b"\x01" + _tree_head(hashes[:half]) + _tree_head(hashes[half:])).digest()


class TileReader:
    """The tiles of one ledger within one transaction of a reader (`Reader.snapshot`)."""

    def __init__(self, connection: Connection, parameters: dict[str, Any]) -> None:
        self._connection = connection
        self._parameters = parameters

    def hashes(self, size: int) -> Hashes:
        """The nodes of the tree of the first `size` events, which must be there."""
        return of_tiles(self.tile, size)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """The first `width` hashes of a tile, 1 to 256, joined; the events below them must be there."""
        place = {**self._parameters, "level": level, "index": index}
        if width == TILE_WIDTH or level == 0:
            stored = self._connection.execute(QUERIES["tile"], place).fetchone()
            if stored is not None:
                return bytes(stored[0][: width * HASH])
        first = index * TILE_WIDTH
        return self._roots(level, first, width) if level else self.leaves(first, width)

    def bundle(self, index: int, width: int) -> bytes:
        """The bodies below a tile of level 0: each behind its length, two bytes, big-endian."""
        first = index * TILE_WIDTH
        found = self._connection.execute(
            QUERIES["bodies"], {**self._parameters, "first": first, "last": first + width}
        )
        bodies = [body for (body,) in found]
        if len(bodies) != width:
            raise ValueError(f"events {first + 1} to {first + width} are not all there")
        return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)

    def leaves(self, first: int, count: int) -> bytes:
        """The leaf hashes of `count` events beyond the first `first`, joined (ValueError: not all there)."""
        row = self._connection.execute(
            QUERIES["leaves"], {**self._parameters, "first": first, "last": first + count}
        ).fetchone()
        leaves = bytes(row[0] or b"") if row else b""
        if len(leaves) != count * HASH:
            raise ValueError(f"events {first + 1} to {first + count} are not all there")
        return leaves

    def _roots(self, level: int, first: int, count: int) -> bytes:
        """Hashes of a level above 0: the roots of the tiles below, made of their own hashes where need be."""
        wanted = {**self._parameters, "level": level - 1, "first": first, "last": first + count}
        stored: dict[int, bytes] = dict(self._connection.execute(QUERIES["roots"], wanted).fetchall())
        return b"".join(
            stored.get(index) or perfect_root(self.tile(level - 1, index, TILE_WIDTH))
            for index in range(first, first + count)
        )
