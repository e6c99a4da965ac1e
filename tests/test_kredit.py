"""Kredit's side in the pure core: tenants, verifications, what they cost, subscriptions, what is paid."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from ledger.batch import Recorded, Refusal
from ledger.credits.commands import AddCredits, CreatePackage, RefundCredits, ReleaseHold
from ledger.credits.purchase_commands import AutoTopUp, DeclineOrder, SetWalletSettings
from ledger.events import Event, encode
from ledger.kredit import commands as k
from ledger.kredit.accounts import BANK_UNCONFIRMED, DEFERRED, SUBSCRIPTION_REVENUE, unbilled
from ledger.kredit.callbacks import callback
from ledger.kredit.streams import Payment
from ledger.products import PRODUCTS
from ledger.state import Stream
from ledger.text import SECOND, moment
from tests.credit_desk import DAY, START, journal
from tests.kredit_desk import TENANT, URL, KreditDesk
from tests.postings import catalogue, entry

HOUR = 3_600
POSTPAID = k.SetTenantTerms(billing="postpaid")
NOVEMBER: dict[str, Any] = {"period_start": "2026-11-01", "period_end": "2026-11-30"}


def refusal(outcome: Any) -> tuple[str, dict[str, Any]]:
    assert isinstance(outcome, Refusal), outcome
    return outcome.rejection.code, outcome.rejection.evidence


def paying(request: str = "req_1", amount: int = 10_800, **more: Any) -> k.RequestPayment:
    about = {**NOVEMBER, "plan": "CORE", "payment_reference": "INV-1", **more}
    return k.RequestPayment(request=request, tenant=TENANT, amount=amount, **about)


def payment(desk: KreditDesk, request: str = "req_1") -> Payment:
    stream = desk.state.streams[f"kredit_payment:{request}"]
    assert stream is not None
    assert isinstance(stream.state, Payment)
    return stream.state


APPROVED = k.DecidePayment(status="approved")
MATCHED = k.MatchPayment(account="bank", request="req_1")


# ---------------------------------------------------------------- the posting catalogue


def _completed(desk: KreditDesk) -> Event:
    desk.report(desk.verify(), "completed", "approved")
    return desk.events[-1]


def _held(desk: KreditDesk) -> Event:
    desk.verify()
    return desk.events[-1]


def _prepaid(then: Callable[[KreditDesk], Event]) -> Callable[[KreditDesk], Event]:
    def scenario(desk: KreditDesk) -> Event:
        desk.give(100, 1_000)
        return then(desk)

    return scenario


def _postpaid(desk: KreditDesk) -> Event:
    desk.did(TENANT, POSTPAID)
    return _completed(desk)


def _recorded(desk: KreditDesk) -> Event:
    _postpaid(desk)
    return desk.done(k.RecordPayment(tenant=TENANT, amount=400, **NOVEMBER))


def _expired(desk: KreditDesk) -> Event:
    desk.report(desk.verify(), "expired")
    return desk.events[-1]


def _approved(desk: KreditDesk, **more: Any) -> Event:
    desk.done(paying(**more))
    return desk.did("req_1", APPROVED)


def _late(desk: KreditDesk) -> Event:
    desk.wait(9 * DAY)
    return _approved(desk)


def _released(desk: KreditDesk) -> Event:
    _approved(desk)
    return desk.wait(DAY)[-1]


def _matched(desk: KreditDesk) -> Event:
    _approved(desk)
    return desk.done(MATCHED)


def _matched_afterwards(desk: KreditDesk) -> Event:
    _recorded(desk)
    return desk.done(k.MatchPayment(account="bank", tenant=TENANT, **NOVEMBER))


SCENARIOS: dict[str, Callable[[KreditDesk], Event]] = {
    "verification requested": _prepaid(_held),
    "verification completed": _prepaid(_completed),
    "verification expired or failed": _prepaid(_expired),
    "verification completed, paid afterwards": _postpaid,
    "payment afterwards recorded": _recorded,
    "payment afterwards found at the bank": _matched_afterwards,
    "subscription approved": _approved,
    "subscription approved when nine of its days are over": _late,
    "subscription released for a day": _released,
    "subscription found at the bank": _matched,
}
ENTRIES = catalogue("Kredit")


@pytest.mark.parametrize("operation", ENTRIES)
def test_it_posts_what_the_catalogue_says(operation: str) -> None:
    """Leg by leg, in the order of the document."""
    assert entry(SCENARIOS[operation](KreditDesk())) == ENTRIES[operation]


def test_the_catalogue_has_every_scenario() -> None:
    """And no other."""
    assert set(SCENARIOS) == set(ENTRIES)


# ---------------------------------------------------------------- tenants


def test_a_tenant_is_registered_once_and_changed_by_what_is_new() -> None:
    """The same again is refused; a new name is kept beside what was known; its client id stays."""
    desk = KreditDesk()
    first = desk.state.streams[f"kredit_tenant:{TENANT}"]
    assert first is not None
    again = k.RegisterTenant(tenant=TENANT, slug="demo", name="Demo Lender")
    assert desk.refused(again) == ("already_recorded", {"what": f"kredit_tenant:{TENANT}"})
    assert desk.refused(k.RegisterTenant(tenant=TENANT))[0] == "already_recorded"
    assert desk.done(k.RegisterTenant(tenant=TENANT, name="Other", webhook_url="/hook")).type == (
        "kredit_tenant_changed"
    )
    changed = desk.state.streams[f"kredit_tenant:{TENANT}"]
    assert changed is not None
    assert (changed.state.slug, changed.state.name, changed.state.webhook_url) == ("demo", "Other", "/hook")
    assert changed.state.client == first.state.client


def test_nothing_is_done_for_a_tenant_that_is_not_known() -> None:
    """Whoever asks."""
    desk = KreditDesk()
    assert refusal(desk.wants(tenant="nobody")) == ("kredit_tenant_not_found", {"tenant": "nobody"})
    stranger = k.RequestPayment(
        request="r", tenant="nobody", amount=1, plan="P", payment_reference="R", **NOVEMBER
    )
    assert desk.refused(stranger)[0] == "kredit_tenant_not_found"
    assert refusal(desk.on("nobody", POSTPAID))[0] == "kredit_tenant_not_found"


def test_rules_are_in_an_asset_of_the_chart_and_hold_from_then_on() -> None:
    """A session keeps the price that it was requested at."""
    desk = KreditDesk()
    assert desk.refused(k.SetKreditRules(rules=k.KreditRules(asset="SGD/2"))) == (
        "asset_not_in_chart",
        {"asset": "SGD/2"},
    )
    desk.give(200)
    before = desk.verify()
    desk.done(k.SetKreditRules(rules=k.KreditRules(price=50, billing="postpaid")))
    after = desk.verify(2)
    assert (desk.session(before).units, desk.session(after).units) == (40, 50)
    assert desk.wallet(TENANT, "verification").held == 90
    event = desk.done(k.RegisterTenant(tenant="another"))
    assert event.data["billing"] == "postpaid"


# ---------------------------------------------------------------- verifications


def test_credits_that_are_missing_are_told() -> None:
    """402: what it takes and what there is; nothing is opened."""
    desk = KreditDesk()
    desk.give(39)
    assert refusal(desk.wants()) == (
        "verification_unpaid",
        {"tenant": TENANT, "required": "40", "available": "39"},
    )
    desk.give(1)
    assert desk.session(desk.verify()).status == "pending"


def test_a_request_has_one_session_until_that_is_over() -> None:
    """Asked again while it is open, it is refused with the session; afterwards it is another one."""
    desk = KreditDesk()
    desk.give(100)
    first = desk.verify()
    assert refusal(desk.wants()) == ("verification_open", {"session": first})
    desk.report(first, "completed", "rejected")
    second = desk.verify()
    assert first != second
    assert desk.wallet(TENANT, "verification").available == 20


@pytest.mark.parametrize("end", ["expired", "failed"])
def test_what_was_held_is_free_again(end: k.Report) -> None:
    """When a session expires or fails; whatever comes later changes nothing."""
    desk = KreditDesk()
    desk.give(40)
    session = desk.verify()
    desk.report(session, "started")
    desk.report(session, "processing")
    assert desk.session(session).status == "processing"
    assert desk.wallet(TENANT, "verification").available == 0
    desk.report(session, end, reason="no")
    assert desk.wallet(TENANT, "verification").available == 40
    for late in ("started", "completed", "expired", "failed"):
        outcome = desk.report(session, late, "approved" if late == "completed" else None)
        assert refusal(outcome) == ("verification_over", {"session": session, "status": end})
    assert refusal(desk.report("0" * 8, "expired"))[0] == "verification_not_found"


def test_a_session_that_nobody_ends_is_over_by_itself() -> None:
    """An hour after its end, in time order with what else falls due; its credits are free."""
    desk = KreditDesk()
    desk.give(40)
    session = desk.verify()
    assert desk.wait(25 * HOUR - 1) == []
    [event] = desk.wait(1)
    assert event.type == "kyc_session_expired"
    assert desk.session(session).status == "expired"
    assert desk.wallet(TENANT, "verification").available == 40


def test_a_session_that_falls_due_moves_what_its_wallet_waits_for() -> None:
    """Its lot expires with it; a top-up that waited is decided at its new moment, not at the old one."""
    desk = KreditDesk()
    about: dict[str, Any] = {
        "credit_type": "verification",
        "credit_amount": 100,
        "price": 1,
        "asset": "MYR/2",
    }
    desk.done(CreatePackage(package="p", name="P", **about))
    expires_at = moment(START + 3 * HOUR * SECOND)
    lot = AddCredits(owner=TENANT, credit_type="verification", amount=40, expires_at=expires_at)
    desk.done(lot)
    session = desk.verify()
    top_up = AutoTopUp(threshold=10, package="p")
    desk.done(SetWalletSettings(owner=TENANT, credit_type="verification", auto_top_up=top_up))
    [ordered] = desk.wait(24 * HOUR + HOUR / 2)
    desk.done(DeclineOrder(order=ordered.data["order"], reason="no card"))
    # The next top-up waits an hour; the session is over half an hour before. Nobody looks for two hours.
    happened = [event.type for event in desk.wait(2 * HOUR)]
    assert happened[0] == "kyc_session_expired"
    assert "top_up_ordered" in [*happened, *(event.type for event in desk.wait(1))]
    assert desk.session(session).status == "expired"
    assert desk.balances()["credits:units:expired", "CREDIT.verification/0"] == -40


def test_a_hold_that_was_released_by_hand_does_not_keep_a_session_open() -> None:
    """It cannot be captured any more, which somebody is told; the session still ends."""
    desk = KreditDesk()
    desk.give(40)
    session = desk.verify()
    hold = desk.session(session).hold
    desk.done(ReleaseHold(owner=TENANT, credit_type="verification", hold=hold))
    assert refusal(desk.report(session, "completed", "approved"))[0] == "credit_hold_not_open"
    assert isinstance(desk.report(session, "expired"), Recorded)
    assert desk.wallet(TENANT, "verification").available == 40


def test_a_completed_verification_is_a_use_that_can_be_refunded() -> None:
    """Its slices return to the wallet, as those of any use."""
    desk = KreditDesk()
    desk.give(40, 400)
    event = _completed(desk)
    assert desk.balances()["credits:revenue:verification", "MYR/2"] == -400
    desk.done(RefundCredits(transaction_id=event.seq))
    assert desk.wallet(TENANT, "verification").available == 40
    assert desk.balances()["credits:contract_liability:verification", "MYR/2"] == -400


def test_what_a_session_tells_kredit() -> None:
    """Each event is one callback, to the request's own address, the same bytes whenever it is made."""
    desk = KreditDesk()
    desk.give(80)
    session = desk.verify(borrower="b-7", session_metadata={"director_id": "d-1"})
    assert callback(desk.events[-1]) is None
    desk.report(session, "started")
    desk.report(session, "completed", "rejected", reason="blurred")
    told = callback(desk.events[-1])
    assert told is not None
    assert (told.event, told.url("https://x.example")) == ("kyc.session.completed", URL)
    assert msgspec.json.decode(told.body) == {
        "event": "kyc.session.completed",
        "session_id": session,
        "tenant_id": TENANT,
        "borrower_id": "b-7",
        "status": "completed",
        "result": "rejected",
        "reject_message": "blurred",
        "metadata": {"director_id": "d-1"},
        "timestamp": desk.events[-1].recorded_at,
    }
    desk.report(desk.verify(2), "failed", reason="gone")
    told = callback(desk.events[-1])
    assert told is not None
    body = msgspec.json.decode(told.body)
    assert (body["event"], body["status"], body["reject_message"]) == (
        "kyc.session.expired",
        "expired",
        "gone",
    )


# ---------------------------------------------------------------- any order, any number of times


@pytest.mark.parametrize("seed", range(int(os.environ.get("KREDIT_SEEDS", "12"))))
def test_sessions_in_any_order_hold_and_use_what_they_cost(seed: int) -> None:
    """Requests and reports at random, twice and out of order, of two tenants whose prices change: at every
    step units held and used are those of the sessions, money is what was used, and claims are balances."""
    run, desk = random.Random(seed), KreditDesk()
    desk.done(k.RegisterTenant(tenant="later"))
    desk.did("later", POSTPAID)
    desk.give(600, 6_000)
    price, worth = 40, 400
    sessions: dict[str, tuple[str, int, int, str]] = {}  # tenant, price, worth, status
    requests: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for _ in range(120):
        match run.choice(("ask", "ask", "tell", "tell", "tell", "tell", "price", "wait")):
            case "ask":
                number = run.randrange(30)
                tenant = TENANT if number % 2 else "later"
                known = requests.get(number)
                outcome = desk.wants(number, tenant)
                held = sum(
                    p for t, p, _, s in sessions.values() if t == TENANT and s in ("open", "completed")
                )
                if known is not None and sessions[known][3] == "open":
                    assert refusal(outcome)[0] == "verification_open"
                elif tenant == TENANT and 600 - held < price:
                    assert refusal(outcome)[0] == "verification_unpaid"
                else:
                    assert isinstance(outcome, Recorded)
                    requests[number] = outcome.event.data["session"]
                    sessions[requests[number]] = (tenant, price, worth, "open")
            case "tell" if sessions:
                session = run.choice(list(sessions))
                status: k.Report = run.choice(("started", "processing", "completed", "expired", "failed"))
                outcome = desk.report(session, status, "approved" if status == "completed" else None)
                tenant, *costs, stands = sessions[session]
                if stands != "open":
                    assert refusal(outcome)[0] == "verification_over"
                    continue
                assert isinstance(outcome, Recorded)
                if status not in ("started", "processing"):
                    sessions[session] = (tenant, costs[0], costs[1], status)
            case "price":
                price, worth = run.choice(((40, 400), (30, 350), (55, 500)))
                desk.done(k.SetKreditRules(rules=k.KreditRules(price=price, amount=worth)))
            case "wait":
                for event in desk.wait(run.choice((60, 6 * HOUR, 30 * HOUR))):
                    name = event.data["session"]
                    tenant, *costs, stands = sessions[name]
                    assert stands == "open"
                    sessions[name] = (tenant, costs[0], costs[1], "expired")
        seen.update(status for *_, status in sessions.values())
        wallet = desk.wallet(TENANT, "verification")
        mine = [(p, s) for t, p, _, s in sessions.values() if t == TENANT]
        assert wallet.held == sum(p for p, s in mine if s == "open")
        assert wallet.used == sum(p for p, s in mine if s == "completed")
        assert wallet.available == 600 - wallet.held - wallet.used
        owed = sum(w for t, _, w, s in sessions.values() if t == "later" and s == "completed")
        balances = desk.balances()
        assert balances.get((unbilled("later"), "MYR/2"), 0) == owed
        assert balances.get(("kredit:verification_revenue", "MYR/2"), 0) == -owed
        # 600 credits cost 6000: each carries ten.
        assert balances.get(("credits:revenue:verification", "MYR/2"), 0) == -10 * wallet.used
        assert {place: balances.get(place, 0) for place in desk.claimed()} == desk.claimed()
    assert seen["completed"]
    assert seen["expired"]


def test_states_follow_from_the_events() -> None:
    """Every stream, folded anew from the bodies of its events, is what the decisions left."""
    desk = KreditDesk()
    desk.give(200, 2_000)
    desk.report(desk.verify(), "completed", "approved")
    desk.report(desk.verify(2), "failed", reason="no")
    _approved(desk)
    desk.wait(3 * DAY)
    bodies: dict[str, list[bytes]] = {}
    for event in desk.events:
        for name in event.streams:
            bodies.setdefault(name, []).append(encode(event))
    assert {name: PRODUCTS.folded(name, of) for name, of in bodies.items()} == {
        name: stream for name, stream in desk.state.streams.items() if isinstance(stream, Stream)
    }


# ---------------------------------------------------------------- subscriptions


def test_a_payment_is_pending_until_it_is_decided_once() -> None:
    """It posts nothing; a second decision is refused; what is at the bank is approved, and in no product."""
    desk = KreditDesk()
    assert desk.done(paying()).postings == []
    assert desk.refused(paying()) == ("kredit_payment_exists", {"request": "req_1"})
    assert desk.refused(MATCHED)[0] == "kredit_payment_not_approved"
    desk.did("req_1", APPROVED)
    for again in (APPROVED, k.DecidePayment(status="rejected", rejection_reason="no")):
        assert refusal(desk.on("req_1", again)) == (
            "kredit_payment_decided",
            {"request": "req_1", "status": "approved"},
        )
    desk.done(paying("req_2"))
    assert desk.did("req_2", k.DecidePayment(status="rejected", rejection_reason="not found")).postings == []
    assert refusal(desk.on("req_2", APPROVED))[1]["status"] == "rejected"
    with pytest.raises(ValueError, match="rejection_reason"):
        k.DecidePayment(status="rejected")
    with pytest.raises(ValueError, match="rejection_reason"):
        k.DecidePayment(status="approved", rejection_reason="no")
    assert refusal(desk.on("req_3", APPROVED))[0] == "kredit_payment_not_found"
    assert desk.refused(k.MatchPayment(account="bank", request="req_3"))[0] == "kredit_payment_not_found"
    for product in (BANK_UNCONFIRMED, DEFERRED, unbilled(TENANT)):
        assert desk.refused(k.MatchPayment(account=product, request="req_1")) == (
            "account_of_product",
            {"account": product, "product": "kredit"},
        )
    desk.done(MATCHED)
    assert desk.refused(MATCHED)[0] == "already_recorded"
    assert (BANK_UNCONFIRMED, "MYR/2") not in desk.balances().keys() | desk.claimed().keys()
    for wrong in ({}, {"request": "req_1", "tenant": TENANT, **NOVEMBER}, {"tenant": TENANT}):
        with pytest.raises(ValueError, match="request"):
            k.MatchPayment(account="bank", **wrong)


def test_a_tenant_has_the_plan_that_lasts_longest() -> None:
    """An earlier period that is approved later takes nothing from it."""
    desk = KreditDesk()
    desk.done(paying("req_2", plan="CORE_TRUESEND", period_start="2026-12-01", period_end="2026-12-31"))
    desk.did("req_2", APPROVED)
    _approved(desk)
    stream = desk.state.streams[f"kredit_tenant:{TENANT}"]
    assert stream is not None
    tenant = stream.state
    assert (tenant.plan, tenant.subscribed_from, tenant.subscribed_to) == (
        "CORE_TRUESEND", "2026-12-01", "2026-12-31",
    )  # fmt: skip


def test_a_subscription_is_earned_day_by_day() -> None:
    """Thirty days, both ends in: never more than half a unit off the share; the last takes the rest."""
    desk = KreditDesk()
    _approved(desk)
    sums = [0]
    for day in range(1, 31):
        [event] = desk.wait(DAY)
        assert event.type == "subscription_released"
        assert event.effective_at == f"2026-{'12-01' if day == 30 else f'11-{day + 1:02}'}T00:00:00.000000Z"
        sums.append(sums[-1] + int(event.data["released"]))
        assert abs(sums[-1] * 30 - 10_000 * day) <= 15
        balances = desk.balances()
        assert balances[SUBSCRIPTION_REVENUE, "MYR/2"] == -sums[-1]
        assert balances.get((DEFERRED, "MYR/2"), 0) == sums[-1] - 10_000
        assert desk.claimed().get((DEFERRED, "MYR/2"), 0) == sums[-1] - 10_000
    assert sums[-1] == 10_000
    assert payment(desk).release_at is None
    assert desk.wait(100 * DAY) == []


def test_a_subscription_that_is_approved_late_or_early_is_earned_by_its_period() -> None:
    """Of one that is over, all at once; of one to come, from its first day on."""
    desk = KreditDesk()
    desk.wait(40 * DAY)
    assert _approved(desk).data["released"] == "10000"
    assert payment(desk).release_at is None
    desk.done(paying("req_2", period_start="2027-01-01", period_end="2027-01-01"))
    desk.did("req_2", APPROVED)
    happened = desk.wait(60 * DAY)
    assert [(event.effective_at, event.data["released"]) for event in happened] == [
        ("2027-01-02T00:00:00.000000Z", "10000")
    ]


@pytest.mark.parametrize(("amount", "basis_points", "tax"), [(10_800, 800, 800), (1, 800, 0), (999, 600, 57)])
def test_the_tax_is_contained_in_what_is_paid(amount: int, basis_points: int, tax: int) -> None:
    """Half to even of the gross; net and tax are the gross."""
    desk = KreditDesk()
    desk.done(k.SetKreditRules(rules=k.KreditRules(tax_basis_points=basis_points)))
    desk.done(paying(amount=amount))
    assert payment(desk).tax == tax


def test_a_decision_is_told_to_whoever_asked() -> None:
    """Where it asked for, else at the usual path of its backend."""
    desk = KreditDesk()
    _approved(desk, decision_webhook_url="/decided")
    told = callback(desk.events[-1])
    assert told is not None
    assert told.url("https://kredit.example.com/") == "https://kredit.example.com/decided"
    body = msgspec.json.decode(told.body)
    assert {**body, "decided_at": None} == {
        "event": "subscription.payment.decision",
        "request_id": "req_1",
        "tenant_id": TENANT,
        "status": "approved",
        "plan": "CORE",
        "amount_cents": 10_800,
        "amount_myr": 108.0,
        "payment_reference": "INV-1",
        "period_start": "2026-11-01",
        "period_end": "2026-11-30",
        "rejection_reason": None,
        "decided_at": None,
        "decided_by": "",
    }
    desk.done(paying("req_2"))
    desk.did("req_2", k.DecidePayment(status="rejected", rejection_reason="not found"))
    told = callback(desk.events[-1])
    assert told is not None
    assert told.target == "/api/webhooks/kredit/subscription-payment-decision"
    assert msgspec.json.decode(told.body)["rejection_reason"] == "not found"


# ---------------------------------------------------------------- paid afterwards


def test_a_period_is_paid_once() -> None:
    """By a tenant that pays afterwards; told to its address, or to the usual path."""
    desk = KreditDesk()
    paid = k.RecordPayment(tenant=TENANT, amount=16_800, **NOVEMBER)
    assert desk.refused(paid) == ("kredit_tenant_prepaid", {"tenant": TENANT})
    desk.did(TENANT, POSTPAID)
    told = callback(desk.done(paid))
    assert told is not None
    assert told.target == "/payment"
    body = msgspec.json.decode(told.body)
    assert (body["event"], body["paid_amount_myr"], body["period_end"]) == (
        "payment.recorded",
        168.0,
        "2026-11-30",
    )
    assert desk.refused(k.RecordPayment(tenant=TENANT, amount=1, **NOVEMBER))[0] == "already_recorded"
    desk.done(k.RegisterTenant(tenant=TENANT, webhook_url=URL))
    december: dict[str, Any] = {"period_start": "2026-12-01", "period_end": "2026-12-31"}
    told = callback(desk.done(k.RecordPayment(tenant=TENANT, amount=1, **december)))
    assert told is not None
    assert told.target == URL
    assert desk.balances()[BANK_UNCONFIRMED, "MYR/2"] == desk.claimed()[BANK_UNCONFIRMED, "MYR/2"] == 16_801


def test_periods_are_days_of_the_ledger() -> None:
    """A moment is the day that it is in; an end before its start is refused."""
    desk = KreditDesk()
    desk.done(paying(period_start="2026-11-01T00:00:00Z", period_end="2026-11-30T23:59:59Z"))
    assert (payment(desk).start, payment(desk).end) == ("2026-11-01", "2026-11-30")
    with pytest.raises(ValueError, match="period_end"):
        paying(period_end="2026-10-31")
    with pytest.raises(ValueError, match="period_start"):
        paying(period_start="last week")
    for early, late in (
        ("0001-01-01", "2026-11-30"),
        ("9999-12-31", "9999-12-31"),
        ("2026-11-01", "9999-12-31T23:00:00Z"),
    ):
        with pytest.raises(ValueError, match="is outside the years 1800 to 9998"):
            paying(period_start=early, period_end=late)
    mixed = paying("req_2", period_start="2026-11-02", period_end="2026-11-01T00:00:00Z")
    assert desk.refused(mixed)[0] == "period_ends_before"
    assert journal(desk.events[-1]) == []
