"""Inclusion proofs in a ledger of 1,000,000 events, with their tiles, and what they read."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import psycopg

from ledger import proofs
from ledger.keeping import Keeping
from ledger.reader import Reader
from ledger.wire import Connection
from projections.advance import Place, advance, begin
from projections.proving import Prover, check
from projections.tiles import QUERIES, TileReader, Tiles
from projections.tree_heads import TreeHeads
from projections.versions import connect, ensure_live, live_version

PROOFS = 300
RANGE = 10_000  # events applied at once, as the workers do


class Proven(NamedTuple):
    """Milliseconds of a proof (median, 99th percentile), the most rows that one read, events in the tree."""

    median: float
    p99: float
    rows: int
    events: int


class Counting:
    """A connection that counts the rows that a proof reads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.rows = 0

    def execute(self, query: Any, parameters: dict[str, Any]) -> Any:
        cursor = self._connection.execute(query, parameters)
        leaves = query is QUERIES["leaves"]
        self.rows += parameters["last"] - parameters["first"] if leaves else cursor.rowcount
        return cursor


def tile_rate(conninfo: str, ledger: str) -> float:
    """Events a second at which the tiles of a ledger are made, from none to its head."""
    projection = Tiles()
    with closing(connect(conninfo)) as connection:
        ensure_live(connection, [projection])
        row = connection.execute(
            "SELECT ledger_id, seq FROM daybook.heads JOIN daybook.ledgers USING (ledger_id) WHERE name = %s",
            (ledger,),
        ).fetchone()
        assert row is not None
        place = Place(projection, live_version(connection, projection), row[0])
        begin(connection, place)
        started = time.perf_counter()
        while advance(connection, place, RANGE) is not None:
            pass
        seconds = time.perf_counter() - started
    with psycopg.connect(conninfo, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE projections.tiles")
    return int(row[1]) / seconds


def prove(conninfo: str, ledger: str) -> Proven:
    """Proofs of events drawn from the whole ledger, each with its signed tree head, as the API answers."""
    samples = []
    with tempfile.TemporaryDirectory() as folder, closing(Reader(conninfo, 1)) as reader:
        keeping = Keeping(Path(folder))
        prover = Prover(TreeHeads(reader, keeping))
        events = prover.tree_head(ledger).size
        for _ in range(PROOFS):
            seq = random.randrange(1, events + 1)
            started = time.perf_counter()
            proof = prover.inclusion(ledger, seq)
            samples.append(1e3 * (time.perf_counter() - started))
        check(msgspec.json.encode(proof), [keeping.verifier()])
        with reader.snapshot(ledger) as (connection, parameters):
            rows = max(_rows(connection, parameters, events) for _ in range(20))
    return Proven(statistics.median(samples), statistics.quantiles(samples, n=100)[-1], rows, events)


def _rows(connection: Connection, parameters: dict[str, Any], events: int) -> int:
    counting = Counting(connection)
    hashes = TileReader(cast(Connection, counting), parameters).hashes(events)
    proofs.inclusion(hashes, random.randrange(events), events)
    return counting.rows
