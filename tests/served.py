"""The API over real HTTP: a server on a free loopback port, and a client that holds it to its own document.

Every answer that passes through `Service.call` must be declared in the OpenAPI document: its status, its
media type, the code of a problem, and its headers.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import structlog

from api.access.gate import ONLY_KEYS, AccessSettings
from api.app import create_app
from api.openapi import document
from api.problems import CODES
from api.server import Server
from api.settings import Work
from ledger.keeping import Keeping
from tests.keys import as_admin, introduce

CHART: dict[str, Any] = {
    "assets": ["USD/2", "EUR/2", "JPY/0"],
    "accounts": [
        {"pattern": "cash", "type": "asset"},
        {"pattern": "fees", "type": "income", "assets": ["USD/2"]},
        {"pattern": "fx", "type": "equity"},
        {"pattern": "capped", "type": "liability", "limits": {"USD/2": {"max_balance": 100}}},
        {"pattern": "customers:{n}", "type": "liability", "limits": {"*": {"min_available": 0}}},
    ],
}

WORK = Work()
_numbers = count(1)


class Service:
    """A server under test and its client."""

    def __init__(self, base: str) -> None:
        """`introduce` the base first."""
        self.base = base
        self.client = httpx.Client(base_url=base, timeout=30, headers=as_admin(base))
        self._paths: dict[str, Any] = msgspec.to_builtins(document()["paths"])

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """Send a request; the answer must be one that the document declares."""
        if body is not None:
            options["json"] = body
        response = self.client.request(method, path, **options)
        self.check_declared(response)
        return response

    def get(self, path: str, **query: Any) -> Any:
        """The parsed answer of a read that must succeed."""
        response = self.call("GET", path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def check_declared(self, response: httpx.Response) -> None:
        """The status, media type, code and headers stand in the document for this operation."""
        assert response.headers["x-request-id"]
        assert int(response.headers["content-length"]) == len(response.content)
        media = response.headers["content-type"]
        problem = response.json() if media == "application/problem+json" else None
        if problem is not None:
            row = CODES[problem["code"]]
            assert (problem["status"], problem["transient"]) == (row.status, row.transient)
            assert (problem["title"], response.status_code) == (row.sentence, row.status)
            assert problem["type"] == f"/v1/rejections#{row.code}"
        operation = self._operation(response.request)
        if operation is None:
            assert problem is not None
            assert problem["code"] in ("not_found", "method_not_allowed")
            return
        declared = operation["responses"][str(response.status_code)]
        assert media in declared["content"]
        assert problem is None or problem["code"] in declared["x-codes"], problem
        ours = {"idempotency-replayed", "location", "retry-after", "www-authenticate"}
        assert ours & set(response.headers) <= {name.lower() for name in declared["headers"]}

    def _operation(self, request: httpx.Request) -> Any:
        # The most literal path comes first: /transactions/batch is not /transactions/{seq}.
        for template in sorted(self._paths, key=lambda path: path.count("{")):
            pattern = re.sub(r"\{\w+\}", "[^/]+", re.sub(r"\{(tile|file)\}", ".+", template))
            if re.fullmatch(pattern, request.url.raw_path.decode().partition("?")[0]):
                return self._paths[template].get(request.method.lower())
        return None

    def open(self, chart: Any = CHART) -> Book:
        """A new ledger."""
        name = f"ledger-{next(_numbers)}"
        answer = self.call("POST", "/v1/ledgers", {"name": name, "chart": chart})
        assert answer.status_code == 201, answer.text
        return Book(self, name)


class Book:
    """One ledger, from a client's side."""

    def __init__(self, service: Service, name: str) -> None:
        self.service = service
        self.name = name
        self.path = f"/v1/ledgers/{name}"

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """`Service.call` below this ledger."""
        return self.service.call(method, self.path + path, body, **options)

    def get(self, path: str, **query: Any) -> Any:
        """`Service.get` below this ledger."""
        return self.service.get(self.path + path, **query)

    def post(self, body: Any, key: str | None = None) -> httpx.Response:
        """Ask for a transaction."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.call("POST", "/transactions", body, headers=headers)

    def seq(self, body: Any) -> int:
        """Record a transaction that must be accepted; its seq."""
        answer = self.post(body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["seq"])

    def head(self) -> int:
        """The ledger's seq."""
        return int(self.get("")["seq"])

    def balance(self, address: str, asset: str = "USD/2", **query: Any) -> tuple[int, int, int]:
        """Posted, pending and available of an account."""
        for row in self.get(f"/accounts/{address}/balances", **query)["balances"]:
            if row["asset"] == asset:
                return row["posted"], row["pending"], row["available"]
        return 0, 0, 0


def leg(account: str, side: str, amount: Any, asset: str = "USD/2") -> dict[str, Any]:
    """One posting."""
    return {"account": account, "side": side, "amount": amount, "asset": asset}


def move(debit: str, credit: str, amount: Any, asset: str = "USD/2", **more: Any) -> dict[str, Any]:
    """A transaction of two legs."""
    return {"postings": [leg(debit, "debit", amount, asset), leg(credit, "credit", amount, asset)], **more}


@contextmanager
def served(
    conninfo: str, keys: Path | None = None, work: Work = WORK, access: AccessSettings = ONLY_KEYS
) -> Iterator[Service]:
    """A server on a free port of the loopback interface, as `daybook serve` runs it, stopped in order.

    `keys`: the folder of the signing key and kept tree heads, if it is to outlive the server.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with TemporaryDirectory(prefix="daybook-test-keys-") as folder:
        app = create_app(conninfo, Keeping(keys or Path(folder)), Path(folder, "exports"), work, access)
        server = Server(app, port=0)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                thread.join(0.01)
            address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            introduce(address, conninfo)
            service = Service(address)
            with service.client:
                yield service
        finally:
            server.should_exit = True
            thread.join()
