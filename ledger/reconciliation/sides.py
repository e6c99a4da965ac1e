"""What a run is given: another party's side, ready to be compared with the ledger's.

A comparison has read what the other party says before the run begins, so that a run which is interrupted can
see whether it still compares the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from ledger.reconciliation.items import Finding, Item

# Items on their way into the comparison, counted for whoever watches.
Passing = Callable[[Iterable[Item]], Iterator[Item]]


class ToldBalance(Struct, frozen=True):
    """What the other side says the account held at the end of a day: minor units, a debit positive."""

    day: str
    asset: str
    amount: int


class About(Struct, frozen=True, kw_only=True):
    """What a comparison is of. `digest`: SHA-256 over all that the other side says, in hex.

    `account`: the one that is compared; empty: none. `window_days` None: only references match. The days
    (ISO dates, both in) are those that the other side is about; empty: it has none.
    """

    side: str
    source: str
    digest: str
    account: str = ""
    window_days: int | None = None
    first_day: str = ""
    last_day: str = ""
    balances: tuple[ToldBalance, ...] = ()


class Comparison(Protocol):
    """One other party, compared with the ledger."""

    @property
    def about(self) -> About:
        """What is compared; the same for the same facts there."""
        ...

    def findings(self, known_at: int, folder: Path, passing: Passing) -> Iterator[Finding]:
        """Every finding, matches included, of the ledger as it was at a seq; the same whenever it is asked.

        `folder` is for temporary files. All items of both sides go through `passing`.
        """
        ...
