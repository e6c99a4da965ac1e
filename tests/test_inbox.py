"""The inbox over HTTP: from a provider's webhook to the ledger, or to the list that people work on."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from adapters.inbox.connections import connect, working_for
from adapters.providers import ADAPTERS
from api import intake
from api.http import MAX_WEBHOOK_BYTES
from api.settings import Work
from ledger.vault import Vault, VaultError
from tests.conftest import NewDatabase
from tests.keys import make_key
from tests.senders import SECRETS, SIGN, other, signed
from tests.served import Book, Service, served
from tests.waiting import until

ROOT = Path(__file__).parent.parent
STRIPE = Path(os.environ.get("DAYBOOK_SHARED_DATA", ROOT.parent / "shared" / "data"), "stripe", "webhooks")
CHART: dict[str, Any] = {
    "assets": ["USD/2", "NGN/2", "XOF/0"],
    "accounts": [
        {"pattern": "paystack:{what}", "type": "asset"},
        {"pattern": "payments:unapplied", "type": "liability"},
        {"pattern": "small", "type": "asset", "limits": {"*": {"max_balance": 100}}},
    ],
}
_charges = count(1)


@pytest.fixture(scope="module")
def conninfo(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(conninfo: str) -> Iterator[Service]:
    with served(conninfo) as service:
        assert service.call("POST", "/v1/tenants", {"name": "acme"}).status_code == 201
        yield service


@pytest.fixture
def book(service: Service) -> Book:
    return service.open(CHART)


def endpoint(book: Book, provider: str, **body: Any) -> dict[str, Any]:
    """A new endpoint."""
    asked = {"provider": provider, "secret": SECRETS[provider], **body}
    answer = book.call("POST", "/inbox/endpoints", asked)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["endpoint"]
    assert answer.headers["location"] == f"{book.path}/inbox/endpoints/{made['id']}"
    return made


def charge(amount: Any = 999, currency: str = "USD", **data: Any) -> bytes:
    """Of Paystack: another one each time."""
    id = data.pop("id", next(_charges))
    told = {"id": id, "status": "success", "reference": f"order-{id}", "amount": amount, "currency": currency}
    return json.dumps({"event": "charge.success", "data": told | data}).encode()


def send(
    service: Service, path: str, provider: str, body: bytes, headers: dict[str, str] | None = None
) -> httpx.Response:
    """A provider's request: signed, without any credentials of ours."""
    own = signed(provider, body) if headers is None else headers
    request = httpx.Request("POST", service.base + path, content=body, headers=own)
    with httpx.Client(timeout=30) as sender:
        answer = sender.send(request)
    service.check_declared(answer)
    return answer


def taken(service: Service, path: str, provider: str, body: bytes) -> int:
    """Send what must be stored now; its number."""
    answer = send(service, path, provider, body)
    assert (answer.status_code, answer.json()["duplicate"]) == (200, False), answer.text
    return int(answer.json()["number"])


def settled(book: Book, number: int, waiting: str = "") -> dict[str, Any]:
    """A webhook once something became of it, or once it waits for this reason."""

    found: dict[str, Any] = {}

    def ended() -> bool:
        found.update(book.get(f"/inbox/webhooks/{number}")["webhook"])
        return bool(found["state"] != "received" or (waiting and found["reason"] == waiting))

    until(ended)
    return found


def test_a_charge_becomes_a_transaction_once(service: Service, book: Book) -> None:
    """With the provider's own id as key, effective when it was paid; sent again, nothing happens."""
    path = endpoint(book, "paystack")["path"]
    body = charge(paid_at="2026-10-01T10:00:00.000Z", channel="card")
    number = taken(service, path, "paystack", body)
    found = settled(book, number)
    assert (found["state"], found["reason"], found["attempts"]) == ("posted", None, 0)
    [seq] = found["seqs"]
    event = book.get("/events", after=seq - 1)["events"][0]["body"]
    assert event["key"] == f"paystack:{found['event_id']}"
    assert (event["actor"], event["request_id"]) == ("webhook:paystack", f"inbox:{number}")
    assert event["effective_at"] == "2026-10-01T10:00:00.000000Z"
    assert event["reference"] == found["subject"]
    assert book.balance("paystack:unsettled") == (999, 999, 999)
    assert book.balance("payments:unapplied") == (999, 999, 999)
    again = send(service, path, "paystack", body)
    assert (again.status_code, again.json()) == (200, {"number": number, "duplicate": True})
    assert book.head() == seq


def test_what_has_happened_needs_no_second_person(service: Service) -> None:
    """Above the amount that one person may move, too: the signature stands where an approver would."""
    book = service.open(CHART | {"approval_above": {"USD/2": 100}})
    path = endpoint(book, "paystack")["path"]
    found = settled(book, taken(service, path, "paystack", charge()))
    assert found["state"] == "posted"
    assert book.get("/events", after=1)["events"][0]["body"]["approver"] == "signature"


def test_the_same_event_sent_at_once_is_stored_once(service: Service, book: Book) -> None:
    """Twenty requests side by side: one number, one of them not a duplicate, one transaction."""
    path, body = endpoint(book, "paystack")["path"], charge()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: send(service, path, "paystack", body).json(), range(20)))
    assert len({answer["number"] for answer in answers}) == 1
    assert sum(not answer["duplicate"] for answer in answers) == 1
    settled(book, answers[0]["number"])
    assert book.balance("payments:unapplied")[0] == 999


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
def test_every_provider_is_taken_in_and_what_has_no_rule_is_parked(
    service: Service, book: Book, provider: str
) -> None:
    """2xx, stored byte for byte with its headers, parked with a reason that says what to do."""
    path = endpoint(book, provider)["path"]
    told = dict.fromkeys(("type", "event", "eventType"), "no.such")
    body = json.dumps({"id": "evt_1", **told, "é": 1}).encode()
    number = taken(service, path, provider, body)
    found = settled(book, number)
    assert (found["state"], found["provider"]) == ("parked", provider)
    taught = provider in ("paystack", "buffr", "stripe", "caas", "trueidentity")
    assert found["reason"] == ("unknown_type" if taught else "no_translation")
    assert "no.such" in found["detail"] or "replay it" in found["detail"]
    whole = book.get(f"/inbox/webhooks/{number}")
    assert whole["body"].encode() == body
    for name, value in signed(provider, body, at=time.time()).items():
        kept = dict(whole["headers"])
        assert name.lower() in kept
        assert provider in ("stripe", "kredit", "standard", "wise") or kept[name.lower()] == value


@pytest.mark.parametrize("provider", sorted(ADAPTERS))
def test_a_wrong_signature_stores_nothing(service: Service, book: Book, provider: str) -> None:
    """Another body, no header, another secret: 401, or 400 for Stripe; the list stays empty."""
    path, body = endpoint(book, provider)["path"], b'{"id":"evt_1"}'
    status = 400 if provider == "stripe" else 401
    code = "webhook_signature_bad" if provider == "stripe" else "webhook_untrusted"
    attempts = [(body + b" ", signed(provider, body)), (body, {})]
    if provider != "wise":  # the test has no other private key than the one
        attempts.append((body, signed(provider, body, other(provider))))
    for sent, headers in attempts:
        answer = send(service, path, provider, sent, headers)
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.json()["detail"]
        assert SECRETS[provider] not in answer.text
        assert answer.headers.get("www-authenticate") == (None if status == 400 else "Signature")
    assert book.get("/inbox/webhooks")["webhooks"] == []


def test_without_a_secret_the_door_is_closed(service: Service) -> None:
    """A provider with no default endpoint: 401, and the problem says that no secret is set."""
    for provider in ADAPTERS:
        answer = send(service, f"/webhooks/{provider}", provider, b"{}")
        assert (answer.status_code, answer.json()["code"]) == (401, "webhooks_closed")
        assert "No secret is set" in answer.json()["title"]
        assert answer.json()["evidence"] == {"provider": provider}
    unknown = send(service, "/webhooks/nobody", "stripe", b"{}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "provider_not_found")


def test_the_default_endpoint_is_what_a_providers_path_means(service: Service, book: Book) -> None:
    """One for a provider, given up and taken over; a deleted one is closed again."""
    first = endpoint(book, "buffr", default=True)
    taken(service, "/webhooks/buffr", "buffr", b'{"n":1}')
    taken(service, first["path"], "buffr", b'{"n":2}')
    second = {"provider": "buffr", "default": True}
    refused = book.call("POST", "/inbox/endpoints", second)
    assert (refused.status_code, refused.json()["code"]) == (409, "default_endpoint_taken")
    other_book = service.open(CHART)
    own = endpoint(other_book, "buffr")
    change = f"/inbox/endpoints/{own['id']}"
    assert other_book.call("PUT", change, {"default": True}).status_code == 409
    assert book.call("PUT", f"/inbox/endpoints/{first['id']}", {}).json()["default"] is False
    assert send(service, "/webhooks/buffr", "buffr", b'{"n":3}').status_code == 401
    assert other_book.call("PUT", change, {"default": True}).json()["default"] is True
    taken(service, "/webhooks/buffr", "buffr", b'{"n":3}')
    assert len(other_book.get("/inbox/webhooks")["webhooks"]) == 1
    assert other_book.call("DELETE", change).status_code == 200
    assert send(service, "/webhooks/buffr", "buffr", b'{"n":4}').status_code == 401
    assert send(service, own["path"], "buffr", b'{"n":4}').json()["code"] == "endpoint_not_found"
    assert len(other_book.get("/inbox/webhooks")["webhooks"]) == 1


def test_an_endpoint_is_of_its_provider(service: Service, book: Book) -> None:
    """With another provider's path, or an id of nobody, it is not there."""
    made = endpoint(book, "buffr")
    for path in (f"/webhooks/caas/{made['id']}", "/webhooks/buffr/0d0d8f6e-3c0e-4b5e-8d39-0b2a9a1a7c51"):
        answer = send(service, path, path.split("/")[2], b"{}")
        assert (answer.status_code, answer.json()["code"]) == (404, "endpoint_not_found")
    assert send(service, "/webhooks/buffr/x", "buffr", b"{}").status_code == 400


def test_a_rotation_takes_both_secrets(service: Service, book: Book, conninfo: str) -> None:
    """The new one is shown once; the former one counts for a day and then no more; a deleted one never."""
    made = endpoint(book, "buffr")
    place = f"/inbox/endpoints/{made['id']}"
    rotated = book.call("POST", place + "/rotate").json()
    assert rotated["endpoint"]["former_secret_until"] is not None
    assert rotated["secret"] not in book.call("GET", place).text + book.call("GET", "/inbox/endpoints").text
    for n, secret in enumerate((SECRETS["buffr"], rotated["secret"])):
        body = json.dumps({"n": n}).encode()
        assert send(service, made["path"], "buffr", body, signed("buffr", body, secret)).status_code == 200
    with psycopg.connect(conninfo) as connection:  # a day later
        connection.execute(
            "UPDATE inbox.endpoints SET former_until = now() WHERE endpoint = %s", [made["id"]]
        )
    for secret, status in ((SECRETS["buffr"], 401), (rotated["secret"], 200)):
        body = b'{"n":9}'
        answer = send(service, made["path"], "buffr", body, signed("buffr", body, secret))
        assert answer.status_code == status
    stripe = endpoint(book, "stripe")
    for bad in ({}, {"secret": "sk_live_0123456789abcdef"}):
        answer = book.call("POST", f"/inbox/endpoints/{stripe['id']}/rotate", bad)
        assert (answer.status_code, answer.json()["field"]) == (400, "secret")
        assert "sk_live" not in answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"provider": "stripe"}, "secret"),
        ({"provider": "stripe", "secret": "sk_live_0123456789abcdef"}, "secret"),
        ({"provider": "buffr", "settings": {"x": 1}}, "settings"),
        (
            {"provider": "paystack", "secret": "0123456789abcdef", "settings": {"unsettled": "a b"}},
            "settings",
        ),
        ({"provider": "buffr", "default": "yes"}, "default"),
    ],
)
def test_an_endpoint_that_cannot_work_is_not_made(book: Book, body: Any, field: str) -> None:
    """400, naming the field, and no secret in the answer."""
    answer = book.call("POST", "/inbox/endpoints", body)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert "0123456789abcdef" not in answer.text
    assert book.get("/inbox/endpoints")["endpoints"] == []


def test_bodies_that_are_not_json_or_too_large_are_refused(service: Service, book: Book) -> None:
    """400 although they are signed; 413 before anything is read; compressed: 415. Nothing is stored."""
    path = endpoint(book, "buffr")["path"]
    for body in (
        b"",
        b"{",
        b"[]",
        b"1",
        b"null",
        b'"x"',
        b'{"a":"\xff"}',
        b"[" * 100_000,
        b'{"a":"\xed\xa0\x80"}',
    ):
        answer = send(service, path, "buffr", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "webhook_unreadable"), body[:20]
    large = b'{"a":"' + b"x" * MAX_WEBHOOK_BYTES + b'"}'
    answer = send(service, path, "buffr", large)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    packed = {**signed("buffr", b"{}"), "content-encoding": "gzip"}
    assert send(service, path, "buffr", b"{}", packed).status_code == 415
    assert book.get("/inbox/webhooks")["webhooks"] == []
    whatever = {**signed("buffr", b"{}"), "content-type": "text/plain"}
    assert send(service, path, "buffr", b"{}", whatever).status_code == 200


def test_too_many_at_once_are_told_to_come_again(
    service: Service, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After at once, instead of a queue without end; sent again, it is stored."""
    path, body = endpoint(book, "buffr")["path"], b'{"n":1}'
    with monkeypatch.context() as patch:
        patch.setattr(intake, "MOST_WAITING", 0)
        answer = send(service, path, "buffr", body)
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert answer.headers["retry-after"]
    taken(service, path, "buffr", body)


def test_what_cannot_be_stored_is_not_acknowledged(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 while the database is away, or the key of the secrets; sent again afterwards, it is stored once."""
    monkeypatch.setattr(intake, "PATIENCE_SECONDS", 0.5)
    with new_database() as conninfo, served(conninfo) as service:
        path, body = endpoint(service.open(CHART), "buffr")["path"], b'{"n":1}'
        name = conninfo_to_dict(conninfo)["dbname"]
        with psycopg.connect(conninfo, dbname="postgres", autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            answer = send(service, path, "buffr", body)
            admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        with monkeypatch.context() as patch:
            patch.setattr(Vault, "open", refuse)
            answer = send(service, path, "buffr", body)
        assert (answer.status_code, answer.json()["code"]) == (503, "secrets_unavailable")
        number = taken(service, path, "buffr", body)
        assert send(service, path, "buffr", body).json() == {"number": number, "duplicate": True}


def test_webhooks_that_nobody_settles_are_a_reason_to_be_degraded(new_database: NewDatabase) -> None:
    """With no process that works on them: stored and answered all the same; after a minute it shows."""
    with new_database() as conninfo, served(conninfo, work=Work(sending=False)) as service:
        book = service.open(CHART)
        number = taken(service, endpoint(book, "buffr")["path"], "buffr", b"{}")
        assert book.get(f"/inbox/webhooks/{number}")["webhook"]["state"] == "received"
        assert service.get("/health/ready") == {"status": "healthy"}
        with psycopg.connect(conninfo) as connection:
            connection.execute("UPDATE inbox.webhooks SET next_at = now() - interval '61 seconds'")
        until(lambda: service.get("/health/ready")["status"] == "degraded")
        [reason] = service.get("/health/ready")["reasons"]
        assert "tenants: 1" in reason


def refuse(*asked: Any) -> str:
    raise VaultError("the key is gone")


def test_texts_that_cannot_be_stored_as_they_are_are_made_to_fit(service: Service, book: Book) -> None:
    """NUL, control characters, an endless id, an id that is no text: stored and listed, the bytes as sent."""
    path = endpoint(book, "stripe")["path"]
    events: list[dict[str, Any]] = [
        {"id": "a\x00b", "type": "t\x00", "data": {"object": {"id": "s\x00"}}},
        {"id": "x" * 5_000, "type": "t" * 5_000},
        {"id": {"a": 1}, "type": ["t"], "data": 3},
        {"id": 7, "type": None, "data": {"object": []}},
        {"id": "ïd", "type": "a\u0308"},
        {"id": True},
    ]
    for event in events:
        body = json.dumps(event).encode()
        number = taken(service, path, "stripe", body)
        found = settled(book, number)
        assert found["state"] == "parked"
        assert 1 <= len(found["event_id"]) <= 200
        assert book.get(f"/inbox/webhooks/{number}")["body"].encode() == body


@pytest.mark.skipif(not STRIPE.is_dir(), reason="Stripe's recorded webhooks are not on this machine")
def test_recorded_webhooks_of_stripe_are_all_stored(service: Service) -> None:
    """Of several API versions: 200 each, stored as they came; none is a defect (test_stripe.py says more)."""
    files = sorted(STRIPE.glob("*.json"))
    assert len(files) >= 20
    book = service.open({"assets": ["USD/2"], "accounts": [], "products": ["credits", "payments"]})
    states: list[str] = []
    for file in files:  # each to an endpoint of its own: most of them have the same made-up id
        path = endpoint(book, "stripe")["path"]
        number = taken(service, path, "stripe", file.read_bytes())
        found = settled(book, number, waiting="nothing_bought")
        states.append(found["state"])
        told = json.loads(file.read_bytes())
        assert found["state"] in ("posted", "parked", "ignored") or found["reason"] == "nothing_bought"
        assert (found["event_id"], found["type"]) == (told["id"], told["type"])
        assert found["subject"] == told["data"]["object"].get("id", "")
        assert book.get(f"/inbox/webhooks/{number}")["body"].encode() == file.read_bytes()
    assert states.count("posted") >= 5


def test_what_the_ledger_refuses_is_parked_and_can_be_posted_later(service: Service, book: Book) -> None:
    """The reason is the rejection's, with its figures; once the cause is mended, a replay posts, once."""
    made = endpoint(book, "paystack", settings={"channels": {"card": "small"}})
    assert book.call("POST", "/accounts", {"address": "small"}).status_code == 201
    numbers = [taken(service, made["path"], "paystack", charge(101, channel="card")) for _ in range(2)]
    found = settled(book, numbers[0])
    assert (found["state"], found["reason"]) == ("parked", "max_balance_exceeded")
    assert "over_by: 1" in found["detail"]
    settled(book, numbers[1])
    replay = f"/inbox/webhooks/{numbers[0]}/replay"
    assert book.call("POST", replay).json()["state"] == "received"
    assert settled(book, numbers[0])["reason"] == "max_balance_exceeded"
    assert book.call("PUT", "/accounts/small/limits", {"limits": {}}).status_code == 200
    assert book.call("POST", replay).status_code == 200
    [seq] = settled(book, numbers[0])["seqs"]
    assert book.head() == seq
    answer = book.call("POST", replay)
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook_settled")
    change = f"/inbox/endpoints/{made['id']}"
    assert book.call("PUT", change, {"settings": {"unapplied": "nowhere"}}).status_code == 200
    assert book.call("POST", "/inbox/replay", {"reason": "no_such"}).json() == {"replayed": 0}
    assert book.call("POST", "/inbox/replay", {"reason": "max_balance_exceeded"}).json() == {"replayed": 1}
    assert settled(book, numbers[1])["reason"] == "account_not_in_chart"
    assert book.call("PUT", change, {}).status_code == 200
    assert book.call("POST", "/inbox/replay").json() == {"replayed": 1}
    assert settled(book, numbers[1])["state"] == "posted"
    assert book.balance("payments:unapplied")[0] == 202


def test_a_key_that_somebody_else_used_is_never_passed_by(service: Service, book: Book) -> None:
    """Somebody posted the charge by hand, with the key that it would have: parked, replay after replay."""
    path, body = endpoint(book, "paystack")["path"], charge(id=77_777)
    postings = [
        {"account": account, "side": side, "amount": 999, "asset": "USD/2"}
        for account, side in (("paystack:unsettled", "debit"), ("payments:unapplied", "credit"))
    ]
    assert book.post({"postings": postings}, key="paystack:charge.success:77777").status_code == 201
    number = taken(service, path, "paystack", body)
    for _ in range(2):
        assert settled(book, number)["reason"] == "idempotency_key_reused"
        assert book.call("POST", f"/inbox/webhooks/{number}/replay").status_code == 200
    assert book.balance("payments:unapplied")[0] == 999


def test_lists_are_paged_and_filtered(service: Service, book: Book) -> None:
    """By number, by state, by provider; counts by state; the oldest says since when."""
    buffr, paystack = endpoint(book, "buffr")["path"], endpoint(book, "paystack")["path"]
    numbers = [taken(service, buffr, "buffr", json.dumps({"n": n}).encode()) for n in range(3)]
    posted = taken(service, paystack, "paystack", charge())
    for number in (*numbers, posted):
        settled(book, number)
    page = book.get("/inbox/webhooks", state="parked", limit=2)
    assert ([one["number"] for one in page["webhooks"]], page["next"]) == (numbers[:2], numbers[1])
    rest = book.get("/inbox/webhooks", state="parked", after=page["next"])
    assert ([one["number"] for one in rest["webhooks"]], rest["next"]) == (numbers[2:], None)
    assert [one["number"] for one in book.get("/inbox/webhooks", provider="paystack")["webhooks"]] == [posted]
    states = {one["state"]: one for one in book.get("/inbox")["states"]}
    assert {state: one["webhooks"] for state, one in states.items()} == {"parked": 3, "posted": 1}
    first = book.get(f"/inbox/webhooks/{numbers[0]}")["webhook"]
    assert states["parked"]["oldest_received_at"] == first["received_at"]
    answer = book.call("GET", "/inbox/webhooks", params={"state": "lost"})
    assert (answer.status_code, answer.json()["field"]) == (400, "state")
    assert book.call("GET", "/inbox/webhooks/999999").json()["code"] == "webhook_not_found"
    assert book.call("POST", "/inbox/webhooks/999999/replay").json()["code"] == "webhook_not_found"


def test_a_tenant_sees_its_own_inbox_only(service: Service, book: Book, conninfo: str) -> None:
    """A ledger of the same name, another tenant: neither the API nor the database shows one the other's."""
    headers = {"authorization": f"Bearer {make_key(conninfo, 'admin', tenant='acme')}"}
    opened = service.call("POST", "/v1/ledgers", {"name": book.name, "chart": CHART}, headers=headers)
    assert opened.status_code == 201
    theirs = book.call("POST", "/inbox/endpoints", {"provider": "buffr"}, headers=headers).json()
    path, secret = theirs["endpoint"]["path"], theirs["secret"]
    answer = send(service, path, "buffr", b"{}", signed("buffr", b"{}", secret))
    number = answer.json()["number"]
    assert book.get("/inbox/endpoints")["endpoints"] == []
    assert book.get("/inbox/webhooks")["webhooks"] == []
    assert book.call("GET", f"/inbox/webhooks/{number}").status_code == 404
    assert book.call("GET", f"/inbox/webhooks/{number}", headers=headers).status_code == 200
    default = book.call("POST", "/inbox/endpoints", {"provider": "caas", "default": True}, headers=headers)
    assert (default.status_code, default.json()["field"]) == (400, "default")
    with connect(conninfo) as connection:
        for tenant, sees in (("default", False), ("acme", True)):
            with working_for(connection, tenant):
                wanted = "SELECT FROM inbox.webhooks WHERE number = %s"
                assert (connection.execute(wanted, [number]).rowcount == 1) == sees
                change = "UPDATE inbox.webhooks SET attempts = 0 WHERE number = %s"
                assert (connection.execute(change, [number]).rowcount == 1) == sees
        assert connection.execute("SELECT FROM inbox.endpoints").rowcount == 0
        for forbidden in (
            "UPDATE inbox.webhooks SET body = ''",
            "DELETE FROM inbox.webhooks",
            "UPDATE inbox.endpoints SET tenant = 'acme'",
            "SELECT FROM daybook.events",
            "SELECT FROM access.api_keys",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege), working_for(connection, "default"):
            connection.execute(
                "INSERT INTO inbox.endpoints (endpoint, tenant, ledger, provider, state, is_default,"
                " description, settings, secret, made_at)"
                " VALUES (gen_random_uuid(), 'acme', 'x', 'buffr', 'active', false, '', '{}', 'x', now())"
            )


def test_only_who_manages_webhooks_sees_the_inbox(book: Book, conninfo: str) -> None:
    """403 for a key that may do everything else."""
    key = make_key(conninfo, "ledger:admin", "audit:read", "service:admin")
    for path in ("/inbox", "/inbox/endpoints", "/inbox/webhooks"):
        answer = book.call("GET", path, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 403


def test_secrets_and_credentials_are_nowhere(service: Service, book: Book, conninfo: str) -> None:
    """Neither an endpoint's secret nor a sender's own credentials are in the database or in an answer."""
    made = endpoint(book, "buffr", secret="a-very-secret-0123456789")
    body = b'{"n":1}'
    headers = signed("buffr", body, "a-very-secret-0123456789")
    headers |= {"authorization": "Bearer sender-credentials", "cookie": "session=sender-credentials"}
    number = send(service, made["path"], "buffr", body, headers).json()["number"]
    shown = book.call("GET", f"/inbox/webhooks/{number}").text
    assert "sender-credentials" not in shown
    with psycopg.connect(conninfo) as connection:
        rows = connection.execute(
            "SELECT w::text, e::text FROM inbox.webhooks w JOIN inbox.endpoints e USING (endpoint)"
        )
        everything = str(rows.fetchall())
    for secret in (b"a-very-secret-0123456789", b"sender-credentials"):
        assert secret.decode() not in everything
        assert secret.hex() not in everything


def test_every_scheme_has_a_sender() -> None:
    """So the tests above are about every provider that there is."""
    assert set(SIGN) == set(ADAPTERS)
