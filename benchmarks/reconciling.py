"""Reconciling two long sides, most of which match by their reference, some by amount and day, some not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.reconciliation.items import Item, Rules, Tally
from ledger.reconciliation.matching import reconcile


def side(name: str, count: int) -> Iterator[Item]:
    """Of a hundred items, 90 have a reference, 9 none, and one has another amount on each side."""
    for n in range(count):
        last = n % 100
        reference = f"INV-{n * 7919 % count:09}" if last < 90 else ""
        amount = 1_000 + n * 31 % 50_000 + (10_000_000 if last == 99 and name == "here" else 0)
        yield Item(f"2026-01-{1 + n * 28 // count:02}", f"{name}-{n}", reference, amount, "EUR/2", "posted")


def rate(count: int) -> tuple[float, Tally]:
    """Items of both sides a second, and what came of them."""
    tally = Tally()
    started = time.perf_counter()
    with TemporaryDirectory(prefix="daybook-bench-") as folder:
        for finding in reconcile(side("here", count), side("there", count), Rules(), Path(folder)):
            tally.add(finding)
    return 2 * count / (time.perf_counter() - started), tally
