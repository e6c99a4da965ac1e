"""The vouchers beside what Buffr says of them: both sides walked, every outcome, interrupted, corrected."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from adapters.buffr_client import BuffrClient
from api import buffr_side
from api.buffr_side import Vouchers
from api.reconciling import RunRefused, record
from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.batch import Recorded, Request
from ledger.chart import ChartDocument
from ledger.reader import Reader
from ledger.reconciliation.commands import AbandonRun, FinishRun, RecordItems, ResolveItem, StartRun
from ledger.reconciliation.streams import REPORTS, Run
from ledger.vouchers import commands as v
from ledger.vouchers.codes import hash_of
from ledger.writer import Writer
from projections.audit import live
from tests.bookkeeping import code, do, done, register, writing
from tests.buffr_double import API_KEY, Buffr, buffr
from tests.conftest import NewDatabase

CHART = ChartDocument(assets=("NAD/2",), accounts=(), products=("vouchers",))
DAY = "2026-11-21"


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def writer(database: str) -> Iterator[Writer]:
    with writing(database) as writer:
        yield writer


@pytest.fixture(scope="module")
def reader(database: str) -> Iterator[Reader]:
    with closing(Reader(database)) as reader:
        yield reader


@pytest.fixture
def double() -> Iterator[Buffr]:
    with buffr() as state:
        yield state


class Book:
    """A ledger of its own with the programmes `relief`, which Buffr distributes, and `own`."""

    def __init__(self, writer: Writer, reader: Reader, double: Buffr, name: str) -> None:
        self.writer, self.reader, self.double, self.name = writer, reader, double, name
        self.strangers: list[str] = []
        self.do(c.LedgerOpening(name=name, chart=CHART))
        register(writer, "B", ledger=name)
        self.do(v.ProgrammeOpening(programme="relief", name="R", asset="NAD/2", distributor="buffr"))
        self.do(v.ProgrammeOpening(programme="own", name="O", asset="NAD/2"))
        for programme in ("relief", "own"):
            self.do(v.Funding(amount=10_000_000), programme)

    def do(self, body: c.Body, subject: str = "") -> int:
        return done(do(self.writer, body, subject, ledger=self.name))

    def issue(self, *names: str, programme: str = "relief", handed_over: bool = True) -> None:
        """Vouchers of 10,000, which Buffr has taken and calls delivered, as the book does."""
        for name in names:
            issue = v.Issue(
                programme=programme, voucher=name, amount=10_000, beneficiary="B", code_hash=hash_of(name)
            )
            self.do(issue)
            if handed_over:
                self.do(v.Distribution(delivery=f"D-{name}"), name)
                self.do(v.Delivery(reported=True), name)
                self.double.statuses[name] = "delivered"

    def redeem(self, name: str, amount: int | None = None) -> int:
        return self.do(v.Redemption(amount=amount, payee_type="agent", payee="A", reported=True), name)

    def run(self, name: str = "buffr-1", client: BuffrClient | None = None) -> Run:
        """A run to its end."""
        with (
            closing(client or BuffrClient(self.double.url, API_KEY, pause=lambda seconds: None)) as asking,
            ThreadPoolExecutor(4) as pool,
        ):

            def strangers(after: str, limit: int) -> list[str]:
                return [one for one in sorted(self.strangers) if one > after][:limit]

            asked = Vouchers(self.reader, self.name, asking, strangers, DAY, pool)
            return buffr_side.run(self.writer, asked, name, lambda count: None)

    def found(self, run: str = "buffr-1") -> dict[str, reads.ItemView]:
        """The run's items by the voucher that they are about."""
        return {
            (item.here or item.there)[0]["reference"]: item
            for item in reads.items(self.reader, self.name, run)
        }


@pytest.fixture
def book(writer: Writer, reader: Reader, double: Buffr, request: pytest.FixtureRequest) -> Book:
    return Book(writer, reader, double, f"book-{abs(hash(request.node.name)) % 10**9}")


def statuses(item: reads.ItemView) -> tuple[list[str], list[str]]:
    return [one["status"] for one in item.here], [one["status"] for one in item.there]


def test_each_way_to_differ_has_its_outcome_and_both_statuses(book: Book, double: Buffr) -> None:
    """What agrees is counted; what was not handed over, and is not known there, is no finding."""
    book.issue("match", "status", "amount", "left", "gone", "twice", "silent", "odd", "huge")
    book.issue("waiting", handed_over=False)
    book.issue("own", programme="own")
    book.issue("old")
    book.do(v.Reissue(replacement="new", code_hash=hash_of("new")), "old")
    book.redeem("left", 4_000)
    book.strangers = ["heard-of", "nobodys"]
    double.statuses |= {"status": "redeemed", "old": "canceled", "heard-of": "delivered", "own": "lost"}
    double.records["amount"] = {"data": {"status": "delivered", "amount": 99.5}}
    double.records["left"] = {"status": "Partially-Redeemed", "amount": "100.00", "remaining": 10}
    double.records["twice"] = {
        "data": [{"id": "b1", "status": "delivered"}, {"id": "b2", "status": "delivered"}]
    }
    double.records["odd"] = {"status": "delivered", "amount": 0.001}
    double.records["huge"] = {"status": "delivered", "amount": "1e999999999"}
    del double.statuses["gone"]
    double.silent.add("silent")
    done = book.run()
    found = book.found()
    outcomes = {name: item.outcome for name, item in found.items()}
    assert outcomes == {
        "status": "status_mismatch",
        "amount": "amount_mismatch",
        "left": "amount_mismatch",
        "gone": "missing_there",
        "twice": "duplicate",
        "silent": "unknown",
        "odd": "unknown",
        "huge": "unknown",
        "heard-of": "missing_here",
    }
    assert done.counts == Counter(outcomes.values()) | {"match": 3}  # match, twice, old
    assert (done.status, done.match_rate, done.unresolved) == ("finished", "25.00", 9)
    assert statuses(found["status"]) == (["delivered"], ["redeemed"])
    assert (found["amount"].here[0]["amount"], found["amount"].there[0]["amount"]) == ("10000", "9950")
    assert (found["left"].here[0]["amount"], found["left"].there[0]["amount"]) == ("6000", "1000")
    assert statuses(found["left"]) == (["partially_redeemed"], ["partially_redeemed"])
    assert statuses(found["gone"]) == (["delivered"], [])
    assert statuses(found["silent"]) == (["delivered"], ["unreachable"])
    assert found["twice"].there[0]["id"] == "b2"
    assert statuses(found["heard-of"]) == ([], ["delivered"])
    assert "own" not in double.asked_about


def test_a_difference_is_corrected_by_a_command_that_its_item_then_names(book: Book, double: Buffr) -> None:
    """What Buffr paid out is redeemed here; a missing one is explained; the next run finds nothing."""
    book.issue("V1", "V2", "V3")
    double.statuses["V1"] = "redeemed"
    double.statuses["V2"] = "expired"
    del double.statuses["V3"]
    book.run()
    corrected = {"V1": book.redeem("V1"), "V2": book.do(v.Expiry(reported=True), "V2")}
    for name, item in book.found().items():
        seq = corrected.get(name)
        book.do(
            ResolveItem(
                run="buffr-1", item=item.item, transaction=seq, explanation="" if seq else "handed over anew"
            )
        )
    assert reads.run(book.reader, book.name, "buffr-1").unresolved == 0
    double.statuses["V3"] = "delivered"
    again = book.run("buffr-2")
    assert (again.match_rate, again.items) == ("100.00", 0)


class Cut(Exception):
    """The run ends here."""


@pytest.mark.parametrize("seed", range(2))
def test_an_interrupted_run_goes_on_where_it_has_come_to(
    book: Book, double: Buffr, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever Buffr says meanwhile of those before; in the end each is found once."""
    monkeypatch.setattr(buffr_side, "PART", 3)
    monkeypatch.setattr(buffr_side, "STEP", 6)
    chance = random.Random(seed)
    names = [f"V{n:02}" for n in range(20)]
    book.issue(*names)
    book.strangers = sorted(f"V{n:02}x" for n in chance.sample(range(20), 6))
    for name in (*names, *book.strangers):
        double.statuses[name] = chance.choice(["delivered", "redeemed"])
    expected = dict.fromkeys(book.strangers, "missing_here")
    expected |= {n: "status_mismatch" for n in names if double.statuses[n] == "redeemed"}
    left = 2

    def cut(*given: Any) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Cut
        record(*given)

    while True:
        with monkeypatch.context() as patch:
            patch.setattr(buffr_side, "record", cut)
            try:
                done = book.run()
                break
            except Cut:
                left = chance.randrange(1, 3)
        come = reads.run(book.reader, book.name, "buffr-1").through
        double.statuses |= dict.fromkeys((n for n in names if n <= come), "cancelled")
        double.asked_about.clear()
    assert all(name > come for name in double.asked_about)
    assert {name: item.outcome for name, item in book.found().items()} == expected
    assert done.counts == Counter(expected.values()) | {"match": 26 - len(expected)}
    assert len(list(reads.items(book.reader, book.name, "buffr-1"))) == len(expected)
    assert book.run() == done


def test_a_webhook_that_was_on_its_way_is_no_difference(
    book: Book, double: Buffr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs is looked at once more; Buffr and the book have come together by then."""
    book.issue("V1", "V2")
    double.statuses["V1"] = "redeemed"
    looked: list[int] = []
    comparing = buffr_side._findings

    def meanwhile(*given: Any) -> Any:
        found = comparing(*given)
        if not looked:
            book.redeem("V1")
        looked.append(1)
        return found

    monkeypatch.setattr(buffr_side, "_findings", meanwhile)
    done = book.run()
    assert (done.match_rate, done.items, len(looked)) == ("100.00", 0, 2)


def test_a_buffr_that_is_down_is_not_asked_for_long(book: Book, double: Buffr) -> None:
    """After five failures nothing is asked for a while: the rest is unknown at once."""
    names = [f"V{n:02}" for n in range(30)]
    book.issue(*names)
    double.silent |= set(names)
    done = book.run()
    assert (done.counts, done.unresolved) == ({"unknown": 30}, 30)
    assert 5 <= len(double.asked_about) <= 9
    assert {statuses(item)[1][0] for item in book.found().values()} == {"unreachable"}


def test_a_report_that_contradicts_is_an_item_until_it_is_resolved(book: Book) -> None:
    """Of a run that nobody starts: with both statuses and amounts; several in one batch are several."""
    book.issue("V1", "V2")
    book.do(v.Cancellation(reason="moved"), "V1")
    late = [
        c.command(v.Redemption(amount=2_500, payee_type="agent", payee="A", reported=True), "V1"),
        c.command(v.Redemption(amount=10_001, payee_type="agent", payee="A", reported=True), "V2"),
        c.command(v.Expiry(reported=True), "V1"),
    ]
    outcomes = book.writer.execute(book.name, Request(late))
    assert all(isinstance(one, Recorded) and one.event.type == "voucher_contradicted" for one in outcomes)
    run = reads.run(book.reader, book.name, REPORTS)
    assert (run.side, run.status, run.items, run.unresolved, run.pages) == ("buffr", "running", 3, 3, 3)
    items = list(reads.items(book.reader, book.name, REPORTS))
    assert [(item.item, item.outcome, *statuses(item)) for item in items] == [
        ("1.1", "status_mismatch", ["cancelled"], ["redeemed"]),
        ("2.1", "amount_mismatch", ["delivered"], ["redeemed"]),
        ("3.1", "status_mismatch", ["cancelled"], ["expired"]),
    ]
    assert (items[1].here[0]["amount"], items[1].there[0]["amount"]) == ("10000", "10001")
    book.do(ResolveItem(run=REPORTS, item="2.1", explanation="a slip of the agent's"))
    assert reads.run(book.reader, book.name, REPORTS).unresolved == 2
    start = StartRun(run=REPORTS, side="buffr", source="me", digest="0" * 64)
    finish = FinishRun(run=REPORTS, counts={}, kinds={}, first_day=DAY, last_day=DAY)
    for body in (start, RecordItems(run=REPORTS, page=4, items=()), finish, AbandonRun(run=REPORTS)):
        assert code(do(book.writer, body, ledger=book.name)) == "reconciliation_exists"


def test_a_run_of_another_side_is_not_gone_on_with(book: Book) -> None:
    """A name is of one run."""
    book.do(StartRun(run="buffr-1", side="bank", source="x", digest="1" * 64))
    with pytest.raises(RunRefused):
        book.run()


def test_the_books_are_whole_after_all_that(database: str, writer: Writer, reader: Reader) -> None:
    """Every stream is what its events make it, in every ledger of this module."""
    for ledger in reader.ledgers("", 100):
        report = live.check(database, ledger.name)
        assert [x.sentence for x in report.verdicts if x.status == "failed"] == []
