"""The Merkle tree over event bodies (RFC 6962 section 2.1), as it grows.

Only the frontier is kept: the roots of the perfect subtrees that the leaves so far fall into, largest
first. Adding a leaf costs one more hash on average; the root is the frontier folded from the right.
Leaf index = seq - 1.
"""

from __future__ import annotations

from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """SHA-256(0x00 || body), 32 bytes."""
    return sha256(b"\x00" + body).digest()


class Frontier:
    """The perfect subtrees of a tree of `size` leaves."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, packed: bytes = b"") -> None:
        """`packed` is what `pack` gave: 32 bytes a subtree, largest first."""
        if len(packed) != 32 * size.bit_count():
            raise ValueError(f"a frontier of {size} leaves has {size.bit_count()} hashes")
        self.size = size
        self.hashes = [packed[i : i + 32] for i in range(0, len(packed), 32)]

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        size = self.size
        hashes = self.hashes
        while size & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            size >>= 1
        hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The tree head, 32 bytes; SHA-256 of nothing for an empty tree."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = sha256(b"\x01" + left + root).digest()
        return root

    def pack(self) -> bytes:
        """The hashes as one byte string."""
        return b"".join(self.hashes)
