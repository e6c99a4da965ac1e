"""Proofs against RFC 6962 as it is written, recursively, and against the published reference values."""

from __future__ import annotations

from hashlib import sha256
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import proofs
from ledger.merkle import EMPTY_ROOT, leaf_hash

# Leaf inputs, tree heads and proofs of the reference tests of Certificate Transparency.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
A = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
B = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
AB = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
CD = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
E = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
EF = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
G = "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f"
GH = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
ABCD = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
EFGH = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
# (leaf index, size): path
INCLUSIONS = {
    (0, 1): (),
    (0, 8): (B, CD, EFGH),
    (5, 8): (E, GH, ABCD),
    (2, 3): (AB,),
    (1, 5): (A, CD, E),
}
# (first, second): path
CONSISTENCIES = {
    (1, 1): (),
    (1, 8): (B, CD, EFGH),
    (6, 8): (EF, GH, ABCD),
    (2, 5): (CD, E),
    (6, 7): (EF, G, ABCD),
}


def unhex(path: tuple[str, ...]) -> list[bytes]:
    return [bytes.fromhex(hash) for hash in path]


# ---------------------------------------------------------------- RFC 6962 section 2.1, word for word


def k(n: int) -> int:
    """The largest power of two smaller than n (k < n <= 2k)."""
    power = 1
    while 2 * power < n:
        power *= 2
    return power


def mth(d: list[bytes]) -> bytes:
    n = len(d)
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + d[0]).digest()
    return sha256(b"\x01" + mth(d[: k(n)]) + mth(d[k(n) :])).digest()


def path(m: int, d: list[bytes]) -> list[bytes]:
    n = len(d)
    if n == 1:
        return []
    if m < k(n):
        return [*path(m, d[: k(n)]), mth(d[k(n) :])]
    return [*path(m - k(n), d[k(n) :]), mth(d[: k(n)])]


def proof(m: int, d: list[bytes]) -> list[bytes]:
    return subproof(m, d, True)


def subproof(m: int, d: list[bytes], b: bool) -> list[bytes]:
    n = len(d)
    if m == n:
        return [] if b else [mth(d)]
    if m <= k(n):
        return [*subproof(m, d[: k(n)], b), mth(d[k(n) :])]
    return [*subproof(m - k(n), d[k(n) :], False), mth(d[: k(n)])]


def bodies(size: int) -> list[bytes]:
    return [i.to_bytes(3, "big") * (i % 4) for i in range(size)]


def hashes_of(d: list[bytes]) -> proofs.Hashes:
    return proofs.of_leaves([leaf_hash(body) for body in d])


# ---------------------------------------------------------------- made


def test_published_roots() -> None:
    """The tree heads of the first one to eight leaves are the published ones, by both definitions."""
    for size, root in enumerate(ROOTS, 1):
        assert proofs.root(hashes_of(INPUTS), size).hex() == root
        assert mth(INPUTS[:size]).hex() == root


@pytest.mark.parametrize(("index", "size"), INCLUSIONS)
def test_published_inclusion_proofs(index: int, size: int) -> None:
    """The published path is made, by both definitions, and proves its leaf."""
    published = unhex(INCLUSIONS[index, size])
    assert proofs.inclusion(hashes_of(INPUTS), index, size) == published
    assert path(index, INPUTS[:size]) == published
    root = bytes.fromhex(ROOTS[size - 1])
    assert proofs.is_included(leaf_hash(INPUTS[index]), index, size, published, root)


@pytest.mark.parametrize(("first", "second"), CONSISTENCIES)
def test_published_consistency_proofs(first: int, second: int) -> None:
    """The published path is made, by both definitions, and proves the prefix."""
    published = unhex(CONSISTENCIES[first, second])
    assert proofs.consistency(hashes_of(INPUTS), first, second) == published
    assert proof(first, INPUTS[:second]) == published
    old, new = (bytes.fromhex(ROOTS[size - 1]) for size in (first, second))
    assert proofs.is_consistent(first, second, old, new, published)


@given(st.data(), st.integers(1, 600))
def test_proofs_are_those_of_the_rfc(data: st.DataObject, size: int) -> None:
    """Paths of any leaf and prefix of trees of any size are PATH and PROOF, and are verified."""
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    d = bodies(size)
    made = proofs.inclusion(hashes_of(d), index, size)
    assert made == path(index, d)
    assert proofs.is_included(leaf_hash(d[index]), index, size, made, mth(d))
    made = proofs.consistency(hashes_of(d), first, size)
    assert made == proof(first, d)
    assert proofs.is_consistent(first, size, mth(d[:first]), mth(d), made)


def test_every_proof_of_every_small_tree() -> None:
    """Without exception, up to a size at which every shape of the right edge has come up."""
    d = bodies(34)
    hashes = hashes_of(d)
    roots = [mth(d[:size]) for size in range(len(d) + 1)]
    for size in range(1, len(d) + 1):
        for index in range(size):
            made = proofs.inclusion(hashes, index, size)
            assert proofs.is_included(leaf_hash(d[index]), index, size, made, roots[size])
        for first in range(size + 1):
            made = proofs.consistency(hashes, first, size)
            assert proofs.is_consistent(first, size, roots[first], roots[size], made)


def test_what_cannot_be_proven_is_an_error() -> None:
    """No path for a leaf beyond the tree or a prefix longer than it."""
    for index, size in ((0, 0), (1, 1), (-1, 5), (9, 8)):
        with pytest.raises(ValueError, match="has no leaf"):
            proofs.inclusion(hashes_of(INPUTS), index, size)
    for first, second in ((5, 0), (9, 8), (-1, 3)):
        with pytest.raises(ValueError, match="no prefix"):
            proofs.consistency(hashes_of(INPUTS), first, second)


# ---------------------------------------------------------------- tampered


def mangled(path: list[bytes], *others: bytes) -> list[list[bytes]]:
    """Paths that differ from a good one: a bit flipped, hashes missing, added, swapped, cut short."""
    wrong = [[*path, b""], [b"", *path]]
    for other in (*others, EMPTY_ROOT, *path[:1]):
        wrong += [[*path, other], [other, *path]]
    for i, hash in enumerate(path):
        wrong.append([*path[:i], bytes([hash[0] ^ 8]) + hash[1:], *path[i + 1 :]])
        wrong.append([*path[:i], hash[:-1], *path[i + 1 :]])
        wrong.append([*path[:i], *path[i + 1 :]])
        wrong.append([*path[:i], EMPTY_ROOT, *path[i:]])
    if len(path) > 1:
        wrong += [path[::-1], path[:-1], path[1:]]
    return [one for one in wrong if one != path]


@given(st.data(), st.integers(1, 300))
def test_a_tampered_inclusion_proof_fails(data: st.DataObject, size: int) -> None:
    """Another leaf, place, size, root or path is not proven."""
    index = data.draw(st.integers(0, size - 1))
    d = bodies(size)
    leaf, root, made = leaf_hash(d[index]), mth(d), path(index, d)
    assert proofs.is_included(leaf, index, size, made, root)
    for other in {index - 1, index + 1, index ^ 2, index + size} - {index}:
        assert not proofs.is_included(leaf, other, size, made, root)
    # A path may fit several sizes with the same way down to the leaf; the root fits only one.
    for other in {0, size * 2, size // 2, size + 1, size - 1} - {size}:
        assert not proofs.is_included(leaf, index, other, made, mth(bodies(other)))
    for other_leaf, other_root in ((EMPTY_ROOT, root), (leaf, EMPTY_ROOT), (b"leaf", root), (leaf, b"")):
        assert not proofs.is_included(other_leaf, index, size, made, other_root)
    for wrong in mangled(made, root, leaf):
        assert not proofs.is_included(leaf, index, size, wrong, root)


@given(st.data(), st.integers(2, 300))
def test_a_tampered_consistency_proof_fails(data: st.DataObject, second: int) -> None:
    """Another size, root or path is not proven, whichever of the two it is."""
    first = data.draw(st.integers(1, second - 1))
    d = bodies(second)
    old, new, made = mth(d[:first]), mth(d), proof(first, d)
    assert proofs.is_consistent(first, second, old, new, made)
    for wrong_old, wrong_new in product((old, new, EMPTY_ROOT, b"root"), repeat=2):
        if (wrong_old, wrong_new) != (old, new):
            assert not proofs.is_consistent(first, second, wrong_old, wrong_new, made)
    for other in {first - 1, first + 1, second + 1, -1} - {first}:
        assert not proofs.is_consistent(other, second, old, new, made)
    for wrong in [[], *mangled(made, old, new)]:
        assert not proofs.is_consistent(first, second, old, new, wrong)


def test_sizes_that_need_no_path() -> None:
    """Equal trees and the empty one need no hash, and accept none."""
    some, other = leaf_hash(b"some"), leaf_hash(b"other")
    assert proofs.is_consistent(0, 0, EMPTY_ROOT, EMPTY_ROOT, [])
    assert proofs.is_consistent(0, 5, EMPTY_ROOT, some, [])
    assert proofs.is_consistent(3, 3, some, some, [])
    assert not proofs.is_consistent(0, 5, some, other, [])
    assert not proofs.is_consistent(3, 3, some, other, [])
    assert not proofs.is_consistent(3, 3, some, some, [other])
    assert not proofs.is_consistent(0, 5, EMPTY_ROOT, some, [some])
    assert not proofs.is_consistent(2, 1, some, some, [])


# ---------------------------------------------------------------- tiles


def tile_of(d: list[bytes], level: int, index: int, width: int) -> bytes:
    """C2SP tlog-tiles: MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l]) for each i."""
    span = 256**level
    return b"".join(mth(d[(index * 256 + i) * span : (index * 256 + i + 1) * span]) for i in range(width))


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000, 66_000])
def test_proofs_out_of_tiles(size: int) -> None:
    """The tiles of a tree, and no other, give the root and the paths that the leaves give."""
    d = [i.to_bytes(3, "big") for i in range(size)]
    kept = {
        (level, index, width): tile_of(d, level, index, width) for level, index, width in proofs.tiles(size)
    }
    hashes = proofs.of_tiles(lambda *tile: kept[tile], size)
    assert proofs.root(hashes, size) == mth(d)
    for index in {0, size // 3, size - 1}:
        leaf = leaf_hash(d[index])
        assert proofs.is_included(leaf, index, size, proofs.inclusion(hashes, index, size), mth(d))
    first = size * 2 // 3
    made = proofs.consistency(hashes, first, size)
    assert proofs.is_consistent(first, size, mth(d[:first]), mth(d), made)


def test_tiles_of_the_specification() -> None:
    """The example of tlog-tiles: 70,000 leaves have 273 full tiles and one of 112; one and 17; one of 1."""
    widths: dict[int, list[int]] = {}
    for level, index, width in proofs.tiles(70_000):
        assert index == len(widths.setdefault(level, []))
        widths[level].append(width)
    assert widths == {0: [256] * 273 + [112], 1: [256, 17], 2: [1]}
    assert list(proofs.tiles(256)) == [(0, 0, 256), (1, 0, 1)]
    assert list(proofs.tiles(0)) == []


def test_tile_addresses() -> None:
    """Three digits an element, an x before all but the last, the width of a partial tile behind."""
    assert proofs.tile_path(1_234_067) == "x001/x234/067"
    assert proofs.tile_path(0) == "000"
    assert proofs.tile_path(999) == "999"
    assert proofs.tile_path(1_000, 17) == "x001/000.p/17"
