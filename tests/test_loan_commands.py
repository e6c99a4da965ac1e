"""`daybook loans`: a day's run over all loans, again and again, and a look at one of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.writer import Writer
from tests.bookkeeping import do, done, writing
from tests.daybook_command import fails, succeeds
from tests.loan_books import CHART
from tests.test_loan_ledger import asked, failures, lent


@pytest.fixture
def lender(database: str) -> Iterator[Writer]:
    """Three loans lent on 2026-01-15, one of which is paid, and an application."""
    with writing(database) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHART, time_zone="Europe/Prague")))
        for name in ("L1", "L2", "L3"):
            lent(writer, name)
        paid = asked("settle_loan", "loan:L3", "2026-01-20", amount=130_000, account="bank")
        applied = asked(
            "submit_loan_application", "loan:L4", "2026-01-20", borrower="B1", asset="USD/2", amount=5
        )
        for command in (paid, applied):
            [outcome] = writer.execute("main", Request([command]))
            assert isinstance(outcome, Recorded), outcome
        yield writer


def test_a_run_accrues_and_provides_for_every_active_loan_once(database: str, lender: Writer) -> None:
    """Again for the same day it does nothing, the next day only what is new; the books pass the audit."""
    run = ("loans", "run", "main", "--provision", "--on")
    first = succeeds(database, *run, "2026-01-31")
    assert first.startswith("2026-01-31: 4 loans, 4 events, 0 already there, 0 refused; ")
    again = succeeds(database, *run, "2026-01-31")
    assert again.startswith("2026-01-31: 4 loans, 0 events, 0 already there, 0 refused; ")
    later = succeeds(database, "loans", "run", "main", "--on", "2026-02-01")
    assert later.startswith("2026-02-01: 4 loans, 2 events, ")
    said = succeeds(database, "balance", "main", "loans:interest_receivable", "--as-of", "2026-01-31")
    assert said.splitlines()[1].split("\t")[1] == "12.38 USD"  # 1200 * 16 / 31 of each of two loans
    assert failures(database) == []


def test_a_run_is_of_a_day_that_is_over(database: str, lender: Writer) -> None:
    """Today is not; and what a loan refuses is said, and fails the run."""
    assert "is not over" in fails(database, "loans", "run", "main", "--on", "2999-01-01", code=2)
    done(do(lender, c.PeriodClosing(), "2026-01"))
    said = fails(database, "loans", "run", "main", "--on", "2026-01-31")
    assert said.count("period_closed") == 2


def test_a_loan_is_shown_as_it_is_on_a_day(database: str, lender: Writer) -> None:
    """Schedule, debt and dues; an application has none of them yet."""
    shown = succeeds(database, "loans", "show", "main", "L1", "--on", "2026-02-20").splitlines()
    assert shown[0] == "L1 on 2026-02-20: active, 1,278.00 USD owed, 112.00 USD of it due."
    assert shown[1:3] == [
        "due\tprincipal\tinterest\tstatus",
        "2026-02-15\t100.00 USD\t12.00 USD\toverdue",
    ]
    assert succeeds(database, "loans", "show", "main", "L4") == "L4: submitted, 0.05 USD asked for.\n"
    assert "There is no loan" in fails(database, "loans", "show", "main", "L9")


def test_a_run_says_what_fell_due_collects_and_records_what_was_promised(
    database: str, lender: Writer
) -> None:
    """Each once: due, missed, a case opened beyond the policy's days, a broken promise, the case closed."""
    run = ("loans", "run", "main", "--on")

    succeeds(database, *run, "2026-02-16")
    succeeds(database, *run, "2026-03-18")
    for name in ("L1", "L2"):
        promise = asked("promise_payment", f"loan:{name}", "2026-03-19", amount=5_000, by="2026-03-20")
        done(lender.execute("main", Request([promise]))[0])
    paid = asked("repay_loan", "loan:L1", "2026-03-20", amount=30_000, account="bank")
    done(lender.execute("main", Request([paid]))[0])
    succeeds(database, *run, "2026-03-21")
    again = succeeds(database, *run, "2026-03-21")
    assert again.startswith("2026-03-21: 4 loans, 0 events, 0 already there, 0 refused; ")
    with psycopg.connect(database) as connection:
        said = Counter(type for (type,) in connection.execute("SELECT type FROM daybook.events"))
    assert said["loan_repayment_due"] == 4
    assert said["loan_repayment_missed"] == 4
    assert (said["collection_case_opened"], said["collection_case_closed"]) == (2, 1)
    assert (said["collection_promise_kept"], said["collection_promise_broken"]) == (1, 1)
    assert failures(database) == []


def test_collectors_work_at_the_console(database: str, lender: Writer) -> None:
    """A case from its opening to its end; what is malformed or not possible is refused in a sentence."""
    desk = ("collections",)
    assert "never had" in fails(database, *desk, "show", "main", "L1")
    assert succeeds(database, *desk, "open", "main", "L1", "--assignee", "desk-2").startswith("Recorded as")
    assert "collection_case_open" in fails(database, *desk, "open", "main", "L1")
    assert "assignee" in fails(database, *desk, "change", "main", "L1", "--assignee", "two words")
    assert "is needed" in fails(database, *desk, "change", "main", "L1")
    succeeds(database, *desk, "note", "main", "L1", "Called, see CRM 4711.")
    succeeds(database, *desk, "promise", "main", "L1", "11200", "--by", "2031-01-31")
    shown = succeeds(database, *desk, "show", "main", "L1").splitlines()
    assert shown[0].startswith("L1, case 1: open, desk-2; since ")
    assert shown[2] == "1\t112.00 USD\t2031-01-31\tpending"
    assert shown[4].endswith("daybook collections\tCalled, see CRM 4711.")
    assert succeeds(database, *desk, "list", "main").splitlines()[1].startswith("L1\t1\topen\t")
    succeeds(database, *desk, "close", "main", "L1", "--outcome", "other", "--reason", "Sold")
    assert succeeds(database, *desk, "list", "main").count("L1") == 0
