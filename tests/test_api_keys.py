"""The key ring against a real database: what is shown, what is stored, and when a key ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest

from api.access.keys import Grant, KeyNotFound, KeyRing, NewApiKey, TenantExists, TenantNotFound
from api.access.scopes import ROLES, SCOPES, expand


@pytest.fixture
def keys(database: str) -> Iterator[KeyRing]:
    with closing(KeyRing(database)) as ring:
        yield ring


def test_a_key_is_accepted_for_what_it_was_given(keys: KeyRing) -> None:
    """The principal has the tenant, the scopes with what they imply, the ledgers, the prefix as its name."""
    made = keys.create("default", Grant("billing", ["ledger:write"], ["main"]), "key:first")
    found = keys.principal(made.secret)
    assert found is not None
    assert (found.tenant, found.actor) == ("default", f"key:{made.key.prefix}")
    assert found.scopes == {"ledger:read", "ledger:write"}
    assert (found.sees("main"), found.sees("other")) == (True, False)


def test_the_secret_is_nowhere_in_the_database(database: str, keys: KeyRing) -> None:
    """Neither the secret nor the whole key stands in any column of any table of the control plane."""
    made = keys.create("default", Grant("billing", ["admin"]), "key:first")
    secret = made.secret.rpartition("_")[2]
    with psycopg.connect(database) as connection:
        rows = [str(row) for row in connection.execute("SELECT * FROM access.api_keys")]
    assert len(rows) == 1
    assert made.key.prefix in rows[0]
    assert not any(secret in row or made.secret in row for row in rows)


@pytest.mark.parametrize("place", [0, 8, 12, 17, 30, -1])
def test_a_key_with_one_character_changed_is_unknown(keys: KeyRing, place: int) -> None:
    """Wherever it stands: in the mark, the prefix or the secret."""
    secret = keys.create("default", Grant("billing", ["admin"]), "key:first").secret
    place %= len(secret)
    for other in "aZ9_-":
        if secret[place] != other:
            assert keys.principal(secret[:place] + other + secret[place + 1 :]) is None
    assert keys.principal(secret) is not None
    assert keys.principal(secret + "A") is None
    assert keys.principal(secret[:-1]) is None


def test_a_revoked_key_is_refused_for_ever(keys: KeyRing) -> None:
    """Revoking it again changes nothing, not even when it ended."""
    made = keys.create("default", Grant("billing", ["admin"]), "key:first")
    ended = keys.revoke("default", made.key.id)
    assert ended.revoked_at is not None
    assert keys.principal(made.secret) is None
    assert keys.revoke("default", made.key.id) == ended
    with pytest.raises(KeyNotFound):
        keys.rotate("default", made.key.id, 60, "key:first")


def test_an_expired_key_is_refused(keys: KeyRing) -> None:
    """From its end on."""
    soon = datetime.now(UTC) + timedelta(milliseconds=300)
    secret = keys.create("default", Grant("billing", ["admin"], None, soon), "key:first").secret
    assert keys.principal(secret) is not None
    while datetime.now(UTC) < soon + timedelta(milliseconds=50):
        pass
    assert keys.principal(secret) is None


def test_a_rotated_key_overlaps_with_its_successor(keys: KeyRing) -> None:
    """Both are good during the overlap; the successor has the grant and the end that the old key had."""
    end = datetime.now(UTC) + timedelta(days=9)
    old = keys.create("default", Grant("billing", ["operator"], ["main"], end), "key:first")
    new = keys.rotate("default", old.key.id, 3_600, "key:second")
    assert keys.principal(old.secret) is not None
    found = keys.principal(new.secret)
    assert found is not None
    assert found.scopes == expand(["operator"])
    assert (new.key.name, new.key.ledgers, new.key.expires_at) == ("billing", ["main"], end)
    assert new.key.created_by == "key:second"
    listed = {key.id: key for key in keys.list("default")}
    left = listed[old.key.id].expires_at
    assert left is not None
    assert left - datetime.now(UTC) < timedelta(seconds=3_601)
    at_once = keys.rotate("default", new.key.id, 0, "key:second")
    assert keys.principal(new.secret) is None
    assert keys.principal(at_once.secret) is not None


def test_keys_belong_to_their_tenant(keys: KeyRing) -> None:
    """Another tenant neither lists nor ends them; a tenant that is not there has none."""
    keys.add_tenant("acme")
    ours = keys.create("default", Grant("ours", ["admin"]), "key:first")
    theirs = keys.create("acme", Grant("theirs", ["admin"]), "key:first")
    assert [key.name for key in keys.list("acme")] == ["theirs"]
    assert [key.name for key in keys.list("default")] == ["ours"]
    with pytest.raises(KeyNotFound):
        keys.revoke("acme", ours.key.id)
    with pytest.raises(KeyNotFound):
        keys.rotate("default", theirs.key.id, 0, "key:first")
    with pytest.raises(KeyNotFound):
        keys.revoke("default", uuid4())
    with pytest.raises(TenantNotFound):
        keys.create("nobody", Grant("lost", ["admin"]), "key:first")
    with pytest.raises(TenantExists):
        keys.add_tenant("acme")
    assert [tenant.name for tenant in keys.tenants("", 10)] == ["acme", "default"]


def test_the_first_key_is_made_once(database: str, keys: KeyRing) -> None:
    """However many processes start at once; and never again, even when it has been revoked."""
    made: list[NewApiKey | None] = []
    grant = Grant("first administrator", ["admin", "service:admin"])

    def start() -> None:
        with closing(KeyRing(database)) as own:
            made.append(own.bootstrap("default", grant))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (first,) = [one for one in made if one is not None]
    keys.revoke("default", first.key.id)
    assert keys.bootstrap("default", grant) is None


def test_that_a_key_was_used_is_noted(keys: KeyRing) -> None:
    """The moment of its use, at most once a minute."""
    made = keys.create("default", Grant("billing", ["admin"]), "key:first")
    assert keys.list("default")[0].last_used_at is None
    keys.principal(made.secret)
    noted = keys.list("default")[0].last_used_at
    assert noted is not None
    assert datetime.now(UTC) - noted < timedelta(seconds=30)
    keys.principal(made.secret)
    assert keys.list("default")[0].last_used_at == noted


def test_neither_writer_nor_reader_sees_keys(database: str) -> None:
    """The control plane's schema is closed to the roles that work on ledgers."""
    for role in ("daybook_writer", "daybook_reader", "daybook_projector"):
        with psycopg.connect(database) as connection:
            connection.execute(f"SET ROLE {role}".encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT * FROM access.api_keys")


def test_roles_are_sets_of_scopes() -> None:
    """Each role names known scopes; no role may administer the installation; unknown names are refused."""
    assert {scope for named in ROLES.values() for scope in named} <= set(SCOPES)
    assert not any("service:admin" in named for named in ROLES.values())
    assert expand(["admin"]) == set(SCOPES) - {"service:admin"}
    assert expand(["customer", "audit:read"]) == {"ledger:read", "audit:read"}
    with pytest.raises(ValueError, match=re.escape("'ledger:own'")):
        expand(["ledger:read", "ledger:own"])
