"""The ASGI application: routes from the table of operations, one place where requests begin and end.

There is no middleware: `Api.__call__` gives every request its id, turns every exception into a problem, and
logs what failed or was slow.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from api import docs
from api.access.gate import ONLY_KEYS, AccessSettings, Gate
from api.access.limits import RateLimits, TooMany
from api.access.scopes import NOBODY, Principal
from api.access.tokens import Tokens
from api.bridge import Bridge
from api.handlers import Call
from api.http import JSON, Exchange, Gone, NoQuery, decode_path, decode_query, encode
from api.openapi import document
from api.operation import Operation, OperationScope
from api.operations import FEED, OPERATIONS
from api.problems import Problem, Refused, make, of_error
from api.routes import Routes
from api.settings import Work
from api.streaming import denial
from ledger.keeping import Keeping

log = structlog.get_logger("daybook.http")

SLOW_MS = 1_000
WORK = Work()
HTML = b"text/html; charset=utf-8"
Respond = Callable[[Exchange, dict[str, str]], Awaitable[None]]


def create_app(
    conninfo: str,
    keeping: Keeping,
    exports: Path,
    work: Work = WORK,
    access: AccessSettings = ONLY_KEYS,
) -> Api:
    """The application on a migrated database; writer, reader and engine live from start-up to shutdown.

    `exports`: where folders of exports are made. `work`: what this process does beside answering. ValueError
    when `access` cannot be right.
    """
    return Api(conninfo, keeping, exports, work, access)


class Api:
    """The application of one process."""

    def __init__(
        self, conninfo: str, keeping: Keeping, exports: Path, work: Work, access: AccessSettings
    ) -> None:
        self._conninfo = conninfo
        self._keeping = keeping
        self._exports = exports
        self._work = work
        self._tokens = None if access.tokens is None else Tokens(access.tokens)
        self._limits = RateLimits(access.rates)
        self._bridge: Bridge | None = None
        self._gate: Gate | None = None
        self._routes = self._make_routes()
        self._beside = Router(
            [docs.static_files()], redirect_slashes=False, default=_nowhere, lifespan=self._lifespan
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._beside(scope, receive, send)
            return
        began = time.perf_counter()
        exchange = Exchange(scope, receive, denial(send) if scope["type"] == "websocket" else send)
        try:
            exchange.take_request_id()
            found = self._routes.find(scope["path"])
            if found is None:
                await self._beside(scope, receive, exchange.pass_on)
            else:
                path, parameters = found
                await path.responder(scope)(exchange, parameters)
        except Gone:
            pass
        except Exception as error:
            problem = _problem(error, exchange)
            if not exchange.status:
                await exchange.problem(problem)
        ms = (time.perf_counter() - began) * 1_000
        # A line for every request would cost the ledger a tenth of its throughput.
        if exchange.status >= 500 or (ms >= SLOW_MS and not exchange.streaming):
            log.warning(
                "http.request",
                method=scope.get("method", "WEBSOCKET"),
                path=scope["path"],
                status=exchange.status,
                ms=round(ms, 2),
                request_id=exchange.request_id,
            )

    def end_feeds(self) -> None:
        """Let the requests end that have no end of their own, because the process does."""
        if self._bridge is not None:
            self._bridge.feeds.end()

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        self._bridge = Bridge(self._conninfo, self._keeping, self._exports, self._work)
        self._gate = self._bridge.gate = Gate(self._bridge.keys, self._tokens)
        try:
            yield
        finally:
            await self._bridge.close()

    def _make_routes(self) -> Routes[_Path]:
        paths: dict[str, dict[str, Respond]] = {}
        for operation in OPERATIONS:
            paths.setdefault(operation.path, {})[operation.method] = self._responder(operation)
        paths["/openapi.json"] = {"GET": _static(encode(document()), b"application/json")}
        paths["/docs"] = {"GET": _static(docs.PAGE, HTML)}
        routes: Routes[_Path] = Routes()
        for path, methods in paths.items():
            # The addresses of a tile and of an export's file are several segments.
            whole = re.sub(r"\{(tile|file)\}", r"{\1:path}", path)
            routes.add(whole, _Path(methods, feed=path == FEED))
        return routes

    async def _admit(self, exchange: Exchange, scope: OperationScope) -> Principal:
        """Who is asking, if they may (Unauthenticated, TooMany, Refused)."""
        if scope == "none":
            return NOBODY
        assert self._gate is not None
        principal = await self._gate.principal(exchange.authorization())
        try:
            exchange.headers = self._limits.take(principal)
        except TooMany as error:
            exchange.headers = error.headers
            raise
        if scope not in principal.scopes:
            raise Refused(make("forbidden", evidence={"scope": scope, "actor": principal.actor}))
        return principal

    def _responder(self, operation: Operation) -> Respond:
        async def respond(exchange: Exchange, parameters: dict[str, str]) -> None:
            principal = await self._admit(exchange, operation.scope)
            path = decode_path(parameters)
            query = decode_query(exchange.scope["query_string"], operation.query)
            assert self._bridge is not None
            reply = await operation.handler(Call(self._bridge, exchange, operation, path, query, principal))
            if reply is None:
                return
            if isinstance(reply.body, Problem):
                await exchange.problem(reply.body, reply.headers)
            else:
                body = encode(reply.body) if operation.media == JSON else reply.body
                await exchange.answer(reply.status, body, operation.media, reply.headers)

        return respond


class _Path:
    """The methods of one path; a feed is for WebSockets too."""

    def __init__(self, methods: dict[str, Respond], *, feed: bool) -> None:
        self._feed = feed
        self._methods = methods
        if "GET" in methods:
            self._methods = {**methods, "HEAD": methods["GET"]}
        self._allowed = sorted(self._methods)

    def responder(self, scope: Scope) -> Respond:
        """What answers a request (Refused)."""
        if scope["type"] == "websocket" and not self._feed:
            raise Refused(make("not_found"))
        respond = self._methods.get(scope.get("method", "GET"))  # a WebSocket begins as a GET
        if respond is None:
            raise Refused(make("method_not_allowed", evidence={"allowed": self._allowed}))
        return respond


def _static(body: bytes, content_type: bytes) -> Respond:
    async def respond(exchange: Exchange, parameters: dict[str, str]) -> None:
        decode_query(exchange.scope["query_string"], NoQuery)
        await exchange.answer(200, body, content_type)

    return respond


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    raise Refused(make("not_found"))


def _problem(error: Exception, exchange: Exchange) -> Problem:
    problem = of_error(error)
    if problem is None and isinstance(error, HTTPException):  # of the static files
        allowed = {"allowed": ["GET", "HEAD"]}
        problem = (
            make("method_not_allowed", evidence=allowed) if error.status_code == 405 else make("not_found")
        )
    problem = problem or make("internal_error")
    if problem.code == "internal_error":
        log.error("http.defect", request_id=exchange.request_id, exc_info=error)
    return problem
