"""Who may ask for what: every operation of the document, with no credentials, wrong ones, and another's."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import psycopg
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from api.access.gate import ACCEPTED_SECONDS
from api.access.keys import KeyRing
from api.access.scopes import SCOPES
from api.app import create_app
from api.openapi import document
from api.operations import FEED
from api.routes import Routes
from ledger.batch import Request
from ledger.commands import AccountClosing, command
from ledger.errors import LedgerNotFound
from ledger.keeping import Keeping
from ledger.reader import Reader
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.keys import admin_key, make_key
from tests.served import Book, Service, move, served

PATHS: dict[str, Any] = document()["paths"]
EVERY = [
    pytest.param(method.upper(), path, id=f"{method.upper()} {path}")
    for path, methods in PATHS.items()
    for method in methods
]
# The signature is their credentials (tests/test_inbox.py).
SIGNED = {
    "/webhooks/{provider}",
    "/webhooks/{provider}/{endpoint}",
    "/api/v1/webhooks/buffr",
    "/api/webhooks/kredit/verification-request",
    "/api/webhooks/kredit/tenant-created",
    "/api/webhooks/kredit/subscription-payment-request",
}
OPEN = {"/health/live", "/health/ready", "/v1/rejections", "/v1/verifier-key"}
PAGES = {"/docs", "/openapi.json"}
VALUES = {"address": "cash", "seq": "2", "job": "6d1c4f0e-53d7-4f0b-9c5e-0f4b6a1e2d3c", "tenant": "acme"}
VALUES |= {
    "approval": "2f7c0e4e-9a53-4d62-8f10-7b0b4f6b3a10",
    "key": "0d0d8f6e-3c0e-4b5e-8d39-0b2a9a1a7c51",
    "period": "2020",
}
VALUES |= {"provider": "stripe", "endpoint": "7b1f1d1c-2b8e-4d5a-9a51-6d0f6c3f2a10", "number": "2"}


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with served(database) as service:
        assert service.call("POST", "/v1/tenants", {"name": "acme"}).status_code == 201
        yield service


@pytest.fixture(scope="module")
def book(service: Service) -> Book:
    """A ledger of the default tenant, with a transaction."""
    book = service.open()
    book.seq(move("cash", "customers:1", 5))
    return book


def ask(service: Service, method: str, path: str, key: str | None, body: Any = None) -> httpx.Response:
    """Ask with other credentials than the service's own client has."""
    if body is None and method in ("POST", "PUT"):
        body = {}
    if key is None:
        with httpx.Client(base_url=service.base, timeout=30) as stranger:
            return stranger.request(method, path, json=body)
    return service.call(method, path, body, headers={"authorization": f"Bearer {key}"})


def example(method: str, path: str) -> Any:
    """A complete body, of those that the document shows."""
    asked = PATHS[path][method.lower()].get("requestBody")
    return None if asked is None else asked["content"].get("application/json", {}).get("example")


def filled(path: str, ledger: str, known: Mapping[str, str] = VALUES) -> str:
    values = {**VALUES, **known, "ledger": ledger}
    return re.sub(r"\{(\w+)\}", lambda name: values.get(name[1]) or parameter(path, name[1]), path) + needed(
        path, ledger
    )


def needed(path: str, ledger: str) -> str:
    """The query that an operation cannot do without; the ledger, where it stands there."""
    methods = PATHS[path]
    parameters = methods.get("get", next(iter(methods.values()))).get("parameters", ())
    names = [one["name"] for one in parameters if one.get("in") == "query" and one.get("required")]
    if any(one.get("in") == "query" and one.get("name") == "ledger" for one in parameters):
        return f"?ledger={ledger}"
    return "?" + "&".join(f"{name}=1" for name in names) if names else ""


def parameter(path: str, name: str) -> str:
    """The document's example of a parameter."""
    (operation, *_) = PATHS[path].values()
    return next(str(one["example"]) for one in operation["parameters"] if one.get("name") == name)


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_every_operation_declares_what_it_needs(method: str, path: str) -> None:
    """A scope that there is, or none for what is open on purpose; and the security that goes with it."""
    operation = PATHS[path][method.lower()]
    if path in OPEN | SIGNED:
        assert operation["x-scope"] == "none"
        assert "security" not in operation
        assert path not in SIGNED or "401" in operation["responses"]
        return
    assert operation["x-scope"] in SCOPES
    assert operation["security"] == [{"bearer": [operation["x-scope"]]}]
    assert {"401", "403"} <= set(operation["responses"])


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_nothing_is_answered_without_credentials(
    service: Service, book: Book, method: str, path: str
) -> None:
    """No header, another scheme, an unknown key, no key at all: 401, and how to say who you are."""
    if path in SIGNED:
        answer = ask(service, method, filled(path, book.name), None)
        assert answer.json()["code"] in ("webhooks_closed", "endpoint_not_found")
        return
    if path in OPEN:
        assert ask(service, method, filled(path, book.name), None).status_code in (200, 503)
        return
    unknown = "daybook_00000000_" + "x" * 43
    for answer in (
        ask(service, method, filled(path, book.name), None),
        ask(service, method, filled(path, book.name), unknown),
        ask(service, method, filled(path, book.name), "some.other.token"),
        service.call(method, filled(path, book.name), headers={"authorization": "Basic eDp5"}),
    ):
        assert answer.status_code == 401, answer.text
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_nothing_is_answered_without_the_scope(
    service: Service, book: Book, database: str, method: str, path: str
) -> None:
    """A key that has every scope but the one that is needed (and those that contain it): 403, naming it."""
    needed = PATHS[path][method.lower()]["x-scope"]
    if needed == "none":
        return
    contain = {
        "ledger:read": {"ledger:write", "ledger:admin", "ledger:approve"},
        "ledger:write": {"ledger:admin"},
    }
    others = sorted(set(SCOPES) - {needed} - contain.get(needed, set()))
    answer = ask(service, method, filled(path, book.name), make_key(database, *others))
    assert answer.status_code == 403, answer.text
    assert answer.json()["evidence"]["scope"] == needed


@pytest.mark.parametrize(("method", "path"), [each for each in EVERY if "{ledger}" in str(each.values[1])])
def test_a_ledger_of_another_tenant_is_not_there(
    service: Service, book: Book, database: str, method: str, path: str
) -> None:
    """Whoever may do everything in another tenant, or with other ledgers, is told that there is none."""
    head = book.head()
    for key in (
        make_key(database, "admin", tenant="acme"),
        make_key(database, "admin", ledgers=["another"]),
    ):
        answer = ask(service, method, filled(path, book.name), key, example(method, path))
        assert answer.status_code == 404, answer.text
        assert answer.json()["code"] == "ledger_not_found"
    assert book.head() == head


@pytest.mark.parametrize(("method", "path"), [one for one in EVERY if "{ledger}" not in str(one.values[1])])
def test_nothing_of_another_tenant_is_shown_or_changed(
    service: Service, book: Book, database: str, theirs: dict[str, str], method: str, path: str
) -> None:
    """What has an id is not there for them; what is a list, or makes something, is about their own tenant."""
    scope = PATHS[path][method.lower()]["x-scope"]
    asked = filled(path, book.name, theirs)
    answer = ask(service, method, asked, make_key(database, "admin", tenant="beta"), example(method, path))
    if scope == "service:admin":
        assert (answer.status_code, answer.json()["evidence"]["scope"]) == (403, "service:admin")
    elif "{" in path and scope != "none":
        assert answer.status_code == 404, answer.text
    assert not [word for word in theirs.values() if word in answer.text and word not in asked]


@pytest.fixture(scope="module")
def theirs(service: Service, book: Book) -> dict[str, str]:
    """What the default tenant has, by the parameter that names it, and words that stand in what it has."""
    assert service.call("POST", "/v1/tenants", {"name": "beta"}).status_code == 201
    job = service.call("POST", f"{book.path}/exports", {"formats": ["jsonl"]}).json()["id"]
    key = service.call("POST", "/v1/api-keys", {"name": "of-default-alone", "scopes": ["customer"]}).json()
    return {"job": job, "key": key["key"]["id"], "ledger": book.name, "name": "of-default-alone"}


@pytest.mark.parametrize("path", PATHS)
def test_a_websocket_needs_the_same_credentials_and_only_feeds_have_one(
    service: Service, book: Book, database: str, path: str
) -> None:
    """No credentials, unknown ones, none of the scope, another tenant's, other ledgers': it never opens."""
    address = service.base.replace("http", "ws", 1) + filled(path, book.name)
    refused = [
        ({}, 401),
        ({"authorization": "Bearer daybook_00000000_" + "x" * 43}, 401),
        (bearer(make_key(database, "service:admin", "audit:read")), 403),
        (bearer(make_key(database, "admin", tenant="acme")), 404),
        (bearer(make_key(database, "admin", ledgers=["another"])), 404),
    ]
    if path != FEED:
        refused = [(bearer(make_key(database, "admin", "service:admin")), 404)]
    for headers, status in refused:
        with pytest.raises(InvalidStatus) as error, connect(address, additional_headers=headers):
            pass
        assert error.value.response.status_code == status
    if path == FEED:
        with connect(address, additional_headers=bearer(make_key(database, "ledger:read"))) as socket:
            assert '"seq":1,' in str(socket.recv(timeout=10))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_a_head_request_needs_the_credentials_of_the_get(service: Service, book: Book) -> None:
    """Else it would say what is there, and how long it is."""
    for path, methods in PATHS.items():
        if "get" in methods and path not in OPEN:
            assert ask(service, "HEAD", filled(path, book.name), None).status_code == 401, path


def test_the_service_has_no_path_beside_the_document(service: Service, tmp_path: Path) -> None:
    """But the document and the page that shows it, which hold nothing of anybody and take nothing."""
    routed: list[str] = []
    with patch.object(Routes, "add", lambda routes, path, target: routed.append(path)):
        app = create_app("", Keeping(tmp_path), tmp_path)
    assert {path.replace(":path}", "}") for path in routed} == {*PATHS, *PAGES}
    assert [getattr(route, "path", "") for route in app._beside.routes] == ["/docs/static"]
    for page in PAGES:
        assert ask(service, "GET", page, None).status_code == 200
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert ask(service, method, page, None).status_code == 405
    assert ask(service, "GET", "/docs/static/swagger-ui.css", None).status_code == 200
    for outside in ("/docs/static/../docs.py", "/docs/static/%2e%2e/__init__.py", "/docs/static//etc/passwd"):
        assert ask(service, "GET", outside, None).status_code == 404


def test_a_complete_command_to_another_tenants_ledger_changes_nothing(
    service: Service, book: Book, database: str
) -> None:
    """Not refused for its body: the ledger is not there for them."""
    key = make_key(database, "admin", tenant="acme")
    head = book.head()
    answer = book.call(
        "POST", "/transactions", move("cash", "customers:1", 5), headers={"authorization": f"Bearer {key}"}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "ledger_not_found")
    assert book.head() == head


def test_two_tenants_may_use_one_name(service: Service, book: Book, database: str) -> None:
    """Each sees its own, in lists, balances and events."""
    acme = {"authorization": f"Bearer {make_key(database, 'admin', tenant='acme')}"}
    opened = service.call(
        "POST",
        "/v1/ledgers",
        {"name": book.name, "chart": {"assets": ["USD/2"], "accounts": [{"pattern": "a", "type": "asset"}]}},
        headers=acme,
    )
    assert opened.status_code == 201, opened.text
    listed = service.call("GET", "/v1/ledgers", headers=acme).json()["ledgers"]
    assert [ledger["name"] for ledger in listed] == [book.name]
    theirs = service.call("GET", book.path, headers=acme).json()
    assert theirs["seq"] == 1
    assert theirs["id"] != book.get("")["id"]
    only = {"authorization": f"Bearer {make_key(database, 'ledger:read', ledgers=['nothing'])}"}
    assert service.call("GET", "/v1/ledgers", headers=only).json()["ledgers"] == []


def test_events_say_who_did_it(service: Service, book: Book, database: str) -> None:
    """The key's prefix and the request's id stand in the body that was hashed."""
    key = make_key(database, "ledger:write")
    headers = {"authorization": f"Bearer {key}", "x-request-id": "r-77"}
    answer = book.call("POST", "/transactions", move("cash", "customers:1", 1), headers=headers)
    event = book.get("/events", after=answer.json()["seq"] - 1)["events"][0]["body"]
    assert event["actor"] == f"key:{key.split('_')[1]}"
    assert event["request_id"] == "r-77"


def test_a_key_makes_no_key_that_can_do_more(service: Service, book: Book, database: str) -> None:
    """Neither in scopes nor in ledgers; a rotation counts as making one."""
    key = make_key(database, "ledger:admin", ledgers=[book.name])
    headers = {"authorization": f"Bearer {key}"}
    for body, status in (
        ({"name": "x", "scopes": ["ledger:write"], "ledgers": [book.name]}, 201),
        ({"name": "x", "scopes": ["audit:read"], "ledgers": [book.name]}, 403),
        ({"name": "x", "scopes": ["service:admin"], "ledgers": [book.name]}, 403),
        ({"name": "x", "scopes": ["ledger:read"], "ledgers": [book.name, "other"]}, 403),
        ({"name": "x", "scopes": ["ledger:read"]}, 403),
        ({"name": "x", "scopes": ["ledger:own"]}, 400),
    ):
        answer = service.call("POST", "/v1/api-keys", body, headers=headers)
        assert answer.status_code == status, answer.text
    keys = service.call("GET", "/v1/api-keys").json()["keys"]
    powerful = next(one for one in keys if "service:admin" in one["scopes"])
    everywhere = {"authorization": f"Bearer {make_key(database, 'ledger:admin')}"}
    for credentials, status in ((everywhere, 403), (headers, 404)):
        answer = service.call("POST", f"/v1/api-keys/{powerful['id']}/rotate", {}, headers=credentials)
        assert answer.status_code == status


def test_a_key_lives_and_ends_over_the_api(service: Service, book: Book) -> None:
    """Made, used, rotated, revoked; within seconds it is refused, and its secret is shown only once."""
    made = service.call("POST", "/v1/api-keys", {"name": "reader", "scopes": ["customer"]}).json()
    headers = {"authorization": f"Bearer {made['secret']}"}
    assert service.call("GET", book.path, headers=headers).status_code == 200
    assert made["secret"] not in service.call("GET", "/v1/api-keys").text
    successor = service.call("POST", f"/v1/api-keys/{made['key']['id']}/rotate", {"overlap_seconds": 600})
    assert successor.headers["cache-control"] == "no-store"
    other = {"authorization": f"Bearer {successor.json()['secret']}"}
    assert service.call("GET", book.path, headers=other).status_code == 200
    id = successor.json()["key"]["id"]
    assert service.call("POST", f"/v1/api-keys/{id}/revoke").json()["revoked_at"]
    assert service.call("POST", f"/v1/api-keys/{id}/revoke").status_code == 200
    nothing = service.call("POST", "/v1/api-keys/0d0d8f6e-3c0e-4b5e-8d39-0b2a9a1a7c51/revoke")
    assert (nothing.status_code, nothing.json()["code"]) == (404, "api_key_not_found")
    deadline = ACCEPTED_SECONDS + 1
    with httpx.Client(base_url=service.base, headers=other) as client:
        statuses = set()
        for _ in range(int(deadline * 10)):
            statuses.add(client.get(book.path).status_code)
            if 401 in statuses:
                break
            time.sleep(0.1)
    assert 401 in statuses


# ---------------------------------------------------------------- the second wall


def test_without_the_apis_check_a_reader_still_sees_only_its_tenant(
    service: Service, book: Book, database: str
) -> None:
    """A reader for another tenant that is handed this ledger's number finds no row in any table."""
    with closing(Reader(database, 1)) as reader, reader.snapshot(book.name) as (_, parameters):
        ledger_id = parameters["ledger_id"]
    with psycopg.connect(database) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_policies WHERE policyname = 'own_ledger'"
            " AND has_table_privilege('daybook_reader', format('%I.%I', schemaname, tablename), 'SELECT')"
        ).fetchall()
        assert len(tables) >= 12
        for tenant, sees in (("acme", False), ("default", True)):
            connection.execute("SET ROLE daybook_reader")
            connection.execute(
                "SELECT set_config('daybook.tenant', %s, false), set_config('daybook.ledger_id', %s, false)",
                (tenant, str(ledger_id)),
            )
            found = {
                f"{schema}.{table}"
                for schema, table in tables
                if connection.execute(f"SELECT 1 FROM {schema}.{table} LIMIT 1".encode()).fetchone()
            }
            assert ("daybook.events" in found) == sees
            assert bool(found) == sees
            names = connection.execute("SELECT name FROM daybook.ledgers WHERE ledger_id = %s", (ledger_id,))
            assert bool(names.fetchall()) == sees
            connection.execute("RESET ROLE")


def test_without_the_apis_check_the_trigger_still_refuses_the_write(
    service: Service, book: Book, database: str
) -> None:
    """A transaction for another tenant that is handed this ledger's number cannot move its head."""
    with psycopg.connect(database) as connection:
        connection.execute("SET ROLE daybook_writer")
        row = connection.execute(
            "SELECT ledger_id FROM daybook.ledgers WHERE tenant = 'default' AND name = %s", (book.name,)
        ).fetchone()
        assert row is not None
        connection.execute(
            "SELECT set_config('daybook.tenant', 'acme', false), set_config('daybook.ledger_id', %s, false)",
            (str(row[0]),),
        )
        with pytest.raises(psycopg.errors.RestrictViolation, match="not this transaction's ledger"):
            connection.execute("UPDATE daybook.heads SET seq = seq + 1 WHERE ledger_id = %s", row)


def test_a_writer_for_another_tenant_does_not_find_the_ledger(book: Book, database: str) -> None:
    """The name is looked up among the tenant's own."""
    asked = Request([command(AccountClosing(), "cash")])
    with writing(database) as writer:
        assert writer.execute(f"default/{book.name}", asked)
        with pytest.raises(LedgerNotFound):
            writer.execute("acme/nothing", asked)


def test_an_installation_has_one_bootstrap_and_many_administrators(database: str) -> None:
    """An administrator's key can be made at the console at any time."""
    assert admin_key(database)
    with closing(KeyRing(database)) as keys:
        assert any(key.scopes == ["admin", "service:admin"] for key in keys.list("default"))
