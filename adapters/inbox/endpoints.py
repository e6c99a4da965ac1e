"""Where webhooks come in: a provider's endpoint for a ledger, with its own secret and settings.

A tenant may have several of one provider (live and test accounts, say). One of the tenant `default` may be
the provider's default: what `/webhooks/{provider}` means, for providers that were told that address.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct
from psycopg import errors

from adapters.inbox.connections import QUERIES, shown, utc_now, working_for
from adapters.providers import ProviderNotFound, adapter
from adapters.signatures import new_secret
from ledger.text import DEFAULT_TENANT, check_text, whose
from ledger.vault import Vault
from ledger.wire import Connection

MAX_ENDPOINTS = 50  # of one ledger
FORMER_SECRET_FOR = timedelta(hours=24)

Provider = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,30}\Z", examples=["stripe"])]
Description = Annotated[str, Meta(max_length=1_000)]
Secret = Annotated[str, Meta(max_length=4_000)]


class EndpointNotFound(LookupError):
    """No endpoint of the ledger has this id, or none of this provider."""


class TooManyEndpoints(Exception):
    """The ledger has MAX_ENDPOINTS."""


class DefaultTaken(Exception):
    """The provider has a default endpoint already."""


class EndpointOpening(Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint to be made. `secret`: what the provider signs with; absent, one is made where we may, and
    Stripe's default endpoint has that of STRIPE_WEBHOOK_SECRET.

    `settings` are the provider's own (docs/inbox.md). `default`: `/webhooks/{provider}` leads here too.
    """

    provider: Provider
    secret: Secret | None = None
    settings: dict[str, Any] = {}
    description: Description = ""
    default: bool = False

    def __post_init__(self) -> None:
        check_text("description", self.description)
        try:
            scheme = adapter(self.provider).scheme
        except ProviderNotFound:
            raise ValueError("`provider` is not one that Daybook knows") from None
        if self.secret is not None:
            scheme.check(self.secret)
        elif not scheme.ours and not self.default:
            raise ValueError("`secret` is missing: this provider makes its own")
        checked(self.provider, self.settings)


class EndpointChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What an endpoint is to be from now on. Webhooks that are replayed go by it too."""

    settings: dict[str, Any] = {}
    description: Description = ""
    default: bool = False

    def __post_init__(self) -> None:
        check_text("description", self.description)


class EndpointRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """A new secret: this one, or one as an endpoint gets that is made without one."""

    secret: Secret | None = None


class Endpoint(Struct, frozen=True):
    """An endpoint. `path` is for the provider. So long as `former_secret_until` the secret before counts
    too."""

    id: str
    provider: str
    path: str
    default: bool
    description: str
    settings: dict[str, Any]
    made_at: str
    former_secret_until: str | None


class EndpointWithSecret(Struct, frozen=True):
    """An endpoint and its new secret, which is shown this once; empty: a setting has it."""

    endpoint: Endpoint
    secret: str


def checked(provider: str, settings: dict[str, Any]) -> Struct:
    """Settings as the provider's adapter takes them (ValueError)."""
    try:
        return msgspec.convert(settings, adapter(provider).settings)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at ")
        where = f", in {place.strip('`$.')}" if place else ""
        raise ValueError(f"`settings` do not fit {provider}: {what}{where}") from None


@contextmanager
def _work(connection: Connection, ledger: str, endpoint: str | None = None) -> Iterator[dict[str, Any]]:
    tenant, name = whose(ledger)
    with working_for(connection, tenant):
        yield {"tenant": tenant, "ledger": name, "endpoint": endpoint, "now": utc_now()}


def create(
    connection: Connection, vault: Vault, ledger: str, asked: EndpointOpening, given: str = ""
) -> EndpointWithSecret:
    """Make an endpoint (TooManyEndpoints, DefaultTaken, VaultError, ValueError).

    `given`: the secret of Stripe's default endpoint that a setting has, which is not shown.
    """
    given = given if asked.provider == "stripe" and asked.default and not asked.secret else ""
    secret = asked.secret or given or new_secret(adapter(asked.provider).scheme)
    endpoint = str(uuid4())
    with _unique_default(asked.provider), _work(connection, ledger, endpoint) as named:
        _check_default(named, asked.default)
        [(count,)] = connection.execute(QUERIES["count"], named).fetchall()
        if count >= MAX_ENDPOINTS:
            raise TooManyEndpoints(ledger)
        stored = {
            "provider": asked.provider,
            "is_default": asked.default,
            "description": asked.description,
            "settings": _json(asked.settings),
            "secret": vault.seal(secret, endpoint),
        }
        connection.execute(QUERIES["create"], named | stored)
        return EndpointWithSecret(_one(connection, named), "" if given else secret)


def endpoints(connection: Connection, ledger: str) -> list[Endpoint]:
    """All of a ledger, the oldest first."""
    with _work(connection, ledger) as named:
        return [_view(row) for row in connection.execute(QUERIES["endpoints"], named)]


def endpoint(connection: Connection, ledger: str, id: str) -> Endpoint:
    """One (EndpointNotFound; so do all below)."""
    with _work(connection, ledger, id) as named:
        return _one(connection, named)


class DefaultEndpoint(NamedTuple):
    """A provider's default endpoint. `settings` are the provider's own."""

    ledger: str
    settings: Struct


def default_endpoint(connection: Connection, provider: str) -> DefaultEndpoint | None:
    """A provider's default endpoint, which is the tenant `default`'s (ValueError: its settings)."""
    with working_for(connection, DEFAULT_TENANT):
        row = connection.execute(QUERIES["default_endpoint"], {"provider": provider}).fetchone()
    return None if row is None else DefaultEndpoint(row[0], checked(provider, msgspec.json.decode(row[1])))


def change(connection: Connection, ledger: str, id: str, asked: EndpointChange) -> Endpoint:
    """Replace settings and description (DefaultTaken; ValueError for settings that do not fit)."""
    with _work(connection, ledger, id) as named:
        _check_default(named, asked.default)
        provider = _locked_provider(connection, named)
        checked(provider, asked.settings)
        new = {
            "is_default": asked.default,
            "description": asked.description,
            "settings": _json(asked.settings),
        }
        with _unique_default(provider):
            connection.execute(QUERIES["change"], named | new)
        return _one(connection, named)


def rotate(
    connection: Connection, vault: Vault, ledger: str, id: str, asked: EndpointRotation, given: str = ""
) -> EndpointWithSecret:
    """A new secret; the former one counts too for a day (VaultError; ValueError: it is bad or missing).

    `given` as in `create`.
    """
    with _work(connection, ledger, id) as named:
        provider = _locked_provider(connection, named)
        scheme = adapter(provider).scheme
        if asked.secret is not None:
            scheme.check(asked.secret)
        standing = _one(connection, named)
        given = given if provider == "stripe" and standing.default and not asked.secret else ""
        secret = asked.secret or given or new_secret(scheme)
        sealed = {"secret": vault.seal(secret, id), "former_until": named["now"] + FORMER_SECRET_FOR}
        connection.execute(QUERIES["rotate"], named | sealed)
        return EndpointWithSecret(_one(connection, named), "" if given else secret)


def delete(connection: Connection, ledger: str, id: str) -> Endpoint:
    """Take nothing in any more, and forget the secrets; what came in stays. The answer is how it stood."""
    with _work(connection, ledger, id) as named:
        last = _one(connection, named)
        connection.execute(QUERIES["delete"], named)
        return last


def default_ledger(connection: Connection, provider: str) -> str | None:
    """The ledger of a provider's default endpoint; None: it has none."""
    with working_for(connection, DEFAULT_TENANT):
        row = connection.execute(QUERIES["default_endpoint"], {"provider": provider}).fetchone()
    return None if row is None else str(row[0])


@contextmanager
def _unique_default(provider: str) -> Iterator[None]:
    try:
        yield
    except errors.UniqueViolation as error:
        if error.diag.constraint_name == "endpoints_default":
            raise DefaultTaken(provider) from None
        raise


def _check_default(named: dict[str, Any], wanted: bool) -> None:
    if wanted and named["tenant"] != DEFAULT_TENANT:
        raise ValueError(
            "`default` is for the tenant `default` only: give the provider the endpoint's own path"
        )


def _locked_provider(connection: Connection, named: dict[str, Any]) -> str:
    row = connection.execute(QUERIES["lock_endpoint"], named).fetchone()
    if row is None:
        raise EndpointNotFound(named["endpoint"])
    provider: str = row[0]
    return provider


def _one(connection: Connection, named: dict[str, Any]) -> Endpoint:
    row = connection.execute(QUERIES["endpoints"], named).fetchone()
    if row is None:
        raise EndpointNotFound(named["endpoint"])
    return _view(row)


def _view(row: tuple[Any, ...]) -> Endpoint:
    id, provider, is_default, description, settings, made_at, former_until = row
    return Endpoint(
        id=id,
        provider=provider,
        path=f"/webhooks/{provider}/{id}",
        default=is_default,
        description=description,
        settings=msgspec.json.decode(settings),
        made_at=shown(made_at),
        former_secret_until=_maybe(former_until),
    )


def _json(settings: dict[str, Any]) -> str:
    return msgspec.json.encode(settings).decode()


def _maybe(moment: datetime | None) -> str | None:
    return None if moment is None else shown(moment)
