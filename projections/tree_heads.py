"""Signed tree heads: handed out only when they continue what was handed out before, and kept first.

Whoever holds a signed tree head can tell later that a ledger was cut, rewritten or exchanged. So the last one
of every ledger is kept outside the database (`ledger.keeping`), and the ledger is compared with it: before
another one is signed, at start-up, and by `daybook doctor`. A ledger may have moved on from what is kept; it
may not be missing, shorter, of another root at that size, or in another incarnation. Only `daybook restore`
ends an incarnation, with an event that names what was lost.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Literal, NamedTuple

import psycopg
import structlog

from ledger import proofs
from ledger.events import read_event
from ledger.keeping import Keeping, KeepingError
from ledger.merkle import Frontier
from ledger.notes import TreeHead
from ledger.proofs import HASH
from ledger.reader import Reader
from ledger.wire import Connection
from projections.tiles import TileReader
from projections.versions import connect
from sql import load as load_queries

log = structlog.get_logger(__name__)

QUERIES = load_queries("tree_heads.sql")

KEEP_SECONDS = 3.0
LEAVES = 2**14  # read at once

What = Literal["missing", "shorter", "root", "incarnation", "tiles"]


class Difference(NamedTuple):
    """A ledger that is not what its kept tree head says. `found` is None when it is missing.

    `tiles`: of the same snapshot, hashes that do not lead to its own tree head; `kept` is what was asked for.
    """

    what: What
    name: str | None
    kept: TreeHead
    found: TreeHead | None

    def __str__(self) -> str:
        kept, found = self.kept, self.found
        if found is None:
            return f"Ledger {kept.ledger} is not in this database; its kept tree head says size {kept.size}."
        said = f"its kept tree head says size {kept.size} in incarnation {kept.incarnation}"
        match self.what:
            case "shorter":
                return f"Ledger {self.name} ends at seq {found.size}; {said}."
            case "root":
                return (
                    f"Ledger {self.name} has other events up to seq {kept.size}; {said}, with another root."
                )
            case "tiles":
                return (
                    f"The stored hashes of ledger {self.name} do not lead from size {kept.size} to its tree "
                    f"head of size {found.size}: its events or its tiles are not what they were."
                )
            case _:
                return f"Ledger {self.name} is in incarnation {found.incarnation}; {said}."


class LedgerDiffers(Exception):
    """A ledger is not what its tree head says (`args[0]` is the Difference): nothing is signed."""


class Lost(NamedTuple):
    """What an incarnation had beyond the event that ended it: events `first` to `size` (none if less)."""

    name: str
    incarnation: int
    first: int
    size: int
    reason: str


class Snapshot:
    """One ledger in one snapshot of the database, with its tree head."""

    def __init__(self, connection: Connection, parameters: dict[str, Any], name: str, head: TreeHead) -> None:
        self.name = name
        self.connection = connection
        self.parameters = parameters
        self.head = head
        self.tiles = TileReader(connection, parameters)

    def root(self, size: int) -> bytes:
        """The root of the first `size` events, at most as many as there are (LedgerDiffers)."""
        if size == self.head.size:
            return self.head.root
        with self.proving(size):
            root = proofs.root(self.tiles.hashes(size), size)
            if not _follows(self.tiles, self.head._replace(size=size, root=root), self.head):
                raise ValueError("another root")
        return root

    @contextmanager
    def proving(self, size: int) -> Iterator[None]:
        """Takes a ValueError or IndexError about hashes for what it is: they are not those of this tree."""
        try:
            yield
        except (ValueError, IndexError) as error:
            asked = self.head._replace(size=size)
            raise LedgerDiffers(Difference("tiles", self.name, asked, self.head)) from error

    def body(self, seq: int) -> bytes:
        """The body of an event (ValueError: it is not there)."""
        row = self.connection.execute(QUERIES["event"], {**self.parameters, "seq": seq}).fetchone()
        if row is None:
            raise ValueError(f"event {seq} is not there")
        body: bytes = row[0]
        return body


class TreeHeads:
    """Signs the tree heads of one database and keeps them. Threads may share it."""

    def __init__(self, reader: Reader, keeping: Keeping) -> None:
        self._reader = reader
        self.keeping = keeping
        # By ledger, the last tree head that was found right, with its frontier: what follows it costs its own
        # events only, however many there were before.
        self._frontiers: dict[str, tuple[TreeHead, Frontier]] = {}

    @contextmanager
    def unsigned(self, ledger: str) -> Iterator[Snapshot]:
        """A snapshot of a ledger for what says nothing of its tree head (LedgerNotFound)."""
        with self._reader.snapshot(ledger) as (connection, parameters):
            yield Snapshot(connection, parameters, ledger, _head(connection, parameters))

    @contextmanager
    def signed(self, ledger: str) -> Iterator[Snapshot]:
        """A snapshot of a ledger whose tree head is signed and kept by now.

        Raises LedgerNotFound, LedgerDiffers, KeepingError.
        """
        kept = None
        while True:
            with self._reader.snapshot(ledger) as (connection, parameters):
                head = _head(connection, parameters)
                known = kept
                if kept is None:
                    latest = self.keeping.latest(head.ledger)
                    kept = latest.head if latest is not None else None
                what = self._compare_on(connection, parameters, kept, head) if kept is not None else None
                if what is None:
                    if kept is None or (kept.incarnation, kept.size) < (head.incarnation, head.size):
                        self.keeping.keep(head)
                    yield Snapshot(connection, parameters, ledger, head)
                    return
                # What was kept after this snapshot was taken may be ahead of it; a new one has to reach it.
                if known is not None:
                    raise LedgerDiffers(Difference(what, ledger, known, head))

    def _compare_on(
        self, connection: Connection, parameters: dict[str, Any], kept: TreeHead, found: TreeHead
    ) -> What | None:
        """`_compare`, from what was found right before, where `kept` and `found` continue it."""
        grown = self._continued(TileReader(connection, parameters), kept, found)
        if grown is None:
            what = _compare(connection, parameters, kept, found)
            if what is not None:
                return what
            grown = _stored(connection, parameters, found)
        if grown is not None:
            self._frontiers[found.ledger] = found, grown
        return None

    def _continued(self, tiles: TileReader, kept: TreeHead, found: TreeHead) -> Frontier | None:
        """The frontier of `found`, if both are of the tree whose frontier is remembered."""
        known = self._frontiers.get(found.ledger)
        if known is None:
            return None
        last, frontier = known
        if not last.incarnation == kept.incarnation == found.incarnation:
            return None
        if not last.size <= kept.size < found.size:
            return None
        try:
            grown = _grown(tiles, frontier, kept.size)
            if grown.root() != kept.root:
                return None
            grown = _grown(tiles, grown, found.size)
        except ValueError:  # events that are not there
            return None
        return grown if grown.root() == found.root else None

    def differences(self, conninfo: str) -> list[Difference]:
        """Every ledger that is not what its latest kept tree head says (KeepingError, psycopg.Error)."""
        here = {head.ledger: (name, head) for name, head in all_heads(conninfo)}
        latest = {kept.head.ledger: kept.head for kept in self.keeping.everything()}
        found = []
        for kept in latest.values():
            name, head = here.get(kept.ledger, (None, None))
            if name is None:
                found.append(Difference("missing", None, kept, None))
            elif kept != head:
                with self._reader.snapshot(name) as (connection, parameters):
                    head = _head(connection, parameters)
                    what = _compare(connection, parameters, kept, head)
                if what is not None:
                    found.append(Difference(what, name, kept, head))
        return found

    def lost(self, conninfo: str) -> list[Lost]:
        """What restores have lost, of every ledger with a kept tree head (KeepingError, psycopg.Error)."""
        names = {head.ledger: name for name, head in all_heads(conninfo)}
        found = []
        for ledger in dict.fromkeys(kept.head.ledger for kept in self.keeping.everything()):
            if ledger in names:
                with self._reader.snapshot(names[ledger]) as (connection, parameters):
                    found += [
                        Lost(names[ledger], r["lost_incarnation"], seq, r["lost_size"], r["reason"])
                        for seq, r in _restorations(connection, parameters)
                    ]
        return found


class Keeper:
    """A thread that keeps the tree heads of ledgers that moved. `close` looks a last time and ends it."""

    def __init__(self, conninfo: str, keeping: Keeping, seconds: float | None = None) -> None:
        self._conninfo = conninfo
        self._keeping = keeping
        self._seconds = KEEP_SECONDS if seconds is None else seconds
        self._seen: dict[str, TreeHead] = {}
        self.differing: dict[str, str] = {}  # by ledger name, a sentence
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="daybook-tree-heads", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Keep what has moved until now, and end."""
        self._closing.set()
        self._thread.join()

    def _work(self) -> None:
        with closing(Reader(self._conninfo, 1)) as reader:
            tree_heads = TreeHeads(reader, self._keeping)
            while True:
                last = self._closing.wait(self._seconds)
                try:
                    self._look(tree_heads)
                except (psycopg.Error, KeepingError) as error:
                    log.warning("tree_heads.not_kept", error=str(error).strip())
                except Exception as error:
                    log.error("tree_heads.defect", exc_info=error)
                if last:
                    return

    def _look(self, tree_heads: TreeHeads) -> None:
        for name, head in all_heads(self._conninfo):
            if self._seen.get(name) == head:
                continue
            try:
                with tree_heads.signed(name):
                    self.differing.pop(name, None)
            except LedgerDiffers as error:
                self.differing[name] = str(error.args[0])
                log.error("tree_heads.differs", difference=self.differing[name])
            self._seen[name] = head


def all_heads(conninfo: str) -> list[tuple[str, TreeHead]]:
    """Name and tree head of every ledger (psycopg.Error)."""
    with closing(connect(conninfo)) as connection:
        return [(name, TreeHead(*head)) for name, *head in connection.execute(QUERIES["heads"])]


def _head(connection: Connection, parameters: dict[str, Any]) -> TreeHead:
    row = connection.execute(QUERIES["head"], parameters).fetchone()
    assert row is not None
    return TreeHead(*row)


def _compare(
    connection: Connection, parameters: dict[str, Any], kept: TreeHead, found: TreeHead
) -> What | None:
    """What of the ledger is not as was kept; None when it is the same or has moved on from there."""
    if kept.incarnation > found.incarnation:
        return "incarnation"
    if kept.incarnation < found.incarnation:
        restored = _restorations(connection, parameters)
        if not restored or restored[-1][1]["incarnation"] != found.incarnation:
            return "incarnation"
        if any(_lost(kept, seq, data) for seq, data in restored):
            return None
    if kept.size > found.size:
        return "shorter"
    if kept.size == found.size:
        return None if found.root == kept.root else "root"
    try:
        return None if _follows(TileReader(connection, parameters), kept, found) else "root"
    except (ValueError, IndexError):  # events that are not there, tiles that are none
        return "root"


def _stored(connection: Connection, parameters: dict[str, Any], head: TreeHead) -> Frontier | None:
    """The frontier that the database has for a head; None: it is not that head's."""
    row = connection.execute(QUERIES["frontier"], parameters).fetchone()
    try:
        frontier = None if row is None else Frontier(head.size, row[0])
    except ValueError:
        return None
    return frontier if frontier is not None and frontier.root() == head.root else None


def _grown(tiles: TileReader, frontier: Frontier, size: int) -> Frontier:
    """A frontier with the leaves up to a size added (ValueError: they are not there)."""
    grown = Frontier(frontier.size, frontier.pack())
    for first in range(frontier.size, size, LEAVES):
        leaves = tiles.leaves(first, min(LEAVES, size - first))
        for at in range(0, len(leaves), HASH):
            grown.add(leaves[at : at + HASH])
    return grown


def _follows(tiles: TileReader, first: TreeHead, second: TreeHead) -> bool:
    """Whether stored hashes lead from one tree head to a later one (ValueError, IndexError: they are none).

    Both roots are made anew, which shows events that are not what they were; and because a tile can be what
    an event below it no longer is, the one root is proven to be the beginning of the other.
    """
    hashes = tiles.hashes
    path = proofs.consistency(hashes(second.size), first.size, second.size)
    return all(
        proofs.root(hashes(head.size), head.size) == head.root for head in (first, second)
    ) and proofs.is_consistent(first.size, second.size, first.root, second.root, path)


def _lost(kept: TreeHead, seq: int, restored: dict[str, Any]) -> bool:
    """Whether the event of a restore says that what a tree head was kept of was lost."""
    lost = (restored["lost_size"], restored["lost_root"])
    tail = restored["lost_incarnation"] == kept.incarnation and seq <= kept.size < restored["lost_size"]
    return tail or lost == (kept.size, kept.root.hex())


def _restorations(connection: Connection, parameters: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """seq and data of the events that began new incarnations."""
    found = connection.execute(QUERIES["restorations"], parameters)
    return [(seq, read_event(body).data) for seq, body in found]
