"""Subscriptions at Stripe: what is told of one, in every order and twice, comes to the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

from ledger.batch import Refusal
from ledger.chart import ChartDocument
from ledger.payments.subscriptions import RecordInvoiceFailure, RecordStripeSubscription, Subscription
from tests.credit_desk import CreditDesk

CHART = ChartDocument(assets=("USD/2",), accounts=(), products=("payments",))
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: int) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def told(status: str, seconds: int, **more: Any) -> RecordStripeSubscription:
    return RecordStripeSubscription(subscription="sub_1", status=status, told_at=at(seconds), **more)


def failed(seconds: int, attempts: int, **more: Any) -> RecordInvoiceFailure:
    return RecordInvoiceFailure(
        subscription="sub_1", invoice="in_1", attempts=attempts, told_at=at(seconds), **more
    )


LIVES: dict[str, tuple[list[Any], str, int | None]] = {
    "begun within a second": (
        [told("incomplete", 0), told("trialing", 0), told("active", 0)], "active", None
    ),
    "past due": (
        [
            told("incomplete", 0), told("active", 1), failed(100, 1), told("past_due", 100),
            failed(200, 2, next_attempt_at=at(300)),
        ],
        "past_due",
        2,
    ),
    "recovered": (
        [told("active", 1), failed(100, 1), told("past_due", 100), told("active", 101)], "active", None
    ),
    "ends with its period, both changes within a second": (
        [told("active", 1), told("active", 2, cancel_at_period_end=True), told("active", 2)], "active", None
    ),
    "ended, and told of later": (
        [told("active", 1), failed(2, 1), told("canceled", 3), told("active", 4)], "canceled", None
    ),
    "known by a failure alone": ([failed(1, 1), failed(2, 2)], "", 2),
}  # fmt: skip


def state_of(desk: CreditDesk) -> Subscription:
    stream = desk.state.streams["stripe_subscription:sub_1"]
    assert stream is not None
    state: Subscription = stream.state
    return state


def test_every_order_of_a_life_comes_to_the_same() -> None:
    """With things told again, which are refused and change nothing; and no money is posted."""
    chance = random.Random(3)
    for name, (life, status, attempts) in LIVES.items():
        ends = set()
        for order in permutations(life):
            desk = CreditDesk(CHART)
            for one in (*order, *chance.sample(life, 2)):
                outcome = desk.run(one)
                if isinstance(outcome, Refusal):
                    assert outcome.rejection.code == "already_recorded"
            state = state_of(desk)
            failing = state.failing
            assert (state.status, None if failing is None else failing.attempts) == (status, attempts), name
            ends.add(state)
        assert len(ends) == 1, name
        assert desk.balances() == {}


def test_what_was_told_of_a_subscription_is_kept() -> None:
    """Whose it is, what it buys, when its period ends; a failure does not forget them."""
    desk = CreditDesk(CHART)
    about: dict[str, Any] = {"customer": "cus_1", "owner": "42", "package": "p", "current_period_end": at(9)}
    event = desk.done(told("active", 0, cancel_at_period_end=True, **about))
    assert event.data["current_period_end"] == "2026-01-01T00:00:09.000000Z"
    desk.done(failed(1, 1, next_attempt_at=at(7)))
    state = state_of(desk)
    assert (state.owner, state.package, state.customer) == ("42", "p", "cus_1")
    assert state.cancel_at_period_end is True
    assert state.failing is not None
    assert state.failing.next_attempt_at == "2026-01-01T00:00:07.000000Z"
    again = desk.refused(failed(1, 1, next_attempt_at=at(7)))
    assert again == ("already_recorded", {"what": "stripe_subscription:sub_1"})
