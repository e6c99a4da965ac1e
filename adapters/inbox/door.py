"""The door: a webhook comes in, is verified, and is stored as it came. Nothing of it is understood here.

Nothing is believed before the signature is right, and without a secret it never is: the door is closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
import structlog
from msgspec import Struct

from adapters.adapter import Adapter, Named, Parse, tidy
from adapters.inbox.connections import QUERIES, utc_now, working_for
from adapters.inbox.endpoints import EndpointNotFound
from adapters.providers import adapter
from adapters.signatures import Untrusted
from ledger.text import DEFAULT_TENANT
from ledger.vault import Vault
from ledger.wire import Connection

log = structlog.get_logger(__name__)

# What a sender may have put its own credentials into.
_SECRET_HEADERS = {"authorization", "proxy-authorization", "cookie"}


class DoorClosed(Exception):
    """No secret is set: nobody's webhook can be told from anybody else's."""


class NotTrusted(Exception):
    """The signature is missing, wrong or late."""

    def __init__(self, why: Untrusted) -> None:
        super().__init__(why.reason)
        self.why = why


class IdReused(Exception):
    """The event's id, or the caller's key, was used for another event."""


class Letter(NamedTuple):
    """What was sent: headers in their order, and the bytes that were signed."""

    headers: Sequence[tuple[str, str]]
    body: bytes


class Received(Struct, frozen=True):
    """A webhook that is stored, now or (`duplicate`) since it came before. Its number is the inbox's own."""

    number: int
    duplicate: bool


class Stored(NamedTuple):
    """What was stored, and for whom: a tenant, and the ledger's own name."""

    tenant: str
    ledger: str
    received: Received


def receive(
    connection: Connection,
    vault: Vault,
    provider: str,
    endpoint: str | None,
    letter: Letter,
    parse: Parse | None = None,
) -> Stored:
    """Verify and store (ProviderNotFound, EndpointNotFound, DoorClosed, NotTrusted, Unreadable, IdReused,
    VaultError).

    `endpoint` None: the provider's default. `parse`: of a path that takes only some bodies, in place of the
    adapter's; what it raises comes from here, and nothing is stored. What this returns is on disk.
    """
    known = adapter(provider)
    tenant = DEFAULT_TENANT if endpoint is None else _tenant_of(connection, endpoint)
    now = utc_now()
    asked: dict[str, Any] = {"tenant": tenant, "provider": provider, "endpoint": endpoint, "now": now}
    with working_for(connection, tenant):
        row = connection.execute(QUERIES["door"], asked, binary=True).fetchone()
    if row is None:
        raise DoorClosed(provider) if endpoint is None else EndpointNotFound(endpoint)
    id, ledger, *sealed = row
    secrets = [vault.open(secret, id) for secret in sealed if secret is not None]
    named = _verified(known, parse or known.parse, secrets, letter, now)
    asked |= {"endpoint": id, "ledger": ledger, "event_id": named.id, "type": named.type}
    asked |= {"subject": named.subject, "headers": _kept(letter), "body": letter.body}
    with working_for(connection, tenant):
        stored = connection.execute(QUERIES["store"], asked).fetchone()
        if stored is not None:
            return Stored(tenant, ledger, Received(stored[0], False))
        [(number, *about)] = connection.execute(QUERIES["stored_before"], asked).fetchall()
        if about != [named.type, named.subject]:
            raise IdReused(named.id)
        return Stored(tenant, ledger, Received(number, True))


def _verified(known: Adapter, parse: Parse, secrets: list[str], letter: Letter, now: datetime) -> Named:
    headers: dict[str, str] = {}
    for name, value in letter.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    verified = known.scheme.verify(secrets, headers, letter.body, now)
    if isinstance(verified, Untrusted):
        log.warning("inbox.not_trusted", provider=known.provider, reason=verified.reason)
        raise NotTrusted(verified)
    named = parse(letter.body)
    return tidy(Named(verified, named.type, named.subject) if verified else named)


def _tenant_of(connection: Connection, endpoint: str) -> str:
    row = connection.execute(QUERIES["tenant_of"], {"endpoint": endpoint}).fetchone()
    if row is None or row[0] is None:
        raise EndpointNotFound(endpoint)
    tenant: str = row[0]
    return tenant


def _kept(letter: Letter) -> str:
    kept = [(name, value) for name, value in letter.headers if name not in _SECRET_HEADERS]
    return msgspec.json.encode(kept).decode()
