"""Closing entries: income and expense at zero as of a period's end, once, whatever happens on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from ledger import commands as c
from ledger.batch import Outcome, Refusal
from ledger.chart import AccountPattern, ChartDocument, Limits
from ledger.closing import Closed, close_period
from ledger.period_reads import periods
from ledger.reader import Reader
from ledger.text import from_iso, moment
from ledger.writer import Writer
from tests.audit import audited
from tests.bookkeeping import code, do, done, writing

USD, EUR = "USD/2", "EUR/2"
CHART = ChartDocument(
    assets=(USD, EUR, "JPY/0"),
    accounts=(
        AccountPattern("cash", "asset"),
        AccountPattern("sales:{n}", "income"),
        AccountPattern("refunds", "income", contra=True),
        AccountPattern("wages", "expense"),
        AccountPattern("rebates", "expense", contra=True),
        AccountPattern("statistics", "income", memo=True),
        AccountPattern("statistics:other", "asset", memo=True),
        AccountPattern("retained", "equity"),
        AccountPattern("narrow", "equity", limits={"*": Limits(max_balance=5)}),
        AccountPattern("old", "equity", memo=True),
    ),
)
END = "2020-10-31T22:59:59.999999Z"  # of October in Prague
RETAINED = c.PeriodClosing(retained_earnings="retained")


class Shop:
    """A ledger with its writer and reader."""

    def __init__(self, database: str, writer: Writer, reader: Reader) -> None:
        self.database = database
        self.writer = writer
        self.reader = reader

    def move(self, debit: str, credit: str, amount: int, at: str, asset: str = USD) -> Outcome:
        legs = [c.Posting(debit, "debit", amount, asset), c.Posting(credit, "credit", amount, asset)]
        body = c.Transaction(postings=legs, effective_at=moment(from_iso(f"{at}T10:00:00.000000Z")))
        return do(self.writer, body)

    def close(
        self, period: str, key: str | None = None, body: c.PeriodClosing = RETAINED
    ) -> Closed | Refusal:
        return close_period(self.writer.execute, self.reader, "main", c.command(body, period, key=key))

    def closed(self, period: str, key: str | None = None) -> Closed:
        found = self.close(period, key)
        assert isinstance(found, Closed), found
        return found

    def closed_already(self, period: str) -> bool:
        found = self.close(period)
        return isinstance(found, Refusal) and found.rejection.code == "period_already_closed"

    def reopen(self, *periods: str) -> None:
        for period in periods:
            done(do(self.writer, c.PeriodReopening(reason="an invoice came late"), period))

    def head(self) -> int:
        return self.reader.ledger("main").seq

    def events(self, after: int = 0) -> list[tuple[int, str, Any]]:
        """(seq, type, period or description) beyond a seq."""
        with psycopg.connect(self.database) as connection:
            return [
                (seq, type, period or description)
                for seq, type, period, description in connection.execute(
                    "SELECT seq, type, body -> 'data' ->> 'period', body ->> 'description'"
                    " FROM (SELECT seq, type, convert_from(body, 'UTF8')::json AS body FROM daybook.events) e"
                    " WHERE seq > %s ORDER BY seq",
                    (after,),
                )
            ]

    def balances(self, until: str = END) -> dict[tuple[str, str], int]:
        """Debits less credits of every (account, asset) from all that counts until then; zeros left out."""
        with psycopg.connect(self.database) as connection:
            return {
                (address, asset): int(net)
                for address, asset, net in connection.execute(
                    "SELECT a.address, s.asset, sum(p.amount) FROM daybook.postings p"
                    " JOIN daybook.accounts a USING (ledger_id, account_id)"
                    " JOIN daybook.assets s USING (ledger_id, asset_id)"
                    " WHERE p.kind = 0 AND p.effective_at <= %s GROUP BY 1, 2 HAVING sum(p.amount) <> 0",
                    (until,),
                )
            }


def chart_opened(writer: Writer) -> None:
    done(do(writer, c.LedgerOpening(name="main", time_zone="Europe/Prague", chart=CHART)))


@pytest.fixture
def shop(database: str) -> Iterator[Shop]:
    """Sales, refunds, wages and rebates of October 2020 in two assets, and some sales before, after and held.

    The first of November's come at its first microsecond.
    """
    with writing(database) as writer, closing(Reader(database)) as reader:
        chart_opened(writer)
        shop = Shop(database, writer, reader)
        for entry in (
            ("cash", "sales:1", 100, "2020-09-15"),
            ("cash", "sales:1", 1_000, "2020-10-15"),
            ("cash", "sales:2", 500, "2020-10-31"),
            ("refunds", "cash", 30, "2020-10-20"),
            ("wages", "cash", 400, "2020-10-21"),
            ("cash", "rebates", 7, "2020-10-22"),
            ("cash", "sales:1", 11, "2020-10-15", EUR),
            ("wages", "cash", 50, "2020-10-15", EUR),
            ("statistics:other", "statistics", 9, "2020-10-15"),
            ("cash", "sales:1", 8_000, "2020-11-01"),
        ):
            done(shop.move(*entry))
        legs = [c.Posting("cash", "debit", 3, USD), c.Posting("sales:3", "credit", 3, USD)]
        first_of_november = moment(from_iso(END) + 1)
        done(do(writer, c.Transaction(postings=legs, effective_at=first_of_november)))
        held = moment(from_iso("2020-10-15T10:00:00.000000Z"))
        done(do(writer, c.Transaction(postings=legs, effective_at=held, pending=True)))
        yield shop
    audited(database)


def test_income_and_expense_are_zero_as_of_the_end(shop: Shop) -> None:
    """In every asset, contra accounts included, memo accounts left alone; what comes later stays."""
    closed = shop.closed("2020-10")
    assert len(closed.entries) == 2
    statistics = {("statistics:other", USD): 9, ("statistics", USD): -9}
    result = -100 - 1_000 - 500 + 30 + 400 - 7
    assert shop.balances() == statistics | {
        ("cash", USD): -result,
        ("retained", USD): result,
        ("cash", EUR): -39,
        ("retained", EUR): 39,
    }
    assert shop.balances("2020-12-01Z")["sales:1", USD] == -8_000
    assert code(shop.move("cash", "sales:1", 1, "2020-10-15")) == "period_closed"
    views = shop.reader.entries("main", closed.entries)
    assert {view.effective_at for view in views} == {END}
    assert {view.metadata["closing_entries"] for view in views} == {"2020-10"}
    assert [type for _, type, _ in shop.events()][-5:] == [
        "period_closed",
        "period_reopened",
        "transaction_posted",
        "transaction_posted",
        "period_closed",
    ]


def test_nothing_to_close_makes_no_transaction(shop: Shop) -> None:
    """A period before any income only closes; without retained earnings no period makes entries."""
    before = shop.head()
    assert shop.closed("2020-08").entries == []
    plain = shop.close("2020-10", body=c.PeriodClosing())
    assert isinstance(plain, Closed)
    assert [type for _, type, _ in shop.events(before)] == ["period_closed"] * 2
    assert shop.balances()["sales:2", USD] == -500


def test_closing_again_posts_only_the_difference(shop: Shop) -> None:
    """Reopened, corrected and closed again, the entries of before stand and the correction alone is added."""
    shop.closed("2020-10", "first")
    shop.reopen("2020-10")
    done(shop.move("cash", "sales:1", 25, "2020-10-30"))
    again = shop.closed("2020-10", "second")
    [entry] = shop.reader.entries("main", again.entries)
    assert sorted((p.account, p.side, p.amount) for p in entry.postings) == [
        ("retained", "credit", 25),
        ("sales:1", "debit", 25),
    ]
    shop.reopen("2020-10")
    assert shop.closed("2020-10", "third").entries == []


def test_a_later_period_is_closed_again_after_an_earlier_one(shop: Shop) -> None:
    """The later entries had carried what the earlier ones do now: closed again, it gives that back."""
    shop.closed("2020-10")
    in_order = shop.balances()
    assert len(shop.closed("2020-09").entries) == 1
    again = shop.closed("2020-10")
    [entry] = shop.reader.entries("main", again.entries)
    assert sorted((p.account, p.side, p.amount) for p in entry.postings) == [
        ("retained", "debit", 100),
        ("sales:1", "credit", 100),
    ]
    assert shop.balances() == in_order
    assert shop.closed_already("2020-10")


def test_year_closes_over_its_closed_months(shop: Shop) -> None:
    """The closed periods that end with it are reopened for the entries and closed again, in one group."""
    shop.closed("2020-10")
    for period in ("2020-12-31", "2020-12", "2020-Q4"):
        shop.close(period, body=c.PeriodClosing())
    before = shop.head()
    closed = shop.closed("2020", "year")
    inner = ("2020-Q4", "2020-12", "2020-12-31")
    assert [(type, about) for _, type, about in shop.events(before)] == [
        ("period_closed", "2020"),
        *(("period_reopened", period) for period in ("2020", *inner)),
        ("transaction_posted", "Closing entries 2020"),
        *(("period_closed", period) for period in (*reversed(inner), "2020")),
    ]
    assert shop.closed("2020", "year") == Closed(closed.seq, closed.entries, True)
    found = periods(shop.reader, "main", 0, 100).closed
    assert [each.period for each in found] == ["2020", "2020-Q4", "2020-10", "2020-12", "2020-12-31"]
    assert shop.balances("2021-01-01Z")["retained", USD] == -(100 + 1_000 + 500 - 30 - 400 + 7 + 8_003)


# ---------------------------------------------------------------- keys, crashes, company


def test_replay_answers_as_the_first_time(shop: Shop) -> None:
    """The same key finds the closing and its entries again, also when the period has long been reopened."""
    first = shop.closed("2020-10", "key")
    head = shop.head()
    assert shop.closed("2020-10", "key") == Closed(first.seq, first.entries, True)
    shop.reopen("2020-10")
    done(shop.move("cash", "sales:1", 25, "2020-10-30"))
    shop.close("2020-10", body=c.PeriodClosing())
    assert shop.closed("2020-10", "key") == Closed(first.seq, first.entries, True)
    assert shop.balances()["sales:1", USD] == -25
    assert shop.head() == head + 3
    other = shop.close("2020-10", "key", c.PeriodClosing(retained_earnings="narrow"))
    assert isinstance(other, Refusal)
    assert other.rejection.code == "idempotency_key_reused"


def test_replay_of_a_closing_without_entries_makes_none_later(shop: Shop) -> None:
    """What was done without entries stays so, though there would be some now."""
    shop.closed("2020-10", "entries")
    shop.reopen("2020-10")
    nothing = shop.closed("2020-10", "key")
    assert nothing.entries == []
    shop.reopen("2020-10")
    done(shop.move("cash", "sales:1", 25, "2020-10-30"))
    shop.close("2020-10", body=c.PeriodClosing())
    assert shop.closed("2020-10", "key") == Closed(nothing.seq, [], True)
    assert shop.balances()["sales:1", USD] == -25


DYING = """
import os, signal, sys
from ledger import closing, commands as c
from ledger.reader import Reader
from ledger.writer import Writer

conninfo, moment, key = sys.argv[1:]
die = lambda *args: os.kill(os.getpid(), signal.SIGKILL)
writer, reader = Writer(conninfo), Reader(conninfo)

def execute(ledger, request):
    outcomes = writer.execute(ledger, request)
    if {"closed": not request.preview, "probed": request.preview, "posted": request.atomic}.get(moment):
        die()
    return outcomes

if moment == "read":
    closing.closing_entries = die
command = c.command(c.PeriodClosing(retained_earnings="retained"), "2020-10", key=key or None)
closing.close_period(execute, reader, "main", command)
"""


@pytest.mark.parametrize("key", ["key", None])
@pytest.mark.parametrize("moment", ["closed", "probed", "read", "posted"])
def test_a_crash_between_the_steps_is_mended_by_asking_again(
    shop: Shop, moment: str, key: str | None
) -> None:
    """Wherever the process is killed, the period is closed, and the next request posts what is missing."""
    dying = (sys.executable, "-c", DYING, shop.database, moment, key or "")
    assert subprocess.run(dying, timeout=60).returncode == -signal.SIGKILL
    assert code(shop.move("cash", "sales:1", 1, "2020-10-15")) == "period_closed"
    assert (("retained", USD) in shop.balances()) == (moment == "posted")
    again = shop.close("2020-10", key)
    if moment == "posted" and key is None:
        assert isinstance(again, Refusal)
        assert again.rejection.code == "period_already_closed"
    else:
        assert isinstance(again, Closed)
        assert len(again.entries) == 2
    assert {"sales:1", "sales:2", "refunds", "wages", "rebates"}.isdisjoint(a for a, _ in shop.balances())
    assert [about for _, _, about in shop.events()].count("Closing entries 2020-10") == 2


def test_many_at_once_close_once(shop: Shop) -> None:
    """Equal requests and others with keys of their own: the entries are made once."""
    with ThreadPoolExecutor(8) as pool:
        keys = ["same", "same", "same", "a", "b", None, None, None]
        found = list(pool.map(lambda key: shop.close("2020-10", key), keys))
    assert any(isinstance(each, Closed) for each in found)
    shop.close("2020-10")  # whoever closed it may have been overtaken before it posted
    for each in found:
        if isinstance(each, Refusal):
            assert each.rejection.code in ("period_already_closed", "period_not_closed")
    assert [about for _, _, about in shop.events()].count("Closing entries 2020-10") == 2
    assert shop.balances()["retained", EUR] == 39


def test_nobody_comes_between_closing_and_entries(shop: Shop) -> None:
    """While periods close with entries, no late posting gets in; what is refused is refused as closed."""
    late: list[str] = []
    stop = False

    def post() -> None:
        while not stop:
            outcome = shop.move("cash", "sales:1", 1, "2020-10-15")
            late.append(outcome.rejection.code if isinstance(outcome, Refusal) else "posted")

    with ThreadPoolExecutor(2) as pool:
        posting = [pool.submit(post) for _ in range(2)]
        while not late:
            time.sleep(0.001)
        shop.closed("2020-10")
        after = len(late)
        shop.closed("2020-11")
        stop = True
        for each in posting:
            each.result(60)
    assert set(late[after + 2 :]) <= {"period_closed"}
    assert ("sales:1", USD) not in shop.balances()


# ---------------------------------------------------------------- limits


def test_entries_that_are_refused_leave_the_period_closed(shop: Shop) -> None:
    """An account's limit binds closing entries too; all of them are refused together, and it is said why."""
    refused = shop.close("2020-10", body=c.PeriodClosing(retained_earnings="narrow"))
    assert isinstance(refused, Refusal)
    assert refused.rejection.code == "max_balance_exceeded"
    assert shop.balances()["sales:2", USD] == -500
    assert [each.period for each in periods(shop.reader, "main", 0, 9).closed] == ["2020-10"]
    assert len(shop.closed("2020-10").entries) == 2  # without a key, those that are missing are made


def test_entries_do_not_go_into_a_larger_period_that_is_closed(shop: Shop) -> None:
    """Refused before anything is closed; without entries a period inside may be closed as well."""
    shop.closed("2020-Q4")
    head = shop.head()
    refused = shop.close("2020-10")
    assert isinstance(refused, Refusal)
    assert (refused.rejection.code, shop.head()) == ("larger_period_closed", head)
    assert isinstance(shop.close("2020-10", body=c.PeriodClosing()), Closed)


@pytest.mark.parametrize(
    ("account", "wanted"),
    [
        ("wages", "retained_earnings_not_equity"),
        ("old", "retained_earnings_not_equity"),
        ("nowhere", "account_not_in_chart"),
    ],
)
def test_retained_earnings_are_equity(shop: Shop, account: str, wanted: str) -> None:
    """Refused before anything is closed."""
    head = shop.head()
    refused = shop.close("2020-10", body=c.PeriodClosing(retained_earnings=account))
    assert isinstance(refused, Refusal)
    assert (refused.rejection.code, shop.head()) == (wanted, head)


def test_entries_of_many_accounts_fit_their_events(shop: Shop) -> None:
    """More accounts than one transaction holds legs, with addresses as long as they may be, in one group."""
    long = "x" * 240
    legs = []
    for n in range(700):
        address = f"sales:{long}{n:04}" if n % 2 else f"sales:{n}"
        legs.append(c.Posting(address, "credit", n + 1, USD))
    at = moment(from_iso("2020-10-15T10:00:00.000000Z"))
    for part in (legs[i : i + 100] for i in range(0, 700, 100)):
        cash = c.Posting("cash", "debit", sum(p.amount for p in part), USD)
        done(do(shop.writer, c.Transaction(postings=[cash, *part], effective_at=at)))
    closed = shop.closed("2020-10")
    assert len(closed.entries) > 4
    assert {address for address, _ in shop.balances()} == {
        "cash",
        "retained",
        "statistics",
        "statistics:other",
    }
    views = shop.reader.entries("main", closed.entries)
    assert max(len(view.postings) for view in views) <= c.MAX_LEGS
