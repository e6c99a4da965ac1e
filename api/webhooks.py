"""Subscriptions over HTTP: from a checked request to `projections.deliveries` and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from anyio import to_thread
from msgspec import Meta, Struct

from api.handlers import Call, Handler, Reply
from api.http import decode_body
from api.problems import Refused, make
from ledger.chart import MAX_AMOUNT
from ledger.vault import Vault
from ledger.wire import Connection
from projections.deliveries import subscriptions as s
from projections.deliveries.addresses import AddressRefused, parse
from projections.deliveries.courier import attempt, utc_now

Limit = Annotated[int, Meta(ge=1, le=1_000, description="At most so many rows.")]
After = Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="Go on beyond this: `next` of the page before.")]


class MessagesQuery(Struct, forbid_unknown_fields=True):
    """Messages by seq."""

    state: Annotated[str, Meta(pattern=r"^(waiting|dead)\Z", description="Only these.")] | None = None
    after: After = 0
    limit: Limit = 100


class AttemptsQuery(Struct, forbid_unknown_fields=True):
    """The delivery log, the newest first."""

    seq: Annotated[int, Meta(ge=1, le=MAX_AMOUNT, description="Only attempts of this event.")] | None = None
    before: (
        Annotated[int, Meta(ge=1, le=MAX_AMOUNT, description="Go on before this: `next` of the page before.")]
        | None
    ) = None
    limit: Limit = 100


class Subscriptions(Struct, frozen=True):
    """All subscriptions of the ledger, the oldest first."""

    subscriptions: list[s.Subscription]


class MessagesPage(Struct, frozen=True):
    """Messages; `next` continues as `after`, null at the end."""

    messages: list[s.MessageView]
    next: int | None


class AttemptsPage(Struct, frozen=True):
    """Attempts; `next` continues as `before`, null at the end."""

    attempts: list[s.AttemptView]
    next: int | None


class Asked(NamedTuple):
    """A request: its path's parameters, and its body or query."""

    ledger: str
    id: str
    body: Any
    vault: Vault


def work(function: Callable[[Connection, Asked], Any]) -> Handler:
    """A handler that works on subscriptions, in a thread."""

    async def handler(call: Call) -> Reply:
        operation, webhooks = call.operation, call.bridge.webhooks
        ledger = call.whole_name(call.path["ledger"])
        asked = Asked(ledger, call.path.get("subscription", ""), call.query, webhooks.vault)
        if operation.body is not None:
            body = decode_body(operation.decoder, await call.exchange.body() or operation.empty_body)
            if isinstance(body, s.Opening | s.Change):
                check_url(body.url, webhooks.sender.insecure)
            asked = asked._replace(body=body)
        answer = await call.bridge.engine.run(function, asked)
        webhooks.hint()
        return Reply(operation.status, answer, _location(call, answer))

    return handler


def check_url(url: str, insecure: bool, field: str = "url") -> None:
    """Messages may be sent there (Refused, naming the field)."""
    try:
        parse(url, insecure=insecure)
    except AddressRefused as error:
        raise Refused(make("invalid_request", f"Of the URL, {error}.", field=field)) from None


def _location(call: Call, answer: Any) -> tuple[tuple[bytes, bytes], ...]:
    if call.operation.location is None:
        return ()
    place = call.operation.location.format(ledger=call.path["ledger"], subscription=answer.subscription.id)
    return ((b"location", place.encode()),)


async def ping(call: Call) -> Reply:
    """Send a message without an event, and say what became of it."""
    ledger, id = call.whole_name(call.path["ledger"]), call.path["subscription"]
    webhooks = call.bridge.webhooks
    endpoint = await call.bridge.engine.run(s.endpoint, ledger, id)
    now = utc_now()
    message = s.ping(endpoint.scheme, call.path["ledger"], now)

    def send() -> Any:
        return attempt(webhooks.sender, webhooks.vault, id, endpoint, message, now)

    answer = await to_thread.run_sync(send, limiter=webhooks.pings)
    return Reply(call.operation.status, await call.bridge.engine.run(s.note_ping, ledger, id, answer))


def create(connection: Connection, asked: Asked) -> s.WithSecret:
    return s.create(connection, asked.vault, asked.ledger, asked.body)


def listed(connection: Connection, asked: Asked) -> Subscriptions:
    return Subscriptions(s.subscriptions(connection, asked.ledger))


def one(connection: Connection, asked: Asked) -> s.Subscription:
    return s.subscription(connection, asked.ledger, asked.id)


def change(connection: Connection, asked: Asked) -> s.Subscription:
    try:
        return s.change(connection, asked.ledger, asked.id, asked.body)
    except ValueError as error:
        raise Refused(make("invalid_request", f"{error}.", field="types")) from None


def delete(connection: Connection, asked: Asked) -> s.Subscription:
    return s.delete(connection, asked.ledger, asked.id)


def pause(connection: Connection, asked: Asked) -> s.Subscription:
    return s.pause(connection, asked.ledger, asked.id)


def resume(connection: Connection, asked: Asked) -> s.Subscription:
    return s.resume(connection, asked.ledger, asked.id)


def rotate(connection: Connection, asked: Asked) -> s.WithSecret:
    try:
        return s.rotate(connection, asked.vault, asked.ledger, asked.id, asked.body)
    except ValueError as error:
        raise Refused(make("invalid_request", f"{error}.", field="secret")) from None


def replay(connection: Connection, asked: Asked) -> s.Subscription:
    return s.replay(connection, asked.ledger, asked.id, asked.body.after)


def revive(connection: Connection, asked: Asked) -> s.Subscription:
    return s.revive(connection, asked.ledger, asked.id, asked.body.seqs)


def messages(connection: Connection, asked: Asked) -> MessagesPage:
    query = asked.body
    dead = None if query.state is None else query.state == "dead"
    found = s.messages(connection, asked.ledger, asked.id, dead, query.after, query.limit)
    return MessagesPage(found, found[-1].seq if len(found) == query.limit else None)


def attempts(connection: Connection, asked: Asked) -> AttemptsPage:
    query = asked.body
    found = s.attempts(connection, asked.ledger, asked.id, query.seq, query.before, query.limit)
    return AttemptsPage(found, found[-1].number if len(found) == query.limit else None)
