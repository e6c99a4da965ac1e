"""A double of Stripe's HTTP API, as far as Daybook asks it: a real server that the official client talks to.

It is test equipment: it keeps what it is given and answers lists page by page, as Stripe's documents say.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "sk_test_of_the_double"


class StripeDouble:
    """`objects`: what there is, by list; `asked`: paths and queries; `failures`: of so many requests.

    `compositions`: the balance transactions that each payout paid out. `balance_off`: by how much the balance
    is not what its transactions add up to.
    """

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {"balance_transactions": [], "payouts": []}
        self.compositions: dict[str, list[str]] = {}
        self.balance_off = 0
        self.asked: list[str] = []
        self.failures = 0
        self.address = ""

    def answer(self, path: str, authorization: str) -> tuple[int, dict[str, Any]]:
        """Status and body."""
        self.asked.append(path)
        if authorization != f"Bearer {KEY}":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
        if self.failures:
            self.failures -= 1
            return 500, {"error": {"type": "api_error", "message": "something is wrong at the double"}}
        url = urlsplit(path)
        name = url.path.removeprefix("/v1/")
        if name == "balance":
            return 200, self._balance()
        if name not in self.objects:
            return 404, {"error": {"type": "invalid_request_error", "message": f"no {url.path}"}}
        return 200, self._list(name, {key: values[-1] for key, values in parse_qs(url.query).items()})

    def _balance(self) -> dict[str, Any]:
        """Half of what the transactions leave is available, the rest pending."""
        sums: dict[str, int] = {}
        for one in self.objects["balance_transactions"]:
            sums[one["currency"]] = sums.get(one["currency"], self.balance_off) + one["net"]
        parts = {
            "available": {c: n // 2 for c, n in sums.items()},
            "pending": {c: n - n // 2 for c, n in sums.items()},
        }
        lists = {
            part: [{"amount": amount, "currency": currency} for currency, amount in amounts.items()]
            for part, amounts in parts.items()
        }
        return {"object": "balance", "livemode": False, **lists}

    def _list(self, name: str, query: dict[str, str]) -> dict[str, Any]:
        """The newest first, as Stripe lists."""
        found = sorted(self.objects[name], key=lambda one: (one["created"], one["id"]), reverse=True)
        found = [
            one
            for one in found
            if int(query.get("created[gte]", 0)) <= one["created"] < int(query.get("created[lt]", 2**40))
        ]
        if "payout" in query:
            paid_out = self.compositions.get(query["payout"], ())
            found = [one for one in found if one["id"] in paid_out]
        after = query.get("starting_after")
        if after is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        limit = int(query.get("limit", 10))
        expanded = query.get("expand[0]") == "data.source"
        data = [one if expanded else {**one, "source": _id(one.get("source"))} for one in found[:limit]]
        return {"object": "list", "url": f"/v1/{name}", "has_more": len(found) > limit, "data": data}


def _id(source: Any) -> Any:
    return source["id"] if isinstance(source, dict) else source


@contextmanager
def stripe_double() -> Iterator[StripeDouble]:
    """A double on a free port of the loopback interface."""
    double = StripeDouble()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, body = double.answer(self.path, self.headers.get("Authorization", ""))
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    double.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield double
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
