"""Buffr's API: a voucher handed over for distribution, and how Buffr says that a voucher stands.

A request is tried a few times with the same key, so that Buffr distributes once however often it is asked.
After FAILURES in a row the circuit opens: nothing is asked for OPEN_SECONDS, then one request tries it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpcore
import msgspec
from msgspec import Struct

from adapters.adapter import plain

DISBURSE = "/api/utilities/vouchers/disburse"
STATUS = "/api/v1/vouchers/"
TRIES = 3
PAUSE_SECONDS = 0.2  # before the second try; each further one waits twice as long
TIMEOUT_SECONDS = 10.0
FAILURES = 5
OPEN_SECONDS = 30.0
CONNECTIONS = 8
LONGEST_ID = 255
LONGEST_REASON = 1_000

# What says something about us or about the moment, and nothing about the voucher.
_NOT_OF_VOUCHER = {401, 403, 404, 405, 408, 409, 425, 429}


class Taken(Struct, frozen=True):
    """Buffr has the voucher, now or since it was asked before. `delivery` is its own id of that."""

    delivery: str


class Declined(Struct, frozen=True):
    """Buffr will not distribute the voucher, however often it is asked."""

    reason: str


class Later(Struct, frozen=True):
    """Nothing is known; asking again with the same key is safe. `answered`: others may fare better."""

    reason: str
    answered: bool = False


class Unknown(Exception):
    """Buffr does not say how a voucher stands; the message says why."""


class Breaker:
    """Counts failures in a row; `now` is where time comes in. Threads may share it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._failures = 0
        self._opened = 0.0

    def allows(self) -> bool:
        """Whether to ask: always while it is closed, once every OPEN_SECONDS while it is open."""
        with self._lock:
            if self._failures < FAILURES:
                return True
            if self._now() - self._opened < OPEN_SECONDS:
                return False
            self._opened = self._now()
            return True

    def note(self, worked: bool) -> None:
        """What became of a request."""
        with self._lock:
            self._failures = 0 if worked else self._failures + 1
            if self._failures == FAILURES:
                self._opened = self._now()


class BuffrClient:
    """The API at a URL. Threads may share it."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        pause: Callable[[float], Any] = time.sleep,
        breaker: Breaker | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {
            "authorization": f"Bearer {key}",
            "content-type": "application/json",
            "user-agent": "Daybook",
        }
        self._timeout = dict.fromkeys(("connect", "read", "write", "pool"), timeout)
        self._pause = pause
        self._breaker = breaker or Breaker()
        self._pool = httpcore.ConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=30)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def disburse(self, key: str, voucher: Mapping[str, Any]) -> Taken | Declined | Later:
        """Hand a voucher over; `key` is the voucher's own, for ever."""
        answer = self._ask("POST", DISBURSE, msgspec.json.encode(voucher), {"idempotency-key": key})
        if isinstance(answer, str):
            return Later(answer)
        status, body = answer
        if 200 <= status < 300:
            said = _object(body)
            inner = said.get("data")
            found = said.get("deliveryId") or (inner.get("deliveryId") if isinstance(inner, dict) else "")
            return Taken(plain(str(found or ""), LONGEST_ID))
        if 400 <= status < 500 and status not in _NOT_OF_VOUCHER:
            said = _object(body)
            why = said.get("error") or said.get("message") or "without a reason"
            return Declined(plain(f"Buffr answered {status}: {why}", LONGEST_REASON))
        return Later(f"Buffr answered {status}", answered=True)

    def records(self, voucher: str) -> list[dict[str, Any]]:
        """What Buffr says of a voucher, with a `status`: one, none, or several by mistake (Unknown)."""
        answer = self._ask("GET", STATUS + voucher, b"", {})
        if isinstance(answer, str):
            raise Unknown(answer)
        status, body = answer
        if status == 404:
            return []
        said = _object(body)
        inner = said.get("data")
        whole = not isinstance(inner, dict) or "status" not in inner
        records: list[Any] = inner if isinstance(inner, list) else [said if whole else inner]
        told = all(isinstance(one, dict) and isinstance(one.get("status"), str) for one in records)
        if status != 200 or not told:
            raise Unknown(f"Buffr answered {status} without a status")
        return records

    def _ask(self, method: str, path: str, body: bytes, more: dict[str, str]) -> tuple[int, bytes] | str:
        """The answer, or why there is none after all tries."""
        reason = "the circuit is open: Buffr has failed too often"
        for number in range(TRIES):
            if number:
                self._pause(PAUSE_SECONDS * 2 ** (number - 1))
            if not self._breaker.allows():
                return reason
            try:
                response = self._pool.request(
                    method,
                    self._url + path,
                    headers=list({**self._headers, **more}.items()),
                    content=body,
                    extensions={"timeout": self._timeout},
                )
            except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as e:
                reason = f"Buffr cannot be reached: {type(e).__name__}"
                self._breaker.note(worked=False)
                continue
            worked = response.status < 500 and response.status != 429
            self._breaker.note(worked)
            if worked:
                return response.status, response.content
            reason = f"Buffr answered {response.status}"
        return reason


def _object(body: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except ValueError:  # no JSON, or no UTF-8
        return {}
    return said if isinstance(said, dict) else {}
