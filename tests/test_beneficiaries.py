"""Beneficiaries: who they are is nowhere in the book, and once erased nowhere at all."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import psycopg
import pytest

from api.access.keys import KeyRing
from api.registry import Registry, Turn
from projections.audit import live
from tests.conftest import NewDatabase
from tests.daybook_command import daybook, succeeds
from tests.keys import make_key
from tests.served import Book, Service, served

CHART = {"assets": ["NAD/2"], "accounts": [], "products": ["vouchers"]}
MARIA = {"name": "Maria Shikongo", "id_number": "85010112345", "phone": "+264811234567"}


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def service(database: str, keys: Path) -> Iterator[Service]:
    with served(database, keys) as service:
        yield service


@pytest.fixture
def book(service: Service) -> Book:
    return service.open(CHART)


def register(book: Book, name: str, person: dict[str, str], key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = book.call("PUT", f"/beneficiaries/{name}", person, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


def fund(book: Book) -> None:
    book.call("POST", "/programmes", {"programme": "relief", "name": "R", "asset": "NAD/2"})
    assert book.call("POST", "/programmes/relief/fundings", {"amount": 5_000}).status_code == 201


def issue(book: Book, name: str) -> Any:
    voucher = {"programme": "relief", "voucher": name, "beneficiary": "B1", "amount": 10}
    return book.call("POST", "/vouchers", voucher)


def everything(database: str) -> bytes:
    """All that the database has of the book and of the registry."""
    found = []
    with psycopg.connect(database) as connection:
        for table in (
            "daybook.events",
            "daybook.streams",
            "daybook.idempotency_keys",
            "access.persons",
        ):
            for row in connection.execute(f"SELECT * FROM {table}"):
                found += [bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in row]
    return b"\n".join(found)


def test_a_person_is_registered_and_the_book_has_a_commitment_alone(database: str, book: Book) -> None:
    """It is the HMAC of the data under the salt that is shown; nothing of them is stored in clear."""
    register(book, "B1", MARIA)
    shown = book.get("/beneficiaries/B1")
    assert {name: shown[name] for name in MARIA} == MARIA
    [event] = book.get("/events", after=1)["events"]
    assert event["body"]["data"] == {"beneficiary": "B1", "commitment": shown["commitment"]}
    plain = json.dumps({"buffr_user": "", **MARIA}, sort_keys=True, separators=(",", ":")).encode()
    assert hmac.new(bytes.fromhex(shown["salt"]), plain, hashlib.sha256).hexdigest() == shown["commitment"]
    stored = everything(database)
    for secret in (*MARIA.values(), shown["salt"]):
        assert secret.encode() not in stored
        assert bytes.fromhex(secret) not in stored if secret == shown["salt"] else True


def test_registering_is_safe_to_repeat_and_changes_are_told(book: Book) -> None:
    """The same data commit to the same; other data, under a new key and salt, to something else."""
    first = register(book, "B1", MARIA, "one")
    again = register(book, "B1", MARIA, "one")
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    before = book.get("/beneficiaries/B1")
    register(book, "B1", {**MARIA, "phone": "+264810000000"})
    after = book.get("/beneficiaries/B1")
    assert after["phone"] == "+264810000000"
    assert after["commitment"] != before["commitment"]
    assert after["salt"] != before["salt"]


def test_an_erased_person_is_gone_and_every_proof_still_verifies(
    database: str, keys: Path, book: Book
) -> None:
    """Key, salt and data are destroyed; the book is what it was, and its audit finds nothing."""
    register(book, "B1", MARIA)
    register(book, "B2", {"name": "Paulus Iiyambo"})
    proof = book.get("/events/2/proof", size=3)
    answer = book.call("POST", "/beneficiaries/B1/erase", {"reason": "asked for by the person"})
    assert answer.status_code == 200, answer.text
    assert book.call("GET", "/beneficiaries/B1").json()["code"] == "beneficiary_not_found"
    assert [one["beneficiary"] for one in book.get("/beneficiaries")["beneficiaries"]] == ["B2"]
    with psycopg.connect(database) as connection:
        query = "SELECT person FROM access.persons WHERE ledger = %s"
        assert connection.execute(query, (book.name,)).fetchall() == [("B2",)]
    assert book.get("/events/2/proof", size=3) == proof
    report = live.check(database, book.name)
    assert [x.sentence for x in report.verdicts if x.status == "failed"] == []
    again = book.call("POST", "/beneficiaries/B1/erase", {"reason": "again"})
    assert (again.status_code, again.json()["code"]) == (404, "beneficiary_not_found")


def test_nothing_is_promised_to_who_is_not_there_or_was_erased(book: Book) -> None:
    """Neither issued nor issued again, until somebody is registered under the name."""
    fund(book)
    assert issue(book, "V1").json()["code"] == "beneficiary_not_found"
    register(book, "B1", MARIA)
    assert issue(book, "V2").status_code == 201
    assert book.call("POST", "/beneficiaries/B1/erase", {"reason": "asked for"}).status_code == 200
    for answer in (issue(book, "V3"), book.call("POST", "/vouchers/V2/reissue", {"replacement": "V4"})):
        assert (answer.status_code, answer.json()["code"]) == (404, "beneficiary_not_found")
    register(book, "B1", MARIA)
    assert book.call("POST", "/vouchers/V2/reissue", {"replacement": "V5"}).status_code == 201


def test_who_races_with_an_erasure_comes_before_it_or_is_refused(database: str, book: Book) -> None:
    """By the book no voucher is theirs while they are gone; at the end registry and book agree."""
    fund(book)
    chance = random.Random(7)

    def work(number: int) -> None:
        for step in range(8):
            with httpx.Client(
                base_url=book.service.base, headers=book.service.client.headers, timeout=30
            ) as client:
                path = f"{book.path}/beneficiaries/B1"
                if number < 2:
                    person = {**MARIA, "phone": f"+26481{number}{step:05}"}
                    answer = client.put(path, json=person)
                elif number < 4:
                    answer = client.post(f"{path}/erase", json={"reason": "asked for"})
                else:
                    voucher = {
                        "programme": "relief",
                        "voucher": f"V{number}-{step}",
                        "beneficiary": "B1",
                        "amount": 1,
                    }
                    answer = client.post(f"{book.path}/vouchers", json=voucher)
                assert answer.status_code in (200, 201, 404), answer.text

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    chance.shuffle(threads)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there, commitment, issued = False, "", 0
    for event in book.get("/events", limit=1_000)["events"]:
        body = event["body"]
        if body["type"] == "beneficiary_registered":
            there, commitment = True, body["data"]["commitment"]
        elif body["type"] == "beneficiary_erased":
            assert there
            there = False
        elif body["type"] == "voucher_issued":
            assert there
            issued += 1
    assert issued
    with psycopg.connect(database) as connection:
        query = "SELECT commitment FROM access.persons WHERE ledger = %s"
        assert connection.execute(query, (book.name,)).fetchall() == ([(commitment,)] if there else [])


def test_an_erasure_that_was_cut_off_is_asked_for_again(book: Book) -> None:
    """The book says it first, so nothing more is promised; the data go when it is asked for again."""
    fund(book)
    register(book, "B1", MARIA)
    with patch.object(Turn, "erase", side_effect=psycopg.OperationalError("gone")):
        cut = book.call("POST", "/beneficiaries/B1/erase", {"reason": "asked for"})
        assert cut.status_code == 503
    assert issue(book, "V1").json()["code"] == "beneficiary_not_found"
    again = book.call("POST", "/beneficiaries/B1/erase", {"reason": "asked for"})
    assert again.json()["code"] == "beneficiary_not_found"
    assert book.call("GET", "/beneficiaries/B1").status_code == 404


def test_a_file_of_people_is_registered_once(database: str, keys: Path, book: Book, tmp_path: Path) -> None:
    """Killed or repeated, nobody twice; bad lines are told; a changed line is what is known from then on."""
    file = tmp_path / "people.csv"
    rows = [f"B{n:03},Person {n},{n:011}," for n in range(450)]
    file.write_text("\n".join(["beneficiary,name,id_number,phone", *rows, "B 1,Nobody,,", "B2,,,"]) + "\n")
    command = ("beneficiaries", "register", book.name, str(file))
    assert "450 registered, 0 already there, 2 refused." in fails_of(database, keys, *command)
    assert book.get("/beneficiaries/B449")["name"] == "Person 449"
    rows[7] = "B007,Another Name,,+264811234567"
    file.write_text("\n".join(["beneficiary,name,id_number,phone", *rows, "B007,Person 7,,"]) + "\n")
    said = succeeds(database, *command, DAYBOOK_KEYS=str(keys))
    assert said == "2 registered, 449 already there, 0 refused.\n"
    shown = book.get("/beneficiaries/B007")
    assert (shown["name"], shown["phone"]) == ("Person 7", "")
    file.write_text("beneficiary,colour\nB1,red\n")
    assert "no column name" in fails_of(database, keys, *command, stderr=True)


def fails_of(database: str, keys: Path, *arguments: str, stderr: bool = False) -> str:
    done = daybook(database, *arguments, DAYBOOK_KEYS=str(keys))
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr if stderr else done.stdout


def test_personal_data_need_their_own_scope_and_are_each_ledgers_own(
    service: Service, database: str, book: Book
) -> None:
    """Who may do all else with the ledger does not see them; nor does who sees another ledger."""
    register(book, "B1", MARIA)
    for scopes, status in ((["ledger:admin"], 403), (["beneficiary:manage"], 200)):
        key = make_key(database, *scopes)
        answer = book.call("GET", "/beneficiaries/B1", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == status
    other = service.open(CHART)
    assert other.get("/beneficiaries")["beneficiaries"] == []
    assert other.call("GET", "/beneficiaries/B1").status_code == 404


def test_buffr_asks_in_its_own_form(service: Service, database: str, book: Book) -> None:
    """With a key for one ledger, no ledger need be named; amounts are of the currency."""
    register(book, "B1", MARIA)
    book.call("POST", "/programmes", {"programme": "relief", "name": "R", "asset": "NAD/2"})
    book.call("POST", "/programmes/relief/fundings", {"amount": 5_000})
    voucher = {"programme": "relief", "voucher": "V1", "beneficiary": "B1", "amount": 1_250}
    assert book.call("POST", "/vouchers", voucher).status_code == 201
    key = make_key(database, "beneficiary:manage", "ledger:read", ledgers=[book.name])
    headers = {"authorization": f"Bearer {key}"}
    people = service.call("GET", "/api/v1/beneficiaries", headers=headers).json()
    assert people["data"] == [
        {
            "id": "B1",
            "name": "Maria Shikongo",
            "idNumber": "85010112345",
            "phone": "+264811234567",
            "buffrUserId": "",
        }
    ]
    status = service.call("GET", "/api/v1/vouchers/V1", headers=headers).json()
    assert (status["data"]["status"], status["data"]["amount"]) == ("issued", 12.5)
    assert service.call("GET", "/api/v1/vouchers/V9", headers=headers).json()["code"] == "voucher_not_found"
    vague = service.call("GET", "/api/v1/beneficiaries")
    assert (vague.status_code, vague.json()["field"]) == (400, "ledger")
    assert service.get("/api/v1/beneficiaries", ledger=book.name)["success"] is True


def test_without_the_key_outside_the_database_nobody_is_known(
    database: str, book: Book, tmp_path: Path
) -> None:
    """A copy of the database alone opens nothing: another key file does not fit."""
    register(book, "B1", MARIA)
    with served(database, tmp_path) as stranger:
        answer = stranger.call("GET", f"{book.path}/beneficiaries/B1")
        assert (answer.status_code, answer.json()["code"]) == (503, "secrets_unavailable")


def test_after_a_rotation_older_backups_open_nobody(
    database: str, keys: Path, service: Service, book: Book, tmp_path: Path
) -> None:
    """The service goes on without being told; the rows of a backup are closed to what is the key now."""
    register(book, "B1", MARIA)
    query = "SELECT key FROM access.persons WHERE ledger = %s"
    with psycopg.connect(database) as connection:
        [(backed_up,)] = connection.execute(query, (book.name,)).fetchall()
    said = succeeds(database, "beneficiaries", "rotate", DAYBOOK_KEYS=str(keys))
    assert "sealed with a new key" in said
    assert book.get("/beneficiaries/B1")["name"] == MARIA["name"]
    register(book, "B2", MARIA)
    with psycopg.connect(database) as connection:
        set_key = "UPDATE access.persons SET key = %s WHERE ledger = %s AND person = 'B1'"
        connection.execute(set_key, (backed_up, book.name))
    assert book.call("GET", "/beneficiaries/B1").json()["code"] == "secrets_unavailable"
    assert book.get("/beneficiaries/B2")["name"] == MARIA["name"]
    register(book, "B3", MARIA)
    with psycopg.connect(database) as connection:
        connection.execute("DELETE FROM access.persons WHERE ledger = %s AND person = 'B1'", (book.name,))


@pytest.mark.parametrize("step", ["sealed", "destroyed"])
def test_a_rotation_that_was_killed_is_run_again(database: str, keys: Path, book: Book, step: str) -> None:
    """With both keys on disk, or with the old one overwritten: everybody is there before and after."""
    register(book, "B1", MARIA)
    with (
        closing(KeyRing(database)) as ring,
        patch.object(os, "fsync" if step == "sealed" else "replace", side_effect=_Killed),
        pytest.raises(_Killed),
    ):
        Registry(ring.pool, keys).rotate()
    assert book.get("/beneficiaries/B1")["name"] == MARIA["name"]
    register(book, "B2", MARIA)
    with closing(KeyRing(database)) as ring:
        Registry(ring.pool, keys).rotate()
    assert not (keys / "beneficiaries.key.next").exists()
    assert [one["beneficiary"] for one in book.get("/beneficiaries")["beneficiaries"]] == ["B1", "B2"]


class _Killed(Exception):
    """Stands for the end of the process."""
