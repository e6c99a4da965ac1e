"""A load of requests from a process of its own: so many connections, each with one request under way.

`python -m benchmarks.load_generator PORT LEDGER CONNECTIONS REQUESTS ITEMS KEY` prints a `Load` as JSON.
Requests are encoded before the clock starts; the answers' status is looked at, their bodies are not.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from typing import cast

import msgspec
import uvloop
from msgspec import Struct

from benchmarks import workload


class Load(Struct):
    """What a load was like: seconds, the generator's own CPU seconds, latencies in milliseconds."""

    requests: int
    seconds: float
    cpu_seconds: float
    p50: float
    p99: float


def encoded(ledger: str, items: int, key: str) -> bytes:
    """A request: a transaction with a key of its own, or a batch of them."""
    if items == 1:
        path, once = f"/v1/ledgers/{ledger}/transactions", f"idempotency-key: {workload.key()}\r\n"
        body = msgspec.json.encode(workload.transaction())
    else:
        path, once = f"/v1/ledgers/{ledger}/transactions/batch", ""
        transactions = [workload.transaction() for _ in range(items)]
        for transaction in transactions:
            transaction.idempotency_key = workload.key()
        body = msgspec.json.encode({"transactions": transactions})
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\n{once}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """Sends the next request when the last one is answered."""

    def __init__(
        self, requests: Iterator[bytes], latencies: list[float], ended: asyncio.Future[None]
    ) -> None:
        self._requests = requests
        self._latencies = latencies
        self._ended = ended
        self._buffer = b""
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self._ended.set_result(None)
            return
        self._sent = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._missing:
            self._missing -= len(data)
        else:
            self._buffer += data
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200")):
                self._ended.set_exception(RuntimeError(self._buffer.decode()))
                return
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self._missing = length - len(rest)
            self._buffer = b""
        if not self._missing:
            self._latencies.append(time.perf_counter() - self._sent)
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_exception(error or ConnectionError("the server closed the connection"))


async def drive(port: int, requests: list[bytes], connections: int) -> Load:
    """Send every request and wait for its answer."""
    loop = asyncio.get_running_loop()
    source = iter(requests)
    latencies: list[float] = []
    ended = [loop.create_future() for _ in range(connections)]
    cpu, started = time.process_time(), time.perf_counter()
    for future in ended:
        await loop.create_connection(
            lambda future=future: Connection(source, latencies, future),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    await asyncio.gather(*ended)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    latencies.sort()
    p50, p99 = (1_000 * latencies[int(len(latencies) * share)] for share in (0.5, 0.99))
    return Load(len(latencies), seconds, cpu, p50, p99)


def main() -> None:
    """The command line."""
    _, port, ledger, connections, count, items, key = sys.argv
    requests = [encoded(ledger, int(items), key) for _ in range(int(count))]
    load = uvloop.run(drive(int(port), requests, int(connections)))
    sys.stdout.buffer.write(msgspec.json.encode(load))


if __name__ == "__main__":
    main()
