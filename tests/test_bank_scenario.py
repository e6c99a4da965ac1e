"""The main job on real input: a bank's nine months as double entries, compared with the bank's own balances.

A person runs it, figures and all, with

    python -m pytest -s tests/test_bank_scenario.py

The input is transactions-1993.csv of the PKDD'99 Discovery Challenge, in the folder `bank` of
DAYBOOK_SHARED_DATA (else ../shared/data beside the checkout); without it there is nothing to compare with,
and the scenario is skipped.

How the bank's closing balance of an account's day is found. Every row shows the bank's balance after it, but
within a day the rows are not in the bank's order. So a day's rows are chained: an ordering is the bank's if
it starts from the bank's closing balance of the account's previous day (zero before the first) and each row's
balance is the balance before it plus or minus its amount, within 0.10, because the bank rounded interest to
one decimal. Every such ordering is followed, and what it ends with is a possible closing
balance. For every account and day of this file there is exactly one. Our own figures play no part in it.

The rounding stays in the bank's balances from then on, while ours are sums of the amounts as printed. So the
closing balances drift apart by up to 0.30 in nine months, and the change of the balance within one day by
0.10 at most: that is the honest measure of a day.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ledger.reader import Reader
from projections.account_reads import daily_balances
from projections.balances_at import balances_at
from projections.daily_balances import DailyBalances
from tests.daybook_command import ROOT, succeeds
from tests.histories import project

FILE = Path(
    os.environ.get("DAYBOOK_SHARED_DATA", ROOT.parent / "shared" / "data"), "bank", "transactions-1993.csv"
)
SCENARIO = Path(__file__).with_name("scenarios") / "bank"
TIME_ZONE = "Europe/Prague"
ROUNDING = 10  # hellers: the bank rounds to 0.10 CZK

Day = tuple[str, date]  # account and day
Row = tuple[int, int]  # amount, plus to the customer's benefit, and the bank's balance after it

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"the bank's transactions are not at {FILE}")


def test_a_banks_nine_months_agree_with_its_own_balances(
    database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every row is posted once, the books balance, and each day agrees but for the bank's rounding."""
    imported = import_file(database)
    assert imported.startswith("14,125 posted, 0 already there, 0 refused; ")
    assert import_file(database).startswith("0 posted, 14,125 already there, 0 refused; ")

    bank = bank_closings()
    with closing(Reader(database)) as reader:
        ours = our_closings(reader)
        check_books(reader)
        check_days(database, reader, ours)
    assert ours.keys() == bank.keys()
    assert len(bank) == 12_059

    balances = Counter(abs(ours[day] - bank[day]) for day in bank)
    changes = Counter(abs(ours_ - banks) for ours_, banks in zip(by_day(ours), by_day(bank), strict=True))
    with capsys.disabled():
        print(f"\nbank, import: {imported.strip()}")
        print(f"bank, closing balance at the end of an account's day: {agreement(balances)}")
        print(f"bank, change of the balance within an account's day:  {agreement(changes)}")
    assert balances[0] >= 8_797
    assert balances[0] + balances[ROUNDING] >= 11_765
    assert max(balances) <= 3 * ROUNDING
    assert changes[0] >= 11_372
    assert max(changes) <= ROUNDING


def import_file(database: str) -> str:
    """Open the ledger if it is not there, import, and answer with the last line."""
    if "bank" not in ledgers(database):
        succeeds(database, "open", "bank", "--chart", SCENARIO / "chart.json", "--time-zone", TIME_ZONE)
    return succeeds(database, "import", "bank", FILE, "--mapping", SCENARIO / "mapping.toml")


def ledgers(database: str) -> list[str]:
    with closing(Reader(database)) as reader:
        return [ledger.name for ledger in reader.ledgers("", 10)]


def agreement(differences: Counter[int]) -> str:
    """Counts of account-days by how far apart the figures are."""
    days = differences.total()
    exact = differences[0]
    near = sum(count for apart, count in differences.items() if apart <= ROUNDING)
    widest = max(differences) / 100
    return (
        f"of {days:,}, {exact:,} agree to the cent ({exact / days:.1%}), "
        f"{near:,} within 0.10 ({near / days:.1%}), all within {widest:.2f}"
    )


def by_day(closings: dict[Day, int]) -> Iterator[int]:
    """The change of the balance in each account's day, in order."""
    before: dict[str, int] = defaultdict(int)
    for account, day in sorted(closings):
        balance = closings[account, day]
        yield balance - before[account]
        before[account] = balance


# ---------------------------------------------------------------- our side


def our_closings(reader: Reader) -> dict[Day, int]:
    """Each customer's balance at the end of each day with a posting, by effective day in the bank's zone."""
    zone = ZoneInfo(TIME_ZONE)
    closings: dict[Day, int] = {}
    accounts, more = reader.accounts("bank", 0, 2_000, "customers", None)
    assert more is None
    for account in accounts:
        changes: Counter[date] = Counter()
        statement = reader.statement("bank", account.address, None, (0, 0), 2_000)
        assert statement.next is None
        for line in statement.lines:
            day = datetime.fromisoformat(line.effective_at).astimezone(zone).date()
            changes[day] += line.amount if line.side == "credit" else -line.amount
        balance = 0
        for day in sorted(changes):
            balance += changes[day]
            closings[account.address.removeprefix("customers:"), day] = balance
    return closings


def check_days(database: str, reader: Reader, closings: dict[Day, int]) -> None:
    """The projection's days and the balances as of each of a hundred days are the same closing balances."""
    with reader.snapshot("bank") as (_, parameters):
        ledger_id = parameters["ledger_id"]
    project(database, ledger_id, reader.ledger("bank").seq, 5_000, (DailyBalances(),))
    found: dict[Day, int] = {}
    for account in {account for account, _ in closings}:
        days = daily_balances(
            reader, "bank", f"customers:{account}", None, start=None, to=None, after=None, limit=400
        )
        found |= {(account, date.fromisoformat(day.day)): day.posted for day in days.days}
    assert found == closings
    for account, day in sorted(closings)[::120]:
        [balance] = balances_at(reader, "bank", f"customers:{account}", day, None).balances
        assert balance.posted == closings[account, day]


def check_books(reader: Reader) -> None:
    """The trial balance balances, and its sums are those of the file."""
    view = reader.trial_balance("bank", 0, 2_000)
    assert view.balanced
    assert view.next is None
    credit: Counter[str] = Counter()
    for line in view.lines:
        credit[line.account.split(":")[0]] += line.credit - line.debit
        credit[line.account] += line.credit - line.debit

    rows = list(bank_rows())
    interest = sum(cents(row["amount"]) for row in rows if row["k_symbol"] == "UROK")
    fees = sum(cents(row["amount"]) for row in rows if row["k_symbol"] == "SLUZBY")
    assert credit["expense:interest"] == -interest
    assert credit["income:fees"] == fees
    assert credit["customers"] == sum(signed_amount(row) for row in rows)


# ---------------------------------------------------------------- the bank's side


def bank_rows() -> Iterator[dict[str, str]]:
    with FILE.open(encoding="ascii", newline="") as file:
        yield from csv.DictReader(file, delimiter=";")


def cents(text: str) -> int:
    whole, decimals = text.split(".")
    assert len(decimals) == 2
    return int(whole + decimals)


def signed_amount(row: dict[str, str]) -> int:
    return cents(row["amount"]) if row["type"] == "PRIJEM" else -cents(row["amount"])


def bank_closings() -> dict[Day, int]:
    """The bank's closing balance of every account's day, by the method in the module's head."""
    days: dict[str, dict[date, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in bank_rows():
        text = row["date"]
        day = date(1900 + int(text[:2]), int(text[2:4]), int(text[4:]))
        days[row["account_id"]][day].append((signed_amount(row), cents(row["balance"])))
    closings: dict[Day, int] = {}
    for account, rows_of in days.items():
        balance = 0
        for day in sorted(rows_of):
            (balance,) = endings(balance, rows_of[day])
            closings[account, day] = balance
    return closings


def endings(opening: int, rows: list[Row]) -> set[int]:
    """The balances with which the orderings that chain from `opening` end."""
    if not rows:
        return {opening}
    found: set[int] = set()
    for i, (amount, balance) in enumerate(rows):
        if abs(opening + amount - balance) <= ROUNDING:
            found |= endings(balance, rows[:i] + rows[i + 1 :])
    return found


def test_the_order_of_a_day_is_found_by_chaining() -> None:
    """Whatever the order in the file, only orderings whose balances follow from each other count."""
    deposit, fee, interest = (50_000, 150_000), (-1_460, 148_540), (2_000, 150_550)
    for rows in ([deposit, fee, interest], [interest, fee, deposit], [fee, interest, deposit]):
        assert endings(100_000, rows) == {150_550}
    assert endings(100_000, [deposit, fee, (2_000, 150_551)]) == set()
    assert endings(0, [(100, 100), (-100, 0), (100, 100)]) == {100}
