"""uvicorn, set up for this API: its protocols, its limits, and how it stops."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import uvicorn

from api.app import Api
from api.patience import Patience
from api.protocol import Protocol

GRACE_SECONDS = 30
FEED_GRACE_SECONDS = 2
# A client that is dead, or takes nothing of what is sent to it, is cut off after this time.
TAKES_NOTHING_SECONDS = 60
TICKS_BETWEEN_LOOKS = 10


class Server(uvicorn.Server):
    """Waits for what is under way before it stops; the feeds, which have no end, are told to end."""

    def __init__(self, api: Api, **options: Any) -> None:
        super().__init__(
            uvicorn.Config(
                api,
                loop="uvloop",
                http=Protocol,
                ws="websockets-sansio",
                ws_max_size=1_024,  # a feed's client has nothing to say
                ws_per_message_deflate=False,
                ws_ping_timeout=TAKES_NOTHING_SECONDS,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                **options,
            )
        )
        self._api = api
        self._patience = Patience()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether to stop."""
        if counter % TICKS_BETWEEN_LOOKS == 0:
            self._patience.look(list(self.server_state.connections), time.monotonic())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the feeds, then stop as uvicorn does."""
        self._api.end_feeds()
        cut = asyncio.get_running_loop().call_later(FEED_GRACE_SECONDS, self._cut_feeds)
        try:
            await super().shutdown(sockets)
        finally:
            cut.cancel()

    def _cut_feeds(self) -> None:
        """A client that does not take the rest of its page is not waited for: it comes back for it."""
        for connection in list(self.server_state.connections):
            scope = getattr(getattr(connection, "cycle", connection), "scope", None) or {}
            if "exchange" in scope and scope["exchange"].streaming and connection.transport is not None:
                connection.transport.abort()
