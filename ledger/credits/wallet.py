"""A wallet: one owner's credits of one type, as the events of its stream leave it.

`evolve` reads what an event says and decides nothing: slices move units between the places of a lot and out
of it, grants add lots, and the rest are the wallet's holds, windows and alarms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ledger.credits.lots import INSIDE, Lot, burn_down, shifted
from ledger.events import Event
from ledger.text import SECOND, from_iso

HOUR = 3_600 * SECOND


class Hold(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Units that are reserved: (lot, units) in the order in which they will be captured.

    `window` is the window of the usage limit in which units of it were counted last, `counted` how many.
    """

    hold: int
    slices: tuple[tuple[int, int], ...]
    expires_at: int | None = None
    window: str = ""
    counted: int = 0

    @property
    def units(self) -> int:
        """What is left of it."""
        return sum(units for _, units in self.slices)


class TopUp(Struct, frozen=True, gc=False):
    """The package that is ordered when the balance is at or below `threshold`."""

    threshold: int
    package: str


class Wallet(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One owner's credits of one type. `lots` are in the order of use.

    `purchased` is gross and never falls; `used` is net of what was refunded. `pending` are units of orders
    that are not paid yet. `window` names the window of the usage limit, of which `counted` is used up.
    `lapses_at` is when the first lot or hold ends by itself, `low_at` when it is to be said that the balance
    is low (at or below `low`), `top_up_at` when the top-up is to be ordered.
    """

    lots: tuple[Lot, ...] = ()
    holds: tuple[Hold, ...] = ()
    granted: int = 0
    available: int = 0
    held: int = 0
    frozen: int = 0
    purchased: int = 0
    used: int = 0
    pending: int = 0
    window: str = ""
    counted: int = 0
    lapses_at: int | None = None
    low: int | None = None
    low_at: int | None = None
    top_up: TopUp | None = None
    top_up_at: int | None = None
    topped_up: tuple[int, ...] = ()
    retry_at: int = 0

    def lot(self, number: int) -> Lot | None:
        """The lot of this number, while it has units."""
        return next((lot for lot in self.lots if lot.number == number), None)

    def hold(self, hold: int) -> Hold | None:
        """The open hold of this number."""
        return next((h for h in self.holds if h.hold == hold), None)


NO_WALLET = Wallet()
# Three top-ups within ten minutes are an alarm; after one that was declined, the next waits an hour.
ALARM_COUNT, ALARM_WITHIN, BACK_OFF = 3, 600 * SECOND, HOUR


def due(wallet: Wallet) -> int | None:
    """When something of the wallet happens by itself."""
    return min(
        (at for at in (wallet.lapses_at, wallet.low_at, wallet.top_up_at) if at is not None), default=None
    )


def evolve(state: Wallet | None, event: Event, stream: str) -> Wallet:
    """The wallet after an event of it."""
    before = state or NO_WALLET
    data = event.data
    wallet, stale = _with_slices(before, data.get("slices", ()), data.get("lots", ()))
    wallet = _with_holds(wallet, event)
    if "window" in data:
        counted = int(data["counted"]) + (wallet.counted if data["window"] == wallet.window else 0)
        wallet = replace(wallet, window=data["window"], counted=max(counted, 0))
    special = _SPECIAL.get(event.type)
    if special is not None:
        wallet = special(wallet, event)
    if stale or wallet.holds is not before.holds:
        wallet = replace(wallet, lapses_at=_lapses_at(wallet))
    return _with_alarms(wallet, event)


def lot_of(data: Mapping[str, Any]) -> Lot:
    """A lot as an event grants it."""
    cost = int(data.get("cost", 0))
    expires_at = data.get("expires_at")
    units = int(data["units"])
    locked = data.get("locked", False)
    return Lot(
        number=data["lot"],
        units=units,
        cost=cost,
        total=cost,
        asset=data.get("asset", ""),
        source=data["source"],
        priority=data.get("priority", 0),
        effective_at=from_iso(data["effective_at"]),
        expires_at=None if expires_at is None else from_iso(expires_at),
        order=data.get("order", ""),
        policy=data.get("policy", "remote"),
        expected=data.get("expected", 0),
        frozen=units if locked else 0,
        locked=locked,
    )


def _with_slices(
    wallet: Wallet, slices: Iterable[Mapping[str, Any]], granted: Iterable[Mapping[str, Any]]
) -> tuple[Wallet, bool]:
    """The wallet with its lots moved; and whether another lot may be the first to expire now."""
    if not slices and not granted:
        return wallet, False
    lots = list(wallet.lots)
    places = {"available": wallet.available, "held": wallet.held, "frozen": wallet.frozen}
    used, purchased, number = wallet.used, wallet.purchased, wallet.granted
    emptied = stale = resort = bool(granted)
    for taken in slices:
        source, target, units = taken["from"], taken["to"], int(taken["units"])
        used += units * ((target == "consumed") - (source == "consumed"))
        for place in (source, target):
            if place in places:
                places[place] += units if place == target else -units
        if source not in INSIDE and target not in INSIDE:
            continue
        index = next((i for i, lot in enumerate(lots) if lot.number == taken["lot"]), None)
        if index is None:
            # All of it was used; what comes back to it makes it anew.
            lots.append(
                replace(
                    lot_of(taken["terms"]),
                    units=0,
                    cost=0,
                    frozen=0,
                    total=int(taken["terms"].get("cost", 0)),
                )
            )
            index = len(lots) - 1
            resort = True
        lot = shifted(lots[index], source, target, units, int(taken.get("cost", 0)))
        recognised = lot.recognised + int(taken.get("recognised", 0))
        stale = stale or not lot.free or not lots[index].free
        emptied = emptied or not lot.units
        lots[index] = lot if recognised == lot.recognised else replace(lot, recognised=recognised)
    for grant in granted:
        lot = lot_of(grant)
        lots.append(lot)
        places["frozen" if lot.locked else "available"] += lot.units
        number = max(number, lot.number)
        if lot.source == "purchased" and grant["from"] == "issued":
            purchased += lot.units
        if grant["from"] == "consumed":
            used -= lot.units
    if emptied:
        lots = [lot for lot in lots if lot.units]
    if resort:
        lots.sort(key=burn_down)
    after = replace(wallet, lots=tuple(lots), granted=number, used=used, purchased=purchased, **places)
    return after, stale


def _with_holds(wallet: Wallet, event: Event) -> Wallet:
    holds = {hold.hold: hold for hold in wallet.holds}
    changed = False
    for taken in event.data.get("slices", ()):
        number = taken.get("hold")
        if number is None:
            continue
        hold = holds.get(number) or Hold(hold=number, slices=())
        change = int(taken["units"]) * ((taken["to"] == "held") - (taken["from"] == "held"))
        slices = dict(hold.slices)
        slices[taken["lot"]] = slices.get(taken["lot"], 0) + change
        holds[number] = replace(hold, slices=tuple((lot, n) for lot, n in slices.items() if n))
        changed = True
    number = event.data.get("hold")
    if number in holds and "expires_at" in event.data:
        expires_at = event.data["expires_at"]
        holds[number] = replace(
            holds[number], expires_at=None if expires_at is None else from_iso(expires_at)
        )
        changed = True
    if number in holds and event.data.get("counted", "-")[0] != "-":
        hold, window = holds[number], event.data["window"]
        counted = int(event.data["counted"]) + (hold.counted if hold.window == window else 0)
        holds[number] = replace(hold, window=window, counted=counted)
    if not changed:
        return wallet
    return replace(wallet, holds=tuple(hold for hold in holds.values() if hold.slices))


def _lapses_at(wallet: Wallet) -> int | None:
    """When the first lot with free units or the first hold ends."""
    moments = [lot.expires_at for lot in wallet.lots if lot.expires_at is not None and lot.free]
    moments += [hold.expires_at for hold in wallet.holds if hold.expires_at is not None]
    return min(moments, default=None)


def _with_alarms(wallet: Wallet, event: Event) -> Wallet:
    """What is to be said or ordered next because of the balance, after this event and not before."""
    if wallet.low is None and wallet.top_up is None and wallet.top_up_at is None and "low" not in event.data:
        return wallet  # most of them: no clock is read
    soon = from_iso(event.recorded_at) + 1
    low, low_at = wallet.low, wallet.low_at
    if low_at is not None and low_at < soon:
        low_at = soon  # so that what is due by itself always moves on
    if "low" in event.data:
        low, low_at = int(event.data["low"]), soon
    elif low is not None and wallet.available > low:
        low, low_at = None, None
    top_up_at = None
    top_up = wallet.top_up
    if top_up is not None and wallet.available + max(wallet.pending, 0) <= top_up.threshold:
        top_up_at = max(soon, wallet.retry_at)
    if (low, low_at, top_up_at) == (wallet.low, wallet.low_at, wallet.top_up_at):
        return wallet
    return replace(wallet, low=low, low_at=low_at, top_up_at=top_up_at)


def _ordered(wallet: Wallet, event: Event) -> Wallet:
    return replace(wallet, pending=wallet.pending + int(event.data["units"]))


def _no_longer_pending(wallet: Wallet, event: Event) -> Wallet:
    if event.data.get("was") != "pending":
        return wallet
    wallet = replace(wallet, pending=wallet.pending - int(event.data["units"]))
    if event.type == "purchase_declined" and event.data.get("top_up"):
        wallet = replace(wallet, retry_at=from_iso(event.recorded_at) + BACK_OFF)
    return wallet


def _topped_up(wallet: Wallet, event: Event) -> Wallet:
    moments = (*wallet.topped_up, from_iso(event.effective_at))[1 - ALARM_COUNT :]
    return replace(_ordered(wallet, event), topped_up=moments)


def _locked(wallet: Wallet, event: Event) -> Wallet:
    locked = event.type == "purchase_frozen"
    order = event.data["order"]
    return replace(
        wallet, lots=tuple(replace(lot, locked=locked) if lot.order == order else lot for lot in wallet.lots)
    )


def _settings(wallet: Wallet, event: Event) -> Wallet:
    chosen = event.data["top_up"]
    top_up = None if chosen is None else TopUp(int(chosen["threshold"]), chosen["package"])
    return replace(wallet, top_up=top_up)


_SPECIAL = {
    "credits_low": lambda wallet, event: replace(wallet, low_at=None),
    "purchase_ordered": _ordered,
    "purchase_fulfilled": _no_longer_pending,
    "purchase_declined": _no_longer_pending,
    "top_up_ordered": _topped_up,
    "top_up_stopped": lambda wallet, event: replace(wallet, top_up=None),
    "purchase_frozen": _locked,
    "purchase_unfrozen": _locked,
    "dispute_lost": _locked,
    "wallet_settings_set": _settings,
}
