"""Subscriptions over HTTP: made, changed, pinged, rotated, replayed, deleted; from posting to endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from api.settings import Work
from tests.conftest import NewDatabase
from tests.daybook_command import fails
from tests.receiver import Receiver, receiver, says, takes
from tests.served import Book, Service, move, served

NOBODY = "0f6f0c1e-5f34-4d0b-8f0e-7f6f5f4f3f2f"


@pytest.fixture(scope="module")
def conninfo(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def services(conninfo: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Service]]:
    """One that may deliver to this machine, and one as it is in production."""
    keys = tmp_path_factory.mktemp("keys")
    with (
        served(conninfo, keys, work=Work(insecure_webhooks=True)) as service,
        served(conninfo, keys, work=Work(sending=False)) as strict,
    ):
        yield service, strict


@pytest.fixture
def book(services: tuple[Service, Service]) -> Book:
    return services[0].open()


@pytest.fixture
def endpoint() -> Iterator[Receiver]:
    with receiver() as endpoint:
        yield endpoint


def subscribe(book: Book, **body: Any) -> tuple[str, str]:
    """A new subscription's path and its secret."""
    answer = book.call("POST", "/subscriptions", body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    path = f"/subscriptions/{made['subscription']['id']}"
    assert answer.headers["location"] == book.path + path
    return path, made["secret"]


def test_from_a_posting_to_the_endpoint(book: Book, endpoint: Receiver) -> None:
    """What is posted over HTTP arrives signed; the log says how fast; the secret is shown once."""
    path, secret = subscribe(book, url=endpoint.url, types=["transaction_posted"], description="Books")
    seq = book.seq(move("cash", "fx", 5))
    endpoint.until(1)
    [message] = endpoint.received
    Webhook(secret).verify(message.body, message.headers)
    assert message.json["data"] == book.get("/events", after=seq - 1)["events"][0]["body"]
    [attempt] = wait_for_attempts(book, path, 1)
    assert (attempt["seq"], attempt["status"], attempt["error"]) == (seq, 204, None)
    assert 0 <= attempt["latency_ms"] < 10_000
    assert secret not in book.call("GET", path).text + book.call("GET", "/subscriptions").text
    assert book.get(path)["description"] == "Books"
    assert [one["id"] for one in book.get("/subscriptions")["subscriptions"]] == [path.rpartition("/")[2]]


def wait_for_attempts(book: Book, path: str, count: int) -> list[Any]:
    """The delivery log, once it has so many lines."""
    for _ in range(1_000):
        attempts: list[Any] = book.get(path + "/attempts")["attempts"]
        if len(attempts) >= count:
            return attempts
    raise AssertionError("the attempts do not come")


def test_a_change_a_pause_and_a_replay(book: Book, endpoint: Receiver) -> None:
    """What waits goes to the new URL; paused nothing comes; a replay sends again from any seq."""
    with receiver(says(500)) as former:
        path, _ = subscribe(book, url=former.url, after=0)
        former.until(1)
        changed = book.call(
            "PUT", path, {"url": endpoint.url, "types": ["ledger_opened", "transaction_posted"]}
        )
        assert (changed.status_code, changed.json()["url"]) == (200, endpoint.url)
    assert book.call("POST", path + "/pause").json()["state"] == "paused"
    book.seq(move("cash", "fx", 1))
    assert book.call("POST", path + "/resume").json()["state"] == "active"
    endpoint.until(2)
    assert sorted(endpoint.seqs()) == [1, 2]
    assert book.call("POST", path + "/replay", {"after": 1}).status_code == 200
    endpoint.until(3)
    assert endpoint.seqs()[2] == 2
    assert endpoint.received[2].id == next(m.id for m in endpoint.received if m.seq == 2)


def test_a_ping_says_what_became_of_it(book: Book, endpoint: Receiver) -> None:
    """At once, whatever the state; a failed one is told, not raised, and disables nothing."""
    path, secret = subscribe(book, url=endpoint.url)
    book.call("POST", path + "/pause")
    answer = book.call("POST", path + "/ping").json()
    assert (answer["status"], answer["seq"]) == (204, None)
    [message] = endpoint.received
    Webhook(secret).verify(message.body, message.headers)
    assert (message.json["type"], message.json["seq"], message.json["data"]) == ("ping", 0, {})
    endpoint.behaviour = says(410)
    assert book.call("POST", path + "/ping").json()["status"] == 410
    assert book.get(path)["state"] == "paused"


def test_a_rotation_over_http(book: Book, endpoint: Receiver) -> None:
    """The new secret is answered once; both sign; a secret of one's own must fit the scheme."""
    path, first = subscribe(book, url=endpoint.url)
    rotated = book.call("POST", path + "/rotate").json()
    assert rotated["subscription"]["former_secret_until"] is not None
    book.seq(move("cash", "fx", 1))
    endpoint.until(1)
    for secret in (first, rotated["secret"]):
        Webhook(secret).verify(endpoint.received[0].body, endpoint.received[0].headers)
    own = "whsec_" + "A" * 43 + "="
    assert book.call("POST", path + "/rotate", {"secret": own}).json()["secret"] == own
    bad = book.call("POST", path + "/rotate", {"secret": "short"})
    assert (bad.status_code, bad.json()["field"]) == (400, "secret")
    assert "short" not in bad.text


def test_dead_messages_are_listed_and_sent_again(book: Book, endpoint: Receiver, conninfo: str) -> None:
    """Pages of what was not delivered, by state; the dead come back when asked."""
    endpoint.behaviour = says(500)
    path, _ = subscribe(book, url=endpoint.url)
    seqs = [book.seq(move("cash", "fx", 1)) for _ in range(3)]
    wait_for_attempts(book, path, 3)
    page = book.get(path + "/messages", state="waiting", limit=2)
    assert ([m["seq"] for m in page["messages"]], page["next"]) == (seqs[:2], seqs[1])
    assert [m["attempts"] for m in page["messages"]] == [1, 1]
    with psycopg.connect(conninfo) as connection:  # ten attempts would take three days
        connection.execute("UPDATE projections.messages SET dead = true, attempts = 10")
    assert [m["seq"] for m in book.get(path + "/messages", state="dead")["messages"]] == seqs
    assert (book.get(path)["dead"], book.get(path)["waiting"]) == (3, 0)
    endpoint.behaviour = takes
    assert book.call("POST", path + "/messages/replay", {"seqs": [seqs[0]]}).json()["dead"] == 2
    endpoint.until(4)
    assert endpoint.seqs()[3] == seqs[0]
    log = book.get(path + "/attempts", seq=seqs[1])["attempts"]
    assert [(a["attempt"], a["status"]) for a in log] == [(1, 500)]


def test_deleting_ends_it(book: Book, endpoint: Receiver) -> None:
    """It is gone from every list, and nothing more is sent."""
    path, _ = subscribe(book, url=endpoint.url)
    assert book.call("DELETE", path).status_code == 200
    book.seq(move("cash", "fx", 1))
    for method, place in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/pause"),
        ("POST", "/ping"),
        ("GET", "/attempts"),
    ]:
        answer = book.call(method, path + place)
        assert (answer.status_code, answer.json()["code"]) == (404, "subscription_not_found")
    assert book.get("/subscriptions") == {"subscriptions": []}
    assert endpoint.received == []


def test_another_ledgers_subscription_is_not_found(book: Book, endpoint: Receiver) -> None:
    """The id alone opens nothing."""
    path, _ = subscribe(book, url=endpoint.url)
    other = book.service.open()
    for method, place, body in [
        ("GET", "", None),
        ("PUT", "", {"url": endpoint.url}),
        ("POST", "/rotate", None),
        ("POST", "/replay", {"after": 0}),
        ("POST", "/messages/replay", {}),
        ("GET", "/messages", None),
        ("DELETE", "", None),
    ]:
        answer = other.call(method, path + place, body)
        assert (answer.status_code, answer.json()["code"]) == (404, "subscription_not_found")
    assert book.get(path)["state"] == "active"


def test_subscriptions_are_bounded(book: Book, endpoint: Receiver) -> None:
    """Fifty a ledger."""
    for _ in range(50):
        subscribe(book, url=endpoint.url)
    answer = book.call("POST", "/subscriptions", {"url": endpoint.url})
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_subscriptions")
    assert answer.json()["evidence"] == {"limit": 50}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": 1}, "url"),
        ({"url": ""}, "url"),
        ({"url": "https://example.com/", "types": []}, "types"),
        ({"url": "https://example.com/", "types": ["money_printed"]}, "types"),
        ({"url": "https://example.com/", "types": "transaction_posted"}, "types"),
        ({"url": "https://example.com/", "scheme": "none"}, "scheme"),
        ({"url": "https://example.com/", "secret": "x"}, "secret"),
        ({"url": "https://example.com/", "secret": "whsec_!!!"}, "secret"),
        ({"url": "https://example.com/", "secret": "whsec_" + "A" * 8}, "secret"),
        ({"url": "https://example.com/", "scheme": "sha256", "secret": "short"}, "secret"),
        ({"url": "https://example.com/", "scheme": "sha256", "secret": "a" * 20 + "\n"}, "secret"),
        ({"url": "https://example.com/", "description": "a\0"}, "description"),
        ({"url": "https://example.com/", "after": -1}, "after"),
        ({"url": "https://example.com/", "x": 1}, "x"),
    ],
)
def test_bad_subscriptions_are_refused(book: Book, body: Any, field: str) -> None:
    """400 with the field's name, nothing stored, and no secret in the answer."""
    answer = book.call("POST", "/subscriptions", body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), answer.text
    assert answer.json()["field"] == field
    assert book.get("/subscriptions") == {"subscriptions": []}
    if "secret" in body:
        assert json.dumps(body["secret"])[1:-1] not in answer.text


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://user@example.com/",
        "https://a b/",
    ],
)
def test_production_takes_only_https_to_the_outside(
    services: tuple[Service, Service], book: Book, url: str
) -> None:
    """Refused when it is made and when it is changed; the setting for development is off by default."""
    strict = Book(services[1], book.name)
    for method, path in (("POST", "/subscriptions"), ("PUT", f"/subscriptions/{NOBODY}")):
        answer = strict.call(method, path, {"url": url})
        assert (answer.status_code, answer.json()["field"]) == (400, "url")


def test_production_delivers_nothing_inside_whatever_was_stored(
    services: tuple[Service, Service], book: Book, endpoint: Receiver
) -> None:
    """A URL that got in while the setting was on is refused at the moment of sending."""
    path, _ = subscribe(book, url=endpoint.url)
    answer = Book(services[1], book.name).call("POST", path + "/ping").json()
    assert (answer["status"], answer["error"]) == (None, "refused: only https is allowed")
    assert endpoint.received == []


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/subscriptions/x", "subscription"),
        (f"/subscriptions/{NOBODY}/messages?state=lost", "state"),
        (f"/subscriptions/{NOBODY}/messages?limit=0", "limit"),
        (f"/subscriptions/{NOBODY}/attempts?seq=0", "seq"),
        (f"/subscriptions/{NOBODY}/attempts?before=x", "before"),
    ],
)
def test_bad_questions_are_refused(book: Book, path: str, field: str) -> None:
    """400 with the parameter's name."""
    answer = book.call("GET", path)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


def test_switches_are_on_or_off(database: str) -> None:
    """A setting that is neither is named."""
    for name in ("DAYBOOK_WEBHOOKS", "DAYBOOK_INSECURE_WEBHOOKS"):
        settings: Any = {name: "yes"}
        assert f"{name} is 'yes'" in fails(database, "serve", "--port", "0", **settings)


def test_a_key_that_others_can_read_is_not_used(database: str, tmp_path: Path) -> None:
    """503, and the log, not the answer, says which file."""
    (tmp_path / "webhooks.key").write_text("00" * 32)
    (tmp_path / "webhooks.key").chmod(0o644)
    with served(database, tmp_path) as service:
        answer = service.open().call("POST", "/subscriptions", {"url": "https://example.com/"})
        assert (answer.status_code, answer.json()["code"]) == (503, "secrets_unavailable")
        assert str(tmp_path) not in answer.text
