"""A small ledger in which everything happens that a ledger can: what an audit must find in order.

Deposits under keys, holds posted in parts, posted whole, voided, expired and still open, reversals in part
and in full, remarks, an exchange of currencies, limits changed, accounts opened and closed, batches, a
refusal that its key remembers, periods closed and reopened, a balance asserted.
"""

from __future__ import annotations

import time

from ledger import commands as c
from ledger.batch import Request
from ledger.chart import ChartDocument, Limits
from ledger.writer import Writer
from tests.bookkeeping import CHART, USD, code, deposit, do, done, open_ledger, transaction, withdrawal

EUR = "EUR/2"


def fill(writer: Writer, ledger: str = "main") -> None:
    """The history of this module, in a ledger that is opened with it."""
    open_ledger(writer, ledger)
    for n in range(1, 6):
        done(do(writer, deposit(n, 1_000 * n, reference=f"order-{n}"), key=f"deposit-{n}", ledger=ledger))
    short = do(writer, transaction("cash", "customers:1", 1, pending=True, timeout_seconds=1), ledger=ledger)
    done(short)
    parts = done(do(writer, withdrawal(3, 900, pending=True, timeout_seconds=90_000), ledger=ledger))
    do(writer, c.HoldPosting(amounts=[300, 300]), parts, ledger=ledger)
    do(writer, c.HoldPosting(amounts=[200, 200], final=True), parts, ledger=ledger)
    voided = done(do(writer, withdrawal(2, 50, pending=True, timeout_seconds=90_000), ledger=ledger))
    do(writer, c.HoldVoid(), voided, ledger=ledger)
    whole = done(do(writer, withdrawal(2, 70, pending=True), key="hold", ledger=ledger))
    posted = done(do(writer, c.HoldPosting(), whole, ledger=ledger))
    do(writer, c.Reversal(), posted, ledger=ledger)
    sale = done(do(writer, transaction("customers:4", "fees", 400, description="Fee"), ledger=ledger))
    do(writer, c.Reversal(amounts=[150, 150]), sale, ledger=ledger)
    do(writer, c.Annotation(metadata={"why": "too much"}), sale, ledger=ledger)
    exchange = c.Transaction(
        postings=[
            c.Posting("customers:5", "debit", 1_100, USD),
            c.Posting("cash", "credit", 1_100, USD),
            c.Posting("cash", "debit", 1_000, EUR),
            c.Posting("customers:5", "credit", 1_000, EUR),
        ]
    )
    done(do(writer, exchange, key="exchange", ledger=ledger))
    do(writer, c.AccountLimits({"*": Limits(min_available=-500)}), "customers:5", ledger=ledger)
    do(writer, withdrawal(5, 4_200), ledger=ledger)
    done(do(writer, c.AccountOpening("customers:99"), ledger=ledger))
    done(do(writer, c.AccountClosing(), "customers:99", ledger=ledger))
    _batches(writer, ledger)
    assert code(do(writer, withdrawal(1, 99_999), key="refused", ledger=ledger)) == "insufficient_available"
    do(writer, ChartDocument((*CHART.assets, "JPY/0"), CHART.accounts), ledger=ledger)
    for n in (6, 7):
        done(do(writer, withdrawal(4, n, pending=True, timeout_seconds=90_000), ledger=ledger))
    time.sleep(1.01)
    do(writer, c.Annotation(metadata={"late": "remark"}), voided, ledger=ledger)
    for period in ("2020-05", "2021"):
        done(do(writer, c.PeriodClosing(), period, ledger=ledger))
    done(do(writer, c.PeriodReopening(reason="An invoice came late"), "2020-05", ledger=ledger))
    seen = c.BalanceAssertion(account="cash", asset=USD, at="2021-12-31", expected=0, source="bank")
    done(do(writer, seen, ledger=ledger))
    done(do(writer, deposit(1, 11), key="last", ledger=ledger))


def _batches(writer: Writer, ledger: str) -> None:
    group = [c.command(deposit(8, amount), key="batch") for amount in (10, 20, 30)]
    mark = group[0].fingerprint
    for command in group:
        command.fingerprint = mark
    writer.execute(ledger, Request(group, atomic=True, key="batch", fingerprint=mark))
    writer.execute(ledger, Request([c.command(deposit(9, n)) for n in (1, 2, 3)]))
