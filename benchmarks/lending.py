"""Repayments and a daily accrual over many loans, against plain transactions of the same run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from benchmarks import workload
from benchmarks.in_process import NAMES, drive
from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.loans import commands as loan
from ledger.loans.schedule import Interest
from ledger.loans.terms import Offer
from ledger.writer import Writer

CHART = ChartDocument(("USD/2",), (AccountPattern("bank", "asset"),), ("loans",))
OFFER = Offer(
    asset="USD/2", amount=500_000, interest=Interest("equal_instalments", "12"), count=18, fee=5_000
)
LOANS = 100_000
PARTS = 6  # each round is paid by one part of the loans, spread over all
LENT = datetime.now(UTC) - timedelta(days=45)
INSTALMENT = 30_491


def lend(writer: Writer, loans: int) -> str:
    """A new ledger with so many loans of 18 instalments, the first of which is past due."""
    name = next(NAMES)
    writer.execute(name, Request([c.command(c.LedgerOpening(name=name, chart=CHART))]))
    for commands in _batches(_applications(loans)):
        _recorded(writer, name, commands)
    held: dict[str, int] = {}
    for commands in _batches(_disbursements(loans)):
        seqs = _recorded(writer, name, commands)
        held |= {str(command.subject): seq for command, seq in zip(commands, seqs, strict=True)}
    confirming = (
        c.command(loan.DisbursementConfirmation(disbursement=seq, effective_at=LENT), subject)
        for subject, seq in held.items()
    )
    for commands in _batches(confirming):
        _recorded(writer, name, commands)
    return name


def repayments(writer: Writer, ledger: str, loans: int, round: int) -> float:
    """Repayments a second: an instalment of every sixth loan, in batches of 1,000, each with a key."""
    when = LENT + timedelta(days=30 + 2 * round)
    paying = range(round % PARTS, loans, PARTS)
    asked = (
        c.command(
            loan.Repayment(amount=INSTALMENT, account="bank", effective_at=when), f"L{n}", key=workload.key()
        )
        for n in paying
    )
    return len(paying) / drive(writer, ledger, [Request(commands) for commands in _batches(asked)])


def accruals(writer: Writer, ledger: str, loans: int, round: int) -> float:
    """Loans a second that accrue to the day of a round's repayments, all of them."""
    when = LENT + timedelta(days=30 + 2 * round)
    asked = (c.command(loan.Accrual(effective_at=when), f"L{n}") for n in range(loans))
    return loans / drive(writer, ledger, [Request(commands) for commands in _batches(asked)])


def _applications(loans: int) -> Iterator[c.Command]:
    for n in range(loans):
        yield c.command(loan.Assessment(kyc="verified", effective_at=LENT), f"B{n}")
        asked = loan.Application(
            loan=f"L{n}", borrower=f"B{n}", asset="USD/2", amount=OFFER.amount, effective_at=LENT
        )
        yield c.command(asked)
        yield c.command(loan.Approval(offer=OFFER, effective_at=LENT), f"L{n}")
        yield c.command(loan.Acceptance(effective_at=LENT), f"L{n}")


def _disbursements(loans: int) -> Iterator[c.Command]:
    for n in range(loans):
        yield c.command(loan.Disbursement(account="bank", method="bank_transfer", effective_at=LENT), f"L{n}")


def _batches(commands: Iterator[c.Command]) -> Iterator[list[c.Command]]:
    while batch := list(islice(commands, workload.BATCH)):
        yield batch


def _recorded(writer: Writer, ledger: str, commands: list[c.Command]) -> list[int]:
    outcomes = writer.execute(ledger, Request(commands))
    seqs = [outcome.event.seq for outcome in outcomes if isinstance(outcome, Recorded)]
    assert len(seqs) == len(commands), outcomes
    return seqs
