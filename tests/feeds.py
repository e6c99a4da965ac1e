"""Clients of the feed over real HTTP, which come back to where they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.keys import as_admin

STREAM = {"Accept": "text/event-stream"}


@contextmanager
def sse(base: str, path: str, last: int | None = None, **query: Any) -> Iterator[Iterator[dict[str, str]]]:
    """The messages of an event stream, each as its fields; a comment is {"": ...}."""
    headers = as_admin(base) | STREAM | ({} if last is None else {"Last-Event-ID": str(last)})
    with (
        httpx.Client(timeout=10) as client,
        client.stream("GET", base + path, headers=headers, params=query) as answer,
    ):
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"] == "text/event-stream"
        yield _messages(answer.iter_lines())


def raw_request(base: str, path: str) -> bytes:
    """What a client sends that will then take nothing."""
    key = as_admin(base)["authorization"]
    lines = (f"GET {path} HTTP/1.1", "Host: x", "Accept: text/event-stream", f"Authorization: {key}", "", "")
    return "\r\n".join(lines).encode()


def _messages(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    message: dict[str, str] = {}
    for line in lines:
        if not line:
            yield message
            message = {}
        else:
            name, _, value = line.partition(":")
            message[name] = value.removeprefix(" ")


@contextmanager
def socket(base: str, path: str, **query: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """The messages of a WebSocket, parsed; it ends when the server closes it."""
    url = str(httpx.URL(base.replace("http", "ws", 1) + path, params=query))

    def messages() -> Iterator[dict[str, Any]]:
        with suppress(ConnectionClosed):
            while True:
                yield json.loads(connection.recv(timeout=10))

    with connect(url, open_timeout=10, close_timeout=0.05, additional_headers=as_admin(base)) as connection:
        yield messages()


class Follower:
    """A client that remembers its position and the seqs it was given, over any number of connections."""

    def __init__(self, base: str, path: str, over: str, **query: Any) -> None:
        self.base = base
        self.position = 0
        self.seqs: list[int] = []
        self.connections = 0
        self._path = path
        self._over = over
        self._query = query

    def take(self, count: int, upto: int) -> None:
        """One connection: take up to `count` messages, or those until the position is `upto`."""
        self.connections += 1
        line = (
            sse(self.base, self._path, self.position, **self._query)
            if self._over == "sse"
            else socket(self.base, self._path, after=self.position, **self._query)
        )
        with line as messages:
            if self.position >= upto:
                return
            for message in messages:
                if self._over == "sse":
                    self._take_sse(message)
                else:
                    self._take_socket(message)
                count -= 1
                if self.position >= upto or count <= 0:
                    return

    def _take_sse(self, message: dict[str, str]) -> None:
        if "id" in message:
            self.position = int(message["id"])
        if "data" in message:
            event = json.loads(message["data"])
            assert event["seq"] == event["body"]["seq"] == self.position
            self.seqs.append(event["seq"])

    def _take_socket(self, message: dict[str, Any]) -> None:
        self.position = message["position"] if "position" in message else message["seq"]
        if "seq" in message:
            assert message["body"]["seq"] == message["seq"]
            self.seqs.append(message["seq"])
