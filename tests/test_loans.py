"""Loans as the core decides them: who may borrow, what may follow on what, and what each event explains."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ledger.events import Event
from ledger.loans import accounts as a
from ledger.loans.calendar import DayCount, Every
from ledger.loans.commands import Chargeback, Liquidation
from ledger.loans.debt import Row
from ledger.loans.entering import payoff
from ledger.loans.schedule import Interest
from ledger.loans.statuses import instalment_status, kredit_interest, kredit_status
from ledger.loans.terms import CLASSES, Offer, Policy
from ledger.loans.waterfall import Waterfall
from ledger.rejections import Rejection
from tests.loan_books import OFFER, USD, LoanBooks, at, legs

DAY = "2026-01-15"


@pytest.fixture
def books() -> LoanBooks:
    return LoanBooks()


def apply(books: LoanBooks, loan: str = "L1", amount: int = 120_000, actor: str = "clerk") -> Any:
    return books.ask(
        "submit_loan_application", f"loan:{loan}", DAY, actor, borrower="B1", asset=USD, amount=amount
    )


def assessed(books: LoanBooks, **known: Any) -> None:
    assert isinstance(books.ask("assess_borrower", "borrower:B1", DAY, **{"kyc": "verified", **known}), Event)


def code(outcome: Any) -> str:
    assert isinstance(outcome, Rejection), outcome
    return outcome.code


# ---------------------------------------------------------------- applications


def test_only_who_is_verified_can_apply(books: LoanBooks) -> None:
    """An application needs a borrower who is known and whose KYC status is verified."""
    assert code(apply(books)) == "borrower_not_found"
    assessed(books, kyc="pending")
    refused = apply(books)
    assert (refused.code, refused.evidence) == ("kyc_not_verified", {"borrower": "B1", "kyc": "pending"})
    assessed(books)
    assert apply(books).type == "loan_application_submitted"
    assert code(apply(books)) == "loan_exists"
    assert books.loan().status == "submitted"


def test_the_credit_limit_has_room_for_what_is_not_over(books: LoanBooks) -> None:
    """Applications and loans take of the limit until they are rejected, withdrawn, repaid or written off."""
    assessed(books, limits={USD: 200_000})
    apply(books)
    refused = apply(books, "L2", 80_001)
    assert code(refused) == "credit_limit_exceeded"
    assert refused.evidence == {"borrower": "B1", "asset": USD, "free": "80000", "amount": "80001"}
    assert code(books.ask("approve_loan", "loan:L1", DAY, "boss", offer={**OFFER, "amount": 200_001})) == (
        "credit_limit_exceeded"
    )
    books.do("approve_loan", DAY, offer={**OFFER, "amount": 200_000}, actor="boss")
    assert code(apply(books, "L2", 1)) == "credit_limit_exceeded"
    books.do("withdraw_loan", DAY)
    assert apply(books, "L2", 200_000).type == "loan_application_submitted"
    assert books.borrower().taken == {"L2": (USD, 200_000)}


def test_a_loan_that_is_repaid_gives_its_limit_back_and_takes_it_again_when_it_reopens(
    books: LoanBooks,
) -> None:
    """The borrower's stream follows the loan's status."""
    books.lent({**OFFER, "count": 1}, DAY)
    assert set(books.borrower().taken) == {"L1"}
    repaid = books.do("repay_loan", "2026-02-15", amount=121_200, account="bank")
    assert repaid.streams.keys() == {"loan:L1", "borrower:B1"}
    assert (books.loan().status, books.borrower().taken) == ("repaid", {})
    books.do("charge_back_repayment", "2026-02-20", repayment=repaid.seq, account="bank")
    assert (books.loan().status, set(books.borrower().taken)) == ("active", {"L1"})


def test_the_policy_refuses_ratings(books: LoanBooks) -> None:
    """Risk ratings are checked when somebody applies."""
    books.set_policy(refused_ratings=["high"])
    assessed(books, rating="high")
    assert code(apply(books)) == "rating_refused"
    assessed(books, rating="medium")
    assert apply(books).type == "loan_application_submitted"


def test_a_large_loan_needs_two_people_who_agree(books: LoanBooks) -> None:
    """Above the limit neither may be who applied, both must offer the same; below it one is enough."""
    books.set_policy(four_eyes_above={USD: 100_000})
    assessed(books)
    apply(books, actor="anna")
    apply(books, "L2", 100_000, actor="anna")
    assert code(books.ask("approve_loan", "loan:L1", DAY, "anna", offer=OFFER)) == "second_person_needed"
    assert books.ask("approve_loan", "loan:L1", DAY, "ben", offer=OFFER).type == "loan_approval_given"
    assert code(books.ask("approve_loan", "loan:L1", DAY, "ben", offer=OFFER)) == "second_person_needed"
    other: dict[str, Any] = {**OFFER, "count": 24}
    assert books.ask("approve_loan", "loan:L1", DAY, "carl", offer=other).type == "loan_approval_given"
    assert books.ask("approve_loan", "loan:L1", DAY, "ben", offer=other).type == "loan_approved"
    assert (books.loan().status, books.loan().approvals) == ("approved", ("carl", "ben"))
    small: dict[str, Any] = {**OFFER, "amount": 100_000}
    assert books.ask("approve_loan", "loan:L2", DAY, "anna", offer=small).type == "loan_approved"


def test_an_offer_is_accepted_in_time_or_not_at_all(books: LoanBooks) -> None:
    """Rejected, withdrawn and expired offers are no loans; an approval posts nothing."""
    assessed(books)
    apply(books)
    asset: dict[str, Any] = {**OFFER, "asset": "EUR/2"}
    assert books.refused("approve_loan", DAY, offer=asset)[0] == "offer_asset_differs"
    approved = books.do(
        "approve_loan", DAY, offer=OFFER, expires_at="2026-02-01T00:00:00Z", conditions=["Proof"]
    )
    assert approved.postings == []
    assert books.refused("accept_loan", DAY)[0] == "offer_expired"
    books.do("withdraw_loan", DAY)
    assert books.refused("accept_loan", DAY) == (
        "loan_status",
        {"loan": "L1", "status": "withdrawn", "allowed": ["approved"]},
    )
    apply(books, "L2")
    books.do("reject_loan", DAY, "L2", reason="Too much")
    assert books.loan("L2").status == "rejected"
    assert books.refused("accept_loan", DAY, "L3") == ("loan_not_found", {"loan": "L3"})


def test_a_policy_holds_for_loans_approved_after_it(books: LoanBooks) -> None:
    """A later policy changes no loan that exists."""
    books.lent(OFFER, DAY)
    books.set_policy(waterfall={"name": "principal_first"})
    books.do("repay_loan", "2026-02-15", amount=500, account="bank")
    assert books.balance(a.RECEIVABLE["interest"]) == 700
    books.lent(OFFER, DAY, "L2")
    books.do("repay_loan", "2026-02-15", "L2", amount=500, account="bank")
    assert books.balance(a.RECEIVABLE["interest"]) == 1_900


# ---------------------------------------------------------------- disbursement


def test_a_loan_is_disbursed_in_tranches_each_with_a_reference_of_its_own(books: LoanBooks) -> None:
    """Never more than was offered, held money included; what failed can go out again."""
    books.accepted(OFFER, DAY)
    first = books.do("disburse_loan", DAY, account="bank", method="bank_transfer", amount=50_000)
    assert first.data["tranche"]["reference"] == "LOAN_L1"
    assert books.refused("withdraw_loan", DAY)[0] == "disbursement_under_way"
    again: dict[str, Any] = {"account": "bank", "method": "wallet", "reference": "LOAN_L1", "amount": 1}
    assert books.refused("disburse_loan", DAY, **again)[0] == "disbursement_reference_used"
    more: dict[str, Any] = {"account": "bank", "method": "wallet", "amount": 70_001}
    assert books.refused("disburse_loan", DAY, **more) == (
        "exceeds_offer",
        {"loan": "L1", "left": "70000", "amount": "70001"},
    )
    books.do("fail_disbursement", DAY, disbursement=first.seq, reason="Account closed")
    assert books.refused("confirm_disbursement", DAY, disbursement=first.seq) == (
        "disbursement_ended",
        {"disbursement": first.seq, "status": "failed"},
    )
    assert books.refused("confirm_disbursement", DAY, disbursement=99)[0] == "disbursement_not_found"
    assert books.balance(a.PORTFOLIO) == 0
    for amount, day in ((50_000, DAY), (70_000, "2026-02-20")):
        held = books.do("disburse_loan", day, account="bank", method="virtual_account", amount=amount)
        books.do("confirm_disbursement", day, disbursement=held.seq)
    assert books.refused("disburse_loan", DAY, account="bank", method="wallet")[0] == "exceeds_offer"
    assert books.balance(a.PORTFOLIO) == 120_000


def test_a_second_tranche_is_spread_over_the_instalments_to_come(books: LoanBooks) -> None:
    """What is due stays; the running instalment has interest on both amounts for their days."""
    books.accepted({**OFFER, "count": 3}, DAY)
    for amount, day in ((60_000, DAY), (60_000, "2026-02-01")):
        held = books.do("disburse_loan", day, account="bank", method="bank_transfer", amount=amount)
        books.do("confirm_disbursement", day, disbursement=held.seq)
    book = books.loan().book
    assert book is not None
    assert [(row.due.isoformat(), row.principal, row.interest) for row in book.rows] == [
        ("2026-02-15", 40_000, 329 + 542),  # 600 for 17 of 31 days, 1200 for 14 of 31
        ("2026-03-15", 40_000, 800),
        ("2026-04-15", 40_000, 400),
    ]


def test_the_first_disbursement_covers_the_fee(books: LoanBooks) -> None:
    """The fee is kept of it, whole; money may not come from accounts of a product."""
    books.accepted({**OFFER, "fee": 5_000}, DAY)
    little: dict[str, Any] = {"account": "bank", "method": "wallet", "amount": 4_999}
    assert books.refused("disburse_loan", DAY, **little)[0] == "below_fee"
    own: dict[str, Any] = {"account": a.PORTFOLIO, "method": "wallet"}
    assert books.refused("disburse_loan", DAY, **own)[0] == "account_of_product"
    early: dict[str, Any] = {"account": "bank", "method": "wallet", "first_due": DAY}
    assert books.refused("disburse_loan", DAY, **early)[0] == "first_due_not_later"


def test_a_tranche_needs_instalments_to_come(books: LoanBooks) -> None:
    """After the last due day, and on a loan that was charged off, nothing more is lent, or sent."""
    books.accepted({**OFFER, "count": 1}, DAY)
    tranche: dict[str, Any] = {"account": "bank", "method": "wallet", "amount": 1_000}
    held = books.do("disburse_loan", DAY, **tranche)
    books.do("confirm_disbursement", DAY, disbursement=held.seq)
    assert books.refused("disburse_loan", "2026-02-15", **tranche)[0] == "loan_matured"
    held = books.do("disburse_loan", "2026-02-14", **tranche)
    assert books.refused("confirm_disbursement", "2026-02-15", disbursement=held.seq)[0] == "loan_matured"
    books.do("fail_disbursement", "2026-02-15", disbursement=held.seq, reason="too late")
    books.do("charge_off_loan", "2026-02-10")
    assert books.refused("disburse_loan", "2026-02-14", **tranche)[0] == "loan_charged_off"
    assert books.refused("charge_off_loan", "2026-02-16")[0] == "loan_charged_off"


@pytest.mark.parametrize("ending", ["settle_loan", "charge_off_loan", "write_off_loan"])
def test_no_loan_ends_while_money_is_on_its_way(books: LoanBooks, ending: str) -> None:
    """Its arrival could not be entered any more; once it has arrived, or failed, the loan can end."""
    books.accepted(OFFER, DAY)
    for day in (DAY, "2026-02-01"):
        held = books.do("disburse_loan", day, account="bank", method="wallet", amount=60_000)
        if day == DAY:
            books.do("confirm_disbursement", day, disbursement=held.seq)
    body: dict[str, Any] = {"amount": 121_000, "account": "bank"} if ending == "settle_loan" else {}
    assert books.refused(ending, "2026-02-02", **body)[0] == "disbursement_under_way"
    books.do("confirm_disbursement", "2026-02-02", disbursement=held.seq)
    books.do(ending, "2026-02-03", **body)


def test_no_instalment_is_due_on_a_day_that_cannot_be_reckoned_with(books: LoanBooks) -> None:
    """Neither a first due day nor a plan made anew goes on for ever."""
    books.accepted({**OFFER, "every": {"unit": "months", "count": 60}}, DAY)
    tranche: dict[str, Any] = {"account": "bank", "method": "wallet"}
    late = {**tranche, "first_due": "9999-12-31"}
    assert books.refused("disburse_loan", DAY, **late)[0] == "instalments_too_late"
    held = books.do("disburse_loan", DAY, **tranche)
    books.do("confirm_disbursement", DAY, disbursement=held.seq)
    for first_due, count in (("2026-03-01", 21), ("2990-01-01", 2), ("9999-12-31", 1)):
        plan: dict[str, Any] = {"first_due": first_due, "count": count}
        said = books.refused("reschedule_loan", "2026-02-01", **plan)
        assert said == ("instalments_too_late", {"last_due": "2999-12-31"})


def test_a_provider_lends_no_more_than_it_has_given(books: LoanBooks) -> None:
    """What a provider gave us covers what we disburse for it, pending money included."""
    offer = {**OFFER, "amount": 10_000, "provider": "acme", "servicing_rate": "5"}
    books.ask("receive_provider_funds", "provider_funding:acme", DAY, asset=USD, amount=9_999, account="bank")
    books.accepted(offer, DAY)
    assert books.refused("disburse_loan", DAY, account="bank", method="wallet")[0] == "insufficient_available"


def test_a_provider_is_paid_no_more_than_it_is_owed(books: LoanBooks) -> None:
    """Not before anything was collected for it, not twice, and in no other asset."""
    books.ask("receive_provider_funds", "provider_funding:acme", DAY, asset=USD, amount=1_000, account="bank")
    books.lent({**OFFER, "amount": 1_000, "provider": "acme", "servicing_rate": "5"}, DAY)

    def paid(amount: int, asset: str = USD) -> Any:
        body: dict[str, Any] = {"asset": asset, "amount": amount, "account": "bank"}
        return books.ask("remit_to_provider", "provider_funding:acme", "2026-02-20", **body)

    assert code(paid(1)) == "exceeds_payable"
    books.do("repay_loan", "2026-02-15", amount=100, account="bank")
    assert code(paid(95, "EUR/2")) == "exceeds_payable"
    assert paid(96).evidence == {"provider": "acme", "asset": USD, "payable": "95"}
    assert isinstance(paid(95), Event)
    assert code(paid(1)) == "exceeds_payable"


def test_due_days_are_days_of_the_ledgers_time_zone() -> None:
    """Late in the evening UTC it is the next day in Kuala Lumpur: instalments are due a month after that."""
    books = LoanBooks("Asia/Kuala_Lumpur")
    books.accepted(OFFER, DAY)
    held = books.do("disburse_loan", at(DAY, 20), account="bank", method="wallet")
    books.do("confirm_disbursement", at(DAY, 20), disbursement=held.seq)
    book = books.loan().book
    assert book is not None
    assert (book.rows[0].start, book.rows[0].due) == (date(2026, 1, 16), date(2026, 2, 16))


# ---------------------------------------------------------------- repayments


def test_a_repayments_event_explains_its_split(books: LoanBooks) -> None:
    """The waterfall by name and version; each slice in order, with what it paid; what is then owed."""
    books.lent(OFFER, DAY)
    books.do("charge_loan", "2026-02-10", part="fee", amount=300)
    steps = [
        f"{timing} {part}"
        for timing in ("past_due", "due", "in_advance")
        for part in ("interest", "fee", "principal", "penalty")
    ]
    house: dict[str, Any] = {"name": "house", "version": 4, "steps": steps}
    event = books.do("repay_loan", "2026-02-20", amount=12_600, account="bank", waterfall=house)
    assert event.data["fact"]["waterfall"] == {**house, "version": "4"}
    assert event.data["waterfall"] == {"name": "house", "version": "4"}
    assert event.data["split"] == [
        {"timing": "past_due", "part": "interest", "due": "2026-02-15", "amount": "1200"},
        {"timing": "past_due", "part": "fee", "due": "2026-02-15", "amount": "300"},
        {"timing": "past_due", "part": "principal", "due": "2026-02-15", "amount": "10000"},
        {"timing": "in_advance", "part": "interest", "due": "2026-03-15", "amount": "1100"},
    ]
    assert event.data["owed"] == {"interest": "5500", "principal": "110000"}
    assert event.data["status"] == "active"
    usual = books.do("repay_loan", "2026-02-21", amount=1, account="bank")
    assert usual.data["waterfall"] == {"name": "penalty_first", "version": "1"}


def test_nothing_is_paid_before_anything_was_lent(books: LoanBooks) -> None:
    """A repayment cannot count before the first disbursement, however late it is entered."""
    books.lent(OFFER, DAY)
    assert books.refused("repay_loan", "2026-01-14", amount=1, account="bank")[0] == "nothing_disbursed"


def test_a_repayment_counts_when_it_was_received(books: LoanBooks) -> None:
    """`original_effective_at` is the day of the loan; the books count it when they can."""
    books.lent(OFFER, DAY)
    books.do("accrue_loan", "2026-03-20")
    event = books.do(
        "repay_loan",
        "2026-03-20",
        amount=11_200,
        account="bank",
        original_effective_at="2026-02-15T09:00:00Z",
    )
    assert event.effective_at.startswith("2026-03-20")
    assert event.data["split"][0]["timing"] == "due"


def test_the_payoff_of_a_day_settles_the_loan_on_that_day(books: LoanBooks) -> None:
    """The quote is principal and what has accrued by then; a unit less is refused, and it changes nothing."""
    books.lent({**OFFER, "interest": {"method": "rule_of_78", "rate": "12"}}, DAY)
    books.do("repay_loan", "2026-02-15", amount=5_000, account="bank")
    book = books.loan().book
    assert book is not None
    quote = payoff(book, date(2026, 7, 15))
    assert quote["interest"] == sum(row.interest for row in book.rows[:6]) - min(book.rows[0].interest, 5_000)
    whole = sum(quote.values())
    refused = books.refused("settle_loan", "2026-07-15", amount=whole - 1, account="bank")
    assert refused == ("below_payoff", {"payoff": str(whole), "amount": str(whole - 1)})
    books.do("settle_loan", "2026-07-15", amount=whole, account="bank")
    assert (books.loan().status, books.balance(a.PORTFOLIO)) == ("repaid", 0)


def test_a_prepayment_makes_instalments_smaller_or_fewer(books: LoanBooks) -> None:
    """Half the principal: the same number of smaller instalments, or about half as many of the same size."""
    offer = {**OFFER, "interest": {"method": "equal_instalments", "rate": "12"}}
    for loan, reduce in (("L1", "instalment"), ("L2", "term")):
        books.lent(offer, DAY, loan)
        books.do("prepay_loan", DAY, loan, amount=60_000, account="bank", reduce=reduce)
    smaller, fewer = books.loan("L1").book, books.loan("L2").book
    assert smaller is not None
    assert fewer is not None
    assert [len(smaller.rows), smaller.rows[0].principal + smaller.rows[0].interest] == [12, 5_331]
    assert [len(fewer.rows), fewer.rows[0].principal + fewer.rows[0].interest] == [6, 10_662]
    assert sum(row.principal for row in fewer.rows) == 60_000


def test_an_overpayment_is_given_back_once(books: LoanBooks) -> None:
    """Not more than was overpaid; then the loan is repaid and nothing else."""
    books.lent({**OFFER, "count": 1}, DAY)
    books.do("repay_loan", "2026-02-15", amount=121_500, account="bank")
    assert books.loan().status == "overpaid"
    assert books.refused("refund_overpayment", "2026-02-15", amount=301, account="bank") == (
        "exceeds_overpayment",
        {"overpaid": "300", "amount": "301"},
    )
    books.do("refund_overpayment", "2026-02-16", amount=300, account="bank")
    assert books.loan().status == "repaid"


# ---------------------------------------------------------------- undoing


def test_a_transaction_is_undone_once_and_only_if_the_later_ones_still_fit(books: LoanBooks) -> None:
    """Money that was refunded cannot have never been overpaid: undo the refund first."""
    books.lent({**OFFER, "count": 1}, DAY)
    repaid = books.do("repay_loan", "2026-02-15", amount=121_500, account="bank")
    refund = books.do("refund_overpayment", "2026-02-16", amount=300, account="bank")
    undo: dict[str, Any] = {"transaction": repaid.seq, "reason": "Another loan's"}
    assert books.refused("undo_loan_transaction", "2026-02-17", **undo) == (
        "later_transaction_conflicts",
        {"transaction": str(refund.seq), "because": "exceeds_overpayment"},
    )
    books.do("undo_loan_transaction", "2026-02-17", transaction=refund.seq, reason="It bounced")
    undone = books.do("undo_loan_transaction", "2026-02-17", **undo)
    assert undone.ends == (f"loan:L1:transaction:{repaid.seq}",)
    assert books.refused("undo_loan_transaction", "2026-02-17", **undo)[0] == "loan_transaction_not_found"
    first = next(event for event in books.events if event.type == "loan_disbursed")
    lent: dict[str, Any] = {"transaction": first.seq, "reason": "No"}
    assert books.refused("undo_loan_transaction", "2026-02-17", **lent)[0] == "disbursement_not_undone"
    assert books.balance(a.PORTFOLIO) == 120_000
    assert books.balance("bank") == -120_000


def test_a_loan_that_is_paid_is_not_charged(books: LoanBooks) -> None:
    """Not even for a day on which it was not paid yet."""
    books.lent({**OFFER, "count": 1}, DAY)
    books.do("settle_loan", "2026-01-25", amount=120_387, account="bank")
    assert books.loan().status == "repaid"
    assert books.refused("charge_loan", "2026-01-20", part="penalty", amount=1)[0] == "loan_status"


# ---------------------------------------------------------------- chargeback


def test_a_chargeback_in_parts_never_takes_back_more_than_was_paid(books: LoanBooks) -> None:
    """Overpayment first, then the split in the order asked; the second part goes on where the first ended."""
    books.lent({**OFFER, "count": 1}, DAY)
    repaid = books.do("repay_loan", "2026-02-15", amount=121_500, account="bank")
    order = ["interest", "principal", "fee", "penalty"]
    first = books.do(
        "charge_back_repayment", "2026-02-20", repayment=repaid.seq, amount=800, account="bank", order=order
    )
    assert legs(first) == [
        ("DR", a.OVERPAID, "300", USD),
        ("DR", a.RECEIVABLE["interest"], "500", USD),
        ("CR", "bank", "800", USD),
    ]
    rest = books.do("charge_back_repayment", "2026-02-21", repayment=repaid.seq, account="bank", order=order)
    assert legs(rest) == [
        ("DR", a.RECEIVABLE["interest"], "700", USD),
        ("DR", a.PORTFOLIO, "120000", USD),
        ("CR", "bank", "120700", USD),
    ]
    again: dict[str, Any] = {"repayment": repaid.seq, "account": "bank", "amount": 1}
    assert books.refused("charge_back_repayment", "2026-02-22", **again)[0] == "exceeds_repayment"
    missing: dict[str, Any] = {"repayment": 1, "account": "bank"}
    assert books.refused("charge_back_repayment", "2026-02-22", **missing)[0] == "repayment_not_found"


def test_chargebacks_in_different_orders_take_each_part_back_once(books: LoanBooks) -> None:
    """What the first one took of a part, the second does not take again."""
    books.lent({**OFFER, "count": 1}, DAY)
    repaid = books.do("repay_loan", "2026-02-15", amount=121_200, account="bank")
    orders = (["interest", "principal", "fee", "penalty"], ["principal", "interest", "fee", "penalty"])
    for order in orders:
        books.do(
            "charge_back_repayment",
            "2026-02-20",
            repayment=repaid.seq,
            amount=1_200,
            account="bank",
            order=order,
        )
    book = books.loan().book
    assert book is not None
    assert book.outstanding() == {"principal": 1_200, "interest": 1_200, "fee": 0, "penalty": 0}


@pytest.mark.parametrize("lost", [False, True], ids=["active", "written off"])
def test_a_providers_repayment_charged_back_in_parts_leaves_nothing_behind(
    books: LoanBooks, lost: bool
) -> None:
    """Of what is left of it, the servicing rate is ours and the rest the provider's, to the unit."""
    books.ask("receive_provider_funds", "provider_funding:acme", DAY, asset=USD, amount=1_000, account="bank")
    books.lent({**OFFER, "amount": 1_000, "count": 1, "provider": "acme", "servicing_rate": "5"}, DAY)
    if lost:
        books.do("write_off_loan", DAY)
    repaid = books.do("repay_loan", "2026-02-15", amount=1_000, account="bank")
    payable, ours = a.provider_payable("acme"), a.SERVICING_INCOME
    assert (books.balance(payable), books.balance(ours)) == (-950, -50)
    for _ in range(100):
        books.do("charge_back_repayment", "2026-02-20", repayment=repaid.seq, amount=10, account="bank")
    assert (books.balance(payable), books.balance(ours), books.balance(a.RECOVERIES)) == (0, 0, 0)


def test_a_refunded_overpayment_that_is_charged_back_is_owed(books: LoanBooks) -> None:
    """The money is gone twice: the borrower owes what was refunded."""
    books.lent({**OFFER, "count": 1}, DAY)
    repaid = books.do("repay_loan", "2026-02-15", amount=121_500, account="bank")
    books.do("refund_overpayment", "2026-02-16", amount=300, account="bank")
    books.do("charge_back_repayment", "2026-02-20", repayment=repaid.seq, account="bank")
    book = books.loan().book
    assert book is not None
    assert book.outstanding() == {"principal": 120_300, "interest": 1_200, "fee": 0, "penalty": 0}
    assert books.balance(a.PORTFOLIO) == 120_300


# ---------------------------------------------------------------- giving up, changing, losses


def test_no_more_is_given_up_than_is_owed(books: LoanBooks) -> None:
    """Waivers and goodwill are bounded by what is owed; goodwill never pays interest that has not accrued."""
    books.lent(OFFER, DAY)
    assert books.refused("waive_loan", DAY, amounts={"fee": 1}) == (
        "exceeds_owed",
        {"part": "fee", "owed": "0", "amount": "1"},
    )
    assert books.refused("credit_goodwill", DAY, amount=120_001)[0] == "exceeds_owed"
    books.do("waive_loan", DAY, amounts={"interest": 7_800})
    book = books.loan().book
    assert book is not None
    assert book.outstanding()["interest"] == 0
    assert books.balance(a.LOSSES) == 0


def test_rescheduling_cures_arrears(books: LoanBooks) -> None:
    """What is past due is due with the new instalments; there must be something to plan, and later days."""
    books.lent(OFFER, DAY)
    books.do("accrue_loan", "2026-05-20")
    book = books.loan().book
    assert book is not None
    assert book.non_accrual
    assert book.days_past_due(date(2026, 5, 20)) == 94
    today: dict[str, Any] = {"first_due": "2026-05-20", "count": 6}
    assert books.refused("reschedule_loan", "2026-05-20", **today)[0] == "first_due_not_later"
    books.do(
        "reschedule_loan",
        "2026-05-20",
        first_due="2026-07-01",
        count=6,
        interest={"method": "flat", "rate": "6"},
    )
    book = books.loan().book
    assert book is not None
    assert not book.non_accrual
    assert [row.principal for row in book.rows if row.due > date(2026, 5, 20)] == [20_000] * 6
    assert books.balance(a.PORTFOLIO) == 120_000
    assert books.balance(a.SUSPENDED) == 0


def test_principal_that_was_charged_back_is_planned_anew_with_the_rest(books: LoanBooks) -> None:
    """It becomes part of the new instalments, and can be prepaid like all of them."""
    books.lent({**OFFER, "count": 1}, DAY)
    repaid = books.do("repay_loan", "2026-02-15", amount=121_200, account="bank")
    books.do("charge_back_repayment", "2026-02-20", repayment=repaid.seq, account="bank")
    books.do("reschedule_loan", "2026-03-01", first_due="2026-04-01", count=4)
    book = books.loan().book
    assert book is not None
    assert [row.principal for row in book.rows if row.due > date(2026, 3, 1)] == [30_000] * 4
    assert book.outstanding()["principal"] == 120_000
    books.do("prepay_loan", "2026-03-01", amount=60_000, account="bank")
    book = books.loan().book
    assert book is not None
    assert [row.principal for row in book.rows if row.due > date(2026, 3, 1)] == [15_000] * 4


def test_what_is_given_up_is_over(books: LoanBooks) -> None:
    """A loan that was written off takes recoveries only."""
    books.lent({**OFFER, "count": 1}, DAY)
    books.do("write_off_loan", "2026-02-15")
    assert books.loan().status == "written_off"
    assert books.refused("provision_loan", "2026-02-15")[0] == "loan_status"
    books.do("repay_loan", "2026-02-16", amount=500, account="bank")
    assert books.loan().status == "recovery"
    assert books.balance(a.RECOVERIES) == -500


def test_a_loan_that_is_paid_is_not_given_up_or_planned_anew(books: LoanBooks) -> None:
    """There is nothing to write off and nothing to plan."""
    books.lent({**OFFER, "count": 1}, DAY)
    books.do("repay_loan", "2026-02-15", amount=121_200, account="bank")
    assert books.refused("write_off_loan", "2026-02-20")[0] == "loan_status"
    assert books.refused("reschedule_loan", "2026-02-20", first_due="2026-03-20", count=2)[0] == "loan_status"


def test_history_refuses_what_came_to_nothing(books: LoanBooks) -> None:
    """A write-off stays what it is: no late repayment can leave it nothing to write off."""
    books.lent({**OFFER, "count": 1}, DAY)
    books.do("repay_loan", "2026-02-15", amount=1_000, account="bank")
    books.do("write_off_loan", "2026-03-15")
    late: dict[str, Any] = {"amount": 125_000, "account": "bank"}
    refused = books.refused("repay_loan", "2026-03-01", **late)
    assert refused[0] == "later_transaction_conflicts"
    assert refused[1]["because"] == "nothing_owed"
    books.do("repay_loan", "2026-03-20", amount=10, account="bank")


def test_a_waiver_dated_after_the_write_off_does_not_fit(books: LoanBooks) -> None:
    """A written-off loan takes recoveries; a waiver entered before and dated later is in the way."""
    books.lent({**OFFER, "count": 1}, DAY)
    waiver = books.do("waive_loan", "2026-03-15", amounts={"principal": 1_000})
    assert books.refused("write_off_loan", "2026-03-01") == (
        "later_transaction_conflicts",
        {"transaction": str(waiver.seq), "because": "loan_written_off"},
    )


def test_provisions_follow_the_days_past_due(books: LoanBooks) -> None:
    """Each run posts the change: 1 %, 20 %, 50 %, all; a payoff releases the rest."""
    books.lent({**OFFER, "count": 1, "interest": {"method": "flat", "rate": "0"}}, DAY)
    found = []
    for day in ("2026-01-20", "2026-03-17", "2026-03-18", "2026-05-17", "2026-08-14", "2026-08-15"):
        books.do("provision_loan", day)
        found.append(-books.balance(a.ALLOWANCE))
    assert found == [1_200, 1_200, 24_000, 60_000, 60_000, 120_000]
    books.do("repay_loan", "2026-09-01", amount=120_000, account="bank")
    assert (books.balance(a.ALLOWANCE), books.balance(a.IMPAIRMENT)) == (0, 0)


def test_collateral_is_locked_once_and_found_when_it_is_released(books: LoanBooks) -> None:
    """Memo entries: nothing of the balance sheet moves."""
    books.lent(OFFER, DAY)
    books.do("lock_collateral", DAY, collateral="CAR-1", value=90_000)
    assert books.refused("lock_collateral", DAY, collateral="CAR-1", value=1)[0] == "collateral_locked"
    assert books.refused("release_collateral", DAY, collateral="CAR-2")[0] == "collateral_not_found"
    books.do("release_collateral", DAY, collateral="CAR-1")
    assert books.balance(a.COLLATERAL) == 0


def test_accruing_to_a_day_that_is_past_is_refused(books: LoanBooks) -> None:
    """A daily run that is sent twice does nothing the second time."""
    books.lent(OFFER, DAY)
    books.do("accrue_loan", "2026-01-20")
    assert books.refused("accrue_loan", "2026-01-20")[0] == "already_accrued"


# ---------------------------------------------------------------- terms


def test_terms_that_mean_nothing_are_refused() -> None:
    """Grace for every instalment, a fee above the amount, a waterfall without a part, falling buckets."""
    interest = Interest("flat", "12")
    offer: dict[str, Any] = {"asset": USD, "amount": 100, "interest": interest, "count": 3}
    long = {"every": Every("months", 366), "count": 4}
    for wrong in ({"grace": 3}, {"fee": 101}, {"servicing_rate": "5"}, long):
        with pytest.raises(ValueError, match="`"):
            Offer(**{**offer, **wrong})
    for name, version, steps in (("house", 1, ()), ("penalty_first", 2, ()), ("due_first", 1, ("due fee",))):
        with pytest.raises(ValueError, match="`"):
            Waterfall(name, version, steps)
    with pytest.raises(ValueError, match="`steps`"):
        Waterfall("house", 1, ("due fee",))
    with pytest.raises(ValueError, match="`buckets`"):
        Policy(buckets=(30, 30))
    with pytest.raises(ValueError, match="`from_days`"):
        Policy(provisioning=CLASSES[1:])
    with pytest.raises(ValueError, match="`costs`"):
        Liquidation(collateral="C", amount=1, costs=2, account="bank")
    with pytest.raises(ValueError, match="`order`"):
        Chargeback(repayment=1, account="bank", order=("fee", "fee", "fee", "fee"))


def test_buckets_are_named_by_their_days() -> None:
    """1-30, 31-60, 61-90, 91-180 and above, unless the policy has others."""
    days = (0, 1, 30, 31, 90, 91, 180, 181)
    assert [Policy().bucket(n) for n in days] == [
        "current", "1-30", "1-30", "31-60", "61-90", "91-180", "91-180", ">180",
    ]  # fmt: skip
    assert Policy(buckets=(7,)).bucket(8) == ">7"
    assert Every().after(date(2026, 1, 31), 1) == date(2026, 2, 28)


# ---------------------------------------------------------------- words


def test_statuses_have_kredits_words(books: LoanBooks) -> None:
    """From the application to the recovery, each status on its day in Kredit's words."""
    assessed(books)
    apply(books)
    found = [kredit_status(books.loan(), date(2026, 1, 15))]
    books.do("approve_loan", DAY, offer=OFFER)
    found.append(kredit_status(books.loan(), date(2026, 1, 15)))
    books.lent(OFFER, DAY, "L2")
    loan = books.loan("L2")
    found += [kredit_status(loan, day) for day in (date(2026, 2, 15), date(2026, 2, 16))]
    books.do("accrue_loan", "2026-06-01", "L2")
    found.append(kredit_status(books.loan("L2"), date(2026, 6, 1)))
    books.do("write_off_loan", "2026-06-01", "L2")
    found.append(kredit_status(books.loan("L2"), date(2026, 6, 1)))
    books.lent(OFFER, DAY, "L3")
    books.do("settle_loan", DAY, "L3", amount=120_000, account="bank")
    found.append(kredit_status(books.loan("L3"), date(2026, 1, 15)))
    assert found == [
        None, "PENDING_DISBURSEMENT", "ACTIVE", "IN_ARREARS", "DEFAULTED", "WRITTEN_OFF", "COMPLETED",
    ]  # fmt: skip


def test_instalments_and_interest_have_words_too() -> None:
    """Pending, partial, paid, overdue, cancelled; flat, Rule of 78, declining balance, effective rate."""
    row = Row(date(2026, 1, 15), date(2026, 2, 15), 100, 10)
    due = date(2026, 2, 15)
    part = Row(row.start, row.due, 100, 10, 5, 10)
    rows = (row, part, Row(row.start, row.due, 100, 10, 100, 10), Row(row.start, row.due, 0, 0))
    assert [instalment_status(r, due) for r in rows] == ["pending", "partial", "paid", "cancelled"]
    assert instalment_status(part, date(2026, 2, 16)) == "overdue"
    kinds = (
        Interest("flat", "1"),
        Interest("rule_of_78", "1"),
        Interest("equal_instalments", "1"),
        Interest("equal_principal", "1", DayCount()),
    )
    assert [kredit_interest(kind) for kind in kinds] == [
        "FLAT",
        "RULE_78",
        "DECLINING_BALANCE",
        "EFFECTIVE_RATE",
    ]
