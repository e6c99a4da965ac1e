"""The read models of loans and payments: what they list; they are what the events make, however cut."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.events import Event
from ledger.rejections import Rejection
from ledger.writer import Writer
from projections import loan_payments, loans
from projections.loan_payments import LoanPayments
from projections.loans import Loans
from projections.verify import verify
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.histories import project
from tests.loan_books import CHART, OFFER, USD
from tests.served import Service, served
from tests.test_loan_ledger import asked, happening
from tests.test_loan_payments import paid, something

MODELS = (Loans(), LoanPayments())
STEPS = 40
SIZES = (1, 7, 1_000)
DAYS = [date(2026, 1, 20), date(2026, 3, 1), date(2026, 8, 1), date(2027, 6, 2)]


class StoredBooks:
    """Loans in a stored ledger, asked as those in memory are."""

    def __init__(self, writer: Writer, ledger: str) -> None:
        self.writer, self.ledger = writer, ledger
        self.events: list[Event] = []
        self._keep(c.command(c.LedgerOpening(name=ledger, chart=CHART)))

    def _keep(self, command: c.Command) -> Any:
        [outcome] = self.writer.execute(self.ledger, Request([command]))
        if not isinstance(outcome, Recorded):
            return getattr(outcome, "rejection", outcome)
        self.events.append(outcome.event)
        return outcome.event

    def ask(
        self, operation: str, subject: str, on: str | date | None, actor: str = "clerk", **body: Any
    ) -> Event | Rejection:
        """The event of a command, or why it is refused."""
        outcome: Event | Rejection = self._keep(asked(operation, subject, str(on or ""), actor, **body))
        return outcome

    def lent(self, loan: str, borrower: str, **offer: Any) -> None:
        """A loan that was disbursed on 2026-01-15."""
        whole = {**OFFER, **offer}
        name, day = f"loan:{loan}", "2026-01-15"
        self.ask("assess_borrower", f"borrower:{borrower}", day, kyc="verified", rating="low", score=700)
        self.ask("submit_loan_application", name, day, borrower=borrower, asset=USD, amount=whole["amount"])
        self.ask("approve_loan", name, day, "boss", offer=whole)
        self.ask("accept_loan", name, day)
        held = self.ask("disburse_loan", name, day, account="bank", method="wallet")
        assert isinstance(held, Event)
        self.ask("confirm_disbursement", name, day, disbursement=held.seq)


def live(writer: Writer, ledger: str, seed: int) -> int:
    """A ledger whose loans went through everything; its head."""
    chance = random.Random(seed)
    books = StoredBooks(writer, ledger)
    books.ask("set_loan_policy", "loan_policy:main", "2026-01-01", policy={"grace_days": seed})
    funds: dict[str, Any] = {"asset": USD, "amount": 10**6, "account": "bank"}
    books.ask("receive_provider_funds", "provider_funding:acme", "2026-01-15", **funds)
    books.lent("L1", "B1", fee=1_500, interest={"method": "flat", "rate": "24", "daily": {}})
    books.lent("L2", "B1", count=3)
    books.lent("L3", "B2", provider="acme", servicing_rate="3")
    for name, step in (("L4", "reject_loan"), ("L5", "withdraw_loan"), ("L6", "")):
        books.ask(
            "submit_loan_application", f"loan:{name}", "2026-02-10", borrower="B2", asset=USD, amount=77
        )
        if step:
            books.ask(step, f"loan:{name}", "2026-02-11", **({"reason": "No"} if name == "L4" else {}))
    books.ask("assess_borrower", "borrower:B2", "2026-02-12", kyc="rejected")
    for name in ("B1", "B3"):
        books.ask("set_kyc_status", f"borrower:{name}", "2026-02-13", kyc="pending")
    for number in range(8):
        paid(books, f"P{number}", f"2026-02-1{number}", reference=f"LOAN_L{number}", processed=number > 1)  # type: ignore[arg-type]
    for _ in range(STEPS):
        happening(chance, books, chance.choice(("L1", "L2", "L3")))  # type: ignore[arg-type]
        something(chance, books)  # type: ignore[arg-type]
    return books.events[-1].seq


def rows(conninfo: str) -> list[list[tuple[Any, ...]]]:
    with psycopg.connect(conninfo) as connection:
        return [
            connection.execute(f"SELECT * FROM projections.{table} ORDER BY ledger_id, {name}").fetchall()
            for table, name in (("loans", "loan"), ("borrowers", "borrower"), ("loan_payments", "payment"))
        ]


@pytest.fixture(scope="module")
def lived(new_database: NewDatabase) -> Iterator[str]:
    """A database in which one life is three ledgers, projected in ranges of one, of seven and of all."""
    with new_database() as conninfo:
        with writing(conninfo) as writer:
            for number, size in enumerate(SIZES, 1):
                project(conninfo, number, live(writer, f"main-{size}", 1), size, MODELS)
        yield conninfo


def test_the_rows_are_what_the_events_make_however_they_are_cut(
    lived: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same life, cut into ranges in three ways; compared with a fold of the events in parts."""
    monkeypatch.setattr(loans, "PART", 3)
    monkeypatch.setattr(loan_payments, "PART", 3)
    for size in SIZES:
        for model in MODELS:
            [verdict] = verify(lived, model, f"main-{size}")
            assert verdict.difference is None, verdict
    for table, count in zip(rows(lived), (6, 3, 8), strict=True):
        found = [[row[2:] for row in table if row[1] == number] for number in (1, 2, 3)]
        assert found[0] == found[1] == found[2]
        assert len(found[0]) == count


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("loan_payments", "in_suspense", "7"),
        ("loans", "principal", "7"),
        ("loans", "oldest_due", "'2020-01-01'"),
        ("borrowers", "score", "1"),
    ],
)
def test_a_row_that_differs_is_found(lived: str, table: str, column: str, value: str) -> None:
    """The verification names the difference."""
    change = f"UPDATE projections.{table} SET {column} = {value} WHERE ledger_id = 1"
    with psycopg.connect(lived) as connection:
        before = connection.execute(f"SELECT * FROM projections.{table} WHERE ledger_id = 1").fetchall()
        connection.execute(change)
    try:
        verdicts = [verdict for model in MODELS for verdict in verify(lived, model, "main-1")]
        assert [verdict.projection for verdict in verdicts if verdict.difference is not None] == [
            "loan_payments" if table == "loan_payments" else "loans"
        ]
    finally:
        with psycopg.connect(lived) as connection, connection.cursor() as cursor:
            connection.execute(f"DELETE FROM projections.{table} WHERE ledger_id = 1")
            places = ", ".join(["%s"] * len(before[0]))
            cursor.executemany(f"INSERT INTO projections.{table} VALUES ({places})", before)


# ---------------------------------------------------------------- lists


@pytest.fixture(scope="module")
def service(lived: str) -> Iterator[Service]:
    with served(lived) as service:
        yield service


def every(service: Service, list: str, **query: Any) -> list[dict[str, Any]]:
    """All lines of a list, page by page."""
    path, found, after = f"/v1/ledgers/main-7/{list}", [], ""
    while True:
        page = service.get(path, limit=2, after=after, **query)
        found += page[list.removeprefix("loan-")]
        if page["next"] is None:
            return found
        after = page["next"]


@pytest.mark.parametrize("day", DAYS, ids=str)
def test_a_line_is_what_the_loan_itself_says_on_any_day(service: Service, day: date) -> None:
    """Status, debt and days past due of each loan in the list, as of the loan read alone."""
    head = service.get("/v1/ledgers/main-7")["seq"]
    lines = every(service, "loans", on=day, min_seq=head)
    assert [line["loan"] for line in lines] == ["L1", "L2", "L3", "L4", "L5", "L6"]
    for line in lines:
        loan = service.get(f"/v1/ledgers/main-7/loans/{line['loan']}", on=day)
        for name in ("borrower", "status", "asset", "requested"):
            assert line[name] == loan[name]
        for name in ("kredit_status", "kredit_interest"):
            assert line[name] == loan.get(name)
        position = loan.get("position")
        if position is not None:
            for part in ("principal", "interest", "fee", "penalty"):
                assert line[part] == position["owed"][part]
            for name in ("disbursed", "overpaid"):
                assert line[name] == position[name]
            assert line["days_past_due"] == position["days_past_due"], line


def test_a_list_has_those_that_every_filter_lets_through(service: Service) -> None:
    """Each filter by itself, for each value that there is; and two together."""
    head = service.get("/v1/ledgers/main-7")["seq"]
    lines = every(service, "loans", on=DAYS[2], min_seq=head)
    for name in ("borrower", "status", "kredit_status", "asset", "provider"):
        for value in {line[name] for line in lines} - {None}:
            wanted = [line["loan"] for line in lines if line[name] == value]
            found = every(service, "loans", on=DAYS[2], **{name: value})
            assert [line["loan"] for line in found] == wanted, (name, value)
    for days in {line["days_past_due"] for line in lines} - {0}:
        for least, met in ((days, True), (days + 1, False)):
            found = [line["loan"] for line in every(service, "loans", on=DAYS[2], past_due=least)]
            assert [line["loan"] for line in lines if line["days_past_due"] >= least] == found
            assert bool({line["loan"] for line in lines if line["days_past_due"] == days} & {*found}) == met
    january = every(service, "loans", to="2026-01-31")
    assert [line["loan"] for line in january] == ["L1", "L2", "L3"]
    later = every(service, "loans", borrower="B2", **{"from": "2026-02-01"})
    assert [line["loan"] for line in later] == ["L4", "L5", "L6"]


def test_borrowers_are_listed_as_they_were_assessed_last(service: Service) -> None:
    """By KYC status and rating."""
    assert [(line["borrower"], line["kyc"], line["score"]) for line in every(service, "borrowers")] == [
        ("B1", "pending", 700),
        ("B2", "rejected", None),
        ("B3", "pending", None),
    ]
    assert [line["borrower"] for line in every(service, "borrowers", kyc="pending", rating="low")] == ["B1"]
    assert every(service, "borrowers", rating="high") == []


def test_a_payment_in_the_list_is_what_the_payment_itself_says(service: Service) -> None:
    """Each line as the payment alone; by each filter, those that it lets through."""
    head = service.get("/v1/ledgers/main-7")["seq"]
    lines = every(service, "loan-payments", min_seq=head)
    assert len(lines) == 8
    for line in lines:
        payment = service.get(f"/v1/ledgers/main-7/loan-payments/{line['payment']}")
        for name in line.keys() & payment.keys():
            assert line[name] == payment[name], (name, line)
    for name in ("status", "method", "loan", "borrower", "asset"):
        for value in {line[name] for line in lines} - {None}:
            wanted = [line["payment"] for line in lines if line[name] == value]
            found = every(service, "loan-payments", **{name: value})
            assert [line["payment"] for line in found] == wanted
    days = sorted(line["created_at"][:10] for line in lines)
    late = every(service, "loan-payments", **{"from": days[3], "to": days[5]})
    assert {line["created_at"][:10] for line in late} == set(days[3:6])
