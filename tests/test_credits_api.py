"""Prepaid credits over HTTP: the surface of the system that they replace, and the read model behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from api.credit_operations import CREDIT_OPERATIONS
from projections import registry
from projections.verify import verify
from projections.workers import Workers
from tests.conftest import NewDatabase
from tests.served import Book, Service, served

CHART: dict[str, Any] = {
    "assets": ["USD/2", "CREDIT.enrichment/0", "CREDIT.calling/0"],
    "accounts": [],
    "products": ["credits"],
}
WALLET = {"userId": "42", "creditType": "enrichment"}
STARTER = {
    "id": "starter", "name": "Starter pack", "creditType": "enrichment", "creditAmount": 100, "price": 1_000,
    "asset": "USD/2",
}  # fmt: skip


@pytest.fixture(scope="module")
def database_of_service(new_database: NewDatabase) -> Iterator[tuple[str, Service]]:
    with new_database() as conninfo, closing(Workers(conninfo)), served(conninfo) as service:
        yield conninfo, service


@pytest.fixture
def book(database_of_service: tuple[str, Service]) -> Book:
    return database_of_service[1].open(CHART)


def ask(book: Book, path: str, body: Any, method: str = "POST", **options: Any) -> Any:
    """A command of credits that must be accepted."""
    answer = book.call(method, f"/credits{path}", body, **options)
    assert answer.is_success, answer.text
    return answer.json()


def refused(book: Book, path: str, body: Any) -> tuple[str, Any]:
    """A command of credits that must be refused: its code and evidence."""
    problem = book.call("POST", f"/credits{path}", body).json()
    return problem["code"], problem.get("evidence")


def balance(book: Book, **wallet: str) -> Any:
    return book.get("/credits/balance", **(WALLET | wallet))


def buy(book: Book, order: str) -> None:
    ask(book, "/purchases", {"userId": "42", "packageId": "starter", "order": order})
    ask(book, "/orders/fulfil", {"order": order, "amount": 1_000, "asset": "USD/2"})


def test_what_the_seed_says_of_each_method(book: Book) -> None:
    """Its own examples, with the same fields and the same errors."""
    added = ask(book, "/add", {**WALLET, "amount": 100, "description": "Test purchase"})
    assert (added["transactionType"], added["amount"], added["balanceAfter"]) == ("purchase", 100, 100)
    assert refused(book, "/add", {**WALLET, "amount": -10}) == ("amount_not_positive", {"amount": "-10"})
    used = ask(
        book,
        "/deduct",
        {
            **WALLET, "amount": 10, "description": "Enriched 10 leads from list #123", "referenceId": "123",
            "referenceType": "lead_list", "metadata": {"leadListId": "123", "leadsProcessed": "10"},
        },
    )  # fmt: skip
    assert (used["transactionType"], used["amount"], used["balanceAfter"]) == ("usage", -10, 90)
    assert (used["referenceId"], used["referenceType"]) == ("123", "lead_list")
    assert used["metadata"] == {"leadListId": "123", "leadsProcessed": "10"}
    code, evidence = refused(book, "/deduct", {**WALLET, "amount": 100})
    assert (code, evidence["required"], evidence["available"]) == ("insufficient_credits", "100", "90")
    back = ask(book, "/refund", {"transactionId": used["id"]})
    assert (back["transactionType"], back["amount"], back["balanceAfter"]) == ("refund", 10, 100)
    assert refused(book, "/refund", {"transactionId": used["id"]})[0] == "usage_already_refunded"
    bonus = {**WALLET, "amount": 100, "description": "Bonus", "metadata": {"reason": "user_feedback"}}
    assert ask(book, "/adjust", bonus)["balanceAfter"] == 200
    down = {**WALLET, "amount": -50, "description": "Refund for failed calls", "reason": "correction"}
    assert ask(book, "/adjust", down)["balanceAfter"] == 150
    check = {"hasSufficient": False, "balance": 150, "required": 200, "shortfall": 50}
    assert book.get("/credits/check", **WALLET, required="200") == check
    assert book.get("/credits/check", **WALLET, required="150")["hasSufficient"] is True
    found = balance(book)
    assert (found["balance"], found["totalPurchased"], found["totalUsed"]) == (150, 100, 0)
    assert balance(book, userId="nobody")["balance"] == 0


def test_all_balances_are_an_owners_and_nobody_elses(book: Book) -> None:
    """`4` is not `42`."""
    ask(book, "/add", {**WALLET, "amount": 5})
    ask(book, "/add", {**WALLET, "creditType": "calling", "amount": 6})
    ask(book, "/add", {**WALLET, "userId": "4", "amount": 7})
    found = book.get("/credits/balances", userId="42")["balances"]
    assert {b["creditType"]: b["balance"] for b in found} == {"enrichment": 5, "calling": 6}
    assert [b["balance"] for b in book.get("/credits/balances", userId="4")["balances"]] == [7]


def test_packages_are_listed_as_they_are_offered(book: Book) -> None:
    """By type, on offer or not, in their sort order; products are grouped by type."""
    ask(book, "/packages", {**STARTER, "sortOrder": 2, "metadata": {"badge": "new"}})
    ask(book, "/packages", {**STARTER, "id": "pro", "sortOrder": 1, "description": "For teams"})
    ask(book, "/packages", {**STARTER, "id": "calls", "creditType": "calling"})
    changed = ask(book, "/packages/update", {"id": "starter", "price": 1_200, "isActive": False})
    assert (changed["price"], changed["isActive"], changed["metadata"]) == (1_200, False, {"badge": "new"})
    ids = [p["id"] for p in book.get("/credits/packages", creditType="enrichment")["packages"]]
    assert ids == ["pro", "starter"]
    active = book.get("/credits/packages", isActive="true")["packages"]
    assert [p["id"] for p in active] == ["calls", "pro"]
    products = book.get("/credits/products")["products"]
    assert {kind: [p["id"] for p in offered] for kind, offered in products.items()} == {
        "enrichment": ["pro"],
        "calling": ["calls"],
    }
    body = {"userId": "42", "packageId": "999"}
    assert refused(book, "/purchases", body) == ("package_not_found", {"package": "999"})
    assert refused(book, "/purchases", {**body, "packageId": "starter"})[0] == "package_not_active"


def test_an_order_is_read_as_it_stands(book: Book) -> None:
    """Pending, fulfilled, partly refunded."""
    ask(book, "/packages", STARTER)
    order = ask(book, "/purchases", {"userId": "42", "packageId": "starter"})
    assert (order["status"], order["creditAmount"]) == ("pending", 100)
    paid = {"order": order["id"], "amount": 1_080, "tax": 80, "asset": "USD/2", "session": "cs_1"}
    assert ask(book, "/orders/fulfil", paid)["status"] == "fulfilled"
    ask(book, "/orders/refund", {"order": order["id"], "amount": 540})
    found = book.get(f"/credits/orders/{order['id']}")
    assert (found["paid"], found["refunded"], found["retired"], found["session"]) == (1_080, 540, 50, "cs_1")
    assert book.call("GET", "/credits/orders/nothing").json()["code"] == "order_not_found"


def test_history_is_paged_and_says_what_every_transaction_left(book: Book) -> None:
    """The last first, of one type or of all; each balance is the one before and the amount."""
    for amount in (100, 50):
        ask(book, "/add", {**WALLET, "amount": amount})
    ask(book, "/add", {**WALLET, "creditType": "calling", "amount": 9})
    ask(book, "/deduct", {**WALLET, "amount": 30})
    hold = ask(book, "/holds", {**WALLET, "amount": 20})["id"]
    ask(book, "/holds/capture", {**WALLET, "hold": hold, "amount": 5, "final": True})
    seq = book.head()
    whole = book.get("/credits/transactions", **WALLET, min_seq=str(seq))
    assert [(t["transactionType"], t["amount"], t["used"]) for t in whole["transactions"]] == [
        ("usage", 15, 5),
        ("hold", -20, 0),
        ("usage", -30, 30),
        ("purchase", 50, 0),
        ("purchase", 100, 0),
    ]
    balances = [t["balanceAfter"] for t in whole["transactions"]][::-1]
    amounts = [t["amount"] for t in whole["transactions"]][::-1]
    assert balances == [sum(amounts[: n + 1]) for n in range(len(amounts))]
    page = book.get("/credits/transactions", userId="42", limit="4")
    assert [t["creditType"] for t in page["transactions"]][3:] == ["calling"]
    rest = book.get("/credits/transactions", userId="42", limit="4", offset=str(page["next"]))
    assert [t["id"] for t in rest["transactions"]] == [3, 2]
    assert rest["next"] is None


def test_usage_and_metrics_are_of_a_period(book: Book) -> None:
    """Used, bought, the daily average over calendar days, transactions; popular packages and refund rates."""
    ask(book, "/packages", STARTER)
    for n in range(3):
        buy(book, f"o{n}")
    used = [ask(book, "/deduct", {**WALLET, "amount": 15})["id"] for _ in range(4)]
    ask(book, "/refund", {"transactionId": used[0]})
    ask(book, "/orders/refund", {"order": "o0"})
    ask(book, "/orders/refund", {"order": "o1", "amount": 100})
    ask(book, "/orders/refund", {"order": "o1", "amount": 100})
    # One that fails was none.
    ask(book, "/orders/refund", {"order": "o2", "amount": 500, "refund": "re_1"})
    ask(book, "/orders/refund/reverse", {"order": "o2", "refund": "re_1"})
    today, seq = datetime.now(UTC).date().isoformat(), str(book.head())
    first = f"{today[:8]}01"
    days = int(today[8:])
    stats = book.get("/credits/usage", **WALLET, startDate=first, endDate=today, min_seq=seq)
    assert (stats["totalUsed"], stats["totalPurchased"], stats["days"]) == (45, 300, days)
    assert stats["averageDaily"] == f"{round(45 / days, 2):.2f}"
    assert (stats["transactions"], stats["balance"]) == (13, balance(book)["balance"])
    assert book.get("/credits/usage", **WALLET, endDate="2020-01-01")["totalUsed"] == 0
    metrics = book.get("/credits/metrics", startDate=first, endDate=today)
    (figures,) = metrics["types"]
    assert (figures["uses"], figures["refunds"], figures["refundRate"]) == (4, 1, "0.2500")
    assert (figures["purchases"], figures["purchasesRefunded"]) == (3, 2)
    assert figures["purchaseRefundRate"] == "0.6667"
    assert metrics["popularPackages"] == [
        {"packageId": "starter", "asset": "USD/2", "purchases": 3, "credits": 300, "paid": 3_000}
    ]
    assert metrics["money"] == [{"asset": "USD/2", "paid": 3_000, "refunded": 1_200}]
    problem = book.call(
        "GET", "/credits/usage", params={**WALLET, "startDate": today, "endDate": "2020-01-01"}
    )
    assert problem.json()["field"] == "endDate"


def everything(book: Book) -> dict[str, tuple[str, str, Any]]:
    """One accepted command of every operation, in an order in which they can follow upon each other."""
    base = f"{book.path}/credits"
    holds = [ask(book, "/holds", {**WALLET, "amount": 5})["id"] for _ in range(3)]
    use = ask(book, "/deduct", {**WALLET, "amount": 5})["id"]
    for name in ("fulfil", "decline", "refund", "reverse", "freeze", "unfreeze", "lose"):
        ask(book, "/purchases", {"userId": "42", "packageId": "starter", "order": name})
        if name not in ("fulfil", "decline"):
            ask(book, "/orders/fulfil", {"order": name, "amount": 1_000, "asset": "USD/2"})
        if name in ("unfreeze", "lose"):
            ask(book, "/orders/freeze", {"order": name, "dispute": "dp"})
        if name == "reverse":
            ask(book, "/orders/refund", {"order": name, "refund": "re"})
    settings = {"creditType": "calling", "settings": {"lowBalance": 5, "rollover": {"max": 5, "days": 3}}}
    return {
        "add_credits": ("POST", f"{base}/add", {**WALLET, "amount": 5, "cost": 7, "asset": "USD/2"}),
        "deduct_credits": ("POST", f"{base}/deduct", {**WALLET, "amount": 5}),
        "refund_credits": ("POST", f"{base}/refund", {"transactionId": use}),
        "adjust_credits": ("POST", f"{base}/adjust", {**WALLET, "amount": "5"}),
        "hold_credits": ("POST", f"{base}/holds", {**WALLET, "amount": 5}),
        "change_credit_hold": ("POST", f"{base}/holds/change", {**WALLET, "hold": holds[0], "increase": 1}),
        "capture_credit_hold": ("POST", f"{base}/holds/capture", {**WALLET, "hold": holds[1]}),
        "release_credit_hold": ("POST", f"{base}/holds/release", {**WALLET, "hold": holds[2]}),
        "create_package": ("POST", f"{base}/packages", {**STARTER, "id": "other"}),
        "update_package": ("POST", f"{base}/packages/update", {"id": "starter", "name": "Better"}),
        "purchase_credits": ("POST", f"{base}/purchases", {"userId": "42", "packageId": "starter"}),
        "fulfil_order": (
            "POST", f"{base}/orders/fulfil", {"order": "fulfil", "amount": 1_000, "asset": "USD/2"},
        ),
        "decline_order": ("POST", f"{base}/orders/decline", {"order": "decline", "reason": "expired"}),
        "refund_purchase": ("POST", f"{base}/orders/refund", {"order": "refund", "keepCredits": True}),
        "reverse_purchase_refund": (
            "POST", f"{base}/orders/refund/reverse", {"order": "reverse", "refund": "re"},
        ),
        "freeze_purchase": ("POST", f"{base}/orders/freeze", {"order": "freeze", "dispute": "dp"}),
        "unfreeze_purchase": ("POST", f"{base}/orders/unfreeze", {"order": "unfreeze", "dispute": "dp"}),
        "lose_dispute": ("POST", f"{base}/orders/lose", {"order": "lose", "dispute": "dp"}),
        "set_credit_settings": ("PUT", f"{base}/settings", settings),
        "set_wallet_settings": (
            "PUT", f"{base}/wallet-settings", {**WALLET, "autoTopUp": {"threshold": 1, "packageId": "other"}},
        ),
    }  # fmt: skip


def test_every_command_is_replayed_byte_for_byte(
    book: Book, database_of_service: tuple[str, Service]
) -> None:
    """Asked again under its key it does nothing and answers the same; the read model is what events say."""
    ask(book, "/packages", STARTER)
    ask(book, "/add", {**WALLET, "amount": 1_000})
    calls = everything(book)
    assert set(calls) == {operation.id for operation in CREDIT_OPERATIONS if operation.keyed}
    for name, (method, path, body) in calls.items():
        headers = {"Idempotency-Key": f"key of {name}"}
        first = book.service.call(method, path, body, headers=headers)
        assert first.is_success, (name, first.text)
        head = book.head()
        again = book.service.call(method, path, body, headers=headers)
        assert (again.status_code, again.content) == (first.status_code, first.content), name
        assert again.headers["idempotency-replayed"] == "true"
        assert book.head() == head
    settings = book.get("/credits/settings")
    assert settings["types"]["calling"] == {"lowBalance": 5, "rollover": {"max": 5, "days": 3}}
    book.get("/credits/transactions", userId="42", min_seq=str(book.head()))
    conninfo, _ = database_of_service
    (found,) = verify(conninfo, registry.find("credits"), book.name)
    assert (found.finding, found.seq) == (None, book.head())
    assert found.rows is not None
    assert found.rows > len(calls)
