"""Stripe's events in every order, told twice, the process ending at any step: always the same books."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import permutations
from math import factorial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.desk_inbox import DeskInbox
from tests.exhaustive import EXHAUSTIVE
from tests.stripe_sales import SALES, Back, Sale, books, echoes, steps

# Every order of up to six things, and as many of more; in 120 orders every place where a process can end.
ORDERS, CRASHED, CRASHES, EXAMPLES = (720, 120, 1_000, 2_000) if EXHAUSTIVE else (12, 6, 3, 40)


def orders(count: int, most: int, chance: random.Random) -> Iterator[tuple[int, ...]]:
    """Every order, or so many of them, one of which is the backward one."""
    if factorial(count) <= most:
        yield from permutations(range(count))
        return
    yield tuple(reversed(range(count)))
    for _ in range(most - 1):
        yield tuple(chance.sample(range(count), count))


def check(inbox: DeskInbox, sale: Sale, context: Any) -> None:
    """The books are what somebody worked out; nothing is granted twice or lost; what is open is listed."""
    balances, items = books(sale)
    assert inbox.balances() == balances, context
    assert inbox.open_items() == items, context
    assert inbox.desk.wallet().purchased == sale.units * sale.is_paid, context
    subscription = inbox.desk.state.streams.get("stripe_subscription:sub_1")
    standing = None if subscription is None else (subscription.state.status, subscription.state.failing)
    assert standing == (("active", None) if sale.way == "month" else None), context
    late = {"order_not_pending"} if sale.way == "late failure" else set()
    assert inbox.reasons() <= late, context


def always() -> bool:
    return True


def never() -> bool:
    return False


@pytest.mark.parametrize("name", SALES)
def test_every_order_gives_the_same_books(name: str) -> None:
    """Each fact once, in every order; what waits is tried again at once or at the very end."""
    sale, chance = SALES[name], random.Random(name)
    told = steps(sale)
    for order in orders(len(told), ORDERS, chance):
        for hurry in (always, never):
            inbox = DeskInbox(sale)
            inbox.tell([told[index] for index in order], hurry)
            check(inbox, sale, (order, hurry))


@pytest.mark.parametrize("name", SALES)
def test_a_crash_between_any_two_steps_changes_nothing(name: str) -> None:
    """Wherever the process ends once, in every order: before or after anything is stored, posted, written."""
    sale, chance = SALES[name], random.Random(name)
    told = steps(sale)
    for order in orders(len(told), CRASHED, chance):
        plain = DeskInbox(sale)
        plain.tell([told[index] for index in order])
        seams = range(1, plain.seams + 1)
        for crash in chance.sample(seams, min(CRASHES, len(seams))):
            inbox = DeskInbox(sale, frozenset({crash}))
            inbox.tell([told[index] for index in order])
            check(inbox, sale, (order, crash))


@st.composite
def sales(draw: st.DrawFn) -> Sale:
    """A sale of any figures, and what becomes of it."""
    tax, bonus = draw(st.integers(0, 300)), draw(st.integers(0, 50))
    price, units = draw(st.integers(1, 3_000)), draw(st.integers(1, 150))
    used = draw(st.integers(0, units + bonus))
    rates = draw(st.none() | st.tuples(*(st.integers(100, 900),) * 3))
    fate: Any = draw(st.sampled_from(("", "", "open", "won", "lost")))
    refunds: list[Back] = []
    left = 0 if fate else price + tax
    for failed in draw(st.lists(st.booleans(), max_size=3)):
        if left:
            amount = draw(st.integers(1, left))
            refunds.append(Back(amount, failed))
            left -= 0 if failed else amount
    return Sale(
        way=draw(st.sampled_from(("session", "later", "late failure", "month", "newer month"))),
        units=units, bonus=bonus, price=price, tax=tax, used=used, fee=draw(st.integers(-5, price)),
        refunds=tuple(refunds), dispute=fate, rates=rates,
        payout=draw(st.sampled_from(("", "made", "failed", "matched", "matched and failed"))),
    )  # fmt: skip


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(st.data())
def test_any_sale_told_in_any_way(data: st.DataObject) -> None:
    """Any figures, any order, facts told by other events too and again, several crashes."""
    sale = data.draw(sales())
    told = [*steps(sale), *echoes(sale)]
    numbers = range(len(told))
    again = data.draw(st.lists(st.sampled_from(numbers), max_size=4))
    order = data.draw(st.permutations([*numbers, *again]))
    inbox = DeskInbox(sale, frozenset(data.draw(st.lists(st.integers(1, 150), max_size=5))))
    moments = data.draw(st.lists(st.booleans(), min_size=len(order), max_size=len(order)))
    inbox.tell([told[number] for number in order], iter(moments).__next__)
    check(inbox, sale, order)
