"""Kredit over HTTP: what it asks for and is answered, what it is told, what it reads. Kredit is a double."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import psycopg
import pytest

from api.settings import Kyc, SettingsError, Work, read
from ledger.kredit.callbacks import CALLBACKS
from projections.audit import live
from projections.credits import Credits
from projections.verify import verify
from tests.conftest import NewDatabase
from tests.keys import make_key
from tests.kyc_double import API_KEY, Provider, provider
from tests.receiver import Received, Receiver, receiver
from tests.senders import SECRETS, kredit_in_hex, signed
from tests.served import Book, Service, served
from tests.waiting import until

CHART: dict[str, Any] = {
    "assets": ["MYR/2", "CREDIT.verification/0"],
    "accounts": [{"pattern": "bank", "type": "asset"}],
    "products": ["credits", "kredit"],
}
SECRET = "a secret that both sides know"
IN = "/api/webhooks/kredit"
OUT = "/api/internal/kredit"
_numbers = count(1)


class Platform:
    """Kredit as the tests play it, with the ledger that it is served from."""

    def __init__(self, service: Service, book: Book, kyc: Provider, hears: Receiver, conninfo: str) -> None:
        self.service, self.book, self.kyc, self.hears, self.conninfo = service, book, kyc, hears, conninfo
        self.base = hears.url.removesuffix("/hook")

    def send(self, path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """A request of Kredit's, freshly signed, without any credentials of ours."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        own = signed("kredit", raw) if headers is None else headers
        request = httpx.Request("POST", self.service.base + IN + path, content=raw, headers=own)
        with httpx.Client(timeout=30) as sender:
            answer = sender.send(request)
        self.service.check_declared(answer)
        return answer

    def tenant(self, credits: int = 0, cost: int = 0, **more: Any) -> str:
        """A tenant of its own, with credits that it bought."""
        tenant = f"t{next(_numbers)}"
        answer = self.send("/tenant-created", {"tenant_id": tenant, **more})
        assert answer.json()["created"] is True, answer.text
        if credits:
            about = {"userId": tenant, "creditType": "verification", "amount": credits}
            bought = {"cost": cost, "asset": "MYR/2"} if cost else {}
            assert self.book.call("POST", "/credits/add", about | bought).status_code == 201
        return tenant

    def ask(self, tenant: str, **more: Any) -> httpx.Response:
        """A verification of somebody."""
        body = {
            "tenant_id": tenant,
            "document_name": "AHMAD BIN ABDULLAH",
            "document_number": "901234567890",
            "webhook_url": f"{self.base}/{tenant}",
            **more,
        }
        return self.send("/verification-request", body)

    def tell(self, session: str, event: str, result: str | None = None, **more: Any) -> httpx.Response:
        """The provider's report."""
        data = {"result": result, "metadata": {"daybook_session": session}, **more}
        raw = json.dumps({"event": event, "timestamp": "2026-11-21T10:00:00.000Z", "data": data}).encode()
        own = signed("trueidentity", raw)
        answer = httpx.post(f"{self.service.base}/webhooks/trueidentity", content=raw, headers=own)
        assert answer.status_code == 200, answer.text
        return answer

    def session(self, session: str) -> dict[str, Any]:
        """How it stands."""
        found: dict[str, Any] = self.book.get(f"/kredit/verifications/{session}")
        return found

    def wallet(self, tenant: str) -> tuple[int, int, int]:
        """Available, held, used."""
        found = self.book.get("/credits/balance", userId=tenant, creditType="verification")
        return found["balance"], found["held"], found["totalUsed"]

    def heard(self, path: str, number: int = 1) -> list[dict[str, Any]]:
        """What Kredit was told at a path, once there is so much of it: each is signed as it should be."""
        until(lambda: len(self._at(path)) >= number)
        for message in self._at(path):
            stamp = message.headers["x-trueidentity-timestamp"]
            mac = hmac.new(SECRET.encode(), f"{stamp}.".encode() + message.body, hashlib.sha256).digest()
            assert message.headers["x-trueidentity-signature"] == base64.b64encode(mac).decode()
            assert message.headers["x-truestack-event"] == message.json["event"]
            assert abs(int(stamp) / 1_000 - time.time()) < 300
        return [message.json for message in self._at(path)]

    def _at(self, path: str) -> list[Received]:
        return [message for message in self.hears.received if message.path == path]


def book_kinds(conninfo: str) -> set[str]:
    """What the history of credits calls what was done."""
    with psycopg.connect(conninfo) as connection:
        return {kind for (kind,) in connection.execute("SELECT kind FROM projections.credit_transactions")}


@pytest.fixture(scope="module")
def platform(new_database: NewDatabase) -> Iterator[Platform]:
    with provider() as kyc, receiver() as hears, new_database() as conninfo:
        settings = Kyc(kyc.url, API_KEY, "https://daybook.example/webhooks/trueidentity")
        with served(conninfo, work=Work(insecure_webhooks=True, kyc=settings)) as service:
            book = service.open(CHART)
            for name in ("kredit", "trueidentity"):
                body = {"provider": name, "secret": SECRETS[name], "default": True}
                assert book.call("POST", "/inbox/endpoints", body).status_code == 201
            told = {"url": hears.url.removesuffix("/hook"), "scheme": "kredit", "secret": SECRET}
            assert book.call("POST", "/subscriptions", told).status_code == 201
            yield Platform(service, book, kyc, hears, conninfo)
        report = live.check(conninfo, book.name)
        assert [v.sentence for v in report.verdicts if v.status == "failed"] == []
        [verdict] = verify(conninfo, Credits(), book.name)
        assert verdict.difference is None, verdict
        assert book_kinds(conninfo) >= {"hold", "usage", "release"}


# ---------------------------------------------------------------- verifications


def test_a_verification_is_answered_held_used_and_told(platform: Platform) -> None:
    """The whole way: credits held before the answer, used at the end; each stage told once, signed."""
    tenant = platform.tenant(100, 1_000)
    answer = platform.ask(tenant, borrower_id="b-7", metadata={"director_id": "d-1", "n": 1})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert set(said) == {"session_id", "onboarding_url", "status", "expires_at"}
    assert (said["status"], said["onboarding_url"][:36]) == (
        "pending",
        "https://ekyc.example.com/onboarding/",
    )
    asked = platform.kyc.asked[-1]
    assert asked == {
        "document_name": "AHMAD BIN ABDULLAH",
        "document_number": "901234567890",
        "document_type": "1",
        "platform": "Web",
        "webhook_url": "https://daybook.example/webhooks/trueidentity",
        "metadata": {"daybook_session": said["session_id"]},
    }
    assert platform.wallet(tenant) == (60, 40, 0)
    session = said["session_id"]
    for event, result in (
        ("kyc.session.started", None),
        ("kyc.session.processing", None),
        ("kyc.session.completed", "approved"),
        ("kyc.session.completed", "approved"),
    ):
        platform.tell(session, event, result)
        until(lambda: platform.book.get("/inbox")["states"] and not _received(platform))
    assert platform.wallet(tenant) == (60, 0, 40)
    told = platform.heard(f"/{tenant}", 3)
    assert [one["event"] for one in told] == [
        "kyc.session.started",
        "kyc.session.processing",
        "kyc.session.completed",
    ]
    assert {**told[-1], "timestamp": ""} == {
        "event": "kyc.session.completed",
        "session_id": session,
        "tenant_id": tenant,
        "borrower_id": "b-7",
        "status": "completed",
        "result": "approved",
        "reject_message": None,
        "metadata": {"director_id": "d-1", "n": "1"},
        "timestamp": "",
    }
    # Nobody's name or number is in the book.
    with psycopg.connect(platform.conninfo) as connection:
        [(found,)] = connection.execute(
            "SELECT count(*) FROM daybook.events WHERE position('901234567890'::bytea IN body) > 0"
            " OR position('AHMAD'::bytea IN body) > 0 OR position('onboarding'::bytea IN body) > 0"
        ).fetchall()
    assert found == 0


def _received(platform: Platform) -> bool:
    return any(state["state"] == "received" for state in platform.book.get("/inbox")["states"])


def test_the_same_request_again_has_the_same_answer_while_its_session_is_open(platform: Platform) -> None:
    """One hold, one session of the provider's, marked as a replay; when it is over it is another session."""
    tenant = platform.tenant(100)
    before = len(platform.kyc.asked)
    first = platform.ask(tenant)
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda _: platform.ask(tenant), range(4)))
    assert {answer.text for answer in again} == {first.text}
    assert all(answer.headers["idempotency-replayed"] == "true" for answer in again)
    assert "idempotency-replayed" not in first.headers
    assert len(platform.kyc.asked) == before + 1
    assert platform.wallet(tenant) == (60, 40, 0)
    session = first.json()["session_id"]
    report = {"status": "completed", "result": "rejected"}
    assert platform.book.call("POST", f"/kredit/verifications/{session}/report", report).status_code == 201
    with ThreadPoolExecutor(4) as pool:
        others = {
            answer.json()["session_id"] for answer in pool.map(lambda _: platform.ask(tenant), range(4))
        }
    assert len(others) == 1
    assert others != {session}
    assert platform.wallet(tenant) == (20, 40, 40)


def test_many_at_once_have_one_session(platform: Platform) -> None:
    """The first of them as well: whoever comes while it is under way waits for its answer."""
    tenant = platform.tenant(100)
    slow = threading.Event()

    def wait(session: str) -> None:
        slow.wait(0.3)

    platform.kyc.opened = wait
    try:
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: platform.ask(tenant), range(6)))
    finally:
        platform.kyc.opened = lambda session: None
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) == 1
    assert platform.kyc.sessions().count(answers[0].json()["session_id"]) == 1
    assert platform.wallet(tenant) == (60, 40, 0)


def test_missing_credits_are_402_until_there_are_some(platform: Platform) -> None:
    """In Kredit's words, with the balance; nobody is asked; the same request succeeds once they are there."""
    tenant = platform.tenant(39)
    before = len(platform.kyc.asked)
    for _ in range(2):
        answer = platform.ask(tenant)
        assert answer.status_code == 402
        said = answer.json()
        assert (said["error"], said["balance"], said["code"]) == (
            "INSUFFICIENT_CREDITS",
            39,
            "verification_unpaid",
        )
    assert len(platform.kyc.asked) == before
    about = {"userId": tenant, "creditType": "verification", "amount": 1}
    assert platform.book.call("POST", "/credits/add", about).status_code == 201
    assert platform.ask(tenant).status_code == 200


def test_a_tenant_that_was_never_told_of_is_opened_by_its_first_request(platform: Platform) -> None:
    """With what the request says of it; Kredit's own telling finds it there."""
    tenant = f"t{next(_numbers)}"
    about = {"tenant_slug": "never", "tenant_name": "Never Told"}
    assert platform.ask(tenant, **about).status_code == 402
    answer = platform.send("/tenant-created", {"tenant_id": tenant, **about}).json()
    assert (answer["created"], answer["name"]) == (False, "Never Told")


def test_what_the_provider_refuses_holds_nothing(platform: Platform) -> None:
    """502, the credits are free; the same request tries again, as another session."""
    tenant = platform.tenant(40)
    platform.kyc.failing = [500]
    answer = platform.ask(tenant)
    assert (answer.status_code, answer.json()["error"]) == (502, "GATEWAY_ERROR")
    assert "901234567890" not in answer.text
    assert platform.wallet(tenant) == (40, 0, 0)
    assert platform.ask(tenant).status_code == 200
    assert platform.wallet(tenant) == (0, 40, 0)


def test_who_comes_while_the_provider_refuses_is_told_of_no_session_that_is_over(platform: Platform) -> None:
    """Several requests for a session that is not opened: what they are answered and what is held is open."""
    tenant = platform.tenant(100)
    slow = threading.Event()

    def wait(session: str) -> None:
        slow.wait(0.3)

    platform.kyc.failing, platform.kyc.opened = [500], wait
    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: platform.ask(tenant), range(4)))
    finally:
        platform.kyc.opened = lambda session: None
    opened = {answer.json()["session_id"] for answer in answers if answer.status_code == 200}
    assert 502 in {answer.status_code for answer in answers} <= {200, 502}
    assert [platform.session(session)["status"] for session in opened] == ["pending"] * len(opened)
    assert platform.wallet(tenant) == (100 - 40 * len(opened), 40 * len(opened), 0)


@pytest.mark.parametrize(
    ("said", "told"),
    [("2026-11-21T10:00:00", "2026-11-21T10:00:00.000000Z"), ("9999-12-31T23:59:59Z", None), (None, None)],
)
def test_a_session_ends_when_the_provider_says_or_the_book_before_it(
    platform: Platform, said: str | None, told: str | None
) -> None:
    """A moment without an offset is of UTC; credits are held until the book's own end, and no longer."""
    platform.kyc.more = {"expires_at": said}
    try:
        answer = platform.ask(platform.tenant(40)).json()
    finally:
        platform.kyc.more = {}
    assert answer["expires_at"] == (told or platform.session(answer["session_id"])["ends_at"])


def test_a_session_that_expires_frees_its_credits_and_is_told(platform: Platform) -> None:
    """What is told of it afterwards changes nothing, and waits in the inbox for people."""
    tenant = platform.tenant(40)
    session = platform.ask(tenant).json()["session_id"]
    platform.tell(session, "kyc.session.expired")
    assert platform.heard(f"/{tenant}")[0]["event"] == "kyc.session.expired"
    assert platform.wallet(tenant) == (40, 0, 0)
    number = platform.tell(session, "kyc.session.completed", "approved").json()["number"]
    until(lambda: platform.book.get(f"/inbox/webhooks/{number}")["webhook"]["state"] == "parked")
    assert platform.book.get(f"/inbox/webhooks/{number}")["webhook"]["reason"] == "verification_over"
    assert platform.wallet(tenant) == (40, 0, 0)


BAD: list[tuple[Any, str]] = [
    ({}, "tenant_id"),
    ({"document_number": None}, "document_number"),
    ({"document_name": ""}, "document_name"),
    ({"tenant_id": "no/slash"}, "tenant_id"),
    ({"webhook_url": "ftp://x"}, "webhook_url"),
    ({"webhook_url": "https://user@x/"}, "webhook_url"),
    ({"metadata": [1]}, "metadata"),
    ({"metadata": {str(n): "x" for n in range(60)}}, "session_metadata"),
    ({"borrower_id": 7}, "borrower_id"),
]


@pytest.mark.parametrize(("wrong", "field"), BAD, ids=[str(n) for n in range(len(BAD))])
def test_a_bad_verification_request_names_the_field(platform: Platform, wrong: Any, field: str) -> None:
    """400 BAD_REQUEST; nothing is stored."""
    body = {
        "tenant_id": "t0",
        "document_name": "A",
        "document_number": "1",
        "webhook_url": "https://kredit.example.com/hook",
    }
    answer = platform.send("/verification-request", body | wrong if wrong else {})
    assert (answer.status_code, answer.json()["error"]) == (400, "BAD_REQUEST"), answer.text
    assert field in answer.text


def test_what_is_not_kredits_is_refused(platform: Platform) -> None:
    """A wrong signature, an old timestamp, none at all, no JSON: 401 or 400, in its words; hex is as good."""
    body = b'{"tenant_id": "t0"}'
    for headers in (
        {},
        signed("kredit", body, secret="another-secret-0123456789"),
        signed("kredit", body, at=time.time() - 301),
        signed("kredit", body + b" "),
    ):
        answer = platform.send("/tenant-created", body, headers)
        assert (answer.status_code, answer.json()["error"]) == (401, "UNAUTHORIZED")
    answer = platform.send("/tenant-created", b"not json")
    assert (answer.status_code, answer.json()["error"]) == (400, "BAD_REQUEST")
    hexed = kredit_in_hex(SECRETS["kredit"], body, time.time())
    assert platform.send("/tenant-created", body, hexed).status_code == 200


# ---------------------------------------------------------------- tenants


def test_a_tenant_is_created_once(platform: Platform) -> None:
    """The second telling, the same or another, has the same client id; how to reach it is kept apart."""
    tenant = f"t{next(_numbers)}"
    body = {
        "tenant_id": tenant,
        "tenant_slug": "demo-lender",
        "tenant_name": "Demo Lender",
        "contact_email": "ops@lender.example",
        "contact_phone": "+60123456789",
        "company_registration": "SSM-1",
        "webhook_url": "/api/webhooks/trueidentity",
        "metadata": {},
    }
    first = platform.send("/tenant-created", body).json()
    assert (first["created"], first["code"]) == (True, "KREDIT_DEMO-LENDER")
    for again in (body, {"tenant_id": tenant}):
        answer = platform.send("/tenant-created", again).json()
        assert (answer["created"], answer["client_id"]) == (False, first["client_id"])
    row = platform.service.get(f"{OUT}/admin/tenants", tenantId=tenant)["data"]["tenants"][0]
    assert (row["email"], row["contactNumber"], row["registrationNumber"]) == (
        "ops@lender.example",
        "+60123456789",
        "SSM-1",
    )
    with psycopg.connect(platform.conninfo) as connection:
        query = "SELECT count(*) FROM daybook.events WHERE position('lender.example'::bytea IN body) > 0"
        assert connection.execute(query).fetchone() == (0,)
        [(sealed,)] = connection.execute(
            "SELECT sealed FROM access.kredit_details WHERE subject = %s", (f"kredit_tenant:{tenant}",)
        ).fetchall()
    assert b"ops@" not in sealed


# ---------------------------------------------------------------- subscriptions and payments


def payment(tenant: str, **more: Any) -> dict[str, Any]:
    number = next(_numbers)
    return {
        "event": "subscription.payment.requested",
        "request_id": f"req_{number}",
        "tenant_id": tenant,
        "plan": "CORE",
        "amount_cents": 10_800,
        "amount_myr": 108.0,
        "billing_type": "renewal",
        "payment_reference": f"INV-{number}",
        "period_start": "2026-11-01",
        "period_end": "2026-11-30",
        "requested_at": "2026-11-01T02:00:00.000Z",
        "requested_add_ons": ["TRUEIDENTITY"],
        "line_items": [{"description": "Core", "amount": 100.5}],
        **more,
    }


def test_a_subscription_is_requested_decided_told_and_found_at_the_bank(platform: Platform) -> None:
    """Pending without cash; asked again, answered as it stands; decided once; confirmed by the bank once."""
    tenant = platform.tenant()
    body = payment(tenant, decision_webhook_url="/decided")
    head = platform.book.head()
    first = platform.send("/subscription-payment-request", body)
    assert first.status_code == 200, first.text
    assert (first.json()["status"], first.json()["request_id"]) == ("pending", body["request_id"])
    again = platform.send("/subscription-payment-request", dict(reversed(body.items())))
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert platform.book.head() == head + 1
    [row] = platform.book.get("/kredit/subscription-payments", status="pending")["payments"]
    assert (row["request"], row["tax"], row["amount"]) == (body["request_id"], 800, 10_800)
    path = f"/kredit/subscription-payments/{body['request_id']}/decide"
    match = {"request": body["request_id"], "account": "bank"}
    early = platform.book.call("POST", "/kredit/bank-matches", match)
    assert early.json()["code"] == "kredit_payment_not_approved"
    decided = platform.book.call("POST", path, {"status": "approved"})
    assert decided.status_code == 201, decided.text
    second = platform.book.call("POST", path, {"status": "rejected", "rejection_reason": "no"})
    assert (second.status_code, second.json()["code"]) == (409, "kredit_payment_decided")
    told = platform.heard("/decided")
    assert [(one["status"], one["amount_cents"], one["amount_myr"]) for one in told] == [
        ("approved", 10_800, 108.0)
    ]
    assert told[0]["decided_by"].startswith("key:")
    assert platform.book.call("POST", "/kredit/bank-matches", match).status_code == 201
    assert platform.book.call("POST", "/kredit/bank-matches", match).json()["code"] == "already_recorded"
    assert platform.send("/subscription-payment-request", body).json()["status"] == "approved"
    row = platform.service.get(f"{OUT}/admin/tenants", tenantId=tenant)["data"]["tenants"][0]
    assert row["subscription"]["plan"] == "CORE"


def test_another_payment_under_the_same_request_is_refused(platform: Platform) -> None:
    """409 in Kredit's words, with anything else in it that counts; what was asked first stands."""
    tenant = platform.tenant()
    body = payment(tenant)
    assert platform.send("/subscription-payment-request", body).status_code == 200
    for other in (
        {"amount_cents": 1, "amount_myr": 0.01},
        {"payment_reference": "INV-0"},
        {"period_end": "2026-12-31"},
        {"billing_type": "addon_purchase"},
    ):
        answer = platform.send("/subscription-payment-request", body | other)
        assert (answer.status_code, answer.json()["error"]) == (409, "CONFLICT"), other
    same = body | {"period_start": "2026-11-01T10:00:00Z", "billing_type": "RENEWAL"}
    assert platform.send("/subscription-payment-request", same).status_code == 200
    answer = platform.send("/subscription-payment-request", body | {"tenant_id": platform.tenant()})
    assert (answer.status_code, answer.json()["error"]) == (422, "CONFLICT")


def test_a_payment_whose_texts_a_ledger_writes_otherwise_is_the_one_that_was_asked_for(
    platform: Platform,
) -> None:
    """Unicode's normal form and no control characters: what is compared is what was posted."""
    body = payment(platform.tenant(), plan="Cafe\u0301", payment_reference="INV\t1")
    for _ in range(2):
        answer = platform.send("/subscription-payment-request", body)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"amount_myr": 108.01}, "amount_myr"),
        ({"amount_cents": 0}, "amount_cents"),
        ({"amount_cents": 10_800.5}, "amount_cents"),
        ({"event": "subscription.payment.decision"}, "event"),
        ({"billing_type": "gift"}, "billing_type"),
        ({"period_end": "2026-10-31"}, "period_end"),
        ({"period_start": "soon"}, "period_start"),
        ({"period_end": "9999-12-31"}, "period_end"),
        ({"requested_at": "2026-11-01T02:00:00"}, "requested_at"),
        ({"decision_webhook_url": "javascript:1"}, "decision_webhook_url"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_payment_request_names_the_field(platform: Platform, wrong: Any, field: str) -> None:
    """400, and nothing is stored."""
    answer = platform.send("/subscription-payment-request", payment("t0") | wrong)
    assert (answer.status_code, answer.json()["error"]) == (400, "BAD_REQUEST"), answer.text
    assert field in answer.text


def test_who_pays_afterwards_is_billed_and_told(platform: Platform) -> None:
    """No credits are needed; what was used in a period is owed, told for the bill, and paid once."""
    tenant = platform.tenant(webhook_url=f"{platform.base}/paid")
    assert platform.book.call("PUT", f"/kredit/tenants/{tenant}", {"billing": "postpaid"}).status_code == 200
    for number in range(3):
        session = platform.ask(tenant, document_number=str(number)).json()["session_id"]
        report = {"status": "completed", "result": "approved"}
        assert (
            platform.book.call("POST", f"/kredit/verifications/{session}/report", report).status_code == 201
        )
    platform.ask(tenant, document_number="open")
    assert platform.book.balance(f"kredit:unbilled:{tenant}", "MYR/2")[0] == 1_200
    today = time.strftime("%Y-%m-%d", time.gmtime())
    usage = platform.service.get(f"{OUT}/usage", tenant_id=tenant, period_start=today, period_end=today)
    assert (usage["verification_count"], usage["usage_credits"], usage["usage_amount_myr"]) == (3, 120, 12.0)
    none = platform.service.get(
        f"{OUT}/usage",
        tenant_id=tenant,
        period_start="2026-01-01T00:00:00Z",
        period_end="2026-01-31T23:59:59Z",
    )
    assert (none["verification_count"], none["usage_amount_myr"]) == (0, 0.0)
    paid = {"tenant": tenant, "period_start": today, "period_end": today, "amount": 1_200}
    assert platform.book.call("POST", "/kredit/payments", paid).status_code == 201
    assert platform.book.call("POST", "/kredit/payments", paid).json()["code"] == "already_recorded"
    [told] = platform.heard("/paid")
    assert (told["event"], told["paid_amount_myr"], told["client_id"]) == (
        "payment.recorded",
        12.0,
        usage["client_id"],
    )
    assert platform.book.balance(f"kredit:unbilled:{tenant}", "MYR/2")[0] == 0


def test_what_people_do_is_done_once(platform: Platform) -> None:
    """Every command under a key answers a repetition with its first status and body, marked as a replay."""
    tenant = platform.tenant(40)
    session = platform.ask(tenant).json()["session_id"]
    body = payment(tenant)
    assert platform.send("/subscription-payment-request", body).status_code == 200
    period = {"tenant": tenant, "period_start": "2026-01-01", "period_end": "2026-01-31"}
    calls: list[tuple[str, str, Any]] = [
        ("PUT", "/kredit/rules", {"rules": {}}),
        ("POST", f"/kredit/verifications/{session}/report", {"status": "completed", "result": "approved"}),
        ("PUT", f"/kredit/tenants/{tenant}", {"billing": "postpaid"}),
        ("POST", f"/kredit/subscription-payments/{body['request_id']}/decide", {"status": "approved"}),
        ("POST", "/kredit/payments", {**period, "amount": 5}),
        ("POST", "/kredit/bank-matches", {**period, "account": "bank"}),
    ]
    for number, (method, path, asked) in enumerate(calls):
        headers = {"Idempotency-Key": f"{tenant}-{number}"}
        first = platform.book.call(method, path, asked, headers=headers)
        again = platform.book.call(method, path, asked, headers=headers)
        assert first.is_success, first.text
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"


def test_an_address_that_is_gone_ends_its_message_alone(platform: Platform) -> None:
    """410 from one request's address: that message is dead, and what goes elsewhere is still told."""
    gone = f"/gone-{next(_numbers)}"
    platform.hears.behaviour = lambda came, line: line.answer(410 if came.path == gone else 204)
    tenant = platform.tenant(80)
    first = platform.ask(tenant, webhook_url=platform.base + gone).json()["session_id"]
    platform.tell(first, "kyc.session.started")
    platform.heard(gone)
    second = platform.ask(tenant).json()["session_id"]
    platform.tell(second, "kyc.session.started")
    platform.heard(f"/{tenant}")
    [kept] = platform.book.get("/subscriptions")["subscriptions"]
    assert (kept["state"], kept["dead"]) == ("active", 1)
    assert len(platform.heard(gone)) == 1


def test_a_subscription_of_kredits_has_callbacks_alone(platform: Platform) -> None:
    """All of them unless some are asked for; an event that tells Kredit nothing is refused, by its field."""
    [kept] = platform.book.get("/subscriptions")["subscriptions"]
    assert kept["types"] == list(CALLBACKS)
    path, body = f"/subscriptions/{kept['id']}", {"url": kept["url"]}
    wrong = platform.book.call("PUT", path, {**body, "types": ["transaction_posted"]})
    assert (wrong.status_code, wrong.json()["field"]) == (400, "types")
    new = {**body, "scheme": "kredit", "types": ["transaction_posted"]}
    assert platform.book.call("POST", "/subscriptions", new).status_code == 400
    assert platform.book.call("PUT", path, body).json()["types"] == list(CALLBACKS)


# ---------------------------------------------------------------- reading


def test_reading_needs_the_bearer_secret_and_a_period(platform: Platform) -> None:
    """An API key of ours; 401 without one, 404 for a tenant that is not there, 400 for a bad question."""
    url = platform.service.base + OUT
    for path in ("/usage", "/admin/overview", "/admin/tenants", "/admin/borrowers", "/admin/loans"):
        assert httpx.get(url + path).status_code == 401
    key = make_key(platform.conninfo, "ledger:read", ledgers=[platform.book.name])
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.get(f"{url}/admin/overview", headers=headers).status_code == 200
    about = {"tenant_id": "nobody", "period_start": "2026-11-01", "period_end": "2026-11-30"}
    answer = platform.service.call("GET", f"{OUT}/usage", params=about)
    assert (answer.status_code, answer.json()["error"]) == (404, "NOT_FOUND")
    tenant = platform.tenant()
    for wrong in (
        {"period_end": "2026-10-01"},
        {"period_start": "x"},
        {"period_start": "0001-01-01"},
        {"period_end": "9999-12-31"},
    ):
        answer = platform.service.call("GET", f"{OUT}/usage", params=about | {"tenant_id": tenant} | wrong)
        assert (answer.status_code, answer.json()["error"]) == (400, "BAD_REQUEST")


def test_tables_are_paged_and_searched(platform: Platform) -> None:
    """Tenants whose loans are in ledgers of their own: every row on one page, sums over all, filters."""
    names = []
    for number in range(3):
        ledger = platform.service.open(
            {"assets": ["MYR/2"], "accounts": [{"pattern": "bank", "type": "asset"}], "products": ["loans"]}
        )
        names.append(ledger.name)
        tenant = platform.tenant(tenant_name=f"Paged {number}", tenant_slug=f"paged-{number}")
        terms = {"billing": "prepaid", "loans": ledger.name}
        assert platform.book.call("PUT", f"/kredit/tenants/{tenant}", terms).status_code == 200
        for borrower in range(number + 1):
            name = f"b{number}-{borrower}"
            assert ledger.call("PUT", f"/borrowers/{name}", {"kyc": "verified"}).status_code == 200
            loan = {"loan": f"L{number}-{borrower}", "borrower": name, "asset": "MYR/2", "amount": 500_000}
            assert ledger.call("POST", "/loans", loan).status_code == 201
            offer = {
                "amount": 500_000,
                "asset": "MYR/2",
                "interest": {"method": "equal_instalments", "rate": "12"},
                "count": 18,
            }
            answer = ledger.call("POST", f"/loans/{loan['loan']}/approve", {"offer": offer})
            assert answer.status_code == 201, answer.text
        ledger.get("/loans", min_seq=ledger.head())
    found = []
    for page in (1, 2, 3):
        data = platform.service.get(f"{OUT}/admin/loans", page=page, pageSize=2, search="L")["data"]
        found += [row["id"] for row in data["loans"]]
        assert data["pagination"] == {"page": page, "pageSize": 2, "total": 6, "totalPages": 3}
    assert sorted(found) == ["L0-0", "L1-0", "L1-1", "L2-0", "L2-1", "L2-2"]
    [row] = platform.service.get(f"{OUT}/admin/loans", search="l1-1")["data"]["loans"]
    assert (row["principalAmount"], row["status"], row["borrowerId"], row["tenant"]["name"]) == (
        5000.0,
        "PENDING_DISBURSEMENT",
        "b1-1",
        "Paged 1",
    )
    data = platform.service.get(f"{OUT}/admin/borrowers", tenantId=row["tenantId"])["data"]
    assert [(b["id"], b["documentVerified"], b["loanCount"]) for b in data["borrowers"]] == [
        ("b1-0", True, 1),
        ("b1-1", True, 1),
    ]
    data = platform.service.get(f"{OUT}/admin/overview", search="paged", pageSize=2, page=2)["data"]
    assert [(t["tenantName"], t["loanCount"]) for t in data["tenants"]] == [("Paged 2", 3)]
    assert (data["pagination"]["total"], data["summary"]["totalLoans"]) == (3, 6)
    assert platform.service.get(f"{OUT}/admin/loans", search="%")["data"]["loans"] == []
    assert platform.service.get(f"{OUT}/admin/tenants", search="nobody at all")["data"]["tenants"] == []


def test_settings_name_all_or_none() -> None:
    """The provider's URL, its key, and where it reports to; the key is not shown."""
    assert read({}).work.kyc is None
    about = {
        "KYC_API_URL": "https://kyc.example",
        "KYC_API_KEY": "k" * 20,
        "KYC_CALLBACK_URL": "https://us.example/x",
    }
    assert "k" * 20 not in repr(read(about))
    for name in ("KYC_API_KEY", "KYC_CALLBACK_URL"):
        with pytest.raises(SettingsError, match="KYC_API"):
            read({**about, name: ""})
    with pytest.raises(SettingsError, match="KYC_CALLBACK_URL"):
        read({**about, "KYC_CALLBACK_URL": "http://us.example/x"})
