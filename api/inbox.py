"""The inbox over HTTP: webhooks that come in, and what people ask of them and of endpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from adapters.adapter import Parse
from adapters.inbox import desk, door
from adapters.inbox import endpoints as e
from api.handlers import ASK_AGAIN_SECONDS, PATIENCE_SECONDS, REPLAYED, Call, Handler, Reply
from api.http import decode_body
from api.problems import Refused, make, of_validation
from ledger.chart import MAX_AMOUNT
from ledger.text import of_all
from ledger.vault import Vault
from ledger.wire import Connection

# ---------------------------------------------------------------- what comes in


async def receive(call: Call) -> Reply:
    """A webhook: on disk when it is answered, and nothing else."""
    stored = await take_in(call, call.path["provider"], call.path.get("endpoint"))
    call.bridge.inbox.hint()
    return Reply(call.operation.status, stored.received)


async def take_in(
    call: Call, provider: str, endpoint: str | None = None, parse: Parse | None = None
) -> door.Stored:
    """Verify and store the webhook that a request is, whatever its path (the errors of `door.receive`).

    Whose answer depends on what becomes of it, settles it before answering (`settled`).
    """
    inbox = call.bridge.inbox
    letter = door.Letter(*await call.exchange.signed())
    return await inbox.run(door.receive, inbox.vault, provider, endpoint, letter, parse)


async def settled(call: Call, stored: door.Stored) -> desk.WebhookView:
    """What has become of a webhook, once something has; one that was parked before is tried again.

    Another thread may be at it: it is waited for (Refused: too long).
    """
    inbox, number = call.bridge.inbox, stored.received.number
    ledger = of_all(stored.tenant, stored.ledger)
    deadline = time.monotonic() + PATIENCE_SECONDS
    tried = not stored.received.duplicate
    while True:
        await inbox.run(inbox.settler.settle, stored.tenant, number)
        found = (await inbox.run(desk.webhook, ledger, number)).webhook
        if found.state == "received":
            if found.reason is not None or time.monotonic() >= deadline:
                raise Refused(make("unavailable"))
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        elif found.state == "posted" or tried:
            return found
        else:
            tried = True
            with suppress(desk.WebhookSettled):
                await inbox.run(desk.replay, ledger, number)


class BuffrNumber(Struct, frozen=True, rename="camel"):
    """The inbox's own number of a webhook."""

    webhook_event_id: int


class BuffrAnswer(Struct, frozen=True):
    """What Buffr is told, in its own form: the webhook is stored."""

    success: bool
    message: str
    data: BuffrNumber


async def receive_buffr(call: Call) -> Reply:
    """Buffr's webhook at the path that it knows: a retry gets the first answer, with its status."""
    stored = await take_in(call, "buffr")
    call.bridge.inbox.hint()
    answer = BuffrAnswer(True, "Webhook stored", BuffrNumber(stored.received.number))
    return Reply(call.operation.status, answer, (REPLAYED,) if stored.received.duplicate else ())


# ---------------------------------------------------------------- what people ask


class WebhooksQuery(Struct, forbid_unknown_fields=True):
    """Webhooks in the order of their coming."""

    state: Annotated[desk.State, Meta(description="Only these.")] | None = None
    provider: Annotated[e.Provider, Meta(description="Only of this provider.")] | None = None
    after: Annotated[
        int, Meta(ge=0, le=MAX_AMOUNT, description="Go on beyond this: `next` of the page before.")
    ] = 0
    limit: Annotated[int, Meta(ge=1, le=1_000, description="At most so many rows.")] = 100


class ParkedReplay(Struct, frozen=True, forbid_unknown_fields=True):
    """Which parked webhooks; absent: all."""

    reason: Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,62}\Z")] | None = None


class Endpoints(Struct, frozen=True):
    """All endpoints of the ledger, the oldest first."""

    endpoints: list[e.Endpoint]


class InboxView(Struct, frozen=True):
    """The states that have webhooks."""

    states: list[desk.StateCount]


class WebhooksPage(Struct, frozen=True):
    """Webhooks; `next` continues as `after`, null at the end."""

    webhooks: list[desk.WebhookView]
    next: int | None


class Asked(NamedTuple):
    """A request: its path's parameters, and its body or query."""

    ledger: str
    endpoint: str
    number: int
    body: Any
    vault: Vault
    stripe_secret: str  # of Stripe's default endpoint, from a setting


def work(function: Callable[[Connection, Asked], Any]) -> Handler:
    """A handler that works on a ledger's inbox, in a thread (LedgerNotFound)."""

    async def handler(call: Call) -> Reply:
        operation, inbox, path = call.operation, call.bridge.inbox, call.path
        body = call.query
        if operation.body is not None:
            body = decode_body(operation.decoder, await call.exchange.body() or operation.empty_body)
        await call.bridge.read(call.reader.incarnation, path["ledger"])
        ledger = call.whole_name(path["ledger"])
        asked = Asked(
            ledger, path.get("endpoint", ""), path.get("number", 0), body, inbox.vault, inbox.stripe_secret
        )
        try:
            answer = await inbox.run(function, asked)
        except ValueError as error:
            raise Refused(of_validation(error)) from None
        inbox.hint()
        return Reply(operation.status, answer, _location(call, answer))

    return handler


def _location(call: Call, answer: Any) -> tuple[tuple[bytes, bytes], ...]:
    if call.operation.location is None:
        return ()
    place = call.operation.location.format(ledger=call.path["ledger"], endpoint=answer.endpoint.id)
    return ((b"location", place.encode()),)


def create(connection: Connection, asked: Asked) -> e.EndpointWithSecret:
    return e.create(connection, asked.vault, asked.ledger, asked.body, asked.stripe_secret)


def listed(connection: Connection, asked: Asked) -> Endpoints:
    return Endpoints(e.endpoints(connection, asked.ledger))


def one(connection: Connection, asked: Asked) -> e.Endpoint:
    return e.endpoint(connection, asked.ledger, asked.endpoint)


def change(connection: Connection, asked: Asked) -> e.Endpoint:
    return e.change(connection, asked.ledger, asked.endpoint, asked.body)


def rotate(connection: Connection, asked: Asked) -> e.EndpointWithSecret:
    return e.rotate(connection, asked.vault, asked.ledger, asked.endpoint, asked.body, asked.stripe_secret)


def delete(connection: Connection, asked: Asked) -> e.Endpoint:
    return e.delete(connection, asked.ledger, asked.endpoint)


def counts(connection: Connection, asked: Asked) -> InboxView:
    return InboxView(desk.counts(connection, asked.ledger))


def webhooks(connection: Connection, asked: Asked) -> WebhooksPage:
    query = asked.body
    found = desk.webhooks(connection, asked.ledger, query.state, query.provider, query.after, query.limit)
    return WebhooksPage(found, found[-1].number if len(found) == query.limit else None)


def webhook(connection: Connection, asked: Asked) -> desk.WholeWebhook:
    return desk.webhook(connection, asked.ledger, asked.number)


def replay(connection: Connection, asked: Asked) -> desk.WebhookView:
    return desk.replay(connection, asked.ledger, asked.number)


def replay_parked(connection: Connection, asked: Asked) -> desk.Replayed:
    return desk.Replayed(len(desk.replay_parked(connection, asked.ledger, asked.body.reason)))
