"""A double of Buffr's API for the tests, as a real HTTP server: it distributes, remembers keys, and can fail.

`python -m tests.buffr_double VOUCHER=STATUS...` prints its URL and serves until it is ended.
It is made from the client's contract in the seed; nobody at Buffr has seen it.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API_KEY = "buffr-api-key-of-the-tests"


@dataclass
class Buffr:
    """What was asked of it, what it distributed, and what it does next."""

    url: str = ""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # key and body
    distributions: Counter[str] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by key
    statuses: dict[str, str] = field(default_factory=dict)
    records: dict[str, Any] = field(
        default_factory=dict
    )  # answered about a voucher in the place of its status
    silent: set[str] = field(default_factory=set)  # about these it fails
    asked_about: list[str] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)  # statuses of the next answers, before anything is done
    declines: set[str] = field(default_factory=set)
    conflicts: set[str] = field(default_factory=set)
    distributed: Callable[[str], None] = lambda voucher: None  # after distributing, before answering
    lock: threading.Lock = field(default_factory=threading.Lock)

    def disburse(self, key: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Once for each key."""
        with self.lock:
            self.asked.append((key, body))
            if self.failing:
                return self.failing.pop(0), {"error": "not now"}
            if key in self.answers:
                return 200, self.answers[key]
            voucher = body["voucher_id"]
            if voucher in self.declines:
                return 422, {"error": "no such wallet"}
            if voucher in self.conflicts:
                return 409, {"error": "under way"}
            self.distributions[voucher] += 1
            self.statuses[voucher] = "delivered"
            answer = {"success": True, "deliveryId": f"D-{voucher}-{self.distributions[voucher]}"}
            self.answers[key] = answer
        self.distributed(voucher)
        return 200, answer


@contextmanager
def buffr() -> Iterator[Buffr]:
    """The double on a free port of this host."""
    state = Buffr()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self._allowed() and self.path == "/api/utilities/vouchers/disburse":
                self._answer(*state.disburse(self.headers.get("Idempotency-Key", ""), body))

        def do_GET(self) -> None:
            if not self._allowed():
                return
            name = self.path.removeprefix("/api/v1/vouchers/")
            state.asked_about.append(name)
            status = state.statuses.get(name)
            if name in state.silent:
                self._answer(503, {"error": "not now"})
            elif name in state.records:
                self._answer(200, state.records[name])
            elif status is None:
                self._answer(404, {"error": "unknown"})
            else:
                self._answer(200, {"status": status})

        def _allowed(self) -> bool:
            allowed = self.headers.get("Authorization") == f"Bearer {API_KEY}"
            if not allowed:
                self._answer(401, {"error": "who are you?"})
            return allowed

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


if __name__ == "__main__":
    with buffr() as double:
        double.statuses |= dict(argument.split("=") for argument in sys.argv[1:])
        print(double.url, flush=True)
        threading.Event().wait()
