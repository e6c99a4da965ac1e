"""A toy product to test the seam with: parking meters, whose coins are earned when their time is over.

Coins in: DR cash / CR meters:unearned. Time out: DR meters:unearned / CR meters:earned, at that moment. What
a coin buys is in the tariff, a stream of its own that a meter names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import msgspec
from msgspec import Struct

from ledger import products
from ledger.chart import AccountPattern
from ledger.commands import Command, ProductCommand
from ledger.entry import effective_moment, refuse
from ledger.events import EXPIRIES, SCHEMA_VERSIONS, Event
from ledger.product import Kind, Needs, Product, credit, debit, record
from ledger.state import Accepted, State
from ledger.text import SECOND, from_iso, iso
from tests.bookkeeping import USD

TYPES = ("tariff_set", "coins_put_in", "meter_run_out", "meter_removed")


class SetTariff(ProductCommand, forbid_unknown_fields=True, kw_only=True):
    """Seconds a coin buys at the meters of a street."""

    operation: ClassVar[str] = "set_tariff"
    street: str
    seconds: int


class PutIn(ProductCommand, forbid_unknown_fields=True, kw_only=True):
    """Coins into a meter, whose time runs from now or on from what is left."""

    operation: ClassVar[str] = "put_in"
    meter: str
    street: str
    coins: int


class Remove(ProductCommand, forbid_unknown_fields=True, kw_only=True):
    """A meter is taken away, once."""

    operation: ClassVar[str] = "remove"
    meter: str


class Tariff(Struct, frozen=True):
    seconds: int


class Meter(Struct, frozen=True):
    coins: int = 0
    ends_at: int | None = None
    removed: bool = False


def _tariff(state: Tariff | None, event: Event, stream: str) -> Tariff:
    return Tariff(event.data["seconds"])


def _meter(state: Meter | None, event: Event, stream: str) -> Meter:
    meter = state or Meter()
    if event.type == "coins_put_in":
        coins = sum(int(p.amount) for p in event.postings if p.side == "credit")
        return msgspec.structs.replace(
            meter, coins=meter.coins + coins, ends_at=from_iso(event.data["ends_at"])
        )
    if event.type == "meter_run_out":
        return Meter()
    return msgspec.structs.replace(meter, removed=True)


def _set_tariff(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, SetTariff)
    at = effective_moment(state, body, now)
    streams = [f"tariff:{body.street}"]
    return record(state, command, "tariff_set", now, at, [], streams, {"seconds": body.seconds})


def _put_in(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, PutIn)
    at = effective_moment(state, body, now)
    tariff, meter = state.streams[f"tariff:{body.street}"], state.streams[f"meter:{body.meter}"]
    if tariff is None:
        refuse("account_not_found", account=body.street)
    ends_at = now if meter is None or meter.state.ends_at is None else meter.state.ends_at
    ends_at += body.coins * tariff.state.seconds * SECOND
    lines = [debit("cash", USD, body.coins), credit("meters:unearned", USD, body.coins)]
    return record(
        state, command, "coins_put_in", now, at, lines, [f"meter:{body.meter}"], {"ends_at": iso(ends_at)}
    )


def _remove(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, Remove)
    name = f"meter:{body.meter}"
    return record(state, command, "meter_removed", now, now, [], [name], {}, ends=[name])


def _run_out(state: State, command: Command, now: int) -> Accepted:
    assert isinstance(command.subject, str)
    stream = state.streams[command.subject]
    assert stream is not None
    coins, ends_at = stream.state.coins, stream.state.ends_at
    lines = [debit("meters:unearned", USD, coins), credit("meters:earned", USD, coins)]
    return record(state, command, "meter_run_out", now, ends_at, lines, [stream.name], {})


def _needs(state: State, command: Command) -> Needs:
    body = command.body
    if isinstance(body, SetTariff):
        return Needs([f"tariff:{body.street}"])
    if isinstance(body, Remove):
        return Needs([f"meter:{body.meter}"])
    if isinstance(body, PutIn):
        # The accounts are named only once the tariff is known, as products do whose streams name accounts.
        tariff = state.streams.get(f"tariff:{body.street}")
        accounts = ["cash", "meters:unearned"] if tariff else []
        return Needs([f"tariff:{body.street}", f"meter:{body.meter}"], accounts)
    return Needs([str(command.subject)], ["meters:unearned", "meters:earned"])


METERS = Product(
    name="meters",
    kinds={
        "tariff": Kind(Tariff, 1, _tariff),
        "meter": Kind(Meter, 1, _meter, lambda state: state.ends_at),
    },
    deciders={SetTariff: _set_tariff, PutIn: _put_in, Remove: _remove},
    needs=_needs,
    due=_run_out,
    patterns=(
        AccountPattern("meters:unearned", "liability", product="meters"),
        AccountPattern("meters:earned", "income", product="meters"),
    ),
)


@contextmanager
def meters() -> Iterator[None]:
    """The ledger has this product, and no other."""
    known = products.PRODUCTS.__dict__.copy()
    products.PRODUCTS.__dict__.update(products.Products(METERS).__dict__)
    SCHEMA_VERSIONS.update(dict.fromkeys(TYPES, 1))
    expiries = frozenset(EXPIRIES)
    EXPIRIES.add("meter_run_out")
    try:
        yield
    finally:
        products.PRODUCTS.__dict__.update(known)
        for name in TYPES:
            del SCHEMA_VERSIONS[name]
        EXPIRIES.intersection_update(expiries)
