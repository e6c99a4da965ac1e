"""One step of a projection: a range of events applied, and the checkpoint moved, in one transaction.

Exactly once by construction: the checkpoint's row is locked before its seq is read, the rows and the new seq
commit together, and the move compares the seq with the one that the range began at. Whoever finds the row
locked goes on to something else. A killed process leaves an aborted transaction, which is no step at all.

An event that cannot be applied stops its projection, for its ledger only: the failing range is halved until
it is that one event, so that everything before it is applied, and the checkpoint says `stopped` and why.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple

import psycopg
import structlog
from psycopg import errors

from ledger.wire import Connection
from projections.projection import Projection, Range
from projections.versions import QUERIES

log = structlog.get_logger(__name__)

ERROR_LENGTH = 500


class Place(NamedTuple):
    """A checkpoint: whose."""

    projection: Projection
    version: int
    ledger_id: int

    @property
    def key(self) -> dict[str, str | int]:
        """As parameters of a query."""
        return {
            "projection": self.projection.name,
            "version": self.version,
            "ledger_id": self.ledger_id,
        }


class Step(NamedTuple):
    """What was applied, and the ledger's head at that time."""

    after: int
    upto: int
    head: int


class NotApplied(Exception):
    """A range could not be applied; the cause is the exception's cause."""

    def __init__(self, range: Range) -> None:
        super().__init__(f"events {range.after + 1} to {range.upto} cannot be applied")
        self.range = range


def begin(connection: Connection, place: Place) -> None:
    """Make the checkpoint of a ledger that has none, at seq 0."""
    connection.execute(QUERIES["begin_checkpoint"], place.key)


def advance(
    connection: Connection, place: Place, size: int, *, state: str = "live", bound: int | None = None
) -> Step | None:
    """Apply up to `size` events, none beyond `bound`, to a version in this state.

    None: nothing was to do, or another worker is at it. Raises NotApplied when the projection cannot apply
    the range, psycopg.Error when the database is the trouble; in both cases nothing has changed.
    """
    with connection.transaction():
        locked = connection.execute(QUERIES["lock_checkpoint"], {**place.key, "state": state}).fetchone()
        if locked is None:
            return None
        found = connection.execute(QUERIES["head"], place.key).fetchone()
        assert found is not None
        after, (head, time_zone) = locked[0], found
        upto = min(head if bound is None else min(head, bound), after + size)
        if upto <= after:
            return None
        apply(connection, place, Range(place.ledger_id, time_zone, place.version, after, upto))
    return Step(after, upto, head)


def apply(connection: Connection, place: Place, range: Range) -> None:
    """Apply a range and move the checkpoint, whose row the transaction has locked (NotApplied)."""
    began = time.monotonic()
    try:
        place.projection.apply(connection, range)
    except Exception as error:
        if is_passing(error):
            raise
        raise NotApplied(range) from error
    rate = (range.upto - range.after) / max(time.monotonic() - began, 1e-6)
    moved = connection.execute(
        QUERIES["move_checkpoint"], {**place.key, "after": range.after, "upto": range.upto, "rate": rate}
    )
    if moved.rowcount != 1:
        raise RuntimeError(f"the checkpoint of {place} was not at {range.after}")


def is_passing(error: Exception) -> bool:
    """Whether the database is the trouble (connection, lock, disk, shutdown) and not what was applied."""
    return isinstance(
        error, psycopg.OperationalError | psycopg.InterfaceError | errors.ReadOnlySqlTransaction
    ) and not isinstance(error, errors.ProgramLimitExceeded)


def advance_or_stop(
    connection: Connection, place: Place, size: int, *, state: str = "live", bound: int | None = None
) -> Step | None:
    """As `advance`; but where an event cannot be applied, apply what precedes it and stop at it."""
    try:
        return advance(connection, place, size, state=state, bound=bound)
    except NotApplied as failure:
        _narrow(connection, place, failure, state)
        return None


def resume(
    connection: Connection, names: Iterable[str], ledger: str | None = None, state: str = "live"
) -> int:
    """Let stopped projections try again, in one ledger or in all; how many there were."""
    return connection.execute(
        QUERIES["resume"], {"projections": list(names), "ledger": ledger, "state": state}
    ).rowcount


def _narrow(connection: Connection, place: Place, failure: NotApplied, state: str) -> None:
    """Halve the range that failed until it is one event (psycopg.Error)."""
    size, upto = failure.range.upto - failure.range.after, failure.range.upto
    while True:
        if size == 1 and failure.range.upto - failure.range.after == 1:
            _stop(connection, place, failure)
            return
        size = max(1, size // 2)
        try:
            step = advance(connection, place, size, state=state)
        except NotApplied as narrower:
            failure = narrower
            continue
        if step is None or step.upto >= upto:
            return


def _stop(connection: Connection, place: Place, failure: NotApplied) -> None:
    cause = failure.__cause__
    said = " ".join(str(cause).replace("\0", " ").split())
    error = f"{type(cause).__name__}: {said}"[:ERROR_LENGTH]
    stopped = connection.execute(
        QUERIES["stop"], {**place.key, "after": failure.range.after, "error": error}
    ).rowcount
    if stopped:
        log.error(
            "projection.stopped",
            projection=place.projection.name,
            version=place.version,
            ledger_id=place.ledger_id,
            seq=failure.range.upto,
            exc_info=cause,
        )
