"""Malformed requests: a clear 4xx that names the field, nothing stored, never a 500."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from api.http import MAX_BODY_BYTES, _key
from api.problems import Refused
from ledger.commands import Key
from tests.conftest import NewDatabase
from tests.keys import as_admin
from tests.served import CHART, Book, Service, leg, move, served

JSON = {"Content-Type": "application/json"}
GOOD = move("cash", "fx", 5)
TEXT = json.dumps(GOOD)


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, served(conninfo) as service:
        yield service


@pytest.fixture(scope="module")
def book(service: Service) -> Book:
    """A ledger with a transaction (2) and a hold (3)."""
    book = service.open()
    book.seq(move("cash", "customers:1", 10_000))
    book.seq(move("customers:1", "fees", 100, pending=True))
    return book


class Bad(NamedTuple):
    """A body that must be refused, and the field that the problem must name."""

    name: str
    body: Any
    field: str | None
    path: str = "/transactions"
    method: str = "POST"


def with_leg(**changes: Any) -> dict[str, Any]:
    return {"postings": [{**leg("cash", "debit", 5), **changes}, leg("fx", "credit", 5)]}


def without(member: str) -> dict[str, Any]:
    posting = leg("cash", "debit", 5)
    del posting[member]
    return {"postings": [posting, leg("fx", "credit", 5)]}


def condition(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "conditions": [{"account": "cash", "asset": "USD/2", **changes}]}


def chart(**changes: Any) -> dict[str, Any]:
    return {"assets": ["USD/2"], "accounts": [{"pattern": "cash", "type": "asset", **changes}]}


BODIES = [
    # JSON itself
    Bad("empty", b"", None),
    Bad("space", b"  ", None),
    Bad("cut short", TEXT[:-1].encode(), None),
    Bad("trailing text", TEXT.encode() + b" x", None),
    Bad("two documents", TEXT.encode() * 2, None),
    Bad("not JSON", b"postings=1", None),
    Bad("not UTF-8", TEXT.replace("cash", "\udcff").encode(errors="surrogateescape"), None),
    Bad("UTF-16", TEXT.encode("utf-16"), None),
    Bad("byte order mark", b"\xef\xbb\xbf" + TEXT.encode(), None),
    Bad("lone surrogate", json.dumps({**GOOD, "description": "\ud800"}).encode(), None),
    Bad("reversed surrogates", json.dumps({**GOOD, "description": "\udc00\ud800"}).encode(), None),
    Bad("raw control character", TEXT.replace("cash", "ca\nsh").encode(), None),
    Bad("NaN", TEXT.replace("5", "NaN").encode(), None),
    Bad("comment", b"/**/" + TEXT.encode(), None),
    Bad("array", [GOOD], None),
    Bad("null", b"null", None),
    Bad("string", b'"postings"', None),
    Bad("number", b"1", None),
    Bad("100,000 arrays", b"[" * 100_000, None),
    Bad("100,000 arrays in a field", b'{"postings":' + b"[" * 100_000, "postings[0]"),
    Bad("100,000 arrays in an unknown field", b'{"x":' + b"[" * 100_000, "x"),
    Bad("100,000 objects", b'{"metadata":' + b'{"a":' * 100_000, "metadata"),
    # members
    Bad("unknown field", {**GOOD, "x": 1}, "x"),
    Bad("unknown field of a leg", with_leg(kind="posted"), "postings[0].kind"),
    Bad("unknown field of a condition", condition(min=1, x=1), "conditions[0].x"),
    Bad("no postings", {}, "postings"),
    Bad("no account", without("account"), "postings[0].account"),
    Bad("no amount", without("amount"), "postings[0].amount"),
    Bad("one posting", {"postings": [leg("cash", "debit", 5)]}, "postings"),
    Bad("501 postings", {"postings": [leg("cash", "debit", 5)] * 501}, "postings"),
    Bad("postings is an object", {"postings": {}}, "postings"),
    Bad("null posting", {"postings": [None, None]}, "postings[0]"),
    # amounts
    Bad("float", with_leg(amount=5.5), "postings[0].amount"),
    Bad("whole float", TEXT.replace("5", "5.0").encode(), "postings[0].amount"),
    Bad("exponent", TEXT.replace("5", "5e0").encode(), "postings[0].amount"),
    Bad("zero", with_leg(amount=0), "postings[0].amount"),
    Bad("negative", with_leg(amount=-5), "postings[0].amount"),
    Bad("2^63", with_leg(amount=2**63), "postings[0].amount"),
    Bad("2^64", with_leg(amount=2**64), "postings[0].amount"),
    Bad("10^400", TEXT.replace("5", "1" + "0" * 400).encode(), "postings[0].amount"),
    Bad("5,000 digits", TEXT.replace("5", "1" * 5_000).encode(), "postings[0].amount"),
    Bad("2^63 as text", with_leg(amount=str(2**63)), "postings[0].amount"),
    Bad("zero as text", with_leg(amount="0"), "postings[0].amount"),
    Bad("signed text", with_leg(amount="-5"), "postings[0].amount"),
    Bad("decimal text", with_leg(amount="5.5"), "postings[0].amount"),
    Bad("Arabic digits", with_leg(amount="\u0665"), "postings[0].amount"),
    Bad("no digits", with_leg(amount=""), "postings[0].amount"),
    Bad("true", with_leg(amount=True), "postings[0].amount"),
    Bad("null amount", with_leg(amount=None), "postings[0].amount"),
    # sides, accounts, assets
    Bad("side", with_leg(side="Debit"), "postings[0].side"),
    Bad("number as account", with_leg(account=1), "postings[0].account"),
    Bad("empty account", with_leg(account=""), "postings[0].account"),
    Bad("empty segment", with_leg(account="customers::1"), "postings[0].account"),
    Bad("NUL in account", with_leg(account="cash\0"), "postings[0].account"),
    Bad("line end in account", with_leg(account="cash\n"), "postings[0].account"),
    Bad("space in account", with_leg(account="cash box"), "postings[0].account"),
    Bad("long account", with_leg(account="a" * 256), "postings[0].account"),
    Bad("asset without scale", with_leg(asset="USD"), "postings[0].asset"),
    Bad("asset with scale 19", with_leg(asset="USD/19"), "postings[0].asset"),
    Bad("NUL in asset", with_leg(asset="USD\0/2"), "postings[0].asset"),
    Bad("second leg", {"postings": [leg("cash", "debit", 5), leg("fx", "x", 5)]}, "postings[1].side"),
    # texts
    Bad("NUL in description", {**GOOD, "description": "a\0b"}, "description"),
    Bad("not NFC", {**GOOD, "description": "e\u0301"}, "description"),
    Bad("long description", {**GOOD, "description": "a" * 1_001}, "description"),
    Bad("long reference", {**GOOD, "reference": "a" * 256}, "reference"),
    Bad("NUL in reference", {**GOOD, "reference": "\0"}, "reference"),
    Bad("number in metadata", {**GOOD, "metadata": {"a": 1}}, "metadata"),
    Bad("object in metadata", {**GOOD, "metadata": {"a": {}}}, "metadata"),
    Bad("NUL in metadata", {**GOOD, "metadata": {"a": "\0"}}, "metadata.a"),
    Bad("NUL in a name", {**GOOD, "metadata": {"\0": "a"}}, "metadata"),
    Bad("empty name", {**GOOD, "metadata": {"": "a"}}, "metadata"),
    Bad("long name", {**GOOD, "metadata": {"a" * 65: "a"}}, "metadata"),
    Bad("long value", {**GOOD, "metadata": {"a": "a" * 2_001}}, "metadata"),
    Bad("51 names", {**GOOD, "metadata": {str(i): "a" for i in range(51)}}, "metadata"),
    # moments
    Bad("no zone", {**GOOD, "effective_at": "2026-01-01T00:00:00"}, "effective_at"),
    Bad("no time", {**GOOD, "effective_at": "2026-01-01"}, "effective_at"),
    Bad("a number", {**GOOD, "effective_at": 1_700_000_000}, "effective_at"),
    Bad("no such day", {**GOOD, "effective_at": "2026-02-29T00:00:00Z"}, "effective_at"),
    Bad("leap second", {**GOOD, "effective_at": "2016-12-31T23:59:60Z"}, "effective_at"),
    Bad("year 0", {**GOOD, "effective_at": "0000-01-01T00:00:00Z"}, "effective_at"),
    Bad("year 0 in UTC", {**GOOD, "effective_at": "0001-01-01T00:00:00+00:01"}, "effective_at"),
    Bad("year 10000", {**GOOD, "effective_at": "10000-01-01T00:00:00Z"}, "effective_at"),
    Bad("year 10000 in UTC", {**GOOD, "effective_at": "9999-12-31T23:59:59-00:01"}, "effective_at"),
    Bad("rounds to year 10000", {**GOOD, "effective_at": "9999-12-31T23:59:59.9999999Z"}, "effective_at"),
    # the rest of a transaction
    Bad("pending is text", {**GOOD, "pending": "true"}, "pending"),
    Bad("timeout without hold", {**GOOD, "timeout_seconds": 5}, "timeout_seconds"),
    Bad("timeout of zero", {**GOOD, "pending": True, "timeout_seconds": 0}, "timeout_seconds"),
    Bad(
        "timeout of 100 years", {**GOOD, "pending": True, "timeout_seconds": 3_155_760_000}, "timeout_seconds"
    ),
    Bad("up_to of one side", {"up_to": True, "postings": [leg("cash", "debit", 5)] * 2}, "up_to"),
    Bad("empty condition", condition(), "conditions[0]"),
    Bad("balance of a condition", condition(balance="x", min=1), "conditions[0].balance"),
    Bad("65 bits in a condition", condition(min=-(2**63)), "conditions[0].min"),
    Bad("version below zero", condition(version=-1), "conditions[0].version"),
    Bad("51 conditions", {**GOOD, "conditions": condition(min=1)["conditions"] * 51}, "conditions"),
    Bad("empty key", {**GOOD, "idempotency_key": ""}, "idempotency_key"),
    Bad("NUL in key", {**GOOD, "idempotency_key": "a\0"}, "idempotency_key"),
    Bad("long key", {**GOOD, "idempotency_key": "a" * 256}, "idempotency_key"),
    # batches
    Bad("no transactions", {"transactions": []}, "transactions", "/transactions/batch"),
    Bad("5,001 transactions", {"transactions": [GOOD] * 5_001}, "transactions", "/transactions/batch"),
    Bad(
        "second transaction",
        {"transactions": [GOOD, with_leg(amount=0)]},
        "transactions[1].postings[0].amount",
        "/transactions/batch",
    ),
    Bad(
        "preview in a batch",
        {"transactions": [{**GOOD, "preview": True}]},
        "preview",
        "/transactions/batch",
    ),
    Bad(
        "key in an atomic batch",
        {"atomic": True, "transactions": [{**GOOD, "idempotency_key": "a"}]},
        None,
        "/transactions/batch",
    ),
    # lifecycle
    Bad("one amount", {"amounts": [5]}, "amounts", "/transactions/3/post"),
    Bad("float amount", {"amounts": [5, 5.5]}, "amounts[1]", "/transactions/3/post"),
    Bad("2^63 as text in amounts", {"amounts": [5, str(2**63)]}, "amounts[1]", "/transactions/3/post"),
    Bad("zeros", {"amounts": [0, 0]}, "amounts", "/transactions/2/reverse"),
    Bad("null body", b"null", None, "/transactions/3/void"),
    Bad("postings of a void", {"postings": []}, "postings", "/transactions/3/void"),
    Bad("no remark", {"metadata": {}}, "metadata", "/transactions/2/annotate"),
    Bad("empty remark", b"", None, "/transactions/2/annotate"),
    Bad("NUL in a remark", {"metadata": {"a": "\0"}}, "metadata.a", "/transactions/2/annotate"),
    # charts and accounts
    Bad("pattern", chart(pattern="a::b"), "accounts[0].pattern", "/chart", "PUT"),
    Bad("NUL in a pattern", chart(pattern="a\0"), "accounts[0].pattern", "/chart", "PUT"),
    Bad("capture twice", chart(pattern="{a}:{a}"), "accounts[0].pattern", "/chart", "PUT"),
    Bad("type", chart(type="money"), "accounts[0].type", "/chart", "PUT"),
    Bad("limits of no asset", chart(limits={"a b": {}}), "accounts[0].limits", "/chart", "PUT"),
    Bad("limit of 65 bits", chart(limits={"*": {"max_balance": 2**63}}), "max_balance", "/chart", "PUT"),
    Bad("asset of a chart", {"assets": ["usd"], "accounts": []}, "assets[0]", "/chart", "PUT"),
    Bad("no assets", {"accounts": []}, "assets", "/chart", "PUT"),
    Bad("address", {"address": "a b"}, "address", "/accounts"),
    Bad("limits", {"limits": {"*": {"min_available": "0"}}}, "min_available", "/accounts/cash/limits", "PUT"),
    Bad("closing with a word", {"why": "so"}, "why", "/accounts/cash/close"),
]


@pytest.mark.parametrize("bad", BODIES, ids=[bad.name for bad in BODIES])
def test_bad_body_is_refused(book: Book, bad: Bad) -> None:
    """400 with the field's name, and the head of the ledger does not move."""
    head = book.head()
    content = bad.body if isinstance(bad.body, bytes) else json.dumps(bad.body).encode()
    answer = book.call(bad.method, bad.path, content=content, headers=JSON)
    assert answer.status_code == 400, answer.text
    problem = answer.json()
    assert problem["code"] == "invalid_request"
    assert problem["detail"]
    if bad.field is None:
        assert "field" not in problem
    else:
        assert problem["field"].endswith(bad.field), problem
    assert book.head() == head


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Main"}, "name"),
        ({"name": "a\n"}, "name"),
        ({"name": "a\0"}, "name"),
        ({"name": "a" * 64}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": 1}, "name"),
        ({"time_zone": "Prague"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"time_zone": "../../etc/passwd"}, "time_zone"),
        ({"time_zone": "Europe"}, "time_zone"),
        ({"time_zone": "localtime"}, "time_zone"),
        ({"time_zone": "U\0TC"}, "time_zone"),
        ({"chart": {"assets": ["X"], "accounts": []}}, "chart.assets[0]"),
        ({"x": 1}, "x"),
    ],
)
def test_bad_ledger_is_not_opened(service: Service, changes: dict[str, Any], field: str) -> None:
    """400 with the field's name, and the list of ledgers stays as it was."""
    before = service.get("/v1/ledgers", limit=1_000)
    answer = service.call("POST", "/v1/ledgers", {"name": "bad", "chart": CHART, **changes})
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert service.get("/v1/ledgers", limit=1_000) == before


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("?x=1", "x"),
        ("/chart?limit=1", "limit"),
        ("/accounts?limit=0", "limit"),
        ("/accounts?limit=1001", "limit"),
        ("/accounts?limit=", "limit"),
        ("/accounts?limit=1.0", "limit"),
        ("/accounts?limit=%EF%BC%91", "limit"),
        ("/accounts?limit=5&limit=5", "limit"),
        ("/accounts?after=-1", "after"),
        ("/accounts?after=9223372036854775808", "after"),
        (f"/accounts?after={'9' * 5_000}", "after"),
        ("/accounts?prefix=a%00", "prefix"),
        ("/accounts?prefix=", "prefix"),
        ("/accounts?type=money", "type"),
        ("/accounts/cash/balances?known_at=-1", "known_at"),
        ("/accounts/cash/balances?known_at=9223372036854775808", "known_at"),
        ("/accounts/cash/balances?known_at=yesterday", "known_at"),
        ("/accounts/cash/balances?known_at=2026-01-01T00:00:00", "known_at"),
        ("/accounts/cash/balances?known_at=0001-01-01T00:00:00%2B01:00", "known_at"),
        ("/accounts/cash/balances?as_of=2026-01-01T00:00:00", "as_of"),
        ("/accounts/cash/statement?asset=usd", "asset"),
        ("/accounts/cash/statement?after=3", "after"),
        ("/accounts/cash/statement?after=3.-1", "after"),
        ("/accounts/cash/statement?after=9999999999999999999.0", "after"),
        ("/accounts/cash/statement?after=3.99999", "after"),
        ("/transactions?account=a%20b", "account"),
        ("/transactions?type=ledger_opened", "type"),
        ("/transactions?reference=%00", "reference"),
        (f"/transactions?reference={'a' * 256}", "reference"),
        ("/transactions?effective_from=5", "effective_from"),
        ("/transactions?effective_to=9999-12-31T23:59:59-01:00", "effective_to"),
        ("/transactions?order=up", "order"),
        ("/trial-balance?limit=x", "limit"),
        ("/events?after=1e3", "after"),
        ("/events?after=%FF", None),
        ("/transactions/0", "seq"),
        ("/transactions/-1", "seq"),
        ("/transactions/x", "seq"),
        ("/transactions/1.0", "seq"),
        ("/transactions/9223372036854775808", "seq"),
        (f"/transactions/{'1' * 5_000}", "seq"),
        ("/accounts/a%20b", "address"),
        ("/accounts/a%00", "address"),
        ("/accounts/%FF", "address"),
        (f"/accounts/{'a' * 256}", "address"),
    ],
)
def test_bad_path_or_query_is_refused(book: Book, path: str, field: str | None) -> None:
    """400 with the parameter's name."""
    answer = book.call("GET", path)
    assert answer.status_code == 400, answer.text
    assert answer.json().get("field") == field


@pytest.mark.parametrize(
    "period", ["2026-13", "2026-02-30", "2026-Q5", "26", "9999", "now", "%00", "2026%0A"]
)
def test_bad_period_is_refused(book: Book, period: str) -> None:
    """What is no period of the calendar is not looked for in the ledger."""
    for verb, body in (("close", {}), ("reopen", {"reason": "late"})):
        answer = book.call("POST", f"/periods/{period}/{verb}", body)
        assert (answer.status_code, answer.json().get("field")) == (400, "period"), answer.text


ASSERTION = {"account": "cash", "asset": "USD/2", "at": "2020-06-15", "expected": 5, "source": "bank"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/periods/2020/close", {"retained_earnings": "a b"}, "retained_earnings"),
        ("/periods/2020/close", {"force": True}, "force"),
        ("/periods/2020/reopen", {}, "reason"),
        ("/periods/2020/reopen", {"reason": ""}, "reason"),
        ("/periods/2020/reopen", {"reason": " \t"}, "reason"),
        ("/periods/2020/reopen", {"reason": "a\0"}, "reason"),
        ("/periods/2020/reopen", {"reason": "late", "closed_seq": 0}, "closed_seq"),
        ("/assertions", ASSERTION | {"at": "2020-06"}, "at"),
        ("/assertions", ASSERTION | {"at": "2020-06-15T10:00:00"}, "at"),
        ("/assertions", ASSERTION | {"at": "2020-06-31"}, "at"),
        ("/assertions", ASSERTION | {"at": "0001-01-01T00:00:00Z"}, "at"),
        ("/assertions", ASSERTION | {"expected": 1.5}, "expected"),
        ("/assertions", ASSERTION | {"expected": "--5"}, "expected"),
        ("/assertions", ASSERTION | {"expected": "9223372036854775808"}, "expected"),
        ("/assertions", ASSERTION | {"expected": -(2**63)}, "expected"),
        ("/assertions", ASSERTION | {"tolerance": -1}, "tolerance"),
        ("/assertions", ASSERTION | {"tolerance": "-1"}, "tolerance"),
        ("/assertions", ASSERTION | {"source": ""}, "source"),
        ("/assertions", ASSERTION | {"source": "e\u0301"}, "source"),
        ("/assertions", ASSERTION | {"reference": "a" * 256}, "reference"),
        ("/assertions", ASSERTION | {"asset": "usd"}, "asset"),
        ("/assertions", ASSERTION | {"sign": 1}, "sign"),
        (
            "/transactions",
            move("cash", "fees", 1, original_effective_at="2020-01-01"),
            "original_effective_at",
        ),
        ("/transactions", move("cash", "fees", 1, original_effective_at=5), "original_effective_at"),
    ],
)
def test_bad_control_command_is_refused(book: Book, path: str, body: Any, field: str) -> None:
    """400 naming the member, and nothing is stored."""
    before = book.head()
    answer = book.call("POST", path, body)
    assert (answer.status_code, answer.json().get("field")) == (400, field), answer.text
    assert book.head() == before


@pytest.mark.parametrize("name", ["Main", "%00", "a%0A", "a" * 64, "%C3%A9", ".."])
def test_bad_ledger_name_is_refused(service: Service, name: str) -> None:
    """A name that no ledger can have is refused before the database is asked."""
    answer = service.call("GET", f"/v1/ledgers/{name}/chart")
    assert (answer.status_code, answer.json().get("field")) in ((400, "ledger"), (404, None))


def test_parameters_of_a_command_are_refused(book: Book) -> None:
    """A command takes no query."""
    head = book.head()
    answer = book.call("POST", "/transactions", GOOD, params={"dry_run": "true"})
    assert (answer.status_code, answer.json()["field"], book.head()) == (400, "dry_run", head)


@pytest.mark.parametrize(
    "headers",
    [
        [("Idempotency-Key", "")],
        [("Idempotency-Key", '""')],
        [("Idempotency-Key", '"a')],
        [("Idempotency-Key", '"a"b"')],
        [("Idempotency-Key", r'"a\b"')],
        [("Idempotency-Key", "a\tb")],
        [("Idempotency-Key", b"\xc3\xa9")],
        [("Idempotency-Key", "a" * 256)],
        [("Idempotency-Key", "a"), ("X-Idempotency-Key", "b")],
        [("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    ],
)
def test_bad_key_is_refused(book: Book, headers: list[tuple[str, Any]]) -> None:
    """400 that names the header, and nothing stored."""
    head = book.head()
    answer = book.call("POST", "/transactions", GOOD, headers=headers)
    assert (answer.status_code, answer.json()["field"], book.head()) == (400, "Idempotency-Key", head)


def test_a_header_takes_the_keys_that_a_body_takes() -> None:
    """Every byte, and lengths at the bounds; spaces around a bare one are the header's, not the key's."""
    texts = [f"a{chr(number)}b" for number in range(256)] + ["a" * length for length in (0, 1, 255, 256)]
    for text in texts:
        try:
            known: str | None = msgspec.convert(text, Key)
        except msgspec.ValidationError:
            known = None
        for value in (text, f" {text}\t"):
            try:
                found: str | None = _key(value.encode("latin-1"))
            except Refused:
                found = None
            assert found == known, text


def test_keys_that_contradict_are_refused(book: Book) -> None:
    """Two keys for one command, or a header on an independent batch, name the field that is too much."""
    head = book.head()
    answer = book.post({**GOOD, "idempotency_key": "a"}, key="b")
    assert (answer.status_code, answer.json()["field"]) == (400, "idempotency_key")
    batch = {"transactions": [GOOD]}
    answer = book.call("POST", "/transactions/batch", batch, headers={"Idempotency-Key": "a"})
    assert (answer.status_code, answer.json()["field"]) == (400, "Idempotency-Key")
    assert book.head() == head


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Request-Id", "")],
        [("X-Request-Id", "a" * 129)],
        [("X-Request-Id", b"\xff")],
        [("X-Request-Id", "a"), ("X-Request-Id", "b")],
    ],
)
def test_bad_request_id_is_refused(book: Book, headers: list[tuple[str, Any]]) -> None:
    """400 that names the header; the answer has an id made here."""
    answer = book.call("GET", "", headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "X-Request-Id")
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": ""},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_other_media_are_refused(book: Book, headers: dict[str, str]) -> None:
    """415 that names the header, and nothing stored."""
    head = book.head()
    answer = book.call("POST", "/transactions", content=TEXT, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert (answer.json()["field"], book.head()) == ("Content-Type", head)


@pytest.mark.parametrize("media", ["application/json", "Application/JSON;charset=UTF-8"])
def test_json_is_taken_however_it_is_written(book: Book, media: str) -> None:
    """The media type is compared as HTTP has it."""
    assert (
        book.call("POST", "/transactions", content=TEXT, headers={"Content-Type": media}).status_code == 201
    )


def test_long_body_is_refused_by_its_announced_length(book: Book) -> None:
    """413 before the body is sent."""
    head = book.head()
    port = int(book.service.base.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", book.path + "/transactions")
    connection.putheader("Authorization", as_admin(book.service.base)["authorization"])
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(MAX_BODY_BYTES + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.load(answer)["evidence"]) == (413, {"limit": MAX_BODY_BYTES})
    connection.close()
    assert book.head() == head


def test_long_body_is_refused_while_it_streams(book: Book) -> None:
    """413 for a body of unknown length too, once too much has come."""

    def chunks() -> Iterator[bytes]:
        for _ in range(11):
            yield b" " * 2**20

    head = book.head()
    answer = book.call("POST", "/transactions", content=chunks(), headers=JSON)
    assert (answer.status_code, answer.json()["code"], book.head()) == (413, "payload_too_large", head)


def test_longest_body_is_read(book: Book) -> None:
    """A body of exactly the limit is not refused for its length."""
    content = TEXT.encode().ljust(MAX_BODY_BYTES)
    assert book.call("POST", "/transactions", content=content, headers=JSON).status_code == 201


def test_client_that_leaves_is_forgotten(book: Book) -> None:
    """A connection that breaks in the middle of a body stores nothing and harms nobody."""
    head = book.head()
    port = int(book.service.base.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        lines = f"POST {book.path}/transactions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{lines}Content-Length: {len(TEXT)}\r\n\r\n{TEXT[:20]}".encode())
    assert book.head() == head


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/transactions", "GET, HEAD, POST"),
        ("PUT", "/transactions/2", "GET, HEAD"),
        ("GET", "/transactions/2/post", "POST"),
        ("PATCH", "/chart", "GET, HEAD, PUT"),
        ("OPTIONS", "", "GET, HEAD"),
    ],
)
def test_wrong_method_names_the_right_ones(book: Book, method: str, path: str, allowed: str) -> None:
    """405 with Allow."""
    answer = book.call(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/ledgers", "/v1/ledgers/", "/v1/ledgers//chart", "/docs/static/x"]
)
def test_unknown_path_is_not_found(service: Service, path: str) -> None:
    """404 as a problem."""
    assert service.call("GET", path).json()["code"] == "not_found"
