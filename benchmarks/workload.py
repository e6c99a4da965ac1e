"""The commands that the benchmarks send, and what of them can be made ahead of the clock."""

from __future__ import annotations

import random
from collections.abc import Iterator
from uuid import uuid4

from ledger import commands as c
from ledger.batch import Request
from ledger.chart import AccountPattern, ChartDocument

ASSET = "USD/2"
CHART = ChartDocument((ASSET,), (AccountPattern("wallets:{n}", "liability"),))
ACCOUNTS = 1_000
BATCH = 1_000

_random = random.Random()


def key() -> str:
    """A random UUID, as clients send them."""
    return str(uuid4())


def transaction(hot: bool = False, pending: bool = False) -> c.Transaction:
    """A transfer between two of the accounts; `hot` puts one account on the debit side of every one."""
    one, other = _random.sample(range(1, ACCOUNTS), 2)
    return c.Transaction(
        postings=[
            c.Posting(f"wallets:{0 if hot else one}", "debit", 100, ASSET),
            c.Posting(f"wallets:{other}", "credit", 100, ASSET),
        ],
        pending=pending,
    )


def requests(
    batches: int, *, hot: bool = False, pending: bool = False, replayed: float = 0.0
) -> list[Request]:
    """Batches of independent transactions, each with its own key; a share of them repeats an earlier one."""
    made: list[c.Command] = []
    result = []
    for _ in range(batches):
        batch = []
        for _ in range(BATCH):
            if made and _random.random() < replayed:
                earlier = _random.choice(made)
                command = c.Command(earlier.body, earlier.subject, earlier.key, "", "", earlier.fingerprint)
            else:
                command = c.command(transaction(hot, pending), key=key())
                if replayed:
                    made.append(command)
            batch.append(command)
        result.append(Request(batch))
    return result


def opening(name: str) -> Request:
    """Opens a ledger with the benchmarks' chart."""
    return Request([c.command(c.LedgerOpening(name=name, chart=CHART))])


def warm_up() -> Request:
    """Touches every account once, so that none is opened while the clock runs."""
    return Request(
        [
            c.command(
                c.Transaction(
                    postings=[
                        c.Posting(f"wallets:{n}", "debit", 100, ASSET),
                        c.Posting(f"wallets:{n + 1}", "credit", 100, ASSET),
                    ]
                ),
                key=key(),
            )
            for n in range(0, ACCOUNTS, 2)
        ]
    )


def names() -> Iterator[str]:
    """Names of ledgers never used before."""
    while True:
        yield f"bench-{uuid4().hex[:12]}"
