"""Facts of a loan: what happened on a day, as the borrower's debt and the accounts feel it.

Each fact says all that is needed to enter it into a book that has accrued to its day, and nothing that
follows from the book; so facts can be entered again in another order when one of them comes late or is taken
back. A fact that does not fit the book it meets raises `Misfit`.
"""

from __future__ import annotations

from datetime import date
from typing import NoReturn

from msgspec import Struct

from ledger.loans.schedule import Interest
from ledger.loans.waterfall import Part, Waterfall


class Misfit(Exception):
    """A fact does not fit the book: `code` of a rejection, and its evidence."""

    def __init__(self, code: str, **evidence: str) -> None:
        self.code = code
        self.evidence = evidence


def misfit(code: str, **evidence: object) -> NoReturn:
    """The fact does not fit."""
    raise Misfit(code, **{name: str(value) for name, value in evidence.items()})


class Fact(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="kind"):
    """`seq` is that of its event, `at` its moment (microseconds), `day` that moment's calendar day."""

    seq: int
    at: int
    day: date


class Disbursed(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="disbursed"):
    """Money went to the borrower; `fee` was kept back. The first one makes the schedule."""

    amount: int
    fee: int = 0
    account: str
    first_due: date | None = None


class Repaid(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="repaid"):
    """A repayment by a waterfall; of `payment` if it came in as one.

    With `collateral`, its sale: `costs` are gone, what is over is owed.
    """

    amount: int
    account: str
    waterfall: Waterfall
    costs: int = 0
    to_borrower: bool = False
    collateral: str = ""
    payment: str = ""


class Prepaid(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="prepaid"):
    """What is due is paid by the waterfall, then principal; the instalments to come are planned anew."""

    amount: int
    account: str
    waterfall: Waterfall
    keep_instalment: bool = False


class Settled(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="settled"):
    """Paid off early: interest to come is not charged."""

    amount: int
    account: str


class Charged(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="charged"):
    """A fee, due with the next instalment, or a penalty, due at once."""

    part: Part
    amount: int


class Waived(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="waived"):
    """Given up of each part."""

    amounts: dict[Part, int]


class Credited(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="credited"):
    """Goodwill: what is due is paid by us."""

    amount: int
    waterfall: Waterfall


class Rescheduled(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="rescheduled"):
    """What is not paid is planned anew, arrears and all."""

    first_due: date
    count: int
    grace: int = 0
    interest: Interest | None = None


class Refunded(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="refunded"):
    """Overpaid money was given back."""

    amount: int
    account: str


class ChargedBack(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="charged_back"):
    """The bank took a repayment back, or part of it; `order` is that in which its split is undone."""

    repayment: int
    amount: int
    account: str
    order: tuple[Part, ...]
    payment: str = ""


class ChargedOff(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="charged_off"):
    """Taken off the books while the borrower still owes it."""


class WrittenOff(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="written_off"):
    """Given up altogether."""


class Provisioned(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="provisioned"):
    """The allowance was brought to what the policy expects to lose."""


class Locked(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="locked"):
    """Collateral of a value was taken."""

    collateral: str
    value: int


class Released(Fact, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="released"):
    """Collateral was given back."""

    collateral: str


AnyFact = (
    Disbursed
    | Repaid
    | Prepaid
    | Settled
    | Charged
    | Waived
    | Credited
    | Rescheduled
    | Refunded
    | ChargedBack
    | ChargedOff
    | WrittenOff
    | Provisioned
    | Locked
    | Released
)
