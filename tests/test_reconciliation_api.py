"""Reconciliations over HTTP: statements taken in, sides asked by jobs, what differs shown and settled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from api import reconcilers
from api.settings import StripeSettings, Work
from tests.conftest import NewDatabase
from tests.served import Book, Service, served
from tests.stripe_double import KEY, StripeDouble, stripe_double
from tests.stripe_events import CREATED, txn
from tests.test_statements import camt, details, entry
from tests.waiting import until

CHART = {
    "assets": ["EUR/2", "USD/2"],
    "accounts": [{"pattern": "bank", "type": "asset"}, {"pattern": "sales", "type": "income"}],
    "products": ["payments"],
}
CSV = "day;sum;ref\n2026-01-05;100,00;INV-1\n2026-01-06;20,01;INV-2\n2026-01-06;7,00;\n2026-01-07;8,00;\n"
COLUMNS = {
    "account": "bank",
    "date": "day",
    "amount": "sum",
    "reference": "ref",
    "currency": "EUR",
    "delimiter": ";",
    "decimal": ",",
}


@pytest.fixture(scope="module")
def double() -> Iterator[StripeDouble]:
    with stripe_double() as double:
        double.objects["balance_transactions"] = [txn("stripe_fee", -5, 0, None, created=CREATED)]
        yield double


@pytest.fixture(scope="module")
def service(new_database: NewDatabase, double: StripeDouble) -> Iterator[Service]:
    work = Work(projecting=False, stripe=StripeSettings(KEY, double.address))
    with new_database() as conninfo, served(conninfo, work=work) as service:
        yield service


@pytest.fixture(scope="module")
def book(service: Service) -> Book:
    """A bank account with two invoices, and one that the bank does not tell of."""
    book = service.open(CHART)
    for day, amount, reference in ((5, 10_000, "INV-1"), (6, 2_000, "INV-2"), (6, 4_400, "INV-3")):
        legs = [
            {"account": account, "side": side, "amount": amount, "asset": "EUR/2"}
            for account, side in (("bank", "debit"), ("sales", "credit"))
        ]
        at = f"2026-01-{day:02}T12:00:00Z"
        book.seq({"postings": legs, "reference": reference, "effective_at": at})
    return book


def send(book: Book, body: str, media: str, **query: Any) -> httpx.Response:
    path = f"/v1/ledgers/{book.name}/bank-statements"
    headers = {"content-type": media}
    return book.service.call("POST", path, params=query, content=body.encode(), headers=headers)


def test_a_statement_is_compared_and_what_differs_is_settled(book: Book) -> None:
    """A run with its summary; its items by outcome, by pages, one by one; each settled once."""
    answer = send(book, CSV, "text/csv; charset=utf-8", run="january", title="january.csv", **COLUMNS)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/ledgers/{book.name}/reconciliations/january"
    run = answer.json()
    assert {
        name: run[name] for name in ("side", "source", "status", "match_rate", "items", "unresolved")
    } == {
        "side": "bank",
        "source": "january.csv",
        "status": "finished",
        "match_rate": "20.00",
        "items": 4,
        "unresolved": 4,
    }
    assert run["counts"]["match"] == run["counts"]["amount_mismatch"] == run["counts"]["missing_there"] == 1
    assert send(book, CSV, "text/csv", run="january", title="again", **COLUMNS).json() == run
    path = f"/v1/ledgers/{book.name}/reconciliations"
    assert book.service.get(path)["reconciliations"] == [run]
    assert book.service.get(f"{path}/january") == run
    items = book.service.get(f"{path}/january/items")
    assert (len(items["items"]), items["next"]) == (4, None)
    first = book.service.get(f"{path}/january/items", limit=3)
    rest = book.service.get(f"{path}/january/items", limit=3, after=first["next"])
    assert first["items"] + rest["items"] == items["items"]
    [mismatch] = book.service.get(f"{path}/january/items", outcome="amount_mismatch")["items"]
    assert [mismatch[side][0]["amount"] for side in ("here", "there")] == ["2000", "2001"]
    one = f"{path}/january/items/{mismatch['item']}"
    assert book.service.get(one) == mismatch
    settled = book.service.call("POST", f"{one}/resolve", {"explanation": "a cent of theirs"})
    assert settled.status_code == 201, settled.text
    assert settled.headers["location"] == one
    again = book.service.call("POST", f"{one}/resolve", {"transaction": 2})
    assert (again.status_code, again.json()["code"]) == (409, "reconciliation_item_is_resolved")
    assert book.service.get(one)["resolution"]["explanation"] == "a cent of theirs"
    for state, count in (("open", 3), ("resolved", 1)):
        assert len(book.service.get(f"{path}/january/items", state=state)["items"]) == count
    assert book.service.get(f"{path}/january")["unresolved"] == 3


def test_a_camt_statement_needs_no_columns(book: Book) -> None:
    """Its media type says what it is; a name of its own comes of the file."""
    told = camt(entry("100.00", day="<BookgDt><Dt>2026-01-05</Dt></BookgDt>", details=details("INV-1")))
    answer = send(book, told, "application/xml", account="bank")
    assert answer.status_code == 201, answer.text
    run = answer.json()
    assert (run["run"][:5], run["counts"]["match"], run["last_day"]) == ("bank-", 1, "2026-01-31")


def test_no_more_statements_come_in_than_there_is_room_for(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a file on the disk of this machine."""
    monkeypatch.setattr(reconcilers, "MOST_COMING", 0)
    answer = send(book, CSV, "text/csv", **COLUMNS)
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


REFUSED: dict[str, tuple[str, str, dict[str, Any], str, str]] = {
    "another media type": (CSV, "application/json", COLUMNS, "unsupported_media_type", "Content-Type"),
    "no account": (CSV, "text/csv", {}, "invalid_request", "account"),
    "no date": (CSV, "text/csv", COLUMNS | {"amount": ""}, "invalid_request", "amount"),
    "an encoding that is none": (
        CSV,
        "text/csv",
        COLUMNS | {"encoding": "no"},
        "invalid_request",
        "encoding",
    ),
    "not that encoding": (
        CSV + "\xff",
        "text/csv",
        COLUMNS | {"encoding": "ascii"},
        "statement_unreadable",
        "",
    ),
    "no such column": (CSV, "text/csv", COLUMNS | {"date": "tag"}, "statement_unreadable", "no column tag"),
    "no number": (CSV.replace("8,00", "8,001"), "text/csv", COLUMNS, "statement_unreadable", "line 5"),
    "a currency not here": (CSV, "text/csv", COLUMNS | {"currency": "NAD"}, "statement_unreadable", "NAD"),
    "no XML": (CSV, "application/xml", {"account": "bank"}, "statement_unreadable", "line 1"),
    "a hostile XML": (
        "<!DOCTYPE x><x/>",
        "application/xml",
        {"account": "bank"},
        "statement_unreadable",
        "type",
    ),
    "no such account": (CSV, "text/csv", COLUMNS | {"account": "cash"}, "account_not_found", "cash"),
    "another file of that name": (
        CSV + "2026-01-07;9,00;\n",
        "text/csv",
        COLUMNS | {"run": "january"},
        "reconciliation_exists",
        "",
    ),
    "a name that is none": (CSV, "text/csv", COLUMNS | {"run": "a:b"}, "invalid_request", "run"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_statement_is_refused_and_nothing_is_recorded(name: str, book: Book) -> None:
    """With a code and the part of the request, or the line, that is wrong."""
    body, media, query, code, where = REFUSED[name]
    if name.startswith("another file"):
        send(book, CSV, "text/csv", run="january", title="january.csv", **COLUMNS)
    before = book.head()
    answer = send(book, body, media, **query)
    problem = answer.json()
    assert problem["code"] == code, problem
    assert where in f"{problem.get('field')} {problem.get('detail')}", problem
    assert book.head() == before


def test_what_is_not_there_is_said(book: Book) -> None:
    """Runs, items, transactions and schedules that nobody has; a resolution that says nothing."""
    path = f"/v1/ledgers/{book.name}/reconciliations"
    made = send(book, CSV, "text/csv", run="codes", **COLUMNS)
    assert made.status_code == 201
    for method, where, body, code in (
        ("GET", f"{path}/none", None, "reconciliation_not_found"),
        ("GET", f"{path}/none/items", None, "reconciliation_not_found"),
        ("GET", f"{path}/codes/items/9.9", None, "reconciliation_item_not_found"),
        ("GET", f"{path}/codes/items/1.x", None, "invalid_request"),
        ("GET", f"{path}/codes/items?after=1", None, "invalid_request"),
        ("GET", f"{path}/codes/items?outcome=bad", None, "invalid_request"),
        ("POST", f"{path}/none/items/1.1/resolve", {"explanation": "x"}, "reconciliation_not_found"),
        ("POST", f"{path}/codes/items/9.1/resolve", {"explanation": "x"}, "reconciliation_item_not_found"),
        ("POST", f"{path}/codes/items/1.1/resolve", {"explanation": " "}, "invalid_request"),
        ("POST", f"{path}/codes/items/1.1/resolve", {"transaction": 999}, "transaction_not_found"),
        ("POST", path, {"side": "bank"}, "invalid_request"),
        ("POST", path, {"side": "buffr"}, "side_unavailable"),
        ("POST", path, {"side": "stripe"}, "side_unavailable"),
        ("PUT", f"{path[:-1]}-schedules/stripe", {"daily_at": "06:00"}, "side_unavailable"),
        ("PUT", f"{path[:-1]}-schedules/stripe", {"daily_at": "24:00"}, "invalid_request"),
        ("PUT", f"{path[:-1]}-schedules/stripe", {}, "invalid_request"),
        ("PUT", f"{path[:-1]}-schedules/bank", {"daily_at": "06:00"}, "invalid_request"),
        ("DELETE", f"{path[:-1]}-schedules/stripe", None, "schedule_not_found"),
    ):
        answer = book.service.call(method, where, body)
        assert answer.json()["code"] == code, (where, body, answer.text)


@pytest.fixture(scope="module")
def shop(service: Service) -> Book:
    """The ledger that Stripe's account is about."""
    shop = service.open(CHART)
    opening = {"provider": "stripe", "secret": "whsec_" + "x" * 32, "default": True}
    assert shop.call("POST", "/inbox/endpoints", opening).status_code == 201
    return shop


def test_stripe_is_asked_by_a_job(service: Service, shop: Book, double: StripeDouble) -> None:
    """For the ledger that its account is about; the job's result is the run, its error a sentence."""
    asked = {"side": "stripe", "from": "2025-10-09"}

    def ended(body: Any) -> Any:
        answer = shop.call("POST", "/reconciliations", body)
        assert answer.status_code == 202, answer.text
        place = answer.headers["location"]
        until(lambda: service.get(place)["state"] in ("done", "failed"))
        return service.get(place)

    result = ended(asked)["result"]
    assert (result["run"], result["counts"]["missing_here"], result["kinds"]) == (
        "stripe-2025-10-09",
        1,
        {"balance_differs": 1},
    )
    assert service.get(f"/v1/ledgers/{shop.name}/reconciliations/stripe-2025-10-09") == result
    assert ended(asked)["result"]["run"] == "stripe-2025-10-09.2"
    named = asked | {"run": "october"}
    assert ended(named)["result"] == ended(named)["result"]
    double.failures = 1_000
    failed = ended(asked)
    double.failures = 0
    assert (failed["state"], failed["error"]) == ("failed", "Stripe does not answer: APIError.")
    for body, field in (
        ({"from": "2999-01-01"}, "from"),
        ({"from": "2025-10-09", "to": "2025-10-08"}, "from"),
        ({"from": "x"}, "from"),
    ):
        problem = shop.call("POST", "/reconciliations", {"side": "stripe"} | body).json()
        assert (problem["code"], problem["field"]) == ("invalid_request", field), problem


def test_a_schedule_is_made_changed_shown_and_ended(service: Service, shop: Book) -> None:
    """One for a side; a change keeps from when on the next run compares."""
    path = f"/v1/ledgers/{shop.name}/reconciliation-schedules"
    made = service.call("PUT", f"{path}/stripe", {"daily_at": "06:00"})
    assert made.status_code == 200, made.text
    changed = service.call("PUT", f"{path}/stripe", {"every_minutes": 60}).json()
    assert (changed["daily_at"], changed["every_minutes"]) == (None, 60)
    assert changed["from_at"] == made.json()["from_at"]
    assert service.get(path)["schedules"] == [changed]
    assert service.call("DELETE", f"{path}/stripe").json() == changed
    assert service.get(path)["schedules"] == []
