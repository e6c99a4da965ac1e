"""Stripe's objects, read with care: versions of its API differ, and nothing is trusted to be there."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from adapters.adapter import Event, Post, Translation, at, text_at
from adapters.exponents import asset_of, minor
from ledger.commands import ProductCommand, command
from ledger.credits.commands import Id

PROVIDER = "stripe"
# What the metadata of a payment call the order that it was made for, and not by a session.
CHARGED_ORDER = "charged_order"
_REFERENCE = re.compile(r"[A-Za-z0-9_.\-]{1,200}\Z")


class StripeEndpoint(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of an endpoint. `packages`: which package a price or product of Stripe's sells."""

    packages: dict[str, Id] = {}


NO_SETTINGS = StripeEndpoint()


class Misread(Exception):
    """The object is not what this event type tells of: the message says what is missing."""


class Told:
    """An event's object, read with care. `settings` are the endpoint's."""

    def __init__(self, event: Event, settings: StripeEndpoint = NO_SETTINGS) -> None:
        self.event, self.settings = event, settings
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


def post(once: str, *commands: ProductCommand, then: ProductCommand | None = None) -> Post:
    """Commands for the fact `once`; empty: the event itself."""
    return Post([command(body) for body in commands], once=once, then=None if then is None else command(then))


Rule = Callable[[Told], Translation]
