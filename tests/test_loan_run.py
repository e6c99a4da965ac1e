"""The daily run over loans, killed and repeated: the end is that of one run that went through."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from datetime import date
from typing import Any

import msgspec
import psycopg

from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.reader import Reader
from ledger.writer import Writer
from tests.bookkeeping import do, done, writing
from tests.conftest import NewDatabase
from tests.killed_run import run
from tests.loan_books import CHART, OFFER
from tests.test_loan_ledger import asked, failures

LOANS = 21
DAYS = ("2026-03-20", "2026-03-26")


def lend(conninfo: str) -> None:
    """Loans of which every third pays its first instalment, and two have promised to pay."""
    with writing(conninfo) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHART)))
        names = [f"L{n:02}" for n in range(LOANS)]
        ask(writer, [asked("assess_borrower", "borrower:B1", "2026-01-15", kyc="verified")])
        applying: list[tuple[str, dict[str, Any]]] = [
            ("submit_loan_application", {"borrower": "B1", "asset": "USD/2", "amount": 120_000}),
            ("approve_loan", {"offer": OFFER}),
            ("accept_loan", {}),
        ]
        for operation, fields in applying:
            ask(writer, [asked(operation, f"loan:{name}", "2026-01-15", **fields) for name in names])
        sent: dict[str, Any] = {"account": "bank", "method": "wallet"}
        held = ask(writer, [asked("disburse_loan", f"loan:{name}", "2026-01-15", **sent) for name in names])
        ask(
            writer,
            [
                asked("confirm_disbursement", f"loan:{name}", "2026-01-15", disbursement=seq)
                for name, seq in zip(names, held, strict=True)
            ],
        )
        paid: dict[str, Any] = {"amount": 11_200, "account": "bank"}
        ask(writer, [asked("repay_loan", f"loan:{name}", "2026-02-10", **paid) for name in names[::3]])


def ask(writer: Writer, commands: list[c.Command]) -> list[int]:
    outcomes = writer.execute("main", Request(commands))
    assert all(isinstance(outcome, Recorded) for outcome in outcomes), outcomes
    return [outcome.event.seq for outcome in outcomes if isinstance(outcome, Recorded)]


def promise(conninfo: str) -> None:
    with writing(conninfo) as writer:
        promised: dict[str, Any] = {"amount": 10_000, "by": "2026-03-25"}
        ask(writer, [asked("promise_payment", f"loan:L{n:02}", "2026-03-21", **promised) for n in (1, 20)])
        ask(writer, [asked("repay_loan", "loan:L20", "2026-03-24", amount=40_000, account="bank")])


def book(conninfo: str) -> tuple[Any, ...]:
    """Events but for their moments and hashes, states of streams, balances."""
    with psycopg.connect(conninfo) as connection:
        bodies = connection.execute("SELECT body FROM daybook.events ORDER BY seq").fetchall()
        balances = connection.execute(
            "SELECT account_id, asset_id, debits_posted, credits_posted FROM daybook.balances ORDER BY 1, 2"
        ).fetchall()
    events = [msgspec.json.decode(body) for (body,) in bodies]
    said = [(event["type"], event["effective_at"], event["data"]) for event in events[1:]]
    with closing(Reader(conninfo)) as reader:
        states = [
            (stream.name, stream.state)
            for kind in ("loan", "collection")
            for stream, _ in reader.streams("main", kind, limit=1_000)
        ]
    return said, states, balances


def test_a_run_that_is_killed_and_run_again_ends_like_one_that_went_through(
    new_database: NewDatabase,
) -> None:
    """Kill -9 after two and after three pages of four loans, with others under way; accruals, announcements,
    allowances, cases and promises are each there once, in the same order.
    """
    with new_database() as through, new_database() as killed:
        for conninfo in (through, killed):
            lend(conninfo)
        for day, pages in zip(DAYS, (2, 3), strict=True):
            run(through, date.fromisoformat(day), None)
            command = [sys.executable, "-m", "tests.killed_run", killed, day, str(pages)]
            assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
            halfway = len(book(killed)[0])
            run(killed, date.fromisoformat(day), None)
            assert halfway < len(book(killed)[0])
            assert book(killed) == book(through)
            if day == DAYS[0]:
                promise(through)
                promise(killed)
        said = [type for type, _, _ in book(killed)[0]]
        assert said.count("loan_repayment_due") == LOANS + LOANS - LOANS // 3
        assert said.count("collection_case_opened") == LOANS - LOANS // 3
        assert (said.count("collection_promise_kept"), said.count("collection_promise_broken")) == (1, 1)
        assert said.count("collection_case_closed") == 1
        assert failures(killed) == []
