"""The lots of a purchase as its money goes back: units retired, returned and thawed.

What is retired in all, and its cost, depends on the money that went back in all and not on the parts that it
went in, nor on their order: a refund that is reversed leaves what there would be without it.
"""

from __future__ import annotations

from ledger.credits.change import Change
from ledger.credits.lots import Lot, Place, cost_retired, round_half_even
from ledger.credits.purchase_commands import TypeSettings
from ledger.credits.returning import bring_back, check_room
from ledger.credits.streams import Order, Retired


def lots_of(change: Change, order: str) -> list[Lot]:
    """A purchase's lots that have units, in the order of use."""
    return [lot for lot in change.wallet.lots if lot.order == order]


def retire(change: Change, name: str, order: Order, units: int) -> int:
    """Retire units of a purchase's lots: what is free or frozen first, then what is held; how many."""
    asked = units
    lots = lots_of(change, name)
    for lot in lots:
        free, frozen = min(lot.free, units), min(lot.frozen, units - min(lot.free, units))
        if free:
            _retire(change, order, lot, "available", free)
        if frozen:
            _retire(change, order, lot, "frozen", frozen)
        units -= free + frozen
    own = {lot.number: lot for lot in lots}
    for hold in change.wallet.holds:
        for number, reserved in hold.slices:
            taken = min(reserved, units) if number in own else 0
            if taken:
                _retire(change, order, own[number], "held", taken, hold.hold)
                units -= taken
    return asked - units


def _retire(change: Change, order: Order, lot: Lot, place: Place, units: int, hold: int = 0) -> None:
    now = change.lot(lot.number) or lot
    gone, cost = order.retired_of(lot.number)
    for taken in change.slices:
        if taken.lot.number == lot.number and taken.target == "retired":
            gone, cost = gone + taken.units, cost + taken.cost
    change.move(lot, place, "retired", units, hold, cost_retired(now, units, (gone, cost)))


def give_back(
    change: Change, settings: TypeSettings, order: Order, units: int, at: int, now: int
) -> list[Retired]:
    """Bring retired units back, those that were retired last first; what came back of which lot (Refused)."""
    back: list[Retired] = []
    for retired in reversed(order.retirements):
        returned = min(retired.units, units)
        if not returned:
            continue
        units -= returned
        left, lot = retired.units - returned, change.lot(retired.lot)
        there, worth = (0, 0) if lot is None else (lot.units, lot.cost)
        kept = round_half_even((worth + retired.cost) * left, there + retired.units)
        cost = min(max(retired.cost - kept, 0), retired.cost) if left else retired.cost
        terms = {**retired.terms, "asset": order.asset} if cost else retired.terms
        bring_back(change, settings, "retired", terms, returned, cost, at, now, locked=bool(order.dispute))
        back.append(Retired(lot=retired.lot, units=returned, cost=cost))
    check_room(change)
    return back


def thaw(change: Change, order: str, now: int) -> None:
    """What a dispute has frozen of a purchase is free again; what has expired meanwhile expires."""
    for lot in lots_of(change, order):
        now_lot = change.lot(lot.number) or lot
        if now_lot.frozen:
            past = lot.expires_at is not None and lot.expires_at <= now
            change.move(lot, "frozen", "expired" if past else "available", now_lot.frozen)
