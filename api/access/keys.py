"""API keys: made here, shown once, and stored only as a hash.

`daybook_<prefix>_<secret>`: the prefix (8 characters) finds the row and may be shown; the secret has 256
random bits, so a plain SHA-256 of the whole key is as hard to turn round as the key is to guess. The time of
an answer may tell how much of a hash is right: that helps nobody, for a guess's hash cannot be chosen.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
from msgspec import Struct
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from api.access.approvals import Approvals
from api.access.scopes import Principal, expand
from sql import load as load_queries

QUERIES = load_queries("access.sql")
Connection = psycopg.Connection[tuple[Any, ...]]

MARK = "daybook_"
_KEY = re.compile(r"daybook_([0-9a-z]{8})_[0-9A-Za-z_\-]{43}\Z")
_LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
# Of the time when a key was last used: so that reading does not mean writing.
LAST_USED_SECONDS = 60


class KeyNotFound(LookupError):
    """No key of the tenant has this id."""


class TenantExists(ValueError):
    """A tenant of this name is there."""


class TenantNotFound(LookupError):
    """No tenant has this name."""


class ApiKeyView(Struct, frozen=True, kw_only=True):
    """A key as it may be shown: never its secret.

    `scopes` are scopes and roles as they were given; `ledgers` null: all of the tenant's; `provider`: the
    credit provider whose key it is.
    """

    id: UUID
    tenant: str
    prefix: str
    name: str
    scopes: list[str]
    ledgers: list[str] | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    provider: str | None = None


class NewApiKey(Struct, frozen=True):
    """A key that was just made. `secret` is the whole key; it is shown now and never again."""

    key: ApiKeyView
    secret: str


class TenantView(Struct, frozen=True):
    """A tenant."""

    name: str
    created_at: datetime


class Grant(NamedTuple):
    """What a key is to be allowed: scopes and roles by name, ledgers (None: all), until when; as whom."""

    name: str
    scopes: Sequence[str]
    ledgers: Sequence[str] | None = None
    expires_at: datetime | None = None
    provider: str | None = None


class KeyRing:
    """The keys and tenants of an installation. Threads may share it."""

    def __init__(self, conninfo: str) -> None:
        """Opens its connections when they are needed."""
        options = "-c timezone=UTC -c role=daybook_access -c statement_timeout=10s"
        self.pool: ConnectionPool[Connection] = ConnectionPool(
            make_conninfo(conninfo, application_name="daybook access", options=options),
            min_size=0,
            max_size=2,
            timeout=5,
            check=ConnectionPool.check_connection,
            open=True,
        )
        self.approvals = Approvals(self.pool)

    def close(self) -> None:
        """Close the connections."""
        self.pool.close()

    # ------------------------------------------------------------ tenants

    def tenants(self, after: str, limit: int) -> list[TenantView]:
        """Tenants by name, beyond `after`."""
        with self.pool.connection() as connection:
            found = connection.execute(QUERIES["tenants"], {"after": after, "limit": limit})
            return [TenantView(*row) for row in found]

    def add_tenant(self, name: str) -> TenantView:
        """Make a tenant (TenantExists)."""
        with self.pool.connection() as connection:
            row = connection.execute(QUERIES["add_tenant"], {"tenant": name}).fetchone()
        if row is None:
            raise TenantExists(name)
        return TenantView(*row)

    def has_tenant(self, name: str) -> bool:
        """Whether there is such a tenant."""
        with self.pool.connection() as connection:
            return connection.execute(QUERIES["tenant"], {"tenant": name}).fetchone() is not None

    # ------------------------------------------------------------ keys

    def create(self, tenant: str, grant: Grant, created_by: str) -> NewApiKey:
        """Make a key (TenantNotFound, ValueError for an unknown scope)."""
        expand(grant.scopes)
        with self.pool.connection() as connection:
            return _insert(connection, tenant, grant, created_by)

    def bootstrap(self, tenant: str, grant: Grant) -> NewApiKey | None:
        """Make the first key of all; None: there is, or once was, one."""
        with self.pool.connection() as connection, connection.transaction():
            connection.execute(QUERIES["lock_keys"])
            if connection.execute(QUERIES["any_key"]).fetchone() is not None:
                return None
            return _insert(connection, tenant, grant, "first start")

    def list(self, tenant: str) -> list[ApiKeyView]:
        """Every key of a tenant, newest first, revoked and expired ones too."""
        with self.pool.connection() as connection:
            return [_view(row) for row in connection.execute(QUERIES["keys"], {"tenant": tenant})]

    def revoke(self, tenant: str, id: UUID) -> ApiKeyView:
        """End a key, for ever; ending it again changes nothing (KeyNotFound)."""
        with self.pool.connection() as connection:
            row = connection.execute(QUERIES["revoke"], {"tenant": tenant, "id": id}).fetchone()
        if row is None:
            raise KeyNotFound(id)
        return _view(row)

    def rotate(self, tenant: str, id: UUID, overlap_seconds: int, created_by: str) -> NewApiKey:
        """A new key with the grant of an old one, which ends after the overlap (KeyNotFound)."""
        with self.pool.connection() as connection, connection.transaction():
            wanted = {"tenant": tenant, "id": id, "seconds": overlap_seconds}
            row = connection.execute(QUERIES["end_later"], wanted).fetchone()
            if row is None:
                raise KeyNotFound(id)
            old = _view(row[:-1])
            grant = Grant(old.name, old.scopes, old.ledgers, row[-1], old.provider)
            return _insert(connection, tenant, grant, created_by)

    def principal(self, key: str) -> Principal | None:
        """Whose key it is; None when it is unknown, revoked or expired. Notes that it was used."""
        form = _KEY.match(key)
        if form is None:
            return None
        with self.pool.connection() as connection:
            wanted = {"prefix": form[1], "hash": _hash(key), "seconds": LAST_USED_SECONDS}
            row = connection.execute(QUERIES["use"], wanted).fetchone()
        if row is None:
            return None
        tenant, scopes, ledgers, expires_at, provider = row
        return Principal(
            tenant=tenant,
            actor=f"key:{form[1]}",
            scopes=expand(scopes),
            ledgers=None if ledgers is None else frozenset(ledgers),
            expires_at=expires_at,
            provider=provider,
        )


def _insert(connection: Connection, tenant: str, grant: Grant, created_by: str) -> NewApiKey:
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(8))
    secret = f"{MARK}{prefix}_{secrets.token_urlsafe(32)}"
    row = connection.execute(
        QUERIES["insert_key"],
        {
            "id": uuid4(),
            "tenant": tenant,
            "prefix": prefix,
            "hash": _hash(secret),
            "name": grant.name,
            "scopes": list(grant.scopes),
            "ledgers": None if grant.ledgers is None else list(grant.ledgers),
            "created_by": created_by,
            "expires_at": grant.expires_at,
            "provider": grant.provider,
        },
    ).fetchone()
    if row is None:
        raise TenantNotFound(tenant)
    return NewApiKey(_view(row), secret)


def _hash(key: str) -> bytes:
    return sha256(key.encode()).digest()


def _view(row: tuple[Any, ...]) -> ApiKeyView:
    id, tenant, prefix, name, scopes, ledgers, created_at, created_by, *ends, provider = row
    expires_at, revoked_at, used_at = ends
    return ApiKeyView(
        id=id,
        tenant=tenant,
        prefix=prefix,
        name=name,
        scopes=scopes,
        ledgers=ledgers,
        created_at=created_at,
        created_by=created_by,
        expires_at=expires_at,
        revoked_at=revoked_at,
        last_used_at=used_at,
        provider=provider,
    )
