"""The API over real HTTP: what every operation answers, fresh, again, and refused."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest
import structlog
from msgspec import structs
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from api import problems
from api.examples import EXAMPLES
from api.openapi import document
from api.operation import Operation
from api.operations import OPERATIONS
from ledger import rejections
from tests.conftest import NewDatabase
from tests.loan_calls import loan_calls
from tests.served import CHART, Book, Service, leg, move, served


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.fixture
def book(service: Service) -> Book:
    """A ledger where customers:1 has 100.00 USD."""
    book = service.open()
    book.seq(move("cash", "customers:1", 10_000))
    return book


def refused(answer: httpx.Response, code: str, **evidence: Any) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code, problem
    assert {name: problem["evidence"][name] for name in evidence} == evidence
    return problem


# ---------------------------------------------------------------- ledgers, charts


def test_ledger_is_opened_read_and_listed(service: Service) -> None:
    """What was opened can be read, under the place that Location names."""
    body = {"name": "a-first", "time_zone": "Europe/Prague", "chart": CHART}
    answer = service.call("POST", "/v1/ledgers", body)
    assert (answer.status_code, answer.json()["seq"], answer.json()["type"]) == (201, 1, "ledger_opened")
    ledger = service.get(answer.headers["location"])
    assert (ledger["name"], ledger["time_zone"], ledger["seq"]) == ("a-first", "Europe/Prague", 1)
    assert service.get("/v1/ledgers", limit=1)["ledgers"][0]["id"] == ledger["id"]
    refused(service.call("POST", "/v1/ledgers", body), "ledger_exists", name="a-first")


def test_ledgers_are_paged_by_name(service: Service) -> None:
    """Following `next` gives every ledger once, in order."""
    opened = {service.open().name for _ in range(5)}
    names, after = [], ""
    while True:
        page = service.get("/v1/ledgers", after=after, limit=2)
        names += [ledger["name"] for ledger in page["ledgers"]]
        after = page["next"]
        if after is None:
            break
    assert names == sorted(set(names))
    assert opened <= set(names)


def test_a_refused_opening_leaves_no_ledger(service: Service) -> None:
    """After an opening was refused there is nothing to read, and nothing can be posted or charted."""
    overlapping = {"assets": [], "accounts": [{"pattern": p, "type": "asset"} for p in ("a:{x}", "{y}:b")]}
    body = {"name": "stillborn", "chart": overlapping}
    answer = service.call("POST", "/v1/ledgers", body, headers={"Idempotency-Key": "o"})
    refused(answer, "chart_patterns_overlap", pattern="a:{x}", other="{y}:b")
    book = Book(service, "stillborn")
    refused(book.call("GET", ""), "ledger_not_found")
    refused(book.call("PUT", "/chart", CHART), "ledger_not_found")
    refused(book.post(move("cash", "fx", 1)), "ledger_not_found")
    again = service.call("POST", "/v1/ledgers", body, headers={"Idempotency-Key": "o"})
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    assert service.call("POST", "/v1/ledgers", {**body, "chart": CHART}).status_code == 201
    assert book.head() == 1


def test_no_operation_knows_a_ledger_that_is_not_there(service: Service) -> None:
    """Every operation on a ledger answers 404 for an unknown name."""
    for operation in OPERATIONS:
        if "{ledger}" in operation.path:
            place = {"address": "cash", "seq": 1, "period": "2020", "level": 0, "tile": "000"}
            place |= dict.fromkeys(("job", "subscription", "approval", "endpoint"), str(UUID(int=0)))
            place |= {"file": "manifest.json", "number": 1, "programme": "relief", "voucher": "V1"}
            place |= {"beneficiary": "B1", "kredit_tenant": "t1", "request": "req_1"}
            place["verification"] = str(UUID(int=0))
            place |= {"order": "order-1842", "session": "cs_1", "stripe_subscription": "sub_1"}
            place |= {"run": "january", "item": "1.1", "side": "stripe"}
            place |= dict.fromkeys(
                ("loan", "borrower", "loan_provider", "loan_payment", "virtual_account", "provider_invoice"),
                "x",
            )
            path = operation.path.format(ledger="nowhere", **place)
            known = {"asset": "USD/2", "from": "0", "userId": "42", "creditType": "calling", "required": "1"}
            known["account"] = "bank"
            needed = [f.encode_name for f in structs.fields(operation.query) if f.required]
            query = {name: known[name] for name in needed}
            answer = service.call(operation.method, path, operation.example, params=query)
            refused(answer, "ledger_not_found")


def test_chart_is_set_and_read(book: Book) -> None:
    """The chart read is the chart set; accounts of a new pattern open; a code keeps its scale."""
    more = {**CHART, "accounts": [*CHART["accounts"], {"pattern": "bank:{n}", "type": "asset"}]}
    answer = book.call("PUT", "/chart", more)
    assert (answer.status_code, answer.json()["type"]) == (200, "chart_set")
    view = book.get("/chart")
    assert view["seq"] == answer.json()["seq"]
    assert [p["pattern"] for p in view["chart"]["accounts"]] == [p["pattern"] for p in more["accounts"]]
    assert view["chart"]["accounts"][3]["limits"] == {"USD/2": {"max_balance": 100}}
    assert book.post(move("bank:1", "customers:1", 5)).status_code == 201
    answer = book.call("PUT", "/chart", {**CHART, "assets": ["USD/3"]})
    refused(answer, "asset_scale_conflict", asset="USD/3", known="USD/2")


# ---------------------------------------------------------------- accounts


def test_account_is_opened_read_limited_and_closed(book: Book) -> None:
    """The life of an account, each step with its refusal."""
    answer = book.call("POST", "/accounts", {"address": "customers:9"})
    assert (answer.status_code, answer.json()["type"]) == (201, "account_opened")
    account = book.service.get(answer.headers["location"])
    assert account == {
        "address": "customers:9",
        "type": "liability",
        "normal_balance": "credit",
        "status": "open",
        "opened_seq": answer.json()["seq"],
        "limits": {"*": {"min_available": 0}},
    }
    refused(book.call("POST", "/accounts", {"address": "customers:9"}), "account_exists")
    refused(book.call("POST", "/accounts", {"address": "x"}), "account_not_in_chart", account="x")

    limits = {"limits": {"USD/2": {"min_available": -50}}}
    assert book.call("PUT", "/accounts/customers:9/limits", limits).status_code == 200
    assert book.get("/accounts/customers:9")["limits"] == limits["limits"]
    assert book.post(move("customers:9", "cash", 50)).status_code == 201
    refused(book.post(move("customers:9", "cash", 1)), "insufficient_available", short_by="1")
    tighter = {"limits": {"USD/2": {"min_available": 0}}}
    refused(book.call("PUT", "/accounts/customers:9/limits", tighter), "limit_already_exceeded")
    refused(book.call("PUT", "/accounts/customers:8/limits", tighter), "account_not_found")
    refused(book.call("PUT", "/accounts/cash/limits", {"limits": {"X/0": {}}}), "asset_not_in_chart")

    refused(book.call("POST", "/accounts/customers:9/close"), "account_not_empty", posted="-50")
    book.seq(move("cash", "customers:9", 50))
    assert book.call("POST", "/accounts/customers:9/close", {}).json()["type"] == "account_closed"
    assert book.get("/accounts/customers:9")["status"] == "closed"
    refused(book.call("POST", "/accounts/customers:9/close"), "account_closed")
    refused(book.post(move("cash", "customers:9", 1)), "account_closed")
    refused(book.call("POST", "/accounts/customers:8/close"), "account_not_found", account="customers:8")


@pytest.mark.parametrize("path", ["", "/balances", "/statement"])
def test_unknown_account_is_not_found(book: Book, path: str) -> None:
    """Reads of an account that was never opened answer 404."""
    refused(book.call("GET", f"/accounts/customers:77{path}"), "account_not_found", account="customers:77")


def test_accounts_are_filtered_and_paged(book: Book) -> None:
    """Pages hold every account once in order of opening; `prefix` is whole segments."""
    for n in (10, 11, 12):
        book.call("POST", "/accounts", {"address": f"customers:{n}"})
    found, after = [], 0
    while after is not None:
        page = book.get("/accounts", after=after, limit=2)
        found += [account["address"] for account in page["accounts"]]
        after = page["next"]
    assert found == ["cash", "customers:1", "customers:10", "customers:11", "customers:12"]
    assert [a["address"] for a in book.get("/accounts", prefix="customers:1")["accounts"]] == ["customers:1"]
    assert len(book.get("/accounts", prefix="customers")["accounts"]) == 4
    assert [a["address"] for a in book.get("/accounts", type="asset")["accounts"]] == ["cash"]


def test_balances_are_known_at_a_seq_and_at_a_moment(book: Book) -> None:
    """An old balance is read by seq or by moment of recording, and the answer tells the seq."""
    first = book.get("")
    time.sleep(0.002)
    second = book.seq(move("customers:1", "cash", 4_000))
    assert book.balance("customers:1") == (6_000, 6_000, 6_000)
    assert book.balance("customers:1", known_at=first["seq"]) == (10_000, 10_000, 10_000)
    assert book.balance("customers:1", known_at=first["recorded_at"]) == (10_000, 10_000, 10_000)
    assert book.balance("customers:1", known_at=1) == (0, 0, 0)
    assert book.get("/accounts/cash/balances", known_at=2**63 - 1)["seq"] == second
    elsewhere = datetime.fromisoformat(first["recorded_at"]).astimezone().isoformat()
    assert book.get("/accounts/cash/balances", known_at=elsewhere)["seq"] == first["seq"]


def test_statement_is_paged_in_seq_order(book: Book) -> None:
    """Pages hold every leg once, with the running balance; with several assets one must be named."""
    for amount in (1, 2, 3, 4):
        book.seq(move("customers:1", "cash", amount))
    lines, after = [], ""
    while after is not None:
        page = book.get("/accounts/customers:1/statement", after=after, limit=2)
        lines += [(line["seq"], line["posted"]) for line in page["lines"]]
        after = page["next"]
    assert lines == [(2, 10_000), (3, 9_999), (4, 9_997), (5, 9_994), (6, 9_990)]
    book.seq(move("cash", "customers:1", 7, "EUR/2"))
    problem = refused(book.call("GET", "/accounts/customers:1/statement"), "asset_needed")
    assert (problem["field"], sorted(problem["evidence"]["assets"])) == ("asset", ["EUR/2", "USD/2"])
    assert len(book.get("/accounts/customers:1/statement", asset="EUR/2")["lines"]) == 1


# ---------------------------------------------------------------- transactions


def test_transaction_is_recorded_with_the_balances_after_it(book: Book) -> None:
    """201 with seq, moments, postings, balances, and everything that the request said."""
    asked = move("customers:1", "fees", 250, description="Fee", reference="r-1", metadata={"a": "b"})
    asked["effective_at"] = "2020-02-29T23:59:59.999999+01:00"
    answer = book.post(asked, key="k")
    entry = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{book.path}/transactions/3")
    assert entry["effective_at"] == "2020-02-29T22:59:59.999999Z"
    assert [(p["account"], p["side"], p["amount"], p["kind"]) for p in entry["postings"]] == [
        ("customers:1", "debit", 250, "posted"),
        ("fees", "credit", 250, "posted"),
    ]
    assert [(b["account"], b["posted"]) for b in entry["balances"]] == [
        ("customers:1", 9_750),
        ("fees", 250),
    ]
    said = (entry["description"], entry["reference"], entry["metadata"], entry["idempotency_key"])
    assert (*said, entry["accounts_opened"]) == ("Fee", "r-1", {"a": "b"}, "k", ["fees"])
    view = book.get("/transactions/3")
    assert {**view, **entry} == view
    assert (view["status"], view["remaining"]) == ("posted", [250, 250])


def test_amounts_may_be_digit_strings(book: Book) -> None:
    """The largest amount passes as a number and as a string, and comes back as a number."""
    for amount in (2**62, str(2**62 - 1)):
        entry = book.post(move("fx", "cash", amount, "JPY/0")).json()
        assert entry["postings"][0]["amount"] == int(amount)
    refused(book.post(move("fx", "cash", 1, "JPY/0")), "amount_overflow")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"postings": [leg("cash", "debit", 2), leg("fees", "credit", 1)]}, "unbalanced"),
        (move("cash", "fees", 1, "X/0"), "asset_not_in_chart"),
        (move("cash", "nowhere", 1), "account_not_in_chart"),
        (move("cash", "fees", 1, "EUR/2"), "asset_not_allowed"),
        (move("customers:1", "cash", 10_001), "insufficient_available"),
        (move("cash", "capped", 101), "max_balance_exceeded"),
        (move("customers:5", "cash", 5, up_to=True), "nothing_available"),
        (move("cash", "fees", 1, effective_at="9999-12-31T23:59:59Z"), "effective_at_in_future"),
        (
            move("cash", "fees", 1, conditions=[{"account": "cash", "asset": "USD/2", "max": 5}]),
            "condition_failed",
        ),
        (
            move("cash", "fees", 1, conditions=[{"account": "x", "asset": "USD/2", "max": 5}]),
            "condition_unknown",
        ),
        (
            move("cash", "fees", 1, metadata={f"k{i}": "\N{EURO SIGN}" * 2_000 for i in range(20)}),
            "event_too_large",
        ),
    ],
)
def test_transaction_is_refused_by_rule(book: Book, body: Any, code: str) -> None:
    """A rule of the ledger refuses with its own code and evidence, and nothing is stored."""
    head = book.head()
    problem = refused(book.post(body), code)
    assert set(problem["evidence"]) == set(rejections.CODES[code].evidence)
    assert book.head() == head


def test_conditions_are_met(book: Book) -> None:
    """A condition on balance and version that holds lets the transaction pass."""
    conditions = [{"account": "customers:1", "asset": "USD/2", "min": 9_999, "max": 9_999, "version": 1}]
    assert book.post(move("customers:1", "cash", 1, conditions=conditions)).status_code == 201
    refused(book.post(move("customers:1", "cash", 1, conditions=conditions)), "condition_failed", actual="2")


def test_up_to_moves_what_there_is(book: Book) -> None:
    """`up_to` moves the room of both sides and says what was asked."""
    entry = book.post(move("customers:1", "cash", 25_000, up_to=True)).json()
    assert (entry["postings"][0]["amount"], entry["asked"]) == (10_000, 25_000)


def test_preview_stores_nothing(book: Book) -> None:
    """A preview answers 200 with the entry it would be, or the refusal; the head stays."""
    head = book.head()
    answer = book.post(move("customers:1", "cash", 1, preview=True), key="later")
    assert (answer.status_code, answer.json()["preview"], answer.json()["seq"]) == (200, True, head + 1)
    refused(book.post(move("customers:1", "cash", 10_001, preview=True)), "insufficient_available")
    assert book.head() == head
    assert book.post(move("customers:1", "cash", 2), key="later").status_code == 201


def test_hold_is_posted_in_parts_and_released(book: Book) -> None:
    """place, part, final part: what is left is released, and a finished hold is refused with its ending."""
    held = book.seq(move("customers:1", "fees", 1_000, pending=True))
    assert book.balance("customers:1") == (10_000, 9_000, 9_000)
    part = book.call("POST", f"/transactions/{held}/post", {"amounts": [300, "300"]})
    assert (part.status_code, part.json()["transaction"], part.json()["final"]) == (201, held, False)
    assert book.balance("customers:1") == (9_700, 9_000, 9_000)
    view = book.get(f"/transactions/{held}")
    assert (view["status"], view["remaining"], view["events"]) == ("pending", [700, 700], [held + 1])
    too_much = book.call("POST", f"/transactions/{held}/post", {"amounts": [701, 701]})
    refused(too_much, "exceeds_remaining", remaining="700")
    refused(book.call("POST", f"/transactions/{held}/post", {"amounts": [1, 1, 1]}), "amounts_count_differs")
    refused(book.call("POST", f"/transactions/{held}/post", {"amounts": [1, 2]}), "unbalanced")
    final = book.call("POST", f"/transactions/{held}/post", {"amounts": [100, 100], "final": True})
    assert final.headers["location"] == f"{book.path}/transactions/{held + 2}"
    assert book.balance("customers:1") == (9_600, 9_600, 9_600)
    ended = book.call("POST", f"/transactions/{held}/void")
    refused(ended, "hold_already_posted", seq=held, ended_by=held + 2)
    refused(book.call("POST", f"/transactions/{held}/reverse"), "reversal_of_hold")


def test_hold_is_voided(book: Book) -> None:
    """A void releases everything; posting after it is refused; a plain transaction is no hold."""
    held = book.seq(move("customers:1", "fees", 1_000, pending=True))
    answer = book.call("POST", f"/transactions/{held}/void", {"description": "cancelled"})
    assert (answer.status_code, answer.json()["type"]) == (201, "hold_voided")
    assert book.balance("customers:1") == (10_000, 10_000, 10_000)
    refused(book.call("POST", f"/transactions/{held}/post"), "hold_already_voided", ended_by=held + 1)
    refused(book.call("POST", "/transactions/2/post"), "not_a_hold")
    refused(book.call("POST", "/transactions/1/void"), "transaction_not_found")
    refused(book.call("POST", f"/transactions/{2**63 - 1}/post"), "transaction_not_found")


def test_hold_expires_by_itself(book: Book) -> None:
    """When its time has run out a hold is released without anybody asking, and can no longer be posted."""
    entry = book.post(move("customers:1", "fees", 1_000, pending=True, timeout_seconds=1)).json()
    assert entry["expires_at"] > entry["recorded_at"]
    deadline = time.monotonic() + 10
    while book.balance("customers:1")[2] != 10_000:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    view = book.get(f"/transactions/{entry['seq']}")
    assert view["status"] == "expired"
    answer = book.call("POST", f"/transactions/{entry['seq']}/post")
    refused(answer, "hold_already_expired", expires_at=entry["expires_at"])


def test_transaction_is_reversed_in_parts(book: Book) -> None:
    """Reversals never exceed the transaction, obey bounds, and are not reversed."""
    first = book.call("POST", "/transactions/2/reverse", {"amounts": [4_000, 4_000]})
    assert (first.status_code, first.json()["transaction"]) == (201, 2)
    refused(book.call("POST", "/transactions/3/reverse"), "reversal_of_reversal")
    early = book.call("POST", "/transactions/2/reverse", {"effective_at": "2000-01-01T00:00:00Z"})
    refused(early, "effective_before_original")
    spent = book.seq(move("customers:1", "fees", 6_000))
    refused(book.call("POST", "/transactions/2/reverse"), "insufficient_available")
    book.call("POST", f"/transactions/{spent}/reverse")
    assert book.call("POST", "/transactions/2/reverse").status_code == 201
    refused(book.call("POST", "/transactions/2/reverse"), "already_reversed")
    assert book.get("/transactions/2")["status"] == "reversed"
    assert book.balance("cash") == (0, 0, 0)


def test_transaction_is_annotated(book: Book) -> None:
    """A remark stands beside the transaction, whose own metadata stays."""
    answer = book.call("POST", "/transactions/2/annotate", {"metadata": {"seen": "yes"}})
    assert (answer.status_code, answer.json()["type"]) == (201, "transaction_annotated")
    assert book.get("/transactions/2")["annotations"] == [{"seen": "yes"}]
    refused(book.call("POST", "/transactions/9/annotate", {"metadata": {"a": "b"}}), "transaction_not_found")
    refused(book.call("GET", "/transactions/1"), "transaction_not_found", seq=1)


def test_transactions_are_filtered_and_paged(book: Book) -> None:
    """Pages in both directions hold every transaction once; each filter lets through what it names."""
    for day in range(1, 6):
        at = f"2026-01-0{day}T12:00:00Z"
        book.seq(move("customers:1", "fees", day, reference=f"r{day % 2}", effective_at=at))
    held = book.seq(move("customers:1", "fees", 9, pending=True))
    for order, wanted in (("asc", list(range(2, held + 1))), ("desc", list(range(held, 1, -1)))):
        found: list[int] = []
        query: dict[str, Any] = {"order": order, "limit": 3}
        while True:
            page = book.get("/transactions", **query)
            found += [entry["seq"] for entry in page["transactions"]]
            if page["next"] is None:
                break
            query["after"] = page["next"]
        assert found == wanted

    def seqs(**query: str) -> list[int]:
        return [entry["seq"] for entry in book.get("/transactions", **query)["transactions"]]

    assert seqs(reference="r0") == [4, 6]
    assert seqs(type="transaction_held") == [held]
    assert seqs(account="cash") == [2]
    window = {"effective_from": "2026-01-02T12:00:00Z", "effective_to": "2026-01-04T12:00:00+00:00"}
    assert seqs(**window) == [4, 5]
    assert seqs(account="fees", reference="r1", order="desc") == [7, 5, 3]
    refused(book.call("GET", "/transactions?account=customers:99"), "account_not_found")


# ---------------------------------------------------------------- reports


def test_trial_balance_balances(book: Book) -> None:
    """Totals are of the whole ledger, lines are paged by account."""
    book.seq(move("cash", "fx", 7, "EUR/2"))
    lines, after = [], 0
    while after is not None:
        page = book.get("/trial-balance", after=after, limit=1)
        lines += [(line["account"], line["asset"], line["debit"], line["credit"]) for line in page["lines"]]
        after = page["next"]
        assert page["balanced"]
        assert {t["asset"]: (t["debit"], t["credit"]) for t in page["totals"]} == {
            "EUR/2": (7, 7),
            "USD/2": (10_000, 10_000),
        }
    assert sorted(lines) == [
        ("cash", "EUR/2", 7, 0),
        ("cash", "USD/2", 10_000, 0),
        ("customers:1", "USD/2", 0, 10_000),
        ("fx", "EUR/2", 0, 7),
    ]


def test_events_are_paged_as_they_are_stored(book: Book) -> None:
    """Every event once, in order; the client's request id and key stand in its event."""
    answer = book.call(
        "POST",
        "/transactions",
        move("cash", "fx", 1),
        headers={"X-Request-Id": "req 7", "Idempotency-Key": "k"},
    )
    assert answer.headers["x-request-id"] == "req 7"
    events, after = [], 0
    while after is not None:
        page = book.get("/events", after=after, limit=2)
        events += page["events"]
        after = page["next"]
    assert [event["seq"] for event in events] == [1, 2, 3]
    assert (events[2]["body"]["request_id"], events[2]["body"]["key"]) == ("req 7", "k")
    assert "request_id" not in events[1]["body"]


# ---------------------------------------------------------------- keys and replays


BY_PRODUCTS = {"Credits", "Payments", "Vouchers", "Reconciliation", "Kredit", "Credit providers"}


def keyed_calls(book: Book) -> dict[str, tuple[str, str, Any]]:
    """One accepted command of every operation that takes a key."""
    held = [book.seq(move("customers:1", "fees", 10, pending=True)) for _ in range(2)]
    return {
        "open_ledger": ("POST", "/v1/ledgers", {"name": f"{book.name}-b", "chart": CHART}),
        "set_chart": ("PUT", f"{book.path}/chart", CHART),
        "open_account": ("POST", f"{book.path}/accounts", {"address": "customers:50"}),
        "set_limits": ("PUT", f"{book.path}/accounts/cash/limits", {"limits": {}}),
        "close_account": ("POST", f"{book.path}/accounts/customers:50/close", {}),
        "create_transaction": (
            "POST",
            f"{book.path}/transactions",
            move("cash", "fx", 3, metadata={"é": "ž"}),
        ),
        "create_transactions": (
            "POST",
            f"{book.path}/transactions/batch",
            {"atomic": True, "transactions": [move("cash", "fx", 1), move("fx", "cash", 1)]},
        ),
        "post_hold": ("POST", f"{book.path}/transactions/{held[0]}/post", {"amounts": [4, 4]}),
        "void_hold": ("POST", f"{book.path}/transactions/{held[1]}/void", {}),
        "reverse_transaction": ("POST", f"{book.path}/transactions/2/reverse", {"amounts": [1, 1]}),
        "annotate_transaction": ("POST", f"{book.path}/transactions/2/annotate", {"metadata": {"a": "b"}}),
        "close_period": ("POST", f"{book.path}/periods/2020/close", {"retained_earnings": "fx"}),
        "reopen_period": ("POST", f"{book.path}/periods/2020/reopen", {"reason": "late"}),
        "assert_balance": (
            "POST",
            f"{book.path}/assertions",
            {"account": "cash", "asset": "USD/2", "at": "2020-06-15", "expected": "-5", "source": "bank"},
        ),
        **loan_calls(book.service),
    }


def test_replay_is_the_first_answer_byte_for_byte(book: Book) -> None:
    """Every keyed operation answers a repeated request with its first status and body, marked as a replay."""
    calls = keyed_calls(book)
    assert set(calls) == {o.id for o in OPERATIONS if o.keyed and o.tag not in BY_PRODUCTS}
    for name, (method, path, body) in calls.items():
        headers = {"Idempotency-Key": f"key of {name}"}
        first = book.service.call(method, path, body, headers=headers)
        assert first.is_success, (name, first.text)
        assert "idempotency-replayed" not in first.headers
        head = book.head()
        again = book.service.call(method, path, body, headers=headers)
        assert (again.status_code, again.content) == (first.status_code, first.content), name
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers.get("location") == first.headers.get("location")
        assert book.head() == head


def test_refusal_is_replayed_though_it_would_pass_now(book: Book) -> None:
    """The outcome of a key never changes: a refusal is answered again, byte for byte; a new key passes."""
    body = move("customers:1", "fees", 10_500)
    first = book.post(body, key="early")
    refused(first, "insufficient_available", short_by="500")
    book.seq(move("cash", "customers:1", 500))
    again = book.post(body, key="early")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert book.post(body, key="late").status_code == 201


def test_used_key_refuses_another_request(book: Book) -> None:
    """The same key with another body, another operation or as a batch is refused, with no effect."""
    body = move("cash", "fx", 3)
    book.post(body, key="k")
    head = book.head()
    for method, path, other in (
        ("POST", "/transactions", move("cash", "fx", 4)),
        ("POST", "/transactions/batch", {"atomic": True, "transactions": [body]}),
        ("POST", "/transactions/2/reverse", {}),
    ):
        answer = book.call(method, path, other, headers={"Idempotency-Key": "k"})
        refused(answer, "idempotency_key_reused", key="k")
    assert book.head() == head


@pytest.mark.parametrize(
    "headers",
    [
        {"idempotency-key": "a b"},
        {"X-Idempotency-Key": "a b"},
        {"IDEMPOTENCY-KEY": '"a b"'},
        {"Idempotency-Key": "a b", "x-idempotency-key": '"a b"'},
    ],
)
def test_key_may_be_quoted_or_bare_under_both_names(book: Book, headers: dict[str, str]) -> None:
    """All spellings of one key are one key, which may also stand in the body."""
    body = move("cash", "fx", 3)
    first = book.post({**body, "idempotency_key": "a b"})
    again = book.call("POST", "/transactions", body, headers=headers)
    assert (first.status_code, again.content) == (201, first.content)
    assert book.post({**body, "idempotency_key": "a b"}, key="a b").content == first.content


def test_escapes_in_a_quoted_key_are_undone(book: Book) -> None:
    """A quoted key is an RFC 8941 string."""
    assert book.post(move("cash", "fx", 3), key=r'"a\"\\b"').json()["idempotency_key"] == 'a"\\b'


def test_equal_keys_in_flight_have_one_effect(book: Book) -> None:
    """Of twenty equal requests at once one is recorded, and all are answered alike."""
    head = book.head()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: book.post(move("cash", "fx", 3), key="same"), range(20)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert book.head() == head + 1


# ---------------------------------------------------------------- batches


def test_independent_batch_answers_each_item(book: Book) -> None:
    """Each transaction has the status that it would have alone; keys replay within and across batches."""
    good = move("cash", "fx", 3, idempotency_key="i1")
    bad = move("customers:1", "fees", 10_001, idempotency_key="i2")
    batch = {"transactions": [good, bad, move("cash", "fx", 4), good]}
    answer = book.call("POST", "/transactions/batch", batch)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 422, 201, 201]
    assert [result.get("replayed", False) for result in results] == [False, False, False, True]
    assert results[0]["transaction"] == results[3]["transaction"]
    assert results[1]["problem"]["code"] == "insufficient_available"
    again = book.call("POST", "/transactions/batch", batch).json()["results"]
    assert [result.get("replayed", False) for result in again] == [True, True, False, True]
    assert again[1]["problem"] == results[1]["problem"]
    assert book.post(move("cash", "fx", 3), key="i1").json() == results[0]["transaction"]


def test_large_batch_is_recorded_in_order(book: Book) -> None:
    """A thousand transactions in one request have a thousand seqs in a row."""
    batch = {"transactions": [move("cash", f"customers:{n}", n + 1) for n in range(1_000)]}
    results = book.call("POST", "/transactions/batch", batch).json()["results"]
    assert [result["transaction"]["seq"] for result in results] == list(range(3, 1_003))
    assert results[999]["transaction"]["balances"][1]["posted"] == 1_000


def test_atomic_batch_is_recorded_whole(book: Book) -> None:
    """All transactions of an accepted group are recorded, each seeing its predecessors."""
    group = [move("cash", "customers:7", 5), move("customers:7", "fees", 5)]
    answer = book.call("POST", "/transactions/batch", {"atomic": True, "transactions": group})
    assert answer.status_code == 201
    results = answer.json()["results"]
    assert [(r["status"], r["transaction"]["batch"]) for r in results] == [(201, [0, 2]), (201, [1, 2])]


def test_atomic_batch_is_refused_whole(book: Book) -> None:
    """The answer is the problem of the one that failed; the others are linked; nothing is stored."""
    head = book.head()
    group = [move("cash", "customers:7", 5), move("customers:7", "fees", 6), move("cash", "fx", 1)]
    body = {"atomic": True, "transactions": group}
    answer = book.call("POST", "/transactions/batch", body, headers={"Idempotency-Key": "g"})
    problem = refused(answer, "insufficient_available", account="customers:7", short_by="1")
    results = problem["results"]
    assert [r["problem"]["code"] for r in results] == [
        "linked_failed",
        "insufficient_available",
        "linked_failed",
    ]
    assert results[0]["problem"]["evidence"] == {"index": 1, "code": "insufficient_available"}
    again = book.call("POST", "/transactions/batch", body, headers={"Idempotency-Key": "g"})
    assert (again.content, again.headers["idempotency-replayed"]) == (answer.content, "true")
    assert book.head() == head


# ---------------------------------------------------------------- the service itself


def test_every_code_is_served(service: Service) -> None:
    """/v1/rejections lists every code of the API and of the ledger, in order of precedence."""
    listed = service.get("/v1/rejections")["rejections"]
    assert [row["code"] for row in listed] == [row.code for row in problems.ALL]
    assert len({row["code"] for row in listed}) == len(listed)


def test_health(service: Service) -> None:
    """A service whose database answers is live and ready."""
    assert service.get("/health/live") == {"status": "healthy"}
    assert service.get("/health/ready") == {"status": "healthy"}


def test_docs_page_needs_nothing_from_elsewhere(service: Service) -> None:
    """The page and everything that it loads come from this server."""
    page = service.client.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    loaded = re.findall(r'(?:src|href|url)(?:=|: )"([^"]+)"', page.text)
    assert len(loaded) == 4
    for path in loaded:
        assert service.client.get("/" + path).status_code == 200, path
    assert service.client.get("/openapi.json").json()["openapi"] == "3.1.0"


def test_head_answers_without_a_body(service: Service) -> None:
    """HEAD is GET without the body."""
    answer = service.client.head("/v1/rejections")
    assert (answer.status_code, answer.content) == (200, b"")


def test_request_id_is_made_taken_and_logged(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer has an id, the client's own where it sent one; the log names it with a slow request."""
    captured = structlog.testing.LogCapture()
    monkeypatch.setattr("api.app.SLOW_MS", 0)
    monkeypatch.setattr(
        "api.app.log", structlog.wrap_logger(None, processors=[captured], wrapper_class=structlog.BoundLogger)
    )
    taken = service.call("GET", "/v1/nothing", headers={"X-Request-Id": "mine"})
    made = service.call("GET", "/health/live")
    assert taken.headers["x-request-id"] == "mine"
    assert re.fullmatch("[0-9a-f]{32}", made.headers["x-request-id"])
    lines = [(line["method"], line["path"], line["status"], line["request_id"]) for line in captured.entries]
    assert lines[0] == ("GET", "/v1/nothing", 404, "mine")
    assert lines[1] == ("GET", "/health/live", 200, made.headers["x-request-id"])


def test_lost_database_is_said_plainly(new_database: NewDatabase) -> None:
    """Without its database the service is live and not ready, and answers 503; then it recovers."""
    with new_database() as conninfo, served(conninfo) as service:
        book = service.open()
        name = conninfo_to_dict(conninfo)["dbname"]
        with psycopg.connect(conninfo, dbname="postgres", autocommit=True) as admin:
            allow = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
            admin.execute(allow.format(sql.Identifier(str(name)), sql.SQL("false")))
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            assert service.call("GET", "/health/live").status_code == 200
            with ThreadPoolExecutor(3) as pool:
                reading = pool.submit(book.call, "GET", "")
                writing = pool.submit(book.post, move("cash", "fx", 1), "k")
                down = service.call("GET", "/health/ready")
                assert (down.status_code, down.json()["status"]) == (503, "down")
                answer = reading.result()
                refused(answer, "unavailable")
                assert answer.headers["retry-after"] == "1"
                admin.execute(allow.format(sql.Identifier(str(name)), sql.SQL("true")))
                assert writing.result().status_code == 201
        assert book.head() == 2


def test_clock_behind_the_ledger_is_said_plainly(new_database: NewDatabase) -> None:
    """A ledger whose last event is in the future takes no command; it can be read, and health says why."""
    with new_database() as conninfo, served(conninfo) as service:
        book = service.open()
        with psycopg.connect(conninfo) as admin:
            admin.execute("ALTER TABLE daybook.heads DISABLE TRIGGER ALL")
            admin.execute("UPDATE daybook.heads SET recorded_at = recorded_at + interval '1 hour'")
            admin.execute("ALTER TABLE daybook.heads ENABLE TRIGGER ALL")
        answer = book.post(move("cash", "fx", 1))
        refused(answer, "clock_behind")
        assert int(answer.headers["retry-after"]) > 0
        health = service.get("/health/ready")
        assert (health["status"], len(health["reasons"])) == ("degraded", 1)
        assert book.head() == 1


def test_full_queue_is_refused_at_once(new_database: NewDatabase) -> None:
    """When too much waits, the rest is told to come again, and what waited is answered."""
    batch = {"transactions": [move("cash", "nowhere", 1)] * 5_000}
    with new_database() as conninfo, served(conninfo) as service:
        book = service.open()
        with psycopg.connect(conninfo) as holder, ThreadPoolExecutor(14) as pool:
            holder.execute("SELECT FROM daybook.heads FOR UPDATE")
            waiting = [pool.submit(book.call, "POST", "/transactions/batch", batch) for _ in range(14)]
            first = next(as_completed(waiting)).result()
            refused(first, "overloaded")
            assert int(first.headers["retry-after"]) > 0
            holder.rollback()
            statuses = {future.result().status_code for future in waiting}
        assert statuses == {200, 503}


# ---------------------------------------------------------------- the document


def operation_ids(operation: Operation) -> str:
    return operation.id


@pytest.mark.parametrize("operation", OPERATIONS, ids=operation_ids)
def test_examples_are_what_the_operation_takes_and_answers(operation: Operation) -> None:
    """A declared body decodes as the command it stands for; a declared answer is one of the operation's."""
    assert (operation.body is not None or operation.signed) == ("body" in EXAMPLES[operation.id])
    if operation.body is not None:
        operation.decoder.decode(json.dumps(operation.example))
    if operation.answer is bytes:
        assert operation.answer_example is None or isinstance(operation.answer_example, str)
        return
    answer: Any = msgspec.json.decode(json.dumps(operation.answer_example), type=operation.answer)
    assert json.loads(msgspec.json.encode(answer)) == operation.answer_example


def test_every_operation_has_its_own_scope_and_id() -> None:
    """Commands need more than reading; only the service's own routes need nothing."""
    assert len({o.id for o in OPERATIONS}) == len(OPERATIONS) == len({(o.method, o.path) for o in OPERATIONS})
    assert set(EXAMPLES) == {o.id for o in OPERATIONS}
    for operation in OPERATIONS:
        if operation.tag == "Service":
            assert operation.scope == "none"
        elif operation.tag in ("Webhooks", "Inbox") and not operation.signed:
            assert operation.scope == "webhooks:manage"
        else:
            reading = operation.scope in ("ledger:read", "audit:read")
            assert operation.method == "GET" or not reading or operation.id in ("create_export", "cancel_job")


def test_document_is_complete() -> None:
    """Every reference leads somewhere, and every code is declared where it may come."""
    made = json.loads(msgspec.json.encode(document()))
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(made)):
        place = made
        for name in reference.split("/"):
            place = place[name]
    declared = {
        code
        for path in made["paths"].values()
        for operation in path.values()
        for response in operation["responses"].values()
        for code in response.get("x-codes", ())
    }
    # These are not of any operation: there is none at that path, or not with that method; and only a webhook
    # says in which decimals it counts.
    others = {"not_found", "method_not_allowed", "voucher_decimals_differ"}
    assert declared | others == set(problems.CODES)
    assert made["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == list(problems.CODES)
    assert not re.search(r'"pattern": "[^"]*\\\\Z', json.dumps(made))


def test_every_code_in_the_source_is_in_a_table() -> None:
    """No code is sent that is not in the tables: whatever the source calls one stands there."""
    root = Path(problems.__file__).parents[1]
    found = set()
    for path in [*(root / "api").rglob("*.py"), *(root / "ledger").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if called in ("make", "refuse", "misfit", "Rejection") and isinstance(
                    node.args[0].value, str
                ):
                    found.add(node.args[0].value)
    assert found <= set(problems.CODES)
    by_name = {"hold_already_posted", "hold_already_voided"}  # made of the hold's status
    assert found | by_name == set(problems.CODES)
