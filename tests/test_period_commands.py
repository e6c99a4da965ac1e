"""`daybook period` and `daybook assert`: what they print, refuse and leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.audit import audited
from tests.daybook_command import fails, succeeds

CHART = {
    "assets": ["USD/2"],
    "accounts": [
        {"pattern": "cash", "type": "asset"},
        {"pattern": "sales", "type": "income"},
        {"pattern": "retained", "type": "equity"},
    ],
}


@pytest.fixture
def shop(database: str, tmp_path: Path) -> str:
    """A ledger in Prague with a sale of October 2020."""
    chart = tmp_path / "chart.json"
    chart.write_text(json.dumps(CHART))
    succeeds(database, "open", "shop", "--chart", chart, "--time-zone", "Europe/Prague")
    sale(database, "2020-10-15T10:00:00Z")
    return database


def sale(database: str, at: str, *more: str) -> str:
    legs = ("--debit", "cash", "--credit", "sales", "--amount", "999", "--asset", "USD/2")
    return succeeds(database, "post", "shop", *legs, "--effective-at", at, *more)


def test_period_closes_reopens_and_is_listed(shop: str) -> None:
    """With closing entries; again under its key; reopened with a reason; the list tells all of it."""
    close = ("period", "close", "shop", "2020-10", "--retained-earnings", "retained", "--key", "october")
    said = "2020-10, 2020-09-30 22:00:00Z to 2020-10-31 23:00:00Z, by seq 6.\nClosing entries: seq 5.\n"
    assert succeeds(shop, *close) == f"Closed: {said}"
    assert succeeds(shop, *close) == f"Was closed before, with this key: {said}"
    assert "period_already_closed" in fails(shop, "period", "close", "shop", "2020-10")
    legs = ("--debit", "cash", "--credit", "sales", "--amount", "1", "--asset", "USD/2")
    late = fails(shop, "post", "shop", *legs, "--effective-at", "2020-10-01T00:00:00Z")
    assert "period_closed" in late
    assert "first_open_date 2020-11-01" in late
    reopen = ("period", "reopen", "shop", "2020-10", "--reason", "an invoice came late", "--closed-seq", "6")
    assert succeeds(shop, *reopen) == "Reopened 2020-10 as seq 7.\n"
    assert "period_not_closed" in fails(shop, *reopen)
    sale(shop, "2020-10-01T00:00:00Z", "--original-effective-at", "2020-09-30T00:00:00Z")
    succeeds(shop, "period", "close", "shop", "2020-10")
    rows = [line.split("\t") for line in succeeds(shop, "period", "list", "shop").splitlines()]
    assert [(row[0], *row[2:]) for row in rows] == [
        ("seq", "period", "what"),
        ("3", "2020-10", "closed, no longer"),
        ("4", "2020-10", "reopened: closing entries"),
        ("6", "2020-10", "closed, no longer"),
        ("7", "2020-10", "reopened: an invoice came late"),
        ("9", "2020-10", "closed"),
    ]
    audited(shop)


def test_machines_get_json(shop: str) -> None:
    """One document a line, with the closing entries and the bounds."""
    close = ("period", "close", "shop", "2020", "--retained-earnings", "retained", "--json")
    closed = json.loads(succeeds(shop, *close))
    assert (closed["seq"], closed["closing_entries"]) == (6, [5])
    assert (closed["starts_at"], closed["ends_at"]) == (
        "2019-12-31T23:00:00.000000Z",
        "2020-12-31T23:00:00.000000Z",
    )
    listed: list[Any] = [
        json.loads(line) for line in succeeds(shop, "period", "list", "shop", "--json").splitlines()
    ]
    assert [event["type"] for event in listed] == ["period_closed", "period_reopened", "period_closed"]


def test_balance_is_asserted(shop: str) -> None:
    """It is recorded whether it holds or not; a negative amount is an amount."""
    about = ("assert", "shop", "cash", "--asset", "USD/2", "--source", "bank")
    assert succeeds(shop, *about, "--at", "2020-10-31", "--expected", "999") == "Recorded as seq 3.\n"
    again = ("--at", "2020-10-31T10:00:00+02:00", "--expected", "-5", "--tolerance", "7", "--key", "k")
    for _ in range(2):
        assert succeeds(shop, *about, *again) == "Recorded as seq 4.\n"
    assert "asserted_in_future" in fails(shop, *about, "--at", "2999-01-01", "--expected", "1")
    assert "`at`" in fails(shop, *about, "--at", "yesterday", "--expected", "1")


def test_what_is_no_period_is_a_mistake_of_the_command_line(shop: str) -> None:
    """Exit code 2, with examples."""
    assert "2026-Q3" in fails(shop, "period", "close", "shop", "2026-13", code=2)
    assert "--reason" in fails(shop, "period", "reopen", "shop", "2026-10", code=2)
