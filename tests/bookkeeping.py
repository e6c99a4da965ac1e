"""A small ledger to work on: a chart, and one-line ways to move money in it.

`cash` and `fees` have no bounds; `customers:{n}` may not fall below zero; `capped:{n}` may not rise above
1,000; `vault:{n}` is an asset between 0 and 1,000.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import psycopg

from ledger import commands as c
from ledger.batch import Outcome, Recorded, Refusal, Replayed, Request
from ledger.chart import AccountPattern, ChartDocument, Limits
from ledger.vouchers import commands as v
from ledger.writer import Answer, Writer

USD = "USD/2"
CHART = ChartDocument(
    assets=(USD, "EUR/2"),
    accounts=(
        AccountPattern("cash", "asset"),
        AccountPattern("fees", "income"),
        AccountPattern("customers:{n}", "liability", limits={"*": Limits(min_available=0)}),
        AccountPattern("capped:{n}", "liability", limits={"*": Limits(max_balance=1_000)}),
        AccountPattern("vault:{n}", "asset", limits={"*": Limits(min_available=0, max_balance=1_000)}),
    ),
)


def open_ledger(writer: Writer, name: str = "main") -> None:
    """Open a ledger with the chart of this module."""
    outcome = do(writer, c.LedgerOpening(name=name, chart=CHART), ledger=name)
    assert isinstance(outcome, Recorded), outcome


def transaction(debit: str, credit: str, amount: int, **extra: Any) -> c.Transaction:
    """Two legs in USD."""
    legs = [c.Posting(debit, "debit", amount, USD), c.Posting(credit, "credit", amount, USD)]
    return c.Transaction(postings=legs, **extra)


def deposit(customer: int | str, amount: int, **extra: Any) -> c.Transaction:
    """Cash in: the customer's balance grows."""
    return transaction("cash", f"customers:{customer}", amount, **extra)


def withdrawal(customer: int | str, amount: int, **extra: Any) -> c.Transaction:
    """Cash out: refused beyond what the customer has."""
    return transaction(f"customers:{customer}", "cash", amount, **extra)


def do(
    writer: Writer, body: c.Body, subject: int | str = "", *, key: str | None = None, ledger: str = "main"
) -> Outcome:
    """One command, alone, and its outcome."""
    [outcome] = writer.execute(ledger, Request([c.command(body, subject, key=key)]))
    return outcome


def done(outcome: Outcome) -> int:
    """The seq of a command that must have been recorded, now or before."""
    if isinstance(outcome, Replayed):
        return outcome.seq
    assert isinstance(outcome, Recorded), outcome
    return outcome.event.seq


def register(writer: Writer, *names: str, ledger: str = "main") -> None:
    """Beneficiaries whom the book knows; nobody needs to know who they are."""
    bodies = [c.command(v.BeneficiaryRegistration(commitment="0" * 64), name) for name in names]
    for outcome in writer.execute(ledger, Request(bodies)):
        done(outcome)


def code(outcome: Outcome) -> str:
    """The code of a command that must have been refused."""
    assert isinstance(outcome, Refusal), outcome
    return outcome.rejection.code


def submit(writer: Writer, *commands: c.Command, ledger: str = "main") -> Future[Answer]:
    """Queue commands as one request; the answer comes later."""
    future: Future[Answer] = Future()
    writer.submit(ledger, Request(list(commands)), future.set_result)
    return future


def outcomes(future: Future[Answer]) -> list[Outcome]:
    """The outcomes of a request; a WriterError is raised."""
    answer = future.result(60)
    if isinstance(answer, Exception):
        raise answer
    return answer


@contextmanager
def head_locked(conninfo: str, ledger: str = "main") -> Iterator[psycopg.Connection[Any]]:
    """Hold the ledger's head, so that what is submitted meanwhile queues up behind one batch."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(
            "SELECT FROM daybook.heads JOIN daybook.ledgers USING (ledger_id)"
            " WHERE name = %s FOR UPDATE OF heads",
            (ledger,),
        )
        yield connection
        connection.rollback()


@contextmanager
def writing(conninfo: str, **options: Any) -> Iterator[Writer]:
    """A writer, closed at the end."""
    writer = Writer(conninfo, **options)
    try:
        yield writer
    finally:
        closing = threading.Thread(target=writer.close, daemon=True)
        closing.start()
        closing.join(60)
        assert not closing.is_alive(), "the writer does not close"
