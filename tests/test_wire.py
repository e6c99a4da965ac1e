"""Messages of several statements: each COPY gets its own data, and trouble leaves the connection in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors

from ledger import rows, store
from ledger.wire import CHUNK, Connection, Message

COPY = "COPY pg_temp.{} FROM STDIN (FORMAT binary);"
TABLES = ("first", "second", "third")


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection with three tables whose rows hold a number that must not be negative, and some bytes."""
    with store.connect(database, 1, role=None) as connection:
        for table in TABLES:
            connection.execute(
                f"CREATE TEMPORARY TABLE {table} (number bigint CHECK (number >= 0), text bytea)"
            )
        yield connection


def data(numbers: list[int], size: int) -> bytes:
    """A COPY stream of rows with so many bytes each."""
    return rows.buffer(
        b"".join(
            b"\0\2\0\0\0\x08" + n.to_bytes(8, "big", signed=True) + size.to_bytes(4, "big") + bytes(size)
            for n in numbers
        )
    )


def stored(connection: Connection) -> list[tuple[int, int, int]]:
    """The sum of numbers, and the count and the bytes of rows, of each table."""
    return [
        connection.execute(
            f"SELECT coalesce(sum(number), 0)::bigint, count(*), coalesce(sum(length(text)), 0) FROM {table}"
        ).fetchone()  # type: ignore[misc]
        for table in TABLES
    ]


def copying(connection: Connection) -> Message:
    """A transaction that copies into the three tables and then writes a row of its own into the last."""
    message = Message(connection)
    message.add("BEGIN;")
    for table in TABLES:
        message.add(COPY.format(table))
    message.add("INSERT INTO third VALUES (1000, '');")
    message.add("COMMIT;")
    return message


@pytest.mark.parametrize("size", [0, 100, CHUNK, 5 * CHUNK])
def test_each_copy_takes_its_own_data(connection: Connection, size: int) -> None:
    """Whether the data goes ahead of the server's asking or waits for it, every COPY gets what is its own."""
    sent: list[bool] = []
    for _ in range(3):
        copying(connection).store(
            [data([1, 2], size), data([10], size), data([100], size)], lambda: sent.append(True)
        )
    assert stored(connection) == [(9, 6, 6 * size), (30, 3, 3 * size), (3300, 6, 3 * size)]
    assert len(sent) == 3


@pytest.mark.parametrize("size", [100, CHUNK])
@pytest.mark.parametrize("bad", range(len(TABLES)))
def test_a_refused_copy_leaves_nothing_and_the_connection_in_order(
    connection: Connection, bad: int, size: int
) -> None:
    """Its error is raised; data of later ones is dropped and never becomes that of another message."""
    buffers = [data([1], size), data([10], size), data([100], size)]
    refused = [*buffers[:bad], data([-1], size), *buffers[bad + 1 :]]
    for _ in range(2):
        with pytest.raises(errors.CheckViolation) as caught:
            copying(connection).store(refused)
        assert caught.value.diag.table_name == TABLES[bad]
        connection.execute("ROLLBACK")
        assert stored(connection) == [(0, 0, 0)] * 3
    copying(connection).store(buffers)
    assert stored(connection) == [(1, 1, size), (10, 1, size), (1100, 2, size)]


@pytest.mark.parametrize("size", [100, CHUNK])
def test_data_for_no_copy_is_dropped(connection: Connection, size: int) -> None:
    """A message refused before its first COPY takes none of its data, nor does a later message."""
    for _ in range(2):
        message = Message(connection)
        message.add("SELECT 1 / 0;")
        message.add(COPY.format(TABLES[0]))
        with pytest.raises(errors.DivisionByZero):
            message.store([data([7], size)])
    message = Message(connection)
    message.add(COPY.format(TABLES[0]))
    message.store([data([1], size)])
    assert stored(connection)[0] == (1, 1, size)


@pytest.mark.parametrize("size", [100, CHUNK])
def test_a_lost_connection_is_an_operational_error(connection: Connection, database: str, size: int) -> None:
    """Whatever was being sent when the server went away, the caller hears that the connection is lost."""

    def end() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))

    def store_for_ever() -> None:
        while True:
            copying(connection).store([data([1], size)] * 3)

    ending = threading.Timer(0.2, end)
    ending.start()
    with pytest.raises(psycopg.OperationalError):
        store_for_ever()
    ending.join()
    assert connection.broken


@pytest.mark.parametrize(
    "text", ["", "it's", "''", "\\", "\\'", "'\\", "%s %% %(a)s", "\n\t", "Kč ✓ 𝄞", "$$ ' $$", "E'x'"]
)
def test_a_text_arrives_as_it_was_sent(connection: Connection, text: str) -> None:
    """Quotes, backslashes, percent signs, any letter; whatever the environment says of encodings."""
    assert connection.execute("SELECT %s::text", [text]).fetchone() == (text,)
    message = Message(connection)
    message.add(
        "SELECT %(text)s::text, %(encoded)s::text, %(absent)s::text, %(number)s::bigint - %(number)s;",
        {"text": text, "encoded": text.encode(), "absent": None, "number": -7},
    )
    assert message.ask().fetchone() == (text, text, None, 0)


def test_a_text_with_nul_is_refused(connection: Connection) -> None:
    """No literal can have it, so it never gets as far as PostgreSQL."""
    with pytest.raises(psycopg.DataError, match="NUL"):
        connection.execute("SELECT %s::text", ["a\x00b"])
    for text in ("a\x00b", b"a\x00b"):
        with pytest.raises(psycopg.DataError, match="NUL"):
            Message(connection).add("SELECT %s::text;", [text])


def test_the_environments_encoding_is_not_the_writers(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts are quoted as UTF-8, so that is what the server is told."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with store.connect(database, 1, role=None) as connection:
        assert connection.execute("SELECT %s::text", ["Kč"]).fetchone() == ("Kč",)
