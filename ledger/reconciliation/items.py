"""What is compared, by which rules, and what comes of it."""

from __future__ import annotations

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct

Outcome = Literal[
    "match",
    "status_mismatch",
    "amount_mismatch",
    "missing_here",
    "missing_there",
    "duplicate",
    "unknown",
]
Rule = Literal["reference", "amount_and_date", "parts", "none"]
Kind = Annotated[str, Meta(pattern=r"^(?:[a-z][a-z_]{0,31})?\Z", examples=["fee_differs"])]
OUTCOMES: tuple[Outcome, ...] = (
    "match",
    "status_mismatch",
    "amount_mismatch",
    "missing_here",
    "missing_there",
    "duplicate",
    "unknown",
)
FEE_DIFFERS = "fee_differs"
# The status of an item whose side could not be asked about it.
UNREACHABLE = "unreachable"


class Item(Struct, frozen=True, array_like=True, gc=False):
    """One fact of one side: `amount` minor units of `asset`, positive into the account, on `day` (ISO date).

    `name` is what its side calls it. An empty `reference` or `status`, or no `fee`, says nothing and
    contradicts nothing; `fee` is what was taken before `amount` was left. The matching marks as `repeated`
    what has an earlier item of its reference and amount on its own side.
    """

    day: str
    name: str
    reference: str
    amount: int
    asset: str
    status: str = ""
    repeated: bool = False
    fee: int | None = None


class Rules(Struct, frozen=True):
    """Which rules are used beside the exact reference, and how far they reach.

    `window_days`: how many calendar days two items of one amount may be apart; None: only references count.
    `parts`: of how many items a sum is looked for at most, among the first `candidates` that wait within the
    window; 1: no sums. `most_waiting` bounds what is kept of a side while its window passes.
    `first_day` and `last_day` are of the period there: an unmatched item here outside of it is no finding.
    """

    window_days: int | None = 3
    parts: int = 4
    candidates: int = 12
    most_waiting: int = 500
    first_day: str = ""
    last_day: str = ""


class Finding(Struct, frozen=True, gc=False):
    """What came of some items: those of both sides, and the rule that brought them together.

    `kind` says more than the outcome where there is more to say.
    """

    outcome: Outcome
    rule: Rule
    here: tuple[Item, ...]
    there: tuple[Item, ...]
    kind: Kind = ""


class Tally:
    """Findings counted by outcome, and by kind where they have one."""

    def __init__(self) -> None:
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.kinds: dict[str, int] = {}

    def add(self, finding: Finding) -> None:
        """Count one more."""
        self.counts[finding.outcome] += 1
        if finding.kind:
            self.kinds[finding.kind] = self.kinds.get(finding.kind, 0) + 1

    @property
    def match_rate(self) -> str:
        """Matches in a hundred findings, with two decimals, half to even."""
        return match_rate(self.counts["match"], sum(self.counts.values()))


def match_rate(matches: int, findings: int) -> str:
    """`matches` in a hundred `findings`, with two decimals, half to even; `100.00` when there are none."""
    if not findings:
        return "100.00"
    rate = Decimal(matches * 100) / Decimal(findings)
    return str(rate.quantize(Decimal("0.01"), ROUND_HALF_EVEN))


@lru_cache(maxsize=4096)
def ordinal(day: str) -> int:
    """The number of a calendar day."""
    return date.fromisoformat(day).toordinal()
