"""Ways past the walls between keys of one tenant and between tenants, that somebody tried."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import jwt
import psycopg
import pytest

from api.access import gate
from api.access.gate import Unauthenticated
from api.access.keys import Grant, KeyRing
from api.access.scopes import Principal
from api.access.tokens import TokenRefused, Tokens, TokenSettings
from ledger.errors import LedgerNotFound, Overloaded
from ledger.reader import Reader
from tests.conftest import NewDatabase
from tests.keys import make_key
from tests.served import Book, Service, served


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with served(database) as service:
        yield service


@pytest.fixture(scope="module")
def book(service: Service) -> Book:
    return service.open()


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


# ---------------------------------------------------------------- jobs


def test_jobs_of_the_whole_service_are_its_administrators_alone(service: Service, database: str) -> None:
    """They name ledgers of every tenant; who may do everything in the default tenant is only a tenant."""
    asked = service.call("POST", "/v1/projections/daily_balances/verify", {})
    assert asked.status_code == 202, asked.text
    path = f"/v1/jobs/{asked.json()['id']}"
    for headers in (bearer(make_key(database, "admin")), bearer(make_key(database, "auditor"))):
        assert service.call("GET", path, headers=headers).status_code == 404
        assert service.call("POST", f"{path}/cancel", headers=headers).status_code == 404
    assert service.call("GET", path).status_code == 200


def test_a_job_of_another_ledger_is_told_apart_from_none_by_nothing(
    service: Service, book: Book, database: str
) -> None:
    """Asked for as a job, or for one of its files."""
    job = book.call("POST", "/exports", {"formats": ["jsonl"]}).json()["id"]
    other = service.open()
    headers = bearer(make_key(database, "admin", ledgers=[other.name]))
    none = "6d1c4f0e-53d7-4f0b-9c5e-0f4b6a1e2d3c"
    for path in ("/v1/jobs/{}", f"{other.path}/exports/{{}}/files/manifest.json"):
        theirs, nobodys = (service.call("GET", path.format(id), headers=headers) for id in (job, none))
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.text.replace(job, none) == nobodys.text


# ---------------------------------------------------------------- pooled connections


def test_a_pooled_connection_keeps_nothing_of_whom_it_served(
    service: Service, book: Book, database: str
) -> None:
    """However a read ended, the next one begins as nobody's: no tenant, no ledger, no row."""
    service.call("POST", "/v1/tenants", {"name": "pooled"})
    with closing(Reader(database, 1)) as reader:
        before = None
        for tenant, name, wrong in (
            ("default", book.name, None),
            ("pooled", book.name, LedgerNotFound),
            ("default", book.name, psycopg.errors.DivisionByZero),
            ("default", "nowhere", LedgerNotFound),
        ):
            with suppress(LedgerNotFound, psycopg.Error), reader.of(tenant).snapshot(name) as (connection, _):
                assert wrong is not LedgerNotFound
                assert connection.execute("SELECT count(*) FROM daybook.ledgers").fetchone() != (0,)
                if wrong is not None:
                    connection.execute("SELECT 1 / 0")
            with reader._pool.connection() as connection:
                assert before in (None, connection.info.backend_pid), "there is another connection"
                before = connection.info.backend_pid
                row = connection.execute(
                    "SELECT daybook.current_ledger(), coalesce(daybook.current_tenant(), ''),"
                    " (SELECT count(*) FROM daybook.ledgers), (SELECT count(*) FROM daybook.events)"
                ).fetchone()
                assert row == (None, "", 0, 0)


# ---------------------------------------------------------------- keys


def test_a_key_for_some_ledgers_sees_and_ends_only_keys_for_those(
    service: Service, book: Book, database: str
) -> None:
    """Others would tell it the names of ledgers that are not there for it, and be at its mercy."""
    secret_ledger = {"name": "secret plan", "scopes": ["ledger:read"], "ledgers": ["merger"]}
    theirs = service.call("POST", "/v1/api-keys", secret_ledger).json()["key"]
    whole = service.call("POST", "/v1/api-keys", {"name": "whole", "scopes": ["ledger:read"]}).json()["key"]
    headers = bearer(make_key(database, "ledger:admin", ledgers=[book.name]))
    mine = {"name": "mine", "scopes": ["ledger:read"], "ledgers": [book.name]}
    own = service.call("POST", "/v1/api-keys", mine, headers=headers).json()["key"]
    listed = service.call("GET", "/v1/api-keys", headers=headers)
    assert "merger" not in listed.text
    assert {tuple(key["ledgers"]) for key in listed.json()["keys"]} == {(book.name,)}
    for key in (theirs, whole):
        for what, body in (("revoke", None), ("rotate", {})):
            answer = service.call("POST", f"/v1/api-keys/{key['id']}/{what}", body, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (404, "api_key_not_found")
    assert service.call("POST", f"/v1/api-keys/{own['id']}/revoke", headers=headers).status_code == 200


def test_a_key_ends_no_key_that_can_do_more(service: Service, database: str) -> None:
    """Else a tenant's administrator could shut out the service's."""
    made = service.call("POST", "/v1/api-keys", {"name": "s", "scopes": ["service:admin"]}).json()["key"]
    admin = bearer(make_key(database, "admin"))
    answer = service.call("POST", f"/v1/api-keys/{made['id']}/revoke", headers=admin)
    assert (answer.status_code, answer.json()["evidence"]["scope"]) == (403, "service:admin")
    assert service.call("POST", f"/v1/api-keys/{made['id']}/revoke").status_code == 200


def test_a_key_makes_no_key_that_lasts_longer(service: Service, database: str) -> None:
    """A key that ends, as one of a rotation does, could make itself last for ever."""
    end = datetime.now(UTC) + timedelta(hours=1)
    with closing(KeyRing(database)) as keys:
        headers = bearer(keys.create("default", Grant("an hour", ["admin"], None, end), "a test").secret)
    later, sooner = end + timedelta(seconds=1), end - timedelta(seconds=1)
    for expires_at, status in ((None, 403), (later, 403), (end, 201), (sooner, 201)):
        body: dict[str, Any] = {"name": "x", "scopes": ["ledger:read"]}
        if expires_at is not None:
            body["expires_at"] = expires_at.isoformat().replace("+00:00", "Z")
        answer = service.call("POST", "/v1/api-keys", body, headers=headers)
        assert answer.status_code == status, answer.text
        if status == 403:
            assert answer.json()["field"] == "expires_at"


def test_only_the_whole_key_counts_as_its_use(database: str) -> None:
    """A prefix stands in every event of its key; who knows no more than that leaves no trace of a use."""
    with closing(KeyRing(database)) as keys:
        made = keys.create("default", Grant("idle", ["ledger:read"]), "a test")
        guess = made.secret[:-1] + ("a" if made.secret[-1] != "a" else "b")
        assert keys.principal(guess) is None
        assert next(key for key in keys.list("default") if key.id == made.key.id).last_used_at is None
        assert keys.principal(made.secret) is not None
        assert next(key for key in keys.list("default") if key.id == made.key.id).last_used_at is not None


def test_credentials_that_are_one_in_many_spellings_are_bounded(service: Service, database: str) -> None:
    """What is remembered of credentials is as long as they can be, however they are spelt."""
    padded = " " * 20_000 + make_key(database, "ledger:read")
    assert service.call("GET", "/v1/ledgers", headers=bearer(padded)).status_code == 401


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize("exp", [10**400, 1e308], ids=["integer", "float"])
def test_a_token_for_ever_and_a_day_is_no_defect(exp: float) -> None:
    """Only the issuer can make one, and then it is taken or refused."""
    secret = "a secret of our own services, long enough"
    claims = {"sub": "x", "aud": "a", "iss": "i", "exp": exp, "tenant": "default"}
    tokens = Tokens(TokenSettings(audience="a", issuer="i", secret=secret))
    with suppress(TokenRefused):
        assert tokens.principal(jwt.encode(claims, secret))[1] > time.time()


# ---------------------------------------------------------------- guesses


def test_guesses_keep_nobody_out_whose_key_was_good_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up keys, as many as may wait, wait among themselves."""
    monkeypatch.setattr(gate, "ACCEPTED_SECONDS", 0.0)
    guessing = threading.Event()
    somebody = Principal(tenant="default", actor="key:good", scopes=frozenset())

    class Keys:
        """A key ring whose database is slow with keys that are not there."""

        def principal(self, key: str) -> Principal | None:
            if key == "daybook_good":
                return somebody
            guessing.wait(10)
            return None

    async def everybody() -> None:
        door = gate.Gate(cast(KeyRing, Keys()), None)
        good = b"Bearer daybook_good"
        assert await door.principal(good) == somebody
        guesses = [
            asyncio.create_task(door.principal(b"Bearer daybook_%d" % n))
            for n in range(gate.MOST_WAITING + 20)
        ]
        try:
            await asyncio.sleep(0.2)
            with pytest.raises(Overloaded):
                await door.principal(b"Bearer daybook_one_more")
            async with asyncio.timeout(5):
                assert await door.principal(good) == somebody
        finally:
            guessing.set()
            found = await asyncio.gather(*guesses, return_exceptions=True)
        assert {type(one) for one in found} == {Unauthenticated}

    asyncio.run(everybody())
