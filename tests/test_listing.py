"""Lists of transactions: every page together is every transaction that matches, once, in either order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from ledger import commands as c
from ledger.batch import Request
from ledger.reader import Reader
from tests.bookkeeping import USD, open_ledger, writing

LEGS, TRANSACTIONS = 400, 12


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    with writing(database) as writer:
        open_ledger(writer)
        for n in range(TRANSACTIONS):
            asset = (USD, "EUR/2")[n % 2]
            legs = [c.Posting("cash", "debit", 1, asset), c.Posting("fees", "credit", 1, asset)] * (LEGS // 2)
            writer.execute("main", Request([c.command(c.Transaction(postings=legs))]))
    with closing(Reader(database)) as reader:
        yield reader


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("limit", [1, 5, 100])
def test_pages_of_an_account_with_many_legs_and_assets_lose_nothing(
    reader: Reader, newest_first: bool, limit: int
) -> None:
    """An account whose events have hundreds of legs in two assets is listed whole."""
    found: list[int] = []
    after: int | None = None
    while True:
        page, after = reader.transactions(
            "main", after=after, limit=limit, newest_first=newest_first, account="cash"
        )
        found += [entry.seq for entry in page]
        if after is None:
            break
    wanted = list(range(2, 2 + TRANSACTIONS))
    assert found == (wanted[::-1] if newest_first else wanted)
