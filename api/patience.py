"""Clients that open a connection and do not say what they want: how long they are waited for.

uvicorn waits for ever for the rest of a request. A timer for each request would cost every one of them; here
all connections are looked at once a second, and only those of which a request is not complete are remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from api.protocol import Protocol

HEAD_SECONDS = 10.0
BODY_SECONDS = 60.0


class Patience:
    """Since when each connection owes the rest of a request. For one event loop."""

    def __init__(self) -> None:
        self._owing: dict[Protocol, tuple[object, float]] = {}

    def look(self, connections: Iterable[Any], now: float) -> None:
        """Close connections whose request has not been completed in time; `now` in seconds."""
        owing: dict[Protocol, tuple[object, float]] = {}
        for connection in connections:
            owed = _owed(connection)
            if owed is None:
                continue
            known, since = self._owing.get(connection, (None, now))
            if known != owed:
                since = now
            if now - since >= (BODY_SECONDS if owed[0] == "body" else HEAD_SECONDS):
                connection.transport.close()
            else:
                owing[connection] = owed, since
        self._owing = owing


def _owed(connection: Any) -> tuple[str, object] | None:
    """The part of a request that a client has yet to send, and which request it is; None: it owes nothing."""
    if not isinstance(connection, Protocol):
        return None  # a WebSocket, which has pings
    cycle = connection.cycle
    if cycle is None:
        return "head", None
    if cycle.more_body:
        return "body", cycle
    if cycle.response_complete and connection.timeout_keep_alive_task is None:
        return "head", cycle  # of the next request, which has begun
    return None
