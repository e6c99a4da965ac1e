"""`daybook doctor`: a sound installation is said to be sound, and every damage is found and named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest

from api.database import Database
from api.doctor import Finding, examine
from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.keeping import Keeping
from ledger.writer import Writer
from tests.daybook_command import daybook, fails, own_data, succeeds

CHART = ChartDocument(
    ("USD/2",), (AccountPattern("cash", "asset"), AccountPattern("customers:{n}", "liability"))
)

NOTHING_KEPT = Keeping(Path("/nowhere"))


@pytest.fixture
def books(database: str) -> str:
    """Two ledgers with postings, a hold posted in part, a hold that is open, and a reversal."""
    writer = Writer(database, connections=1)
    for name in ("first", "second"):
        for command in (
            c.command(c.LedgerOpening(name=name, chart=CHART)),
            c.command(transaction(500)),
            c.command(transaction(100, pending=True)),
            c.command(c.HoldPosting(amounts=[40, 40]), 3),
            c.command(transaction(30, pending=True, timeout_seconds=3_600)),
            c.command(c.Reversal(), 2),
        ):
            (outcome,) = writer.execute(name, Request([command]))
            assert isinstance(outcome, Recorded), outcome
    writer.close()
    return database


def transaction(amount: int, pending: bool = False, timeout_seconds: int | None = None) -> c.Transaction:
    return c.Transaction(
        postings=[
            c.Posting("cash", "debit", amount, "USD/2"),
            c.Posting("customers:1", "credit", amount, "USD/2"),
        ],
        pending=pending,
        timeout_seconds=timeout_seconds,
    )


def damage(database: str, table: str, statement: str) -> None:
    """What only a superuser who lifts the guards can do."""
    with psycopg.connect(database) as connection:
        connection.execute(f"ALTER TABLE daybook.{table} DISABLE TRIGGER USER".encode())
        assert connection.execute(statement.encode()).rowcount > 0
        triggers = connection.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal",
            (f"daybook.{table}",),
        ).fetchall()
        for (name,) in triggers:
            connection.execute(f"ALTER TABLE daybook.{table} ENABLE ALWAYS TRIGGER {name}".encode())


def problems(database: str) -> list[str]:
    found = examine(Database(database, "here", None, []), NOTHING_KEPT)
    return [f"{finding.check}: {finding.detail}" for finding in found if finding.status == "problem"]


def test_a_sound_installation_is_said_to_be_sound(books: str) -> None:
    """Exit code 0; the failover that would lose commits is noted; JSON has one finding a line."""
    said = succeeds(books, "doctor")
    assert "PROBLEM" not in said
    assert "only with a synchronous standby; none is configured" in said
    assert "every balance is the sum of its postings (ledgers: 2, events: 12)" in said
    findings = [json.loads(line) for line in succeeds(books, "doctor", "--json").splitlines()]
    assert [f["check"] for f in findings] == [
        *("server", "migrations", "durability", "failover", "clock", "disk", "guards"),
        *("head clock", "holds", "events", "legs", "zero sum", "balances", "inbox", "projections"),
        "tree heads",
    ]
    assert {f["status"] for f in findings} == {"ok", "note"}


def test_damage_ends_with_exit_code_1(books: str) -> None:
    """The problem is named on its line, and counted."""
    damage(
        books,
        "balances",
        "UPDATE daybook.balances SET credits_posted = credits_posted + 1 WHERE ledger_id = 2",
    )
    done = daybook(books, "doctor")
    assert done.returncode == 1
    assert (
        "PROBLEM  balances: second: the USD/2 balance of cash is not the sum of its postings" in done.stdout
    )
    assert done.stderr == "Error: 2 findings are problems.\n"


@pytest.mark.parametrize(
    ("table", "statement", "found"),
    [
        (
            "balances",
            "UPDATE daybook.balances SET debits_pending = 31 WHERE ledger_id = 1 AND account_id = 1",
            ["balances: first: the USD/2 balance of cash is not the sum of its postings"],
        ),
        (
            "balances",
            "DELETE FROM daybook.balances WHERE ledger_id = 1 AND account_id = 2",
            ["balances: first: the USD/2 balance of customers:1 is not the sum of its postings"],
        ),
        (
            "events",
            "DELETE FROM daybook.events WHERE ledger_id = 2 AND seq = 6",
            [
                "events: second: the head is at seq 6, but there are 5 events from 1 to 5",
                "legs: second: event 6 says that it has 0 legs, but there are 2",
            ],
        ),
        (
            "events",
            "DELETE FROM daybook.events WHERE ledger_id = 2 AND seq = 1",
            ["events: second: the head is at seq 6, but there are 5 events from 2 to 6"],
        ),
        (
            "postings",
            "DELETE FROM daybook.postings WHERE ledger_id = 1 AND seq = 2 AND leg = 0",
            [
                "legs: first: event 2 says that it has 2 legs, but there are 1",
                "zero sum: first: the legs of event 2 in USD/2 sum to -500",
                "balances: first: the USD/2 balance of cash is not the sum of its postings",
            ],
        ),
        (
            "postings",
            "UPDATE daybook.postings SET amount = 41 WHERE (ledger_id, seq, leg) = (1, 4, 0)",
            [
                "zero sum: first: the legs of event 4 in USD/2 sum to 1",
                "balances: first: the USD/2 balance of cash is not the sum of its postings",
            ],
        ),
        (
            "heads",
            "UPDATE daybook.heads SET recorded_at = now() + interval '1 hour' WHERE ledger_id = 1",
            ["head clock: first: last written at T, more than 10 s from now: it refuses commands until then"],
        ),
    ],
)
def test_damage_to_a_ledger_is_found(books: str, table: str, statement: str, found: list[str]) -> None:
    """Each kind of damage is named with its ledger, and nothing else is."""
    damage(books, table, statement)
    assert [re.sub(r"at \d{4}-.*?,", "at T,", problem) for problem in problems(books)] == found


def test_a_hold_that_nobody_expires_is_found(books: str) -> None:
    """A service that is not running leaves holds overdue."""
    damage(
        books, "holds", "UPDATE daybook.holds SET expires_at = now() - interval '5 min' WHERE ledger_id = 2"
    )
    (problem,) = problems(books)
    assert problem.startswith("holds: second: overdue: 1, the first since ")


def test_a_stopped_projection_is_found(books: str) -> None:
    """Named with ledger, seq and error; one that other code filled is a note."""
    with psycopg.connect(books) as connection:
        connection.execute(
            "INSERT INTO projections.versions (projection, version, code_version, state)"
            " VALUES ('search', 1, 0, 'live'), ('activity', 1, 1, 'kept')"
        )
        connection.execute(
            "INSERT INTO projections.checkpoints"
            " (ledger_id, projection, version, seq, state, error_seq, error)"
            " SELECT 2, projection, 1, 3, 'stopped', 4, 'Poison: bitter' FROM projections.versions"
        )
    found = examine(Database(books, "here", None, []), NOTHING_KEPT)
    assert [(f.status, f.detail) for f in found if f.check == "projections"] == [
        ("problem", "search stopped in second at seq 4: Poison: bitter"),
        ("note", "search is outdated: a rebuild is due"),
    ]


def test_lifted_guards_are_found(books: str) -> None:
    """A trigger that was disabled is a problem, and named."""
    with psycopg.connect(books, autocommit=True) as connection:
        connection.execute("ALTER TABLE daybook.events DISABLE TRIGGER append_only")
    assert [
        problem for problem in problems(books) if problem.startswith("guards: ") and "append_only" in problem
    ]


def test_a_missing_migration_is_found(database: str) -> None:
    """Nothing further is asked of a schema that is not this code's."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DELETE FROM daybook.migrations")
    found = list(examine(Database(database, "here", None, []), NOTHING_KEPT))
    assert found[1].status == "problem"
    assert found[1].detail.startswith("missing 0001_core")
    assert found[-1].check == "disk"
    assert "run `daybook migrate` first" in fails(database, "doctor")


def test_fsync_switched_off_is_found() -> None:
    """A server that does not flush its commits is not durable, whatever Daybook does."""
    with own_data() as data:
        succeeds(None, "migrate", DAYBOOK_DATA=str(data))
        (data / "pgdata" / "postgresql.auto.conf").write_text("fsync = off\n")
        done = daybook(None, "doctor", "--json", DAYBOOK_DATA=str(data))
        assert done.returncode == 1
        findings = [Finding(**json.loads(line)) for line in done.stdout.splitlines()]
        assert Finding("problem", "durability", "fsync is off") in findings
        assert {finding.check for finding in findings if finding.status == "problem"} == {
            "durability",
            "guards",
        }
        assert ["GB are free" in finding.detail for finding in findings if finding.check == "disk"] == [True]
