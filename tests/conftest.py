"""Databases for the tests: one server a run, one migrated template, a copy for each test that asks.

The server is the one of DATABASE_URL (its user must be allowed to create databases and roles), else an
embedded one in a temporary folder, as durable as the real one. Every name is the run's own, so that runs
can share a server.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings
from psycopg import sql as composed
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sql.embedded import running
from sql.migrate import migrate

NewDatabase = Callable[[], AbstractContextManager[str]]
CopyOf = Callable[[str], AbstractContextManager[str]]

# How long an example takes says more of the machine than of the code.
settings.register_profile("unhurried", parent=settings(), deadline=None)
settings.load_profile("unhurried")

_RUN = f"daybook_test_{os.getpid()}_{uuid4().hex[:8]}"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The conninfo of an administrator on the server of this run."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="daybook-test-"))
    try:
        with running(folder) as conninfo:
            yield conninfo
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template_database(server: str) -> Iterator[str]:
    """The name of a database with the schema and nothing else. Nobody may stay connected to it."""
    name = f"{_RUN}_template"
    with _database(server, name) as conninfo:
        migrate(conninfo)
        yield name


@pytest.fixture(scope="session")
def new_database(server: str, template_database: str) -> NewDatabase:
    """Makes databases for fixtures of a wider scope: `with new_database() as conninfo: ...`."""
    numbers = count(1)
    return lambda: _database(server, f"{_RUN}_{next(numbers)}", template_database)


@pytest.fixture(scope="session")
def copy_of(server: str) -> CopyOf:
    """Makes copies of a database to which nobody is connected: `with copy_of(database) as conninfo: ...`."""
    numbers = count(1)
    return lambda conninfo: _database(
        server, f"{_RUN}_copy_{next(numbers)}", str(conninfo_to_dict(conninfo)["dbname"])
    )


@pytest.fixture
def database(new_database: NewDatabase) -> Iterator[str]:
    """The conninfo of a fresh, migrated database, dropped after the test."""
    with new_database() as conninfo:
        yield conninfo


@contextmanager
def _database(server: str, name: str, template: str = "template0") -> Iterator[str]:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(
            composed.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                composed.Identifier(name), composed.Identifier(template)
            )
        )
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(composed.SQL("DROP DATABASE {} WITH (FORCE)").format(composed.Identifier(name)))
