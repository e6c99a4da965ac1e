"""HTTP as uvicorn speaks it, with one write for an answer.

uvicorn writes the head and the body of an answer apart: two system calls and two packets, which wake the
client twice. Here they go together, and with them the answers to others that are ready.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast
from weakref import WeakKeyDictionary

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http import PROBLEM, encode
from api.problems import RETRY_AFTER_SECONDS, make

log = structlog.get_logger("daybook.http")


class Outbox:
    """The answers of one loop that wait until it has gone round.

    A commit answers dozens of requests at once. Sent one by one as they are made, each answer wakes a client
    that has just gone to sleep; sent together, they find it awake.
    """

    def __init__(self) -> None:
        self._waiting: list[Joined] = []

    def add(self, joined: Joined) -> None:
        """Have it send when the loop has gone round."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting.append(joined)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for joined in waiting:
            try:
                joined.send()
            except RuntimeError as error:  # its connection was lost within this turn, as uvloop says it
                log.debug("http.connection_lost", error=str(error))


_outboxes: WeakKeyDictionary[asyncio.AbstractEventLoop, Outbox] = WeakKeyDictionary()


class Joined:
    """A transport that keeps an answer back, its head and what comes with it, for the outbox to send."""

    def __init__(self, transport: asyncio.Transport, outbox: Outbox) -> None:
        self._transport = transport
        self._outbox = outbox
        self._kept = b""
        # Called for every request.
        self.is_closing = transport.is_closing
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Send data, behind what is kept back."""
        if self._kept:
            self._kept += data
            if len(self._kept) > MOST_KEPT:
                self.send()
        elif data.startswith(b"HTTP/1.1 "):
            self._kept = data
            self._outbox.add(self)
        else:
            self._transport.write(data)

    def send(self) -> None:
        """Send what was kept back."""
        data, self._kept = self._kept, b""
        if data:
            self._transport.write(data)

    def close(self) -> None:
        """Send what was kept back, and close."""
        self.send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


MOST_KEPT = 2**16

MAX_CONNECTIONS = 2_000
MAX_HEAD_BYTES = 2**18


def _refusal() -> bytes:
    body = encode(make("overloaded", "As many connections are open as this process serves."))
    return (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: %b\r\ncontent-length: %d\r\nretry-after: %d\r\n"
        b"connection: close\r\n\r\n%b" % (PROBLEM, len(body), RETRY_AFTER_SECONDS["overloaded"], body)
    )


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    _before = 0  # bytes that came before the first request was known

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; what follows is written through `Joined`. One connection too many is told so."""
        outbox = _outboxes.setdefault(self.loop, Outbox())
        super().connection_made(cast(asyncio.Transport, Joined(transport, outbox)))
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(_refusal())
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on; a head that does not end is not kept."""
        super().data_received(data)
        if self.cycle is None:
            self._before += len(data)
            if self._before > MAX_HEAD_BYTES:
                self.transport.close()
