"""Which leads a credit provider takes, and why not: rules that it declares, every one of them explained.

A rule names what it looks at and nothing is weighed: a provider gets a lead when no rule excludes it. Those
that get it are put in an order by their score, which says how often they approved.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Literal, NamedTuple

from msgspec import Struct

from ledger.chart import MAX_AMOUNT
from ledger.text import SECOND

RULES_VERSION = 1
HOUR = 3_600 * SECOND

Status = Literal["pending", "active", "suspended"]
Reason = Literal[
    "not_active",
    "licence_expired",
    "currency_not_supported",
    "country_not_covered",
    "amount_below_minimum",
    "amount_above_maximum",
    "capacity_taken",
    "too_many_open_leads",
]


class Licence(Struct, frozen=True):
    """A licence to lend, good through its last day."""

    kind: str
    number: str
    authority: str
    expires_on: date


class Criteria(Struct, frozen=True, omit_defaults=True):
    """What a credit provider takes. Amounts are minor units, of each of its assets.

    `capacity` is what it lends in all, by asset: leads that it has not answered, offers that stand and offers
    that were accepted. None, or an asset that it leaves out: as much as comes.
    """

    minimum: int
    maximum: int
    lowest_rate: str
    highest_rate: str
    countries: tuple[str, ...]
    assets: tuple[str, ...]
    capacity: dict[str, int] = {}
    open_leads: int | None = None


class Terms(Struct, frozen=True, omit_defaults=True):
    """What we agreed on with a credit provider: lead fees by asset without their tax; rates in percent.

    We keep `servicing_rate` of what we collect for it.
    """

    lead_fees: dict[str, int] = {}
    tax_rate: str = "0"
    servicing_rate: str = "0"


class CreditProvider(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lender that makes offers on leads. `taken` is what of its capacity is taken, by asset.

    `received`, `decided` and `approved` count leads; `response` is how long the decided took (microseconds).
    """

    provider: str
    name: str
    business_type: str
    registration_number: str
    country: str
    licences: tuple[Licence, ...]
    criteria: Criteria
    status: Status = "pending"
    terms: Terms = Terms()
    taken: dict[str, int] = {}
    open_leads: int = 0
    received: int = 0
    decided: int = 0
    approved: int = 0
    response: int = 0

    @property
    def score(self) -> int:
        """Percent of decided leads that were approved, with one of either added: 50 before any."""
        return 100 * (self.approved + 1) // (self.decided + 2)

    @property
    def response_hours(self) -> int | None:
        """How many hours a decision took so far, in the mean, rounded up; None before any."""
        return -(-self.response // (self.decided * HOUR)) if self.decided else None

    def licensed(self, day: date) -> bool:
        """Whether none of its licences has expired."""
        return all(licence.expires_on >= day for licence in self.licences)


class Wanted(NamedTuple):
    """What a lead asks for, and where."""

    asset: str
    amount: int
    country: str
    day: date


def against(provider: CreditProvider, wanted: Wanted) -> Iterator[Reason]:
    """Why a credit provider does not get a lead; nothing: it does."""
    criteria = provider.criteria
    if provider.status != "active":
        yield "not_active"
    if not provider.licensed(wanted.day):
        yield "licence_expired"
    if wanted.asset not in criteria.assets:
        yield "currency_not_supported"
    if wanted.country not in criteria.countries:
        yield "country_not_covered"
    if wanted.amount < criteria.minimum:
        yield "amount_below_minimum"
    if wanted.amount > criteria.maximum:
        yield "amount_above_maximum"
    capacity = criteria.capacity.get(wanted.asset, MAX_AMOUNT)
    if provider.taken.get(wanted.asset, 0) + wanted.amount > capacity:
        yield "capacity_taken"
    if criteria.open_leads is not None and provider.open_leads >= criteria.open_leads:
        yield "too_many_open_leads"
