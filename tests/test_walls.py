"""The walls behind the API's check: with the check taken away, another tenant still gets nothing.

What asks whose a ledger is are two queries, the reader's and the writer's `find_ledger`. Here both forget the
tenant, so the API asks for, and commands, whatever ledger a stranger names.
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from api.openapi import document
from ledger import reader, store
from tests.audit import audited
from tests.conftest import NewDatabase
from tests.keys import make_key
from tests.served import Book, Service, move, served
from tests.test_access import filled

CHECK = "tenant = %(tenant)s AND "
READS = [path for path, methods in document()["paths"].items() if "get" in methods and "{ledger}" in path]


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    """A service that does not check, and whose every answer is judged by this module alone."""
    with pytest.MonkeyPatch.context() as patch:
        for queries in (reader.QUERIES, store.QUERIES):
            assert CHECK in queries["find_ledger"]
            patch.setitem(queries, "find_ledger", queries["find_ledger"].replace(CHECK, ""))
        with served(database) as service:
            assert service.call("POST", "/v1/tenants", {"name": "acme"}).status_code == 201
            yield service


@pytest.fixture
def book(service: Service) -> Book:
    """A ledger of the default tenant with a transaction."""
    book = service.open()
    book.seq(move("cash", "customers:1", 5, description="a secret of ours"))
    return book


@pytest.fixture
def stranger(database: str) -> dict[str, str]:
    """An administrator of another tenant."""
    return {"authorization": f"Bearer {make_key(database, 'admin', tenant='acme')}"}


def test_the_check_is_really_gone(database: str, book: Book) -> None:
    """What the service asks finds the ledger for any tenant, where no wall stands before it."""
    with psycopg.connect(database) as connection:
        for queries in (reader.QUERIES, store.QUERIES):
            wanted = {"tenant": "acme", "name": book.name}
            assert connection.execute(queries["find_ledger"], wanted).fetchone() is not None


@pytest.mark.parametrize("path", READS)
def test_row_level_security_still_hides_it(book: Book, stranger: dict[str, str], path: str) -> None:
    """A stranger who asks as one should is told that there is no such ledger; its own tenant reads it."""
    place = filled(path, book.name)
    answer = book.service.client.get(place, headers=stranger)
    assert (answer.status_code, answer.json()["code"]) == (404, "ledger_not_found"), answer.text
    assert "a secret of ours" not in answer.text
    own = book.service.client.get(place)
    assert own.status_code == 200 or own.json()["code"] != "ledger_not_found", own.text
    assert own.status_code != 400, own.text
    assert book.get("/events", after=1)["events"][0]["body"]["description"] == "a secret of ours"


def test_the_trigger_still_refuses_to_write_it(database: str, book: Book, stranger: dict[str, str]) -> None:
    """The writer finds the ledger and decides; the database refuses what it would store (a defect: 500)."""
    head = book.head()
    for method, path, body in (
        ("POST", "/transactions", move("cash", "customers:1", 5)),
        ("POST", "/transactions/2/reverse", {}),
        ("POST", "/accounts", {"address": "customers:9"}),
        ("POST", "/periods/2020/close", {}),
    ):
        answer = book.call(method, path, body, headers=stranger)
        assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert book.head() == head
    assert book.seq(move("cash", "customers:1", 5)) == head + 1
    audited(database)
