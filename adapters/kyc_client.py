"""The provider that verifies people: sessions that they are sent to, as TrueStack's API for clients has it.

`POST /api/v1/kyc/sessions` with an API key answers where the person goes (`onboarding_url`) and until when.
What becomes of the session comes in as webhooks (adapters/trueidentity.py), which repeat its `metadata`.
Another provider is another client with the same `open`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import httpcore
import msgspec
from msgspec import Struct

SESSIONS = "/api/v1/kyc/sessions"
SESSION_KEY = "daybook_session"  # in the metadata: our name of the session
TIMEOUT_SECONDS = 10.0
CONNECTIONS = 4


class Opened(Struct, frozen=True):
    """Where the person goes, and until when (of UTC unless it says); `id` is the provider's own name."""

    id: str
    onboarding_url: str
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            msgspec.structs.force_setattr(self, "expires_at", self.expires_at.replace(tzinfo=UTC))


class NotOpened(Struct, frozen=True):
    """There is no session, as far as is known; the reason names no person."""

    reason: str


class Document(Struct, frozen=True):
    """Who is to be verified, as the provider's API spells it."""

    document_name: str
    document_number: str
    document_type: str = "1"


class KycProvider(Protocol):
    """The port. Threads may share it."""

    def open(self, session: str, document: Document) -> Opened | NotOpened:
        """A session for a person; asked again with the same name, it may be another one."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class KycClient:
    """The API at a URL; `callback` is where it reports to."""

    def __init__(self, url: str, key: str, callback: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._url = url.rstrip("/") + SESSIONS
        self._key = key
        self._callback = callback
        self._timeout = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        self._pool = httpcore.ConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=30)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def open(self, session: str, document: Document) -> Opened | NotOpened:
        """See KycProvider."""
        asked = {
            **msgspec.to_builtins(document),
            "platform": "Web",
            "webhook_url": self._callback,
            "metadata": {SESSION_KEY: session},
        }
        headers = [
            ("authorization", f"Bearer {self._key}"),
            ("content-type", "application/json"),
            ("user-agent", "Daybook"),
            ("idempotency-key", session),
        ]
        try:
            response = self._pool.request(
                "POST",
                self._url,
                headers=headers,
                content=msgspec.json.encode(asked),
                extensions={"timeout": self._timeout},
            )
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            return NotOpened(f"The provider cannot be reached: {type(error).__name__}.")
        if response.status not in (200, 201):
            return NotOpened(f"The provider answered {response.status}.")
        try:
            return msgspec.json.decode(response.content, type=Opened)
        except msgspec.MsgspecError:
            return NotOpened("The provider's answer names no session and no address.")
