"""Ageing and collections: what is said of instalments, cases, notes, and promises that payments decide."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest

from ledger.events import Event
from ledger.loans.ageing import unsaid
from ledger.loans.case import Case
from tests.loan_books import OFFER, LoanBooks

START = date(2026, 1, 15)


@pytest.fixture
def books() -> LoanBooks:
    """A loan of 1,200.00 in 12 instalments, due on the 15th from 2026-02-15 on, with five days of grace."""
    books = LoanBooks()
    books.set_policy(grace_days=5, collection_days=10)
    books.lent(OFFER, "2026-01-15")
    return books


def collect(books: LoanBooks, operation: str, on: str, loan: str = "L1", **body: Any) -> Event:
    event = books.ask(operation, f"loan:{loan}", on, **body)
    assert isinstance(event, Event), event
    return event


def code(books: LoanBooks, operation: str, on: str, loan: str = "L1", **body: Any) -> str:
    return str(books.ask(operation, f"loan:{loan}", on, **body).code)


def case_of(books: LoanBooks, loan: str = "L1") -> Case:
    stream = books.state.streams[f"collection:{loan}"]
    assert stream is not None
    case: Case = stream.state
    return case


def announce(books: LoanBooks, on: str) -> list[str]:
    """What a daily run says on a day: due days and types, until there is nothing to say."""
    said = []
    if books.loan().book.accrued_to.isoformat() < on:  # type: ignore[union-attr]
        books.do("accrue_loan", on)
    while waiting := [due for due, _ in unsaid(books.loan())]:
        event = books.do("announce_instalment", on, due=waiting[0])
        said.append(f"{event.data['due']} {event.type.removeprefix('loan_repayment_')}")
    return said


def test_an_instalment_falls_due_and_is_missed_once_each(books: LoanBooks) -> None:
    """On its due day; on the day after its days of grace; and never again, however often it is asked."""
    assert announce(books, "2026-02-14") == []
    assert announce(books, "2026-02-15") == ["2026-02-15 due"]
    assert announce(books, "2026-02-20") == []
    assert announce(books, "2026-02-21") == ["2026-02-15 missed"]
    assert announce(books, "2026-02-28") == []
    assert code(books, "announce_instalment", "2026-03-01", due="2026-02-15") == "nothing_to_announce"
    assert code(books, "announce_instalment", "2026-03-01", due="2026-03-02") == "nothing_to_announce"


def test_what_is_paid_before_its_day_is_never_due_and_in_grace_never_missed(books: LoanBooks) -> None:
    """A payment the day before, and one on the last day of grace."""
    books.do("repay_loan", "2026-02-14", amount=11_200, account="bank")
    assert announce(books, "2026-03-10") == []
    assert announce(books, "2026-03-15") == ["2026-03-15 due"]
    books.do("repay_loan", "2026-03-20", amount=11_100, account="bank")
    assert announce(books, "2026-03-31") == []


def test_what_was_said_is_corrected_when_late_facts_show_otherwise(books: LoanBooks) -> None:
    """A payment that comes late into the books; then it is undone; a run that comes weeks late says both."""
    assert announce(books, "2026-02-25") == ["2026-02-15 due", "2026-02-15 missed"]
    in_grace = books.do("repay_loan", "2026-02-18", amount=11_200, account="bank")
    assert announce(books, "2026-02-26") == ["2026-02-15 corrected"]
    assert books.loan().announced == {"2026-02-15": 1}
    books.do("undo_loan_transaction", "2026-02-27", transaction=in_grace.seq, reason="typed wrong")
    assert announce(books, "2026-02-27") == ["2026-02-15 missed"]
    books.do("repay_loan", "2026-02-10", amount=11_200, account="bank")
    assert announce(books, "2026-02-28") == ["2026-02-15 corrected"]
    assert books.loan().announced == {}


@pytest.mark.parametrize("seed", range(8))
def test_in_any_order_of_facts_the_same_is_said_in_the_end(seed: int) -> None:
    """With a run on any day between: what stands said of each instalment is what the facts in order say."""
    chance = random.Random(seed)
    facts = [
        (START + timedelta(days=day), chance.choice([3_000, 11_200, 25_000]))
        for day in chance.sample(range(1, 150), 6)
    ]
    last = "2026-07-01"
    found = []
    for order in (sorted(facts), chance.sample(facts, len(facts))):
        books = LoanBooks()
        books.set_policy(grace_days=3)
        books.lent(OFFER, "2026-01-15")
        undone = books.do("repay_loan", "2026-01-20", amount=50_000, account="bank")
        for day, amount in order:
            books.do("repay_loan", day, amount=amount, account="bank")
            announce(books, (day + timedelta(days=chance.randrange(9))).isoformat())
        books.do("undo_loan_transaction", last, transaction=undone.seq, reason="typed wrong")
        announce(books, last)
        found.append(books.loan().announced)
    assert found[0] == found[1] == said_of(sorted(facts), date.fromisoformat(last))


def said_of(paid: list[tuple[date, int]], last: date) -> dict[str, int]:
    """By hand: equal principal of 100.00, interest of 1 % of what was left by plan, oldest due first."""
    found = {}
    before = 0
    for n in range(1, 6):
        due = date(2026, 1 + n, 15)
        before += 10_000 + (120_000 - 10_000 * (n - 1)) // 100
        by_eve = sum(amount for day, amount in paid if day < due)
        in_grace = sum(amount for day, amount in paid if day <= due + timedelta(days=3))
        if due <= last and by_eve < before:
            found[due.isoformat()] = 2 if in_grace < before and last > due + timedelta(days=3) else 1
    return found


# ---------------------------------------------------------------- cases


def test_a_case_opens_by_ageing_only_beyond_its_setting_and_by_hand_at_any_time(books: LoanBooks) -> None:
    """One case at a time; it closes by ageing only when nothing is past due; the next has the next number."""
    assert code(books, "open_collection_case", "2026-02-25", trigger="ageing") == "not_to_be_collected"
    opened = collect(books, "open_collection_case", "2026-02-26", trigger="ageing", assignee="desk-2")
    assert opened.type == "collection_case_opened"
    assert opened.data == {
        "loan": "L1", "case": "1", "opened": "2026-02-26", "trigger": "ageing", "days_past_due": "11",
        "bucket": "1-30", "provision_class": "standard", "assignee": "desk-2",
    }  # fmt: skip
    assert code(books, "open_collection_case", "2026-02-26") == "collection_case_open"
    closing = {"outcome": "cured", "trigger": "ageing"}
    assert code(books, "close_collection_case", "2026-02-27", **closing) == "still_past_due"
    books.do("repay_loan", "2026-02-27", amount=11_200, account="bank")
    collect(books, "close_collection_case", "2026-02-27", **closing)
    assert (case_of(books).status, case_of(books).outcome) == ("closed", "cured")
    assert collect(books, "open_collection_case", "2026-02-27").data["case"] == "2"
    assert code(books, "open_collection_case", "2026-02-27", loan="L9") == "loan_not_found"


def test_a_case_is_assigned_noted_on_and_moved_until_it_is_closed(books: LoanBooks) -> None:
    """Notes are counted in the state and stand in the events; a closed case takes nothing more."""
    collect(books, "open_collection_case", "2026-02-26")
    collect(books, "change_collection_case", "2026-02-27", assignee="desk-1")
    collect(books, "change_collection_case", "2026-02-28", status="legal")
    noted = collect(books, "add_collection_note", "2026-02-28", text="Called, see CRM 4711.")
    assert (noted.data["note"], noted.data["text"]) == ("1", "Called, see CRM 4711.")
    case = case_of(books)
    assert (case.assignee, case.status, case.notes) == ("desk-1", "legal", 1)
    collect(books, "close_collection_case", "2026-03-01", outcome="other", reason="Sold")
    for operation, body in (
        ("add_collection_note", {"text": "x"}),
        ("change_collection_case", {"status": "open"}),
        ("promise_payment", {"amount": 1, "by": "2026-03-05"}),
        ("record_promise", {"promise": 1}),
        ("close_collection_case", {"outcome": "other"}),
    ):
        assert code(books, operation, "2026-03-02", **body) == "collection_case_not_open"


def test_payments_decide_whether_a_promise_was_kept(books: LoanBooks) -> None:
    """Paid in parts by the end of its day it is kept; what was paid before it or after it does not count."""
    collect(books, "open_collection_case", "2026-02-26")
    books.do("repay_loan", "2026-02-26", amount=5_000, account="bank")
    assert code(books, "promise_payment", "2026-02-27", amount=5_000, by="2026-02-26") == "promise_day_over"
    collect(books, "promise_payment", "2026-02-27", amount=5_000, by="2026-03-05")
    collect(books, "promise_payment", "2026-02-27", amount=2_000, by="2026-03-09")
    books.do("repay_loan", "2026-03-01", amount=3_000, account="bank")
    assert code(books, "record_promise", "2026-03-05", promise=1) == "promise_undecided"
    assert code(books, "record_promise", "2026-03-05", promise=3) == "promise_not_found"
    paid = books.do("repay_loan", "2026-03-05", amount=2_500, account="bank")
    assert collect(books, "record_promise", "2026-03-05", promise=1).type == "collection_promise_kept"
    assert code(books, "record_promise", "2026-03-09", promise=2) == "promise_undecided"
    books.do("repay_loan", "2026-03-10", amount=2_000, account="bank")
    assert collect(books, "record_promise", "2026-03-10", promise=2).type == "collection_promise_broken"
    # What was taken back by the bank was not paid; what comes late into the books was.
    books.do("charge_back_repayment", "2026-03-11", repayment=paid.seq, account="bank", amount=1_000)
    assert collect(books, "record_promise", "2026-03-11", promise=1).type == "collection_promise_broken"
    books.do("repay_loan", "2026-03-04", amount=2_500, account="bank")
    assert collect(books, "record_promise", "2026-03-12", promise=1).type == "collection_promise_kept"
    assert collect(books, "record_promise", "2026-03-12", promise=2).type == "collection_promise_kept"
    assert code(books, "record_promise", "2026-03-12", promise=1) == "promise_undecided"
