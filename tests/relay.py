"""A network that fails where a test says: a relay between a client and PostgreSQL, message by message.

A double of the network, not of the database: every byte goes to the real server and back. The relay reads
the client's messages (protocol version 3) so that it can cut the connection exactly at COMMIT: before the
server has seen it, or after the server has carried it out and before the client has learned it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Cut = Literal["before COMMIT", "after COMMIT"]


class Relay:
    """Forwards connections of 127.0.0.1:`port`; cuts as many as it was told to, then none."""

    def __init__(self, conninfo: str) -> None:
        with psycopg.connect(conninfo) as probe:
            self._host, self._server_port = probe.info.host, probe.info.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._cuts: list[Cut] = []
        self._changed = threading.Lock()
        self.made: list[Cut] = []
        settings = {
            **conninfo_to_dict(conninfo),
            "host": "127.0.0.1",
            "port": self._listener.getsockname()[1],
        }
        self.conninfo = make_conninfo("", **settings, sslmode="disable", gssencmode="disable")
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *cuts: Cut) -> None:
        """Cut the next COMMITs so, one after the other."""
        with self._changed:
            self._cuts += cuts

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _Session(self, client, self._connect()).start()

    def _connect(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._server_port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{self._host}/.s.PGSQL.{self._server_port}")
        return server

    def next_cut(self) -> Cut | None:
        """What to do with the COMMIT that has come."""
        with self._changed:
            if not self._cuts:
                return None
            self.made.append(self._cuts.pop(0))
            return self.made[-1]


class _Session:
    """One connection of a client, and its partner to the server."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay = relay
        self._client = client
        self._server = server
        self._copies = 0  # still to come in the message that ends with COMMIT
        self._deaf = threading.Event()  # the client hears nothing more

    def start(self) -> None:
        threading.Thread(target=self._upstream, daemon=True).start()
        threading.Thread(target=self._downstream, daemon=True).start()

    def _upstream(self) -> None:
        with suppress(OSError), self._client.makefile("rb") as stream:
            length = stream.read(4)
            self._server.sendall(length + stream.read(int.from_bytes(length) - 4))
            while kind := stream.read(1):
                length = stream.read(4)
                payload = stream.read(int.from_bytes(length) - 4)
                if self._commits(kind, payload):
                    cut = self._relay.next_cut()
                    if cut == "before COMMIT":
                        break
                    if cut == "after COMMIT":
                        self._deaf.set()
                self._server.sendall(kind + length + payload)
        if not self._deaf.is_set():
            self._end()

    def _commits(self, kind: bytes, payload: bytes) -> bool:
        """Whether the server commits on this message: COMMIT, or the end of the last COPY before it."""
        if kind == b"Q" and b"COMMIT" in payload:
            self._copies = payload.count(b"FROM STDIN")
            return not self._copies
        if kind == b"c" and self._copies:
            self._copies -= 1
            return not self._copies
        return False

    def _downstream(self) -> None:
        """Server to client. Once deaf: wait for the server to say that it has committed, then cut."""
        heard = b""
        with suppress(OSError):
            while data := self._server.recv(65_536):
                if not self._deaf.is_set():
                    self._client.sendall(data)
                    continue
                heard += data
                if b"C\x00\x00\x00\x0bCOMMIT\x00" in heard:
                    break
        self._end()

    def _end(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def relayed(conninfo: str) -> Iterator[Relay]:
    """A relay to the server of `conninfo`; connect through its own."""
    relay = Relay(conninfo)
    try:
        yield relay
    finally:
        relay.close()
