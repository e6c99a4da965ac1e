"""The keys that tokens are checked with: a JWKS (RFC 7517) from a file or a URL.

A URL is asked when its keys are old and, so that an issuer may rotate its keys, when a token names a key that
is not there; but never again within AGAIN_SECONDS, whatever tokens name, and whether it answered or not.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt

FRESH_SECONDS = 300.0
# While the issuer does not answer, what it said last counts so much longer: its outage is not everybody's.
STALE_SECONDS = 900.0
AGAIN_SECONDS = 10.0
FETCH_SECONDS = 5.0
LARGEST = 2**20
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class KeysUnavailable(Exception):
    """The key set could not be had; the token may be good."""


class KeyNotInSet(LookupError):
    """The set has no such key, or several."""


class KeySet:
    """A key set. Threads may share it; while one of them fetches, the others go on with what there is."""

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        """`place` is a path or a URL (ValueError: one that is neither https nor of this host)."""
        url = urlsplit(place)
        self._remote = url.scheme in ("https", "http")
        if url.scheme == "http" and url.hostname not in LOOPBACK:
            raise ValueError("a key set comes by https, or from this host")
        self._place = place
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = self._asked_at = float("-inf")
        self._fetching = threading.Lock()

    def find(self, kid: str | None) -> jwt.PyJWK:
        """The key of this id; without one, the only key (KeyNotInSet, KeysUnavailable)."""
        if not self._remote:
            return _only(self._from_file(), kid)
        if self._age() >= FRESH_SECONDS:
            self._fetch()
        if self._age() >= FRESH_SECONDS + STALE_SECONDS:
            raise KeysUnavailable("the key set cannot be fetched")
        try:
            return _only(self._keys, kid)
        except KeyNotInSet:
            self._fetch()
            return _only(self._keys, kid)

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _fetch(self) -> None:
        """Ask the URL, if nobody does and nobody has just done so."""
        # Only whoever has no keys at all has to wait for those that somebody else is fetching.
        if not self._fetching.acquire(blocking=self._fetched_at == float("-inf")):
            return
        try:
            if self._clock() - self._asked_at < AGAIN_SECONDS:
                return
            self._asked_at = self._clock()
            self._keys = _parsed(_get(self._place))
            self._fetched_at = self._clock()
        except (OSError, HTTPException, ValueError, jwt.PyJWTError):
            pass  # the age of what there is decides
        finally:
            self._fetching.release()

    def _from_file(self) -> list[jwt.PyJWK]:
        path = Path(self._place)
        try:
            return _parsed(path.read_bytes())
        except (OSError, ValueError, jwt.PyJWTError) as error:
            raise KeysUnavailable(f"the key set {path.name} cannot be read") from error


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """The keys are where they are said to be; a redirect ends in an error."""


def _get(url: str) -> bytes:
    deadline = time.monotonic() + FETCH_SECONDS
    found = b""
    with build_opener(_Stay).open(Request(url), timeout=FETCH_SECONDS) as answer:
        while piece := answer.read1(2**16):
            found += piece
            if len(found) > LARGEST or time.monotonic() > deadline:
                raise ValueError("the key set is too large or too slow")
    return found


def _parsed(text: bytes) -> list[jwt.PyJWK]:
    keys = jwt.PyJWKSet.from_dict(json.loads(text)).keys
    return [key for key in keys if key.public_key_use in (None, "sig")]


def _only(keys: list[jwt.PyJWK], kid: str | None) -> jwt.PyJWK:
    found = [key for key in keys if key.key_id == kid] if kid is not None else keys
    if len(found) != 1:
        raise KeyNotInSet(kid)
    return found[0]
