"""Statements, reports, search and assertions over HTTP, on books written as an accountant would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest

from projections.workers import Workers
from tests.conftest import NewDatabase
from tests.served import Book, Service, leg, move, served

CHART: dict[str, Any] = {
    "assets": ["USD/2", "EUR/2"],
    "accounts": [
        {"pattern": "cash:{till}", "type": "asset"},
        {"pattern": "vans", "type": "asset"},
        {"pattern": "vans:depreciation", "type": "asset", "contra": True},
        {"pattern": "loan", "type": "liability"},
        {"pattern": "capital", "type": "equity"},
        {"pattern": "drawings", "type": "equity", "contra": True},
        {"pattern": "retained", "type": "equity"},
        {"pattern": "sales:{kind}", "type": "income"},
        {"pattern": "sales:{kind}:refunds", "type": "income", "contra": True},
        {"pattern": "costs:{kind}", "type": "expense"},
        {"pattern": "lent:{what}", "type": "asset", "memo": True},
        {"pattern": "lenders", "type": "liability", "memo": True},
    ],
}

# Day, debit, credit, amount; recorded in this order, so that the third and the last are late.
BOOKS = """
    2026-01-02  cash:front         capital             1000
    2026-02-10  vans               loan                 600
    2026-01-15  cash:front         sales:bread          200
    2026-01-20  costs:rent         cash:front           150
    2026-02-28  costs:depreciation vans:depreciation     50
    2026-02-03  sales:bread:refunds cash:front           20
    2026-02-05  cash:back          sales:cake           300
    2026-02-06  drawings           cash:back            100
    2026-02-07  lent:ladder        lenders               40
    2026-01-31  costs:rent         cash:front            30
"""


@pytest.fixture(scope="module")
def service(new_database: NewDatabase) -> Iterator[Service]:
    with new_database() as conninfo, closing(Workers(conninfo)), served(conninfo) as service:
        yield service


@pytest.fixture(scope="module")
def book(service: Service) -> Book:
    """The books above, at seq 11."""
    return enter(opened(service), BOOKS)


def opened(service: Service, zone: str = "Europe/Prague") -> Book:
    book = service.open(CHART)
    name = f"{book.name}-zone"
    answer = service.call("POST", "/v1/ledgers", {"name": name, "chart": CHART, "time_zone": zone})
    assert answer.status_code == 201, answer.text
    return Book(service, name)


def enter(book: Book, text: str) -> Book:
    """Post the lines of a text, at noon UTC of their days."""
    for line in text.split("\n"):
        if line.strip():
            day, debit, credit, amount = line.split()
            book.seq(move(debit, credit, int(amount), effective_at=f"{day}T12:00:00Z"))
    return book


def table(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def lines(section: list[dict[str, Any]]) -> list[str]:
    return [" ".join(str(value) for value in line.values()) for line in section]


# ---------------------------------------------------------------- reports


def sheet(book: Book, **query: Any) -> list[str]:
    """A balance sheet of one asset as a table."""
    answer = book.get("/balance-sheet", **query)
    [found] = answer["sheets"]
    assert answer["balanced"]
    assert found["total_assets"] == (
        found["total_liabilities"] + found["total_equity"] + found["current_earnings"]
    )
    rows = [
        f"{name} {line}"
        for name in ("assets", "liabilities", "equity", "memo")
        for line in lines(found[name])
    ]
    totals = ("total_assets", "total_liabilities", "total_equity", "current_earnings")
    return rows + [f"{name} {found[name]}" for name in totals]


def test_balance_sheet_nets_contra_accounts_and_keeps_memo_accounts_apart(book: Book) -> None:
    """A van less its depreciation is one line; what is lent for nothing is under no total."""
    assert sheet(book) == table(
        """
        assets       cash      1200
        assets       vans       550
        liabilities  loan       600
        equity       capital   1000
        equity       drawings  -100
        memo         lent      asset     40
        memo         lenders   liability 40
        total_assets       1750
        total_liabilities   600
        total_equity        900
        current_earnings    250
        """
    )


def test_balance_sheet_as_of_a_day_has_what_counts_by_its_end(book: Book) -> None:
    """At the end of January there was no van, however late January's entries were made."""
    expected = """
        assets       cash      {cash}
        equity       capital   1000
        total_assets       {cash}
        total_liabilities     0
        total_equity       1000
        current_earnings   {earned}
    """
    assert sheet(book, as_of="2026-01-31") == table(expected.format(cash=1020, earned=20))
    assert sheet(book, as_of="2026-01-31", known_at=10) == table(expected.format(cash=1050, earned=50))
    assert sheet(book, as_of="2026-01-30") == table(expected.format(cash=1050, earned=50))


def test_balance_sheet_by_full_addresses(book: Book) -> None:
    """With more depth a contra account is a line of its own, below zero."""
    rows = sheet(book, depth=3)
    assert "assets vans 600" in rows
    assert "assets vans:depreciation -50" in rows
    assert "assets cash:back 200" in rows


def test_a_balance_sheet_says_by_how_much_memo_accounts_take_it_out_of_balance(service: Service) -> None:
    """An entry between a memo account and another has its other side nowhere on the sheet."""
    book = enter(opened(service), "2026-01-02  lent:car  capital  70")
    answer = book.get("/balance-sheet")
    assert (answer["balanced"], answer["sheets"][0]["memo_total"]) == (False, 70)
    assert book.get("/trial-balance")["balanced"]


def test_reports_never_add_up_assets(service: Service) -> None:
    """Dollars and euros have a sheet and a statement each."""
    book = opened(service)
    for asset in ("USD/2", "EUR/2"):
        book.seq(move("cash:a", "sales:b", 7, asset))
    assert [s["asset"] for s in book.get("/balance-sheet")["sheets"]] == ["EUR/2", "USD/2"]
    assert [(s["asset"], s["net_income"]) for s in book.get("/income-statement")["statements"]] == [
        ("EUR/2", 7),
        ("USD/2", 7),
    ]


def income(book: Book, **query: Any) -> list[str]:
    [found] = book.get("/income-statement", **query)["statements"]
    rows = [f"{name} {line}" for name in ("income", "expenses") for line in lines(found[name])]
    return [*rows, f"net {found['net_income']}"]


def test_income_statement_of_a_month(book: Book) -> None:
    """What came in and went out in February; refunds are netted in sales."""
    assert income(book, **{"from": "2026-02-01", "to": "2026-02-28"}) == table(
        """
        income    sales  280
        expenses  costs   50
        net  230
        """
    )
    assert income(book, **{"from": "2026-02-01", "to": "2026-02-28", "depth": 2}) == table(
        """
        income    sales:bread         -20
        income    sales:cake          300
        expenses  costs:depreciation   50
        net  230
        """
    )
    assert income(book, to="2026-01-31", known_at=10)[-1] == "net 50"


def test_net_income_of_a_period_is_what_current_earnings_moved_by(book: Book) -> None:
    """Without closing entries in between, for any two days."""
    days = ["2026-01-02", "2026-01-15", "2026-01-31", "2026-02-05", "2026-02-28"]
    earned = {day: book.get("/balance-sheet", as_of=day)["sheets"][0]["current_earnings"] for day in days}
    for one, other in pairwise(days):
        query = {"from": f"{one}T23:00:00Z", "to": other}  # midnight in Prague
        statements = book.get("/income-statement", **query)["statements"]
        net = statements[0]["net_income"] if statements else 0
        assert net == earned[other] - earned[one], (one, other)


def test_closing_entries_hand_earnings_on_and_are_not_in_the_income_statement(service: Service) -> None:
    """After the close January's earnings are equity; its income statement says the same as before."""
    book = enter(opened(service), BOOKS)
    january = {"from": "2026-01-01", "to": "2026-01-31"}
    before = income(book, **january)
    answer = book.call("POST", "/periods/2026-01/close", {"retained_earnings": "retained"})
    assert answer.status_code == 201, answer.text
    assert income(book, **january) == before == ["income sales 200", "expenses costs 180", "net 20"]
    rows = sheet(book, as_of="2026-01-31")
    assert "equity retained 20" in rows
    assert rows[-1] == "current_earnings 0"
    assert sheet(book)[-1] == "current_earnings 230"


@pytest.mark.parametrize("effective_at", ["2026-01-31T22:59:59.999999Z", "2026-02-15T12:00:00Z"])
def test_reversed_closing_entries_are_not_in_the_income_statement(
    service: Service, effective_at: str
) -> None:
    """What takes closing entries back earns nothing, whenever it counts: statements stay as they were."""
    book = enter(opened(service), BOOKS)
    january, february = ({"from": f"2026-0{month}-01", "to": f"2026-0{month}-28"} for month in (1, 2))
    january["to"] = "2026-01-31"
    before = income(book, **january), income(book, **february), income(book), sheet(book)
    closed = book.call("POST", "/periods/2026-01/close", {"retained_earnings": "retained"}).json()
    book.call("POST", "/periods/2026-01/reopen", {"reason": "closed too early"})
    [entry] = closed["closing_entries"]
    answer = book.call("POST", f"/transactions/{entry}/reverse", {"effective_at": effective_at})
    assert answer.status_code == 201, answer.text
    assert (income(book, **january), income(book, **february), income(book), sheet(book)) == before
    assert income(book, **january, known_at=entry) == before[0]


def test_only_closing_entries_are_left_out_of_the_income_statement(service: Service) -> None:
    """Metadata that look like theirs do not hide a sale, even at the last moment of a period."""
    book = enter(opened(service), BOOKS)
    for verb, body in (("close", {}), ("reopen", {"reason": "late sale"})):
        assert book.call("POST", f"/periods/2026-01/{verb}", body).status_code == 201
    sale = move("cash:front", "sales:bread", 5, effective_at="2026-01-31T22:59:59.999999Z")
    book.seq({**sale, "metadata": {"closing_entries": "2026-01"}})
    assert income(book, **{"from": "2026-01-01", "to": "2026-01-31"})[0] == "income sales 205"


def test_trial_balance_as_of_a_day_and_as_known(book: Book) -> None:
    """Each account in its column, the columns equal; pages join up."""
    answer = book.get("/trial-balance", as_of="2026-01-31", known_at=10)
    found = [f"{line['account']} {line['debit']} {line['credit']}" for line in answer["lines"]]
    assert found == ["cash:front 1050 0", "capital 0 1000", "sales:bread 0 200", "costs:rent 150 0"]
    assert (answer["balanced"], answer["seq"]) == (True, 10)
    assert answer["totals"][0]["debit"] == answer["totals"][0]["credit"] == 1200
    paged, after = [], 0
    while after is not None:
        page = book.get("/trial-balance", as_of="2026-01-31", known_at=10, limit=3, after=after)
        assert page["totals"] == answer["totals"]
        paged += page["lines"]
        after = page["next"]
    assert paged == answer["lines"]
    now = book.get("/trial-balance")
    assert book.get("/trial-balance", as_of="2026-12-31") == now | {"as_of": "2026-12-31T22:59:59.999999Z"}
    assert book.get("/trial-balance", known_at=now["seq"]) == now


# ---------------------------------------------------------------- statements, days, activity


def statement(book: Book, account: str, **query: Any) -> list[str]:
    """All pages of a statement as a table."""
    rows: list[str] = []
    after = ""
    while True:
        page = book.get(f"/accounts/{account}/statement", after=after, **query)
        rows += [
            f"{line['effective_at'][:10]} {line['seq']} {line['side']} {line['amount']} {line['posted']}"
            for line in page["lines"]
        ]
        if page["next"] is None:
            opening, closing = page["opening"]["posted"], page["closing"]["posted"]
            return [f"opening {opening}", *rows, f"closing {closing} {page['debits']} {page['credits']}"]
        after = page["next"]


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_statement_over_a_period_runs_in_effective_order(book: Book, limit: int) -> None:
    """Late entries stand where they count, with the balances that they then make, on any size of page."""
    query = {"from": "2026-01-15", "to": "2026-01-31", "limit": limit}
    assert statement(book, "cash:front", **query) == table(
        """
        opening 1000
        2026-01-15   4  debit   200  1200
        2026-01-20   5  credit  150  1050
        2026-01-31  11  credit   30  1020
        closing 1020 200 180
        """
    )
    assert statement(book, "cash:front", known_at=10, **query)[-1] == "closing 1050 200 150"


def test_statement_pages_of_one_moment_and_later_entries(service: Service) -> None:
    """Many legs of one moment are split over pages; what is recorded meanwhile is on none of them."""
    book = opened(service)
    at = "2026-03-29T00:59:59Z"
    for _ in range(5):
        legs = [leg("cash:a", "debit", 10), leg("cash:a", "debit", 1), leg("capital", "credit", 11)]
        book.seq({"postings": legs, "effective_at": at})
    query = {"from": "2026-03-29", "to": "2026-03-29", "limit": 3}
    first = book.get("/accounts/cash:a/statement", **query)
    book.seq(move("cash:a", "capital", 1_000, effective_at=at))
    balances = [line["posted"] for line in first["lines"]]
    page = first
    while page["next"] is not None:
        page = book.get("/accounts/cash:a/statement", after=page["next"], **query)
        balances += [line["posted"] for line in page["lines"]]
        assert page["seq"] == first["seq"] == 6
    assert balances == [10, 11, 21, 22, 32, 33, 43, 44, 54, 55]
    assert page["closing"]["posted"] == 55


def test_days_of_an_account_close_with_their_balances(book: Book) -> None:
    """One row a day on which something counts, also where it was entered late."""
    page = book.get("/accounts/cash:front/daily-balances", min_seq=11)
    assert page["seq"] == 11
    found = [f"{d['day']} {d['debits']} {d['credits']} {d['posted']}" for d in page["days"]]
    assert found == table(
        """
        2026-01-02  1000    0  1000
        2026-01-15   200    0  1200
        2026-01-20     0  150  1050
        2026-01-31     0   30  1020
        2026-02-03     0   20  1000
        """
    )
    query = {"from": "2026-01-15", "to": "2026-01-31", "limit": 2, "min_seq": 11}
    first = book.get("/accounts/cash:front/daily-balances", **query)
    rest = book.get("/accounts/cash:front/daily-balances", after=first["next"], **query)
    assert first["days"] + rest["days"] == page["days"][1:4]


def test_a_day_is_the_ledgers_own(service: Service) -> None:
    """Half past eleven at night in UTC is the next day in Prague."""
    book = opened(service)
    seq = book.seq(move("cash:a", "capital", 5, effective_at="2026-06-30T22:30:00Z"))
    assert book.balance("cash:a", as_of="2026-06-30") == (0, 0, 0)
    assert book.balance("cash:a", as_of="2026-07-01") == (5, 5, 5)
    assert book.balance("cash:a", as_of="2026-06-30T22:29:59.999999Z") == (0, 0, 0)
    assert book.balance("cash:a", as_of="2026-06-30T22:30:00Z") == (5, 5, 5)
    [day] = book.get("/accounts/cash:a/daily-balances", min_seq=seq)["days"]
    assert day["day"] == "2026-07-01"


def test_activity_shows_the_latest_first(book: Book) -> None:
    """In effective order backwards, page by page."""
    found: list[str] = []
    before: dict[str, str] = {}
    while True:
        page = book.get("/accounts/cash:front/activity", limit=2, min_seq=11, **before)
        found += [f"{line['effective_at'][:10]} {line['side']} {line['amount']}" for line in page["lines"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert found == table(
        """
        2026-02-03  credit    20
        2026-01-31  credit    30
        2026-01-20  credit   150
        2026-01-15  debit    200
        2026-01-02  debit   1000
        """
    )


# ---------------------------------------------------------------- search


@pytest.fixture(scope="module")
def shop(service: Service) -> Book:
    """Orders 1 to 30 at seqs 2 to 31, in January; a remark on order 5 at seq 32."""
    book = opened(service)
    for n in range(1, 31):
        extra: dict[str, Any] = {
            "effective_at": f"2026-01-{n:02}T12:00:00Z",
            "metadata": {"order": str(n), "channel": "web" if n % 2 else "shop"},
            "reference": f"week-{n // 7}",
        }
        book.seq(move(f"cash:{n % 3}", "sales:bread", n * 100, **extra))
    answer = book.call("POST", "/transactions/6/annotate", {"metadata": {"checked": "yes"}})
    assert answer.status_code == 201
    return book


def found(book: Book, **query: Any) -> list[int]:
    """The orders that are found, over all pages."""
    orders: list[int] = []
    query = {"min_seq": 32, **query}
    while True:
        page = book.get("/transactions/search", **query)
        orders += [int(entry["metadata"]["order"]) for entry in page["transactions"]]
        if page["next"] is None:
            return orders
        query["before"] = page["next"]


@pytest.mark.parametrize(
    ("query", "orders"),
    [
        ({"metadata[order]": "7"}, [7]),
        ({"metadata[order]": "7", "metadata[channel]": "web"}, [7]),
        ({"metadata[order]": "7", "metadata[channel]": "shop"}, []),
        ({"metadata[channel]": "web", "reference": "week-1"}, [13, 11, 9, 7]),
        ({"metadata[checked]": "yes"}, [5]),
        ({"metadata[checked]": "no"}, []),
        ({"reference": "week-4"}, [30, 29, 28]),
        ({"asset": "USD/2", "amount_min": 2_850}, [30, 29]),
        ({"asset": "USD/2", "amount_min": 500, "amount_max": 700}, [7, 6, 5]),
        ({"asset": "EUR/2", "amount_min": 500}, []),
        ({"asset": "JPY/0"}, []),
        ({"effective_from": "2026-01-28", "effective_to": "2026-01-29"}, [29, 28]),
        ({"effective_from": "2026-01-30T12:00:00Z"}, [30]),
        ({"effective_to": "2026-01-02T12:00:00Z"}, [1]),
        ({"account": "cash:0", "effective_from": "2026-01-25"}, [30, 27]),
        ({"account": "cash:0", "asset": "USD/2", "amount_max": 600, "metadata[channel]": "shop"}, [6]),
        ({"recorded_to": "2026-01-31"}, []),
        ({"recorded_from": "2026-01-31", "type": "transaction_posted", "limit": 7}, list(range(30, 0, -1))),
        ({"type": "transaction_reversed"}, []),
        ({"asset": "USD/2", "limit": 11}, list(range(30, 0, -1))),
    ],
)
def test_transactions_are_found(shop: Book, query: dict[str, Any], orders: list[int]) -> None:
    """By anything and everything together, newest first, page by page."""
    assert found(shop, **query) == orders
    assert found(shop, limit=1, **{k: v for k, v in query.items() if k != "limit"}) == orders


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/transactions/search?amount_min=1", "asset"),
        ("/transactions/search?metadata[a]=1&metadata[a]=2", "a"),
        ("/transactions/search?metadata=1", "metadata"),
        ("/transactions/search?metadata[a]=%00", "metadata.a"),
        ("/transactions/search?effective_from=yesterday", "effective_from"),
        ("/transactions/search?effective_from=2026-02-02&effective_to=2026-02-01", "effective_to"),
        ("/income-statement?from=2026-02-02&to=2026-01-01", "to"),
        ("/income-statement?depth=0", "depth"),
        ("/balance-sheet?as_of=2026-13-01", "as_of"),
        ("/accounts/cash:1/statement?known_at=3", "known_at"),
        ("/accounts/cash:1/statement?after=1.1.1.1", "after"),
        ("/accounts/cash:1/statement?from=2026-01-01&after=1.1", "after"),
        ("/accounts/cash:1/statement?from=2026-01-01&after=999999999999999999.1.1.1", "after"),
        ("/accounts/cash:1/statement?from=1", "from"),
        ("/accounts/cash:1/activity?before=999999999999999999.1.1", "before"),
        ("/accounts/cash:1/daily-balances?from=x", "from"),
        ("/assertions?status=maybe", "status"),
    ],
)
def test_bad_parameters_are_refused_by_name(shop: Book, path: str, field: str) -> None:
    """400, naming the parameter."""
    answer = shop.call("GET", path)
    assert answer.status_code == 400, answer.text
    assert answer.json()["field"] == field


# ---------------------------------------------------------------- assertions


def judged(book: Book, **query: Any) -> list[str]:
    page = book.get("/assertions", min_seq=book.head(), **query)
    return [f"{a['seq']} {a['actual']} {a['status']} {a.get('failing_since')}" for a in page["assertions"]]


def test_assertions_are_judged_again_by_every_late_entry(service: Service) -> None:
    """What is posted into the asserted day changes the result; what counts later does not."""
    book = enter(opened(service), "2026-01-02  cash:a  capital  100")

    def claim(account: str, expected: int, tolerance: int = 0) -> None:
        body = {
            "account": account,
            "asset": "USD/2",
            "at": "2026-01-31",
            "expected": expected,
            "tolerance": tolerance,
            "source": "bank",
        }
        assert book.call("POST", "/assertions", body).status_code == 201

    claim("cash:a", 100)
    claim("capital", 90, 10)
    claim("cash:a", 70)
    assert judged(book) == ["3 100 passing None", "4 100 passing None", "5 100 failing 5"]
    enter(book, "2026-02-01  cash:a  capital  500")
    assert judged(book, status="failing") == ["5 100 failing 5"]
    enter(book, "2026-01-31  capital  cash:a  30")
    assert judged(book) == ["3 70 failing 7", "4 70 failing 7", "5 70 passing None"]
    assert judged(book, account="capital", status="failing") == ["4 70 failing 7"]
    hold = move("capital", "cash:a", 5, pending=True, effective_at="2026-01-31T12:00:00Z")
    book.seq(hold)
    assert judged(book, status="failing") == ["3 70 failing 7", "4 70 failing 7"]
    enter(book, "2026-01-31  cash:a  capital  20")
    assert judged(book) == ["3 90 failing 7", "4 90 passing None", "5 90 failing 9"]
    [first] = book.get("/assertions", limit=1)["assertions"]
    assert (first["difference"], first["expected"], first["source"]) == (-10, 100, "bank")


def test_an_assertion_counts_what_is_effective_at_its_very_moment(service: Service) -> None:
    """To the microsecond, both for what was recorded before the assertion and for what comes late."""
    book = enter(opened(service), "2026-01-31  cash:a  capital  100")
    for at in ("2026-01-31T12:00:00Z", "2026-01-31T11:59:59.999999Z"):
        body = {"account": "cash:a", "asset": "USD/2", "at": at, "expected": 100, "source": "count"}
        assert book.call("POST", "/assertions", body).status_code == 201
    assert judged(book) == ["3 100 passing None", "4 0 failing 4"]
    enter(book, "2026-01-31  cash:a  capital  5")
    assert judged(book) == ["3 105 failing 5", "4 0 failing 4"]
