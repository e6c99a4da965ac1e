"""What is agreed about a loan, and what the lender's policy says of all loans.

Both are fixed for a loan when it is approved: a later policy changes no loan that exists.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ledger.chart import MAX_AMOUNT, AssetCode
from ledger.loans.calendar import Every
from ledger.loans.schedule import MOST_INSTALMENTS, Interest
from ledger.loans.waterfall import Waterfall

Minor = Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]
Days = Annotated[int, Meta(ge=0, le=3_660)]
Percent = Annotated[str, Meta(pattern=r"^(100(\.0{1,4})?|[0-9]{1,2}(\.[0-9]{1,4})?)\Z", examples=["2.5"])]
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{1,64}\Z", examples=["L1"])]
Rating = Literal["low", "medium", "high"]


class ProvisionClass(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Loans that are past due by `from_days` or more, and what part of them is expected to be lost."""

    name: Annotated[str, Meta(min_length=1, max_length=32)]
    from_days: Days
    rate: Percent


BUCKETS = (30, 60, 90, 180)
CLASSES = (
    ProvisionClass("standard", 0, "1"),
    ProvisionClass("sub-standard", 31, "20"),
    ProvisionClass("doubtful", 91, "50"),
    ProvisionClass("loss", 181, "100"),
)


class Policy(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How a lender keeps its loans.

    Arrears begin the day after due plus `grace_days`. More than `non_accrual_days` past due, income stops;
    null: never. `defer_fees` spreads origination fees over the schedule. An amount above `four_eyes_above` of
    its asset (minor units) needs the approval of two people. `buckets` are the last days past due of the
    ageing buckets. A collection case opens by itself when a loan is more than `collection_days` past due;
    null: never.
    """

    waterfall: Waterfall = Waterfall()
    grace_days: Days = 0
    non_accrual_days: Days | None = 90
    defer_fees: bool = True
    four_eyes_above: dict[AssetCode, Minor] = {}
    refused_ratings: tuple[Rating, ...] = ()
    buckets: tuple[Days, ...] = BUCKETS
    collection_days: Days | None = 30
    provisioning: tuple[ProvisionClass, ...] = CLASSES

    def __post_init__(self) -> None:
        if self.buckets is BUCKETS and self.provisioning is CLASSES:
            return  # as in most loans that are read
        if list(self.buckets) != sorted(set(self.buckets)):
            raise ValueError("`buckets` do not rise")
        starts = [entry.from_days for entry in self.provisioning]
        if starts != sorted(set(starts)) or starts[:1] not in ([], [0]):
            raise ValueError("`from_days` of `provisioning` do not rise from 0")

    def bucket(self, days: int) -> str:
        """The ageing bucket of days past due: `current`, `1-30`, ..., `>180`."""
        if not days:
            return "current"
        first = 1
        for last in self.buckets:
            if days <= last:
                return f"{first}-{last}"
            first = last + 1
        return f">{first - 1}"

    def provision_class(self, days: int) -> ProvisionClass | None:
        """The class of days past due; None: the policy provides for nothing."""
        return next((c for c in reversed(self.provisioning) if days >= c.from_days), None)


class Offer(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False, kw_only=True):
    """What a borrower is offered: `amount` minor units of `asset`, in `count` instalments `every` so far
    apart.

    `fee` is taken from the first disbursement. A loan of a `provider` is not our asset: the fee is the
    provider's, and of what we collect for it we keep `servicing_rate` percent.
    """

    asset: AssetCode
    amount: Annotated[int, Meta(ge=1, le=MAX_AMOUNT)]
    interest: Interest
    count: Annotated[int, Meta(ge=1, le=MOST_INSTALMENTS)]
    every: Every = Every()
    grace: Annotated[int, Meta(ge=0, lt=MOST_INSTALMENTS)] = 0
    fee: Minor = 0
    provider: Id | None = None
    servicing_rate: Percent = "0"

    def __post_init__(self) -> None:
        if self.grace >= self.count:
            raise ValueError("`grace` leaves no instalment that pays principal")
        if not self.every.within_a_century(self.count):
            raise ValueError("`count` instalments `every` so far apart go on for more than 100 years")
        if self.fee > self.amount:
            raise ValueError("`fee` is more than `amount`")
        if self.provider is None and self.servicing_rate != "0":
            raise ValueError("`servicing_rate` is of loans of a provider")
