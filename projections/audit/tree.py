"""The Merkle tree of an audit (RFC 6962, section 2.1), grown leaf by leaf, with the roots that are asked for.

Written from the RFC for the audit alone, so that a fault of the writer's tree cannot hide itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


class Tree:
    """Roots of perfect subtrees by their height, as in a binary counter."""

    def __init__(self, sizes: Iterable[int] = ()) -> None:
        """`sizes` are those at which the root is wanted."""
        self.size = 0
        self.roots: dict[int, bytes] = {}
        self._wanted = sorted(set(sizes), reverse=True)
        self._peaks: list[bytes] = []
        if self._wanted and self._wanted[-1] == 0:
            self.roots[self._wanted.pop()] = self.root()

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        self.size = size = self.size + 1
        peaks = self._peaks
        while not size & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            size >>= 1
        peaks.append(leaf)
        if self._wanted and self._wanted[-1] == self.size:
            self.roots[self._wanted.pop()] = self.root()

    def want(self, size: int) -> None:
        """Ask for the root at a size not reached yet (ValueError when it is past)."""
        if size == self.size:
            self.roots[size] = self.root()
        elif size < self.size:
            raise ValueError(f"the tree has grown to {self.size} leaves, beyond {size}")
        elif size not in self._wanted:
            self._wanted = sorted([*self._wanted, size], reverse=True)

    def root(self) -> bytes:
        """The root of all leaves so far; SHA-256 of nothing for none."""
        if not self._peaks:
            return sha256(b"").digest()
        *left, root = self._peaks
        for peak in reversed(left):
            root = sha256(b"\x01" + peak + root).digest()
        return root

    def peaks(self) -> bytes:
        """Roots of the perfect subtrees, largest first, as one byte string."""
        return b"".join(self._peaks)
