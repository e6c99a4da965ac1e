"""The commands that report, on one small ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger import commands as c
from tests.bookkeeping import do, done, open_ledger, transaction, writing
from tests.conftest import NewDatabase
from tests.daybook_command import fails, succeeds
from tests.histories import project


@pytest.fixture(scope="module")
def books(new_database: NewDatabase) -> Iterator[str]:
    """January: 100.00 in. February: a fee of 15.00. Entered late: 5.00 back, in January."""
    with new_database() as conninfo:
        with writing(conninfo) as writer:
            open_ledger(writer)
            for day, debit, credit, amount in (
                ("2026-01-05", "cash", "customers:1", 10_000),
                ("2026-02-03", "customers:1", "fees", 1_500),
                ("2026-01-20", "customers:1", "cash", 500),
            ):
                at = datetime.fromisoformat(day).replace(tzinfo=UTC)
                more = {"effective_at": at, "metadata": {"day": day}, "reference": day[:7]}
                done(do(writer, transaction(debit, credit, amount, **more)))
            claim = c.BalanceAssertion(
                account="cash", asset="USD/2", at="2026-01-31", expected=10_000, source="bank"
            )
            done(do(writer, claim))
        project(conninfo, 1, 4, 100)
        yield conninfo


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def test_balance_as_of_a_day_as_known(books: str, tmp_path: Path) -> None:
    """The late entry counts in January, and was not known at seq 3."""
    january = ("balance", "main", "customers:1", "--as-of", "2026-01-31")
    assert rows(succeeds(books, *january))[1][:2] == ["USD/2", "95.00 USD"]
    assert rows(succeeds(books, *january, "--known-at", "3"))[1][:2] == ["USD/2", "100.00 USD"]
    assert "neither a day" in fails(books, "balance", "main", "cash", "--as-of", "soon", code=2)


def test_statement_of_a_month(books: str) -> None:
    """Opening, lines in effective order, closing."""
    found = rows(
        succeeds(books, "statement", "main", "customers:1", "--from", "2026-01-06", "--to", "2026-02-28")
    )
    assert [(row[2], row[5]) for row in found[1:]] == [
        ("opening", "100.00 USD"),
        ("posted", "95.00 USD"),
        ("posted", "80.00 USD"),
        ("closing", "80.00 USD"),
    ]
    assert "--from" in fails(books, "statement", "main", "cash", "--known-at", "3", code=2)
    assert "lies before" in fails(
        books, "statement", "main", "cash", "--from", "2026-02-02", "--to", "2026-01-01"
    )


def test_reports_of_january(books: str) -> None:
    """The three reports agree with each other."""
    trial = rows(succeeds(books, "trial-balance", "main", "--as-of", "2026-01-31"))
    assert trial[-1] == ["total", "", "95.00 USD", "95.00 USD"]
    sheet = rows(succeeds(books, "balance-sheet", "main"))
    assert ["liabilities", "customers", "80.00 USD"] in sheet
    assert ["equity", "current earnings", "15.00 USD"] in sheet
    deep = rows(succeeds(books, "balance-sheet", "main", "--depth", "2", "--as-of", "2026-01-31"))
    assert ["liabilities", "customers:1", "95.00 USD"] in deep
    income = rows(succeeds(books, "income-statement", "main", "--from", "2026-02-01"))
    assert income[-1] == ["net income", "", "15.00 USD"]
    assert (
        json.loads(succeeds(books, "income-statement", "main", "--json"))["statements"][0]["net_income"]
        == 1_500
    )


def test_search_says_how_far_it_has_come(books: str) -> None:
    """What is found, and up to which seq was looked."""
    assert [row[0] for row in rows(succeeds(books, "search", "main"))] == ["seq", "4", "3", "2"]
    found = succeeds(
        books, "search", "main", "--metadata", "day=2026-01-20", "--reference", "2026-01", "--json"
    )
    assert [json.loads(line)["seq"] for line in found.splitlines()] == [4]
    amount = ("--asset", "USD/2", "--amount-min", "1000", "--limit", "1")
    by_amount = succeeds(books, "search", "main", *amount)
    assert [row[0] for row in rows(by_amount)] == ["seq", "3"]
    assert "--asset" in fails(books, "search", "main", "--amount-min", "1", code=2)
    assert "name=value" in fails(books, "search", "main", "--metadata", "x", code=2)


def test_assertions_that_fail_are_an_error(books: str) -> None:
    """Judged once the projection has come to them."""
    assert rows(succeeds(books, "assertions", "main")) == [
        ["seq", "account", "at", "expected", "actual", "status", "source"]
    ]
    project(books, 1, 5, 100)
    assert "1 of the assertions" in fails(books, "assertions", "main", "--status", "failing")
    assert rows(succeeds(books, "assertions", "main", "--status", "passing"))[1:] == []
