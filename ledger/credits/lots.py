"""Lots: the units of a wallet as they were granted, what is left of each, and what that cost.

A lot is taken from, never averaged: u of its remaining units carry `round_half_even(remaining cost x u /
remaining units)` of its remaining cost, and the last unit carries the rest, so that no minor unit is ever
lost or invented. Everything here is arithmetic on integers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

Source = Literal["purchased", "promotional", "bonus", "adjustment", "rollover"]
Policy = Literal["remote", "proportional", "escheatable"]

# Where units are: the three places of a wallet, and where they come from and go to.
Place = Literal["available", "held", "frozen"]
Outside = Literal["issued", "consumed", "expired", "retired", "rolled"]
INSIDE = frozenset({"available", "held", "frozen"})

WHOLE = 10_000  # basis points
_NEVER = 2**63


class Lot(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One grant of units, as far as it is left. Only what is empty or zero is left out when it is stored.

    `number` is its place in the order in which the wallet's lots were granted. `units` and `cost` (minor
    units of `asset`, empty when it cost nothing) are what remains; of the units, `held` are reserved by holds
    and `frozen` by a dispute. `total` is what it cost less what was not earned by use, so that use has earned
    `total - cost`.
    `priority` 0 is used first. `locked`: units that come back to it are frozen. `recognised` is the breakage
    that was earned ahead of its expiry (policy proportional, of which `expected` basis points are not used).
    `order` is the purchase that it came from.
    """

    number: int
    units: int
    cost: int = 0
    asset: str = ""
    source: Source
    priority: int = 0
    effective_at: int
    expires_at: int | None = None
    total: int = 0
    order: str = ""
    policy: Policy
    expected: int = 0
    recognised: int = 0
    held: int = 0
    frozen: int = 0
    locked: bool = False

    @property
    def free(self) -> int:
        """Units that can be used now."""
        return self.units - self.held - self.frozen


def burn_down(lot: Lot) -> tuple[int, int, bool, int, int]:
    """The order of use: priority, earliest expiry (none last), what was given before what was bought, age."""
    return (
        lot.priority,
        _NEVER if lot.expires_at is None else lot.expires_at,
        lot.source == "purchased",
        lot.effective_at,
        lot.number,
    )


def round_half_even(numerator: int, denominator: int) -> int:
    """The nearest integer to a quotient of integers >= 0; halves go to the even one."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient & 1))


def cost_of(lot: Lot, units: int) -> int:
    """What `units` of a lot's remaining units cost; all of them cost all that is left."""
    return lot.cost if units == lot.units else round_half_even(lot.cost * units, lot.units)


def cost_retired(lot: Lot, units: int, before: tuple[int, int]) -> int:
    """What goes with `units` that refunds of a purchase retire, after `before` (units, cost) of the lot.

    In all it is what one refund of the whole would take, so refunds in parts cost the same in any order.
    """
    if units == lot.units:
        return lot.cost
    gone, cost = before
    whole = round_half_even((lot.cost + cost) * (gone + units), lot.units + gone)
    return min(max(whole - cost, 0), lot.cost)


def recognisable(lot: Lot) -> int:
    """Breakage to have been earned by now: in proportion to what customers used, at most what is left.

    With 10 % expected to break, 450 of 1000 used earn 450 x 10 / 90 = 50 of the 100 (ASC 606-10-55-48,
    IFRS 15.B46).
    """
    if lot.policy != "proportional" or not lot.cost:
        return 0
    used = lot.total - lot.cost
    return min(round_half_even(max(used, 0) * lot.expected, WHOLE - lot.expected), lot.cost)


class Slice(Struct, frozen=True, gc=False):
    """Units of one lot that went from one place to another, and the cost that went with them.

    `lot` is the lot as it was before. Cost moves only when units enter or leave the lot. `recognised` is the
    change of breakage that was earned ahead; `hold` the hold that the units came from or went to.
    """

    lot: Lot
    source: Place | Outside
    target: Place | Outside
    units: int
    cost: int = 0
    recognised: int = 0
    hold: int = 0


def moved(
    lot: Lot,
    source: Place | Outside,
    target: Place | Outside,
    units: int,
    hold: int = 0,
    cost: int | None = None,
) -> tuple[Lot, Slice]:
    """A lot after units of it moved within its wallet or out of it, and the slice that says so.

    Units that come back to it (from `consumed` or `retired`) do so at the `cost` that they left at.
    """
    if source in INSIDE and target in INSIDE:
        cost = 0
    elif cost is None:
        cost = cost_of(lot, units)
    after = shifted(lot, source, target, units, cost)
    recognised = recognisable(after) - lot.recognised
    if recognised:
        after = replace(after, recognised=lot.recognised + recognised)
    return after, Slice(lot, source, target, units, cost, recognised, hold)


def shifted(lot: Lot, source: str, target: str, units: int, cost: int) -> Lot:
    """A lot after `units` and `cost` of it went from one place to another; breakage as it was."""
    entering = units if source not in INSIDE else 0
    leaving = units if target not in INSIDE else 0
    # What expires, is retired or corrected was not earned by use.
    unearned = cost if leaving and target != "consumed" else 0
    unearned -= cost if entering and source != "consumed" else 0
    return replace(
        lot,
        units=lot.units + entering - leaving,
        cost=lot.cost + (cost if entering else 0) - (cost if leaving else 0),
        total=lot.total - unearned,
        held=lot.held + units * ((target == "held") - (source == "held")),
        frozen=lot.frozen + units * ((target == "frozen") - (source == "frozen")),
    )


def take(lots: Iterable[Lot], units: int) -> list[tuple[Lot, int]]:
    """Which lots give how many free units, in the order of `lots`; fewer than asked when they have fewer."""
    taken = []
    for lot in lots:
        if not units:
            break
        free = min(lot.free, units)
        if free:
            taken.append((lot, free))
            units -= free
    return taken
