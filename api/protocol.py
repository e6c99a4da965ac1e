"""HTTP as uvicorn speaks it, with one write for an answer.

uvicorn writes the head and the body of an answer apart: two system calls and two packets, which wake the
client twice. Here the head waits for what follows it.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


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


class Protocol(HttpToolsProtocol):
    """One connection of a client."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; what follows is written through `Joined`."""
        super().connection_made(cast(asyncio.Transport, Joined(transport, self.loop)))
