"""A naive model of prepaid credits, in lists and decimals, that shares no code with the ledger.

It is told what was asked and when, and says which lots and which balances there must be then.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

FOREVER = 10**12


def half_even(numerator: int, denominator: int) -> int:
    with localcontext() as context:
        context.prec = 80
        return int((Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), ROUND_HALF_EVEN))


@dataclass
class Grant:
    """A lot: `free` and `frozen` units, `held` by hold."""

    number: int
    free: int
    cost: int
    total: int
    source: str
    priority: int
    since: float
    until: float
    order: str
    frozen: int = 0
    held: Counter[int] = field(default_factory=Counter)
    early: int = 0  # breakage earned ahead
    locked: bool = False

    @property
    def units(self) -> int:
        return self.free + self.frozen + self.held.total()


@dataclass
class Used:
    parts: list[tuple[Grant, int, int, int]]  # lot, units, cost, total of the lot then
    refunded: bool = False


@dataclass
class Gone:
    """Units of one lot that refunds have retired."""

    lot: Grant
    units: int = 0
    cost: int = 0
    total: int = 0  # of the lot afterwards


@dataclass
class Paid:
    units: int
    price: int
    tax: int
    refunded: int = 0
    kept: int = 0
    tax_back: int = 0
    disputed: bool = False
    gone: list[Gone] = field(default_factory=list)  # what was retired last comes back first
    refunds: dict[str, tuple[int, int, str] | None] = field(default_factory=dict)  # None: reversed

    @property
    def retired(self) -> int:
        return sum(g.units for g in self.gone)

    @property
    def retirable(self) -> int:
        return half_even(self.units * (self.refunded - self.kept), self.price + self.tax)


class Refused(Exception):
    """The command must be refused with this code."""


class Oracle:
    """One wallet, with breakage expected at `expected` basis points (0: only when it happens)."""

    def __init__(
        self,
        expected: int = 0,
        restore_seconds: float = 0,
        rollover: tuple[int, int, float] | None = None,
        broken: str = "breakage",
    ):
        self.expected = expected
        self.restore_seconds = restore_seconds
        self.rollover = rollover
        self.broken = broken  # where the cost of what expires goes
        self.grants: list[Grant] = []
        self.holds: dict[int, float] = {}
        self.uses: dict[int, Used] = {}
        self.orders: dict[str, Paid] = {}
        self.money: Counter[str] = Counter()  # credit balances; assets and contras are negative
        self.numbers = 0

    # ------------------------------------------------------------ what is there

    @property
    def available(self) -> int:
        return sum(g.free for g in self.grants)

    def lots(self) -> list[tuple[int, int, int, int, int]]:
        """Number, units, cost, held and frozen of every lot with units."""
        return sorted((g.number, g.units, g.cost, g.held.total(), g.frozen) for g in self.grants if g.units)

    # ------------------------------------------------------------ commands

    def grant(self, units: int, cost: int, at: float, *, to: str, source: str, until: float = FOREVER,
              priority: int = 0, order: str = "") -> None:  # fmt: skip
        self.numbers += 1
        self.grants.append(Grant(self.numbers, units, cost, cost, source, priority, at, until, order))
        self.money["liability"] += cost
        self.money[to] -= cost

    def use(self, seq: int, units: int) -> None:
        if self.available < units:
            raise Refused("insufficient_credits")
        used = Used([])
        for g in self._in_order():
            part = min(g.free, units)
            if part:
                used.parts.append((g, part, self._leave(g, part, "revenue", True), g.total))
                g.free -= part
                units -= part
        self.uses[seq] = used
        self._settle()

    def refund(self, seq: int, at: float) -> None:
        used = self.uses.get(seq)
        if used is None:
            raise Refused("usage_not_found")
        if used.refunded:
            raise Refused("usage_already_refunded")
        for g, _, _, _ in used.parts:
            paid = self.orders.get(g.order)
            if paid is not None and paid.retirable > paid.retired:
                raise Refused("purchase_refunded")
        used.refunded = True
        for g, units, cost, total in used.parts:
            self.money["revenue"] -= cost
            self._come_back(g, units, cost, total, at)
        self._settle()

    def _come_back(self, g: Grant, units: int, cost: int, total: int, at: float, unearned: int = 0) -> None:
        """Units to their lot, or to a new one when that has expired; the cost is the caller's to pay."""
        locked = g.order in self.orders and self.orders[g.order].disputed
        if g.until <= at:
            if not self.restore_seconds:
                self.money[self.broken] += cost
                return
            self.numbers += 1
            g = Grant(self.numbers, 0, 0, cost, g.source, g.priority, at, at + self.restore_seconds, g.order)
            g.locked = locked
            self.grants.append(g)
        else:
            if not g.units:
                g.total, g.cost = total, 0
            g.total += unearned
        if locked:
            g.frozen += units
            g.locked = True
        else:
            g.free += units
        g.cost += cost
        self.money["liability"] += cost

    def take(self, units: int, to: str) -> None:
        if self.available < units:
            raise Refused("insufficient_credits")
        for g in self._in_order():
            part = min(g.free, units)
            if part:
                self._leave(g, part, to, False)
                g.free -= part
                units -= part
        self._settle()

    def hold(self, hold: int, units: int, until: float | None) -> None:
        if self.available < units:
            raise Refused("insufficient_credits")
        for g in self._in_order():
            part = min(g.free, units)
            if part:
                g.free -= part
                g.held[hold] += part
                units -= part
        if until is not None or hold not in self.holds:
            self.holds[hold] = FOREVER if until is None else until

    def held(self, hold: int) -> int:
        return sum(g.held[hold] for g in self.grants)

    def capture(self, seq: int, hold: int, units: int, final: bool, at: float, order: list[int]) -> None:
        """`order` are the lots' numbers as the hold took them."""
        used = Used([])
        for g in sorted((g for g in self.grants if g.held[hold]), key=lambda g: order.index(g.number)):
            part = min(g.held[hold], units)
            if part:
                used.parts.append((g, part, self._leave(g, part, "revenue", True), g.total))
                g.held[hold] -= part
                units -= part
            if final:
                self._free(g, hold, at)
        self.uses[seq] = used
        self._settle()

    def release(self, hold: int, at: float) -> None:
        for g in self.grants:
            self._free(g, hold, at)
        self._settle()

    def pass_time(self, at: float) -> None:
        """Everything that ends by `at`, in the order in which it does."""
        while True:
            moments = [g.until for g in self.grants if g.free] + [
                u for h, u in self.holds.items() if self.held(h)
            ]
            moment = min(moments, default=FOREVER)
            if moment > at:
                return
            for hold, until in self.holds.items():
                if until <= moment and self.held(hold):
                    for g in self.grants:
                        self._free(g, hold, moment)
            for g in self._in_order():
                if g.until <= moment and g.free:
                    self._expire(g, moment)
            self._settle()

    def buy(
        self, name: str, units: int, price: int, tax: int, at: float, until: float = FOREVER, bonus: int = 0
    ) -> None:
        """Units that are bundled share the price."""
        self.orders[name] = Paid(units + bonus, price, tax)
        shared = half_even(price * bonus, units + bonus)
        self.grant(units, price - shared, at, to="unapplied", source="purchased", until=until, order=name)
        if bonus:
            self.grant(bonus, shared, at, to="unapplied", source="bonus", until=until, order=name)
        self.money["unapplied"] -= tax
        self.money["tax"] += tax

    def money_back(
        self,
        name: str,
        amount: int,
        at: float,
        *,
        lost: bool = False,
        claim: bool = False,
        keep: bool = False,
        refund: str = "",
    ) -> None:
        paid = self.orders[name]
        whole = paid.price + paid.tax
        if refund in paid.refunds:
            raise Refused("already_recorded")
        if amount > whole - paid.refunded or whole == paid.refunded:
            raise Refused("refund_exceeds_purchase")
        rest = "loss" if lost else "receivable" if claim else "refunds"
        if refund:
            paid.refunds[refund] = amount, amount * keep, rest
        paid.refunded += amount
        paid.kept += amount * keep
        tax = half_even(paid.tax * paid.refunded, whole) - paid.tax_back
        paid.tax_back += tax
        cost = 0 if keep else self._retire(name, paid, max(paid.retirable - paid.retired, 0))
        self.money["tax"] -= tax
        self.money["disputes" if lost else "unapplied"] += amount
        self.money[rest] -= amount - tax - cost
        if lost:
            self.thaw(name, at)
        self._settle()

    def _retire(self, name: str, paid: Paid, units: int) -> int:
        """What is free, lot by lot, else frozen; then what is held, hold by hold; its cost."""
        cost = 0
        own = [g for g in self._in_order() if g.order == name]
        for g in own:
            for place in ("free", "frozen"):
                part = min(getattr(g, place), units)
                if part:
                    cost += self._go(paid, g, part)
                    setattr(g, place, getattr(g, place) - part)
                    units -= part
        for hold in self.holds:
            for g in own:
                part = min(g.held[hold], units)
                if part:
                    cost += self._go(paid, g, part)
                    g.held[hold] -= part
                    units -= part
        return cost

    def _go(self, paid: Paid, g: Grant, units: int) -> int:
        """Units of a lot are about to be retired: all that is gone of it costs its share of the whole."""
        before = next((one for one in paid.gone if one.lot is g), Gone(g))
        share = half_even((g.cost + before.cost) * (before.units + units), g.units + before.units)
        cost = g.cost if units == g.units else min(max(share - before.cost, 0), g.cost)
        g.cost -= cost
        g.total -= cost
        self.money["liability"] -= cost
        paid.gone = [one for one in paid.gone if one.lot is not g]
        paid.gone.append(Gone(g, before.units + units, before.cost + cost, g.total))
        return cost

    def reverse(self, name: str, refund: str, at: float) -> None:
        """A refund has failed."""
        paid = self.orders[name]
        made = paid.refunds.get(refund, (0, 0, "refunds"))
        if made is None:
            raise Refused("already_recorded")
        paid.refunds[refund] = None
        amount, kept, rest = made
        paid.refunded -= amount
        paid.kept -= kept
        tax = half_even(paid.tax * paid.refunded, paid.price + paid.tax) - paid.tax_back
        paid.tax_back += tax
        units = max(paid.retired - paid.retirable, 0) if amount else 0
        total = 0
        for gone in reversed(paid.gone):
            part = min(gone.units, units)
            if part:
                g, left = gone.lot, gone.units - part
                whole = half_even((g.cost + gone.cost) * left, g.units + gone.units)
                cost = min(max(gone.cost - whole, 0), gone.cost) if left else gone.cost
                gone.units, gone.cost = left, gone.cost - cost
                units, total = units - part, total + cost
                self._come_back(g, part, cost, gone.total, at, unearned=cost)
        paid.gone = [gone for gone in paid.gone if gone.units]
        self.money["tax"] -= tax
        self.money["unapplied"] -= amount
        self.money[rest] += amount + tax - total
        self._settle()

    def freeze(self, name: str) -> None:
        self.orders[name].disputed = True
        for g in self.grants:
            if g.order == name:
                g.frozen, g.free, g.locked = g.frozen + g.free, 0, True

    def thaw(self, name: str, at: float) -> None:
        self.orders[name].disputed = False
        for g in self.grants:
            if g.order == name:
                back, g.frozen, g.locked = g.frozen, 0, False
                if g.until <= at:
                    g.frozen = back
                    self._leave(g, back, self.broken, False)
                    g.frozen = 0
                else:
                    g.free += back
        self._settle()

    # ------------------------------------------------------------ parts

    def _in_order(self) -> list[Grant]:
        return sorted(
            self.grants, key=lambda g: (g.priority, g.until, g.source == "purchased", g.since, g.number)
        )

    def _leave(self, g: Grant, units: int, to: str, earned: bool) -> int:
        """Units are about to leave a lot: what they cost goes to an account."""
        cost = half_even(g.cost * units, g.units) if units else 0
        g.cost -= cost
        if not earned:
            g.total -= cost
        self.money["liability"] -= cost
        if to:
            self.money[to] += cost
        return cost

    def _free(self, g: Grant, hold: int, at: float) -> None:
        units = g.held[hold]
        if units and g.until <= at and not g.locked:
            self._leave(g, units, self.broken, False)
        elif g.locked:
            g.frozen += units
        else:
            g.free += units
        g.held[hold] = 0

    def _expire(self, g: Grant, at: float) -> None:
        left = g.free
        if self.rollover is not None and g.source != "rollover":
            least, most, seconds = self.rollover
            rolled = min(most, max(left, least))
            kept = min(rolled, left)
            cost = self._leave(g, kept, "", False)
            g.free -= kept
            self.grant(
                kept,
                cost,
                at,
                to="",
                source="rollover",
                until=at + seconds,
                priority=g.priority,
                order=g.order,
            )
            self.money[""] = 0
            left -= kept
            if rolled > kept:
                self.grant(
                    rolled - kept, 0, at, to="", source="rollover", until=at + seconds, priority=g.priority
                )
        if left:
            self._leave(g, left, self.broken, False)
            g.free -= left

    def _settle(self) -> None:
        """Breakage that is expected is earned as customers use."""
        for g in self.grants:
            due = 0
            if self.expected and g.cost:
                due = min(half_even(max(g.total - g.cost, 0) * self.expected, 10_000 - self.expected), g.cost)
            self.money["breakage"] += due - g.early
            self.money["early"] -= due - g.early
            g.early = due


NAMES = {
    "credits:contract_liability:enrichment": "liability",
    "credits:revenue:enrichment": "revenue",
    "credits:breakage_revenue:enrichment": "breakage",
    "credits:breakage_recognised:enrichment": "early",
    "credits:unclaimed_property:enrichment": "unclaimed",
    "credits:adjustments:enrichment": "adjustments",
    "credits:refunds:enrichment": "refunds",
    "credits:dispute_loss:enrichment": "loss",
    "customers:42:credits_receivable": "receivable",
    "payments:unapplied": "unapplied",
    "payments:disputes_receivable": "disputes",
    "tax:payable": "tax",
}


def add_postings(events: list[Any], money: Counter[str], units: Counter[str]) -> None:
    """Add what events posted: credit balances of money by the oracle's names, of units by address."""
    for event in events:
        for p in event.postings:
            amount = int(p.amount) * (1 if p.side == "credit" else -1)
            if p.asset == "USD/2":
                money[NAMES[p.account]] += amount
            else:
                units[p.account] += amount
