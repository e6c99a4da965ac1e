"""What another party said, kept on disk while it is compared: items in their order, and a digest of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec

from ledger.reconciliation.items import Item

PIECE = 1_000
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Item).decode


class Spool:
    """Items in a file of `folder`, which whoever made it removes."""

    def __init__(self, folder: Path) -> None:
        """An empty one."""
        self._path = folder / f"spool-{uuid4().hex}"
        self._path.touch()
        self._lines: list[bytes] = []
        self._digest = hashlib.sha256()

    def add(self, item: Item) -> None:
        """One more."""
        line = _encode(item) + b"\n"
        self._digest.update(line)
        self._lines.append(line)
        if len(self._lines) == PIECE:
            self._write()

    def _write(self) -> None:
        with self._path.open("ab") as file:
            file.writelines(self._lines)
        self._lines = []

    @property
    def digest(self) -> str:
        """SHA-256 in hex of all items in their order."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[Item]:
        """All items in the order in which they came, as often as one likes."""
        self._write()
        with self._path.open("rb") as lines:
            yield from map(_decode, lines)
