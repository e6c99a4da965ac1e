"""Tiles in the database: the projection, its reader however far behind it is, and what a proof reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random
from typing import Any, cast

import psycopg
import pytest

from ledger import commands as c
from ledger import proofs
from ledger.batch import Request
from ledger.events import read_event
from ledger.merkle import Frontier, leaf_hash
from ledger.reader import Reader
from ledger.wire import Connection
from projections.advance import Place, advance, begin
from projections.projection import Subject
from projections.tiles import QUERIES, TileReader, Tiles
from projections.verify import verify
from projections.versions import connect, ensure_live
from tests.bookkeeping import deposit, open_ledger, writing
from tests.conftest import NewDatabase

# More than a tile of level 1, so that level 2 has begun, and some beyond it at every level.
EVENTS = 256 * 256 + 3 * 256 + 77


@pytest.fixture(scope="module")
def grown(new_database: NewDatabase) -> Iterator[str]:
    """A database with a ledger of so many events, and no projection of it yet."""
    with new_database() as conninfo:
        with writing(conninfo, batch_size=5_000) as writer:
            open_ledger(writer)
            left = EVENTS - 1
            while left:
                count = min(left, 5_000)
                writer.execute("main", Request([c.command(deposit(n % 7, 1)) for n in range(count)]))
                left -= count
        yield conninfo


@pytest.fixture(scope="module")
def leaves(grown: str) -> list[bytes]:
    with psycopg.connect(grown) as connection:
        return [leaf for (leaf,) in connection.execute("SELECT leaf FROM daybook.events ORDER BY seq")]


@pytest.fixture(scope="module")
def roots(leaves: list[bytes]) -> dict[int, bytes]:
    """The root at every size."""
    frontier = Frontier()
    found = {0: frontier.root()}
    for leaf in leaves:
        frontier.add(leaf)
        found[frontier.size] = frontier.root()
    return found


def bring_to(conninfo: str, *seqs: int) -> None:
    """Apply the projection in ranges that end at these seqs."""
    projection = Tiles()
    with closing(connect(conninfo)) as connection:
        ensure_live(connection, [projection])
        place = Place(projection, 1, 1)
        begin(connection, place)
        for seq in seqs:
            step = advance(connection, place, EVENTS, bound=seq)
            assert step is not None
            assert step.upto == seq


def bring_to_the_head(conninfo: str) -> None:
    """Apply what is left, if anything is."""
    projection = Tiles()
    with closing(connect(conninfo)) as connection:
        ensure_live(connection, [projection])
        begin(connection, Place(projection, 1, 1))
        advance(connection, Place(projection, 1, 1), EVENTS)


def stored(conninfo: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as connection:
        return connection.execute(
            "SELECT level, index, root, hashes FROM projections.tiles ORDER BY level, index"
        ).fetchall()


class Counting:
    """A connection that counts the rows that are read through it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows = 0

    def execute(self, query: Any, parameters: dict[str, Any]) -> Any:
        cursor = self._connection.execute(query, parameters)
        leaves = query is QUERIES["leaves"]
        self.rows += parameters["last"] - parameters["first"] if leaves else cursor.rowcount
        return cursor


def checked(conninfo: str, leaves: list[bytes], roots: dict[int, bytes], sizes: list[int]) -> int:
    """Prove leaves and prefixes of trees of these sizes; the most rows that a proof read."""
    most = 0
    with closing(Reader(conninfo, 1)) as reader, reader.snapshot("main") as (connection, parameters):
        for size in sizes:
            for place in sorted({0, size // 3, size - 2, size - 1} & set(range(size))):
                counting = Counting(connection)
                hashes = TileReader(cast(Connection, counting), parameters).hashes(size)
                path = proofs.inclusion(hashes, place, size)
                assert proofs.is_included(leaves[place], place, size, path, roots[size])
                most = max(most, counting.rows)
                path = proofs.consistency(hashes, place + 1, size)
                assert proofs.is_consistent(place + 1, size, roots[place + 1], roots[size], path)
            assert proofs.root(TileReader(connection, parameters).hashes(size), size) == roots[size]
    return most


def test_proofs_are_right_however_far_behind_the_projection_is(
    grown: str, leaves: list[bytes], roots: dict[int, bytes]
) -> None:
    """Without a tile, with some, and at the head: trees of every kind of size, now and earlier."""
    random = Random(7)
    small = [1, 2, 255, 256, 257, 511, 512, 1_000]
    checked(grown, leaves, roots, [*small, 2_500])
    bring_to(grown, 255, 256, 700, 20_000)
    checked(grown, leaves, roots, [*small, 19_999, 20_000, 21_000])
    bring_to(grown, 65_535, 65_536, EVENTS)
    sizes = [*small, 65_535, 65_536, 65_537, EVENTS - 1, EVENTS, *random.sample(range(EVENTS), 20)]
    most = checked(grown, leaves, roots, sizes)
    # A tile or its at most 255 parts, twice at each of the three levels: on the way down and at the edge.
    assert most <= 2 * 3 * 256
    with psycopg.connect(grown) as connection:
        assert connection.execute("SELECT root FROM daybook.heads").fetchone() == (roots[EVENTS],)


def test_the_tiles_are_those_of_the_bodies(grown: str) -> None:
    """What was applied in ranges of every cut equals what a plain fold of the events makes."""
    bring_to_the_head(grown)
    with psycopg.connect(grown) as connection:
        bodies = connection.execute("SELECT body FROM daybook.events ORDER BY seq").fetchall()
    events = (read_event(body) for (body,) in bodies)
    made = Tiles().recompute(events, Subject(1, "main", "UTC", EVENTS))
    assert sorted(row for _, row in made) == stored(grown)
    assert [len([1 for row in stored(grown) if row[0] == level]) for level in range(3)] == [259, 1, 0]


def test_verifying_names_a_tile_that_is_not_its_events(grown: str) -> None:
    """`daybook projections verify` passes the tiles as they are, and names one whose hashes were changed."""
    bring_to_the_head(grown)
    [verified] = verify(grown, Tiles(), "main")
    assert (verified.seq, verified.difference, verified.finding) == (EVENTS, None, None)
    flip = (
        "UPDATE projections.tiles SET hashes = set_byte(hashes, 777, get_byte(hashes, 777) # 1)"
        " WHERE level = 0 AND index = 17"
    )
    with psycopg.connect(grown) as connection:
        connection.execute(flip)
    [verified] = verify(grown, Tiles(), "main")
    assert verified.difference is not None
    assert (verified.difference.table, verified.difference.key) == ("tiles", {"level": "0", "index": "17"})
    assert len(str(verified.difference)) < 500
    assert verified.difference.stored != verified.difference.expected
    with psycopg.connect(grown) as connection:
        connection.execute(flip)


def test_any_tile_can_be_read_and_a_bundle_has_the_bodies(grown: str, leaves: list[bytes]) -> None:
    """Complete or not, a tile is the hashes that the specification says; entries hash to level 0."""
    with closing(Reader(grown, 1)) as reader, reader.snapshot("main") as (connection, parameters):
        tiles = TileReader(connection, parameters)
        for index, width in ((0, 256), (0, 17), (259, 77)):
            wanted = leaves[index * 256 : index * 256 + width]
            assert tiles.tile(0, index, width) == b"".join(wanted)
            bundle, hashes = tiles.bundle(index, width), []
            while bundle:
                length = int.from_bytes(bundle[:2], "big")
                hashes.append(leaf_hash(bundle[2 : 2 + length]))
                bundle = bundle[2 + length :]
            assert hashes == wanted
        whole = proofs.of_leaves(leaves)
        assert tiles.tile(1, 0, 256) == b"".join(whole([(8, index) for index in range(256)]))
        assert tiles.tile(1, 1, 3) == b"".join(whole([(8, 256 + index) for index in range(3)]))
        assert tiles.tile(2, 0, 1) == whole([(16, 0)])[0]
        beyond: list[Callable[[], bytes]] = [
            lambda: tiles.tile(0, 259, 78),
            lambda: tiles.tile(1, 1, 4),
            lambda: tiles.bundle(259, 78),
        ]
        for read in beyond:
            with pytest.raises(ValueError, match="not all there"):
                read()


def test_another_ledgers_tiles_are_not_seen(grown: str) -> None:
    """Row-level security keeps a reader to one ledger's tiles as to its events."""
    with writing(grown) as writer:
        open_ledger(writer, "other")
    with closing(Reader(grown, 1)) as reader, reader.snapshot("other") as (connection, _):
        assert connection.execute("SELECT count(*) FROM projections.tiles").fetchone() == (0,)
