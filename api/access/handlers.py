"""The operations on tenants and API keys. Nobody can hand out more than they may do themselves."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from api.access.keys import ApiKeyView, Grant, KeyNotFound, NewApiKey, TenantView
from api.access.scopes import ROLES, SCOPES, Principal, expand
from api.handlers import Call, Reply
from api.http import decode_body
from api.problems import Refused, make
from ledger.commands import Moment, Name
from ledger.text import check_text

MAX_OVERLAP_SECONDS = 30 * 86_400

ScopeNames = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=64, extra_json_schema={"enum": [*ROLES, *SCOPES]})]],
    Meta(min_length=1, max_length=50, description="Scopes, and roles by name."),
]


class KeyRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """An API key that is wanted. `ledgers`: those that it is for; null: all of the tenant's."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    scopes: ScopeNames
    ledgers: Annotated[list[Name], Meta(min_length=1, max_length=1_000)] | None = None
    expires_at: Moment | None = None

    def __post_init__(self) -> None:
        check_text("name", self.name)
        try:
            expand(self.scopes)
        except ValueError as error:
            raise ValueError(f"`scopes`: {error}") from None
        if self.expires_at is not None and self.expires_at <= datetime.now(UTC):
            raise ValueError("`expires_at` is not in the future")


class KeyRotation(Struct, forbid_unknown_fields=True):
    """The old key is good for so long beside its successor."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=MAX_OVERLAP_SECONDS)] = 86_400


class TenantRequest(Struct, forbid_unknown_fields=True):
    """A tenant that is wanted."""

    name: Name


class KeysPage(Struct, frozen=True):
    """The keys of a tenant, newest first."""

    keys: list[ApiKeyView]


class TenantsQuery(Struct, forbid_unknown_fields=True):
    """Tenants by name."""

    after: Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{0,63}\Z", description="Go on beyond this name.")] = ""
    limit: Annotated[int, Meta(ge=1, le=1_000, description="At most so many rows.")] = 100


class TenantsPage(Struct, frozen=True):
    """A page of tenants."""

    tenants: list[TenantView]
    next: str | None


async def create_key(call: Call) -> Reply:
    """A key for the caller's own tenant, which may do no more than the caller."""
    asked: KeyRequest = await _body(call)
    check_within(call.principal, asked.scopes, asked.ledgers, asked.expires_at)
    return await _create(call, call.principal.tenant, asked)


async def create_tenant_key(call: Call) -> Reply:
    """A key for any tenant."""
    return await _create(call, call.path["tenant"], await _body(call))


async def list_keys(call: Call) -> Reply:
    """The keys of the caller's tenant, as far as they are for ledgers that the caller sees."""
    return Reply(200, KeysPage(await _visible(call)))


async def revoke_key(call: Call) -> Reply:
    """A key that has ended. Who may do less cannot end it, or could shut out everybody else."""
    key = await _key(call)
    _check_scopes(call.principal, key.scopes)
    bridge = call.bridge
    return Reply(200, await bridge.read(bridge.keys.revoke, call.principal.tenant, key.id))


async def rotate_key(call: Call) -> Reply:
    """The successor of a key."""
    asked: KeyRotation = await _body(call)
    old, principal = await _key(call), call.principal
    check_within(principal, old.scopes, old.ledgers, old.expires_at)
    made = await call.bridge.read(
        call.bridge.keys.rotate, principal.tenant, old.id, asked.overlap_seconds, principal.actor
    )
    return _made(made)


async def create_tenant(call: Call) -> Reply:
    """A tenant."""
    asked: TenantRequest = await _body(call)
    return Reply(201, await call.bridge.read(call.bridge.keys.add_tenant, asked.name))


async def list_tenants(call: Call) -> Reply:
    """Tenants by name."""
    query: TenantsQuery = call.query
    found = await call.bridge.read(call.bridge.keys.tenants, query.after, query.limit)
    return Reply(200, TenantsPage(found, found[-1].name if len(found) == query.limit else None))


async def _body(call: Call) -> Any:
    raw = await call.exchange.body()
    return decode_body(call.operation.decoder, raw or call.operation.empty_body)


async def _create(call: Call, tenant: str, asked: KeyRequest) -> Reply:
    grant = Grant(asked.name, asked.scopes, asked.ledgers, asked.expires_at)
    return _made(await call.bridge.read(call.bridge.keys.create, tenant, grant, call.principal.actor))


def _made(made: NewApiKey) -> Reply:
    return Reply(201, made, ((b"cache-control", b"no-store"),))


async def _visible(call: Call) -> list[ApiKeyView]:
    found: list[ApiKeyView] = await call.bridge.read(call.bridge.keys.list, call.principal.tenant)
    return [key for key in found if _sees(call.principal, key.ledgers)]


async def _key(call: Call) -> ApiKeyView:
    """The key that the path names (KeyNotFound)."""
    id = call.path["key"]
    for key in await _visible(call):
        if key.id == id:
            return key
    raise KeyNotFound(id)


def _sees(principal: Principal, ledgers: Collection[str] | None) -> bool:
    return principal.ledgers is None or (ledgers is not None and principal.ledgers.issuperset(ledgers))


def _check_scopes(principal: Principal, scopes: Iterable[str]) -> None:
    beyond = sorted(expand(scopes) - principal.scopes)
    if beyond:
        raise Refused(make("forbidden", evidence={"scope": beyond[0], "actor": principal.actor}))


def check_within(
    principal: Principal, scopes: Iterable[str], ledgers: Collection[str] | None, expires_at: datetime | None
) -> None:
    """A key that is to be made can do no more than the principal, and lasts no longer (Refused)."""
    _check_scopes(principal, scopes)
    if not _sees(principal, ledgers):
        raise _beyond(principal, "ledgers", "The key would see ledgers that you do not.")
    if principal.expires_at is not None and (expires_at is None or expires_at > principal.expires_at):
        raise _beyond(principal, "expires_at", "The key would outlast yours.")


def _beyond(principal: Principal, field: str, detail: str) -> Refused:
    return Refused(make("forbidden", detail, field=field, evidence={"actor": principal.actor}))
