"""The matching: two sides of any length against each other, in bounded memory, the same for any order.

Rules in their order, each over what the one before has left: the exact reference (one with one of the same
amount, then all that is left under the reference together), the amount within a window of days, and one item
against a sum of some of the other side. Both sides are sorted on disk for each rule and run through side by
side. What a rule keeps in memory is bounded by `Rules`, never by the sides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from heapq import merge
from itertools import combinations, groupby
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ledger.reconciliation.items import FEE_DIFFERS, UNREACHABLE, Finding, Item, Outcome, Rule, Rules, ordinal
from ledger.reconciliation.sorting import Sorter

# More than this left under one reference, and the reference tells nothing.
MOST_UNDER_REFERENCE = 8


HERE, THERE = 0, 1
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Item).decode


def reconcile(here: Iterable[Item], there: Iterable[Item], rules: Rules, folder: Path) -> Iterator[Finding]:
    """Every finding, matches included. `folder` is for temporary files, a few hundred bytes for each item."""
    left = _Left(folder)
    referenced = Sorter(folder), Sorter(folder)
    for side, items in ((HERE, here), (THERE, there)):
        for item in items:
            if item.reference:
                group = _encode((item.asset, item.reference))
                referenced[side].add(b"%b\t%d\t%b" % (group, item.amount, _encode(item)))
            else:
                yield from left.put(side, item)
    yield from _by_reference(*referenced, left)
    if rules.window_days is not None:
        found, left = left, _Left(folder)
        yield from _by_amount(*found.sides, left, rules.window_days)
        if rules.parts > 1:
            found, left = left, _Left(folder)
            yield from _by_parts(*found.by_day(), left, rules, rules.window_days)
    for side, lines in enumerate(left.sides):
        for line in lines:
            yield from _unmatched(side, _decode(line.split(b"\t", 2)[2]), rules)


class _Left:
    """What a rule leaves to the next one: two sides by asset and amount, in order of days."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sides = Sorter(folder), Sorter(folder)

    def put(self, side: int, item: Item) -> Iterator[Finding]:
        """Leave an item; one that could not be asked about is a finding at once."""
        if item.status == UNREACHABLE:
            yield _finding("unknown", "none", *_sided(side, item))
        else:
            self.sides[side].add(b"%b\t%d\t%b" % (_encode(item.asset), item.amount, _encode(item)))

    def by_day(self) -> tuple[Sorter, Sorter]:
        """The same by asset and day."""
        sides = Sorter(self._folder), Sorter(self._folder)
        for side, lines in enumerate(self.sides):
            for line in lines:
                asset, _, item = line.split(b"\t", 2)
                sides[side].add(b"%b\t%b" % (asset, item))
        return sides


def _sided(side: int, *items: Item) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    return (items, ()) if side == HERE else ((), items)


def _finding(
    outcome: Outcome, rule: Rule, here: Iterable[Item], there: Iterable[Item], kind: str = ""
) -> Finding:
    return Finding(outcome, rule, tuple(here), tuple(there), kind)


def _together(rule: Rule, here: Sequence[Item], there: Sequence[Item]) -> Finding:
    """Items whose amounts agree: a match, unless their fees or statuses differ."""
    statuses = {item.status for item in (*here, *there)} - {""}
    if UNREACHABLE in statuses:
        return _finding("unknown", rule, here, there)
    fees = {_fees(here), _fees(there)}
    if len(fees) > 1 and None not in fees:
        return _finding("amount_mismatch", rule, here, there, FEE_DIFFERS)
    return _finding("match" if len(statuses) < 2 else "status_mismatch", rule, here, there)


def _apart(rule: Rule, here: Sequence[Item], there: Sequence[Item]) -> Finding:
    """Items whose amounts differ, perhaps by their fees alone."""
    fee_here, fee_there = _fees(here), _fees(there)
    known = fee_here is not None and fee_there is not None
    by_fees = known and _sum(here) + (fee_here or 0) == _sum(there) + (fee_there or 0)
    return _finding("amount_mismatch", rule, here, there, FEE_DIFFERS if by_fees else "")


def _sum(items: Iterable[Item]) -> int:
    return sum(item.amount for item in items)


def _fees(items: Sequence[Item]) -> int | None:
    """All fees together; None where one is not known."""
    fees = [item.fee for item in items if item.fee is not None]
    return sum(fees) if len(fees) == len(items) else None


def _unmatched(side: int, item: Item, rules: Rules) -> Iterator[Finding]:
    outside = (rules.first_day and item.day < rules.first_day) or (
        rules.last_day and item.day > rules.last_day
    )
    if side == HERE and outside:
        return
    missing: Outcome = "missing_there" if side == HERE else "missing_here"
    yield _finding("duplicate" if item.repeated else missing, "none", *_sided(side, item))


# ---------------------------------------------------------------- the exact reference


class _Line:
    """A line of a side under its reference."""

    __slots__ = ("group", "item", "key")

    def __init__(self, line: bytes) -> None:
        self.group, amount, payload = line.split(b"\t", 2)
        self.key = self.group, amount
        self.item = _decode(payload)


def _by_reference(here: Iterable[bytes], there: Iterable[bytes], left: _Left) -> Iterator[Finding]:
    """Equal amounts under a reference one by one, in order of days; then what is left under it together."""
    sides = iter(here), iter(there)
    heads = [_head(sides[HERE]), _head(sides[THERE])]
    last: list[tuple[bytes, bytes] | None] = [None, None]
    group = _Group(b"", left)
    while True:
        h, t = heads
        first = min((line for line in heads if line is not None), key=lambda line: line.key, default=None)
        if first is None:
            break
        if first.group != group.name:
            yield from group.close()
            group = _Group(first.group, left)
        if h is not None and t is not None and h.key == t.key:
            yield _together("reference", (h.item,), (t.item,))
            taken: tuple[int, ...] = (HERE, THERE)
        else:
            side = HERE if first is h else THERE
            item = replace(first.item, repeated=True) if last[side] == first.key else first.item
            yield from group.add(side, item)
            taken = (side,)
        for side in taken:
            last[side] = first.key
            heads[side] = _head(sides[side])
    yield from group.close()


def _head(lines: Iterator[bytes]) -> _Line | None:
    line = next(lines, None)
    return None if line is None else _Line(line)


class _Group:
    """What is left under one reference; too much of it goes on to the next rule as it comes."""

    def __init__(self, name: bytes, left: _Left) -> None:
        self.name = name
        self._left = left
        self._sides: tuple[list[Item], list[Item]] = ([], [])
        self._full = False

    def add(self, side: int, item: Item) -> Iterator[Finding]:
        if not self._full:
            self._sides[side].append(item)
            self._full = sum(map(len, self._sides)) > MOST_UNDER_REFERENCE
            if self._full:
                yield from self._leave()
        else:
            yield from self._left.put(side, item)

    def _leave(self) -> Iterator[Finding]:
        for side, items in enumerate(self._sides):
            for item in items:
                yield from self._left.put(side, item)

    def close(self) -> Iterator[Finding]:
        if self._full:
            return
        here, there = self._sides
        if not (here and there):
            yield from self._leave()
        elif any(item.status == UNREACHABLE for item in (*here, *there)):
            yield _finding("unknown", "reference", here, there)
        elif _sum(here) == _sum(there):
            yield _together("reference", here, there)
        else:
            yield _apart("reference", here, there)


# ---------------------------------------------------------------- the amount and the days


def _by_amount(here: Iterable[bytes], there: Iterable[bytes], left: _Left, window: int) -> Iterator[Finding]:
    """Of one amount, the earliest with the earliest that is within the window: no pairing has more pairs."""
    sides = iter(here), iter(there)
    heads = [_head(sides[HERE]), _head(sides[THERE])]
    while (h := heads[HERE]) is not None and (t := heads[THERE]) is not None:
        if h.key == t.key:
            apart = ordinal(h.item.day) - ordinal(t.item.day)
            if abs(apart) <= window:
                yield _together("amount_and_date", (h.item,), (t.item,))
                heads = [_head(sides[HERE]), _head(sides[THERE])]
                continue
            side = HERE if apart < 0 else THERE
        else:
            side = HERE if h.key < t.key else THERE
        yield from left.put(side, (h, t)[side].item)
        heads[side] = _head(sides[side])
    for side, head in enumerate(heads):
        while head is not None:
            yield from left.put(side, head.item)
            head = _head(sides[side])


# ---------------------------------------------------------------- one against a sum


class _Waiting:
    """An item that waits for its window to pass."""

    __slots__ = ("day", "item", "side", "used")

    def __init__(self, side: int, item: Item) -> None:
        self.side = side
        self.item = item
        self.day = ordinal(item.day)
        self.used = False


def _by_parts(
    here: Iterable[bytes], there: Iterable[bytes], left: _Left, rules: Rules, window: int
) -> Iterator[Finding]:
    """One item with a few of the other side that add up to it; the earliest first, by the fewest."""
    lines = merge(_entries(here, HERE), _entries(there, THERE))
    for _, entries in groupby(lines, key=lambda entry: entry[0]):
        waiting: tuple[deque[_Waiting], deque[_Waiting]] = deque(), deque()
        undecided: deque[_Waiting] = deque()
        for _, payload, side in entries:
            new = _Waiting(side, _decode(payload))
            while undecided and undecided[0].day + window < new.day:
                yield from _sum_of(undecided.popleft(), waiting, rules, window)
            for items in waiting:
                while items and items[0].day + 2 * window < new.day:
                    yield from _let_go(items.popleft(), left)
            if len(waiting[side]) >= rules.most_waiting:
                yield from _let_go(waiting[side].popleft(), left)
            waiting[side].append(new)
            undecided.append(new)
            if len(undecided) > 4 * rules.most_waiting:
                # No more than those that wait are not used: the rest was let go.
                undecided = deque(one for one in undecided if not one.used)
        for one in undecided:
            yield from _sum_of(one, waiting, rules, window)
        for items in waiting:
            for one in items:
                yield from _let_go(one, left)


def _entries(lines: Iterable[bytes], side: int) -> Iterator[tuple[bytes, bytes, int]]:
    for line in lines:
        asset, _, item = line.partition(b"\t")
        yield asset, item, side


def _let_go(one: _Waiting, left: _Left) -> Iterator[Finding]:
    if not one.used:
        one.used = True
        yield from left.put(one.side, one.item)


def _sum_of(
    one: _Waiting, waiting: tuple[deque[_Waiting], deque[_Waiting]], rules: Rules, window: int
) -> Iterator[Finding]:
    if one.used:
        return
    amount, near = one.item.amount, []
    for other in waiting[1 - one.side]:
        # Parts of a sum have its sign and are less than it.
        if (
            not other.used
            and abs(other.day - one.day) <= window
            and 0 < other.item.amount * amount < amount * amount
        ):
            near.append(other)
            if len(near) == rules.candidates:
                break
    for size in range(2, min(rules.parts, len(near)) + 1):
        for parts in combinations(near, size):
            if sum(part.item.amount for part in parts) == amount:
                for used in (one, *parts):
                    used.used = True
                items = tuple(part.item for part in parts)
                here, there = ((one.item,), items) if one.side == HERE else (items, (one.item,))
                yield _together("parts", here, there)
                return
