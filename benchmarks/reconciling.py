"""Reconciling two long sides, most of which match by their reference, some by amount and day, some not.

In a process of its own, whose memory is that of the comparison: `python -m benchmarks.reconciling COUNT`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from ledger.reconciliation.items import Item, Rules, Tally
from ledger.reconciliation.matching import reconcile


def side(name: str, count: int) -> Iterator[Item]:
    """Of a hundred items, 90 have a reference, 9 none, and one has another amount on each side."""
    for n in range(count):
        last = n % 100
        reference = f"INV-{n * 7919 % count:09}" if last < 90 else ""
        amount = 1_000 + n * 31 % 50_000 + (10_000_000 if last == 99 and name == "here" else 0)
        yield Item(f"2026-01-{1 + n * 28 // count:02}", f"{name}-{n}", reference, amount, "EUR/2", "posted")


class Compared(Struct, frozen=True):
    """Items of both sides a second, the peak of the process's memory in MB, and how much matched."""

    rate: float
    peak_mb: float
    match_rate: str


def compared(count: int) -> Compared:
    """So many against as many, in another process."""
    command = (sys.executable, "-m", "benchmarks.reconciling", str(count))
    done = subprocess.run(command, capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=Compared)


def main(count: int) -> None:
    """The same in this one."""
    tally = Tally()
    started = time.perf_counter()
    with TemporaryDirectory(prefix="daybook-bench-") as folder:
        for finding in reconcile(side("here", count), side("there", count), Rules(), Path(folder)):
            tally.add(finding)
    rate = 2 * count / (time.perf_counter() - started)
    sys.stdout.buffer.write(msgspec.json.encode(Compared(rate, _peak_mb(), tally.match_rate)))


def _peak_mb() -> float:
    """Of this process alone: getrusage would answer that of whoever started it, if it was larger."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
