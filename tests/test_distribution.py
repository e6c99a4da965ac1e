"""Vouchers handed over to Buffr: once, whatever fails or is killed. Buffr here is a double."""

from __future__ import annotations

import hmac
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import httpcore
import httpx
import psycopg
import pytest
from cryptography.exceptions import InvalidTag

from adapters import buffr_client
from adapters.buffr_client import Breaker, BuffrClient, Declined, Later, Taken, Unknown
from api import distribution, reconcilers
from api.registry import Registry
from api.settings import Buffr as Access
from api.settings import SettingsError, Work, read
from tests.buffr_double import API_KEY, Buffr, buffr
from tests.daybook_command import COMMAND, ROOT, environment
from tests.keys import as_admin, introduce, make_key
from tests.served import Book, Service, served

CHART = {"assets": ["NAD/2"], "accounts": [], "products": ["vouchers"]}


def client(double: Buffr, **more: Any) -> BuffrClient:
    return BuffrClient(double.url, API_KEY, pause=lambda seconds: None, **more)


def until(happened: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.02)


def opened(book: Book) -> None:
    ask(book, "/programmes", {"programme": "relief", "name": "R", "asset": "NAD/2", "distributor": "buffr"})
    ask(book, "/programmes", {"programme": "own", "name": "O", "asset": "NAD/2"})
    for programme in ("relief", "own"):
        ask(book, f"/programmes/{programme}/fundings", {"amount": 1_000_000})


def ask(book: Book, path: str, body: Any, method: str = "POST") -> Any:
    answer = book.call(method, path, body)
    assert answer.is_success, answer.text
    return answer.json()


def new(name: str, **more: Any) -> dict[str, Any]:
    return {"programme": "relief", "voucher": name, "beneficiary": "B1", "amount": 1_250, **more}


# ---------------------------------------------------------------- the client


def test_a_request_is_tried_again_with_the_same_key() -> None:
    """What fails in passing is asked again at once; Buffr distributes one time for the key."""
    with buffr() as double:
        double.failing = [503, 429]
        assert client(double).disburse("k1", {"voucher_id": "V1"}) == Taken("D-V1-1")
        assert [key for key, _ in double.asked] == ["k1"] * 3
        assert client(double).disburse("k1", {"voucher_id": "V1"}) == Taken("D-V1-1")
        assert double.distributions == {"V1": 1}


def test_what_is_declined_is_told_from_what_may_come_later() -> None:
    """A refusal of the voucher ends it; a refusal of us, or no answer, does not."""
    with buffr() as double:
        double.declines.add("V1")
        declined = client(double).disburse("k1", {"voucher_id": "V1"})
        assert declined == Declined("Buffr answered 422: no such wallet")
        stranger = BuffrClient(double.url, "wrong", pause=lambda seconds: None)
        assert stranger.disburse("k2", {"voucher_id": "V2"}) == Later("Buffr answered 401", answered=True)
        double.failing = [500] * 3
        assert client(double).disburse("k3", {"voucher_id": "V3"}) == Later("Buffr answered 500")
    assert isinstance(client(double).disburse("k4", {"voucher_id": "V4"}), Later)  # nobody is there
    assert not double.distributions


def test_the_circuit_opens_and_is_tried_again() -> None:
    """After five failures in a row nothing is asked for half a minute; one success closes it."""
    now = [0.0]
    with buffr() as double:
        asking = client(double, breaker=Breaker(lambda: now[0]))
        double.failing = [500] * 6
        for n in range(3):
            assert isinstance(asking.disburse(f"k{n}", {"voucher_id": "V1"}), Later)
        assert len(double.asked) == 5
        now[0] = 29.9
        assert isinstance(asking.disburse("k", {"voucher_id": "V1"}), Later)
        assert len(double.asked) == 5
        now[0] = 30.0
        assert isinstance(asking.disburse("k", {"voucher_id": "V1"}), Later)
        assert len(double.asked) == 6
        now[0] = 60.0
        assert asking.disburse("k", {"voucher_id": "V1"}) == Taken("D-V1-1")
        assert asking.disburse("k", {"voucher_id": "V1"}) == Taken("D-V1-1")


def test_a_silent_buffr_is_not_waited_for() -> None:
    """A time-out is a failure in passing."""
    ended = threading.Event()
    with buffr() as double:

        def silent(voucher: str) -> None:
            ended.wait(5)

        double.distributed = silent
        outcome = client(double, timeout=0.1).disburse("k1", {"voucher_id": "V1"})
        ended.set()
    assert outcome == Taken("D-V1-1")  # the second try finds what the first one did
    assert double.distributions == {"V1": 1}


def test_a_voucher_that_buffr_does_not_know_is_none_and_no_answer_is_unknown() -> None:
    """Three answers that a reconciliation must tell apart."""
    with buffr() as double:
        double.statuses["V1"] = "redeemed"
        assert client(double).records("V1") == [{"status": "redeemed"}]
        assert client(double).records("V2") == []
    with pytest.raises(Unknown):
        client(double).records("V1")


def test_what_buffr_writes_is_taken_as_a_ledger_takes_texts() -> None:
    """Control characters and other spellings of letters stop nothing; what is no text at all says nothing."""
    raw = b""

    def asked(**spoken: Any) -> BuffrClient:
        found = client(Buffr("http://127.0.0.1:1"))
        status = spoken.pop("status", 200)
        content = raw or json.dumps(spoken).encode()
        answer = httpcore.Response(status, content=content)
        answer.read()
        found._pool.request = lambda *a, **k: answer  # type: ignore[method-assign]
        return found

    assert asked(deliveryId="D\0-1").disburse("k", {}) == Taken("D?-1")
    declined = asked(status=422, error="Jose\u0301 has no wallet").disburse("k", {})
    assert declined == Declined("Buffr answered 422: Jos\u00e9 has no wallet")
    raw = b'{"status": "\xff"}'
    assert asked().disburse("k", {}) == Taken("")
    with pytest.raises(Unknown, match="without a status"):
        asked().records("V1")


def test_settings_name_both_or_none() -> None:
    """The URL is https, but on this host; the key is not shown."""
    assert read({}).work.buffr is None
    given = read({"BUFFR_API_URL": "https://api.buffr.com", "BUFFR_API_KEY": "secret-key"})
    assert given.work.buffr == Access("https://api.buffr.com", "secret-key")
    assert "secret-key" not in repr(given)
    for url, key in (("https://api.buffr.com", ""), ("http://api.buffr.com", "k"), ("buffr", "k")):
        with pytest.raises(SettingsError, match="BUFFR_API"):
            read({"BUFFR_API_URL": url, "BUFFR_API_KEY": key})


# ---------------------------------------------------------------- the service


@pytest.fixture
def double() -> Iterator[Buffr]:
    with buffr() as state:
        yield state


@pytest.fixture
def service(database: str, double: Buffr) -> Iterator[Service]:
    work = Work(buffr=Access(double.url, API_KEY))
    with (
        patch.object(distribution, "POLL_SECONDS", 0.1),
        patch.object(distribution, "REST_SECONDS", 0.1),
        patch.object(buffr_client, "OPEN_SECONDS", 0.1),
        patch.object(reconcilers, "POLL_SECONDS", 0.1),
        served(database, work=work) as service,
    ):
        yield service


def test_what_is_issued_is_handed_over_once(service: Service, double: Buffr) -> None:
    """With who it is for, its code and its amount in dollars; other programmes are left alone."""
    book = service.open(CHART)
    opened(book)
    person = {"name": "Maria Shikongo", "id_number": "85010112345", "phone": "+264811234567"}
    ask(book, "/beneficiaries/B1", person, "PUT")
    ask(book, "/vouchers", {**new("own"), "programme": "own"})
    code = ask(book, "/vouchers", new("V1", grant_type="old age", expires_at="2099-01-01T00:00:00Z"))["code"]
    double.failing = [500] * 4
    until(lambda: book.get("/vouchers/V1").get("distributed"))
    key, body = double.asked[-1]
    assert body == {
        "voucher_id": "V1",
        "beneficiary_id": "B1",
        "beneficiary_name": "Maria Shikongo",
        "beneficiary_id_number": "85010112345",
        "beneficiary_phone": "+264811234567",
        "amount": 12.5,
        "grant_type": "old age",
        "expiry_date": "2099-01-01T00:00:00.000000Z",
        "voucher_code": code,
        "qr_code": code,
    }
    assert {asked for asked, _ in double.asked} == {key}
    assert book.get("/vouchers/V1")["delivery"] == "D-V1-1"
    double.declines.add("V2")
    ask(book, "/vouchers", new("V2"))
    until(lambda: book.get("/vouchers/V2")["status"] == "failed")
    ask(book, "/vouchers/V2/reissue", {"replacement": "V3"})
    until(lambda: book.get("/vouchers/V3").get("distributed"))
    assert double.distributions == {"V1": 1, "V3": 1}
    until(lambda: book.get("/voucher-metrics")["distributed"] == 2)
    found = book.get("/voucher-metrics")
    assert (found["to_distribute"], found["declined"], found["success_rate"]) == (3, 1, "66.67")


def test_what_cannot_be_handed_over_keeps_nobody_waiting(service: Service, double: Buffr) -> None:
    """Neither one that Buffr always puts off nor one that fails here; each is put aside, the others go on."""
    book = service.open(CHART)
    opened(book)
    ask(book, "/beneficiaries/B1", {"name": "Maria Shikongo"}, "PUT")
    double.conflicts.add("V1")

    def broken(self: Registry, tenant: str, ledger: str, kind: Any, name: str) -> Any:
        if self is not None and fails:
            fails.pop()
            raise InvalidTag
        return known(self, tenant, ledger, kind, name)

    known, fails = Registry.person, [1]
    with patch.object(Registry, "person", broken), patch.object(distribution, "TURN", 1):
        ask(book, "/vouchers", new("V0"))
        until(lambda: not fails)
        for name in ("V1", "V2"):
            ask(book, "/vouchers", new(name))
        until(lambda: book.get("/vouchers/V2").get("distributed"))
    assert [body["voucher_id"] for _, body in double.asked] == ["V1", "V2"]


def test_no_other_tenants_vouchers_go_to_buffr(service: Service, double: Buffr, database: str) -> None:
    """Buffr would report them to us, by names that ours may have too."""
    assert service.call("POST", "/v1/tenants", {"name": "acme"}).is_success
    acme = {"authorization": f"Bearer {make_key(database, 'admin', tenant='acme')}"}
    programme = {"programme": "relief", "name": "R", "asset": "NAD/2", "distributor": "buffr"}
    for method, path, body in (
        ("POST", "", {"name": "theirs", "chart": CHART}),
        ("PUT", "/theirs/beneficiaries/B1", {"name": "Maria Shikongo"}),
        ("POST", "/theirs/programmes", programme),
        ("POST", "/theirs/programmes/relief/fundings", {"amount": 10_000}),
        ("POST", "/theirs/vouchers", new("V1")),
    ):
        assert service.call(method, f"/v1/ledgers{path}", body, headers=acme).is_success
    book = service.open(CHART)
    opened(book)
    ask(book, "/beneficiaries/B1", {"name": "Maria Shikongo"}, "PUT")
    ask(book, "/vouchers", new("V2"))
    until(lambda: book.get("/vouchers/V2").get("distributed"))
    assert double.distributions == {"V2": 1}


@pytest.mark.torture
def test_a_process_killed_between_sending_and_recording_distributes_once(
    database: str, double: Buffr
) -> None:
    """Buffr has it, the book does not say so, the process dies; the next one asks again and records it."""
    running: list[subprocess.Popen[bytes]] = []

    def kill(voucher: str) -> None:
        running[0].send_signal(signal.SIGKILL)
        running[0].wait()

    double.distributed = kill
    settings = environment(database, BUFFR_API_URL=double.url, BUFFR_API_KEY=API_KEY)
    base = _start(settings, database, running)
    with httpx.Client(base_url=base, headers=as_admin(base), timeout=30) as asking:
        chart = {"name": "main", "chart": CHART}
        asking.post("/v1/ledgers", json=chart).raise_for_status()
        ledger = "/v1/ledgers/main"
        asking.put(f"{ledger}/beneficiaries/B1", json={"name": "Maria Shikongo"}).raise_for_status()
        programme = {"programme": "relief", "name": "R", "asset": "NAD/2", "distributor": "buffr"}
        asking.post(f"{ledger}/programmes", json=programme).raise_for_status()
        funding = {"amount": 10_000}
        asking.post(f"{ledger}/programmes/relief/fundings", json=funding).raise_for_status()
        with suppress(httpx.HTTPError):
            asking.post(f"{ledger}/vouchers", json=new("V1"))
    until(lambda: running[0].poll() is not None)
    assert double.distributions == {"V1": 1}
    assert _recorded(database) == []
    double.distributed = lambda voucher: None
    _start(settings, database, running)
    try:
        until(lambda: _recorded(database))
    finally:
        running[0].terminate()
        running[0].wait(60)
    assert _recorded(database) == ["D-V1-1"]
    assert double.distributions == {"V1": 1}
    assert len({key for key, _ in double.asked}) == 1
    assert len(double.asked) >= 2


def _recorded(database: str) -> list[str]:
    query = (
        "SELECT convert_from(body, 'UTF8')::json -> 'data' ->> 'delivery' FROM daybook.events"
        " WHERE type = 'voucher_distributed'"
    )
    with psycopg.connect(database) as connection:
        return [delivery for (delivery,) in connection.execute(query)]


def _start(settings: dict[str, str], database: str, running: list[subprocess.Popen[bytes]]) -> str:
    """`daybook serve` on a free port; `running` has its process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    process = subprocess.Popen(
        (*COMMAND, "serve", "--port", port),
        cwd=ROOT,
        env=settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    running[:] = [process]
    base = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{base}/health/live").is_success
        return process.poll() is not None

    until(answers, 60)
    introduce(base, database)
    return base


def test_the_service_compares_itself_with_buffr(service: Service, double: Buffr) -> None:
    """As a job: what Buffr has otherwise, and what it tells of that the book does not know, are items."""
    book = service.open(CHART)
    opened(book)
    ask(book, "/beneficiaries/B1", {"name": "Maria Shikongo"}, "PUT")
    for name in ("V1", "V2"):
        ask(book, "/vouchers", new(name))
    until(lambda: all(book.get(f"/vouchers/{name}").get("distributed") for name in ("V1", "V2")))
    secret = "buffr-secret-0123456789"
    ask(book, "/inbox/endpoints", {"provider": "buffr", "secret": secret, "default": True})
    body = b'{"event": "voucher.delivered", "data": {"voucher_id": "nobodys"}}'
    signed = {"x-webhook-signature": hmac.digest(secret.encode(), body, "sha256").hex()}
    told = service.client.post("/api/v1/webhooks/buffr", content=body, headers=signed)
    number = told.json()["data"]["webhookEventId"]
    until(lambda: book.get(f"/inbox/webhooks/{number}")["webhook"]["state"] == "parked")
    double.statuses |= {"V1": "issued", "V2": "redeemed", "nobodys": "delivered"}
    ask(book, "/reconciliations", {"side": "buffr", "run": "today"})
    until(lambda: any(run["status"] == "finished" for run in book.get("/reconciliations")["reconciliations"]))
    run = book.get("/reconciliations/today")
    assert (run["match_rate"], run["counts"]) == (
        "33.33",
        {"match": 1, "status_mismatch": 1, "missing_here": 1},
    )
    items = book.get("/reconciliations/today/items")["items"]
    assert {item["outcome"]: item["there"][0]["status"] for item in items} == {
        "status_mismatch": "redeemed",
        "missing_here": "delivered",
    }
    until(lambda: book.get("/voucher-metrics")["discrepancies"] == 2)


def test_the_service_asks_buffr_by_itself_when_it_is_time(
    service: Service, double: Buffr, database: str
) -> None:
    """By a schedule made over HTTP: each time that has passed has one run, of the vouchers as they are."""
    book = service.open(CHART)
    opened(book)
    ask(book, "/beneficiaries/B1", {"name": "Maria Shikongo"}, "PUT")
    ask(book, "/vouchers", new("V1"))
    until(lambda: book.get("/vouchers/V1").get("distributed"))
    made = ask(book, "/reconciliation-schedules/buffr", {"every_minutes": 15}, "PUT")
    assert (made["side"], made["job"]) == ("buffr", None)
    assert book.get("/reconciliations")["reconciliations"] == []
    double.statuses["V1"] = "issued"
    with psycopg.connect(database) as connection:
        connection.execute(
            "UPDATE projections.reconciliation_schedules SET from_at = from_at - interval '31 minutes',"
            " next_at = next_at - interval '31 minutes'"
        )

    def finished() -> list[tuple[str, dict[str, int]]]:
        runs = book.get("/reconciliations")["reconciliations"]
        return [(run["run"][:16], run["counts"]) for run in runs if run["status"] == "finished"]

    until(lambda: len(finished()) == 2)
    head = book.head()
    time.sleep(0.5)
    assert (finished(), book.head()) == ([("scheduled-buffr-", {"match": 1})] * 2, head)
    [moved] = book.get("/reconciliation-schedules")["schedules"]
    assert moved["from_at"] < made["from_at"] < moved["next_at"]
