"""One key, one effect: finding an idempotency key that was used twice among millions, in little memory.

Each use leaves a 64-bit hash and the event's seq, 16 bytes, in one of 256 parts. Equal hashes are only a
suspicion, which the bodies settle; equal keys have equal hashes, so none escapes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

PARTS = 256


class Keys:
    """The keys of events by hash."""

    def __init__(self) -> None:
        self._hashes = [array("q") for _ in range(PARTS)]
        self._seqs = [array("q") for _ in range(PARTS)]

    def add(self, seq: int, key: str) -> None:
        """An event, the first of its group, carries this key."""
        mark = hash(key)
        part = mark & 0xFF
        self._hashes[part].append(mark)
        self._seqs[part].append(seq)

    def twice(
        self, read: Callable[[Sequence[int]], Iterable[tuple[int, str]]]
    ) -> tuple[int, int, str] | None:
        """The first event whose key an earlier one has: both seqs, later first, and the key.

        `read` gives the keys of some seqs, as the bodies have them.
        """
        suspects = [seq for part in range(PARTS) for seq in self._suspects(part)]
        first: tuple[int, int, str] | None = None
        seen: dict[str, int] = {}
        for seq, key in sorted(read(sorted(suspects))) if suspects else ():
            earlier = seen.setdefault(key, seq)
            if earlier != seq and (first is None or seq < first[0]):
                first = (seq, earlier, key)
        return first

    def _suspects(self, part: int) -> Iterator[int]:
        hashes = self._hashes[part]
        if len(set(hashes)) == len(hashes):
            return
        again = {mark for mark, uses in Counter(hashes).items() if uses > 1}
        for mark, seq in zip(hashes, self._seqs[part], strict=True):
            if mark in again:
                yield seq
