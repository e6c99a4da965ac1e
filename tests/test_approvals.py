"""Four eyes: what moves more than one person may waits for a second one, takes place once, names both."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import psycopg
import pytest

from api.access.approvals import QUERIES, ApprovalNotFound, Asking, SamePerson
from api.access.keys import KeyRing
from ledger import commands as c
from ledger.batch import Outcome, Previewed, Recorded, Refusal, Replayed, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.commands import Body
from ledger.errors import Unavailable
from ledger.events import read_event
from ledger.reader import Reader
from projections.audit.books import Books
from projections.audit.verdicts import Findings
from tests.audit import audited
from tests.bookkeeping import writing
from tests.conftest import NewDatabase
from tests.daybook_command import fails, succeeds
from tests.desk import Desk
from tests.keys import as_admin, make_key
from tests.meters import PutIn, SetTariff, meters
from tests.served import CHART, Book, Service, move, served
from tests.test_api_crash import served as process

USD = "USD/2"
START = 1_800_000_000_000_000
LIMITED = CHART | {"approval_above": {USD: 1_000}}


# ---------------------------------------------------------------- what needs a second person


class Small:
    """A ledger without a database, in which one person may move 100 USD/2 and any EUR/2."""

    chart = ChartDocument(
        (USD, "EUR/2"),
        (AccountPattern("cash", "asset"), AccountPattern("owed:{n}", "liability")),
        approval_above={USD: 100},
    )

    def __init__(self) -> None:
        self.desk = Desk()
        self.now = START
        assert isinstance(self.ask(c.LedgerOpening(name="main", chart=self.chart)), Recorded)

    def ask(self, body: Body, subject: int | str = "", **more: Any) -> Outcome:
        return self.all([body], subject, **more)[0]

    def all(
        self,
        bodies: list[Body],
        subject: int | str = "",
        *,
        atomic: bool = False,
        preview: bool = False,
        **more: Any,
    ) -> list[Outcome]:
        self.now += 1_000_000
        asked = [c.command(body, subject, actor="key:a") for body in bodies]
        for command in asked:
            command.approver = more.get("approver", "")
        request = Request(asked, atomic=atomic, preview=preview)
        return self.desk.run([request], self.now).outcomes[0]


def usd(amount: int, asset: str = USD, **more: Any) -> c.Transaction:
    return c.Transaction(
        postings=[c.Posting("cash", "debit", amount, asset), c.Posting("owed:1", "credit", amount, asset)],
        **more,
    )


def needed(outcome: Outcome, amount: str | None = "101", above: str = "100") -> bool:
    """Whether it was refused for want of a second person, with these figures."""
    if not isinstance(outcome, Refusal):
        return False
    assert outcome.rejection.code == "approval_required"
    assert outcome.rejection.evidence == {"asset": USD, "amount": amount, "above": above}
    return True


def test_the_limit_is_what_one_person_may_still_move() -> None:
    """At it one person is enough, above it not; other assets have limits of their own or none."""
    book = Small()
    assert isinstance(book.ask(usd(100)), Recorded)
    assert needed(book.ask(usd(101)))
    assert isinstance(book.ask(usd(1_000_000, "EUR/2")), Recorded)


def test_two_persons_are_needed_and_named() -> None:
    """An approver who is the actor is none; both stand in the body that is hashed."""
    book = Small()
    assert needed(book.ask(usd(101), approver="key:a"))
    outcome = book.ask(usd(101), approver="key:b")
    assert isinstance(outcome, Recorded)
    body = json.loads(book.desk.bodies[-1])
    assert (body["actor"], body["approver"]) == ("key:a", "key:b")
    assert "approver" not in json.loads(book.desk.bodies[0])


def test_legs_are_added_up() -> None:
    """One transaction cannot be cut into legs that are small, and what both sides move counts once."""
    book = Small()
    parts = [c.Posting("cash", "debit", 51, USD)] * 2 + [c.Posting("owed:1", "credit", 51, USD)] * 2
    assert needed(book.ask(c.Transaction(postings=parts)), "102")


def test_holds_parts_and_reversals_need_it_too() -> None:
    """Whatever has legs; releasing what was held moves nothing."""
    book = Small()
    assert needed(book.ask(usd(101, pending=True)))
    held = book.ask(usd(101, pending=True), approver="key:b")
    assert isinstance(held, Recorded)
    assert needed(book.ask(c.HoldPosting(), held.event.seq))
    part = book.ask(c.HoldPosting(amounts=[60, 60]), held.event.seq)
    assert isinstance(part, Recorded)
    assert isinstance(book.ask(c.HoldVoid(), held.event.seq), Recorded)
    done = book.ask(usd(101), approver="key:b")
    assert isinstance(done, Recorded)
    assert needed(book.ask(c.Reversal(), done.event.seq))
    assert isinstance(book.ask(c.Reversal(), done.event.seq, approver="key:b"), Recorded)


def test_a_hold_expires_without_anybody() -> None:
    """What happens because its time has come is nobody's command."""
    book = Small()
    assert isinstance(book.ask(usd(500, pending=True, timeout_seconds=1), approver="key:b"), Recorded)
    book.now += 10_000_000
    book.ask(usd(1))
    assert [json.loads(body)["type"] for body in book.desk.bodies[-2:]] == [
        "hold_expired",
        "transaction_posted",
    ]


def test_an_atomic_batch_counts_as_a_whole() -> None:
    """Small transactions that take place together are one; those that stand alone are not."""
    book = Small()
    first, second = book.all([usd(60), usd(41)], atomic=True)
    assert needed(first)
    assert isinstance(second, Refusal)
    assert second.rejection.code == "linked_failed"
    assert len(book.desk.bodies) == 1
    assert all(isinstance(o, Recorded) for o in book.all([usd(60), usd(41)]))
    assert all(isinstance(o, Recorded) for o in book.all([usd(60), usd(41)], atomic=True, approver="key:b"))


def test_a_preview_needs_nobody() -> None:
    """Nothing is stored, so nothing is to be approved."""
    book = Small()
    assert isinstance(book.ask(usd(101), preview=True), Previewed)


def test_other_reasons_come_first() -> None:
    """Nobody is asked to approve what the ledger would refuse anyway."""
    book = Small()
    outcome = book.ask(usd(101, "GBP/2"))
    assert isinstance(outcome, Refusal)
    assert outcome.rejection.code == "asset_not_in_chart"


@pytest.mark.parametrize(
    ("limits", "amount"), [({}, None), ({USD: 101}, "101"), ({"EUR/2": 5}, None)], ids=str
)
def test_raising_a_limit_needs_what_the_limit_needs(limits: dict[str, int], amount: str | None) -> None:
    """Who could raise it alone could do the rest alone; tightening it is anybody's who may set a chart."""
    book = Small()
    looser = ChartDocument(book.chart.assets, book.chart.accounts, approval_above=limits)
    assert needed(book.ask(looser), amount)
    tighter = ChartDocument(book.chart.assets, book.chart.accounts, approval_above={USD: 50, "EUR/2": 5})
    assert isinstance(book.ask(tighter), Recorded)
    assert needed(book.ask(usd(51)), "51", "50")
    assert isinstance(book.ask(looser, approver="key:b"), Recorded)
    assert isinstance(book.ask(usd(51)), Recorded)


# ---------------------------------------------------------------- over the API


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with served(database) as service:
        yield service
        audited(database)


@pytest.fixture
def book(service: Service) -> Book:
    return service.open(LIMITED)


class Person:
    """Somebody with a key of their own."""

    def __init__(self, database: str, book: Book, *scopes: str) -> None:
        self.secret = make_key(database, *scopes)
        self.actor = f"key:{self.secret.split('_')[1]}"
        self.book = book

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.secret}"}
        if key is not None:
            headers["idempotency-key"] = key
        return self.book.call(method, path, body, headers=headers)


@pytest.fixture
def clerk(database: str, book: Book) -> Person:
    return Person(database, book, "ledger:admin")


@pytest.fixture
def manager(database: str, book: Book) -> Person:
    return Person(database, book, "ledger:approve")


def test_a_large_transaction_waits_and_is_approved(book: Book, clerk: Person, manager: Person) -> None:
    """202 and where it waits; nothing is posted before somebody else approves, and then once."""
    asked = clerk.ask("POST", "/transactions", move("cash", "customers:1", 5_000, reference="inv"), key="k")
    assert asked.status_code == 202, asked.text
    waiting = asked.json()
    assert asked.headers["location"] == f"{book.path}/approvals/{waiting['id']}"
    assert (waiting["status"], waiting["asked_by"], waiting["operation"]) == (
        "pending",
        clerk.actor,
        "transaction",
    )
    assert waiting["evidence"] == {"asset": USD, "amount": "5000", "above": "1000"}
    assert book.head() == 1
    path = f"/approvals/{waiting['id']}"
    details = manager.ask("GET", path).json()
    assert details["request"][0]["body"]["reference"] == "inv"
    assert manager.ask("GET", "/approvals?status=pending").json()["approvals"][0]["id"] == waiting["id"]

    done = manager.ask("POST", f"{path}/approve").json()
    assert (done["status"], done["decided_by"], done["seq"]) == ("posted", manager.actor, 2)
    event = book.get("/events", after=1)["events"][0]["body"]
    assert (event["actor"], event["approver"]) == (clerk.actor, manager.actor)
    assert (event["key"], event["reference"]) == (f"approval:{waiting['id']}", "inv")

    assert manager.ask("POST", f"{path}/approve").json() == done
    again = clerk.ask("POST", "/transactions", move("cash", "customers:1", 5_000, reference="inv"), key="k")
    assert (again.status_code, again.json()["status"], again.json()["seq"]) == (202, "posted", 2)
    assert again.headers["idempotency-replayed"] == "true"
    other = clerk.ask("POST", "/transactions", move("cash", "customers:1", 1), key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert manager.ask("GET", "/approvals?status=pending").json()["approvals"] == []
    assert book.head() == 2
    assert book.balance("cash")[0] == 5_000


def test_who_asked_cannot_decide(database: str, book: Book) -> None:
    """With every scope there is; and who may only write cannot approve for anybody."""
    boss, clerk = Person(database, book, "admin"), Person(database, book, "ledger:admin")
    waiting = boss.ask("POST", "/transactions", move("cash", "fx", 1_001)).json()
    path = f"/approvals/{waiting['id']}"
    for answer in (
        boss.ask("POST", f"{path}/approve"),
        boss.ask("POST", f"{path}/reject", {"reason": "No."}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "approval_same_person")
    assert clerk.ask("POST", f"{path}/approve").json()["code"] == "forbidden"
    assert boss.ask("GET", path).json()["status"] == "pending"
    assert book.head() == 1


def test_what_is_rejected_never_takes_place(book: Book, clerk: Person, manager: Person) -> None:
    """The reason is kept; approving afterwards is refused, rejecting again changes nothing."""
    path = f"/approvals/{clerk.ask('POST', '/transactions', move('cash', 'fx', 2_000)).json()['id']}"
    rejected = manager.ask("POST", f"{path}/reject", {"reason": "Not ours."}).json()
    assert (rejected["status"], rejected["reason"]) == ("rejected", "Not ours.")
    late = manager.ask("POST", f"{path}/approve")
    assert (late.status_code, late.json()["code"]) == (409, "approval_decided")
    assert manager.ask("POST", f"{path}/reject", {"reason": "Again."}).json() == rejected
    assert book.head() == 1


def test_what_nobody_decides_in_time_expires(
    database: str, book: Book, clerk: Person, manager: Person
) -> None:
    """It can no longer be approved; asked anew, it waits anew."""
    path = f"/approvals/{clerk.ask('POST', '/transactions', move('cash', 'fx', 2_000)).json()['id']}"
    with psycopg.connect(database) as connection:
        connection.execute("UPDATE access.approvals SET expires_at = now() WHERE ledger = %s", (book.name,))
    late = manager.ask("POST", f"{path}/approve")
    assert (late.json()["code"], late.json()["evidence"]) == ("approval_decided", {"status": "expired"})
    assert manager.ask("GET", path).json()["status"] == "expired"
    assert clerk.ask("POST", "/transactions", move("cash", "fx", 2_000)).json()["status"] == "pending"


def test_the_ledger_may_refuse_what_was_approved(book: Book, clerk: Person, manager: Person) -> None:
    """It is decided when it takes place; the refusal is kept with the approval, and final."""
    first = clerk.ask("POST", "/transactions", move("cash", "customers:1", 1_500)).json()["id"]
    assert manager.ask("POST", f"/approvals/{first}/approve").json()["status"] == "posted"
    taken = clerk.ask("POST", "/transactions", move("customers:1", "cash", 1_500)).json()["id"]
    book.seq(move("customers:1", "cash", 1_000))
    for _ in range(2):
        done = manager.ask("POST", f"/approvals/{taken}/approve").json()
        assert (done["status"], done["rejection"]["code"]) == ("refused", "insufficient_available")
    assert book.head() == 3


def test_an_atomic_batch_waits_as_a_whole(book: Book, clerk: Person, manager: Person) -> None:
    """Approved, it is all there, each event naming both; its key answers with it."""
    batch = {"atomic": True, "transactions": [move("cash", "fx", 600)] * 2}
    asked = clerk.ask("POST", "/transactions/batch", batch, key="b")
    assert (asked.status_code, asked.json()["commands"]) == (202, 2)
    assert clerk.ask("POST", "/transactions/batch", batch, key="b").json() == asked.json()
    done = manager.ask("POST", f"/approvals/{asked.json()['id']}/approve").json()
    assert (done["status"], done["seq"], done["events"]) == ("posted", 2, 2)
    assert manager.ask("POST", f"/approvals/{asked.json()['id']}/approve").json() == done
    bodies = [event["body"] for event in book.get("/events", after=1)["events"]]
    assert {(body["actor"], body["approver"]) for body in bodies} == {(clerk.actor, manager.actor)}
    assert [body["batch"] for body in bodies] == [[0, 2], [1, 2]]


def test_of_an_independent_batch_only_what_is_large_waits(book: Book, clerk: Person, manager: Person) -> None:
    """The others are posted; each that waits has a place of its own in the results."""
    transactions = [
        move("cash", "fx", 600, idempotency_key="a"),
        move("cash", "fx", 1_600, idempotency_key="b"),
        move("cash", "fx", 601),
    ]
    answer = clerk.ask("POST", "/transactions/batch", {"transactions": transactions})
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [201, 202, 201]
    id = results[1]["approval"]["id"]
    again = clerk.ask("POST", "/transactions/batch", {"transactions": transactions[:2]}).json()["results"]
    assert [(result["status"], result["replayed"]) for result in again] == [(201, True), (202, True)]
    assert again[1]["approval"]["id"] == id
    assert manager.ask("POST", f"/approvals/{id}/approve").json()["seq"] == 4


def test_holds_reversals_and_charts_wait_too(book: Book, clerk: Person, manager: Person) -> None:
    """Posting a large hold, reversing what was large, and raising the limit itself."""

    def carried_out(method: str, path: str, body: Any) -> Any:
        asked = clerk.ask(method, path, body)
        assert asked.status_code == 202, asked.text
        return manager.ask("POST", f"/approvals/{asked.json()['id']}/approve").json()

    held = carried_out("POST", "/transactions", move("cash", "fx", 1_001, pending=True))
    posted = carried_out("POST", f"/transactions/{held['seq']}/post", {})
    assert posted["status"] == "posted"
    reversed_ = carried_out("POST", f"/transactions/{posted['seq']}/reverse", {"description": "Wrong"})
    assert book.balance("cash") == (0, 0, 0)
    assert book.get("/events", after=reversed_["seq"] - 1)["events"][0]["body"]["description"] == "Wrong"
    assert carried_out("PUT", "/chart", CHART)["status"] == "posted"
    assert clerk.ask("POST", "/transactions", move("cash", "fx", 1_001)).status_code == 201


def test_previews_do_not_wait(book: Book, clerk: Person) -> None:
    """A preview of what is large answers as ever, and leaves nothing behind."""
    answer = clerk.ask("POST", "/transactions", move("cash", "fx", 9_999, preview=True))
    assert (answer.status_code, answer.json()["preview"]) == (200, True)
    assert clerk.ask("GET", "/approvals").json() == {"approvals": [], "next": None}


def test_closing_entries_wait_and_are_finished(book: Book, clerk: Person, manager: Person) -> None:
    """The period closes at once; the entries that are large follow when they are approved."""
    for _ in range(2):
        day = {"effective_at": "2020-03-01T12:00:00Z"}
        assert clerk.ask("POST", "/transactions", move("cash", "fees", 900, **day)).status_code == 201
    for key in ("close", None):
        asked = clerk.ask("POST", "/periods/2020/close", {"retained_earnings": "fx"}, key=key)
        assert asked.status_code == 202, asked.text
    assert asked.json()["evidence"]["amount"] == "1800"
    for _ in range(2):
        done = manager.ask("POST", f"/approvals/{asked.json()['id']}/approve").json()
        assert done["status"] == "posted", done
    assert book.balance("fees")[0] == 0
    assert book.balance("fx")[0] == 1_800
    assert [period["period"] for period in book.get("/periods")["closed"]] == ["2020"]


def test_a_tenant_sees_its_own_approvals_only(service: Service, database: str, book: Book) -> None:
    """Ids of another ledger's or another tenant's approvals are not there."""
    clerk, manager = Person(database, book, "ledger:write"), Person(database, book, "admin")
    id = clerk.ask("POST", "/transactions", move("cash", "fx", 2_000)).json()["id"]
    other = service.open(LIMITED)
    for path in (f"/approvals/{id}", f"/approvals/{id}/approve"):
        method = "POST" if path.endswith("approve") else "GET"
        answer = other.call(method, path, headers={"authorization": f"Bearer {manager.secret}"})
        assert (answer.status_code, answer.json()["code"]) == (404, "approval_not_found")
    narrow = make_key(database, "admin", ledgers=[other.name])
    answer = book.call("POST", f"/approvals/{id}/approve", headers={"authorization": f"Bearer {narrow}"})
    assert answer.json()["code"] == "ledger_not_found"
    assert book.head() == 1


def test_without_the_querys_check_an_approval_is_still_the_tenants_own(
    service: Service, database: str, book: Book, clerk: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database shows, and lets decide, what is the tenant's, though no query asks whose it is."""
    id = UUID(clerk.ask("POST", "/transactions", move("cash", "fx", 2_000)).json()["id"])
    for name in ("approval", "approvals", "decide"):
        without, times = re.subn(r"(b\.)?tenant = %\(tenant\)s", "true", QUERIES[name])
        assert times > 0
        monkeypatch.setitem(QUERIES, name, without)
    with closing(KeyRing(database)) as keys:
        approvals = keys.approvals
        assert approvals.page("stranger", book.name, None, 10, pending=False) == []
        with pytest.raises(ApprovalNotFound):
            approvals.details("stranger", book.name, id)
        with pytest.raises(ApprovalNotFound):
            approvals.reject("stranger", book.name, id, "key:other", "no")
        assert approvals.details("default", book.name, id).status == "pending"
        assert [one.id for one in approvals.page("default", book.name, None, 10, pending=False)] == [id]


def test_pages_of_approvals_go_on_where_the_last_ended(book: Book, clerk: Person) -> None:
    """Newest first, none twice, none left out."""
    asked = [clerk.ask("POST", "/transactions", move("cash", "fx", 2_000 + n)).json()["id"] for n in range(5)]
    found: list[str] = []
    after = ""
    while after is not None:
        page = clerk.ask("GET", f"/approvals?limit=2&after={after}").json()
        found += [approval["id"] for approval in page["approvals"]]
        after = page["next"]
    assert found == asked[::-1]


# ---------------------------------------------------------------- once, whatever happens


def test_many_who_approve_at_once_make_one_event(database: str, book: Book, clerk: Person) -> None:
    """One of them is the approver; all are told the same."""
    id = clerk.ask("POST", "/transactions", move("cash", "fx", 3_000)).json()["id"]
    managers = [Person(database, book, "ledger:approve") for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda who: who.ask("POST", f"/approvals/{id}/approve").json(), managers))
    assert {(answer["status"], answer["seq"]) for answer in answers} == {("posted", 2)}
    assert {answer["decided_by"] for answer in answers} <= {manager.actor for manager in managers}
    assert book.get("/events", after=1)["events"][0]["body"]["approver"] == answers[0]["decided_by"]
    assert book.head() == 2


def test_approving_and_rejecting_at_once_never_do_both(database: str, book: Book, clerk: Person) -> None:
    """Whoever comes first decides: it is posted, or it is not."""
    managers = [Person(database, book, "ledger:approve") for _ in range(2)]
    for n in range(10):
        head = book.head()
        id = clerk.ask("POST", "/transactions", move("cash", "fx", 3_000 + n)).json()["id"]
        with ThreadPoolExecutor(2) as pool:
            yes = pool.submit(managers[0].ask, "POST", f"/approvals/{id}/approve")
            no = pool.submit(managers[1].ask, "POST", f"/approvals/{id}/reject", {"reason": "No."})
            statuses = sorted((yes.result().status_code, no.result().status_code))
        assert statuses == [200, 409]
        assert book.head() - head == (1 if yes.result().status_code == 200 else 0)


def test_killed_between_approval_and_posting(database: str) -> None:
    """kill -9 when the approval is stored and the event is not: approving again posts it, once."""
    with process(database) as (base, first):
        with httpx.Client(base_url=base, headers=as_admin(base), timeout=30) as client:
            client.post("/v1/ledgers", json={"name": "main", "chart": LIMITED})
            asked = client.post("/v1/ledgers/main/transactions", json=move("cash", "fx", 5_000)).json()
        manager = {"authorization": f"Bearer {make_key(database, 'ledger:approve')}"}
        path = f"/v1/ledgers/main/approvals/{asked['id']}/approve"
        with psycopg.connect(database) as holder:
            holder.execute("SELECT FROM daybook.heads FOR UPDATE")
            lost: list[Exception] = []

            def approve() -> None:
                try:
                    httpx.post(base + path, headers=manager, timeout=30)
                except httpx.HTTPError as error:
                    lost.append(error)

            thread = threading.Thread(target=approve)
            thread.start()
            eventually(lambda: status(database, asked["id"]) is True)
            first.send_signal(signal.SIGKILL)
            first.wait(30)
            thread.join()
            assert len(lost) == 1
    with process(database) as (base, _):
        for _ in range(2):
            done = httpx.post(base + path, headers=manager, timeout=30).json()
            assert (done["status"], done["seq"]) == ("posted", 2)
    audited(database)


def status(database: str, id: str) -> Any:
    """Whether an approval was decided, and how."""
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT approved FROM access.approvals WHERE approval_id = %s", (id,))
        found = row.fetchone()
        assert found is not None
        return found[0]


def eventually(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_answer_that_is_lost_is_found_again(new_database: NewDatabase) -> None:
    """The event is stored and the approval does not know it yet: approving again finds the same event."""
    with (
        new_database() as database,
        writing(database) as writer,
        closing(KeyRing(database)) as keys,
        closing(Reader(database)) as reader,
    ):
        chart = ChartDocument((USD,), Small.chart.accounts, approval_above={USD: 100})
        writer.execute("main", Request([c.command(c.LedgerOpening(name="main", chart=chart))]))
        asked = c.command(usd(500), actor="key:a", key="k")
        [refused] = writer.execute("main", Request([asked]))
        assert isinstance(refused, Refusal)
        asking = [Asking([asked], False, "k", refused.rejection)]
        [waiting] = keys.approvals.ask("default", "main", "key:a", asking)
        assert keys.approvals.ask("default", "main", "key:a", asking) == [waiting]

        def lose(ledger: str, request: Request) -> list[Outcome]:
            writer.execute(ledger, request)
            raise Unavailable("the answer is lost")

        here = ("default", "main", waiting.id)
        with pytest.raises(SamePerson):
            keys.approvals.approve(*here, "key:a", lose, reader, "main")
        with pytest.raises(Unavailable):
            keys.approvals.approve(*here, "key:b", lose, reader, "main")
        assert keys.approvals.details(*here).status == "approved"
        done = keys.approvals.approve(*here, "key:c", writer.execute, reader, "main")
        assert (done.status, done.seq, done.decided_by) == ("posted", 2, "key:b")
        again = writer.execute("main", Request([c.command(usd(500), actor="key:a", key="k")]))
        assert again == [Refusal(refused.rejection, True)]
        assert not any(isinstance(outcome, Replayed) for outcome in again)


def test_a_products_command_waits_too(new_database: NewDatabase) -> None:
    """Nothing has to be done for it: its legs are counted, and its body comes back as it was."""
    with (
        meters(),
        new_database() as database,
        writing(database) as writer,
        closing(KeyRing(database)) as keys,
        closing(Reader(database)) as reader,
    ):
        chart = ChartDocument((USD,), (AccountPattern("cash", "asset"),), ("meters",), {USD: 100})
        writer.execute("main", Request([c.command(c.LedgerOpening(name="main", chart=chart))]))
        writer.execute("main", Request([c.command(SetTariff(street="high", seconds=1), "street:high")]))
        asked = c.command(PutIn(meter="1", street="high", coins=500), "meter:1", actor="key:a")
        [refused] = writer.execute("main", Request([asked]))
        assert isinstance(refused, Refusal), refused
        assert refused.rejection.code == "approval_required"
        [waiting] = keys.approvals.ask(
            "default", "main", "key:a", [Asking([asked], False, None, refused.rejection)]
        )
        done = keys.approvals.approve("default", "main", waiting.id, "key:b", writer.execute, reader, "main")
        assert done.status == "posted", done


# ---------------------------------------------------------------- at the console


def test_the_console_respects_it(service: Service, database: str, tmp_path: Path) -> None:
    """`post` and `import` let it wait; who runs the console cannot approve of it there, somebody else can."""
    book = service.open(LIMITED)
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps(move("cash", "fx", n)) + "\n" for n in (5, 2_000, 6)))
    legs = ("--debit", "cash", "--credit", "fx", "--amount", "1001", "--asset", USD)
    said = fails(database, "post", book.name, *legs)
    id = said.split("Waits for a second person as approval ")[1].split(",")[0]
    assert "a second person decides" in fails(database, "approval", "approve", book.name, id)
    assert book.call("POST", f"/approvals/{id}/approve").json()["seq"] == 2

    said = succeeds(database, "import", book.name, lines)
    assert said.startswith("2 posted, 0 already there, 0 refused, 1 waiting for a second person; ")
    [waiting] = book.get("/approvals", status="pending")["approvals"]
    assert (waiting["evidence"]["amount"], waiting["asked_by"][:8]) == ("2000", "console:")

    asked = book.post(move("cash", "fx", 3_000)).json()["id"]
    rows = succeeds(database, "approval", "list", book.name).splitlines()
    assert [row.split("\t")[0] for row in rows] == ["id", asked, waiting["id"]]
    said = succeeds(database, "approval", "approve", book.name, asked)
    assert said.startswith("It is posted by console:")


# ---------------------------------------------------------------- the audit


def audit_of(book: Small, alone: Callable[[int], bool] = lambda seq: False) -> str:
    """What the audit's books find first in a ledger, of whose events some have lost their second person."""
    findings = Findings()
    books = Books(findings)
    for body in book.desk.bodies:
        event = read_event(body)
        if alone(event.seq):
            event = msgspec.structs.replace(event, approver=event.actor)
        books.enter(event, lambda seq: None)
    verdict = findings.verdict("accounting", "fine")
    return f"{verdict.seq}: {verdict.sentence}" if verdict.status == "failed" else verdict.sentence


def test_the_audit_finds_what_one_person_did_alone() -> None:
    """A transaction, a batch, a chart: each needs its second person in the body, whatever decided it."""
    book = Small()
    looser = ChartDocument(book.chart.assets, book.chart.accounts, approval_above={USD: 150})
    assert isinstance(book.ask(usd(101), approver="key:b"), Recorded)
    assert isinstance(book.all([usd(60), usd(41)], atomic=True, approver="key:b")[1], Recorded)
    assert isinstance(book.ask(looser, approver="key:b"), Recorded)
    assert isinstance(book.ask(usd(150)), Recorded)
    assert isinstance(book.ask(usd(500, pending=True, timeout_seconds=1), approver="key:b"), Recorded)
    book.now += 10_000_000
    assert isinstance(book.ask(usd(1)), Recorded)
    assert audit_of(book) == "fine"
    alone = "without a second person"
    assert audit_of(book, lambda seq: seq == 2) == f"2: moves 101 {USD}, more than 100, {alone}"
    assert audit_of(book, lambda seq: seq == 3) == f"4: moves 101 {USD}, more than 100, {alone}"
    assert audit_of(book, lambda seq: seq == 5) == f"5: lets one person move more {USD} than 100, {alone}"
