"""The feed on the wire: Server-Sent Events and WebSocket, over the same reader.

Both carry each event as `GET .../events` shows it, and both say how far a filter has looked, so that a client
that comes back does not make the server look again. Sending waits until the client has taken what was sent
before; a client that takes nothing at all is cut off by the operating system (`api/serve`).
"""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing, suppress
from typing import Any, Protocol

import psycopg
from anyio import CancelScope, create_task_group, move_on_after
from starlette.types import Message, Send

from api import reads
from api.access.gate import Unauthenticated
from api.access.key_set import KeysUnavailable
from api.feeds import Chunk, Feeds
from api.handlers import Call, Reply, check_incarnation, read
from api.http import Exchange
from api.problems import Refused, make
from ledger.chart import MAX_AMOUNT
from ledger.errors import Overloaded

RETRY_MS = 1_000
EVENT_STREAM = b"text/event-stream"
GOING_AWAY, UNSUPPORTED_DATA, POLICY_VIOLATION = 1001, 1003, 1008
# How often a feed asks whether its client may still read, and how long it takes to say that it may not.
LOOK_AGAIN_SECONDS = 2.0
LAST_WORD_SECONDS = 2.0

_SEQ = re.compile(rb"[0-9]{1,19}\Z")
_page = read(reads.events)


async def events(call: Call) -> Reply | None:
    """The event log: a page, or a feed where the client asks for one."""
    exchange = call.exchange
    last_seen = _last_event_id(exchange)
    line: _Line
    if exchange.scope["type"] == "websocket":
        _check_origin(exchange)
        line = _Socket(exchange)
    elif exchange.scope["method"] == "GET" and _wants_stream(exchange):
        line = _EventStream(exchange)
    else:
        return await _page(call)
    after = call.query.after if last_seen is None else last_seen
    feeds = call.bridge.feeds
    with feeds.room():
        await _feed(feeds, line, call, after)
    return None


async def _feed(feeds: Feeds, line: _Line, call: Call, after: int) -> None:
    ledger, wanted = call.whole_name(call.path["ledger"]), call.query.filter
    await call.bridge.read(check_incarnation, call.reader, call.path, call.query)
    chunk = await feeds.first(ledger, after, wanted)
    await line.open()
    refused = False

    async def until_refused() -> None:
        nonlocal refused
        await _until_refused(call)
        refused = True
        group.cancel_scope.cancel()

    async with create_task_group() as group:
        group.start_soon(_until_gone, line, group.cancel_scope)
        group.start_soon(until_refused)
        try:
            if chunk.position > after:
                await line.send(chunk)
            async with aclosing(feeds.follow(ledger, chunk.position, wanted)) as chunks:
                async for more in chunks:
                    await (line.beat() if more is None else line.send(more))
            await line.end(GOING_AWAY)
        except OSError:
            pass  # ASGI's word for a client that has gone away
        group.cancel_scope.cancel()
    if refused:
        # Whoever takes nothing is not told either; the server closes the connection when this returns.
        with move_on_after(LAST_WORD_SECONDS), suppress(OSError):
            await line.end(POLICY_VIOLATION)


async def _until_gone(line: _Line, scope: CancelScope) -> None:
    await line.gone()
    scope.cancel()


async def _until_refused(call: Call) -> None:
    """Returns when the credentials that the feed was opened with are no longer good."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            await call.bridge.gate.principal(call.exchange.authorization())
        except Unauthenticated:
            return
        except (KeysUnavailable, Overloaded, psycopg.Error):
            pass  # nobody can say now


def _last_event_id(exchange: Exchange) -> int | None:
    for name, value in exchange.scope["headers"]:
        if name == b"last-event-id" and value:
            if _SEQ.match(value) and int(value) <= MAX_AMOUNT:
                return int(value)
            detail = "It must be the id of an event that this feed has sent: a seq."
            raise Refused(make("invalid_request", detail, field="Last-Event-ID"))
    return None


def _check_origin(exchange: Exchange) -> None:
    """A browser lets any page open a WebSocket to anywhere, and says only here whose page it is."""
    headers = dict(exchange.scope["headers"])
    origin = headers.get(b"origin")
    if origin is not None and origin.partition(b"://")[2] != headers.get(b"host"):
        evidence = {"origin": origin.decode("latin-1")}
        raise Refused(make("origin_not_allowed", evidence=evidence))


def _wants_stream(exchange: Exchange) -> bool:
    accepted = b",".join(value for name, value in exchange.scope["headers"] if name == b"accept")
    return any(media.split(b";")[0].strip().lower() == EVENT_STREAM for media in accepted.split(b","))


class _Line(Protocol):
    """What carries a feed."""

    async def open(self) -> None:
        """Say that the feed begins."""

    async def send(self, chunk: Chunk) -> None:
        """Events, and the position when it is beyond the last of them."""

    async def beat(self) -> None:
        """A sign of life where nothing happens."""

    async def gone(self) -> None:
        """Returns when the client has gone away."""

    async def end(self, why: int) -> None:
        """Say that the feed ends, and (a WebSocket's close code) why."""


class _EventStream:
    """Server-Sent Events (WHATWG HTML, section 9.2)."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def open(self) -> None:
        # No intermediary may keep the events to itself (x-accel-buffering is nginx's word for it).
        headers = ((b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
        await self._exchange.begin_stream(EVENT_STREAM, headers)
        await self._exchange.part(b"retry: %d\n\n" % RETRY_MS)

    async def send(self, chunk: Chunk) -> None:
        parts = [b"id: %d\ndata: %b\n\n" % event for event in chunk.events]
        if not chunk.events or chunk.events[-1][0] < chunk.position:
            # Without data this is no event to the client, but its next Last-Event-ID.
            parts.append(b"id: %d\n\n" % chunk.position)
        await self._exchange.part(b"".join(parts))

    async def beat(self) -> None:
        await self._exchange.part(b":\n\n")

    async def gone(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass

    async def end(self, why: int) -> None:
        await self._exchange.part(b"", last=True)


class _Socket:
    """A WebSocket: a text message for each event, and `{"position": n}`. The server sends the pings."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    async def open(self) -> None:
        await self._exchange.accept()

    async def send(self, chunk: Chunk) -> None:
        for _, event in chunk.events:
            await self._exchange.send({"type": "websocket.send", "text": event.decode()})
        if not chunk.events or chunk.events[-1][0] < chunk.position:
            await self._exchange.send({"type": "websocket.send", "text": f'{{"position":{chunk.position}}}'})

    async def beat(self) -> None:
        pass

    async def gone(self) -> None:
        message: Any = {"type": "websocket.connect"}
        while message["type"] == "websocket.connect":
            message = await self._exchange.receive()
        if message["type"] == "websocket.receive":  # there is nothing that a client could say
            await self._exchange.send({"type": "websocket.close", "code": UNSUPPORTED_DATA})

    async def end(self, why: int) -> None:
        await self._exchange.send({"type": "websocket.close", "code": why})


def denial(send: Send) -> Send:
    """For a WebSocket that is not open yet: an HTTP answer goes out instead of it (ASGI's extension)."""

    async def refuse(message: Message) -> None:
        if message["type"].startswith("http.response."):
            message = {**message, "type": f"websocket.{message['type']}"}
        await send(message)

    return refuse
