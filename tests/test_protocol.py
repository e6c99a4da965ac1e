"""An answer leaves in one write, and none of it is kept back when nothing follows."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from api.protocol import Joined

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


class Wire(asyncio.Transport):
    """Notes what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True


def test_head_and_body_are_one_write() -> None:
    """Answer after answer; a body in parts goes out part by part."""

    async def answer() -> list[bytes]:
        wire = Wire()
        joined = cast(asyncio.Transport, Joined(wire, asyncio.get_running_loop()))
        for body in (b"abcd", b"efgh"):
            joined.write(HEAD)
            assert HEAD not in wire.written
            joined.write(body)
        joined.write(b"more")
        return wire.written

    assert asyncio.run(answer()) == [HEAD + b"abcd", HEAD + b"efgh", b"more"]


def test_a_head_alone_leaves_when_the_loop_turns() -> None:
    """A body that is slow to come does not keep the status from the client."""

    async def answer() -> list[bytes]:
        wire = Wire()
        Joined(wire, asyncio.get_running_loop()).write(HEAD)
        await asyncio.sleep(0)
        return wire.written

    assert asyncio.run(answer()) == [HEAD]


def test_a_head_alone_leaves_before_the_connection_closes() -> None:
    """What was written before `close` is written."""

    async def answer() -> tuple[list[bytes], bool]:
        wire = Wire()
        joined = Joined(wire, asyncio.get_running_loop())
        joined.write(HEAD)
        joined.close()
        return wire.written, wire.closed

    assert asyncio.run(answer()) == ([HEAD], True)
