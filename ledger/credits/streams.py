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


class Order(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A purchase: what was ordered, what was paid, and what of it came back.

    `price` is before tax and discount; `paid` includes `tax`. `refunded` is money, tax included, refunded or
    lost in disputes; `tax_refunded` its part; `retired` units, `kept` money of it that retired none.
    `refunds` are a provider's, `disputes` those that were won or lost; `dispute` is the one that freezes it.
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
    refunds: tuple[str, ...] = ()
    disputes: tuple[str, ...] = ()

    @property
    def granted(self) -> int:
        """Units in all."""
        return self.units + self.bonus

    @property
    def owed(self) -> int:
        """Units that were refunded but had been used, and so could not be retired."""
        return max(self.retirable(self.refunded) - self.retired, 0)

    def retirable(self, refunded: int) -> int:
        """Units to have been retired when so much money was refunded; what kept its credits retires none."""
        return round_half_even(self.granted * (refunded - self.kept), self.paid) if self.paid else 0


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
    lost = event.type == "dispute_lost"
    return replace(
        state,
        refunds=(*state.refunds, data["refund"]) if "refund" in data else state.refunds,
        disputes=(*state.disputes, data["dispute"]) if lost else state.disputes,
        refunded=state.refunded + int(data["refunded"]),
        tax_refunded=state.tax_refunded + int(data["tax"]),
        kept=state.kept + int(data.get("kept", 0)),
        retired=state.retired + int(data["retired"]),
        dispute="" if lost else state.dispute,
    )


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
