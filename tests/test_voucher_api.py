"""Programmes and vouchers over HTTP: codes, replays, batches, and what a programme's figures say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from api.voucher_operations import VOUCHER_OPERATIONS
from ledger.vouchers.codes import ALPHABET, code_of, hash_of
from tests.conftest import NewDatabase
from tests.keys import make_key
from tests.served import Book, Service, served

CHART = {"assets": ["NAD/2"], "accounts": [], "products": ["vouchers"]}


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with served(database) as service:
        yield service


@pytest.fixture
def book(service: Service) -> Book:
    """A ledger with the programme `relief` and 100,000 in its fund."""
    book = service.open(CHART)
    assert book.call("PUT", "/beneficiaries/B1", {"name": "Maria Shikongo"}).status_code == 200
    ask(book, "/programmes", {"programme": "relief", "name": "Relief", "asset": "NAD/2"})
    ask(book, "/programmes/relief/fundings", {"amount": 100_000})
    return book


def ask(book: Book, path: str, body: Any, status: int = 201, key: str | None = None) -> Any:
    answer = book.call("POST", path, body, headers={} if key is None else {"Idempotency-Key": key})
    assert answer.status_code == status, answer.text
    return answer.json()


def new(name: str, amount: int = 10_000, **more: Any) -> dict[str, Any]:
    return {"programme": "relief", "voucher": name, "beneficiary": "B1", "amount": amount, **more}


def paid(amount: int | None = None, **more: Any) -> dict[str, Any]:
    return {"payee_type": "agent", "payee": "A1", **({} if amount is None else {"amount": amount}), **more}


def figures(book: Book) -> dict[str, int]:
    shown = book.get("/programmes/relief")
    return {name: shown[name] for name in ("trust", "fund", "outstanding", "unsettled", "deficiency")}


def test_a_voucher_from_its_funding_to_its_settlement(book: Book) -> None:
    """The worked example: 100,000 in, 4,000 of 10,000 paid out and settled, the rest back."""
    code = ask(book, "/vouchers", new("V1"))["code"]
    ask(book, "/vouchers/V1/deliver", {"delivery": "D-1"})
    redeemed = ask(book, "/redemptions", paid(4_000, code=code))
    assert redeemed["data"] == {"voucher": "V1", "amount": "4000", "payee_type": "agent", "payee": "A1"}
    assert figures(book) == {
        "trust": 100_000,
        "fund": 90_000,
        "outstanding": 6_000,
        "unsettled": 4_000,
        "deficiency": 0,
    }
    ask(book, "/vouchers/V1/expire", {})
    ask(book, "/programmes/relief/settlements", {"payees": [{"payee_type": "agent", "payee": "A1"}]})
    assert figures(book) == {
        "trust": 96_000,
        "fund": 96_000,
        "outstanding": 0,
        "unsettled": 0,
        "deficiency": 0,
    }
    voucher = book.get("/vouchers/V1")
    assert (voucher["status"], voucher["redeemed"], voucher["expired"]) == ("expired", 4_000, 6_000)


def test_what_the_bank_lacks_is_the_deficiency(book: Book) -> None:
    """A bank charge on the trust account, which nobody can refuse, shows until somebody makes up for it."""
    legs = [
        {"account": "vouchers:relief:cost", "side": "debit", "amount": 25, "asset": "NAD/2"},
        {"account": "vouchers:relief:trust", "side": "credit", "amount": 25, "asset": "NAD/2"},
    ]
    assert book.post({"postings": legs}).status_code == 201
    assert figures(book)["deficiency"] == 25


def test_codes_are_unlike_and_typed_as_people_type(book: Book) -> None:
    """Sixteen of Crockford's letters in groups; small letters, blanks and look-alikes do not matter."""
    codes = [ask(book, "/vouchers", new(f"C{n}", 100))["code"] for n in range(20)]
    assert len(set(codes)) == 20
    assert all(re.fullmatch(rf"[{ALPHABET}]{{4}}(-[{ALPHABET}]{{4}}){{3}}", code) for code in codes)
    typed = codes[0].lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert ask(book, "/redemptions", paid(40, code=typed))["data"]["voucher"] == "C0"
    ask(book, "/vouchers/C0/redeem", paid(60, code=codes[0]))
    assert ask(book, "/vouchers/C1/redeem", paid(code=codes[0]), 422)["code"] == "voucher_code_wrong"
    assert ask(book, "/redemptions", paid(code="no code"), 422)["code"] == "voucher_code_wrong"


def test_a_code_depends_on_key_ledger_and_voucher() -> None:
    """Whoever lacks the key can derive none; the same name in another ledger has another code."""
    one = code_of(b"k" * 32, "main", "V1")
    others = {code_of(b"l" * 32, "main", "V1"), code_of(b"k" * 32, "acme/main", "V1")}
    others.add(code_of(b"k" * 32, "main", "V2"))
    assert one not in others
    assert one == code_of(b"k" * 32, "main", "V1")
    assert len(others) == 3
    assert hash_of(one) == hash_of(one.lower().replace("-", ""))
    assert hash_of("O0 I1 L1") == hash_of("00-11-11")


def test_a_code_is_nowhere_in_the_database(book: Book, database: str) -> None:
    """Not as it is shown and not without hyphens: in no event, no stream, no key."""
    code = ask(book, "/vouchers", new("V1"), key="issue-1")["code"]
    ask(book, "/redemptions", paid(code=code), key="redeem-1")
    tables = ("events", "streams", "event_streams", "idempotency_keys", "accounts")
    with psycopg.connect(database) as connection:
        for table in tables:
            rows = connection.execute(f"SELECT to_jsonb(t)::text FROM daybook.{table} t").fetchall()
            bodies = connection.execute("SELECT convert_from(body, 'UTF8') FROM daybook.events").fetchall()
            everything = "\n".join(text for (text,) in [*rows, *bodies])
            assert "V1" in everything
            assert code not in everything
            assert code.replace("-", "") not in everything


def test_the_same_request_has_the_same_answer(book: Book) -> None:
    """Bytes, code and all; of redemptions too: nothing is paid twice."""
    first = book.call("POST", "/vouchers", new("V1"), headers={"Idempotency-Key": "one"})
    again = book.call("POST", "/vouchers", new("V1"), headers={"x-idempotency-key": "one"})
    assert (again.content, again.status_code) == (first.content, 201)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == f"{book.path}/vouchers/V1"
    code = first.json()["code"]
    body = paid(4_000, code=code)
    answers = [book.call("POST", "/redemptions", body, headers={"Idempotency-Key": "two"}) for _ in range(3)]
    assert len({answer.content for answer in answers}) == 1
    assert book.get("/vouchers/V1")["remaining"] == 6_000
    other = book.call("POST", "/redemptions", paid(5_000, code=code), headers={"Idempotency-Key": "two"})
    assert other.json()["code"] == "idempotency_key_reused"


def test_a_batch_sent_again_issues_nothing_twice(book: Book) -> None:
    """One result for each voucher: its code, or why it was refused; the good ones are not held up."""
    body = {"vouchers": [new("V1"), new("V2", 95_000), new("V3"), {**new("V4"), "programme": "none"}]}
    first = ask(book, "/voucher-batches", body, 200)["results"]
    assert [r["status"] for r in first] == [201, 422, 201, 404]
    assert [r["problem"]["code"] for r in first if "problem" in r] == [
        "insufficient_available",
        "programme_not_found",
    ]
    head = book.head()
    again = ask(book, "/voucher-batches", body, 200)["results"]
    assert [(r["voucher"], r.get("code"), r.get("seq")) for r in again] == [
        (r["voucher"], r.get("code"), r.get("seq")) for r in first
    ]
    assert [r.get("replayed", False) for r in again] == [r["status"] == 201 for r in again]
    assert book.head() == head
    ask(book, "/programmes/relief/fundings", {"amount": 95_000})
    assert ask(book, "/voucher-batches", body, 200)["results"][1]["status"] == 201
    assert ask(book, "/redemptions", paid(code=first[2]["code"]))["data"]["voucher"] == "V3"


def test_reissuing_answers_a_code_of_its_own(book: Book) -> None:
    """The old one is dead, the new one pays what remains."""
    old = ask(book, "/vouchers", new("V1"))["code"]
    ask(book, "/redemptions", paid(4_000, code=old))
    answer = ask(book, "/vouchers/V1/reissue", {"replacement": "V1b"})
    assert answer["voucher"] == "V1b"
    assert ask(book, "/redemptions", paid(code=old), 409)["code"] == "voucher_not_open"
    assert book.get("/vouchers/V1b/code") == {"voucher": "V1b", "code": answer["code"]}
    assert ask(book, "/redemptions", paid(code=answer["code"]))["data"]["amount"] == "6000"


def test_programmes_are_listed_by_name(book: Book) -> None:
    """In pages."""
    for name in ("a", "z"):
        ask(book, "/programmes", {"programme": name, "name": name, "asset": "NAD/2", "distributor": "buffr"})
    first = book.get("/programmes", limit=2)
    assert [p["programme"] for p in first["programmes"]] == ["a", "relief"]
    [last] = book.get("/programmes", limit=2, after=first["next"])["programmes"]
    assert (last["programme"], last["distributor"]) == ("z", "buffr")
    assert book.call("GET", "/programmes/none").json()["code"] == "programme_not_found"
    assert book.call("GET", "/vouchers/none").json()["code"] == "voucher_not_found"


def test_a_key_that_was_taken_for_another_request_says_so(book: Book) -> None:
    """A batch's keys are the vouchers' own; a voucher that was issued alone is there already."""
    ask(book, "/vouchers", new("V1"))
    [result] = ask(book, "/voucher-batches", {"vouchers": [new("V1")]}, 200)["results"]
    assert (result["status"], result["problem"]["code"]) == (409, "voucher_exists")


def test_what_needs_a_second_person_has_a_code_when_it_is_approved(service: Service, database: str) -> None:
    """Alone or in a batch: nothing is issued before, and the code is that of the approved voucher."""
    book = service.open({**CHART, "approval_above": {"NAD/2": 50_000}})
    assert book.call("PUT", "/beneficiaries/B1", {"name": "Maria Shikongo"}).status_code == 200
    ask(book, "/programmes", {"programme": "relief", "name": "Relief", "asset": "NAD/2"})
    for _ in range(3):
        ask(book, "/programmes/relief/fundings", {"amount": 50_000})
    alone = ask(book, "/vouchers", new("V1", 60_000), 202)
    [one] = ask(book, "/voucher-batches", {"vouchers": [new("V2", 60_000)]}, 200)["results"]
    assert (alone["status"], one["status"], one["approval"]["status"]) == ("pending", 202, "pending")
    assert book.call("GET", "/vouchers/V1/code").json()["code"] == "voucher_not_found"
    second = make_key(database, "admin")
    for id in (alone["id"], one["approval"]["id"]):
        answer = book.call(
            "POST", f"/approvals/{id}/approve", {}, headers={"authorization": f"Bearer {second}"}
        )
        assert answer.json()["status"] == "posted", answer.text
    assert book.get("/vouchers/V2/code")["code"] == one["code"]
    code = book.get("/vouchers/V1/code")["code"]
    assert ask(book, "/redemptions", paid(10_000, code=code))["data"]["voucher"] == "V1"


def keyed_calls(book: Book) -> dict[str, tuple[str, Any]]:
    """One accepted command of every operation on vouchers that takes a key."""
    for name in "ABCDEFG":
        ask(book, "/vouchers", new(name, 1_000))
    ask(book, "/vouchers/A/redeem", paid(10))
    fee = {"payee": "A1", "amount": 5}
    ask(book, "/programmes/relief/fees", fee)
    settled = {"payees": [{"payee_type": "agent", "payee": "A1"}]}
    return {
        "register_beneficiary": ("/beneficiaries/B1", {"name": "Maria"}),
        "open_programme": ("/programmes", {"programme": "two", "name": "Two", "asset": "NAD/2"}),
        "fund_programme": ("/programmes/relief/fundings", {"amount": 7, "metadata": {"é": "ž"}}),
        "return_funds": ("/programmes/relief/returns", {"amount": 7}),
        "charge_voucher_fee": ("/programmes/relief/fees", fee),
        "pay_voucher_fee": ("/programmes/relief/fee-payments", fee),
        "settle_payees": ("/programmes/relief/settlements", settled),
        "issue_voucher": ("/vouchers", new("H", 1_000)),
        "redeem_code": ("/redemptions", paid(7, code=book.get("/vouchers/A/code")["code"])),
        "redeem_voucher": ("/vouchers/A/redeem", paid(7)),
        "distribute_voucher": ("/vouchers/B/distribute", {"delivery": "D-1"}),
        "deliver_voucher": ("/vouchers/C/deliver", {"happened_at": "2026-01-01T00:00:00Z"}),
        "expire_voucher": ("/vouchers/D/expire", {}),
        "cancel_voucher": ("/vouchers/E/cancel", {"reason": "moved"}),
        "fail_voucher": ("/vouchers/F/fail", {"reason": "no phone"}),
        "reissue_voucher": ("/vouchers/G/reissue", {"replacement": "G2"}),
        "erase_beneficiary": ("/beneficiaries/B1/erase", {"reason": "asked for"}),
    }


def test_replay_is_the_first_answer_byte_for_byte(book: Book) -> None:
    """Every keyed operation answers a repeated request with its first status and body, marked as a replay."""
    calls = keyed_calls(book)
    assert set(calls) == {operation.id for operation in VOUCHER_OPERATIONS if operation.keyed}
    for name, (path, body) in calls.items():
        headers = {"Idempotency-Key": f"key of {name}"}
        method = "PUT" if name == "register_beneficiary" else "POST"
        first = book.call(method, path, body, headers=headers)
        assert first.is_success, (name, first.text)
        head = book.head()
        again = book.call(method, path, body, headers=headers)
        assert (again.status_code, again.content) == (first.status_code, first.content), name
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers.get("location") == first.headers.get("location")
        assert book.head() == head
