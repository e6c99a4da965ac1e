"""Stripe's objects, read with care: versions of its API differ, and nothing is trusted to be there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from adapters.adapter import Event, at, text_at
from adapters.exponents import asset_of, minor

PROVIDER = "stripe"
_REFERENCE = re.compile(r"[A-Za-z0-9_.\-]{1,200}\Z")


class Misread(Exception):
    """The object is not what this event type tells of: the message says what is missing."""


class Told:
    """An event's object, read with care."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.object = at(event.body, "data", "object")

    def text(self, *path: str) -> str:
        """A text; empty where there is none."""
        return text_at(self.object, *path)

    def reference(self, *path: str) -> str:
        """A text that can name something of ours; empty where there is none."""
        found = self.text(*path)
        return found if _REFERENCE.match(found) else ""

    def id(self, name: str = "id") -> str:
        """The id of the object or of one that it names, expanded or not (Misread)."""
        found = self.link(name)
        if not found:
            raise Misread(f"`{name}` is missing")
        return found

    def link(self, name: str) -> str:
        """The id of an object that this one names, expanded or not; empty: none."""
        return self.text(name) or self.text(name, "id")

    def payment(self) -> str:
        """The open item: the PaymentIntent, else the charge (Misread)."""
        return self.link("payment_intent") or self.id("charge")

    def number(self, *path: str) -> int:
        """A whole number (Misread)."""
        found = at(self.object, *path)
        if not isinstance(found, int) or isinstance(found, bool):
            raise Misread(f"`{'.'.join(path)}` is not a whole number")
        return found

    def currency(self) -> str:
        """In capitals (Misread)."""
        return currency_of(self.object)

    def asset(self) -> str:
        """Of the object's currency (Misread)."""
        return asset_of(PROVIDER, self.currency())

    def amount(self, *path: str, operation: str = "charge") -> int:
        """In minor units of the asset (Misread, NotWhole)."""
        return minor(PROVIDER, self.currency(), operation, self.number(*path))

    def or_zero(self, *path: str) -> int:
        """An amount that may be null."""
        return 0 if at(self.object, *path) is None else self.amount(*path)

    def when(self) -> datetime | None:
        """When the object was made, by Stripe's clock; None: it does not say."""
        return moment(self.event, at(self.object, "created"))

    def happened(self) -> datetime | None:
        """When what the event tells happened; None: it does not say."""
        return moment(self.event, at(self.event.body, "created"))


def currency_of(body: Any) -> str:
    """A currency in capitals (Misread)."""
    found = text_at(body, "currency").upper()
    if len(found) != 3 or not (found.isascii() and found.isalpha()):
        raise Misread("`currency` is missing")
    return found


def moment(event: Event, seconds: Any) -> datetime | None:
    """Seconds since 1970 as a moment that is not in the future."""
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 < seconds < 2**33:
        return None
    return event.not_later(datetime.fromtimestamp(seconds, UTC))
