"""Derived rows as bytes, and how two sets of them are told apart without holding either.

PostgreSQL's binary COPY gives a row as the bytes of its columns. `Layout` packs what a row should be into
the same bytes, so that comparing is hashing; a `Tally` is the sum of the hashes of the rows of 256 events.
Python's hash of bytes has a secret key of the process, so nobody can make rows whose sum is right. Only where
sums differ are the rows themselves looked at.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from struct import Struct
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import errors
from psycopg.pq import ExecStatus

from ledger.text import iso

Connection = psycopg.Connection[tuple[Any, ...]]

BUCKET = 8  # bits of a seq: 256 events
HASHES = 2**64 - 1  # sums of hashes are kept in 64 bits
TO_2000 = 946_684_800_000_000
_HEADER = 19  # bytes of COPY's header; the server sends it with the first row
_CODES = {"bigint": "q", "integer": "i", "smallint": "h", "moment": "q"}


class Layout(NamedTuple):
    """A table's columns, `seq` first, those of fixed length before the others; `key` names a row."""

    table: str
    columns: Mapping[str, str]  # name to bigint, integer, smallint, moment, text or bytes
    key: tuple[str, ...]
    fixed: Struct

    @classmethod
    def of(cls, table: str, key: tuple[str, ...], /, **columns: str) -> Layout:
        """The layout of `SELECT` of these columns."""
        codes = [_CODES[kind] for kind in columns.values() if kind in _CODES]
        return cls(table, columns, key, Struct("!h" + "".join(f"i{code}" for code in codes)))

    def pack(self, *values: Any) -> bytes:
        """The row's bytes; moments are microseconds since 1970."""
        numbers: list[int] = [len(values)]
        tail: list[bytes] = []
        for kind, value in zip(self.columns.values(), values, strict=True):
            if kind in _CODES:
                size = 8 if _CODES[kind] == "q" else 4 if _CODES[kind] == "i" else 2
                numbers += (size, value - TO_2000 if kind == "moment" else value)
            else:
                text = value.encode() if isinstance(value, str) else value
                tail.append(len(text).to_bytes(4, "big") + text)
        return self.fixed.pack(*numbers) + b"".join(tail)

    def read(self, row: bytes) -> dict[str, str | None]:
        """The values by column, as people read them."""
        values: dict[str, str | None] = {}
        for (name, kind), field in zip(self.columns.items(), fields(row), strict=True):
            if field is None:
                values[name] = None
            elif kind == "text":
                values[name] = field.decode("utf-8", "replace")
            elif kind == "bytes":
                values[name] = field.hex()
            else:
                number = int.from_bytes(field, "big", signed=True)
                values[name] = readable(number + TO_2000) if kind == "moment" else str(number)
        return values


def readable(us: int) -> str:
    """A moment as text; what PostgreSQL can store and a calendar cannot, as a number."""
    try:
        return iso(us)
    except OverflowError:
        return f"{us} microseconds"


def fields(row: bytes) -> Iterator[bytes | None]:
    """The fields of a binary row; None is NULL."""
    at = 2
    for _ in range(int.from_bytes(row[:2], "big")):
        length = int.from_bytes(row[at : at + 4], "big", signed=True)
        at += 4
        if length < 0:
            yield None
            continue
        yield row[at : at + length]
        at += length


def copied(connection: Connection, query: LiteralString, parameters: dict[str, Any]) -> Iterator[bytes]:
    """The rows of a `COPY (...) TO STDOUT (FORMAT binary)`, which must be read to the end (psycopg.Error).

    The server sends each row as one message; libpq hands them over one by one, which is several times faster
    than through the driver's own loop.
    """
    pgconn = connection.pgconn
    started = pgconn.exec_(psycopg.ClientCursor(connection).mogrify(query, parameters).encode())
    if started.status != ExecStatus.COPY_OUT:
        raise errors.error_from_result(started)
    skip = _HEADER
    take = pgconn.get_copy_data
    while True:
        length, message = take(0)
        if length <= 0:
            break
        if length - skip > 2:
            yield bytes(message[skip:]) if skip else bytes(message)
        skip = 0
    while (result := pgconn.get_result()) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result)


class Tally:
    """For each 256 events the sum of the hashes of their rows."""

    def __init__(self) -> None:
        self.sums = array("Q")

    def grow(self, seq: int) -> None:
        """Make room for the rows of events up to `seq`."""
        missing = (seq >> BUCKET) + 1 - len(self.sums)
        if missing > 0:
            self.sums.frombytes(bytes(8 * missing))

    def add(self, seq: int, mark: int) -> None:
        """Add a row's hash."""
        bucket = seq >> BUCKET
        self.sums[bucket] = (self.sums[bucket] + mark) & HASHES

    def first_difference(self, other: Tally) -> range | None:
        """The first events whose rows differ."""
        for bucket, (mine, theirs) in enumerate(zip_longest(self.sums, other.sums, fillvalue=0)):
            if mine != theirs:
                return range(bucket << BUCKET, (bucket + 1) << BUCKET)
        return None


POSTINGS = Layout.of(
    "postings",
    ("seq", "leg"),
    seq="bigint",
    amount="bigint",
    effective_at="moment",
    debits_posted="bigint",
    credits_posted="bigint",
    debits_pending="bigint",
    credits_pending="bigint",
    account_id="integer",
    asset_id="integer",
    leg="smallint",
    kind="smallint",
)
EVENT_STREAMS = Layout.of(
    "event_streams", ("stream", "version"), seq="bigint", version="integer", stream="text"
)
ENDINGS = Layout.of("endings", ("stream",), seq="bigint", stream="text")
KEYS = Layout.of(
    "idempotency_keys", ("key",), seq="bigint", events="smallint", fingerprint="bytes", key="text"
)
LAYOUTS = (POSTINGS, EVENT_STREAMS, ENDINGS, KEYS)
