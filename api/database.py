"""The database that a command works on: reached, recent enough, and with the schema of this code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.settings import Settings
from ledger.reader import Reader
from ledger.writer import Writer
from sql.embedded import running
from sql.migrate import migrate, pending

OLDEST_SERVER = 150_000
# With a server that vanishes without a word (seconds; the last one milliseconds); a URL may say otherwise.
PATIENCE: dict[str, str | int] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class DatabaseError(RuntimeError):
    """The database cannot be used; the message is a sentence for the person at the console."""


@dataclass(frozen=True)
class Database:
    """A database in use. `data_dir` is that of the embedded server, None for a server of somebody else's.

    `applied` are the migrations applied on opening it.
    """

    conninfo: str
    place: str
    data_dir: Path | None
    applied: list[str]


@contextmanager
def opened(settings: Settings, *, migrating: bool = False) -> Iterator[Database]:
    """The database of the settings, for as long as the block runs (DatabaseError and those of `sql`).

    Missing migrations are applied to the embedded server always, to another only when `migrating`.
    """
    if settings.database_url is None:
        with running(settings.data_dir) as conninfo:
            version = check_server(conninfo)
            place = f"{settings.data_dir} (embedded PostgreSQL {version})"
            yield Database(conninfo, place, settings.data_dir, migrate(conninfo))
        return
    conninfo, target = _given(settings.database_url)
    version = check_server(conninfo)
    applied = _migrated(conninfo) if migrating else []
    if not migrating:
        _check_migrated(conninfo)
    yield Database(conninfo, f"{target} (PostgreSQL {version})", None, applied)


@contextmanager
def reading(settings: Settings) -> Iterator[Reader]:
    """A reader of the settings' database."""
    with opened(settings) as database, closing(Reader(database.conninfo, connections=1)) as reader:
        yield reader


@contextmanager
def writing(settings: Settings) -> Iterator[tuple[Writer, Reader]]:
    """A writer and a reader of the settings' database; what is queued is answered before the block ends."""
    with (
        opened(settings) as database,
        closing(Reader(database.conninfo, connections=1)) as reader,
        closing(Writer(database.conninfo, connections=2)) as writer,
    ):
        yield writer, reader


def check_server(conninfo: str) -> str:
    """The server's version, if it answers and is recent enough (DatabaseError)."""
    try:
        with psycopg.connect(conninfo) as connection:
            number = connection.info.server_version
    except psycopg.OperationalError as error:
        raise DatabaseError(f"PostgreSQL cannot be reached: {first_line(error)}") from error
    return check_version(number)


def check_version(number: int) -> str:
    """`18.1` for 180001 (DatabaseError when Daybook cannot work with it)."""
    version = f"{number // 10_000}.{number % 10_000}"
    if number < OLDEST_SERVER:
        raise DatabaseError(f"PostgreSQL {version} is too old: Daybook needs 15 or later.")
    return version


def first_line(error: Exception) -> str:
    """The first line of what the driver says, which is the reason; hints follow it."""
    return str(error).strip().split("\n", 1)[0].rstrip(".") + "."


def _given(url: str) -> tuple[str, str]:
    """A conninfo that does not wait for ever, and the database's name without the password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Without the driver's reason: it quotes the string, password and all.
        raise DatabaseError(
            "DATABASE_URL is not a PostgreSQL address, such as postgresql://user@host:5432/database."
        ) from None
    host = parts.get("host") or parts.get("hostaddr") or "the default host"
    name = f"{parts.get('dbname') or parts.get('user') or 'the default database'} on {host}"
    return make_conninfo(url, **{**PATIENCE, **parts}), name


def _migrated(conninfo: str) -> list[str]:
    try:
        return migrate(conninfo)
    except psycopg.Error as error:
        raise DatabaseError(f"The schema cannot be set up: {first_line(error)}") from error


def _check_migrated(conninfo: str) -> None:
    with psycopg.connect(conninfo) as connection:
        missing = pending(connection)
    if missing:
        raise DatabaseError(f"The database lacks {', '.join(missing)}: run `daybook migrate` first.")
