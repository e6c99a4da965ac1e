"""Inclusion and consistency proofs of a Merkle tree (RFC 6962 section 2.1, RFC 9162 section 2.1), purely.

A proof is made of hashes of perfect subtrees: a `Node` (level, index) covers the leaves from index * 2**level
to (index + 1) * 2**level. Where they come from is the caller's: a `Hashes` function gives those of several
nodes at once, so that a database answers in one trip; `of_leaves` and `of_tiles` make one of a list of leaf
hashes and of the tiles of a folder (C2SP tlog-tiles).

Verification takes everything that it needs and never raises on bad input: what does not fit is not proven.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import pairwise

from ledger.merkle import EMPTY_ROOT

Node = tuple[int, int]
Hashes = Callable[[Sequence[Node]], Sequence[bytes]]
# (level, index, width) of a tile -> width hashes of 32 bytes, joined
Tile = Callable[[int, int, int], bytes]

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
HASH = 32


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def subtrees(begin: int, end: int) -> list[Node]:
    """The perfect subtrees of the leaves begin to end - 1, left to right.

    `begin` must be a multiple of the smallest power of two that is at least end - begin, as it is for
    every range that RFC 6962 splits a tree into.
    """
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def root(hashes: Hashes, size: int) -> bytes:
    """The tree head of the first `size` leaves."""
    return _range_hashes(hashes, [(0, size)])[0] if size else EMPTY_ROOT


def inclusion(hashes: Hashes, index: int, size: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree of `size` leaves: PATH(index, D[size]), at most 63 hashes.

    Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    return _range_hashes(hashes, path[::-1])


def consistency(hashes: Hashes, first: int, second: int) -> list[bytes]:
    """That the tree of `first` leaves is a prefix of the tree of `second`: PROOF(first, D[second]).

    Empty for equal sizes and for first = 0, which is a prefix of everything. Raises ValueError unless
    0 <= first <= second.
    """
    if not 0 <= first <= second:
        raise ValueError(f"a tree of {first} leaves is no prefix of one of {second}")
    if first in (0, second):
        return []
    path = []
    begin, end = 0, second
    while first != end:
        middle = begin + _split(end - begin)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((begin, middle))
            begin = middle
    if begin > 0:  # else it is the whole first tree, whose root the verifier has
        path.append((begin, end))
    return _range_hashes(hashes, path[::-1])


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `path` proves the leaf hash at `index` of the tree (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, root, *path):
        return False
    place, last = index, size - 1
    hash = leaf
    for sibling in path:
        if last == 0:
            return False
        if place & 1 or place == last:
            hash = node_hash(sibling, hash)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            hash = node_hash(hash, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and hash == root


def is_consistent(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether `path` proves that the first tree is a prefix of the second (RFC 9162 section 2.1.4.2)."""
    if not 0 <= first <= second or not _are_hashes(first_root, second_root, *path):
        return False
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return not path and first_root == EMPTY_ROOT
    if not path:
        return False
    if first.bit_count() == 1:
        path = [first_root, *path]
    place, last = first - 1, second - 1
    while place & 1:
        place >>= 1
        last >>= 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old = node_hash(sibling, old)
            new = node_hash(sibling, new)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            new = node_hash(new, sibling)
        place >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == second_root


# ---------------------------------------------------------------- where the hashes come from


def perfect_root(hashes: bytes) -> bytes:
    """The root over a power of two of joined hashes: of a full tile, the hash of it in the level above."""
    level = [hashes[i : i + HASH] for i in range(0, len(hashes), HASH)]
    while len(level) > 1:
        level = [node_hash(*pair) for pair in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def of_leaves(leaves: Sequence[bytes]) -> Hashes:
    """The nodes over a list of leaf hashes, computed anew each time."""

    def one(node: Node) -> bytes:
        level, index = node
        return perfect_root(b"".join(leaves[index << level : (index + 1) << level]))

    return lambda nodes: [one(node) for node in nodes]


def of_tiles(tile: Tile, size: int) -> Hashes:
    """The nodes of a tree of `size` leaves out of its tiles, each tile read once a call.

    `tile` is asked for full tiles and for the partial ones that a tree of this size has.
    """

    def hashes(nodes: Sequence[Node]) -> list[bytes]:
        read: dict[tuple[int, int], bytes] = {}
        found = []
        for node in nodes:
            level, index, first, count = in_tile(node)
            if (level, index) not in read:
                read[level, index] = tile(level, index, tile_width(level, index, size))
            found.append(perfect_root(read[level, index][first * HASH : (first + count) * HASH]))
        return found

    return hashes


def in_tile(node: Node) -> tuple[int, int, int, int]:
    """Where a node is: tile level, tile index, the first of the hashes that it is the root of, how many."""
    level, index = node
    tile_level, rest = divmod(level, TILE_HEIGHT)
    tile_index, first = divmod(index << rest, TILE_WIDTH)
    return tile_level, tile_index, first, 1 << rest


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes this tile has in a tree of `size` leaves: 256 when full, 0 or less when not begun."""
    return min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH)


def tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """Every tile of a tree of `size` leaves, as (level, index, width), the lowest level first."""
    level = 0
    while hashes := size >> (TILE_HEIGHT * level):
        for index in range(-(-hashes // TILE_WIDTH)):
            yield level, index, tile_width(level, index, size)
        level += 1


def tile_path(index: int, width: int = TILE_WIDTH) -> str:
    """The <N>[.p/<W>] of a tile's address: `x001/x234/067` for 1234067, `000.p/5` for a partial one."""
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def tile_at(path: str) -> tuple[int, int]:
    """Index and width of the tile with this <N>[.p/<W>], the inverse of `tile_path` (ValueError)."""
    found = _TILE_PATH.fullmatch(path)
    if found is not None:
        index, width = int(found[1].replace("/", "").replace("x", "")), int(found[2] or TILE_WIDTH)
        if index < 2**63 and tile_path(index, width) == path:
            return index, width
    raise ValueError(f"{path!r} is not the address of a tile, such as x001/x234/067 or 000.p/5")


_TILE_PATH = re.compile(
    r"((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))?"
)


# ---------------------------------------------------------------- within


def _split(size: int) -> int:
    """The largest power of two smaller than size (which is at least 2)."""
    return 1 << (size - 1).bit_length() - 1


def _range_hashes(hashes: Hashes, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """MTH(D[begin:end]) of each range, the nodes of all asked for together."""
    nodes = [subtrees(begin, end) for begin, end in ranges]
    found = hashes([node for of_range in nodes for node in of_range])
    ends = [0]
    for of_range in nodes:
        ends.append(ends[-1] + len(of_range))
    return [_fold(found[begin:end]) for begin, end in pairwise(ends)]


def _fold(parts: Sequence[bytes]) -> bytes:
    hash = parts[-1]
    for left in reversed(parts[:-1]):
        hash = node_hash(left, hash)
    return hash


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH for value in values)
