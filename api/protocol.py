"""HTTP as uvicorn speaks it, with one write for an answer.

uvicorn writes the head and the body of an answer apart: two system calls and two packets, which wake the
client twice. Here the head waits for what follows it.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http import PROBLEM, encode
from api.problems import RETRY_AFTER_SECONDS, make


class Joined:
    """A transport that keeps the head of an answer back until the body comes or the loop turns."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        # Called for every request.
        self.is_closing = transport.is_closing
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        """Send data, a head together with what comes next."""
        if self._head:
            data = self._head + data
            self._head = b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._turn)
            return
        self._transport.write(data)

    def _turn(self) -> None:
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Send what was kept back, and close."""
        self._turn()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


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
        super().connection_made(cast(asyncio.Transport, Joined(transport, self.loop)))
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
