"""`daybook audit`, as a person runs it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from benchmarks.proving import tile_rate
from ledger import commands as c
from ledger.batch import Request
from ledger.keeping import Keeping
from ledger.notes import TreeHead, new_key
from projections.audit import live
from projections.audit.completeness import KeptHead
from tests.bookkeeping import deposit, do, open_ledger, withdrawal, writing
from tests.daybook_command import daybook, fails, succeeds
from tests.tampering import kept_heads, rewrite, unguarded


def test_check_reports_every_ledger_and_exits_with_one_when_a_verdict_fails(
    database: str, tmp_path: Path
) -> None:
    """All is well until a kept head tells that an event was rewritten with every hash beside it."""
    with writing(database) as writer:
        for ledger in ("main", "other"):
            open_ledger(writer, ledger)
            for n in range(1, 5):
                do(writer, deposit(n, 100), ledger=ledger)
    key = new_key("auditor")
    [kept] = kept_heads(database, 3)
    assert kept.head is not None
    head = tmp_path / "head"
    head.write_text(key.sign(kept.head.text), encoding="utf-8")

    said = succeeds(database, "audit", "check")
    assert said.count("\nintegrity\tok\t") == 2
    assert said.count("\ncompleteness\tnot checked\t") == 2
    succeeds(database, "audit", "check", "--ledger", "main", "--tree-head", head, "--key", str(key.verifier))

    with unguarded(database) as connection:
        rewrite(connection, 3, lambda event: event.update(description="Mine"))
    with_head = ("audit", "check", "--ledger", "main", "--tree-head", head)
    done = daybook(database, *with_head, "--json")
    assert done.returncode == 1
    verdicts = {verdict["name"]: verdict for verdict in json.loads(done.stdout)["verdicts"]}
    assert {name for name in verdicts if verdicts[name]["status"] == "failed"} == {"completeness"}
    assert verdicts["completeness"]["seq"] == 1
    assert "completeness\tfailed\t1\tThe tree head head of 3 events" in daybook(database, *with_head).stdout
    other = new_key("auditor")
    done = daybook(database, *with_head, "--key", str(other.verifier))
    assert "shows nothing: none of these keys signed it" in done.stdout
    assert "There is no ledger nowhere" in fails(database, "audit", "check", "--ledger", "nowhere")
    assert "one ledger's" in fails(database, "audit", "check", "--tree-head", head, code=2)
    assert "is not a public key" in fails(database, "audit", "check", "--key", "key", code=2)


def test_what_a_restore_lost_is_said_and_held_against_whoever_shows_it(database: str) -> None:
    """A tree head of before the backup holds; one of the lost tail fails, but the installation's own."""
    with writing(database) as writer:
        open_ledger(writer)
        for n in range(1, 5):
            do(writer, deposit(n, 100))
        [before] = kept_heads(database, 3)
        assert before.head is not None
        lost = before.head._replace(size=9, root=bytes(32))
        restoration = c.Restoration(reason="drill", lost_size=9, lost_root=lost.root.hex())
        do(writer, restoration)
        do(writer, deposit(5, 100))

    report = live.check(database, "main", [before])
    assert report.ok, report
    assert report.incarnation == 2
    assert (
        "events 6 to 9 of incarnation 1 were lost in a restore, as event 6 says"
        in report.verdicts[1].sentence
    )

    def completeness(head: TreeHead, own: bool = False) -> tuple[str, int | None]:
        verdict = live.check(database, "main", [before, KeptHead("head", head, own=own)]).verdicts[1]
        return verdict.status, verdict.seq

    assert completeness(lost) == ("failed", 6)
    assert completeness(lost, own=True) == ("ok", None)
    assert completeness(lost._replace(size=8), own=True) == ("ok", None)
    assert completeness(lost._replace(size=10), own=True) == ("failed", 6)
    assert completeness(lost._replace(root=bytes(31) + b"x"), own=True) == ("failed", 6)
    assert completeness(before.head._replace(root=bytes(32)), own=True) == ("failed", 1)
    assert completeness(lost._replace(incarnation=3), own=True) == ("failed", 4)


def test_a_ledger_that_is_gone_altogether_is_missed(database: str, tmp_path: Path) -> None:
    """The installation keeps a tree head of a ledger that the database does not have: completeness fails."""
    keeping = Keeping(tmp_path)
    keeping.keep(TreeHead("00000000-0000-4000-8000-000000000001", 1, 7, bytes(32)))
    with writing(database) as writer:
        open_ledger(writer)
    said = daybook(database, "audit", "check", DAYBOOK_KEYS=str(tmp_path))
    assert said.returncode == 1
    assert said.stdout.count("integrity\tok\t") == 1
    assert "completeness\tfailed\t1\tThe ledger is not in this database" in said.stdout
    assert daybook(database, "audit", "check", "--ledger", "main", DAYBOOK_KEYS=str(tmp_path)).returncode == 0


def test_a_ledger_without_a_name_is_missed(database: str) -> None:
    """Its head and events are there and nobody could ask for it: the check of all ledgers fails."""
    with writing(database) as writer:
        open_ledger(writer)
        open_ledger(writer, "other")
    with unguarded(database) as connection:
        connection.execute("DELETE FROM daybook.ledgers WHERE name = 'main'")
    said = daybook(database, "audit", "check")
    assert said.returncode == 1
    assert said.stdout.count("integrity\tok\t") == 1
    assert "integrity\tfailed\t\tThe ledger of number 1 has no row of ledgers any more." in said.stdout


def test_a_tile_tells_which_event_is_not_what_it_was(database: str) -> None:
    """An event is rewritten with its leaf: the root says that one of 301 is another, its tile says which."""
    with writing(database) as writer:
        open_ledger(writer)
        writer.execute("main", Request([c.command(deposit(n % 9, 1)) for n in range(300)]))
    tile_rate(database, "main")
    with unguarded(database) as connection:
        rewrite(connection, 200, lambda event: event.update(reference="mine"), tree=False)
    report = live.check(database, "main")
    assert {v.name: v.seq for v in report.verdicts if v.status == "failed"} == {"integrity": 200}, report


def test_a_ledger_is_audited_while_it_is_written(database: str) -> None:
    """Every audit in the middle of a stream of deposits and holds finds nothing amiss, up to its own seq."""
    stop = threading.Event()
    with writing(database) as writer:
        open_ledger(writer)

        def write() -> None:
            n = 0
            while not stop.is_set():
                n += 1
                do(writer, deposit(n % 7, 10), key=f"k{n}")
                do(writer, withdrawal(n % 7, 1, pending=True, timeout_seconds=1 + n % 90))

        thread = threading.Thread(target=write)
        thread.start()
        try:
            sizes = []
            for _ in range(8):
                report = live.check(database, "main")
                assert report.ok, report
                sizes.append(report.size)
        finally:
            stop.set()
            thread.join(30)
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 1
