"""The floor of `POST .../transactions`: the same route that only parses with msgspec and answers.

`python -m benchmarks.parse_only PORT` serves it with the same server settings as `daybook serve`.
"""

from __future__ import annotations

import sys

import uvicorn
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from api.http import Exchange
from api.protocol import Protocol
from ledger.commands import decode_transaction

ANSWER = b"x" * 640  # as long as the answer to a plain transaction


class _Parse:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        decode_transaction(await exchange.body())
        await exchange.answer(201, ANSWER)


def main(port: int) -> None:
    """Serve until a signal."""
    app = Router([Route("/v1/ledgers/{ledger}/transactions", _Parse(), methods=["POST"])])
    uvicorn.run(
        app,
        port=port,
        loop="uvloop",
        http=Protocol,
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
