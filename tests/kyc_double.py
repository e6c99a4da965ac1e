"""A double of the provider of verifications, as a real HTTP server: it opens sessions, and can fail.

It is made from the documents of TrueStack's API for its clients; nobody there has seen it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

API_KEY = "ts_live_0123456789abcdef"


@dataclass
class Provider:
    """What was asked of it, and what it does next."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)  # statuses of the next answers
    opened: Callable[[str], None] = lambda session: None  # before answering, whatever it answers
    more: dict[str, Any] = field(default_factory=dict)  # what else it says of what it opens

    def sessions(self) -> list[str]:
        """Our names of the sessions that it opened, in order."""
        return [body["metadata"]["daybook_session"] for body in self.asked]

    def open(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Another session each time."""
        session = body["metadata"]["daybook_session"]
        if self.failing:
            status = self.failing.pop(0)
            self.opened(session)
            return status, {"error": "GATEWAY_ERROR"}
        self.asked.append(body)
        number = len(self.asked)
        self.opened(session)
        url = f"https://ekyc.example.com/onboarding/{number}"
        return 201, {"id": f"p-{number}", "onboarding_url": url, "status": "pending", **self.more}


@contextmanager
def provider() -> Iterator[Provider]:
    """The double on a free port of this host."""
    state = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.headers.get("Authorization") != f"Bearer {API_KEY}":
                self._answer(401, {"error": "UNAUTHORIZED"})
            elif self.path == "/api/v1/kyc/sessions":
                self._answer(*state.open(body))

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
