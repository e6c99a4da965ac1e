"""What an offer costs whoever accepts it: all interest of its schedule, and its fee.

Until money goes out, nobody knows the days; so the schedule is made as if the whole amount went out on a day
that is named, with the first instalment an interval later. Interest by the period comes out the same whatever
the day is; by the day, months and leap years make a few units of difference.
"""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from ledger.loans.schedule import periods, plan
from ledger.loans.terms import Offer


class OfferCost(Struct, frozen=True):
    """Minor units of the offer's asset: `total` is `interest` and `fee` together."""

    interest: int
    fee: int
    total: int


def cost_of(offer: Offer, day: date) -> OfferCost:
    """The cost of an offer that is disbursed on a day."""
    spans = periods(offer.interest, offer.every, day, offer.every.after(day, 1), offer.count)
    interest = sum(due.interest for due in plan(offer.interest, offer.amount, spans, grace=offer.grace))
    return OfferCost(interest, offer.fee, interest + offer.fee)
