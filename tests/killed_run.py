"""A daily run over loans that is killed in the middle: `python -m tests.killed_run CONNINFO DAY PAGES`."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from datetime import date

from api.loan_run import LoanRun
from ledger import loan_reads
from ledger.reader import Reader
from ledger.writer import Writer

PAGE = 4


def run(conninfo: str, day: date, pages: int | None) -> None:
    """Pages of four loans; after so many are done, with others under way, the process kills itself."""
    loan_reads.every.__defaults__ = (PAGE,)
    with closing(Writer(conninfo)) as writer, closing(Reader(conninfo)) as reader:
        going = LoanRun(writer, reader, "main", day, provision=True, refusals=lambda *_: None)
        for done, _ in enumerate(going.go(), 1):
            if done == pages:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    run(sys.argv[1], date.fromisoformat(sys.argv[2]), int(sys.argv[3]))
