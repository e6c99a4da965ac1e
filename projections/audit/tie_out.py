"""Control accounts: what the streams of products say that an account holds is its posted balance.

An event whose data say one thing and whose postings another balances, hashes and folds like any other; here
it is found.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ledger.chart import overlap
from ledger.products import PRODUCTS
from projections.audit.books import Books

Claimed = Counter[tuple[str, str]]  # address and asset: the sum of what streams claim, debit positive


def untied(books: Books, claimed: Claimed) -> Iterator[str]:
    """A sentence for each control account that has something else than its streams say."""
    left = dict(claimed)
    for account in books.accounts.values():
        if account.terms.product and any(overlap(p, account.address) for p in PRODUCTS.controlled):
            for position in account.positions.values():
                claim = left.pop((account.address, position.asset), 0)
                posted = position.debits - position.credits
                if posted != claim:
                    yield _sentence(account.address, position.asset, posted, claim)
    for (address, asset), claim in left.items():
        if claim:
            yield _sentence(address, asset, 0, claim)


def _sentence(address: str, asset: str, posted: int, claim: int) -> str:
    return f"{address} has {posted} {asset} posted, debits less credits, where its streams say {claim}"
