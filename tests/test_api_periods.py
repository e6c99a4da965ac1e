"""Periods and assertions over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.audit import audited
from tests.conftest import NewDatabase
from tests.served import Book, Service, leg, move, served

OCTOBER = "2020-10-15T10:00:00Z"


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service
        audited(conninfo)


@pytest.fixture
def book(service: Service) -> Book:
    """A ledger where fees of 5.00 were earned in October 2020."""
    book = service.open()
    book.seq(move("cash", "fees", 500, effective_at=OCTOBER))
    return book


def test_period_closes_with_entries_and_reopens(book: Book) -> None:
    """The answer names the entries; the list has what is closed, and how it came to be."""
    answer = book.call("POST", "/periods/2020-10/close", {"retained_earnings": "fx"})
    closed = answer.json()
    assert answer.status_code == 201, closed
    assert (closed["type"], closed["period"], closed["seq"], closed["closing_entries"]) == (
        "period_closed",
        "2020-10",
        6,
        [5],
    )
    entry = book.get("/transactions/5")
    assert entry["effective_at"] == "2020-10-31T23:59:59.999999Z"
    assert [(p["account"], p["side"], p["amount"]) for p in entry["postings"]] == [
        ("fees", "debit", 500),
        ("fx", "credit", 500),
    ]
    listed = book.get("/periods")
    assert [(p["period"], p["closed_seq"]) for p in listed["closed"]] == [("2020-10", 6)]
    assert [event["seq"] for event in listed["history"]] == [3, 4, 6]
    page = book.get("/periods", after=3, limit=1)
    assert ([event["seq"] for event in page["history"]], page["next"]) == ([4], 4)
    assert page["history"][0]["reason"] == "closing entries"
    answer = book.call("POST", "/periods/2020-10/reopen", {"reason": "an invoice came late"})
    assert (answer.status_code, answer.json()["type"]) == (201, "period_reopened")
    assert book.get("/periods")["closed"] == []


def test_late_transaction_is_dated_anew(book: Book) -> None:
    """Refused with the first open moment and date; taken there, with the first date kept and shown."""
    for period in ("2020-10", "2020-Q4"):
        assert book.call("POST", f"/periods/{period}/close").status_code == 201
    late = move("cash", "fees", 1, effective_at=OCTOBER)
    answer = book.post(late)
    assert (answer.status_code, answer.json()["code"]) == (422, "period_closed")
    evidence = answer.json()["evidence"]
    assert evidence == {
        "period": "2020-Q4",
        "effective_at": "2020-10-15T10:00:00.000000Z",
        "first_open": "2021-01-01T00:00:00.000000Z",
        "first_open_date": "2021-01-01",
    }
    dated = late | {"effective_at": evidence["first_open"], "original_effective_at": OCTOBER}
    seq = book.seq(dated)
    assert book.get(f"/transactions/{seq}")["original_effective_at"] == "2020-10-15T10:00:00.000000Z"
    line = book.get("/accounts/fees/statement")["lines"][-1]
    assert (line["seq"], line["original_effective_at"]) == (seq, "2020-10-15T10:00:00.000000Z")


def test_batches_obey_closed_periods(book: Book) -> None:
    """In an independent batch the late item alone is refused, in an atomic one all are."""
    assert book.call("POST", "/periods/2020/close").status_code == 201
    items = [move("cash", "fees", 1), move("cash", "fees", 2, effective_at=OCTOBER)]
    results = book.call("POST", "/transactions/batch", {"transactions": items}).json()["results"]
    assert [result["status"] for result in results] == [201, 422]
    answer = book.call("POST", "/transactions/batch", {"atomic": True, "transactions": items})
    assert (answer.status_code, answer.json()["code"]) == (422, "period_closed")


def test_hold_is_posted_voided_and_reversed_outside_closed_periods(book: Book) -> None:
    """Whatever is done to it later counts now, or is refused when it is dated back."""
    hold = book.seq({"postings": [leg("cash", "debit", 9), leg("fees", "credit", 9)], "pending": True,
                     "effective_at": OCTOBER})  # fmt: skip
    assert book.call("POST", "/periods/2020/close").status_code == 201
    for verb in ("post", "void"):
        answer = book.call("POST", f"/transactions/{hold}/{verb}", {"effective_at": OCTOBER})
        assert answer.json()["code"] == "period_closed"
    answer = book.call("POST", "/transactions/2/reverse", {"effective_at": OCTOBER})
    assert answer.json()["code"] == "period_closed"
    assert book.call("POST", f"/transactions/{hold}/post", {"amounts": [4, 4]}).status_code == 201
    assert book.call("POST", f"/transactions/{hold}/void").status_code == 201
    assert book.call("POST", "/transactions/2/reverse").status_code == 201


def test_assertion_is_recorded_as_it_was_made(book: Book) -> None:
    """Whether it holds is not asked here; the event has all of it."""
    body = {"account": "fees", "asset": "USD/2", "at": "2020-10-31", "expected": -500, "source": "auditor",
            "tolerance": "3", "reference": "r-1"}  # fmt: skip
    answer = book.call("POST", "/assertions", body)
    assert (answer.status_code, answer.json()["type"]) == (201, "balance_asserted")
    event = book.get("/events", after=answer.json()["seq"] - 1)["events"][0]["body"]
    assert event["reference"] == "r-1"
    assert event["data"] == {
        "account": "fees",
        "asset": "USD/2",
        "at": "2020-10-31T23:59:59.999999Z",
        "expected": "-500",
        "tolerance": "3",
        "source": "auditor",
        "balance": "posted",
    }
    unknown = book.call("POST", "/assertions", body | {"account": "customers:77"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "account_not_found")


def test_refused_closing_changes_nothing(book: Book) -> None:
    """Not over, closed already, not closed: each is said with its figures."""
    for path, body, code in (
        ("/periods/2999/close", {}, "period_not_over"),
        ("/periods/2020/close", {"retained_earnings": "fees"}, "retained_earnings_not_equity"),
        ("/periods/2020/reopen", {"reason": "late"}, "period_not_closed"),
    ):
        answer = book.call("POST", path, body)
        assert answer.json()["code"] == code
    assert book.head() == 2
