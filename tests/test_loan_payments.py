"""Payments of borrowers: whose they are, what waits in suspense; order and repetition change nothing."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from ledger.events import Event
from ledger.loans import accounts as a
from ledger.loans.history import accrued
from ledger.loans.payments import LoanPayment
from ledger.loans.product import LOANS
from ledger.rejections import Rejection
from tests.loan_books import OFFER, USD, LoanBooks
from tests.test_loan_ledger import START, happening

FEBRUARY = "2026-02-15"


def paid(books: LoanBooks, name: str, on: str | date = FEBRUARY, **said: Any) -> Any:
    """What becomes of a payment that was received: its event, or why not."""
    fields = {"method": "bank_transfer", "asset": USD, "amount": 11_200, "processed": True, **said}
    return books.ask("create_loan_payment", f"loan_payment:{name}", on, **fields)


def about(books: LoanBooks, operation: str, name: str, on: str | date | None = None, **body: Any) -> Any:
    """Something asked of a payment."""
    return books.ask(operation, f"loan_payment:{name}", on, **body)


def payment(books: LoanBooks, name: str) -> LoanPayment:
    stream = books.state.streams[f"loan_payment:{name}"]
    assert stream is not None
    kept: LoanPayment = stream.state
    return kept


def lent(*loans: str) -> LoanBooks:
    """Loans of 12 instalments from 11,200 to 10,100, each of a borrower of its own, lent on 2026-01-15."""
    books = LoanBooks()
    for loan in loans:
        books.lent(OFFER, "2026-01-15", loan, f"B-{loan}")
    return books


def open_items(books: LoanBooks) -> int:
    """What the work list comes to."""
    streams = [stream for name, stream in books.state.streams.items() if name.startswith("loan_payment:")]
    return sum(stream.state.in_suspense for stream in streams if stream is not None)


# ---------------------------------------------------------------- whose it is


@pytest.mark.parametrize(
    ("said", "sign"),
    [
        ({"loan": "L1", "reference": "LOAN_L2"}, "loan"),
        ({"reference": "LOAN_L1", "virtual_account": "VA-2"}, "reference"),
        ({"reference": "LOAN_L9", "virtual_account": "VA-1"}, "virtual_account"),
        ({"reference": "rent for L1", "borrower": "B-L1"}, "instalment"),
        ({"borrower": "B-L1", "amount": 10_300}, "instalment"),
    ],
)
def test_the_surest_sign_that_finds_a_loan_decides(said: dict[str, Any], sign: str) -> None:
    """The loan it names, then `LOAN_{id}`, the virtual account, an instalment; the event says which."""
    books = lent("L1", "L2")
    books.ask("assign_virtual_account", "virtual_account:VA-1", "2026-01-16", loan="L1")
    books.ask("assign_virtual_account", "virtual_account:VA-2", "2026-01-16", loan="L2")
    event = paid(books, "P1", **said)
    assert (event.type, event.data["payment"]["matched_by"], event.data["loan"]) == (
        "loan_payment_processed",
        sign,
        "L1",
    )
    assert (payment(books, "P1").status, payment(books, "P1").loan) == ("matched", "L1")
    assert [type(fact).__name__ for fact in books.loan("L1").facts] == ["Disbursed", "Repaid"]
    assert books.balance(a.SUSPENSE) == 0


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"reference": "LOAN_L9"},
        {"reference": "xLOAN_L1"},
        {"virtual_account": "VA-9"},
        {"borrower": "B-L1", "amount": 11_201},
        {"borrower": "B-9"},
        {"loan": "L3"},
        {"reference": "LOAN_L1", "asset": "EUR/2"},
    ],
    ids=str,
)
def test_what_no_loan_can_take_waits_in_suspense(said: dict[str, Any]) -> None:
    """No sign, an unknown one, another asset, a loan that is only applied for: nothing is guessed."""
    books = lent("L1")
    books.accepted(OFFER, "2026-01-15", "L3", "B-L3")
    event = paid(books, "P1", **said)
    assert [(p.account, p.side) for p in event.postings] == [
        ("loans:clearing:bank_transfer", "debit"),
        (a.SUSPENSE, "credit"),
    ]
    assert payment(books, "P1").status == "suspense"
    assert len(books.loan("L1").facts) == 1


def test_an_instalment_of_two_loans_is_not_guessed_at() -> None:
    """A borrower with two loans that ask the same has to say which."""
    books = lent("L1")
    books.lent(OFFER, "2026-01-15", "L2", "B-L1")
    paid(books, "P1", borrower="B-L1")
    assert payment(books, "P1").status == "suspense"


def test_a_payment_for_a_loan_that_there_is_not_is_refused() -> None:
    """As are an unknown asset, a second one of the same name, and what its status does not allow."""
    books = lent("L1")
    assert paid(books, "P1", loan="L9").code == "loan_not_found"
    assert paid(books, "P1", asset="GBP/2").code == "asset_not_in_chart"
    paid(books, "P1", processed=False)
    assert paid(books, "P1").code == "loan_payment_exists"
    assert about(books, "match_loan_payment", "P1", loan="L1").code == "loan_payment_status"
    assert about(books, "refund_loan_payment", "P1", reason="No").code == "loan_payment_status"
    assert about(books, "fail_loan_payment", "P1", FEBRUARY, reason="No funds").type == "loan_payment_failed"
    assert about(books, "process_loan_payment", "P1", FEBRUARY).code == "loan_payment_status"
    assert about(books, "process_loan_payment", "P9").code == "loan_payment_not_found"
    assert payment(books, "P1").status == "failed"


# ---------------------------------------------------------------- the work list


def test_a_match_counts_on_the_day_of_the_receipt() -> None:
    """However late it is made: arrears between receipt and match never were."""
    books = lent("L1")
    paid(books, "P1", FEBRUARY)
    books.do("accrue_loan", "2026-05-20", "L1")
    event = about(books, "match_loan_payment", "P1", loan="L1")
    assert event.effective_at.startswith(FEBRUARY)
    assert str(books.loan("L1").facts[-1].day) == FEBRUARY
    again = about(books, "match_loan_payment", "P1", loan="L1")
    assert again.code == "loan_payment_status"


def test_what_was_received_before_the_loan_began_counts_from_its_beginning() -> None:
    """Money that waited for its loan repays it on its first day."""
    books = LoanBooks()
    paid(books, "P1", "2026-01-10")
    books.lent(OFFER, "2026-01-15", "L1")
    about(books, "match_loan_payment", "P1", loan="L1")
    assert str(books.loan("L1").facts[-1].day) == "2026-01-15"


def test_a_match_is_refused_for_another_asset_or_a_loan_without_money() -> None:
    """With the figures that show why."""
    books = lent("L1")
    books.accepted(OFFER, "2026-01-15", "L2", "B2")
    paid(books, "P1", asset="EUR/2")
    paid(books, "P2")
    assert about(books, "match_loan_payment", "P1", loan="L1").code == "payment_asset_differs"
    assert about(books, "match_loan_payment", "P2", loan="L2").code == "loan_status"
    assert about(books, "match_loan_payment", "P2", loan="L9").code == "loan_not_found"


def test_a_repayment_that_is_undone_waits_for_its_loan_again() -> None:
    """It is on the work list as before it was matched, and can be matched to the right loan."""
    books = lent("L1", "L2")
    event = paid(books, "P1", reference="LOAN_L1")
    books.do("undo_loan_transaction", "2026-03-01", "L1", transaction=event.seq, reason="Not his")
    assert (payment(books, "P1").status, payment(books, "P1").loan) == ("suspense", "")
    assert books.balance(a.SUSPENSE) == -11_200
    about(books, "match_loan_payment", "P1", loan="L2")
    assert (payment(books, "P1").matched_by, payment(books, "P1").loan) == ("hand", "L2")
    assert books.balance(a.SUSPENSE) == 0


def test_a_payment_is_given_back_in_parts_never_more_than_it_was() -> None:
    """Out of suspense first; what repaid a loan is charged back; a refund that is undone is with the loan."""
    books = lent("L1")
    paid(books, "P1")
    about(books, "refund_loan_payment", "P1", "2026-02-16", amount=200, reason="Too much")
    about(books, "match_loan_payment", "P1", loan="L1")
    assert payment(books, "P1").repaid == 11_000
    over = about(books, "refund_loan_payment", "P1", amount=11_001, reason="Disputed")
    assert (over.code, over.evidence) == ("exceeds_payment", {"left": "11000", "amount": "11001"})
    part = about(books, "refund_loan_payment", "P1", "2026-02-17", amount=1_000, reason="Disputed")
    about(books, "refund_loan_payment", "P1", "2026-02-18", reason="Disputed")
    assert (payment(books, "P1").status, payment(books, "P1").refunded) == ("refunded", 11_200)
    assert books.balance("loans:clearing:bank_transfer") == 0
    refused = books.ask("undo_loan_transaction", "loan:L1", "2026-03-01", transaction=1, reason="No")
    assert isinstance(refused, Rejection)
    books.do("undo_loan_transaction", "2026-03-01", "L1", transaction=part.seq, reason="Won")
    assert (payment(books, "P1").status, payment(books, "P1").refunded) == ("matched", 10_200)
    assert books.balance("loans:clearing:bank_transfer") == 1_000


# ---------------------------------------------------------------- at every step


def something(chance: random.Random, books: LoanBooks) -> Any:
    """Something random to ask of a payment, on any day."""
    name, day = f"P{chance.randrange(8)}", START + timedelta(days=chance.randrange(1, 400))
    loan = chance.choice(("L1", "L2", "L3"))
    signs: dict[str, Any] = chance.choice(
        [{}, {"reference": f"LOAN_{loan}"}, {"borrower": f"B-{loan}"}, {"virtual_account": "VA"}]
    )
    more = {"amount": chance.choice((500, 11_200, 90_000)), "method": chance.choice(("cash", "check"))}
    operation, body = chance.choice(
        [
            ("create", {**signs, **more, "processed": chance.random() < 0.7}),
            ("create", {**signs, **more, "processed": chance.random() < 0.7}),
            ("process_loan_payment", {}),
            ("fail_loan_payment", {"reason": "No"}),
            ("match_loan_payment", {"loan": loan}),
            ("match_loan_payment", {"loan": loan}),
            ("refund_loan_payment", {"reason": "No"}),
            ("refund_loan_payment", {"amount": 400, "reason": "No"}),
        ]
    )
    if operation == "create":
        return paid(books, name, day, **body)
    return about(books, operation, name, None if operation == "match_loan_payment" else day, **body)


@pytest.mark.parametrize("seed", range(5))
def test_suspense_is_the_work_list_and_accounts_are_their_streams_at_every_step(seed: int) -> None:
    """Whatever happens to payments and loans, on days in any order: suspense is what is open of payments,
    and every account that loans alone post to has what loans and payments claim of it.
    """
    chance, books = random.Random(seed), LoanBooks()
    funds: dict[str, Any] = {"asset": USD, "amount": 10**6, "account": "bank"}
    books.ask("receive_provider_funds", "provider_funding:acme", START, **funds)
    for loan, offer in (("L1", {"fee": 700}), ("L2", {"count": 2}), ("L3", {"provider": "acme"})):
        books.lent({**OFFER, **offer}, "2026-01-15", loan, f"B-{loan}")
    books.ask("assign_virtual_account", "virtual_account:VA", START, loan="L2")
    kinds: Counter[str] = Counter()
    for _ in range(100):
        if chance.random() < 0.7:
            outcome = something(chance, books)
        else:
            outcome = happening(chance, books, chance.choice(("L1", "L2", "L3")))
        if isinstance(outcome, Rejection):
            continue
        kinds[outcome.type] += 1
        assert -books.balance(a.SUSPENSE) == open_items(books), outcome
        assert claimed(books) == held(books), outcome
    assert {"loan_payment_processed", "loan_payment_matched", "loan_payment_refunded"} <= kinds.keys()


def claimed(books: LoanBooks) -> dict[str, int]:
    """What streams claim of accounts."""
    found: Counter[str] = Counter()
    for name, stream in books.state.streams.items():
        if stream is not None:
            for account, _, amount in LOANS.kinds[name.partition(":")[0]].claims(stream.state, name):
                found[account] += amount
    return {account: amount for account, amount in found.items() if amount}


def held(books: LoanBooks) -> dict[str, int]:
    """What is on the accounts that loans alone post to."""
    found = {name: books.balance(name) for name in a.OWN}
    return {account: amount for account, amount in found.items() if amount}


# ---------------------------------------------------------------- any order, any repetition


def standing(books: LoanBooks) -> Any:
    """Balances and debts, all accrued to one day: what must not depend on the order of things."""
    loans = []
    for name in ("L1", "L2"):
        book = accrued(books.loan(name).history, date(2027, 6, 1)).history.book
        assert book is not None
        tallies = {part: (t.accrued, t.paid, t.waived) for part, t in book.tallies.items()}
        loans.append((book.rows, tallies, book.overpaid, book.closed, book.totals))
    accounts = ("loans:clearing:cash", "loans:clearing:check", a.SUSPENSE)
    return loans, [books.balance(account) for account in accounts], open_items(books)


def receipts(chance: random.Random) -> Iterator[tuple[str, dict[str, Any], date, str]]:
    """Payments of two loans by name, with what they say, when they came, and whose they are."""
    signs: dict[str, list[dict[str, Any]]] = {
        loan: [
            {},
            {"reference": f"LOAN_{loan}"},
            {"borrower": f"B-{loan}"},
            {"virtual_account": f"VA-{loan}"},
        ]
        for loan in ("L1", "L2")
    }
    for number in range(10):
        loan = chance.choice(("L1", "L2"))
        said = {**chance.choice(signs[loan]), "method": chance.choice(("cash", "check"))}
        said["amount"] = chance.choice((11_200, 11_100, 10_900, 5_000, 30_000))
        yield f"P{number}", said, START + timedelta(days=1 + 37 * number), loan


def entered(payments: list[tuple[str, dict[str, Any], date, str]], lend_at: int) -> LoanBooks:
    """Books after the payments, the second loan lent when so many had come, the rest matched by hand."""
    books = LoanBooks()
    books.lent(OFFER, "2026-01-15", "L1", "B-L1")
    books.accepted(OFFER, "2026-01-15", "L2", "B-L2")
    for loan in ("L1", "L2"):
        books.ask("assign_virtual_account", f"virtual_account:VA-{loan}", "2026-01-15", loan=loan)
    whose = {name: loan for name, _, _, loan in payments}
    for number, (name, said, day, _) in enumerate([*payments, payments[0]]):
        if number == lend_at:
            sent = books.do("disburse_loan", "2026-01-15", "L2", account="bank", method="bank_transfer")
            books.do("confirm_disbursement", "2026-01-15", "L2", disbursement=sent.seq)
        paid(books, name, day, **said)
    for name, loan in whose.items():
        if payment(books, name).status == "suspense":
            assert isinstance(about(books, "match_loan_payment", name, loan=loan), Event)
    return books


@pytest.mark.parametrize("seed", range(5))
def test_payments_in_any_order_and_twice_leave_the_books_of_those_in_order(seed: int) -> None:
    """They may come before their loan, after others that are later, or again; matched by their signs or by
    hand: debts, clearing and suspense are in the end what they are for the same payments in order.
    """
    chance = random.Random(seed)
    payments = list(receipts(chance))
    in_order = entered(payments, 0)
    assert any(payment(in_order, name).matched_by != "hand" for name, *_ in payments)
    shuffled = chance.sample(payments, len(payments)) + chance.sample(payments, 3)
    other = entered(shuffled, chance.randrange(len(payments)))
    assert standing(other) == standing(in_order)
    assert open_items(other) == 0


# ---------------------------------------------------------------- KYC


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (1, 1, 2)])
def test_the_last_word_on_kyc_counts_whatever_comes_first(order: tuple[int, ...]) -> None:
    """By when it was said, not by when it came; limits and rating stay as they were assessed."""
    news = [("2026-01-01", "pending"), ("2026-01-02", "rejected"), ("2026-01-03", "verified")]
    books = LoanBooks()
    books.ask("assess_borrower", "borrower:B1", "2026-02-01", kyc="pending", limits={USD: 50}, score=700)
    for place in order:
        day, kyc = news[place]
        books.ask("set_kyc_status", "borrower:B1", day, kyc=kyc)
    borrower = books.borrower()
    assert (borrower.kyc, borrower.limits, borrower.score) == ("verified", {USD: 50}, 700)


def test_news_of_kyc_before_a_decision_of_our_own_changes_nothing() -> None:
    """An assessment that rejects is not overruled by what was verified before it."""
    books = LoanBooks()
    books.ask("assess_borrower", "borrower:B1", "2026-02-01", kyc="rejected")
    late = books.ask("set_kyc_status", "borrower:B1", "2026-01-31", kyc="verified")
    assert (late.code, books.borrower().kyc) == ("already_recorded", "rejected")
    books.ask("set_kyc_status", "borrower:B2", "2026-01-31", kyc="verified")
    event = books.ask(
        "submit_loan_application", "loan:L1", "2026-02-01", borrower="B2", asset=USD, amount=100
    )
    assert isinstance(event, Event)
