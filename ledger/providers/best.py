"""The best of the offers on a lead, by a rule that was declared when it was distributed, with its reason.

`lowest_rate`, the default: the rate, then the fee, then the larger amount, then the earlier. The other looks
at the total cost first. An offer of our own was made without a clock of the lead's: among equals it is last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from msgspec import Struct

from ledger.loans.costs import OfferCost
from ledger.loans.terms import Offer

BestBy = Literal["lowest_rate", "lowest_total_cost"]
Decided = Literal["only_offer", "total_cost", "rate", "fee", "amount", "earliest"]


class Candidate(NamedTuple):
    """An offer that stands; `provider` None: our own. `at`: microseconds, None: unknown."""

    provider: str | None
    offer: Offer
    cost: OfferCost
    at: int | None


class Best(Struct, frozen=True, omit_defaults=True):
    """The best offer and what decided. `provider` left out: it is our own."""

    decided_by: Decided
    reason: str
    provider: str | None = None


_Key = tuple[Decided, Callable[[Candidate], Any], str, Callable[[Candidate], str]]
_KEYS: tuple[_Key, ...] = (
    ("total_cost", lambda c: c.cost.total, "Lowest total cost", lambda c: str(c.cost.total)),
    ("rate", lambda c: Decimal(c.offer.interest.rate), "Lowest rate", lambda c: f"{c.offer.interest.rate} %"),
    ("fee", lambda c: c.offer.fee, "Lowest fee", lambda c: str(c.offer.fee)),
    ("amount", lambda c: -c.offer.amount, "Largest amount", lambda c: str(c.offer.amount)),
    ("earliest", lambda c: (c.at is None, c.at, c.provider or ""), "Earliest", lambda c: ""),
)


def best_of(candidates: Sequence[Candidate], by: BestBy) -> Best | None:
    """The best, and what told it from the next; None: there is no offer."""
    if not candidates:
        return None
    keys = _KEYS if by == "lowest_total_cost" else _KEYS[1:]
    ranked = sorted(candidates, key=lambda c: tuple(key(c) for _, key, _, _ in keys))
    first = ranked[0]
    if len(ranked) == 1:
        return Best("only_offer", "The only offer", first.provider)
    for name, key, title, shown in keys:
        if key(first) != key(ranked[1]):
            figures = f": {shown(first)} against {shown(ranked[1])}" if shown(first) else " of equal offers"
            return Best(name, title + figures, first.provider)
    raise AssertionError("two offers of one provider")
