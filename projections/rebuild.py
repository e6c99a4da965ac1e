"""Rebuilding a projection beside the one that serves, and taking its place - or giving it back.

A rebuild fills a new version, `building`, through the same `apply` as workers do, ledger by ledger and
several at once, in large ranges. In each ledger it stays behind the live version until it has been compared
with it at the same seq. Then it drains to the heads and swaps: one transaction that holds all checkpoints of
both versions, tops up the new one, and changes two rows. The old version is kept for `rollback`; the one kept
before is retired, and dropped when no reader can be looking at it.

Every step commits rows and checkpoint together, so a rebuild that is cancelled or killed leaves a version
that nobody reads: the next rebuild goes on with it, or drops it when it was filled by other code or was
refused for a difference.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager

from msgspec import Struct

from ledger.wire import Connection
from projections.advance import NotApplied, Place, advance_or_stop, apply, begin, resume
from projections.compare import Difference, first_difference
from projections.jobs import THREAD
from projections.projection import Projection, Range, Subject
from projections.verify import subjects
from projections.versions import (
    QUERIES,
    Version,
    connect,
    drop,
    drop_retired,
    live_version,
    make,
    partition,
    snapshot,
    versions,
)

RANGE_EVENTS = 1_000_000
# When so few events are left, they are applied within the transaction that pins or swaps.
FEW_EVENTS = 2_000
DRAINS = 20
REPORT_SECONDS = 0.2
BUSY_SECONDS = 0.1

Report = Callable[[int, int], None]


class RebuildError(Exception):
    """Nothing was swapped; the message, a sentence, says why."""


class Differs(RebuildError):
    """The version that was built differs from the live one, though the code that filled them is the same."""

    def __init__(self, ledger: str, seq: int, difference: Difference) -> None:
        super().__init__(f"At seq {seq} of {ledger}, {difference}.")
        self.ledger = ledger
        self.seq = seq
        self.difference = difference


class Rebuilt(Struct, frozen=True, kw_only=True):
    """What a rebuild did: `version` took the place of `previous`.

    `events` were applied now, more than that if it was `resumed`. In `compared` ledgers both versions were
    compared (all but those where the old one had stopped); `difference` is the first, where it was accepted.
    """

    projection: str
    previous: int
    version: int
    resumed: bool
    events: int
    compared: int
    difference: str | None


def rebuild(
    conninfo: str,
    projection: Projection,
    *,
    workers: int = 2,
    accept_differences: bool = False,
    report: Report = lambda done, total: None,
) -> Rebuilt:
    """Build a new version, compare, swap (RebuildError, psycopg.Error).

    `report(events applied, events in all)` is called as it goes on, and may raise to end it.
    """
    with closing(connect(conninfo)) as connection, _alone(connection, projection):
        drop_retired(connection, [projection])
        live = live_version(connection, projection)
        building, resumed = _building(connection, projection, accept_differences)
        resume(connection, [projection.name], state="building")
        work = _Work(conninfo, projection, live, building, accept_differences, report)
        before, _ = work.progress(connection)
        work.run(connection, workers)
        for _ in range(DRAINS):
            if work.drain(connection) <= FEW_EVENTS:
                break
        swap(connection, projection, live, building)
        after, _ = work.progress(connection)
        drop_retired(connection, [projection])
    difference = None if work.difference is None else str(work.difference)
    return Rebuilt(
        projection=projection.name,
        previous=live,
        version=building,
        resumed=resumed,
        events=after - before,
        compared=work.compared,
        difference=difference,
    )


def rollback(conninfo: str, projection: Projection) -> Version:
    """Make the kept version live again and keep the present one; it is drained first (RebuildError)."""
    with closing(connect(conninfo)) as connection, _alone(connection, projection):
        live = live_version(connection, projection)
        kept = next((v for v in versions(connection, [projection.name]) if v.state == "kept"), None)
        if kept is None:
            raise RebuildError(f"{projection.name} has no version to go back to.")
        if kept.code_version != projection.code_version:
            raise RebuildError(
                f"Version {kept.version} of {projection.name} was filled by code {kept.code_version}, and "
                f"this is code {projection.code_version}: roll back with the release that filled it."
            )
        resume(connection, [projection.name], state="kept")
        for subject in subjects(connection, projection, None):
            place = Place(projection, kept.version, subject.ledger_id)
            begin(connection, place)
            _catch_up(connection, place, "kept", subject, subject.seq)
        swap(connection, projection, live, kept.version)
    return kept


def swap(connection: Connection, projection: Projection, live: int, next: int) -> None:
    """Make `next` the live version, no ledger of it behind the one it replaces, in one transaction."""
    key = {"projection": projection.name, "live": live, "next": next}
    with connection.transaction():
        connection.execute("SET LOCAL synchronous_commit = on")
        connection.execute(QUERIES["lock_versions"])
        connection.execute(QUERIES["lock_swapped"], key)
        connection.execute(QUERIES["begin_missing"], {**key, "version": next})
        seqs: dict[int, dict[int, int]] = {}
        for ledger_id, version, seq in connection.execute(QUERIES["lock_both"], key).fetchall():
            seqs.setdefault(ledger_id, {})[version] = seq
        for ledger_id, both in seqs.items():
            if both[next] < both.get(live, 0):
                _top_up(connection, Place(projection, next, ledger_id), both[next], both[live])
        connection.execute(QUERIES["retire_kept"], key)
        connection.execute(QUERIES["swap"], key)


def _top_up(connection: Connection, place: Place, after: int, upto: int) -> None:
    [(_, time_zone)] = connection.execute(QUERIES["head"], place.key).fetchall()
    try:
        apply(connection, place, Range(place.ledger_id, time_zone, place.version, after, upto))
    except NotApplied as failure:
        raise RebuildError(
            f"Events {after + 1} to {upto} cannot be applied: {failure.__cause__}."
        ) from failure


@contextmanager
def _alone(connection: Connection, projection: Projection) -> Iterator[None]:
    """One rebuild or rollback of a projection at a time; the lock ends with the session at the latest."""
    key = {"projection": projection.name}
    [(locked,)] = connection.execute(QUERIES["lock_projection"], key).fetchall()
    if not locked:
        raise RebuildError(f"{projection.name} is being rebuilt or rolled back already.")
    try:
        yield
    finally:
        # Not left to the end of the session, which the server may see later than whoever comes next.
        if not connection.closed:
            connection.execute(QUERIES["unlock_projection"], key)


def _building(connection: Connection, projection: Projection, accept: bool) -> tuple[int, bool]:
    """The version to fill, and whether it was left behind by a rebuild before."""
    found = next((v for v in versions(connection, [projection.name]) if v.state == "building"), None)
    if found is not None:
        if found.code_version == projection.code_version and (accept or found.difference is None):
            return found.version, True
        if not drop(connection, projection, found.version):
            raise RebuildError(f"Version {found.version} cannot be dropped now; try again.")
    with connection.transaction():
        connection.execute(QUERIES["lock_versions"])
        return make(connection, projection, "building"), False


def _catch_up(
    connection: Connection,
    place: Place,
    state: str,
    subject: Subject,
    bound: int,
    stopping: threading.Event | None = None,
) -> int:
    """Apply events up to `bound`; the seq reached (RebuildError: an event cannot be applied).

    A rebuild that was killed may still have its last range under way in PostgreSQL: that is waited for.
    """
    stopping = stopping or threading.Event()
    while True:
        step = advance_or_stop(connection, place, RANGE_EVENTS, state=state, bound=bound)
        seq = _seq(connection, place)
        if seq >= bound or stopping.is_set():
            return seq
        if step is None:
            found = connection.execute(QUERIES["error"], place.key).fetchone()
            if found is not None:
                raise RebuildError(f"Event {found[0]} of {subject.name} cannot be applied: {found[1]}.")
            stopping.wait(BUSY_SECONDS)


class _Work:
    """One rebuild's threads."""

    def __init__(
        self,
        conninfo: str,
        projection: Projection,
        live: int,
        building: int,
        accept_differences: bool,
        report: Report,
    ) -> None:
        self._conninfo = conninfo
        self._projection = projection
        self._live = live
        self._building = building
        self._accept = accept_differences
        self._report = report
        self._stopping = threading.Event()
        self._connections: list[Connection] = []
        self._lock = threading.Lock()
        self.compared = 0
        self.difference: Differs | None = None

    def run(self, connection: Connection, workers: int) -> None:
        """Fill and compare every ledger, `workers` at once, reporting meanwhile."""
        chosen = iter(subjects(connection, self._projection, None))

        def take() -> Subject | None:
            with self._lock:
                return None if self._stopping.is_set() else next(chosen, None)

        with ThreadPoolExecutor(workers, thread_name_prefix=f"{THREAD}-rebuild") as pool:
            threads = [pool.submit(self._thread, take) for _ in range(workers)]
            try:
                while wait(threads, REPORT_SECONDS, FIRST_EXCEPTION).not_done:
                    self._report(*self.progress(connection))
                    if any(thread.done() and thread.exception() for thread in threads):
                        break
                for thread in threads:
                    if thread.done():
                        thread.result()
            except BaseException:
                self._stop()
                raise
        self._report(*self.progress(connection))

    def progress(self, connection: Connection) -> tuple[int, int]:
        """Events applied, and events in all."""
        row = connection.execute(QUERIES["progress"], self._key(self._building)).fetchone()
        assert row is not None
        return row[0], row[1] or 0

    def drain(self, connection: Connection) -> int:
        """Apply in every ledger what has been written meanwhile; how many events those were."""
        drained = 0
        key = self._key(self._building)
        # Where the live version has stopped, the next one meets that event when it is live itself.
        bounds: dict[int, int] = dict(
            connection.execute(QUERIES["stopped"], self._key(self._live)).fetchall()
        )
        for ledger_id, name, time_zone, head, seq in connection.execute(
            QUERIES["ledgers"], {**key, "ledger": None}
        ).fetchall():
            if seq < head:
                place = Place(self._projection, self._building, ledger_id)
                begin(connection, place)
                subject = Subject(ledger_id, name, time_zone, head)
                bound = bounds.get(ledger_id, int(head))
                drained += max(0, _catch_up(connection, place, "building", subject, bound) - seq)
                self._report(*self.progress(connection))
        return drained

    def _key(self, version: int) -> dict[str, str | int]:
        return {"projection": self._projection.name, "version": version}

    def _stop(self) -> None:
        """What the threads are at is given up; nothing of it is kept."""
        self._stopping.set()
        for connection in self._connections:
            connection.cancel_safe()

    def _thread(self, take: Callable[[], Subject | None]) -> None:
        with ExitStack() as stack:
            mine, other = (stack.enter_context(closing(connect(self._conninfo))) for _ in range(2))
            self._connections += [mine, other]
            while (subject := take()) is not None:
                self._fill(mine, other, subject)

    def _fill(self, connection: Connection, other: Connection, subject: Subject) -> None:
        """Fill one ledger as far as the live version has come, and compare there."""
        live = Place(self._projection, self._live, subject.ledger_id)
        building = Place(self._projection, self._building, subject.ledger_id)
        begin(connection, live)
        begin(connection, building)
        while not self._stopping.is_set():
            mine, seq = _seq(connection, building), _seq(connection, live)
            if mine > seq:
                # Drained by a rebuild that was killed; here too the live one is brought on, if it can be.
                if advance_or_stop(connection, live, RANGE_EVENTS, bound=mine) is None:
                    if connection.execute(QUERIES["error"], live.key).fetchone() is not None:
                        return
                    self._stopping.wait(REPORT_SECONDS)
            elif seq - mine <= FEW_EVENTS:
                if self.difference is None:
                    self._compare(connection, other, live, building, subject)
                return
            else:
                _catch_up(connection, building, "building", subject, seq, self._stopping)

    def _compare(
        self, connection: Connection, other: Connection, live: Place, building: Place, subject: Subject
    ) -> None:
        """Compare both versions at one seq. The live one is held there only until a snapshot is taken."""
        with ExitStack() as pinned:
            pinned.enter_context(other.transaction())
            [(seq,)] = other.execute(QUERIES["pin_checkpoint"], live.key).fetchall()
            if _catch_up(connection, building, "building", subject, seq, self._stopping) < seq:
                return
            with snapshot(connection):
                _seq(connection, building)
                pinned.close()
                found = self._first_difference(connection, subject)
        with self._lock:
            self.compared += 1
        if found is not None:
            self._differs(connection, Differs(subject.name, seq, found))

    def _first_difference(self, connection: Connection, subject: Subject) -> Difference | None:
        for table in self._projection.tables:
            stored, built = partition(table, self._live), partition(table, self._building)
            found = first_difference(connection, table, subject.ledger_id, stored, built)
            if found is not None:
                return found
        return None

    def _differs(self, connection: Connection, differs: Differs) -> None:
        self.difference = differs
        found = versions(connection, [self._projection.name])
        live = next(v for v in found if v.version == self._live)
        if self._accept or live.code_version != self._projection.code_version:
            return
        connection.execute(
            QUERIES["set_difference"], {**self._key(self._building), "difference": str(differs)}
        )
        raise differs


def _seq(connection: Connection, place: Place) -> int:
    [(seq,)] = connection.execute(QUERIES["checkpoint"], place.key).fetchall()
    return int(seq)
