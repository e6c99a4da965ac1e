"""Nobody writes or reads beyond what is theirs: ledgers are apart, and so are the roles.

A transaction is about one ledger. The writer role may append and keep balances up to date, the reader role
may look at the ledger that is set, and neither may touch the guards.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from tests.conftest import NewDatabase
from tests.forgery import (
    APPEND_ONLY,
    CHANGES,
    PER_LEDGER,
    TABLES,
    about,
    add_events,
    add_legs,
    attack,
    move_head,
    written_book,
)


@pytest.fixture(scope="module")
def book(new_database: NewDatabase) -> Iterator[str]:
    with written_book(new_database) as database:
        yield database


COPY_A_ROW = {
    "event_streams": "ledger_id, 99, version, 'transaction:99'",
    "endings": "ledger_id, 99, 'transaction:99'",
    "idempotency_keys": "ledger_id, events, seq, fingerprint, 'other', rejections",
    "assets": "ledger_id, 9, 'XXX/0'",
    "accounts": "ledger_id, 99, opened_seq, closed_seq, 'customers:98', terms",
    "balances": "debits_posted, credits_posted, debits_pending, credits_pending, last_seq, version,"
    " min_available, max_balance, ledger_id, account_id, 9, debit_normal",
    "streams": "ledger_id, version, last_seq, state_version, kind, 'transaction:99', state",
    "holds": "ledger_id, expires_at, 99",
}  # fmt: skip


@pytest.mark.parametrize("table", COPY_A_ROW)
def test_rows_of_another_ledger_are_refused(book: str, table: str) -> None:
    """A transaction about one ledger inserts nothing into another."""
    with attack(book, errors.RestrictViolation, "own_ledger") as connection:
        connection.execute(
            f"INSERT INTO daybook.{table} SELECT {COPY_A_ROW[table]} FROM daybook.{table}"
            " WHERE ledger_id = 2 LIMIT 1".encode()
        )


@pytest.mark.parametrize("table", COPY_A_ROW)
def test_rows_of_ones_own_ledger_are_accepted(book: str, table: str) -> None:
    """The control of the test above."""
    with psycopg.connect(book) as connection:
        about(connection, 2)
        inserted = connection.execute(
            f"INSERT INTO daybook.{table} SELECT {COPY_A_ROW[table]} FROM daybook.{table}"
            " WHERE ledger_id = 2 LIMIT 1".encode()
        )
        assert inserted.rowcount == 1
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE daybook.balances SET version = version + 1 WHERE ledger_id = 2",
        "UPDATE daybook.accounts SET terms = '{}' WHERE ledger_id = 2 AND address = 'cash'",
        "UPDATE daybook.streams SET state = '{}' WHERE ledger_id = 2",
        "UPDATE daybook.heads SET next_expiry = NULL WHERE ledger_id = 2",
        "DELETE FROM daybook.holds WHERE ledger_id = 2",
    ],
)
def test_another_ledgers_rows_are_not_changed(book: str, statement: str) -> None:
    """What may change, changes in the transaction's own ledger only."""
    with attack(book, errors.RestrictViolation, "own_ledger") as connection:
        connection.execute(statement.encode())


def test_events_of_another_ledger_are_refused(book: str) -> None:
    """A head of one ledger does not admit events or legs of another."""
    with attack(book, errors.RestrictViolation, "head_first") as connection:
        add_events(connection, [move_head(connection)], legs=0, ledger=2)
    with attack(book, errors.RestrictViolation, "head_first") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7), ledger=2)


def test_no_ledger_set_means_no_writing(book: str) -> None:
    """Without daybook.ledger_id, a transaction is about nothing."""
    with attack(book, errors.RestrictViolation, "own_ledger") as connection:
        about(connection, None)
        move_head(connection)


def test_a_reader_sees_the_ledger_that_is_set_and_no_other(book: str) -> None:
    """Row-level security hides every row of every other ledger, and all rows when none is set."""
    with psycopg.connect(book) as connection:
        connection.execute("SET ROLE daybook_reader")
        for table in PER_LEDGER:
            query = f"SELECT array_agg(DISTINCT ledger_id) FROM daybook.{table}".encode()
            for setting, seen in (("1", [1]), ("2", [2]), ("3", None), ("", None)):
                about(connection, setting)
                assert connection.execute(query).fetchone() == (seen,), (table, setting)


@pytest.mark.parametrize("table", TABLES)
def test_a_reader_writes_nothing(book: str, table: str) -> None:
    """SELECT is all that the reader role may do."""
    column = "name" if table == "ledgers" else "ledger_id"
    for statement in (
        f"INSERT INTO daybook.{table} DEFAULT VALUES",
        f"UPDATE daybook.{table} SET {column} = {column}",
        f"DELETE FROM daybook.{table}",
        f"TRUNCATE daybook.{table}",
        f"SELECT * FROM daybook.{table} FOR UPDATE",
    ):
        with attack(book, errors.InsufficientPrivilege, None) as connection:
            connection.execute("SET LOCAL ROLE daybook_reader")
            connection.execute(statement.encode())


WRITER_ATTACKS = (
    "UPDATE daybook.accounts SET address = 'x'",
    "UPDATE daybook.ledgers SET name = 'x'",
    "DELETE FROM daybook.accounts",
    "DELETE FROM daybook.heads",
    "DELETE FROM daybook.balances",
    "DELETE FROM daybook.streams",
    "TRUNCATE daybook.holds",
    "UPDATE daybook.closed_periods SET ends_at = starts_at",
    "TRUNCATE daybook.closed_periods",
    "ALTER TABLE daybook.events DISABLE TRIGGER ALL",
    "ALTER TABLE daybook.events DISABLE ROW LEVEL SECURITY",
    "DROP TRIGGER append_only ON daybook.events",
    "DROP TABLE daybook.events",
    "CREATE TRIGGER mine BEFORE INSERT ON daybook.events EXECUTE FUNCTION daybook.refuse_change()",
    "CREATE OR REPLACE FUNCTION daybook.refuse_change() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NULL; END'",
    "CREATE FUNCTION daybook.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SET LOCAL session_replication_role = replica",
)


@pytest.mark.parametrize(
    "statement",
    [statement.format(table, "ledger_id") for table in APPEND_ONLY for statement in CHANGES]
    + list(WRITER_ATTACKS),
)
def test_the_writer_role_can_neither_change_the_book_nor_its_guards(book: str, statement: str) -> None:
    """Grants refuse it before any trigger is asked."""
    with attack(book, errors.InsufficientPrivilege, None) as connection:
        connection.execute("SET LOCAL ROLE daybook_writer")
        connection.execute(statement.encode())


def test_the_writer_role_is_no_member_of_the_owner(book: str) -> None:
    """Who may write may not become who may alter."""
    with psycopg.connect(book) as connection:
        for role in ("daybook_writer", "daybook_reader"):
            row = connection.execute("SELECT pg_has_role(%s, 'daybook_owner', 'MEMBER')", (role,)).fetchone()
            assert row == (False,)
