"""What a read of a projection must know first: which version is live, and how far it has come.

A read runs in one transaction of the Reader, so that version, checkpoint and rows are of one snapshot: a swap
is seen whole or not at all. `min_seq` is the seq that the caller has been told by a write and wants to see.
"""

from __future__ import annotations

from typing import NamedTuple

from ledger.reader import Reader
from ledger.wire import Connection
from projections.versions import QUERIES


class Position(NamedTuple):
    """The live version of a projection and its checkpoint in one ledger."""

    projection: str
    version: int
    seq: int
    error_seq: int | None


class Behind(Exception):
    """What is asked for has not come so far; it will, soon."""

    def __init__(self, projection: str, checkpoint: int, min_seq: int) -> None:
        super().__init__(f"{projection} is at {checkpoint}, before {min_seq}")
        self.projection = projection
        self.checkpoint = checkpoint
        self.min_seq = min_seq


class Stopped(Exception):
    """What is asked for lies beyond an event that the projection cannot apply."""

    def __init__(self, position: Position) -> None:
        super().__init__(f"{position.projection} stopped at {position.error_seq}")
        self.position = position


def position(connection: Connection, ledger_id: int, projection: str, min_seq: int | None = None) -> Position:
    """Where a projection stands, seen in the caller's transaction.

    Rows of the read model have `version` and `ledger_id` of it, and are those of events 1 .. `seq`; seq 0
    before workers have come by. Raises Behind or Stopped when it has not reached `min_seq`.
    """
    row = connection.execute(
        QUERIES["position"], {"ledger_id": ledger_id, "projection": projection}
    ).fetchone()
    found = Position(projection, *(row or (0, 0, None)))
    if min_seq is not None and found.seq < min_seq:
        if found.error_seq is not None:
            raise Stopped(found)
        raise Behind(projection, found.seq, min_seq)
    return found


def check_head(reader: Reader, ledger: str, min_seq: int) -> None:
    """What is kept with the book itself has come as far as its head (Behind, LedgerNotFound)."""
    seq = reader.ledger(ledger).seq
    if seq < min_seq:
        raise Behind("head", seq, min_seq)
