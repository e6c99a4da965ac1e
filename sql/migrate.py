"""Brings a database to the schema of this code, one numbered file at a time.

`migrations/NNNN_name.sql` run in order, each in a transaction that also records its number, name and
SHA-256. A file that has been applied never changes: a correction is a new file. The one thing made here
rather than in a migration is the record itself, with the schema it lives in.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import TupleRow

MIGRATIONS = Path(__file__).with_name("migrations")

# One migrator at a time in a database. The number is arbitrary: "daybook" in ASCII.
_LOCK = 0x646179626F6F6B

_RECORD = """
CREATE SCHEMA IF NOT EXISTS daybook;
CREATE TABLE IF NOT EXISTS daybook.migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


class MigrationError(RuntimeError):
    """The database, or the folder of migrations, is not in a state that this code can work from."""


class _Migration(NamedTuple):
    version: int
    name: str
    script: bytes
    sha256: str


def migrate(conninfo: str, directory: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing and return the names applied now, in order (empty: nothing was missing).

    Waits for another migrator of the same database. A failed migration leaves those before it applied
    and raises the driver's error; MigrationError as for `pending`. Every connection setting that a
    migration changes (search_path, role) must be changed with SET LOCAL.
    """
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        conn.execute(_RECORD)
        missing = _missing(conn, directory)
        for migration in missing:
            with conn.transaction():
                # First, because the script may go on as another role.
                conn.execute(
                    "INSERT INTO daybook.migrations (version, name, sha256) VALUES (%s, %s, %s)",
                    (migration.version, migration.name, migration.sha256),
                )
                conn.execute(migration.script)
    return [migration.name for migration in missing]


def pending(conn: psycopg.Connection[Any], directory: Path = MIGRATIONS) -> list[str]:
    """The names of the migrations that this database still lacks, in order.

    Raises MigrationError when the database is newer than the code, when an applied migration's file
    has changed since, or when the files are not numbered 0001, 0002, ... without a gap.
    """
    return [migration.name for migration in _missing(conn, directory)]


def _missing(conn: psycopg.Connection[Any], directory: Path) -> list[_Migration]:
    known = _read(directory)
    applied = _applied(conn)
    if len(applied) > len(known):
        raise MigrationError(
            f"The database is newer than this code: it has {applied[-1][1]}, "
            f"the code ends with {known[-1].name if known else 'no migration at all'}."
        )
    for (version, name, sha256), migration in zip(applied, known, strict=False):
        if (version, name, sha256) != (migration.version, migration.name, migration.sha256):
            raise MigrationError(
                f"Migration {name} has been applied, but {migration.name}.sql now differs from what was."
            )
    return known[len(applied) :]


def _applied(conn: psycopg.Connection[Any]) -> list[TupleRow]:
    with conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        if cursor.execute("SELECT to_regclass('daybook.migrations')").fetchone() == (None,):
            return []
        query = "SELECT version, name, sha256 FROM daybook.migrations ORDER BY version"
        return cursor.execute(query).fetchall()


def _read(directory: Path) -> list[_Migration]:
    migrations = []
    for expected, path in enumerate(sorted(directory.glob("*.sql")), start=1):
        if not re.fullmatch(r"\d{4}_\w+", path.stem) or int(path.stem[:4]) != expected:
            raise MigrationError(f"{path.name}: expected the migration {expected:04}_<name>.sql here.")
        # As text, so that a checkout with other line ends has the same hash.
        script = path.read_text(encoding="utf-8").encode()
        migrations.append(_Migration(expected, path.stem, script, hashlib.sha256(script).hexdigest()))
    return migrations
