"""Attacks on a stored book: raw SQL of a superuser that follows every rule but one.

The steps forge a batch as the writer would store it: move the head, add the events, add the legs. `attack`
runs one in a transaction about the ledger `main` and checks by which guard it was refused, and that every
row of every table is as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from hashlib import sha256
from typing import Any

import psycopg
from psycopg import sql as composed

from ledger import commands as c
from tests.audit import audited
from tests.bookkeeping import deposit, do, done, open_ledger, transaction, withdrawal, writing
from tests.conftest import NewDatabase

Connection = psycopg.Connection[Any]

APPEND_ONLY = ("events", "postings", "event_streams", "endings", "idempotency_keys", "assets")
CHANGES = ("UPDATE daybook.{0} SET {1} = {1}", "DELETE FROM daybook.{0}", "TRUNCATE daybook.{0}")
PER_LEDGER = (*APPEND_ONLY, "accounts", "heads", "balances", "streams", "holds", "closed_periods")
TABLES = (*PER_LEDGER, "ledgers")


def about(connection: psycopg.Connection[Any], ledger_id: int | str | None, tenant: str = "default") -> None:
    """Make the transaction one for a tenant, about a ledger, or about none."""
    connection.execute(
        "SELECT set_config('daybook.tenant', %s, true), set_config('daybook.ledger_id', %s, true)",
        (tenant, "" if ledger_id is None else str(ledger_id)),
    )


@contextmanager
def written_book(new_database: NewDatabase) -> Iterator[str]:
    """Two ledgers with a row in every table. Tests share it; audited last."""
    with new_database() as database:
        with writing(database) as writer:
            for name in ("main", "other"):
                open_ledger(writer, name)
                do(writer, deposit(1, 500), key="k1", ledger=name)
                do(writer, transaction("cash", "capped:1", 300), ledger=name)
                do(writer, transaction("vault:1", "cash", 400), ledger=name)
                hold = done(do(writer, withdrawal(1, 50, pending=True, timeout_seconds=9_999), ledger=name))
                do(writer, withdrawal(1, 60, pending=True, timeout_seconds=9_999), ledger=name)
                do(writer, c.HoldVoid(), hold, ledger=name)
                do(writer, c.AccountOpening("customers:99"), ledger=name)
                do(writer, c.AccountClosing(), "customers:99", ledger=name)
                done(do(writer, c.PeriodClosing(), "2020", ledger=name))
        yield database
        audited(database)


def contents(conninfo: str) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    with psycopg.connect(conninfo) as connection:
        return {
            table: [
                row
                for (row,) in connection.execute(
                    composed.SQL("SELECT t::text FROM daybook.{} t ORDER BY 1").format(
                        composed.Identifier(table)
                    )
                )
            ]
            for table in TABLES
        }


@contextmanager
def attack(conninfo: str, error: type[psycopg.Error], constraint: str | None) -> Iterator[Connection]:
    """A superuser's transaction about `main` that must be refused for this reason and change nothing."""
    before = contents(conninfo)
    with psycopg.connect(conninfo) as connection:
        about(connection, 1)
        refused: psycopg.Error | None = None
        try:
            yield connection
            connection.commit()
        except psycopg.Error as raised:
            refused = raised
        connection.rollback()
    assert refused is not None, "the attack was not refused"
    assert (type(refused), refused.diag.constraint_name) == (error, constraint), refused
    assert contents(conninfo) == before


# ---------------------------------------------------------------- a forged batch, rule by rule


def head_seq(connection: Connection) -> int:
    row = connection.execute("SELECT seq FROM daybook.heads WHERE ledger_id = 1").fetchone()
    assert row is not None
    return int(row[0])


def move_head(connection: Connection, by: int = 1, incarnation: int = 1) -> int:
    """Announce `by` events; the first one's seq."""
    first = head_seq(connection) + 1
    connection.execute(
        "UPDATE daybook.heads SET seq = seq + %s, previous_seq = seq,"
        " recorded_at = recorded_at + interval '1 second', incarnation = %s WHERE ledger_id = 1",
        (by, incarnation),
    )
    return first


def add_events(
    connection: Connection,
    seqs: Sequence[int],
    *,
    legs: int = 2,
    body: bytes = b"{}",
    leaf: bytes | None = None,
    later: timedelta = timedelta(),
    ledger: int = 1,
    type: str = "transaction_posted",
) -> None:
    connection.execute(
        "INSERT INTO daybook.events (seq, effective_at, recorded_at, ledger_id, legs, type, leaf, body)"
        " SELECT s, recorded_at, recorded_at + %s, %s, %s, %s, %s, %s"
        " FROM unnest(%s::bigint[]) s, daybook.heads WHERE ledger_id = 1",
        (later, ledger, legs, type, leaf or sha256(b"\x00" + body).digest(), body, list(seqs)),
    )


Leg = tuple[int, int, int, int]  # seq, leg, account, amount


def add_legs(connection: Connection, *legs: Leg, kinds: Sequence[int] = (), ledger: int = 1) -> None:
    """All in one statement, with counters that nobody checks."""
    rows = [(ledger, *leg, kinds[i] if kinds else 0) for i, leg in enumerate(legs)]
    values = composed.SQL(", ").join(
        composed.SQL("({}, now(), 0, 0, 0, 0, 1)").format(composed.SQL(", ").join(map(composed.Literal, row)))
        for row in rows
    )
    connection.execute(
        composed.SQL(
            "INSERT INTO daybook.postings (ledger_id, seq, leg, account_id, amount, kind, effective_at,"
            " debits_posted, credits_posted, debits_pending, credits_pending, asset_id) VALUES {}"
        ).format(values)
    )
