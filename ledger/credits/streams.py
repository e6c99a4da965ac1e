"""The streams of credits beside wallets: uses, packages, orders and settings, as their events leave them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ledger.credits.lots import round_half_even
from ledger.credits.purchase_commands import TypeSettings
from ledger.events import Event

SETTINGS = "credits:settings"
Status = Literal["pending", "declined", "fulfilled"]


def wallet_stream(owner: str, credit_type: str) -> str:
    """The stream of a wallet."""
    return f"wallet:{owner}:{credit_type}"


class Usage(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One use of credits, and what was taken for it: slices as its event has them, with their lots' terms."""

    owner: str
    credit_type: str
    effective_at: str
    slices: tuple[dict[str, Any], ...]
    refunded_by: int | None = None


def evolve_usage(state: Usage | None, event: Event, stream: str) -> Usage:
    """A use; then what refunded it."""
    if state is None:
        data = event.data
        used = tuple(s for s in data["slices"] if s["to"] == "consumed")
        return Usage(
            owner=data["owner"], credit_type=data["credit_type"], effective_at=event.effective_at, slices=used
        )
    return replace(state, refunded_by=event.seq)


class Package(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is offered; amounts in minor units of `asset`, tax apart."""

    name: str
    credit_type: str
    credit_amount: int
    price: int
    asset: str
    bonus_amount: int = 0
    is_active: bool = True
    sort_order: int = 0
    expiry_days: int | None = None
    priority: int = 0
    description: str = ""
    metadata: dict[str, str] = {}
    created_at: str
    updated_at: str


AMOUNTS = frozenset({"credit_amount", "bonus_amount", "price"})


def evolve_package(state: Package | None, event: Event, stream: str) -> Package:
    """A package as it was created, with what was changed since."""
    fields: dict[str, Any] = {
        name: int(value) if name in AMOUNTS else value for name, value in event.data["package"].items()
    }
    if event.description:
        fields["description"] = event.description
    if event.metadata:
        fields["metadata"] = event.metadata
    fields["updated_at"] = event.recorded_at
    if state is None:
        return Package(created_at=event.recorded_at, **fields)
    return replace(state, **fields)


class Refund(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A provider's refund of a purchase: `amount`, of which `kept` retired nothing; `claim` as it was asked.

    `reversed`: it failed, and counts no more.
    """

    amount: int = 0
    kept: int = 0
    claim: bool = False
    reversed: bool = False


class Retired(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is retired of a lot: units and their cost; `terms` are the lot's, for when they come back."""

    lot: int
    units: int
    cost: int = 0
    terms: dict[str, Any] = {}


class Order(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A purchase: what was ordered, what was paid, and what of it came back.

    `price` is before tax and discount; `paid` includes `tax`. `refunded` is money, tax included, refunded or
    lost in disputes; `tax_refunded` its part; `retired` units, `kept` money of it that retired none.
    `refunds` are a provider's, by its ids; `retirements` are the lots that units were retired from, the last
    last; `disputes` those that were won or lost; `dispute` is the one that freezes it.
    """

    owner: str
    credit_type: str
    package: str
    units: int
    bonus: int = 0
    price: int
    asset: str
    expiry_days: int | None = None
    priority: int = 0
    ordered_at: str
    top_up: bool = False
    status: Status = "pending"
    paid: int = 0
    tax: int = 0
    fulfilled_by: int | None = None
    session: str = ""
    payment: str = ""
    refunded: int = 0
    tax_refunded: int = 0
    kept: int = 0
    retired: int = 0
    dispute: str = ""
    refunds: dict[str, Refund] = {}
    retirements: tuple[Retired, ...] = ()
    disputes: tuple[str, ...] = ()

    @property
    def granted(self) -> int:
        """Units in all."""
        return self.units + self.bonus

    @property
    def owed(self) -> int:
        """Units that were refunded but had been used, and so could not be retired."""
        return max(self.retirable(self.refunded - self.kept) - self.retired, 0)

    def retirable(self, refunded: int) -> int:
        """Units to have been retired when so much money was refunded that did not keep its credits."""
        return round_half_even(self.granted * refunded, self.paid) if self.paid else 0

    def retired_of(self, lot: int) -> tuple[int, int]:
        """Units that are retired of a lot, and their cost."""
        return next(((r.units, r.cost) for r in self.retirements if r.lot == lot), (0, 0))


def evolve_order(state: Order | None, event: Event, stream: str) -> Order:
    """An order after an event of it."""
    data = event.data
    if state is None:
        return Order(
            owner=data["owner"],
            credit_type=data["credit_type"],
            package=data["package"],
            units=int(data["units"]) - int(data.get("bonus", 0)),
            bonus=int(data.get("bonus", 0)),
            price=int(data["price"]),
            asset=data["asset"],
            expiry_days=data.get("expiry_days"),
            priority=data.get("priority", 0),
            ordered_at=event.effective_at,
            top_up=event.type == "top_up_ordered",
        )
    if event.type == "purchase_declined":
        return replace(state, status="declined")
    if event.type == "purchase_fulfilled":
        return replace(
            state,
            status="fulfilled",
            paid=int(data["paid"]),
            tax=int(data["tax"]),
            fulfilled_by=event.seq,
            session=data.get("session", ""),
            payment=data["payment"],
        )
    if event.type == "purchase_frozen":
        return replace(state, dispute=data["dispute"])
    if event.type == "purchase_unfrozen":
        return replace(state, dispute="", disputes=(*state.disputes, data["dispute"]))
    if "refund" in data:
        state = replace(state, refunds={**state.refunds, data["refund"]: _refund(state, event)})
    lost = event.type == "dispute_lost"
    return replace(
        state,
        retirements=_retirements(state, data),
        disputes=(*state.disputes, data["dispute"]) if lost else state.disputes,
        refunded=state.refunded + int(data["refunded"]),
        tax_refunded=state.tax_refunded + int(data["tax"]),
        kept=state.kept + int(data.get("kept", 0)),
        retired=state.retired + int(data["retired"]),
        dispute="" if lost else state.dispute,
    )


def _refund(state: Order, event: Event) -> Refund:
    data = event.data
    if event.type == "purchase_refund_reversed":
        return replace(state.refunds.get(data["refund"], Refund()), reversed=True)
    return Refund(amount=int(data["refunded"]), kept=int(data.get("kept", 0)), claim=data.get("claim", False))


def _retirements(state: Order, data: dict[str, Any]) -> tuple[Retired, ...]:
    """What is retired after an event: by lots, the one of the last retirement last."""
    found = {retired.lot: retired for retired in state.retirements}
    for taken in data.get("slices", ()):
        if taken["to"] == "retired":
            before = found.pop(taken["lot"], None) or Retired(lot=taken["lot"], units=0)
            found[before.lot] = replace(
                before,
                units=before.units + int(taken["units"]),
                cost=before.cost + int(taken.get("cost", 0)),
                terms=taken["terms"],
            )
    for back in data.get("returned", ()):
        before = found[back["lot"]]
        units, cost = before.units - int(back["units"]), before.cost - int(back.get("cost", 0))
        found[before.lot] = replace(before, units=units, cost=cost)
    return tuple(retired for retired in found.values() if retired.units)


class Settings(Struct, frozen=True):
    """The rules for each credit type that has its own."""

    types: dict[str, TypeSettings]

    def of(self, credit_type: str) -> TypeSettings:
        """The rules for one credit type."""
        return self.types.get(credit_type, DEFAULTS)


DEFAULTS = TypeSettings()
NO_SETTINGS = Settings({})


def evolve_settings(state: Settings | None, event: Event, stream: str) -> Settings:
    """The settings, with one type's replaced."""
    types = {} if state is None else dict(state.types)
    types[event.data["credit_type"]] = msgspec.convert(event.data["settings"], TypeSettings)
    return Settings(types)
