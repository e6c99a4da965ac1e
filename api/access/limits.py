"""Rate limits: how many requests a key and its tenant may make, in a sliding window.

They are counted in this process: several processes each allow the whole limit. Without settings nothing is
counted and nothing is said.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from api.access.scopes import Principal

Headers = tuple[tuple[bytes, bytes], ...]


class RateSettings(NamedTuple):
    """As `600/minute`, for each key (or user) and for each tenant; None: no limit."""

    key: str | None = None
    tenant: str | None = None


class TooMany(Exception):
    """The limit is reached; `retry_after` are the seconds until the window has room again."""

    def __init__(self, limit: str, retry_after: int, headers: Headers) -> None:
        super().__init__(limit)
        self.limit = limit
        self.retry_after = retry_after
        self.headers = headers


class _Limit(NamedTuple):
    name: str
    item: RateLimitItem

    def of(self, principal: Principal) -> str:
        return principal.tenant if self.name == "tenant" else f"{principal.tenant}/{principal.actor}"


class RateLimits:
    """The limits of one process. For one event loop."""

    def __init__(self, settings: RateSettings) -> None:
        """ValueError for a setting that is not like `600/minute`."""
        self._limits = [
            _Limit(name, parse(text))
            for name, text in (("key", settings.key), ("tenant", settings.tenant))
            if text is not None
        ]
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        policies = [f'"{name}";q={item.amount};w={item.get_expiry()}' for name, item in self._limits]
        self._policy = (b"ratelimit-policy", ", ".join(policies).encode())

    def take(self, principal: Principal) -> Headers:
        """Count a request; the header fields that say what is left (TooMany).

        They are those of the IETF's draft "RateLimit header fields for HTTP": `RateLimit-Policy` names each
        limit with its quota and window in seconds, `RateLimit` what remains and for how long.
        """
        if not self._limits:
            return ()
        states = []
        refused: tuple[str, int] | None = None
        for limit in self._limits:
            whose = limit.of(principal)
            taken = self._limiter.hit(limit.item, limit.name, whose)
            reset, remaining = self._limiter.get_window_stats(limit.item, limit.name, whose)
            seconds = max(1, math.ceil(reset - time.time()))
            states.append(f'"{limit.name}";r={remaining};t={seconds}')
            if not taken:
                refused = (limit.name, seconds)
                break
        headers = (self._policy, (b"ratelimit", ", ".join(states).encode()))
        if refused is not None:
            raise TooMany(*refused, headers)
        return headers
