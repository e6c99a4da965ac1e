"""The gate: from a request's credentials to a principal, once for each credential and a few seconds.

What was accepted is remembered for ACCEPTED_SECONDS, so that a busy client costs a look into a dictionary; a
key that is revoked is refused everywhere after that time at the latest. What was refused is not remembered.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import NamedTuple

from anyio import CapacityLimiter, to_thread

from api.access.keys import MARK, KeyRing
from api.access.limits import RateSettings
from api.access.scopes import Principal
from api.access.tokens import LONGEST, TokenRefused, Tokens, TokenSettings
from ledger.errors import Overloaded

ACCEPTED_SECONDS = 5.0
REMEMBERED = 10_000
# Credentials that were not seen lately, looked up two at a time: beyond so many, they are sent away at once.
MOST_WAITING = 500


class AccessSettings(NamedTuple):
    """Whose tokens are accepted, beside API keys (None: nobody's), and how much anybody may ask."""

    tokens: TokenSettings | None = None
    rates: RateSettings = RateSettings()


ONLY_KEYS = AccessSettings()


class Unauthenticated(Exception):
    """No credentials, or none that are good; the message says which, and nothing about why not."""


class Gate:
    """Knows who is asking. For coroutines of one event loop."""

    def __init__(self, keys: KeyRing, tokens: Tokens | None) -> None:
        self._keys = keys
        self._tokens = tokens
        self._accepted: OrderedDict[bytes, tuple[Principal, float]] = OrderedDict()
        self._for_keys = CapacityLimiter(2)
        # Of their own: whose issuer is slow to give out its keys keeps nobody else waiting.
        self._for_tokens = CapacityLimiter(2)
        # Keys that were good a while ago do not queue behind guesses, which anybody can make.
        self._for_known = CapacityLimiter(2)

    async def principal(self, authorization: bytes) -> Principal:
        """Whose credentials an Authorization header holds (Unauthenticated, KeysUnavailable, Overloaded)."""
        if len(authorization) > LONGEST + len("Bearer "):
            raise Unauthenticated("The credentials are too long.")
        known = self._accepted.get(authorization)
        if known is not None and time.monotonic() < known[1]:
            return known[0]
        scheme, _, credentials = authorization.decode("latin-1").partition(" ")
        credentials = credentials.strip(" ")
        if scheme.lower() != "bearer" or not credentials:
            raise Unauthenticated("Credentials are needed: `Authorization: Bearer <API key or token>`.")
        limiter = self._for_keys if credentials.startswith(MARK) else self._for_tokens
        if known is not None and limiter is self._for_keys:
            limiter = self._for_known
        if limiter.statistics().tasks_waiting >= MOST_WAITING:
            raise Overloaded("credentials are waiting to be looked up")
        principal, seconds = await to_thread.run_sync(self._look, credentials, limiter=limiter)
        self._accepted[authorization] = (principal, time.monotonic() + seconds)
        self._accepted.move_to_end(authorization)
        if len(self._accepted) > REMEMBERED:
            self._accepted.popitem(last=False)
        return principal

    def _look(self, credentials: str) -> tuple[Principal, float]:
        if credentials.startswith(MARK):
            principal = self._keys.principal(credentials)
            if principal is None:
                raise Unauthenticated("The API key is unknown, revoked or expired.")
            return principal, ACCEPTED_SECONDS
        if self._tokens is None:
            raise Unauthenticated("The credentials are not an API key, and no tokens are accepted here.")
        try:
            principal, expires_at = self._tokens.principal(credentials)
        except TokenRefused as error:
            raise Unauthenticated(f"The token is refused: {error}.") from error
        if not self._keys.has_tenant(principal.tenant):
            raise Unauthenticated("The token is refused: its tenant is not one of this service.")
        return principal, min(ACCEPTED_SECONDS, expires_at - time.time())
