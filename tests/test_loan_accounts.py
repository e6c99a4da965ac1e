"""Statements, credit reports and figures of lending, against what loans and accounts say by themselves."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from ledger.loans.history import accrued
from ledger.loans.statement import debt_of, steps
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.loan_books import OFFER, LoanBooks
from tests.served import Service, served
from tests.test_loan_ledger import START, happening
from tests.test_loan_model import live

LEDGER = "/v1/ledgers/main"


def test_a_statement_tells_every_day_in_the_accountants_way() -> None:
    """Lent, accrued, repaid, charged, paid too much: a line each, and the balance after it."""
    books = LoanBooks()
    books.lent({**OFFER, "count": 2}, "2026-01-15")
    books.do("charge_loan", "2026-02-01", part="penalty", amount=90)
    books.do("repay_loan", "2026-03-15", amount=130_000, account="bank")
    told = [
        (str(step.day), step.kind, step.amount, step.after.balance, step.days_past_due)
        for step in steps(books.loan().history, date(2026, 4, 1))
    ]
    assert told == [
        ("2026-01-15", "disbursed", 120_000, 120_000, 0),
        ("2026-02-01", "accrued", 658, 120_658, 0),
        ("2026-02-01", "charged", 90, 120_748, 0),
        ("2026-03-15", "accrued", 1_142, 121_890, 42),
        ("2026-03-15", "repaid", 130_000, -8_110, 42),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_statement_ends_where_the_loan_is_after_anything(seed: int) -> None:
    """Whatever happened, in whatever order: the last line is the loan's own debt, on any later day."""
    chance, books = random.Random(seed), LoanBooks()
    books.lent({**OFFER, "fee": 900}, "2026-01-15", amount=119_000)
    for _ in range(40):
        happening(chance, books, "L1")
    book = books.loan().book
    assert book is not None
    for days in (0, 30, 1_000):
        day = book.accrued_to + timedelta(days=days)
        *_, last = steps(books.loan().history, day)
        after = accrued(books.loan().history, day).history.book
        assert after is not None
        assert last.after == debt_of(after)
    facts = [step.seq for step in steps(books.loan().history, day) if step.seq is not None]
    assert facts == [fact.seq for fact in books.loan().facts]
    assert day >= START


# ---------------------------------------------------------------- over HTTP


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo:
        with writing(conninfo) as writer:
            live(writer, "main", 1)
        with served(conninfo) as service:
            yield service


def lines(service: Service, kind: str, **query: Any) -> list[dict[str, Any]]:
    head = service.get(LEDGER)["seq"]
    page = service.get(f"{LEDGER}/{kind}", min_seq=head, limit=1_000, **query)
    found: list[dict[str, Any]] = page[kind.removeprefix("loan-")]
    return found


@pytest.mark.parametrize("borrower", [None, "B1", "B2"])
def test_figures_are_the_sums_of_the_lists(service: Service, borrower: str | None) -> None:
    """By asset and status, of all and of a borrower; payments too; rates of the applications."""
    day, head = "2026-08-01", service.get(LEDGER)["seq"]
    place = "loan-overview" if borrower is None else f"borrowers/{borrower}/overview"
    told = service.get(f"{LEDGER}/{place}", on=day, min_seq=head)
    whose = {} if borrower is None else {"borrower": borrower}
    loans = lines(service, "loans", on=day, **whose)
    counted: Counter[tuple[str, ...]] = Counter()
    for line in loans:
        where = (line["asset"], line["status"])
        counted[(*where, "loans")] += 1
        for name in ("disbursed", "principal", "interest", "fee", "penalty", "overpaid"):
            counted[(*where, name)] += line[name]
        late = line["status"] == "active" and line["days_past_due"] > 0
        counted[(*where, "past_due")] += late
        counted[(*where, "past_due_principal")] += line["principal"] * late
    for figures in told["loans"]:
        for name in ("loans", "disbursed", "principal", "interest", "fee", "penalty", "overpaid"):
            assert figures[name] == counted[figures["asset"], figures["status"], name], name
        for name in ("past_due", "past_due_principal"):
            assert figures[name] == counted[figures["asset"], figures["status"], name], name
    assert sum(figures["loans"] for figures in told["loans"]) == len(loans)
    names = {line["loan"] for line in loans}
    payments = lines(service, "loan-payments")
    if borrower is not None:
        payments = [p for p in payments if p["loan"] in names or p["borrower"] == borrower]
    for name in ("amount", "in_suspense", "refunded"):
        assert sum(f[name] for f in told["payments"]) == sum(p[name] for p in payments)
    assert sum(figures["payments"] for figures in told["payments"]) == len(payments)
    if borrower is None:
        assert (told["applications"], told["approved"], told["rejected"]) == (6, 3, 1)
        assert (told["approval_rate"], told["borrowers"]) == ("75.00", {"pending": 2, "rejected": 1})


def test_a_credit_report_has_every_loan_of_the_borrower(service: Service) -> None:
    """Each as the loan itself says; never less late than now; page by page."""
    told, after = [], ""
    while True:
        page = service.get(f"{LEDGER}/borrowers/B1/report", on="2026-08-01", limit=1, after=after)
        told += page["loans"]
        if page["next"] is None:
            break
        after = page["next"]
    assert [loan["loan"] for loan in told] == ["L1", "L2"]
    for line in told:
        loan = service.get(f"{LEDGER}/loans/{line['loan']}", on="2026-08-01")
        position = loan["position"]
        for name in ("status", "kredit_status", "asset"):
            assert line[name] == loan[name]
        assert line["owed"] == position["owed"]
        assert line["instalments"] == Counter(row["status"] for row in position["schedule"])
        assert line["worst_days_past_due"] >= line["days_past_due"] == position["days_past_due"]
        assert line["opened"] == "2026-01-15"


@pytest.mark.parametrize("loan", ["L1", "L2", "L3"])
def test_a_statement_adds_up_over_any_period(service: Service, loan: str) -> None:
    """Opening balance and the changes between are the closing balance; two halves are the whole."""
    whole = service.get(f"{LEDGER}/loans/{loan}/statement", to="2027-06-01")
    first = service.get(f"{LEDGER}/loans/{loan}/statement", to="2026-05-31")
    rest = service.get(f"{LEDGER}/loans/{loan}/statement", **{"from": "2026-06-01", "to": "2027-06-01"})
    assert (whole["opening"], first["closing"], rest["closing"]) == (0, rest["opening"], whole["closing"])
    for told in (whole, first, rest):
        moved = sum(line["change"]["total"] - line["overpaid"] for line in told["lines"])
        assert told["opening"] + moved == told["closing"]
        assert told["closing"] == told["closing_parts"]["total"] - told["overpaid"]
        if told["lines"]:
            assert told["lines"][-1]["balance"] == told["closing"]


def test_what_cannot_be_read_is_named(service: Service) -> None:
    """Unknown names and periods that end before they begin."""
    path = f"{LEDGER}/borrowers/B9"
    for place in (f"{path}/overview", f"{path}/report"):
        assert service.call("GET", place).json()["code"] == "borrower_not_found"
    assert service.call("GET", f"{LEDGER}/loans/L9/statement").json()["code"] == "loan_not_found"
    backwards = service.call(
        "GET", f"{LEDGER}/loans/L1/statement", params={"from": "2026-02-01", "to": "2026-01-01"}
    )
    assert (backwards.status_code, "from" in backwards.text) == (400, True)
    assert service.get(f"{LEDGER}/loans/L4/statement")["lines"] == []
