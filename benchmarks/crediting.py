"""Uses of prepaid credits on one wallet, against plain transactions of the same run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from benchmarks import workload
from benchmarks.in_process import NAMES, drive
from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.chart import ChartDocument
from ledger.credits.commands import AddCredits, DeductCredits
from ledger.writer import Writer

CHART = ChartDocument(("USD/2", "CREDIT.calls/0"), (), ("credits",))
LOTS = 100


def open_wallet(writer: Writer, units: int) -> str:
    """A new ledger with one wallet of `units` credits in 100 open lots, which expire one after another."""
    name = next(NAMES)
    writer.execute(name, Request([c.command(c.LedgerOpening(name=name, chart=CHART))]))
    now = datetime.now(UTC)
    lots = [
        AddCredits(
            owner="hot",
            credit_type="calls",
            amount=units // LOTS,
            cost=units,
            asset="USD/2",
            expires_at=now + timedelta(days=30 + lot),
        )
        for lot in range(LOTS)
    ]
    outcomes = writer.execute(name, Request([c.command(lot) for lot in lots]))
    assert all(isinstance(outcome, Recorded) for outcome in outcomes), outcomes
    return name


def uses(writer: Writer, batches: int) -> float:
    """Uses a second in batches of 1,000, each with a key and a reference; all lots stay open to the last."""
    ledger = open_wallet(writer, batches * workload.BATCH * 2 * LOTS)
    requests = [Request([_use(n) for n in range(workload.BATCH)]) for _ in range(batches)]
    return batches * workload.BATCH / drive(writer, ledger, requests)


def _use(number: int) -> c.Command:
    body = DeductCredits(owner="hot", credit_type="calls", amount=1, reference=f"call-{number}")
    return c.command(body, key=workload.key())
