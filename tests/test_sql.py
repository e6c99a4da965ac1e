"""The loader of named queries, and the migrator on small folders of migrations of its own."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from sql import load
from sql.migrate import MigrationError, migrate, pending


@pytest.fixture
def empty_database(server: str) -> Iterator[str]:
    name = f"daybook_test_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        yield make_conninfo(server, dbname=name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    (tmp_path / "0001_books.sql").write_text("CREATE TABLE book (id int);\nINSERT INTO book VALUES (1);\n")
    (tmp_path / "0002_pages.sql").write_text("CREATE TABLE page (id int);\n")
    return tmp_path


def applied(conninfo: str) -> list[str]:
    with psycopg.connect(conninfo) as conn:
        return [name for (name,) in conn.execute("SELECT name FROM daybook.migrations ORDER BY version")]


def test_migrations_are_applied_once_and_in_order(empty_database: str, migrations: Path) -> None:
    assert migrate(empty_database, migrations) == ["0001_books", "0002_pages"]
    assert migrate(empty_database, migrations) == []
    assert applied(empty_database) == ["0001_books", "0002_pages"]


def test_pending_names_what_is_missing_without_applying_it(empty_database: str, migrations: Path) -> None:
    with psycopg.connect(empty_database) as conn:
        assert pending(conn, migrations) == ["0001_books", "0002_pages"]
    migrate(empty_database, migrations)
    (migrations / "0003_covers.sql").write_text("CREATE TABLE cover (id int)")
    with psycopg.connect(empty_database) as conn:
        assert pending(conn, migrations) == ["0003_covers"]


def test_failed_migration_leaves_those_before_it_and_nothing_of_itself(
    empty_database: str, migrations: Path
) -> None:
    (migrations / "0003_covers.sql").write_text("CREATE TABLE cover (id int); SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty_database, migrations)
    assert applied(empty_database) == ["0001_books", "0002_pages"]
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("SELECT to_regclass('cover')").fetchone() == (None,)


def test_changed_migration_is_refused(empty_database: str, migrations: Path) -> None:
    migrate(empty_database, migrations)
    (migrations / "0001_books.sql").write_text("CREATE TABLE book (id bigint)")
    with pytest.raises(MigrationError, match="0001_books"):
        migrate(empty_database, migrations)


def test_database_newer_than_the_code_is_refused(empty_database: str, migrations: Path) -> None:
    migrate(empty_database, migrations)
    (migrations / "0002_pages.sql").unlink()
    with psycopg.connect(empty_database) as conn, pytest.raises(MigrationError, match="newer"):
        pending(conn, migrations)


@pytest.mark.parametrize("name", ["0004_gap", "0002_twice", "covers"])
def test_misnumbered_migration_is_refused(empty_database: str, migrations: Path, name: str) -> None:
    (migrations / f"{name}.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="expected"):
        migrate(empty_database, migrations)


def test_line_ends_of_the_checkout_do_not_matter(empty_database: str, migrations: Path) -> None:
    migrate(empty_database, migrations)
    script = migrations / "0001_books.sql"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    assert migrate(empty_database, migrations) == []


def test_migrators_at_once_apply_each_migration_once(empty_database: str, migrations: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: migrate(empty_database, migrations), range(4)))
    assert sorted(results) == [[], [], [], ["0001_books", "0002_pages"]]


def test_queries_are_loaded_by_name_without_their_descriptions(tmp_path: Path) -> None:
    file = tmp_path / "queries.sql"
    file.write_text(
        "-- What this file is for.\n\n"
        "-- name: one\n-- Says one.\n-- And no more.\nSELECT 1 -- indeed\n\n"
        "-- name: two\nSELECT\n    2\n"
    )
    assert load(str(file)) == {"one": "SELECT 1 -- indeed", "two": "SELECT\n    2"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n", "two queries are named one"),
        ("-- name: one\n-- Nothing follows.\n", "one has no query"),
        ("SELECT 1\n-- name: one\nSELECT 1\n", "before the first"),
    ],
)
def test_ambiguous_file_of_queries_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    file = tmp_path / "queries.sql"
    file.write_text(content)
    with pytest.raises(ValueError, match=complaint):
        load(str(file))
