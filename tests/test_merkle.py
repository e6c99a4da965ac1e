"""The Merkle frontier against RFC 6962 as it is written, recursively, and against known tree heads."""

from __future__ import annotations

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash

# Inputs and tree heads of the reference tests of Certificate Transparency.
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
KNOWN = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def tree_head(inputs: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1: k is the largest power of two smaller than n."""
    n = len(inputs)
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + inputs[0]).digest()
    k = 1
    while k * 2 < n:
        k *= 2
    return sha256(b"\x01" + tree_head(inputs[:k]) + tree_head(inputs[k:])).digest()


def grown(inputs: list[bytes]) -> Frontier:
    frontier = Frontier()
    for body in inputs:
        frontier.add(leaf_hash(body))
    return frontier


@pytest.mark.parametrize("size", KNOWN)
def test_known_tree_heads(size: int) -> None:
    """The published roots of the first leaves; the definition above gives them too."""
    assert grown(INPUTS[:size]).root().hex() == KNOWN[size]
    assert tree_head(INPUTS[:size]).hex() == KNOWN[size]


def test_empty_root_is_that_of_no_leaves() -> None:
    """A ledger before its first event has the root of the empty tree."""
    assert EMPTY_ROOT == Frontier().root() == tree_head([])


def test_root_is_the_tree_head_at_every_size() -> None:
    """Growing leaf by leaf gives the defined root at each of the first sizes."""
    inputs = [i.to_bytes(2, "big") * (i % 5) for i in range(301)]
    frontier = Frontier()
    for size, body in enumerate(inputs):
        assert frontier.size == size
        assert frontier.root() == tree_head(inputs[:size])
        frontier.add(leaf_hash(body))


@given(st.integers(0, 5000), st.integers(0, 2**32))
def test_frontier_continues_from_its_packed_form(size: int, seed: int) -> None:
    """What is stored in the head row grows on exactly as what was in memory."""
    random = Random(seed)
    inputs = [random.randbytes(3) for _ in range(size % 700 + 1)]
    cut = random.randrange(len(inputs) + 1)
    first = grown(inputs[:cut])
    second = Frontier(cut, first.pack())
    assert second.hashes == first.hashes
    assert len(second.pack()) == 32 * cut.bit_count()
    for body in inputs[cut:]:
        second.add(leaf_hash(body))
    assert second.root() == tree_head(inputs)
    assert second.size == len(inputs)


@pytest.mark.parametrize(("size", "length"), [(0, 32), (3, 32), (4, 64), (5, 63), (1, 0)])
def test_packed_form_of_another_size_is_refused(size: int, length: int) -> None:
    """A frontier has one hash for each bit of its size; anything else is a damaged head."""
    with pytest.raises(ValueError, match="hashes"):
        Frontier(size, bytes(length))


def test_any_changed_leaf_changes_the_root() -> None:
    """The root commits to every byte and to the order."""
    inputs = [bytes([i]) for i in range(21)]
    roots = {tree_head(inputs)}
    for i in range(len(inputs)):
        roots.add(grown([*inputs[:i], inputs[i] + b"\x00", *inputs[i + 1 :]]).root())
        roots.add(grown([*inputs[i:], *inputs[:i]]).root())
        roots.add(grown(inputs[:i]).root())
    assert len(roots) == 3 * len(inputs)
