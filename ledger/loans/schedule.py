"""Schedules: what a borrower owes, instalment by instalment.

Pure arithmetic in Decimal with 50 digits, of which nothing is kept but amounts rounded to minor units, so the
same arguments always give the same schedule. Each instalment's interest is rounded on its own; the last
instalment takes what is left of the principal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from ledger.loans.calendar import DayCount, Every

Method = Literal["equal_instalments", "equal_principal", "flat", "rule_of_78"]
Rounding = Literal["half_even", "half_up"]
EXACT = Context(prec=50, rounding=ROUND_HALF_EVEN)
MOST_INSTALMENTS = 600

_MODES = {"half_even": ROUND_HALF_EVEN, "half_up": ROUND_HALF_UP}


class Interest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """How interest is reckoned: `rate` is percent a year.

    `equal_instalments` and `equal_principal` take it from the declining balance; `flat` and `rule_of_78` from
    the first principal, for every period. By the period, or by the day if `daily` says how days count.
    `multiple` is what instalments are rounded to (of `equal_principal`, their principal), in minor units.
    """

    method: Method
    rate: Annotated[str, Meta(pattern=r"^[0-9]{1,4}(\.[0-9]{1,10})?\Z", examples=["12", "8.25"])]
    daily: DayCount | None = None
    rounding: Rounding = "half_even"
    multiple: Annotated[int, Meta(ge=1, le=10**12)] = 1

    def part(self, start: date, due: date, every: Every, until: date | None = None) -> Decimal:
        """The interest on 1 for a period, or, by days, for the rest of it after `until`."""
        yearly = Decimal(self.rate) / 100
        begin = start if until is None else until
        if self.daily is not None:
            return yearly * self.daily.year_part(begin, due)
        whole = yearly * every.year_part(start, due)
        return whole if begin == start else whole * (due - begin).days / (due - start).days


class Period(NamedTuple):
    """The time of an instalment, and the interest on 1 for it."""

    start: date
    due: date
    part: Decimal


class Dues(NamedTuple):
    """What one instalment asks, in minor units."""

    principal: int
    interest: int


def rounded(amount: Decimal, rounding: Rounding, multiple: int = 1) -> int:
    """The nearest multiple, a tie as `rounding` says."""
    return int((amount / multiple).to_integral_value(_MODES[rounding])) * multiple


def share(amount: int, part: int, whole: int, rounding: Rounding) -> int:
    """`amount * part / whole` in minor units, exact but for its one rounding; none may be negative."""
    quotient, rest = divmod(amount * part, whole)
    if 2 * rest > whole or (2 * rest == whole and (rounding == "half_up" or quotient % 2)):
        quotient += 1
    return quotient


def periods(interest: Interest, every: Every, start: date, first_due: date, count: int) -> list[Period]:
    """`count` periods: the first from `start` to `first_due`, the others `every` so far apart."""
    found: list[Period] = []
    with localcontext(EXACT):
        for number in range(count):
            due = every.after(first_due, number)
            found.append(Period(start, due, interest.part(start, due, every)))
            start = due
    return found


def plan(
    interest: Interest,
    principal: int,
    spans: Sequence[Period],
    *,
    grace: int = 0,
    carry: int = 0,
    instalment: int | None = None,
) -> list[Dues]:
    """The instalments that pay `principal` back in the periods `spans`.

    The first `grace` of them ask interest only. `carry` is interest that has accrued in the first period
    already, which its part leaves out. A given `instalment` is kept, and the loan ends when it is paid;
    periods after that are left out.
    """
    with localcontext(EXACT):
        if interest.method == "equal_instalments":
            return _equal_instalments(interest, principal, spans, grace, carry, instalment)
        if interest.method == "equal_principal":
            return _equal_principal(interest, principal, spans, grace, carry)
        return _on_first_principal(interest, principal, spans, grace, carry)


def equal_instalment(principal: Decimal, parts: Sequence[Decimal]) -> Decimal:
    """The instalment that pays a principal back: P·Π(1+rᵢ)/fₙ with f₁ = 1, fᵢ = 1 + fᵢ₋₁(1+rᵢ).

    With equal parts r it is the annuity P·r/(1-(1+r)⁻ⁿ).
    """
    growth, divisor = Decimal(1), Decimal(0)
    for part in parts:
        growth *= 1 + part
        divisor = 1 + divisor * (1 + part)
    return principal * growth / divisor


def _equal_instalments(
    interest: Interest,
    principal: int,
    spans: Sequence[Period],
    grace: int,
    carry: int,
    instalment: int | None,
) -> list[Dues]:
    parts = [span.part for span in spans]
    if principal:
        parts[0] += Decimal(carry) / principal
    if instalment is None:
        exact = equal_instalment(Decimal(principal), parts[grace:])
        instalment = rounded(exact, interest.rounding, interest.multiple)
    dues: list[Dues] = []
    left = principal
    for number, span in enumerate(spans):
        owed = rounded(left * span.part, interest.rounding) + (carry if number == 0 else 0)
        paid = 0 if number < grace else min(max(instalment - owed, 0), left)
        if number == len(spans) - 1:
            paid = left
        left -= paid
        dues.append(Dues(paid, owed))
        if not left:
            break
    return dues


def _equal_principal(
    interest: Interest, principal: int, spans: Sequence[Period], grace: int, carry: int
) -> list[Dues]:
    paying = len(spans) - grace
    each = rounded(Decimal(principal) / paying, interest.rounding, interest.multiple)
    dues: list[Dues] = []
    left = principal
    for number, span in enumerate(spans):
        owed = rounded(left * span.part, interest.rounding) + (carry if number == 0 else 0)
        paid = 0 if number < grace else min(each, left)
        if number == len(spans) - 1:
            paid = left
        left -= paid
        dues.append(Dues(paid, owed))
        if not left:
            break
    return dues


def _on_first_principal(
    interest: Interest, principal: int, spans: Sequence[Period], grace: int, carry: int
) -> list[Dues]:
    """Flat and Rule of 78: the same total, spread evenly or by the sum of the digits."""
    owed = [rounded(principal * span.part, interest.rounding) for span in spans]
    if interest.method == "rule_of_78":
        owed = _by_digits(sum(owed), len(spans), interest.rounding)
    paying = len(spans) - grace
    per_instalment = Decimal(sum(owed[grace:])) / paying
    dues: list[Dues] = []
    left = principal
    for number, due in enumerate(owed):
        usual = due if interest.method == "flat" else per_instalment
        whole = rounded(Decimal(principal) / paying + usual, interest.rounding, interest.multiple)
        paid = 0 if number < grace else min(max(whole - due, 0), left)
        if number == len(spans) - 1:
            paid = left
        left -= paid
        dues.append(Dues(paid, due + (carry if number == 0 else 0)))
    return dues


def _by_digits(total: int, count: int, rounding: Rounding) -> list[int]:
    """A total by the sum of the digits: of 12 parts the first has 12 of 78, the last 1."""
    digits = count * (count + 1) // 2
    reached, found = 0, []
    for number in range(count):
        after = reached + count - number
        found.append(share(total, after, digits, rounding) - share(total, reached, digits, rounding))
        reached = after
    return found
