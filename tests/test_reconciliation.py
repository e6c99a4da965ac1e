"""Reconciling an account with a bank statement: what is found, kept, resolved, and done once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from click.testing import CliRunner, Result

from api import reconciling
from api.import_files import InputError
from api.reconcile_commands import reconcile_group
from api.settings import read
from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.chart import AccountPattern, ChartDocument
from ledger.reader import Reader
from ledger.reconciliation.commands import AbandonRun, FinishRun, RecordItems, ResolveItem, StartRun
from ledger.reconciliation.items import Finding, Item, Rules
from ledger.reconciliation.matching import reconcile
from ledger.reconciliation.sides import About, Passing
from ledger.reconciliation.streams import Run
from ledger.writer import Writer
from projections.audit import live
from tests import daybook_command
from tests.bookkeeping import code, do, done, writing
from tests.daybook_command import environment
from tests.test_statements import camt, details, entry

CHART = ChartDocument(
    assets=("EUR/2", "USD/2"),
    accounts=(
        AccountPattern("bank", "asset"),
        AccountPattern("savings", "asset"),
        AccountPattern("sales", "income"),
    ),
)


def move(writer: Writer, day: int, amount: int, reference: str = "", asset: str = "EUR/2") -> int:
    """Money into the bank on a day of January in Amsterdam, half an hour after midnight there."""
    debit, credit = ("bank", "sales") if amount > 0 else ("sales", "bank")
    legs = [
        c.Posting(debit, "debit", abs(amount), asset),
        c.Posting(credit, "credit", abs(amount), asset),
    ]
    at = datetime(2026, 1, day, 23, 30, tzinfo=UTC)
    return done(do(writer, c.Transaction(postings=legs, reference=reference, effective_at=at)))


@pytest.fixture
def book(database: str) -> str:
    """A ledger with a bank account, of which the days 5 to 7 of January are told by the bank."""
    with writing(database) as writer:
        done(do(writer, c.LedgerOpening(name="main", time_zone="Europe/Amsterdam", chart=CHART)))
        move(writer, 4, 10_000, "INV-1")
        move(writer, 4, 2_000, "INV-2")
        move(writer, 5, 500)
        move(writer, 5, 300)
        move(writer, 6, 4_400)
        move(writer, 5, 7_777, "INV-5")
        move(writer, 5, 999, "INV-9", "USD/2")
        move(writer, 20, 123)
    return database


def dated(day: int) -> str:
    return f"<BookgDt><Dt>2026-01-{day:02}</Dt></BookgDt>"


def statement(folder: Path) -> Path:
    """One of a kind each; USD and what is far from its days are not its business."""
    path = folder / "january.xml"
    text = camt(
        entry("100.00", day=dated(5), details=details("INV-1")),
        entry("100.00", day=dated(6), details=details("INV-1")),
        entry("20.01", day=dated(5), details=details("INV-2")),
        entry("8.00", day=dated(7), reference="<AcctSvcrRef>B-9</AcctSvcrRef>"),
        entry("44.00", status="<Sts>PDNG</Sts>", day=dated(7)),
        entry("3.50", "DBIT", day=dated(6), reference="<AcctSvcrRef>FEE</AcctSvcrRef>"),
    )
    start = text.index("<FrToDt>")
    path.write_text(text[:start] + text[text.index("</FrToDt>") + len("</FrToDt>") :])
    return path


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def run(database: str, *arguments: str | Path) -> Result:
    """A command in this process, which is many times quicker than one of its own."""
    settings = read(environment(database))
    return CliRunner().invoke(reconcile_group, [str(a) for a in arguments[1:]], obj=settings)


def succeeds(database: str, *arguments: str | Path) -> str:
    done = run(database, *arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def fails(database: str, *arguments: str | Path) -> str:
    done = run(database, *arguments)
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit | InputError), done.exception
    return f"{done.output}{done.exception}"


def runs(database: str) -> int:
    with closing(Reader(database)) as reader:
        return len(reads.runs(reader, "main", "", 100))


def whole(database: str) -> None:
    """Every balance and stream is what its events make it."""
    report = live.check(database, "main")
    assert [x.sentence for x in report.verdicts if x.status == "failed"] == []


def test_a_statement_is_reconciled_and_what_differs_is_resolved(book: str, tmp_path: Path) -> None:
    """By reference, by day and by parts; each difference kept with both sides until somebody settles it."""
    path = statement(tmp_path)
    command = ("reconcile", "bank", "main", path, "--account", "bank", "--run", "january")
    assert daybook_command.succeeds(book, *command) == (
        "january: bank, 2026-01-05 to 2026-01-07, at seq 9.\n"
        "28.57 % match (2 match, 1 status_mismatch, 1 amount_mismatch, 1 missing_here, 1 missing_there, "
        "1 duplicate); 5 open.\n"
    )
    items = lines(succeeds(book, "reconcile", "show", "main", "january", "--json"))
    found = {each["outcome"]: each for each in items}
    assert [item["item"] for item in items] == [f"1.{n}" for n in range(1, 6)]
    assert found["amount_mismatch"]["here"] == [
        {
            "id": "3/0",
            "day": "2026-01-05",
            "amount": "2000",
            "asset": "EUR/2",
            "reference": "INV-2",
            "status": "posted",
        }
    ]
    assert found["amount_mismatch"]["there"][0]["amount"] == "2001"
    mismatch = found["status_mismatch"]
    assert (mismatch["here"][0]["status"], mismatch["there"][0]["status"]) == ("posted", "pending")
    assert (found["missing_here"]["there"][0]["id"], found["missing_here"]["here"]) == ("FEE", [])
    assert found["missing_there"]["here"][0]["reference"] == "INV-5"
    assert found["duplicate"]["there"][0]["day"] == "2026-01-06"
    fee = found["missing_here"]["item"]
    with writing(book) as writer:
        seq = move(writer, 6, -350, "FEE")
    resolve = ("reconcile", "resolve", "main", "january")
    assert succeeds(book, *resolve, fee, "--transaction", str(seq)) == f"Resolved {fee} of january.\n"
    assert "reconciliation_item_is_resolved" in fails(book, *resolve, fee, "--explanation", "again")
    succeeds(book, *resolve, mismatch["item"], "--explanation", "on its way")
    left = lines(succeeds(book, "reconcile", "show", "main", "january", "--open", "--json"))
    assert len(left) == 3
    [row] = lines(succeeds(book, "reconcile", "list", "main", "--json"))
    assert (row["unresolved"], row["items"], row["match_rate"], row["status"]) == (3, 5, "28.57", "finished")
    whole(book)


def test_the_same_file_is_reconciled_once(book: str, tmp_path: Path) -> None:
    """The second time shows the first run, whatever was posted meanwhile; other options are another run."""
    path = statement(tmp_path)
    command = ("reconcile", "bank", "main", path, "--account", "bank")
    first = succeeds(book, *command)
    with writing(book) as writer:
        move(writer, 5, 2_001, "INV-2")
    assert succeeds(book, *command) == first
    assert runs(book) == 1
    assert succeeds(book, *command, "--window-days", "0") != first
    assert runs(book) == 2
    named = (*command, "--run", "again")
    succeeds(book, *named)
    path.write_text(path.read_text().replace("3.50", "3.60"))
    assert "reconciliation_exists" in fails(book, *named)


def test_a_csv_is_reconciled_like_any_statement(book: str, tmp_path: Path) -> None:
    """By its mapping; and what cannot be read is told with its line, before anything is recorded."""
    path, mapping = tmp_path / "january.csv", tmp_path / "mapping.toml"
    path.write_text("day,sum,ref\n2026-01-05,100.00,INV-1\n2026-01-05,20.00,INV-2\n")
    mapping.write_text('currency = "EUR"\ndate = {column = "day"}\namount = "sum"\nreference = "ref"\n')
    command = ("reconcile", "bank", "main", path, "--account", "bank", "--mapping", mapping)
    assert "100.00 % match (2 match); 0 open." in succeeds(book, *command)
    path.write_text("day,sum,ref\n2026-01-05,100.001,INV-1\n")
    assert "january.csv: line 2: column sum: '100.001'" in fails(book, *command)
    assert runs(book) == 1
    wrong = ("reconcile", "bank", "main", path, "--mapping", mapping, "--account", "nowhere")
    path.write_text("day,sum,ref\n2026-01-05,100.00,INV-1\n")
    assert "account_not_found" in fails(book, *wrong)
    bad = run(book, *wrong, "--run", "a:b")
    assert isinstance(bad.exception, msgspec.ValidationError)
    resolve = ("reconcile", "resolve", "main", "june", "1.1")
    assert "reconciliation_not_found" in fails(book, *resolve, "--explanation", "x")
    assert "There is no transaction 99" in fails(book, *resolve, "--transaction", "99")


class Cut(Exception):
    """The run ends here."""


def until(calls: int, function: Any) -> Any:
    """The function, as often as that."""
    left = list(range(calls))

    def cut(*given: Any) -> Any:
        if not left:
            raise Cut
        left.pop()
        return function(*given)

    return cut


class Told:
    """The bank account beside items that somebody told; `digest` is theirs."""

    def __init__(self, reader: Reader, there: list[Item]) -> None:
        self._reader, self._there = reader, there
        digest = hashlib.sha256(repr(there).encode()).hexdigest()
        self.about = About(side="test", source="s", digest=digest, account="bank", window_days=3)

    def findings(self, known_at: int, folder: Path, passing: Passing) -> Iterator[Finding]:
        here = reads.account_items(self._reader, "main", "bank", known_at, "2026-01-02", "2026-01-08")
        eur = (item for item in passing(here) if item.asset == "EUR/2")
        rules = Rules(first_day="2026-01-05", last_day="2026-01-05")
        return reconcile(eur, passing(self._there), rules, folder)


def compare(writer: Writer, reader: Reader, name: str, there: list[Item], folder: Path) -> Run:
    return reconciling.run(writer, reader, "main", name, Told(reader, there), folder, lambda count: None)


def compare_next(
    writer: Writer, reader: Reader, there: list[Item], folder: Path, *, anew: bool = False
) -> Run:
    told = Told(reader, there)
    return reconciling.run_next(writer, reader, "main", "daily", told, folder, lambda count: None, anew=anew)


def test_what_cannot_be_gone_on_with_is_abandoned(
    book: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A side that says something else after an interruption gets another run; what is done stays so."""
    there = [Item("2026-01-05", f"x{n}", f"X{n}", 10_000_000 + n, "EUR/2") for n in range(2)]
    with closing(Reader(book)) as reader, writing(book) as writer:
        with monkeypatch.context() as patch:
            patch.setattr(reconciling, "record", until(2, reconciling.record))
            with pytest.raises(Cut):
                compare_next(writer, reader, there, tmp_path)
        first = reads.run(reader, "main", "daily")
        assert (first.status, first.pages, reconciling.finished(reader, "main", "daily")) == (
            "running",
            1,
            None,
        )
        other = [*there, Item("2026-01-05", "y", "Y", 7, "EUR/2")]
        second = compare_next(writer, reader, other, tmp_path)
        assert (second.run, second.status, second.counts["missing_here"]) == ("daily.2", "finished", 3)
        first = reads.run(reader, "main", "daily")
        assert (first.status, first.unresolved) == ("abandoned", 0)
        for body in (ResolveItem(run="daily", item="1.1", explanation="x"), AbandonRun(run="daily")):
            assert code(do(writer, body)) == "reconciliation_has_ended"
        assert compare_next(writer, reader, there, tmp_path) == second
        assert reconciling.finished(reader, "main", "daily") == second
        third = compare_next(writer, reader, there, tmp_path, anew=True)
        assert (third.run, third.status) == ("daily.3", "finished")
        with pytest.raises(reconciling.RunRefused, match="reconciliation_exists"):
            compare(writer, reader, "daily.2", there, tmp_path)
        longest = "x" * 64
        compare(writer, reader, longest, there, tmp_path)
        assert reconciling.next_name(reader, "main", longest) == "x" * 58 + ".2"
    whole(book)


def test_a_run_that_was_refused_is_begun_when_its_reason_is_gone(book: str, tmp_path: Path) -> None:
    """A run of one name: the account that was missing is opened, and the same command goes through."""
    with closing(Reader(book)) as reader, writing(book) as writer:
        told = Told(reader, [])
        told.about = msgspec.structs.replace(told.about, account="savings")

        def compared() -> Run:
            return reconciling.run(writer, reader, "main", "new", told, tmp_path, lambda count: None)

        for _ in range(3):
            with pytest.raises(reconciling.RunRefused, match="account_not_found"):
                compared()
        done(do(writer, c.AccountOpening(address="savings")))
        assert compared().status == "finished"


def test_another_side_s_run_is_neither_answered_nor_abandoned(book: str, tmp_path: Path) -> None:
    """A side that is asked by the name of another's run is refused, and that run goes on."""
    start = StartRun(run="daily", side="buffr", source="s", digest="0" * 64)
    finish = FinishRun(run="daily", counts={}, kinds={}, first_day="2026-01-05", last_day="2026-01-05")
    with closing(Reader(book)) as reader, writing(book) as writer:
        for body in (start, finish):
            done(do(writer, body))
            for anew in (False, True):
                with pytest.raises(reconciling.RunRefused, match="reconciliation_exists"):
                    compare_next(writer, reader, [], tmp_path, anew=anew)
        assert reads.run(reader, "main", "daily").status == "finished"


def test_a_run_that_ended_on_the_way_is_gone_on_with(
    book: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it ended, the second time records what is missing: the ledger as it was, each page once."""
    monkeypatch.setattr(reconciling, "PAGE_ITEMS", 2)
    there = [Item("2026-01-05", f"x{n}", f"X{n}", 10_000_000 + n, "EUR/2", "posted") for n in range(7)]
    with closing(Reader(book)) as reader, writing(book) as writer:
        for pages in (1, 3):
            with monkeypatch.context() as patch:
                patch.setattr(reconciling, "record", until(pages, reconciling.record))
                with pytest.raises(Cut):
                    compare(writer, reader, "r", there, tmp_path)
            move(writer, 5, 10_000_003, "X3")
        found = compare(writer, reader, "r", there, tmp_path)
        assert (found.status, found.known_at, found.pages) == ("finished", 9, 5)
        items = list(reads.items(reader, "main", "r"))
        assert found.items == found.unresolved == len(items) == 9
        assert (found.counts["missing_here"], found.counts["missing_there"]) == (7, 2)
        assert len({str(item.there or item.here) for item in items}) == len(items)
    with psycopg.connect(book) as connection:
        rows = connection.execute(
            "SELECT type, count(*) FROM daybook.events WHERE type LIKE 'reconciliation%' GROUP BY 1"
        )
        assert dict(rows.fetchall()) == {
            "reconciliation_started": 1,
            "reconciliation_items_found": 5,
            "reconciliation_finished": 1,
        }
    whole(book)


def test_what_a_run_refuses(book: str) -> None:
    """Each refusal of a reconciliation for its reason."""
    finding = Finding("missing_here", "none", (), (Item("2026-01-05", "x", "", 1, "EUR/2"),))
    start = StartRun(run="r", side="bank", account="bank", source="s", digest="0" * 64, window_days=3)
    finish = FinishRun(
        run="r", counts={"match": 1}, kinds={"fee_differs": 1}, first_day="2026-01-05", last_day="2026-01-05"
    )
    resolve = ResolveItem(run="r", item="1.1", explanation="x")

    def page(number: int) -> RecordItems:
        return RecordItems(run="r", page=number, items=(finding,))

    with writing(book) as writer:
        for body in (page(1), finish, resolve):
            assert code(do(writer, body)) == "reconciliation_not_found"
        done(do(writer, start))
        assert code(do(writer, start)) == "reconciliation_exists"
        assert code(do(writer, page(2))) == "reconciliation_page_out_of_order"
        assert code(do(writer, resolve)) == "reconciliation_item_not_found"
        done(do(writer, page(1)))
        assert code(do(writer, page(1))) == "reconciliation_page_out_of_order"
        done(do(writer, finish))
        assert code(do(writer, page(2))) == "reconciliation_has_ended"
        assert code(do(writer, finish)) == "reconciliation_has_ended"
        assert code(do(writer, ResolveItem(run="r", item="1.2", explanation="x"))) == (
            "reconciliation_item_not_found"
        )
        late = ResolveItem(run="r", item="1.1", transaction=10_000)
        assert code(do(writer, late)) == "transaction_not_found"
        done(do(writer, resolve))
        assert code(do(writer, resolve)) == "reconciliation_item_is_resolved"
