"""What a database stores of one ledger, as the audit reads it: events in pages, rows as bytes, tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from struct import Struct
from typing import Any, NamedTuple

import psycopg
from psycopg.conninfo import make_conninfo

from ledger.errors import LedgerNotFound
from ledger.text import whose
from projections.audit.rows import TO_2000, Connection, Layout, copied
from projections.audit.verifier import CHUNK, Stored
from projections.versions import connect
from sql import load as load_queries

QUERIES = load_queries("audit.sql")

_EVENT = Struct("!2x 4xq 4xq 4xq 4xh i")  # seq, effective_at, recorded_at, legs, the length of the type


class Head(NamedTuple):
    """A ledger's row of `heads`; moments as ISO text."""

    incarnation: int
    seq: int
    recorded_at: str
    root: bytes
    frontier: bytes
    accounts: int
    chart_seq: int
    next_expiry: str | None


class NoHead(Exception):
    """The ledger has no row in `heads`."""


# effective_at and recorded_at (microseconds), legs, type
Columns = tuple[int, int, int, str]


@contextmanager
def connected(conninfo: str) -> Iterator[Connection]:
    """A connection that only reads, sees one ledger at a time and may take its time."""
    options = "-c timezone=UTC -c role=daybook_reader -c default_transaction_read_only=on"
    with psycopg.connect(
        make_conninfo(conninfo, application_name="daybook audit", options=options), autocommit=True
    ) as connection:
        yield connection


def ledgers(conninfo: str) -> dict[str, str]:
    """The names of all ledgers that are open or have events, in order, and their ids (psycopg.Error)."""
    with closing(connect(conninfo)) as connection:
        return dict(connection.execute(QUERIES["ledgers"]))


def nameless(conninfo: str) -> list[int]:
    """The numbers of ledgers whose head is there and whose row of `ledgers` is not (psycopg.Error)."""
    with closing(connect(conninfo)) as connection:
        return [number for (number,) in connection.execute(QUERIES["nameless"])]


class StoredLedger:
    """One ledger of a database."""

    def __init__(self, connection: Connection, name: str) -> None:
        """Shows the connection this ledger and no other (LedgerNotFound)."""
        tenant, own = whose(name)
        wanted = {"tenant": tenant, "name": own}
        connection.execute(QUERIES["set_tenant"], wanted)
        found = connection.execute(QUERIES["find_ledger"], wanted).fetchone()
        if found is None:
            raise LedgerNotFound(name)
        ledger_id, self.public_id, self.time_zone, self.opened_at = found
        self.name = name
        self.connection = connection
        self._parameters: dict[str, Any] = {"ledger_id": ledger_id}
        connection.execute(QUERIES["set_ledger"], self._parameters)
        if self.opened_at is None and not self.page(0, 1)[0]:
            raise LedgerNotFound(name)

    def head(self) -> Head:
        """The head row as it is now (NoHead)."""
        row = self.connection.execute(QUERIES["head"], self._parameters).fetchone()
        if row is None:
            raise NoHead
        return Head(*row)

    def page(self, after: int, upto: int) -> tuple[list[Stored], list[Columns]]:
        """The next events, with the columns that stand beside the bodies."""
        parameters = {**self._parameters, "after": after, "upto": upto, "limit": CHUNK}
        events: list[Stored] = []
        columns: list[Columns] = []
        for row in copied(self.connection, QUERIES["events"], parameters):
            seq, effective_at, recorded_at, legs, size = _EVENT.unpack_from(row)
            at = _EVENT.size + size
            type_ = row[_EVENT.size : at].decode("utf-8", "replace")
            size = int.from_bytes(row[at : at + 4], "big")
            leaf = row[at + 4 : at + 4 + size]
            events.append((seq, row[at + 8 + size :], leaf))
            columns.append((effective_at + TO_2000, recorded_at + TO_2000, legs, type_))
        return events, columns

    def bodies(self, seqs: Sequence[int]) -> dict[int, bytes]:
        """The bodies of some events."""
        return dict(self.connection.execute(QUERIES["bodies"], {**self._parameters, "seqs": list(seqs)}))

    def out_of_place(self) -> list[int]:
        """The first event that the head does not know of, and the last with a number that none can have."""
        row = self.connection.execute(QUERIES["out_of_place"], self._parameters).fetchone()
        return [] if row is None else [seq for seq in row if seq is not None]

    def leaf_not_in_tile(self) -> int | None:
        """The first event whose leaf is another than its tile has; tiles are kept as events come."""
        row = self.connection.execute(QUERIES["leaf_not_in_tile"], self._parameters).fetchone()
        return None if row is None else row[0]

    def rows(self, layout: Layout, first: int, last: int) -> Iterator[bytes]:
        """Rows of events first to last, and of events beyond the head; in no order."""
        wanted = {**self._parameters, "first": first, "last": last}
        return copied(self.connection, QUERIES[f"rows_{layout.table}"], wanted)

    def table(self, name: str) -> Iterable[tuple[Any, ...]]:
        """The rows of a small table, in the order of its key."""
        with self.connection.cursor(name=name) as cursor:
            cursor.itersize = CHUNK
            yield from cursor.execute(QUERIES[name], self._parameters)

    def stream(self, stream: str) -> tuple[Any, ...] | None:
        """One row of `streams`."""
        return self.connection.execute(
            QUERIES["one_stream"], {**self._parameters, "stream": stream}
        ).fetchone()
