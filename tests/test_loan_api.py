"""Loans over HTTP: from the application to the last payment, with its scopes, and what is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.served import Book, Service, served

CHART: dict[str, Any] = {
    "assets": ["USD/2"],
    "accounts": [{"pattern": "bank", "type": "asset"}, {"pattern": "retained", "type": "equity"}],
    "products": ["loans"],
}
OFFER: dict[str, Any] = {
    "asset": "USD/2",
    "amount": 120_000,
    "interest": {"method": "equal_principal", "rate": "12"},
    "count": 12,
    "fee": 1_200,
}
SIDES = ("debit", "credit")
DAY = "2026-01-15T12:00:00Z"


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.fixture
def book(service: Service) -> Book:
    book = service.open(CHART)
    put(book, "/borrowers/B1", kyc="verified")
    return book


def put(book: Book, path: str, **body: Any) -> Any:
    answer = book.call("PUT", path, body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ask(book: Book, path: str, day: str = DAY, **body: Any) -> httpx.Response:
    return book.call("POST", path, {"effective_at": day, **body})


def made(book: Book, path: str, day: str = DAY, **body: Any) -> Any:
    answer = ask(book, path, day, **body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def lent(book: Book, loan: str = "L1", **offer: Any) -> None:
    """A loan that was disbursed on 2026-01-15."""
    whole = {**OFFER, **offer}
    made(book, "/loans", loan=loan, borrower="B1", asset="USD/2", amount=whole["amount"])
    made(book, f"/loans/{loan}/approve", offer=whole)
    made(book, f"/loans/{loan}/accept")
    held = made(book, f"/loans/{loan}/disburse", account="bank", method="bank_transfer")
    assert {leg["kind"] for leg in held["postings"]} == {"pending"}
    made(book, f"/loans/{loan}/confirm-disbursement", disbursement=held["seq"])


def test_a_loan_is_applied_for_lent_repaid_and_read(book: Book) -> None:
    """Each answer is the entry that was posted; the loan shows schedule, debt and transactions on any day."""
    lent(book)
    repaid = made(book, "/loans/L1/repay", "2026-02-15T12:00:00Z", amount=11_200, account="bank")
    assert repaid["type"] == "loan_repaid"
    assert repaid["postings"][-1] == {
        "account": "loans:portfolio",
        "side": "credit",
        "amount": 10_000,
        "asset": "USD/2",
        "kind": "posted",
    }
    loan = book.get("/loans/L1", on="2026-03-20")
    assert (loan["status"], loan["kredit_status"], loan["kredit_interest"]) == (
        "active",
        "IN_ARREARS",
        "DECLINING_BALANCE",
    )
    assert (loan["funding"], loan["cost"]) == ("own", {"interest": 7_800, "fee": 1_200, "total": 9_000})
    position = loan["position"]
    assert position["owed"] == {
        "principal": 110_000, "interest": 6_600, "fee": 0, "penalty": 0, "total": 116_600,
    }  # fmt: skip
    assert position["due"]["total"] == 11_100
    assert (position["days_past_due"], position["bucket"]) == (5, "1-30")
    assert [row["status"] for row in position["schedule"]][:3] == ["paid", "overdue", "pending"]
    assert [(fact["kind"], fact["amount"]) for fact in position["transactions"]] == [
        ("disbursed", 120_000),
        ("repaid", 11_200),
    ]
    assert book.get("/loans/L1", on="2026-02-20")["kredit_status"] == "ACTIVE"


def test_the_payoff_of_a_day_is_quoted_and_paid(book: Book) -> None:
    """The quote stores nothing; its amount settles the loan, a unit less is refused with what is needed."""
    lent(book)
    quote = book.get("/loans/L1/payoff", on="2026-02-25")
    assert quote["payoff"]["principal"] == 120_000
    total = quote["payoff"]["total"]
    head = book.head()
    day = "2026-02-25T12:00:00Z"
    short = ask(book, "/loans/L1/settle", day, amount=total - 1, account="bank")
    assert (short.status_code, short.json()["code"]) == (422, "below_payoff")
    assert short.json()["evidence"] == {"payoff": str(total), "amount": str(total - 1)}
    assert book.head() == head
    made(book, "/loans/L1/settle", day, amount=total, account="bank")
    assert book.get("/loans/L1")["status"] == "repaid"
    assert book.get("/loans/L1/payoff")["payoff"]["total"] == 0


def test_a_period_closes_over_the_income_of_loans(book: Book) -> None:
    """Closing entries bring interest income to retained earnings; the loans go on as before."""
    lent(book)
    made(book, "/loans/L1/accrue", "2026-01-31T12:00:00Z")
    closed = book.call("POST", "/periods/2026-01/close", {"retained_earnings": "retained"})
    assert closed.status_code == 201, closed.text
    assert len(closed.json()["closing_entries"]) == 1
    assert book.get("/accounts/loans:interest_income/balances")["balances"][0]["posted"] == 0
    plain = [{"account": "loans:portfolio", "side": side, "amount": 1, "asset": "USD/2"} for side in SIDES]
    assert book.post({"postings": plain}).json()["code"] == "account_of_product"
    made(book, "/loans/L1/repay", "2026-02-15T12:00:00Z", amount=11_200, account="bank")


def test_who_is_not_verified_gets_400(book: Book) -> None:
    """As the systems that apply expect; unknown borrowers and loans are 404."""
    put(book, "/borrowers/B2", kyc="pending")
    asked: dict[str, Any] = {"loan": "L1", "asset": "USD/2", "amount": 5}
    pending = ask(book, "/loans", borrower="B2", **asked)
    assert (pending.status_code, pending.json()["code"]) == (400, "kyc_not_verified")
    assert ask(book, "/loans", borrower="B3", **asked).status_code == 404
    for path in ("/loans/L1", "/loans/L1/payoff", "/borrowers/B3"):
        assert book.call("GET", path).status_code == 404
    missing = ask(book, "/loans/L9/repay", amount=1, account="bank")
    assert (missing.status_code, missing.json()["evidence"]) == (404, {"loan": "L9"})


def test_a_borrower_shows_what_open_loans_take_of_the_limit(book: Book) -> None:
    """What was rejected takes nothing."""
    for name in ("L1", "L2", "L3"):
        made(book, "/loans", loan=name, borrower="B1", asset="USD/2", amount=5)
    made(book, "/loans/L2/reject", reason="No")
    assert book.get("/borrowers/B1")["loans"] == {
        name: {"asset": "USD/2", "amount": 5} for name in ("L1", "L3")
    }


def test_the_policy_is_read_as_it_was_set(book: Book) -> None:
    """Before one was set, what holds by itself."""
    assert book.get("/loan-policy")["policy"].get("grace_days", 0) == 0
    put(book, "/loan-policy", policy={"grace_days": 7, "waterfall": {"name": "interest_first"}})
    policy = book.get("/loan-policy")["policy"]
    assert (policy["grace_days"], policy["waterfall"]) == (7, {"name": "interest_first"})


def test_wrong_terms_name_their_field(book: Book) -> None:
    """What means nothing is 400 and says what is wrong; nothing of it is 500."""
    made(book, "/loans", loan="L1", borrower="B1", asset="USD/2", amount=120_000)
    wrong: dict[str, dict[str, Any]] = {
        "rate": {"interest": {"method": "flat", "rate": "-1"}},
        "method": {"interest": {"method": "compound", "rate": "1"}},
        "count": {"count": 0},
        "grace": {"grace": 12},
        "fee": {"fee": 120_001},
        "every": {"every": {"unit": "months", "count": 366}, "count": 600},
        "amount": {"amount": "12.50"},
    }
    for field, terms in wrong.items():
        answer = ask(book, "/loans/L1/approve", offer={**OFFER, **terms})
        assert answer.status_code == 400, (field, answer.text)
        assert field in answer.text


@pytest.mark.parametrize("text", ["a\0", "e\u0301"], ids=["NUL", "not NFC"])
def test_texts_that_cannot_be_kept_are_refused_wherever_they_stand(book: Book, text: str) -> None:
    """An event with one would stop every read model: a reason, a note, a name deep in the policy."""
    lent(book)
    classes = [{"name": text, "from_days": 0, "rate": "1"}]
    for path, field, body in (
        ("/loans/L1/undo", "reason", {"transaction": 5, "reason": text}),
        ("/loans/L1/collection/notes", "text", {"text": text}),
        ("/loans/L1/approve", "conditions", {"offer": OFFER, "conditions": [text]}),
        ("/loan-payments/P1/refund", "reason", {"reason": text}),
    ):
        answer = ask(book, path, **body)
        assert answer.status_code == 400, (path, answer.text)
        assert f"`{field}`" in answer.json()["detail"]
    answer = book.call("PUT", "/loan-policy", {"policy": {"provisioning": classes}})
    assert answer.status_code == 400, answer.text
    assert "`policy`" in answer.json()["detail"]


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_loans_are_read_on_any_day_that_there_is(book: Book, day: str) -> None:
    """Before there was a loan and long after: figures of that day, or none."""
    lent(book)
    for name in ("L2", "L3"):
        made(book, "/loans", loan=name, borrower="B1", asset="USD/2", amount=120_000)
    made(book, "/loans/L2/approve", offer=OFFER)
    made(book, "/loan-payments", payment="P1", method="cash", asset="USD/2", amount=5, processed=True)
    for path in (
        *(f"/loans/{name}{place}?on={day}" for name in ("L1", "L2", "L3") for place in ("", "/payoff")),
        *(f"/loans/L1/statement?{side}={day}" for side in ("from", "to")),
        *(f"{path}?on={day}" for path in ("/loans", "/loan-overview", "/portfolio-at-risk")),
        *(f"/borrowers/B1/{what}?on={day}" for what in ("overview", "report")),
        *(f"/{what}?{side}={day}" for what in ("loans", "loan-payments") for side in ("from", "to")),
    ):
        answer = book.call("GET", path)
        assert answer.status_code == 200, (path, answer.text)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("credit:application:create", {"/loans", "/loans/L1/accept", "/loans/L1/withdraw"}),
        ("credit:application:approve", {"/loans/L1/approve", "/loans/L1/reject"}),
        ("credit:disbursement:execute", {"/loans/L1/disburse", "/loans/L1/confirm-disbursement"}),
        ("credit:collection:manage", {"/loans/L1/repay", "/loans/L1/write-off", "/loans/L1/undo"}),
        ("ledger:write", set()),
    ],
)
def test_each_operation_needs_its_own_permission(book: Book, scope: str, allowed: set[str]) -> None:
    """One permission opens its own operations and no other; reading ledgers is none of them."""
    made(book, "/loans", loan="L1", borrower="B1", asset="USD/2", amount=120_000)
    secret = book.service.call("POST", "/v1/api-keys", {"name": scope, "scopes": [scope]}).json()["secret"]
    everything = {
        "/loans", "/loans/L1/accept", "/loans/L1/withdraw", "/loans/L1/approve", "/loans/L1/reject",
        "/loans/L1/disburse", "/loans/L1/confirm-disbursement", "/loans/L1/repay", "/loans/L1/write-off",
        "/loans/L1/undo",
    }  # fmt: skip
    for path in everything:
        answer = book.call("POST", path, {}, headers={"authorization": f"Bearer {secret}"})
        assert (answer.status_code == 403) == (path not in allowed), (path, answer.status_code)


def test_a_payment_waits_for_its_loan_and_is_given_back(book: Book) -> None:
    """Entered, matched by hand, refunded in part, each step read alone and in lists; bad input is named."""
    lent(book)
    day = "2026-02-15T12:00:00Z"
    said: dict[str, Any] = {
        "payment": "P1",
        "method": "check",
        "asset": "USD/2",
        "amount": 11_200,
        "processed": True,
    }
    made(book, "/loan-payments", day, **said, reference="rent")
    work = book.get("/loan-payments", status="suspense", min_seq=book.head())["payments"]
    assert [(line["payment"], line["in_suspense"]) for line in work] == [("P1", 11_200)]
    matched = book.call("POST", "/loan-payments/P1/match", {"loan": "L1"}).json()
    assert matched["effective_at"] == "2026-02-15T12:00:00.000000Z"
    assert book.get("/loans/L1", on="2026-02-15")["position"]["due"]["total"] == 0
    made(book, "/loan-payments/P1/refund", "2026-02-16T12:00:00Z", amount=200, reason="Too much")
    payment = book.get("/loan-payments/P1")
    assert (payment["status"], payment["loan"], payment["refunded"]) == ("matched", "L1", 200)
    head = book.head()
    assert book.get("/loan-payments", status="suspense", min_seq=head)["payments"] == []
    for field, value in (("method", "barter"), ("amount", 0), ("amount", 1.5), ("payment", "no spaces")):
        answer = ask(book, "/loan-payments", **{**said, "payment": "P2", field: value})
        assert (answer.status_code, field in answer.text) == (400, True), answer.text
    assert book.call("GET", "/loan-payments/P9").json()["code"] == "loan_payment_not_found"
    assert book.call("GET", "/virtual-accounts/V9").json()["code"] == "virtual_account_not_found"
