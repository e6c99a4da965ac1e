"""Waterfalls: in which order a repayment pays what is owed.

Either instalment by instalment, the earliest first, each part in its turn; or step by step, each step one
part of one class of dues. A waterfall has a name and a version, which the event of a repayment repeats beside
its split, so that the split can be explained for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import product
from typing import Annotated, Literal

from msgspec import Meta, Struct

Part = Literal["principal", "interest", "fee", "penalty"]
Timing = Literal["past_due", "due", "in_advance"]
StepName = Annotated[
    str, Meta(pattern=r"^(past_due|due|in_advance) (penalty|fee|interest|principal)\Z", examples=["due fee"])
]
Named = Literal["penalty_first", "interest_first", "principal_first", "due_first"]

PARTS: tuple[Part, ...] = ("penalty", "fee", "interest", "principal")
TIMINGS: tuple[Timing, ...] = ("past_due", "due", "in_advance")
_ORDERS: dict[str, tuple[Part, ...]] = {
    "penalty_first": PARTS,
    "interest_first": ("interest", "principal", "penalty", "fee"),
    "principal_first": ("principal", "interest", "penalty", "fee"),
}
_WITHIN_INSTALMENTS = {
    name: {part: rank for rank, part in enumerate(order)} for name, order in _ORDERS.items()
}
_DUE_FIRST = tuple(f"{timing} {part}" for timing, part in product(TIMINGS, PARTS))


class Waterfall(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A named order, or `steps` of one's own: each of the twelve once, such as `past_due interest`.

    `penalty_first` (the default) is penalty, fee, interest, principal of one instalment after another;
    `due_first` takes all penalties, fees, interest and principal that are due before any in advance.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")] = "penalty_first"
    version: Annotated[int, Meta(ge=1, le=10**6)] = 1
    steps: tuple[StepName, ...] = ()

    def __post_init__(self) -> None:
        known = self.name in _WITHIN_INSTALMENTS or self.name == "due_first"
        if known == bool(self.steps) or (known and self.version != 1):
            raise ValueError(
                "`name` of a waterfall is one that is known, version 1, or has `steps` of its own"
            )
        if self.steps and sorted(self.steps) != sorted(_DUE_FIRST):
            raise ValueError("`steps` of a waterfall name each part of each class once")

    @property
    def by_instalment(self) -> bool:
        """Whether an instalment is paid before the next one."""
        return self.name in _WITHIN_INSTALMENTS


class Item(Struct, frozen=True, order=True, gc=False):
    """Something owed: `place` finds it in the book."""

    due: date
    part: Part
    amount: int
    place: tuple[str, int]


class Slice(Struct, frozen=True, gc=False):
    """What a repayment pays of one item."""

    timing: Timing
    item: Item
    amount: int


def timing_of(due: date, day: date) -> Timing:
    """Whether something is past due, due or in advance on a day."""
    return "past_due" if due < day else "due" if due == day else "in_advance"


def allocate(waterfall: Waterfall, items: Iterable[Item], amount: int, day: date) -> list[Slice]:
    """What `amount` pays, in order; together never more than it, of an item never more than is owed."""
    slices: list[Slice] = []
    for item in _in_order(waterfall, items, day):
        if not amount:
            break
        taken = min(amount, item.amount)
        if taken:
            slices.append(Slice(timing_of(item.due, day), item, taken))
            amount -= taken
    return slices


def _in_order(waterfall: Waterfall, items: Iterable[Item], day: date) -> list[Item]:
    order = _WITHIN_INSTALMENTS.get(waterfall.name)
    if order is not None:
        return sorted(items, key=lambda item: (item.due, order[item.part], item.place))
    ranks = {step: rank for rank, step in enumerate(waterfall.steps or _DUE_FIRST)}
    return sorted(
        items, key=lambda item: (ranks[f"{timing_of(item.due, day)} {item.part}"], item.due, item.place)
    )
