"""Keys for the tests: an administrator of an installation."""

from __future__ import annotations

from contextlib import closing

from api.access.keys import Grant, KeyRing


def make_key(conninfo: str, *scopes: str, tenant: str = "default", ledgers: list[str] | None = None) -> str:
    """The secret of a new key."""
    with closing(KeyRing(conninfo)) as keys:
        return keys.create(tenant, Grant("test", scopes, ledgers), "a test").secret


def admin_key(conninfo: str) -> str:
    """The secret of a new key that may do everything."""
    return make_key(conninfo, "admin", "service:admin")


_of_base: dict[str, str] = {}


def introduce(base: str, conninfo: str) -> str:
    """Make an administrator's key for the service at this address; `as_admin` finds it."""
    _of_base[base] = admin_key(conninfo)
    return _of_base[base]


def as_admin(base: str, **more: str) -> dict[str, str]:
    """Headers of a request to a service that was introduced."""
    return {"authorization": f"Bearer {_of_base[base]}", **more}
