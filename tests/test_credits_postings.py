"""Every entry of the posting catalogue for credits, carried out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ledger.credits.commands import (
    AddCredits,
    AdjustCredits,
    CaptureHold,
    ChangeHold,
    CreatePackage,
    DeductCredits,
    HoldCredits,
    RefundCredits,
    ReleaseHold,
)
from ledger.credits.purchase_commands import (
    Breakage,
    FreezePurchase,
    FulfilOrder,
    LoseDispute,
    OrderCredits,
    RefundPurchase,
    ReversePurchaseRefund,
    Rollover,
    SetCreditSettings,
    TypeSettings,
    UnfreezePurchase,
)
from ledger.events import Event
from tests.credit_desk import DAY, START, CreditDesk
from tests.postings import catalogue, entry

W: dict[str, Any] = {"owner": "42", "credit_type": "enrichment"}
ENTRIES = catalogue("Credits")
TENTH = TypeSettings(breakage=Breakage("proportional", 1_000))

Scenario = Callable[[CreditDesk], Event]


def buy(
    desk: CreditDesk,
    price: int = 1_000,
    tax: int = 0,
    bonus: int = 0,
    days: int | None = 10,
    discount: int = 0,
) -> Event:
    """100 units, as `order`."""
    desk.done(
        CreatePackage(
            package="p", name="P", credit_type="enrichment", credit_amount=100, bonus_amount=bonus,
            price=price, asset="USD/2", expiry_days=days,
        )
    )  # fmt: skip
    desk.done(OrderCredits(owner="42", package="p", order="order"))
    paid = price - discount + tax
    return desk.done(FulfilOrder(order="order", amount=paid, tax=tax, discount=discount, asset="USD/2"))


def use(desk: CreditDesk, units: int) -> Event:
    return desk.done(DeductCredits(amount=units, **W))


def bought(*commands: Any, rules: TypeSettings | None = None, **terms: Any) -> Scenario:
    """Buy, then carry out; a number uses so many units, a timedelta lets time pass; the last event counts."""

    def scenario(desk: CreditDesk) -> Event:
        if rules is not None:
            desk.done(SetCreditSettings(credit_type="enrichment", settings=rules))
        event = buy(desk, **terms)
        for command in commands:
            if isinstance(command, timedelta):
                happened = desk.wait(command.total_seconds())
                event = happened[-1] if happened else event
            elif isinstance(command, int):
                event = use(desk, command)
            elif callable(command):
                event = desk.done(command(event))
            else:
                event = desk.done(command)
        return event

    return scenario


def refund_it(event: Event) -> RefundCredits:
    return RefundCredits(transaction_id=event.seq)


def release_it(event: Event) -> ReleaseHold:
    return ReleaseHold(hold=event.seq, **W)


def hold_of(units: int, **terms: Any) -> HoldCredits:
    return HoldCredits(amount=units, **terms, **W)


# The opening, the package, the order, the purchase: the hold is the fifth event.
HOLD = 5
ELEVEN_DAYS = timedelta(days=11)
FREEZE = FreezePurchase(order="order", dispute="dp")
FAIL = ReversePurchaseRefund(order="order", refund="re_1")
WIN = UnfreezePurchase(order="order", dispute="dp")

SCENARIOS: dict[str, Scenario] = {
    "buy 100 for 2000 and tax of 160": bought(price=2_000, tax=160),
    "buy for nothing, with a coupon": bought(discount=1_000),
    "buy 100 with a bonus of 25": bought(bonus=25),
    "give a promotion of 100": lambda desk: desk.done(
        AddCredits(amount=100, transaction_type="promotional", **W)
    ),
    "use 45": bought(45),
    "use 45 of a lot of which 10 % is expected to break": bought(45, rules=TENTH),
    "refund that use": bought(45, refund_it, rules=TENTH),
    "refund a use of 45 whose lot has expired": lambda desk: _after_expiry(desk, TypeSettings()),
    "refund a use of 45 whose lot has expired, with no days to restore": lambda desk: _after_expiry(
        desk, TypeSettings(restore_days=0)
    ),
    "adjust by 20": bought(AdjustCredits(amount=20, **W)),
    "adjust by 20 at a cost of 200": bought(AdjustCredits(amount=20, cost=200, asset="USD/2", **W)),
    "adjust by -20 as a correction": bought(AdjustCredits(amount=-20, reason="correction", **W)),
    "adjust by -20 as a forfeiture": bought(AdjustCredits(amount=-20, reason="forfeiture", **W)),
    "hold 30": bought(hold_of(30)),
    "make the hold larger by 10": bought(hold_of(30), ChangeHold(hold=HOLD, increase=10, **W)),
    "capture 15 of the hold": bought(hold_of(40), CaptureHold(hold=HOLD, amount=15, **W)),
    "capture 5 and release the rest": bought(hold_of(25), CaptureHold(hold=HOLD, amount=5, final=True, **W)),
    "release a hold of 30": bought(hold_of(30), release_it),
    "a hold of 30 times out": bought(hold_of(30, timeout_seconds=60), timedelta(minutes=2)),
    "release a hold of 30 whose lot has expired": bought(
        hold_of(30), ELEVEN_DAYS, lambda event: ReleaseHold(hold=HOLD, **W)
    ),
    "55 expire": bought(45, ELEVEN_DAYS),
    "10 expire, which were expected to": bought(90, ELEVEN_DAYS, rules=TENTH),
    "55 expire, of which only 10 % of the lot were expected to": bought(45, ELEVEN_DAYS, rules=TENTH),
    "55 expire to the state": bought(45, ELEVEN_DAYS, rules=TypeSettings(breakage=Breakage("escheatable"))),
    "100 expire, of which 40 roll over": bought(
        ELEVEN_DAYS, rules=TypeSettings(rollover=Rollover(max=40, days=30))
    ),
    "refund the purchase of which 40 are used": bought(40, RefundPurchase(order="order")),
    "refund it and claim what was used": bought(40, RefundPurchase(order="order", claim=True)),
    "refund it and let the customer keep the credits": bought(
        40, RefundPurchase(order="order", keep_credits=True)
    ),
    "refund half of it, of which 40 are used": bought(40, RefundPurchase(order="order", amount=500)),
    "refund the other half": bought(
        40, RefundPurchase(order="order", amount=500), RefundPurchase(order="order", amount=500)
    ),
    "refund a purchase of 2000 and tax of 160": bought(RefundPurchase(order="order"), price=2_000, tax=160),
    "refund a purchase of which 10 % were expected to break and 45 are used": bought(
        45, RefundPurchase(order="order"), rules=TENTH
    ),
    "its refund fails when 40 are used": bought(40, RefundPurchase(order="order", refund="re_1"), FAIL),
    "the first of two refunds fails": bought(
        40,
        RefundPurchase(order="order", amount=600, refund="re_1"),
        RefundPurchase(order="order", amount=400, refund="re_2"),
        FAIL,
    ),
    "a refund fails whose lot has expired": bought(
        40, RefundPurchase(order="order", refund="re_1"), ELEVEN_DAYS, FAIL
    ),
    "a refund fails whose lot has expired, with no days to restore": bought(
        40,
        RefundPurchase(order="order", refund="re_1"),
        ELEVEN_DAYS,
        FAIL,
        rules=TypeSettings(restore_days=0),
    ),
    "freeze the purchase of which 40 are used": bought(40, FREEZE),
    "lose its dispute": bought(40, FREEZE, LoseDispute(order="order", dispute="dp")),
    "win a dispute over it": bought(40, FREEZE, WIN),
    "win a dispute over a lot that has expired": bought(40, FREEZE, ELEVEN_DAYS, WIN),
}


def _after_expiry(desk: CreditDesk, rules: TypeSettings) -> Event:
    desk.done(SetCreditSettings(credit_type="enrichment", settings=rules))
    buy(desk)
    used = use(desk, 45)
    desk.wait(ELEVEN_DAYS.total_seconds())
    event = desk.done(refund_it(used))
    wallet = desk.wallet()
    if rules.restore_days:
        (lot,) = wallet.lots
        assert (lot.units, lot.cost) == (45, 450)
        assert lot.expires_at == START + round(desk.now * 1_000_000) + 30 * DAY * 1_000_000
    else:
        assert wallet.lots == ()
    return event


def test_every_entry_has_a_scenario_and_every_scenario_an_entry() -> None:
    """The catalogue is whole."""
    assert list(ENTRIES) == list(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_posting(name: str) -> None:
    """What is posted is what the catalogue says, leg by leg."""
    assert entry(SCENARIOS[name](CreditDesk())) == ENTRIES[name]
