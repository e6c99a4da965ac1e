"""A real HTTP server that receives webhooks and behaves as a test wants: well, badly, slowly, not at all."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec


@dataclass
class Received:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return msgspec.json.decode(self.body)

    @property
    def id(self) -> str:
        """Its id, as the standard scheme has it."""
        return self.headers["webhook-id"]

    @property
    def seq(self) -> int:
        """The event's."""
        return int(self.json["seq"])


Behaviour = Callable[[Received, "Line"], None]


@dataclass
class Line:
    """What a behaviour may do to the connection."""

    handler: BaseHTTPRequestHandler
    ended: threading.Event

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer."""
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("content-length", str(len(body)))
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def drip(self, data: bytes, seconds: float) -> None:
        """A byte now and then, until all is said or the test has ended."""
        with suppress(OSError):
            for n in range(len(data)):
                self.handler.wfile.write(data[n : n + 1])
                self.handler.wfile.flush()
                if self.ended.wait(seconds):
                    return

    def hang(self) -> None:
        """Say nothing until the test has ended."""
        self.ended.wait()


def takes(received: Received, line: Line) -> None:
    """The well-behaved endpoint."""
    line.answer(204)


def says(status: int, **headers: str) -> Behaviour:
    """An endpoint with one answer for all."""
    return lambda received, line: line.answer(status, b"", **headers)


@dataclass
class Receiver:
    """What came, and what becomes of what comes next."""

    url: str
    port: int
    behaviour: Behaviour = takes
    received: list[Received] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def seqs(self) -> list[int]:
        """Of everything received."""
        return [received.seq for received in self.received]

    def until(self, count: int, seconds: float = 20) -> None:
        """Wait until so many have come."""
        deadline = time.monotonic() + seconds
        while len(self.received) < count:
            assert time.monotonic() < deadline, f"{len(self.received)} of {count}"
            time.sleep(0.01)


@contextmanager
def receiver(
    behaviour: Behaviour = takes, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Receiver]:
    """A receiver on a port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came = Received(self.path, _named(self.headers), body)
            made.received.append(came)
            with suppress(OSError):
                made.behaviour(came, Line(self, made.ended))

        def do_GET(self) -> None:
            made.received.append(Received(self.path, _named(self.headers), b""))

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    server = Server((host, port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    bound = server.server_address[1]
    made = Receiver(f"{'http' if tls is None else 'https'}://{host}:{bound}/hook", bound, behaviour)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _named(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
