"""What a book is made of: instalments, extras, tallies of the parts of the debt, splits of repayments."""

from __future__ import annotations

from datetime import date

from msgspec import Struct

from ledger.loans.waterfall import Part

FELL_DUE, MISSED = 1, 2


class Row(Struct, frozen=True, array_like=True, gc=False):
    """An instalment: what it asks, and what of that was paid, waived or credited (`done`).

    Its interest accrues evenly by days, from `base` on `base_day` (nothing at `start`) to all of it when due.
    `stage` is FELL_DUE when something of it was owed on its due day, MISSED when something still was after
    the days of grace.
    """

    start: date
    due: date
    principal: int
    interest: int
    principal_done: int = 0
    interest_done: int = 0
    base_day: date | None = None
    base: int = 0
    stage: int = 0


class Extra(Struct, frozen=True, array_like=True, gc=False):
    """Something owed beside the instalments: a fee, a penalty, what was charged back."""

    part: Part
    due: date
    amount: int
    done: int = 0


class Tally(Struct, frozen=True, array_like=True, gc=False):
    """Of one part of the debt. Principal accrues when it is disbursed."""

    accrued: int = 0
    paid: int = 0
    waived: int = 0

    @property
    def net(self) -> int:
        """What has accrued and is not paid; negative: paid in advance."""
        return self.accrued - self.paid - self.waived


class Split(Struct, frozen=True, array_like=True, gc=False):
    """What a repayment paid, less what was charged back: parts of the debt, an overpayment, and of a loan
    that was written off `unasked` money. `recovered`: all but the overpayment was income from recovery.
    """

    parts: dict[Part, int]
    overpaid: int = 0
    unasked: int = 0
    recovered: bool = False

    @property
    def kept(self) -> int:
        """What of it did not stay an overpayment."""
        return sum(self.parts.values()) + self.unasked

    @property
    def left(self) -> int:
        """What was not charged back."""
        return self.kept + self.overpaid


class Exposure(Struct, frozen=True, gc=False):
    """What ageing needs of a loan: minor units of principal on the books or serviced, and the earliest due
    day of anything that is owed.
    """

    principal: int
    oldest_due: date | None
