"""Closing entries: income and expense at zero as of a period's end, once, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing as closes
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
    """Sales, refunds, wages and rebates of October 2020 in two assets, and some of September and November."""
    with writing(database) as writer, closes(Reader(database)) as reader:
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
    assert shop.balances("2021-01-01Z")["retained", USD] == -(100 + 1_000 + 500 - 30 - 400 + 7 + 8_000)
