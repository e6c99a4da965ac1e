"""What a projection is: a read model that the events alone determine.

The engine (`advance`, `workers`, `rebuild`, `verify`) knows projections only through this Protocol; each of
them stands in a module of its own and is named in `registry`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from ledger.events import Event
from ledger.wire import Connection


class Range(NamedTuple):
    """Events of one ledger, after < seq <= upto, for one version of a projection."""

    ledger_id: int
    time_zone: str
    version: int
    after: int
    upto: int


class Subject(NamedTuple):
    """The ledger that is recomputed: its name, its time zone (IANA), and the last seq that counts."""

    ledger_id: int
    name: str
    time_zone: str
    seq: int


class Projection(Protocol):
    """A read model: tables in the schema `projections`, and two independent ways to fill them.

    Each table is PARTITION BY LIST (version) with `version integer, ledger_id integer` as its first columns
    and the first columns of its primary key, and was taken in by `projections.take_in`.
    """

    @property
    def name(self) -> str:
        """One word or several with underscores, `daily_balances`; for ever."""
        ...

    @property
    def code_version(self) -> int:
        """Raised whenever `apply` comes to mean something else; a version of another code is outdated."""
        ...

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of its tables, without the schema."""
        ...

    def apply(self, connection: Connection, range: Range) -> None:
        """Bring the rows of one version and ledger from `after` to `upto`.

        Runs as daybook_projector, in UTC, inside the READ COMMITTED transaction that moves the checkpoint; it
        neither commits nor catches errors of the database. Ranges come in order and without a gap; how they
        are cut must not matter to the rows. A range may be one event or a million: set-based SQL, or
        bodies in pages. An exception means that the range cannot be applied: the engine narrows it down to
        one event and stops there.
        """
        ...

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """All rows after events 1 .. `subject.seq`, from their bodies alone: (table, values) in any order.

        The values are those of the table's columns after `version` and `ledger_id`, in their order. `verify`
        compares with it: a plain fold that shares no code with `apply`, in bounded memory. Whoever
        iterates over `events` again reads them again.
        """
        ...
