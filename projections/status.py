"""How projections stand: for each version over all ledgers, and for the live one ledger by ledger.

Lag is what the heads have and a version has not: in events, and as the age of the oldest of them. The rate is
events a second while the last ranges were applied; what is lacking by that rate is the ETA, as if one worker
did it all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ledger.text import iso, micros
from ledger.wire import Connection
from projections.projection import Projection
from projections.versions import QUERIES

STOPPED_SHOWN = 10


class LedgerStatus(Struct, frozen=True, kw_only=True):
    """The live version of a projection in one ledger; rate in events a second, null before any."""

    ledger: str
    version: int
    head: int
    checkpoint: int
    state: Literal["running", "stopped"]
    lag_events: int
    lag_seconds: float
    rate: float | None
    eta_seconds: float | None
    error_seq: int | None
    error: str | None
    moved_at: str | None


class ProjectionStatus(Struct, frozen=True, kw_only=True):
    """One version of a projection over all ledgers; `head` and `checkpoint` are sums of seqs.

    `stopped` counts ledgers, of which `errors` has the first. `outdated`: other code than this filled it, so
    that a rebuild is due. `difference`: why a version that was built did not become live.
    """

    projection: str
    version: int
    state: Literal["building", "live", "kept", "retired"]
    outdated: bool
    ledgers: int
    head: int
    checkpoint: int
    lag_events: int
    lag_seconds: float
    rate: float | None
    eta_seconds: float | None
    stopped: int
    errors: list[LedgerStatus]
    difference: str | None


def status(connection: Connection, projections: Sequence[Projection]) -> list[ProjectionStatus]:
    """Every version of the projections, by name; a new one has none until workers have come."""
    code = {projection.name: projection.code_version for projection in projections}
    found = []
    for row in connection.execute(QUERIES["status"], {"projections": list(code)}).fetchall():
        name, version, state, code_version, difference, ledgers, head, checkpoint = row[:8]
        lag, age, eta, rate, stopped = row[8:]
        errors = []
        if state == "live" and stopped:
            errors = ledger_status(connection, name, limit=STOPPED_SHOWN, stopped=True)
        found.append(
            ProjectionStatus(
                projection=name,
                version=version,
                state=state,
                outdated=code_version != code[name],
                ledgers=ledgers,
                head=head,
                checkpoint=checkpoint,
                lag_events=lag,
                lag_seconds=_rounded(age) or 0.0,
                rate=_rounded(rate),
                eta_seconds=_eta(lag, _rounded(eta)),
                stopped=stopped,
                errors=errors,
                difference=difference,
            )
        )
    return found


def ledger_status(
    connection: Connection, projection: str, *, after: str = "", limit: int, stopped: bool = False
) -> list[LedgerStatus]:
    """The live version of one projection in the ledgers beyond a name, or in those where it has stopped."""
    found = connection.execute(
        QUERIES["ledger_status"],
        {"projection": projection, "after": after, "limit": limit, "stopped": stopped},
    )
    return [
        LedgerStatus(
            ledger=name,
            version=version,
            head=head,
            checkpoint=checkpoint,
            state=state,
            lag_events=head - checkpoint,
            lag_seconds=_rounded(age) or 0.0,
            rate=_rounded(rate),
            eta_seconds=_eta(head - checkpoint, _rounded((head - checkpoint) / rate) if rate else None),
            error_seq=error_seq,
            error=error,
            moved_at=None if moved_at is None else iso(micros(moved_at)),
        )
        for name, version, head, checkpoint, state, age, rate, error_seq, error, moved_at in found
    ]


def stopped(connection: Connection, projections: Sequence[Projection]) -> dict[str, int]:
    """The projections whose live version has stopped, each with the number of ledgers in which it has."""
    names = [projection.name for projection in projections]
    return dict(connection.execute(QUERIES["stopped_live"], {"projections": names}).fetchall())


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _eta(lag: int, seconds: float | None) -> float | None:
    return seconds if lag else 0.0
