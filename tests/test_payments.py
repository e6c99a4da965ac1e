"""Payments as the core decides them: their entries, and that the order of what is told does not matter."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import permutations
from math import factorial
from typing import Any

import pytest

from ledger.batch import Recorded, Refusal
from ledger.chart import AccountPattern, ChartDocument
from ledger.credits.commands import AddCredits, CreatePackage, DeductCredits
from ledger.credits.purchase_commands import (
    FreezePurchase,
    FulfilOrder,
    LoseDispute,
    OrderCredits,
    RefundPurchase,
    ReversePurchaseRefund,
    UnfreezePurchase,
)
from ledger.events import Event
from ledger.payments.accounts import DISPUTES, IN_TRANSIT, UNAPPLIED, UNCLASSIFIED, UNSETTLED
from ledger.payments.commands import (
    ApplyOpenItem,
    BalanceFigures,
    ClassifyBalanceTransaction,
    MatchPayout,
    RecordBalanceTransaction,
    RecordCharge,
    RecordDispute,
    RecordPayout,
    RecordRefund,
    RecordRefundedTotal,
)
from ledger.payments.invoices import RecordInvoicePayment
from ledger.payments.items import Item, Payment
from tests.credit_desk import CreditDesk
from tests.exhaustive import EXHAUSTIVE
from tests.postings import catalogue, entry

USD = "USD/2"
CHART = ChartDocument(
    assets=(USD, "MYR/2", "CREDIT.enrichment/0"),
    accounts=(AccountPattern("costs", "expense"),),
    products=("credits", "payments"),
)
ENTRIES = catalogue("Payments")


def charge(amount: int = 2_160) -> RecordCharge:
    return RecordCharge(charge="ch_1", payment="pi_1", amount=amount, asset=USD)


def refund(stage: Any = "made", amount: int = 2_160, refund: str = "re_1") -> RecordRefund:
    return RecordRefund(refund=refund, payment="pi_1", amount=amount, asset=USD, stage=stage)


def payout(stage: Any = "made", amount: int = 1_100) -> RecordPayout:
    return RecordPayout(payout="po_1", amount=amount, asset=USD, stage=stage)


def settled(
    kind: Any, amount: int, fee: int = 0, txn: str = "", payment: str = "pi_1", **more: Any
) -> RecordBalanceTransaction:
    """A balance transaction of the one charge, refund, dispute or payout."""
    source = {"charge": "ch_1", "dispute": "dp_1", "payout": "po_1"}.get(
        kind.removesuffix("_failure"), "re_1"
    )
    asset = more.pop("asset", USD)
    figures = BalanceFigures(txn=txn or f"txn_{kind}", amount=amount, fee=fee, asset=asset, **more)
    if kind in ("payout", "payout_failure", "other"):
        payment = ""
    return RecordBalanceTransaction(kind=kind, type=kind, settlement=figures, source=source, payment=payment)


def foreign(
    kind: Any, source_amount: int, amount: int, fee: int = 0, **more: Any
) -> RecordBalanceTransaction:
    """One of USD that was settled in MYR."""
    return settled(
        kind, amount, fee, source_amount=source_amount, source_asset=USD, **{"asset": "MYR/2"} | more
    )


def dispute(status: str, *settlements: BalanceFigures) -> RecordDispute:
    return RecordDispute(dispute="dp_1", payment="pi_1", status=status, settlements=settlements)


WITHDRAWN = BalanceFigures(txn="txn_w", amount=-1_000, fee=1_500, asset=USD)
REINSTATED = BalanceFigures(txn="txn_r", amount=1_000, fee=-1_500, asset=USD)

SCENARIOS: dict[str, list[Any]] = {
    "charge": [charge()],
    "its balance transaction": [charge(), settled("charge", 2_160, 93)],
    "a balance transaction whose fee is below zero": [charge(1_000), settled("charge", 1_000, -10)],
    "refund": [refund()],
    "the refund's balance transaction, after it": [refund(), settled("refund", -2_160)],
    "the refund's balance transaction, with a fee": [refund(), settled("refund", -2_160, 30)],
    "refund known by its balance transaction alone": [settled("refund", -2_160)],
    "the refund failed": [refund(), refund("failed")],
    "dispute": [dispute("needs_response", WITHDRAWN)],
    "the dispute is won": [dispute("needs_response", WITHDRAWN), dispute("won", WITHDRAWN, REINSTATED)],
    "an inquiry": [dispute("warning_needs_response")],
    "payout": [payout()],
    "the payout is matched with the bank": [payout(), MatchPayout(payout="po_1", amount=1_100, asset=USD)],
    "the payout failed after it was paid": [payout(), payout("failed")],
    "a balance transaction of another type": [settled("other", -500)],
    "somebody says what it was": [
        settled("other", -500), ClassifyBalanceTransaction(txn="txn_other", account="costs")
    ],
    "money that bought nothing is put where it belongs": [
        charge(), ApplyOpenItem(item="payment:pi_1", account="costs")
    ],
    "a dispute that nothing answers for is written off": [
        dispute("lost", WITHDRAWN), ApplyOpenItem(item="dispute:dp_1", account="costs")
    ],
    "a charge of USD 2000 settled as MYR 8460": [charge(2_000), foreign("charge", 2_000, 8_460, 360)],
    "all of it refunded at another rate, at a loss": [
        charge(2_000), foreign("charge", 2_000, 8_460, 360), refund(amount=2_000),
        foreign("refund", -2_000, -8_500),
    ],
    "all of it refunded at another rate, at a gain": [
        charge(2_000), foreign("charge", 2_000, 8_460, 360), refund(amount=2_000),
        foreign("refund", -2_000, -8_400),
    ],
}  # fmt: skip


def test_every_entry_has_a_scenario_and_every_scenario_an_entry() -> None:
    """The catalogue is whole."""
    assert list(ENTRIES) == list(SCENARIOS)


@pytest.mark.parametrize("name", SCENARIOS)
def test_posting(name: str) -> None:
    """What is posted by the last fact is what the catalogue says, leg by leg."""
    desk = CreditDesk(CHART)
    events: list[Event] = [desk.done(body) for body in SCENARIOS[name]]
    assert entry(events[-1]) == ENTRIES[name]


# ---------------------------------------------------------------- order


def bought(desk: CreditDesk) -> None:
    """A package of 100 units for 2,000 that is ordered."""
    desk.done(
        CreatePackage(
            package="p", name="P", credit_type="enrichment", credit_amount=100, price=2_000, asset=USD
        )
    )
    desk.done(OrderCredits(owner="42", package="p", order="o"))


FULFIL = FulfilOrder(order="o", amount=2_160, tax=160, asset=USD, payment="pi_1", session="cs_1")
USE = DeductCredits(owner="42", credit_type="enrichment", amount=50)

# What is told of a story, in one right order; a tuple stays in its order. What must be open at the end.
STORIES: dict[str, tuple[list[Any], dict[str, dict[str, int]]]] = {
    "a purchase": ([charge(), settled("charge", 2_160, 93), FULFIL], {}),
    "a purchase and what nobody bought with it": (
        [charge(), settled("charge", 2_160, 93)], {"payment:pi_1": {USD: -2_160}}
    ),
    "a half-used purchase refunded": (
        [
            charge(), settled("charge", 2_160, 93), (FULFIL, USE, RefundPurchase(order="o")), refund(),
            settled("refund", -2_160),
        ],
        {},
    ),
    "refunds in two parts": (
        [
            charge(),
            (FULFIL, RefundPurchase(order="o", amount=1_080), RefundPurchase(order="o", amount=1_080)),
            refund(amount=1_080), refund(amount=1_080, refund="re_2"), settled("charge", 2_160, 93),
        ],
        {},
    ),
    "a refund that failed": (
        [
            charge(), FULFIL, refund(), refund("failed"), settled("refund", -2_160),
            settled("refund_failure", 2_160),
        ],
        {},
    ),
    "a dispute won": (
        [
            charge(), FULFIL, dispute("needs_response", WITHDRAWN),
            settled("dispute", -1_000, 1_500, txn="txn_w"), dispute("won", WITHDRAWN, REINSTATED),
        ],
        {},
    ),
    "a dispute lost": (
        [
            charge(), (FULFIL, USE, LoseDispute(order="o", dispute="dp_1", amount=1_000)),
            dispute("needs_response", WITHDRAWN), settled("dispute", -1_000, 1_500, txn="txn_w"),
            dispute("lost", WITHDRAWN),
        ],
        {},
    ),
    "a payout that was paid and failed": (
        [
            payout(), payout("failed"), settled("payout", -1_100, 15), settled("payout_failure", 1_100),
            MatchPayout(payout="po_1", amount=1_100, asset=USD),
        ],
        # The bank has not given it back.
        {"payout:po_1": {USD: -1_100}},
    ),
    "another currency": (
        [
            charge(), foreign("charge", 2_160, 9_000, 360), FULFIL, refund(amount=2_160),
            foreign("refund", -2_160, -9_100), foreign("refund_failure", 2_160, 9_050),
        ],
        {},
    ),
}  # fmt: skip

KINDS = {
    "charge": UNSETTLED,
    "payment": UNAPPLIED,
    "payout": IN_TRANSIT,
    "dispute": DISPUTES,
    "txn": UNCLASSIFIED,
}
ORDERS = factorial(6) if EXHAUSTIVE else 60


def orders(count: int, chance: random.Random) -> Iterator[tuple[int, ...]]:
    """Every order of so many things, or many of them, one of which is the backward one."""
    if factorial(count) <= ORDERS:
        yield from permutations(range(count))
        return
    yield tuple(reversed(range(count)))
    for _ in range(ORDERS):
        yield tuple(chance.sample(range(count), count))


def told(facts: list[Any], order: tuple[int, ...], chance: random.Random | None) -> CreditDesk:
    """Tell a story in an order; with luck, facts are told again, at once or later."""
    desk = CreditDesk(CHART)
    bought(desk)
    before: list[Any] = []
    for index in order:
        fact = facts[index]
        for body in fact if isinstance(fact, tuple) else (fact,):
            tell(desk, body)
            if type(body).__name__.startswith("Record"):
                before.append(body)
            if chance is not None and before and chance.random() < 0.5:
                balances = desk.balances()
                tell(desk, chance.choice(before))
                assert desk.balances() == balances
    return desk


def tell(desk: CreditDesk, body: Any) -> None:
    """Tell what may be known: a dispute's balance transactions come with it and by themselves."""
    outcome = desk.run(body)
    if isinstance(outcome, Refusal):
        assert outcome.rejection.code == "already_recorded", outcome
    else:
        assert isinstance(outcome, Recorded)


def open_items(desk: CreditDesk) -> dict[str, dict[str, int]]:
    """What is open, by stream."""
    return {
        name: stream.state.balance
        for name, stream in desk.state.streams.items()
        if stream is not None and isinstance(stream.state, Item) and stream.state.balance
    }


@pytest.mark.parametrize("name", STORIES)
def test_the_order_in_which_facts_are_told_does_not_matter(name: str) -> None:
    """In every order, with facts told twice: the same balances, and what is open is what must be."""
    facts, left = STORIES[name]
    chance = random.Random(name)
    right = told(facts, tuple(range(len(facts))), None).balances()
    for order in orders(len(facts), chance):
        desk = told(facts, order, chance)
        assert desk.balances() == right, order
        items = {item: what for item, what in open_items(desk).items() if not item.startswith("charge:")}
        assert items == left, order
        _check_items_add_up(desk)


def _check_items_add_up(desk: CreditDesk) -> None:
    """The items of a kind explain their account, whole."""
    balances = desk.balances()
    for kind, account in KINDS.items():
        sums: Counter[str] = Counter()
        for item, what in open_items(desk).items():
            if item.startswith(f"{kind}:"):
                sums.update(what)
        assert {asset: n for asset, n in sums.items() if n} == {
            asset: n for (address, asset), n in balances.items() if address == account
        }, account


def test_gains_and_losses_are_what_is_left_of_a_position_that_is_zero() -> None:
    """9,000 came in, 9,100 went out, and 9,050 came back: nothing is realised until it goes again."""
    facts, _ = STORIES["another currency"]
    desk = told(facts, tuple(range(len(facts))), None)
    stream = desk.state.streams["payment:pi_1"]
    assert stream is not None
    payment: Payment = stream.state
    assert payment.fx == {USD: 2_160, "MYR/2": -8_950}
    assert payment.realised == {}
    assert desk.balances()["fx:position", "MYR/2"] == -8_950


def test_a_payment_knows_what_was_bought_with_it() -> None:
    """The order's event joins the payment's stream."""
    desk = told([charge(), FULFIL], (1, 0), None)
    stream = desk.state.streams["payment:pi_1"]
    assert stream is not None
    assert (stream.state.order, stream.version) == ("o", 2)


@pytest.mark.parametrize(
    ("again", "what"),
    [
        (charge, "charge:ch_1"),
        (refund, "refund:re_1 made"),
        (payout, "payout:po_1 made"),
        (lambda: settled("other", -500), "txn:txn_other"),
    ],
)
def test_a_fact_is_posted_once(again: Callable[[], Any], what: str) -> None:
    """Told again with another figure, it is refused by its own name."""
    desk = CreditDesk(CHART)
    desk.done(again())
    assert desk.refused(again()) == ("already_recorded", {"what": what})


@pytest.mark.parametrize("told", [refund, payout])
def test_what_is_known_by_its_failure_alone_has_moved_nothing(told: Callable[[Any], Any]) -> None:
    """It was made and came back; that it was made is told late, and posts nothing more."""
    desk = CreditDesk(CHART)
    assert desk.done(told("failed")).postings == []
    assert desk.done(told("made")).postings == []


def test_a_balance_transaction_that_a_dispute_names_twice_is_posted_once() -> None:
    """With whatever figures the second time."""
    desk = CreditDesk(CHART)
    other = BalanceFigures(txn=WITHDRAWN.txn, amount=-5, asset=USD)
    once = desk.done(dispute("needs_response", WITHDRAWN))
    twice = CreditDesk(CHART).done(dispute("needs_response", WITHDRAWN, other))
    assert (entry(twice), twice.data["facts"]) == (entry(once), once.data["facts"])


def test_what_is_unclassified_is_said_once_and_not_to_a_products_account() -> None:
    """Nothing is left to be said of it; and nobody hides it in an account that a product keeps."""
    desk = CreditDesk(CHART)
    desk.done(settled("other", -500))
    assert open_items(desk) == {"txn:txn_other": {USD: 500}}
    wrong = ClassifyBalanceTransaction(txn="txn_other", account="stripe:clearing")
    assert desk.refused(wrong)[0] == "account_of_product"
    desk.done(ClassifyBalanceTransaction(txn="txn_other", account="costs"))
    again = ClassifyBalanceTransaction(txn="txn_other", account="costs")
    assert desk.refused(again) == ("nothing_to_classify", {"txn": "txn_other"})
    assert open_items(desk) == {}


def in_all(amount: int) -> RecordRefundedTotal:
    """What `ch_1` says was refunded of it."""
    return RecordRefundedTotal(charge="ch_1", payment="pi_1", amount=amount, asset=USD)


def missing(desk: CreditDesk) -> dict[str, int]:
    stream = desk.state.streams["payment:pi_1"]
    assert stream is not None
    found: dict[str, int] = stream.state.refunds_missing
    return found


def test_a_payment_is_open_while_more_was_refunded_of_it_than_its_refunds_tell() -> None:
    """A cross-check: it posts nothing, and is over when the refunds that were missing are told."""
    desk = CreditDesk(CHART)
    assert desk.done(in_all(500)).postings == []
    assert missing(desk) == {USD: 500}
    desk.done(refund(amount=300))
    assert missing(desk) == {USD: 200}
    for told_before in (500, 300):
        assert desk.refused(in_all(told_before))[0] == "already_recorded"
    # A refund that failed was made all the same, and one may be known by its balance transaction alone.
    desk.done(refund("failed", amount=300))
    figures = BalanceFigures(txn="txn_2", amount=-850, asset="MYR/2", source_amount=-200, source_asset=USD)
    desk.done(
        RecordBalanceTransaction(
            kind="refund", type="refund", source="re_2", payment="pi_1", settlement=figures
        )
    )
    assert missing(desk) == {}
    assert desk.refused(in_all(500))[0] == "already_recorded"
    desk.done(in_all(501))
    assert missing(desk) == {USD: 1}


def test_what_refunds_come_to_does_not_depend_on_who_tells_it_first() -> None:
    """In every order: nothing is missing at the end, whether it was noted before or not."""
    facts = [in_all(1_000), in_all(600), refund(amount=600), refund("failed", amount=600),
             refund(amount=400, refund="re_2")]  # fmt: skip
    for order in permutations(facts):
        desk = CreditDesk(CHART)
        for fact in order:
            tell(desk, fact)
        assert missing(desk) == {}, order


def test_an_item_names_its_order_as_soon_as_anybody_does() -> None:
    """The charge says what it is for; what was bought with it knows better."""
    desk = CreditDesk(CHART)
    bought(desk)
    desk.done(RecordCharge(charge="ch_1", payment="pi_1", amount=2_160, asset=USD, order="said"))
    desk.done(dispute("needs_response", WITHDRAWN))

    def said(name: str) -> tuple[str, str]:
        stream = desk.state.streams[name]
        assert stream is not None
        return stream.state.said_order, getattr(stream.state, "order", "")

    assert [said(name) for name in ("payment:pi_1", "charge:ch_1", "dispute:dp_1")] == [("said", "")] * 3
    # Nothing is decided by it: a refund still waits for what was bought.
    early = RefundPurchase(payment="pi_1", amount=1, refund="re_1")
    assert desk.refused(early) == ("nothing_bought", {"payment": "pi_1"})
    desk.done(FULFIL)
    assert said("payment:pi_1") == ("said", "o")


def test_an_open_item_is_applied_once_and_not_to_a_products_account() -> None:
    """What is told of it later opens it again; nobody hides it in an account that a product keeps."""
    desk = CreditDesk(CHART)
    put = ApplyOpenItem(item="payment:pi_1", account="costs")
    assert desk.refused(put) == ("item_not_open", {"item": "payment:pi_1"})
    desk.done(charge())
    for kept in ("stripe:unsettled", "payments:unapplied", "payments:disputes_receivable"):
        wrong = ApplyOpenItem(item="payment:pi_1", account=kept)
        assert desk.refused(wrong) == ("account_of_product", {"account": kept, "product": "payments"})
    desk.done(put)
    assert "payment:pi_1" not in open_items(desk)
    assert desk.refused(put) == ("item_not_open", {"item": "payment:pi_1"})
    desk.done(refund())
    assert open_items(desk)["payment:pi_1"] == {USD: 2_160}
    _check_items_add_up(desk)


def test_credits_added_for_money_are_paid_from_an_item() -> None:
    """The one that is named, and that is closed by it; else one of their own, on the work list."""
    desk = CreditDesk(CHART)
    lot: dict[str, Any] = {"owner": "42", "credit_type": "enrichment", "amount": 10, "asset": USD}
    desk.done(charge())
    assert open_items(desk)["payment:pi_1"] == {USD: -2_160}
    desk.done(AddCredits(cost=2_160, payment="pi_1", **lot))
    assert "payment:pi_1" not in open_items(desk)
    own = desk.done(AddCredits(cost=500, reference="a form", **lot))
    assert open_items(desk)[f"payment:{own.data['payment']}"] == {USD: 500}
    _check_items_add_up(desk)


def test_an_invoices_item_is_that_of_what_paid_it() -> None:
    """Told before or after: what was bought, and a refund by its order, meet the payment's money."""
    facts = [
        charge(),
        RecordInvoicePayment(invoice="in_1", payment="pi_1"),
        FulfilOrder(order="o", amount=2_160, tax=160, asset=USD, payment="in_1"),
    ]
    for order in permutations(facts):
        desk = CreditDesk(CHART)
        bought(desk)
        for fact in order:
            desk.done(fact)
        assert set(open_items(desk)) == {"charge:ch_1"}
        again = RecordInvoicePayment(invoice="in_1", payment="pi_2")
        assert desk.refused(again) == ("already_recorded", {"what": "what paid in_1"})
        desk.done(RefundPurchase(order="o", amount=540))
        assert open_items(desk)["payment:pi_1"] == {USD: -540}
        desk.done(RefundPurchase(payment="pi_1", amount=540))
        _check_items_add_up(desk)


# ---------------------------------------------------------------- what was bought, found by its payment


def paid() -> CreditDesk:
    """An order that `pi_1` has paid."""
    desk = CreditDesk(CHART)
    bought(desk)
    desk.done(FULFIL)
    return desk


def test_a_purchase_is_found_by_its_payment() -> None:
    """A refund that names the payment alone refunds the order that was paid from it."""
    desk = CreditDesk(CHART)
    bought(desk)
    early = RefundPurchase(payment="pi_1", amount=1_080, refund="re_1")
    assert desk.refused(early) == ("nothing_bought", {"payment": "pi_1"})
    desk.done(FULFIL)
    assert desk.done(early).data["order"] == "o"
    assert desk.order("o").refunded == 1_080


def test_a_refund_is_taken_once_by_its_name() -> None:
    """Told again, also with another amount, it is known; another one of the same amount is another one."""
    desk = paid()
    desk.done(RefundPurchase(payment="pi_1", amount=500, refund="re_1"))
    again = RefundPurchase(order="o", amount=400, refund="re_1")
    assert desk.refused(again) == ("already_recorded", {"what": "re_1 of order:o"})
    desk.done(RefundPurchase(payment="pi_1", amount=500, refund="re_2"))
    assert desk.order("o").refunded == 1_000


def test_a_refund_that_failed_is_taken_back_whole_and_once() -> None:
    """Units, cost and tax are as if it had never been; it cannot be made again, nor fail again."""
    desk = paid()
    desk.done(USE)
    before, wallet = desk.balances(), desk.wallet()
    desk.done(RefundPurchase(payment="pi_1", refund="re_1"))
    desk.done(fail := ReversePurchaseRefund(payment="pi_1", refund="re_1"))
    assert desk.balances() == before
    assert desk.wallet() == wallet
    assert (desk.order("o").refunded, desk.order("o").retired, desk.order("o").retirements) == (0, 0, ())
    assert desk.refused(fail)[0] == "already_recorded"
    assert desk.refused(RefundPurchase(payment="pi_1", refund="re_1"))[0] == "already_recorded"
    desk.done(RefundPurchase(payment="pi_1", refund="re_2"))
    assert desk.wallet().available == 0


def test_a_refund_that_is_known_to_have_failed_is_not_made() -> None:
    """Its failure comes first: nothing moves, then or when it is told that it was made."""
    desk = paid()
    before = desk.balances()
    assert desk.done(ReversePurchaseRefund(payment="pi_1", refund="re_1")).postings == []
    made = RefundPurchase(payment="pi_1", refund="re_1")
    assert desk.refused(made) == ("already_recorded", {"what": "re_1 of order:o"})
    assert desk.balances() == before


def test_what_comes_back_is_frozen_while_the_purchase_is_disputed() -> None:
    """A failed refund does not free what a dispute holds."""
    desk = paid()
    desk.done(RefundPurchase(payment="pi_1", refund="re_1"))
    desk.done(FreezePurchase(payment="pi_1", dispute="dp_1"))
    desk.done(ReversePurchaseRefund(payment="pi_1", refund="re_1"))
    assert (desk.wallet().available, desk.wallet().frozen) == (0, 100)
    desk.done(UnfreezePurchase(payment="pi_1", dispute="dp_1"))
    assert (desk.wallet().available, desk.wallet().frozen) == (100, 0)


def test_a_dispute_is_told_of_again_and_again() -> None:
    """It freezes once; another one of the same purchase has to wait."""
    desk = paid()
    desk.done(FreezePurchase(payment="pi_1", dispute="dp_1"))
    assert desk.refused(FreezePurchase(payment="pi_1", dispute="dp_1"))[0] == "already_recorded"
    assert desk.refused(FreezePurchase(payment="pi_1", dispute="dp_2"))[0] == "purchase_frozen"


@pytest.mark.parametrize("parts", [(29, 43), (14, 15, 43), (33, 34, 32)])
def test_the_parts_of_a_refund_cost_what_the_whole_would(parts: tuple[int, ...]) -> None:
    """Of seven units for 100, in every order, one more failing in between: to the minor unit."""

    def seven() -> CreditDesk:
        desk = CreditDesk(CHART)
        desk.done(
            CreatePackage(
                package="p", name="P", credit_type="enrichment", credit_amount=7, price=100, asset=USD
            )
        )
        desk.done(OrderCredits(owner="42", package="p", order="o"))
        desk.done(FulfilOrder(order="o", amount=100, asset=USD, payment="pi_1"))
        return desk

    whole = seven()
    whole.done(RefundPurchase(payment="pi_1", amount=sum(parts), refund="re"))
    named = [RefundPurchase(payment="pi_1", amount=n, refund=f"re_{i}") for i, n in enumerate(parts)]
    fails = ReversePurchaseRefund(payment="pi_1", refund="x")
    left = 100 - sum(parts)
    failed = [RefundPurchase(payment="pi_1", amount=left, refund="x"), fails]
    for order in permutations([*named, *failed]):
        desk = seven()
        for body in order:
            tell(desk, body)
        assert desk.balances() == whole.balances(), order


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_that_is_decided_is_not_begun_again(won: bool) -> None:
    """What is told late of it finds that it is decided, and changes nothing."""
    desk = paid()
    freeze = FreezePurchase(payment="pi_1", dispute="dp_1")
    end: Any = (UnfreezePurchase if won else LoseDispute)(payment="pi_1", dispute="dp_1")
    if won:
        assert desk.refused(end)[0] == "purchase_not_frozen"
        desk.done(freeze)
    desk.done(end)
    balances = desk.balances()
    for late in (freeze, end):
        assert desk.refused(late) == ("already_recorded", {"what": "dp_1 of order:o"})
    assert desk.balances() == balances


@pytest.mark.parametrize("command", [RefundPurchase, lambda: LoseDispute(dispute="dp_1")])
def test_a_purchase_must_be_named(command: Callable[[], Any]) -> None:
    """By its order or by its payment."""
    with pytest.raises(ValueError, match="`order` or `payment`"):
        command()
