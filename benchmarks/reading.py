"""Balance reads in ledgers of very different length, and what a transaction takes on disk."""

from __future__ import annotations

import random
import statistics
import time

import psycopg

from benchmarks import in_process, workload
from ledger.reader import Reader
from ledger.writer import Writer

READS = 400


def grow(writer: Writer, postings: int, ledger: str | None = None) -> str:
    """A ledger with so many postings, or so many more."""
    ledger = ledger or in_process.open_ledger(writer)
    left = postings // 2 // workload.BATCH
    while left:
        batches = min(left, 50)
        in_process.drive(writer, ledger, workload.requests(batches))
        left -= batches
    return ledger


def read_seconds(reader: Reader, ledgers: list[str], known_at: bool) -> list[float]:
    """The median seconds of a balance read in each ledger, the reads of all interleaved."""
    heads = {ledger: reader.ledger(ledger).seq for ledger in ledgers}
    samples: dict[str, list[float]] = {ledger: [] for ledger in ledgers}
    for _ in range(READS):
        for ledger in ledgers:
            account = f"wallets:{random.randrange(1, workload.ACCOUNTS)}"
            seq = random.randrange(1, heads[ledger]) if known_at else None
            started = time.perf_counter()
            reader.balances(ledger, account, seq)
            samples[ledger].append(time.perf_counter() - started)
    return [statistics.median(samples[ledger]) for ledger in ledgers]


def disk_bytes(conninfo: str) -> int:
    """The size of all tables and indexes of the schema."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(
            "SELECT sum(pg_total_relation_size(oid)) FROM pg_class"
            " WHERE relnamespace = 'daybook'::regnamespace AND relkind = 'r'"
        ).fetchone()
        assert row is not None
        return int(row[0])
