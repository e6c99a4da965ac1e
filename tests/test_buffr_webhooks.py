"""What Buffr reports about vouchers, over HTTP: signed, retried, out of order, contradicting."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.served import Book, Service, served

SECRET = "buffr-secret-0123456789"
CHART = {"assets": ["NAD/2"], "accounts": [], "products": ["vouchers"]}
PATH = "/api/v1/webhooks/buffr"


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.fixture
def book(service: Service) -> Iterator[Book]:
    """A programme with vouchers, and the door for Buffr, which is closed again at the end."""
    book = service.open(CHART)
    assert book.call("PUT", "/beneficiaries/B1", {"name": "Maria Shikongo"}).status_code == 200
    ask(book, "/programmes", {"programme": "relief", "name": "Relief", "asset": "NAD/2"})
    ask(book, "/programmes/relief/fundings", {"amount": 1_000_000})
    door = ask(book, "/inbox/endpoints", {"provider": "buffr", "secret": SECRET, "default": True})
    yield book
    assert book.call("DELETE", f"/inbox/endpoints/{door['endpoint']['id']}").status_code == 200


def ask(book: Book, path: str, body: Any) -> Any:
    answer = book.call("POST", path, body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def issue(book: Book, name: str, amount: int = 10_000, **more: Any) -> None:
    voucher = {"programme": "relief", "voucher": name, "beneficiary": "B1", "amount": amount, **more}
    ask(book, "/vouchers", voucher)


def report(service: Service, event: str, voucher: str, key: str = "", **data: Any) -> httpx.Response:
    """Send an event as Buffr does."""
    body = json.dumps({"event": f"voucher.{event}", "data": {"voucher_id": voucher, **data}}).encode()
    return send(service, body, {"Idempotency-Key": key} if key else {})


def send(service: Service, body: bytes, headers: dict[str, str]) -> httpx.Response:
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    signed = {"x-webhook-signature": signature, "content-type": "application/json", **headers}
    answer = service.client.post(PATH, content=body, headers=signed)
    service.check_declared(answer)
    return answer


def settled(book: Book, answer: httpx.Response) -> Any:
    """What became of a webhook, once it is known."""
    assert answer.status_code == 200, answer.text
    number = answer.json()["data"]["webhookEventId"]
    deadline = time.monotonic() + 20
    while True:
        found = book.get(f"/inbox/webhooks/{number}")["webhook"]
        if found["state"] != "received":
            return found
        assert time.monotonic() < deadline
        time.sleep(0.02)


def voucher(book: Book, name: str) -> tuple[str, int, int]:
    found = book.get(f"/vouchers/{name}")
    return found["status"], found["redeemed"], found["remaining"]


def sound(book: Book) -> None:
    """Liability is what open vouchers promise; the trust account has all that is owed, and no more."""
    found = book.get("/programmes/relief")
    assert found["deficiency"] == 0
    assert found["trust"] == found["outstanding"] + found["unsettled"] + found["fund"]


def test_the_five_events_become_commands(service: Service, book: Book) -> None:
    """Each moves its voucher and what is owed for it; amounts come in dollars and are posted in cents."""
    for n in range(1, 6):
        issue(book, f"V{n}")
    assert settled(book, report(service, "delivered", "V1"))["state"] == "posted"
    settled(book, report(service, "redeemed", "V1", amount=40.5, agent_id="A1", event_id="e1"))
    settled(book, report(service, "redeemed", "V2", redemption_method="wallet"))
    settled(book, report(service, "expired", "V3"))
    settled(book, report(service, "cancelled", "V4", reason="duplicate"))
    settled(book, report(service, "failed", "V5", reason="no such phone"))
    assert [voucher(book, f"V{n}") for n in range(1, 6)] == [
        ("partially_redeemed", 4_050, 5_950),
        ("redeemed", 10_000, 0),
        ("expired", 0, 0),
        ("cancelled", 0, 0),
        ("failed", 0, 10_000),
    ]
    assert book.balance("vouchers:relief:payable:agent:A1", "NAD/2")[0] == 4_050
    assert book.balance("vouchers:relief:payable:wallet:buffr", "NAD/2")[0] == 10_000
    sound(book)


@pytest.mark.parametrize("header", ["Idempotency-Key", "idempotency-key", "X-IDEMPOTENCY-KEY"])
def test_a_retry_has_the_first_answer_and_no_effect(service: Service, book: Book, header: str) -> None:
    """The key in any spelling, bare or quoted: same status, same bytes, though the retry's body is newer."""
    issue(book, "V1")
    about = {"voucher_id": "V1", "amount": 10, "agent_id": "A1"}
    bodies = [
        json.dumps({"event": "voucher.redeemed", "data": {**about, "timestamp": f"2026-01-0{day}T00:00:00Z"}})
        for day in (1, 2, 3)
    ]
    first = send(service, bodies[0].encode(), {header: "retry-1"})
    settled(book, first)
    for body in bodies[1:]:
        again = send(service, body.encode(), {"x-idempotency-key": '"retry-1"'})
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
    assert voucher(book, "V1") == ("partially_redeemed", 1_000, 9_000)


def test_the_same_bytes_are_the_same_event_whatever_key_they_bear(service: Service, book: Book) -> None:
    """The key is not signed: whoever resends what was overheard under another one redeems nothing."""
    issue(book, "V1")
    for key in ("", "one", "two", "three"):
        settled(book, report(service, "redeemed", "V1", key, amount=10, agent_id="A1"))
    assert voucher(book, "V1") == ("partially_redeemed", 1_000, 9_000)


def test_a_key_is_of_one_event(service: Service, book: Book) -> None:
    """For another voucher or another state it is refused, so that no fact is lost behind a key."""
    issue(book, "V1")
    issue(book, "V2")
    settled(book, report(service, "delivered", "V1", "same"))
    for event, name in (("delivered", "V2"), ("redeemed", "V1")):
        answer = report(service, event, name, "same")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert voucher(book, "V2")[0] == "issued"


def test_a_state_is_reported_once_however_often(service: Service, book: Book) -> None:
    """Without key and event id: the voucher and its state name the event, not the moment it is sent."""
    issue(book, "V1")
    for second in range(3):
        settled(book, report(service, "redeemed", "V1", timestamp=f"2026-01-01T00:00:0{second}Z"))
    assert voucher(book, "V1") == ("redeemed", 10_000, 0)
    assert book.get("/vouchers/V1").get("contradictions", 0) == 0
    head = book.head()
    settled(book, report(service, "redeemed", "V1", timestamp="2026-01-01T00:00:09Z"))
    assert book.head() == head


def test_a_late_report_that_contradicts_changes_nothing(service: Service, book: Book) -> None:
    """It is in the book for people to reconcile, with what was said."""
    issue(book, "V1")
    ask(book, "/vouchers/V1/cancel", {"reason": "moved"})
    found = settled(book, report(service, "redeemed", "V1", amount=5, agent_id="A1"))
    [event] = book.get("/events", after=found["seqs"][0] - 1, limit=1)["events"]
    assert event["body"]["type"] == "voucher_contradicted"
    assert event["body"]["data"]["amount"] == "500"
    assert voucher(book, "V1")[0] == "cancelled"
    assert book.get("/vouchers/V1")["contradictions"] == 1
    sound(book)


def test_an_expiry_that_both_have_is_no_matter_for_people(service: Service, book: Book) -> None:
    """The voucher's time comes here and there: Buffr's report waits for nobody and is no discrepancy."""
    issue(book, "V1")
    ask(book, "/vouchers/V1/expire", {})
    head = book.head()
    found = settled(book, report(service, "expired", "V1"))
    assert (found["state"], book.head()) == ("posted", head)
    assert book.get("/voucher-metrics")["discrepancies"] == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"event": "voucher.lost", "data": {"voucher_id": "V1"}}, "unknown_type"),
        ({"event": "voucher.redeemed", "data": {"voucher_id": "V 1!"}}, "voucher_not_understood"),
        ({"event": "voucher.redeemed", "data": "V1"}, "voucher_not_understood"),
        (
            {"event": "voucher.redeemed", "data": {"voucher_id": "V1", "amount": 0.005}},
            "amount_not_understood",
        ),
        (
            {"event": "voucher.redeemed", "data": {"voucher_id": "V1", "amount": "ten"}},
            "amount_not_understood",
        ),
        (
            {"event": "voucher.redeemed", "data": {"voucher_id": "V1", "amount": "1e99999999"}},
            "amount_not_understood",
        ),
        ({"event": "voucher.redeemed", "data": {"voucher_id": "V1", "amount": -1}}, "amount_not_understood"),
        (
            {"event": "voucher.redeemed", "data": {"voucher_id": "V1", "amount": True}},
            "amount_not_understood",
        ),
        ({"event": "voucher.redeemed", "data": {"voucher_id": "V1", "agent_id": "a b"}}, "not_postable"),
        ({"event": "voucher.redeemed", "data": {"voucher_id": "nobodys"}}, "voucher_not_found"),
    ],
)
def test_what_cannot_be_translated_waits_for_people(
    service: Service, book: Book, body: Any, reason: str
) -> None:
    """Stored, parked and explained; nothing is posted."""
    issue(book, "V1")
    found = settled(book, send(service, json.dumps(body).encode(), {}))
    assert (found["state"], found["reason"]) == ("parked", reason)
    assert voucher(book, "V1")[0] == "issued"


def test_an_amount_in_other_decimals_is_parked_not_posted(service: Service) -> None:
    """Cents of an asset that has none would be a hundred times too much; all that remains needs none."""
    book = service.open(CHART | {"assets": ["NAD/0"]})
    assert book.call("PUT", "/beneficiaries/B1", {"name": "Maria Shikongo"}).status_code == 200
    ask(book, "/programmes", {"programme": "relief", "name": "Relief", "asset": "NAD/0"})
    ask(book, "/programmes/relief/fundings", {"amount": 1_000_000})
    door = ask(book, "/inbox/endpoints", {"provider": "buffr", "secret": SECRET, "default": True})
    issue(book, "V1")
    found = settled(book, report(service, "redeemed", "V1", amount=40))
    assert (found["state"], found["reason"]) == ("parked", "voucher_decimals_differ")
    assert voucher(book, "V1") == ("issued", 0, 10_000)
    settled(book, report(service, "redeemed", "V1"))
    assert voucher(book, "V1") == ("redeemed", 10_000, 0)
    assert book.call("DELETE", f"/inbox/endpoints/{door['endpoint']['id']}").status_code == 200


class Naive:
    """A programme's money by the words of the events alone: no posting, no account, no state is looked at."""

    def __init__(self) -> None:
        self.promised: dict[str, int] = {}
        self.trust = self.fund = self.unsettled = self.fees = 0
        self.seen: Counter[str] = Counter()

    def take(self, type: str, data: dict[str, Any]) -> None:
        """One more event."""
        reversed_ = "+reversed" if data.get("expiry_reversed") else ""
        self.seen[f"{type}{reversed_}"] += 1
        amount, voucher = int(data.get("amount", 0)), data.get("voucher", "")
        match type:
            case "programme_funded":
                self.trust, self.fund = self.trust + amount, self.fund + amount
            case "funds_returned":
                self.trust, self.fund = self.trust - amount, self.fund - amount
            case "voucher_issued":
                self.promised[voucher] = amount
                self.fund -= amount
            case "voucher_redeemed":
                if reversed_:
                    self.fund -= amount
                else:
                    self.promised[voucher] -= amount
                self.unsettled += amount
            case "voucher_expired" | "voucher_cancelled":
                assert self.promised.pop(voucher) == amount
                self.fund += amount
            case "voucher_reissued":
                assert self.promised.pop(voucher) == amount
                self.promised[data["replacement"]] = amount
            case "payees_settled":
                paid = sum(int(payee["amount"]) for payee in data["payees"])
                self.trust, self.unsettled = self.trust - paid, self.unsettled - paid
            case "voucher_fee_charged":
                self.fees += amount
            case "voucher_fee_paid":
                self.fees -= amount

    def check(self, book: Book, seq: int) -> int:
        """Take in what is new since a seq, hold it against the accounts; the seq that it is told to."""
        figures = book.get("/programmes/relief")
        while seq < figures["seq"]:
            for event in book.get("/events", after=seq, limit=200)["events"]:
                seq = event["seq"]
                if seq <= figures["seq"]:
                    self.take(event["body"]["type"], event["body"].get("data", {}))
            seq = min(seq, figures["seq"])
        outstanding = sum(self.promised.values())
        assert (figures["outstanding"], figures["trust"]) == (outstanding, self.trust)
        assert (figures["unsettled"], figures["fund"]) == (self.unsettled, self.fund)
        assert (figures["fees_unpaid"], figures["deficiency"]) == (self.fees, 0)
        assert self.trust == outstanding + self.unsettled + self.fund
        return seq


LONG_AGO = "2026-01-01T00:00:00Z"
FORCED: tuple[tuple[str, dict[str, Any], str, dict[str, Any]], ...] = (
    ("cancel", {"reason": "forced"}, "redeemed", {"amount": 5}),
    ("expire", {}, "redeemed", {"timestamp": LONG_AGO, "amount": 3}),
    ("fail", {"reason": "forced"}, "expired", {}),
)


@pytest.mark.parametrize("seed", range(int(os.environ.get("DAYBOOK_VOUCHER_LIVES", "2"))))
def test_commands_and_webhooks_in_any_order_keep_the_books(service: Service, book: Book, seed: int) -> None:
    """At every step liability is the outstanding vouchers, and trust is liability, unsettled and fund.

    With reports that are late, contradict, or tell of a redemption before the expiry by the provider's time.
    """
    chance = random.Random(seed)
    naive = Naive()
    seq = naive.check(book, 0)
    names = [f"V{n}" for n in range(5)]
    for name in names:
        soon = datetime.now(UTC) + timedelta(seconds=chance.choice([1, 3, 1_000]))
        issue(book, name, 5_000, expires_at=soon.isoformat())
    relief = "/programmes/relief"
    for step in range(40):
        name = chance.choice(names)
        if chance.random() < 0.6:
            event = chance.choice(["delivered", "redeemed", "redeemed", "expired", "cancelled", "failed"])
            data: dict[str, Any] = chance.choice([{}, {"timestamp": LONG_AGO}])
            if event == "redeemed" and step % 2:
                data = {**data, "amount": chance.choice([7.25, 20, 60])}
            id = f"{event}-{name}-{chance.randrange(4)}"
            settled(book, report(service, event, name, event_id=id, **data))
        else:
            path, body = chance.choice(
                [
                    (f"/vouchers/{name}/redeem", {"amount": 900, "payee_type": "agent", "payee": "A1"}),
                    (f"/vouchers/{name}/cancel", {"reason": "random"}),
                    (f"/vouchers/{name}/expire", {}),
                    (f"/vouchers/{name}/reissue", {"replacement": f"R{step}"}),
                    (f"{relief}/settlements", {"payees": [{"payee_type": "agent", "payee": "A1"}]}),
                    (f"{relief}/returns", {"amount": 100}),
                    (f"{relief}/fundings", {"amount": 30}),
                    (f"{relief}/fees", {"payee": "A1", "amount": 11}),
                    (f"{relief}/fee-payments", {"payee": "A1", "amount": 7}),
                ]
            )
            answer = book.call("POST", path, body)
            if answer.status_code == 201 and path.endswith("reissue"):
                names.append(f"R{step}")
        seq = naive.check(book, seq)
    for number, (command, body, event, data) in enumerate(FORCED):
        issue(book, f"F{number}", 1_000)
        ask(book, f"/vouchers/F{number}/{command}", body)
        settled(book, report(service, event, f"F{number}", **data))
        seq = naive.check(book, seq)
    issue(book, "F3", 1_000)
    ask(book, "/vouchers/F3/reissue", {"replacement": "F4"})
    ask(book, "/vouchers/F4/redeem", {"payee_type": "agent", "payee": "A2"})
    seq = naive.check(book, seq)
    ask(book, f"{relief}/settlements", {"payees": [{"payee_type": "agent", "payee": "A2"}]})
    ask(book, f"{relief}/returns", {"amount": 1})
    ask(book, f"{relief}/fees", {"payee": "A1", "amount": 1})
    ask(book, f"{relief}/fee-payments", {"payee": "A1", "amount": 1})
    naive.check(book, seq)
    assert set(naive.seen) >= {
        "voucher_contradicted",
        "voucher_redeemed",
        "voucher_redeemed+reversed",
        "voucher_expired",
        "voucher_cancelled",
        "voucher_failed",
        "voucher_reissued",
        "payees_settled",
        "funds_returned",
        "voucher_fee_charged",
        "voucher_fee_paid",
    }


def test_the_figures_count_what_came_again_and_how_long_it_took(service: Service, book: Book) -> None:
    """Of three webhooks, of which one came three times, two in five had come before; each has its latency."""
    for name in ("V1", "V2"):
        issue(book, name)
    for _ in range(3):
        settled(book, report(service, "delivered", "V1", "once"))
    settled(book, report(service, "redeemed", "V1", amount=1))
    settled(book, report(service, "delivered", "nobodys"))
    found = book.get("/voucher-metrics")
    assert (found["webhooks"], found["webhooks_waiting"], found["webhooks_unposted"]) == (3, 0, 1)
    assert found["idempotency_hit_rate"] == "40.00"
    assert 0 < found["webhook_latency_mean_ms"] <= found["webhook_latency_p95_ms"] * 3
    assert found["discrepancies"] == 0
    ask(book, "/vouchers/V2/cancel", {"reason": "moved"})
    settled(book, report(service, "redeemed", "V2", amount=1))
    assert book.get("/voucher-metrics")["discrepancies"] == 1
