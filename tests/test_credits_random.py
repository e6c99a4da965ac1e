"""Long random runs of a wallet against a naive model: lots, units and money agree after every step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ledger.batch import Recorded, Refusal
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
from ledger.events import encode
from ledger.products import PRODUCTS, encode_state
from ledger.state import Stream
from ledger.text import SECOND, moment
from tests.credit_desk import START, CreditDesk
from tests.credit_oracle import FOREVER, Oracle, Refused, add_postings
from tests.exhaustive import EXHAUSTIVE

W: dict[str, Any] = {"owner": "42", "credit_type": "enrichment"}
DAY = 86_400
LENGTH = 10_000 if EXHAUSTIVE else 1_000
STEPS = (
    "add", "use", "use", "use", "refund", "adjust", "hold", "alter", "capture", "release",
    "buy", "money_back", "refund_failed", "freeze", "thaw",
)  # fmt: skip
RULES: dict[str, tuple[TypeSettings, dict[str, Any]]] = {
    "remote": (TypeSettings(), {"restore_seconds": 30 * DAY}),
    "proportional": (
        TypeSettings(breakage=Breakage("proportional", 1_000), restore_days=5),
        {"expected": 1_000, "restore_seconds": 5 * DAY},
    ),
    "escheatable": (
        TypeSettings(breakage=Breakage("escheatable"), restore_days=0),
        {"broken": "unclaimed"},
    ),
    "no restoring, rollover": (
        TypeSettings(restore_days=0, rollover=Rollover(max=40, min=5, days=3)),
        {"rollover": (5, 40, 3 * DAY)},
    ),
}


def refusal_of(told: Callable[[], None]) -> str | None:
    """The code with which the oracle refuses what it is told, if it does."""
    try:
        told()
    except Refused as refused:
        return str(refused)
    return None


class Run:
    """A desk and an oracle that are told the same, one random step after another."""

    def __init__(self, rules: str, seed: int) -> None:
        self.random = random.Random(seed)
        self.desk = CreditDesk()
        settings, told = RULES[rules]
        self.oracle = Oracle(**told)
        self.sums, self.units, self.read = Counter[str](), Counter[str](), 0
        self.desk.done(SetCreditSettings(credit_type="enrichment", settings=settings))
        self.orders = 0
        self.disputes: dict[str, str] = {}
        self.refunds: list[tuple[str, str]] = []
        self.seen: set[str] = set()

    @property
    def seq(self) -> int:
        return self.desk.state.seq + 1

    @property
    def next_now(self) -> float:
        """The moment of the next command, seconds to the microsecond."""
        return round((self.desk.now + 0.001) * SECOND) / SECOND

    def step(self) -> None:
        r = self.random
        if r.random() < 0.15:
            self.desk.wait(r.choice((0.5, 30, 3_600, DAY / 2, 2 * DAY)))
        # What ends before the command does so first, and what it makes has numbers of its own.
        self.desk.wait(0)
        self.oracle.pass_time(self.next_now)
        body, told = getattr(self, f"_{r.choice(STEPS)}")()
        if body is None:
            return
        outcome = self.desk.run(body)
        refusal = refusal_of(told)
        if refusal is None:
            assert isinstance(outcome, Recorded), (body, outcome)
            self.seen.add(outcome.event.type)
        else:
            assert isinstance(outcome, Refusal), (body, refusal)
            assert outcome.rejection.code == refusal, body
            self.seen.add(refusal)
        self.check()

    def check(self) -> None:
        wallet, oracle = self.desk.wallet(), self.oracle
        assert [
            (lot.number, lot.units, lot.cost, lot.held, lot.frozen)
            for lot in sorted(wallet.lots, key=lambda lot: lot.number)
        ] == oracle.lots()
        add_postings(self.desk.events[self.read :], self.sums, self.units)
        self.read = len(self.desk.events)
        sums = self.sums
        for name in sums | oracle.money:
            assert sums[name] == oracle.money[name], name
        # The two laws that the books of prepaid credits stand on, by the postings alone.
        assert sums["liability"] == sum(lot.cost for lot in wallet.lots)
        for place, units in (
            ("", sum(lot.units - lot.held - lot.frozen for lot in wallet.lots)),
            (":held", sum(lot.held for lot in wallet.lots)),
            (":frozen", sum(lot.frozen for lot in wallet.lots)),
        ):
            assert self.units[f"customers:42:credits:enrichment{place}"] == units, place
        assert (wallet.available, wallet.held, wallet.frozen) == (
            oracle.available,
            sum(g.held.total() for g in oracle.grants),
            sum(g.frozen for g in oracle.grants),
        )
        assert {h.hold: h.units for h in wallet.holds} == {
            h: oracle.held(h) for h in oracle.holds if oracle.held(h)
        }

    # ------------------------------------------------------------ steps

    def _expiry(self) -> float:
        seconds = self.random.choice((60, DAY, DAY, 4 * DAY, FOREVER))
        return FOREVER if seconds == FOREVER else round(self.desk.now + seconds)

    def _moment(self, until: float) -> Any:
        return None if until == FOREVER else moment(START + round(until * SECOND))

    def _add(self) -> Any:
        r, until, at = self.random, self._expiry(), self.next_now
        units, priority = r.randint(1, 120), r.choice((0, 0, 1))
        bought = r.random() < 0.5
        cost = r.randint(1, 2_000) if bought else 0
        kind: Any = "purchase" if bought else r.choice(("promotional", "bonus"))
        body = AddCredits(
            amount=units, transaction_type=kind, cost=cost, asset="USD/2" if cost else None,
            priority=priority, expires_at=self._moment(until), **W,
        )  # fmt: skip
        source = "purchased" if bought else kind
        return body, lambda: self.oracle.grant(
            units, cost, at, to="unapplied", source=source, until=until, priority=priority
        )

    def _use(self) -> Any:
        units, seq = self.random.randint(1, 60), self.seq
        return DeductCredits(amount=units, **W), lambda: self.oracle.use(seq, units)

    def _refund(self) -> Any:
        recent = list(self.oracle.uses)[-12:]
        seq, at = self.random.choice([*recent, 1]), self.next_now
        return RefundCredits(transaction_id=seq), lambda: self.oracle.refund(seq, at)

    def _adjust(self) -> Any:
        r, at = self.random, self.next_now
        units = r.randint(1, 30)
        if r.random() < 0.5:
            cost = r.choice((0, 77))
            body = AdjustCredits(amount=units, cost=cost, asset="USD/2" if cost else None, **W)
            return body, lambda: self.oracle.grant(units, cost, at, to="adjustments", source="adjustment")
        reason: Any = r.choice(("correction", "forfeiture"))
        to = "adjustments" if reason == "correction" else "breakage"
        return AdjustCredits(amount=-units, reason=reason, **W), lambda: self.oracle.take(units, to)

    def _hold(self) -> Any:
        r, seq, at = self.random, self.seq, self.next_now
        units, seconds = r.randint(1, 40), r.choice((None, 10, 7_200, 3 * DAY))
        until = None if seconds is None else at + seconds
        body = HoldCredits(amount=units, timeout_seconds=seconds, **W)
        return body, lambda: self.oracle.hold(seq, units, until)

    def _open(self) -> int | None:
        holds = [hold.hold for hold in self.desk.wallet().holds]
        return self.random.choice(holds) if holds else None

    def _alter(self) -> Any:
        hold, r, at = self._open(), self.random, self.next_now
        if hold is None:
            return None, None
        units, seconds = r.randint(0, 20), r.choice((None, 3_600))
        if not units and seconds is None:
            return None, None
        until = None if seconds is None else at + seconds
        body = ChangeHold(hold=hold, increase=units, timeout_seconds=seconds, **W)
        return body, lambda: self.oracle.hold(hold, units, until)

    def _capture(self) -> Any:
        hold, seq, at = self._open(), self.seq, self.next_now
        if hold is None:
            return None, None
        found = self.desk.wallet().hold(hold)
        assert found is not None
        order = [number for number, _ in found.slices]
        units, final = self.random.randint(1, found.units), self.random.random() < 0.5
        body = CaptureHold(hold=hold, amount=units, final=final, **W)
        return body, lambda: self.oracle.capture(seq, hold, units, final, at, order)

    def _release(self) -> Any:
        hold, at = self._open(), self.next_now
        if hold is None:
            return None, None
        return ReleaseHold(hold=hold, **W), lambda: self.oracle.release(hold, at)

    def _buy(self) -> Any:
        r = self.random
        self.orders += 1
        name, units, price, tax = f"o{self.orders}", r.randint(1, 150), r.randint(1, 3_000), r.choice((0, 80))
        days, bonus = r.choice((1, 3, None)), r.choice((0, 0, 7, 40))
        self.desk.done(
            CreatePackage(package=name, name=name, credit_type="enrichment", credit_amount=units, price=price,
                          bonus_amount=bonus, asset="USD/2", expiry_days=days)
        )  # fmt: skip
        self.desk.done(OrderCredits(owner="42", package=name, order=name))
        self.oracle.pass_time(self.next_now)
        at = self.next_now
        until = FOREVER if days is None else at + days * DAY
        body = FulfilOrder(order=name, amount=price + tax, tax=tax, asset="USD/2")
        return body, lambda: self.oracle.buy(name, units, price, tax, at, until, bonus)

    def _order(self, disputed: bool | None = None) -> str | None:
        names = [n for n, o in self.oracle.orders.items() if disputed is None or o.disputed == disputed]
        return self.random.choice(names[-6:]) if names else None

    def _money_back(self) -> Any:
        name, at = self._order(), self.next_now
        if name is None:
            return None, None
        paid = self.oracle.orders[name]
        whole = paid.price + paid.tax
        amount = self.random.choice((whole - paid.refunded, self.random.randint(1, whole)))
        if not amount:
            return None, None
        if paid.disputed:
            lost = LoseDispute(order=name, amount=amount, dispute=self.disputes[name])
            return lost, lambda: self.oracle.money_back(name, amount, at, lost=True)
        claim, keep = self.random.choice(((False, False), (False, False), (True, False), (False, True)))
        told_before = [refund for of, refund in self.refunds if of == name]
        refund = f"re_{self.seq}"
        if told_before and self.random.random() < 0.1:
            refund = self.random.choice(told_before)
        self.refunds.append((name, refund))
        body = RefundPurchase(order=name, amount=amount, claim=claim, keep_credits=keep, refund=refund)
        return body, lambda: self.oracle.money_back(name, amount, at, claim=claim, keep=keep, refund=refund)

    def _refund_failed(self) -> Any:
        at, r = self.next_now, self.random
        if not self.refunds:
            return None, None
        name, refund = r.choice(self.refunds[-6:])
        if r.random() < 0.2:
            refund = f"{refund}_early"
            self.refunds.append((name, refund))
        body = ReversePurchaseRefund(order=name, refund=refund)
        return body, lambda: self.oracle.reverse(name, refund, at)

    def _freeze(self) -> Any:
        name = self._order(disputed=False)
        if name is None:
            return None, None
        self.disputes[name] = f"dp_{self.seq}"  # one that is decided never begins again
        return FreezePurchase(order=name, dispute=self.disputes[name]), lambda: self.oracle.freeze(name)

    def _thaw(self) -> Any:
        name, at = self._order(disputed=True), self.next_now
        if name is None:
            return None, None
        return UnfreezePurchase(order=name, dispute=self.disputes[name]), lambda: self.oracle.thaw(name, at)


@pytest.mark.parametrize("rules", RULES)
def test_lots_units_and_money_agree_after_every_step(rules: str) -> None:
    """Gross contract liability is the open lots at cost, wallet units are the lots' units, always."""
    run = Run(rules, seed=20261121)
    for _ in range(LENGTH):
        run.step()
    # A run that never met them would prove nothing of them.
    assert run.seen >= {
        "credits_added", "credits_used", "usage_refunded", "credits_adjusted", "credits_held",
        "credit_hold_changed", "credit_hold_captured", "credit_hold_released", "purchase_fulfilled",
        "purchase_refunded", "purchase_refund_reversed", "purchase_frozen", "purchase_unfrozen",
        "dispute_lost", "insufficient_credits", "usage_already_refunded", "usage_not_found",
        "already_recorded", "refund_exceeds_purchase",
    }  # fmt: skip
    said = {name for event in run.desk.events for name in event.data}
    assert said >= {"claim", "kept", "returned", "holds"}  # claims, credits kept, units back, holds timed out
    assert any(event.type == "credits_expired" for event in run.desk.events)
    streams = {name: stream for name, stream in run.desk.state.streams.items() if stream is not None}
    assert streams == {name: refolded(run.desk, name) for name in streams}


def refolded(desk: CreditDesk, name: str) -> Stream | None:
    """A stream as the bodies of its events make it, by way of its stored form."""
    stream = PRODUCTS.folded(name, (encode(event) for event in desk.events if name in event.streams))
    return PRODUCTS.decoded(name, stream.version, stream.state_version, encode_state(stream.state).decode())
