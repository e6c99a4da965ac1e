"""Credits by their rules: the order of use, refunds, holds, alarms, limits, purchases, and every refusal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.batch import Recorded
from ledger.chart import ChartDocument
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
    UpdatePackage,
)
from ledger.credits.deciding import MAX_LOTS
from ledger.credits.lots import Lot, moved, round_half_even
from ledger.credits.purchase_commands import (
    AutoTopUp,
    Breakage,
    DeclineOrder,
    FreezePurchase,
    FulfilOrder,
    LoseDispute,
    OrderCredits,
    RefundPurchase,
    Rollover,
    SetCreditSettings,
    SetWalletSettings,
    TypeSettings,
    UnfreezePurchase,
    UsageLimit,
)
from ledger.entry import MAX_BODY
from ledger.events import encode
from ledger.text import SECOND, iso, moment
from tests.credit_desk import CHART, DAY, START, CreditDesk

W: dict[str, Any] = {"owner": "42", "credit_type": "enrichment"}


@pytest.fixture
def desk() -> CreditDesk:
    return CreditDesk()


def give(desk: CreditDesk, units: int, **terms: Any) -> int:
    """Add credits; the lot's number."""
    terms.setdefault("transaction_type", "promotional")
    if "days" in terms:
        terms["expires_at"] = moment(START) + timedelta(seconds=desk.now, days=terms.pop("days"))
    event = desk.done(AddCredits(amount=units, **terms, **W))
    number: int = event.data["lots"][0]["lot"]
    return number


def use(desk: CreditDesk, units: int) -> int:
    return desk.done(DeductCredits(amount=units, **W)).seq


def rules(desk: CreditDesk, **settings: Any) -> None:
    desk.done(SetCreditSettings(credit_type="enrichment", settings=TypeSettings(**settings)))


def package(desk: CreditDesk, id: str = "p", units: int = 100, price: int = 1_000, **terms: Any) -> None:
    desk.done(
        CreatePackage(
            package=id,
            name=id,
            credit_type="enrichment",
            credit_amount=units,
            price=price,
            asset="USD/2",
            **terms,
        )
    )


def buy(desk: CreditDesk, order: str = "o", package: str = "p", price: int = 1_000) -> None:
    desk.done(OrderCredits(owner="42", package=package, order=order))
    desk.done(FulfilOrder(order=order, amount=price, asset="USD/2"))


# ---------------------------------------------------------------- lots


@given(st.integers(1, 10**9), st.integers(0, 10**12), st.data())
def test_what_is_taken_in_parts_costs_what_it_cost_in_all(units: int, cost: int, data: st.DataObject) -> None:
    """However a lot is used up, its slices' costs add up to its cost, each the nearest to its share."""
    lot = Lot(
        number=1, units=units, cost=cost, total=cost, source="purchased", policy="remote", effective_at=0
    )
    spent = 0
    while lot.units:
        part = data.draw(st.integers(max(1, lot.units // 3), lot.units))
        share = lot.cost * part
        lot_before = lot
        lot, taken = moved(lot, "available", "consumed", part)
        assert abs(taken.cost * lot_before.units - share) * 2 <= lot_before.units
        spent += taken.cost
    assert (spent, lot.cost) == (cost, 0)


def test_halves_go_to_the_even() -> None:
    """0.5 is 0, 1.5 is 2, 2.5 is 2."""
    assert [round_half_even(n, 2) for n in (1, 3, 5, 6)] == [0, 2, 2, 3]


def test_lots_are_used_in_their_order(desk: CreditDesk) -> None:
    """Priority, then the earliest expiry, then what was given before what was bought, then age."""
    late = give(desk, 1, priority=1, days=1)
    bought = give(desk, 1, transaction_type="purchase", cost=5, asset="USD/2", days=3)
    given_ = give(desk, 1, days=3)
    for_ever = give(desk, 1)
    soon = give(desk, 1, days=2)
    older = give(desk, 1)
    order = [desk.done(DeductCredits(amount=1, **W)).data["slices"][0]["lot"] for _ in range(6)]
    # The two of three days: their moments differ by a millisecond, the bought one expires first.
    assert order == [soon, bought, given_, for_ever, older, late]


def test_of_lots_that_expire_together_the_given_one_is_used_first(desk: CreditDesk) -> None:
    """Promotional before purchased."""
    at = moment(START) + timedelta(days=3)
    bought = desk.done(AddCredits(amount=1, cost=5, asset="USD/2", expires_at=at, **W)).data["lots"][0]["lot"]
    free = desk.done(AddCredits(amount=1, transaction_type="bonus", expires_at=at, **W)).data["lots"][0][
        "lot"
    ]
    order = [desk.done(DeductCredits(amount=1, **W)).data["slices"][0]["lot"] for _ in range(2)]
    assert order == [free, bought]


def test_a_use_says_what_it_was_for(desk: CreditDesk) -> None:
    """Description, reference, its type and metadata stand in the event, with the balance after it."""
    give(desk, 50)
    event = desk.done(
        DeductCredits(
            amount=10, description="Enriched 10 leads", reference="123", reference_type="lead_list",
            metadata={"leads": "10"}, **W,
        )
    )  # fmt: skip
    assert (event.description, event.reference, event.metadata) == (
        "Enriched 10 leads",
        "123",
        {"leads": "10"},
    )
    assert (event.data["amount"], event.data["balance"]) == ("-10", "40")
    assert event.data["reference_type"] == "lead_list"


def test_a_refund_restores_exactly_the_slices_of_the_use(desk: CreditDesk) -> None:
    """The lots are what they were, one that was emptied included, and a second refund is refused."""
    give(desk, 7, transaction_type="purchase", cost=10, asset="USD/2", days=5)
    give(desk, 20, transaction_type="purchase", cost=33, asset="USD/2")
    use(desk, 3)
    before = desk.wallet()
    seq = use(desk, 11)
    assert len(desk.wallet().lots) == 1
    desk.done(RefundCredits(transaction_id=seq))
    assert desk.wallet() == before
    assert desk.refused(RefundCredits(transaction_id=seq)) == (
        "usage_already_refunded",
        {"transaction": seq, "refunded_by": desk.events[-1].seq},
    )


def test_only_a_use_is_refunded_and_not_before_it_was(desk: CreditDesk) -> None:
    """A grant is not, nor what is not there; a refund counts no earlier than its use."""
    give(desk, 5)
    for seq in (2, 99):
        assert desk.refused(RefundCredits(transaction_id=seq)) == ("usage_not_found", {"transaction": seq})
    desk.now += 60
    seq = use(desk, 5)
    early = moment(START)
    assert (
        desk.refused(RefundCredits(transaction_id=seq, effective_at=early))[0] == "effective_before_original"
    )


def test_what_cannot_be_taken_is_refused_with_the_figures(desk: CreditDesk) -> None:
    """Required and available, as the caller shows them; an amount is positive."""
    give(desk, 50)
    use(desk, 10)
    desk.done(HoldCredits(amount=5, **W))
    shown = {"required": "100", "available": "35", "shortfall": "65", "held": "5"}
    for body in (DeductCredits(amount=100, **W), HoldCredits(amount=100, **W)):
        assert desk.refused(body) == ("insufficient_credits", shown)
    assert desk.refused(AdjustCredits(amount=-36, reason="correction", **W))[0] == "insufficient_credits"
    for kind, amount in ((AddCredits, -10), (DeductCredits, 0), (HoldCredits, -1)):
        assert desk.refused(kind(amount=amount, **W)) == ("amount_not_positive", {"amount": str(amount)})
    past = moment(START) - timedelta(days=1)
    assert desk.refused(AddCredits(amount=1, expires_at=past, **W))[0] == "expires_in_past"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"amount": 1, "cost": 5}, "`cost` needs its `asset`"),
        ({"amount": 1, "cost": 5, "asset": "USD/2", "transactionType": "bonus"}, "`cost` is for what was"),
        ({"amount": 1, "transactionType": "gift"}, "Invalid enum value 'gift' - at `$.transactionType`"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(body: dict[str, Any], sentence: str) -> None:
    """A request that cannot mean anything names the field."""
    with pytest.raises(msgspec.ValidationError, match=sentence.replace("$", r"\$")):
        msgspec.json.decode(
            msgspec.json.encode({"userId": "42", "creditType": "enrichment", **body}), type=AddCredits
        )


# ---------------------------------------------------------------- holds


def test_a_hold_lives_from_place_to_final_capture(desk: CreditDesk) -> None:
    """Placed, extended, increased, captured in parts; the last part releases what is left, and it is gone."""
    give(desk, 100, transaction_type="purchase", cost=1_000, asset="USD/2")
    hold = desk.done(HoldCredits(amount=40, timeout_seconds=60, **W)).seq
    desk.done(ChangeHold(hold=hold, timeout_seconds=3_600, **W))
    assert desk.wait(120) == []
    desk.done(ChangeHold(hold=hold, increase=10, **W))
    wallet = desk.wallet()
    assert (wallet.available, wallet.held) == (50, 50)
    part = desk.done(CaptureHold(hold=hold, amount=20, **W)).seq
    code, evidence = desk.refused(CaptureHold(hold=hold, amount=31, **W))
    assert (code, evidence) == ("exceeds_credit_hold", {"hold": hold, "remaining": "30", "amount": "31"})
    desk.done(CaptureHold(hold=hold, amount=5, final=True, **W))
    wallet = desk.wallet()
    assert (wallet.available, wallet.held, wallet.used, wallet.holds) == (75, 0, 25, ())
    for body in (
        CaptureHold(hold=hold, **W),
        ReleaseHold(hold=hold, **W),
        ChangeHold(hold=hold, increase=1, **W),
    ):
        assert desk.refused(body) == ("credit_hold_not_open", {"hold": hold})
    desk.done(RefundCredits(transaction_id=part))
    assert desk.wallet().available == 95


def test_a_hold_ends_by_itself_at_its_moment(desk: CreditDesk) -> None:
    """Its units are available again, from the moment of its end on."""
    give(desk, 10)
    desk.done(HoldCredits(amount=10, timeout_seconds=60, **W))
    ends = START + round((desk.now + 60) * SECOND)
    (event,) = desk.wait(3_600)
    assert (event.type, event.effective_at) == ("credits_expired", iso(ends))
    assert (event.data["amount"], desk.wallet().available) == ("10", 10)


def test_what_is_held_outlasts_its_lot(desk: CreditDesk) -> None:
    """Held units of an expired lot can be captured; what is released instead expires."""
    give(desk, 30, transaction_type="purchase", cost=300, asset="USD/2", days=1)
    hold = desk.done(HoldCredits(amount=20, **W)).seq
    (expired,) = desk.wait(2 * DAY)
    assert expired.data["slices"][0]["units"] == "10"
    event = desk.done(CaptureHold(hold=hold, amount=15, final=True, **W))
    assert [(s["to"], s["units"], s["cost"]) for s in event.data["slices"]] == [
        ("consumed", "15", "150"),
        ("expired", "5", "50"),
    ]
    assert desk.wallet().lots == ()


def test_holds_of_one_moment_end_one_after_another(desk: CreditDesk) -> None:
    """So that what happens at one moment always fits an event."""
    give(desk, 50)
    desk.batch([HoldCredits(amount=1, timeout_seconds=60, **W) for _ in range(50)])
    ended = desk.wait(61)
    assert [event.data["holds"] for event in ended] == [[hold] for hold in range(3, 53)]
    assert desk.wallet().available == 50


# ---------------------------------------------------------------- what happens by itself


def test_expired_credits_cannot_be_used(desk: CreditDesk) -> None:
    """Expiry is exact: whoever asks after the moment finds the lot gone, at that moment."""
    give(desk, 10, days=1)
    ends = START + DAY * SECOND + 1_000
    desk.now += DAY + 0.0005
    outcome = desk.run(DeductCredits(amount=1, **W))
    assert not isinstance(outcome, Recorded)
    assert desk.events[-1].type == "credits_expired"
    assert abs(ends - START - DAY * SECOND) < SECOND


def test_a_lot_rolls_over_once_within_its_bounds(desk: CreditDesk) -> None:
    """min(max, max(remaining, min)): what rolls keeps its cost, what is added costs nothing; then it ends."""
    rules(desk, rollover=Rollover(min=10, max=40, days=5))
    for left, rolled, cost in ((100, 40, 400), (25, 25, 250), (4, 10, 40)):
        give(desk, 100, transaction_type="purchase", cost=1_000, asset="USD/2", days=1)
        if left < 100:
            use(desk, 100 - left)
        desk.wait(2 * DAY)
        wallet = desk.wallet()
        assert (wallet.available, sum(lot.cost for lot in wallet.lots)) == (rolled, cost)
        assert {lot.source for lot in wallet.lots} == {"rollover"}
        desk.wait(6 * DAY)
        assert desk.wallet().lots == ()


def test_all_lots_of_a_wallet_can_expire_in_one_event(desk: CreditDesk) -> None:
    """The largest event that nobody can refuse fits: every lot rolls over while a hold of all ends."""
    units, price = 2 * 10**15, 10**15
    package(desk, "p" * 64, units=units, price=price, priority=1_000, expiry_days=1)
    rollover = Rollover(min=0, max=units // 2 - 1, days=5)
    rules(desk, rollover=rollover, breakage=Breakage("proportional", 9_000))
    orders = [f"{number:064}" for number in range(MAX_LOTS)]
    desk.batch([OrderCredits(owner="42", package="p" * 64, order=order) for order in orders])
    # In one batch, so at one moment: each lot half held and half used, and what was used comes back.
    hold, bodies, uses = 0, [], []
    for order in orders:
        bodies += [
            FulfilOrder(order=order, amount=price, asset="USD/2"),
            DeductCredits(amount=units // 2, **W),
        ]
        uses.append(desk.state.seq + len(bodies))
        if hold:
            bodies.append(ChangeHold(hold=hold, increase=units // 2, **W))
        else:
            bodies.append(HoldCredits(amount=units // 2, timeout_seconds=DAY, **W))
            hold = desk.state.seq + len(bodies)
    outcomes = desk.batch([*bodies, *(RefundCredits(transaction_id=seq) for seq in uses)])
    assert all(isinstance(outcome, Recorded) for outcome in outcomes)
    assert desk.refused(AddCredits(amount=1, **W)) == ("too_many_lots", {"lots": MAX_LOTS, "limit": MAX_LOTS})
    (event,) = desk.wait(2 * DAY)
    assert len(event.data["slices"]) == 3 * MAX_LOTS
    assert len(event.data["lots"]) == MAX_LOTS
    assert len(encode(event)) <= MAX_BODY


def test_low_balance_is_said_once_until_it_is_no_longer_low(desk: CreditDesk) -> None:
    """An event of its own, when the balance comes to the threshold or below it from above."""
    rules(desk, low_balance=20)
    give(desk, 30)
    use(desk, 5)
    assert desk.wait(1) == []
    use(desk, 5)
    (low,) = desk.wait(1)
    assert (low.type, low.data["balance"], low.data["threshold"]) == ("credits_low", "20", "20")
    use(desk, 5)
    assert desk.wait(1) == []
    give(desk, 100)
    use(desk, 100)
    assert [event.type for event in desk.wait(1)] == ["credits_low"]
    give(desk, 100)
    desk.batch([DeductCredits(amount=100, **W), AddCredits(amount=100, **W)])
    assert desk.wait(1) == [], "it was low only for a moment that nobody saw"


def test_a_top_up_is_ordered_when_balance_and_pending_orders_are_low(desk: CreditDesk) -> None:
    """Once while its order is open; an hour after it was declined again; alarm at three in ten minutes."""
    package(desk)
    top_up = AutoTopUp(threshold=20, package="p")
    desk.done(SetWalletSettings(owner="42", credit_type="enrichment", auto_top_up=top_up))
    (first,) = desk.wait(1)
    assert (first.type, first.data["alarm"]) == ("top_up_ordered", False)
    order = first.data["order"]
    assert desk.order(order).top_up
    assert desk.wait(7_200) == []
    desk.done(DeclineOrder(order=order, reason="card_declined"))
    assert desk.wait(3_599) == []
    (second,) = desk.wait(2)
    desk.done(FulfilOrder(order=second.data["order"], amount=1_000, asset="USD/2"))
    assert desk.wallet().available == 100
    alarms = []
    for _ in range(3):
        use(desk, 100)
        (event,) = desk.wait(1)
        alarms.append(event.data["alarm"])
        desk.done(FulfilOrder(order=event.data["order"], amount=1_000, asset="USD/2"))
    assert alarms == [False, True, True]
    # What was declined can still be paid late, and is granted.
    desk.done(FulfilOrder(order=order, amount=1_000, asset="USD/2"))
    assert desk.wallet().pending == 0


def test_a_top_up_of_what_is_not_offered_stops(desk: CreditDesk) -> None:
    """It says so, once."""
    package(desk)
    desk.done(UpdatePackage(package="p", is_active=False))
    off = AutoTopUp(threshold=20, package="p")
    body = SetWalletSettings(owner="42", credit_type="enrichment", auto_top_up=off)
    assert desk.refused(body) == ("package_not_active", {"package": "p"})
    desk.done(UpdatePackage(package="p", is_active=True))
    give(desk, 50)
    desk.done(body)
    desk.done(UpdatePackage(package="p", is_active=False))
    use(desk, 50)
    assert [event.type for event in desk.wait(1)] == ["top_up_stopped"]
    assert desk.wait(DAY) == []


def test_usage_is_limited_within_a_window(desk: CreditDesk) -> None:
    """What is used or held counts in the ledger's day; what is released counts no longer."""
    rules(desk, usage_limit=UsageLimit(units=50, window="day"))
    give(desk, 500)
    use(desk, 20)
    hold = desk.done(HoldCredits(amount=20, **W)).seq
    code, evidence = desk.refused(DeductCredits(amount=11, **W))
    assert (code, evidence) == (
        "usage_limit_exceeded",
        {"limit": "50", "window": "day", "used": "40", "asked": "11"},
    )
    assert desk.refused(ChangeHold(hold=hold, increase=11, **W))[0] == "usage_limit_exceeded"
    desk.done(CaptureHold(hold=hold, amount=5, final=True, **W))
    use(desk, 25)
    assert desk.refused(DeductCredits(amount=1, **W))[0] == "usage_limit_exceeded"
    desk.wait(DAY)
    use(desk, 50)


def test_what_a_hold_reserved_yesterday_is_not_given_back_today(desk: CreditDesk) -> None:
    """Of a hold made larger, only what was counted today stops counting today when it is released."""
    rules(desk, usage_limit=UsageLimit(units=100, window="day"))
    give(desk, 500)
    hold = desk.done(HoldCredits(amount=50, **W)).seq
    desk.wait(DAY)
    use(desk, 40)
    desk.done(ChangeHold(hold=hold, increase=10, **W))
    desk.done(ChangeHold(hold=hold, increase=5, **W))
    desk.done(ReleaseHold(hold=hold, **W))
    assert desk.refused(DeductCredits(amount=61, **W))[1]["used"] == "40"
    use(desk, 60)


# ---------------------------------------------------------------- packages and purchases


def test_a_package_changes_and_its_orders_do_not(desk: CreditDesk) -> None:
    """An order keeps the price and units that it was placed at."""
    package(desk)
    desk.done(OrderCredits(owner="42", package="p", order="o"))
    desk.done(UpdatePackage(package="p", price=2_000, credit_amount=10, description="Better"))
    assert (desk.order("o").price, desk.order("o").units) == (1_000, 100)
    again = CreatePackage(
        package="p", name="P", credit_type="enrichment", credit_amount=1, price=1, asset="USD/2"
    )
    assert desk.refused(again) == ("package_exists", {"package": "p"})
    assert desk.refused(UpdatePackage(package="q")) == ("package_not_found", {"package": "q"})
    assert desk.refused(OrderCredits(owner="42", package="999")) == ("package_not_found", {"package": "999"})
    body = CreatePackage(name="P", credit_type="unknown", credit_amount=1, price=1, asset="USD/2")
    assert desk.refused(body)[0] == "asset_not_in_chart"
    assert desk.refused(UpdatePackage(package="p", asset="EUR/2"))[0] == "asset_not_in_chart"
    unnamed = desk.done(
        CreatePackage(name="Q", credit_type="calling", credit_amount=1, price=1, asset="USD/2")
    )
    assert f"package:{unnamed.seq}" in unnamed.streams


def test_an_order_is_fulfilled_once_and_only_for_its_price(desk: CreditDesk) -> None:
    """What was paid is checked against the stored order; tax and discount account for the difference."""
    package(desk)
    assert desk.refused(FulfilOrder(order="o", amount=1, asset="USD/2")) == (
        "order_not_found",
        {"order": "o"},
    )
    desk.done(OrderCredits(owner="42", package="p", order="o"))
    assert desk.refused(OrderCredits(owner="42", package="p", order="o")) == ("order_exists", {"order": "o"})
    wrong: Any
    for wrong in ({"amount": 999}, {"amount": 1_000, "tax": 80}, {"amount": 1_000, "asset": "JPY/0"}):
        assert desk.refused(FulfilOrder(**{"order": "o", "asset": "USD/2", **wrong}))[0] == "payment_differs"
    assert desk.refused(RefundPurchase(order="o")) == (
        "order_not_fulfilled",
        {"order": "o", "status": "pending"},
    )
    event = desk.done(FulfilOrder(order="o", amount=980, tax=80, discount=100, asset="USD/2", session="cs_1"))
    (lot,) = desk.wallet().lots
    assert (lot.units, lot.cost, desk.order("o").session) == (100, 900, "cs_1")
    assert desk.refused(FulfilOrder(order="o", amount=980, tax=80, discount=100, asset="USD/2")) == (
        "order_fulfilled",
        {"order": "o", "fulfilled_by": event.seq},
    )
    code, evidence = desk.refused(DeclineOrder(order="o", reason="expired"))
    assert (code, evidence) == ("order_not_pending", {"order": "o", "status": "fulfilled"})


def test_money_goes_back_at_most_once(desk: CreditDesk) -> None:
    """Refunds of a purchase never exceed what was paid; what was refunded is not given back as credits."""
    package(desk)
    buy(desk)
    seq = use(desk, 40)
    desk.done(RefundPurchase(order="o", amount=700))
    assert desk.refused(RefundPurchase(order="o", amount=301)) == (
        "refund_exceeds_purchase",
        {"order": "o", "paid": "1000", "left": "300", "asked": "301"},
    )
    assert desk.refused(RefundCredits(transaction_id=seq)) == (
        "purchase_refunded",
        {"order": "o", "refunded": "700"},
    )
    desk.done(RefundPurchase(order="o"))
    assert desk.refused(RefundPurchase(order="o"))[0] == "refund_exceeds_purchase"


def test_a_refund_takes_what_is_held_too(desk: CreditDesk) -> None:
    """It is never blocked; the hold has less left."""
    package(desk)
    buy(desk)
    hold = desk.done(HoldCredits(amount=70, **W)).seq
    desk.done(RefundPurchase(order="o", amount=500))
    wallet = desk.wallet()
    assert (wallet.available, wallet.held) == (0, 50)
    desk.done(RefundPurchase(order="o"))
    assert desk.wallet().holds == ()
    assert desk.refused(CaptureHold(hold=hold, **W))[0] == "credit_hold_not_open"


def test_a_disputed_purchase_is_frozen(desk: CreditDesk) -> None:
    """Nothing of it is used or expires; what comes back to it is frozen, too; the dispute's end frees it."""
    package(desk, expiry_days=5)
    buy(desk)
    used = use(desk, 40)
    hold = desk.done(HoldCredits(amount=10, **W)).seq
    desk.done(FreezePurchase(order="o", dispute="dp_1"))
    assert desk.refused(FreezePurchase(order="o", dispute="dp_2"))[0] == "purchase_frozen"
    assert desk.refused(UnfreezePurchase(order="o", dispute="dp_2"))[0] == "purchase_not_frozen"
    assert desk.refused(DeductCredits(amount=1, **W))[0] == "insufficient_credits"
    desk.done(RefundCredits(transaction_id=used))
    desk.done(ReleaseHold(hold=hold, **W))
    wallet = desk.wallet()
    assert (wallet.available, wallet.held, wallet.frozen) == (0, 0, 100)
    assert desk.wait(2 * DAY) == []
    desk.done(UnfreezePurchase(order="o", dispute="dp_1"))
    assert desk.wallet().available == 100
    desk.done(FreezePurchase(order="o", dispute="dp_3"))
    desk.done(LoseDispute(order="o", dispute="dp_3"))
    assert desk.wallet().lots == ()


def test_a_part_of_a_dispute_frees_the_rest(desk: CreditDesk) -> None:
    """Lost in part: the units of the lost money are retired, the others can be used again."""
    package(desk)
    buy(desk)
    desk.done(FreezePurchase(order="o", dispute="dp"))
    desk.done(LoseDispute(order="o", dispute="dp", amount=300))
    wallet = desk.wallet()
    assert (wallet.available, wallet.frozen) == (70, 0)


def test_a_chart_keeps_its_products(desk: CreditDesk) -> None:
    """Lots will expire, and their accounts must be there then."""
    assert desk.refused(ChartDocument(CHART.assets, ())) == ("product_stays", {"product": "credits"})
    desk.done(ChartDocument(("EUR/2",), (), ("credits",)))
