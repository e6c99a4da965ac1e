"""A matcher of a few items, by lists and loops; it shares no code with the one that it checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from itertools import combinations, product

from ledger.reconciliation.items import Item, Rules

Take = Callable[..., None]
Found = tuple[str, frozenset[str], frozenset[str]]


def naive(here: list[Item], there: list[Item], rules: Rules) -> set[Found]:
    """Outcome and ids of both sides of every finding (`unreachable` and full references are left out)."""
    found: set[Found] = set()
    sides = [sorted(side, key=lambda i: (i.day, i.name)) for side in (here, there)]
    repeats = {
        (s, b.name)
        for s, side in enumerate(sides)
        for a, b in combinations(side, 2)
        if a.reference and (a.asset, a.reference, a.amount) == (b.asset, b.reference, b.amount)
    }

    def take(h: list[Item], t: list[Item], outcome: str = "") -> None:
        if not outcome:
            stated = {i.status for i in h + t if i.status}
            outcome = "status_mismatch" if len(stated) > 1 else "match"
        found.add((outcome, frozenset(i.name for i in h), frozenset(i.name for i in t)))
        for side, items in zip(sides, (h, t), strict=True):
            for item in items:
                side.remove(item)

    _pairs(sides, take, lambda h, t: bool(h.reference) and h.reference == t.reference)
    names = {(i.asset, i.reference) for side in sides for i in side if i.reference}
    for asset, reference in sorted(names):
        h, t = ([i for i in side if (i.asset, i.reference) == (asset, reference)] for side in sides)
        if h and t:
            take(h, t, "" if sum(i.amount for i in h) == sum(i.amount for i in t) else "amount_mismatch")
    if rules.window_days is not None:
        window = rules.window_days
        _pairs(sides, take, lambda h, t: _apart(h, t) <= window)
        if rules.parts > 1:
            _sums(sides, take, rules, window)
    for s, side in enumerate(sides):
        for item in list(side):
            inside = not rules.first_day or rules.first_day <= item.day <= rules.last_day
            if s == 1 or inside:
                outcome = ("missing_there", "missing_here")[s]
                outcome = "duplicate" if (s, item.name) in repeats else outcome
                take(*(([item], []) if s == 0 else ([], [item])), outcome)
    return found


def _apart(h: Item, t: Item) -> int:
    return abs((date.fromisoformat(h.day) - date.fromisoformat(t.day)).days)


def _pairs(sides: list[list[Item]], take: Take, fit: Callable[[Item, Item], bool]) -> None:
    """Of equal amounts that fit, again and again the earliest here with the earliest there."""
    for h, t in product(list(sides[0]), list(sides[1])):
        if h in sides[0] and t in sides[1] and (h.asset, h.amount) == (t.asset, t.amount) and fit(h, t):
            take([h], [t])


def _sums(sides: list[list[Item]], take: Take, rules: Rules, window: int) -> None:
    order = sorted(
        ((i.asset, i.day, i.name, s, i) for s, side in enumerate(sides) for i in side), key=lambda e: e[:4]
    )
    for _, _, _, s, one in order:
        if one not in sides[s]:
            continue
        near = [
            i
            for i in sides[1 - s]
            if i.asset == one.asset
            and _apart(i, one) <= window
            and i.amount * one.amount > 0
            and abs(i.amount) < abs(one.amount)
        ][: rules.candidates]
        parts = next(_adding_up(near, one.amount, rules.parts), None)
        if parts is not None:
            take(*(([one], parts) if s == 0 else (parts, [one])))


def _adding_up(near: list[Item], amount: int, most: int) -> Iterator[list[Item]]:
    for size in range(2, most + 1):
        for parts in combinations(near, size):
            if sum(i.amount for i in parts) == amount:
                yield list(parts)
