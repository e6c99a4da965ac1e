"""An answer leaves in one write, and none of it is kept back when nothing follows."""

from __future__ import annotations

import asyncio
from typing import Any

from api.protocol import MOST_KEPT, Joined, Outbox

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
    """Answer after answer, when the loop has gone round; what comes later of a body goes out at once."""

    async def answer() -> list[bytes]:
        wire = Wire()
        joined = Joined(wire, Outbox())
        for body in (b"abcd", b"efgh"):
            joined.write(HEAD)
            joined.write(body)
            assert HEAD + body not in wire.written
            await asyncio.sleep(0)
        joined.write(b"more")
        return wire.written

    assert asyncio.run(answer()) == [HEAD + b"abcd", HEAD + b"efgh", b"more"]


def test_the_answers_of_a_turn_leave_together_and_in_order() -> None:
    """Nobody is sent anything while others are still being answered; two answers to one are one write."""

    async def answer() -> list[list[bytes]]:
        outbox, wires = Outbox(), [Wire(), Wire()]
        first, second = (Joined(wire, outbox) for wire in wires)
        first.write(HEAD)
        second.write(HEAD)
        second.write(b"body")
        first.write(b"1234")
        first.write(HEAD)
        first.write(b"5678")
        assert [wire.written for wire in wires] == [[], []]
        await asyncio.sleep(0)
        return [wire.written for wire in wires]

    assert asyncio.run(answer()) == [[HEAD + b"1234" + HEAD + b"5678"], [HEAD + b"body"]]


def test_a_connection_that_was_lost_keeps_no_answer_from_others() -> None:
    """uvloop raises when a handle is closed that is written to."""

    class Lost(Wire):
        def write(self, data: Any) -> None:
            raise RuntimeError("the handler is closed")

    async def answer() -> list[list[bytes]]:
        outbox, wires = Outbox(), [Wire(), Lost(), Wire()]
        for wire in wires:
            Joined(wire, outbox).write(HEAD)
        await asyncio.sleep(0)
        return [wire.written for wire in wires]

    assert asyncio.run(answer()) == [[HEAD], [], [HEAD]]


def test_a_long_answer_does_not_wait_whole() -> None:
    """What is kept back is bounded, so that a transport can say that its client does not keep up."""

    async def answer() -> list[bytes]:
        wire = Wire()
        joined = Joined(wire, Outbox())
        joined.write(HEAD)
        joined.write(bytes(MOST_KEPT))
        joined.write(b"more")
        return wire.written

    assert asyncio.run(answer()) == [HEAD + bytes(MOST_KEPT), b"more"]


def test_a_head_alone_leaves_when_the_loop_turns() -> None:
    """A body that is slow to come does not keep the status from the client."""

    async def answer() -> list[bytes]:
        wire = Wire()
        Joined(wire, Outbox()).write(HEAD)
        await asyncio.sleep(0)
        return wire.written

    assert asyncio.run(answer()) == [HEAD]


def test_a_head_alone_leaves_before_the_connection_closes() -> None:
    """What was written before `close` is written."""

    async def answer() -> tuple[list[bytes], bool]:
        wire = Wire()
        joined = Joined(wire, Outbox())
        joined.write(HEAD)
        joined.close()
        return wire.written, wire.closed

    assert asyncio.run(answer()) == ([HEAD], True)
