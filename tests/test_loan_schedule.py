"""Schedules of loans: known tables to the cent, and an oracle in fractions that shares no code with them."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_DOWN, getcontext, localcontext
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.loans.calendar import DayCount, Every
from ledger.loans.schedule import Dues, Interest, Method, Period, Rounding, periods, plan, rounded, share

START = date(2026, 1, 15)
MONTHLY = Every()


def schedule(
    interest: Interest, principal: int, count: int, grace: int = 0, every: Every = MONTHLY
) -> list[Dues]:
    """A schedule from `START`, its first instalment one interval later."""
    return plan(
        interest, principal, periods(interest, every, START, every.after(START, 1), count), grace=grace
    )


# ---------------------------------------------------------------- known tables


def test_the_worked_example_is_right_to_the_cent() -> None:
    """5,000.00 at 12 % in 18 months of whole units: each interest, the last instalment, the total."""
    found = schedule(Interest("equal_instalments", "12", multiple=100), 500_000, 18)
    assert [due.interest for due in found] == [
        5000, 4745, 4487, 4227, 3965, 3699, 3431, 3161, 2887,
        2611, 2332, 2050, 1766, 1479, 1188, 895, 599, 300,
    ]  # fmt: skip
    assert [sum(due) for due in found[:-1]] == [30_500] * 17
    assert sum(found[-1]) == 30_322
    assert sum(map(sum, found)) == 548_822


def test_flat_asks_the_same_interest_of_every_instalment() -> None:
    """1,000.00 at 12 % for 6 months: 10.00 a month on the first principal; the last takes the rest."""
    found = schedule(Interest("flat", "12"), 100_000, 6)
    assert found == [Dues(16_667, 1_000)] * 5 + [Dues(16_665, 1_000)]


def test_equal_principal_asks_interest_on_what_is_left() -> None:
    """1,200.00 at 12 % for 4 months: 300.00 each, and 12, 9, 6 and 3 of interest."""
    found = schedule(Interest("equal_principal", "12"), 120_000, 4)
    assert found == [Dues(30_000, owed) for owed in (1_200, 900, 600, 300)]


def test_rule_of_78_spreads_flat_interest_by_the_sum_of_the_digits() -> None:
    """7,800.00 at 10 % for a year: 780.00 of interest, 120 in the first month and 10 in the last."""
    found = schedule(Interest("rule_of_78", "10"), 780_000, 12)
    assert [due.interest for due in found] == [1_000 * n for n in range(12, 0, -1)]
    assert {sum(due) for due in found} == {71_500}


def test_grace_asks_interest_only() -> None:
    """The first two instalments ask no principal; the others pay it back as if it began after them."""
    found = schedule(Interest("equal_instalments", "12"), 100_000, 8, grace=2)
    assert found[:2] == [Dues(0, 1_000)] * 2
    assert found[2:] == schedule(Interest("equal_instalments", "12"), 100_000, 6)


def test_no_interest_is_a_rate_like_any_other() -> None:
    """At 0 % every method divides the principal."""
    for method in ("equal_instalments", "equal_principal", "flat", "rule_of_78"):
        found = schedule(Interest(method, "0"), 1_000, 3)
        assert found == [Dues(333, 0), Dues(333, 0), Dues(334, 0)], method


def test_a_kept_instalment_ends_the_loan_earlier() -> None:
    """With the instalment of 18 months and half the principal, the loan ends after 9."""
    interest = Interest("equal_instalments", "12")
    spans = periods(interest, MONTHLY, START, MONTHLY.after(START, 1), 18)
    found = plan(interest, 250_000, spans, instalment=30_500)
    assert len(found) == 9
    assert [sum(due) for due in found[:-1]] == [30_500] * 8
    assert sum(due.principal for due in found) == 250_000


def test_a_coarse_multiple_never_asks_more_than_is_owed() -> None:
    """Rounded up to 1,000.00 a loan ends early; rounded down to nothing, its last instalment pays it."""
    assert schedule(Interest("equal_instalments", "12", multiple=100_000), 60_000, 1) == [Dues(60_000, 600)]
    found = schedule(Interest("equal_instalments", "12", multiple=100_000), 150_000, 3)
    assert found == [Dues(98_500, 1_500), Dues(51_500, 515)]
    found = schedule(Interest("equal_instalments", "12", multiple=100_000), 60_000, 3)
    assert found == [Dues(0, 600), Dues(0, 600), Dues(60_000, 600)]


# ---------------------------------------------------------------- days


@pytest.mark.parametrize(
    ("count", "start", "end", "part"),
    [
        (DayCount("365"), date(2026, 1, 31), date(2026, 2, 28), Fraction(28, 365)),
        (DayCount("360"), date(2026, 1, 1), date(2026, 4, 1), Fraction(90, 360)),
        (DayCount("364"), date(2026, 1, 1), date(2026, 1, 8), Fraction(7, 364)),
        (DayCount("360", "30"), date(2026, 1, 31), date(2026, 2, 28), Fraction(28, 360)),
        (DayCount("360", "30"), date(2026, 1, 15), date(2026, 3, 15), Fraction(60, 360)),
        (DayCount("actual"), date(2027, 12, 1), date(2028, 2, 1), Fraction(31, 365) + Fraction(31, 366)),
        (DayCount("actual"), date(2027, 1, 1), date(2030, 1, 1), Fraction(3)),
    ],
)
def test_days_count_as_their_convention_says(count: DayCount, start: date, end: date, part: Fraction) -> None:
    """Actual days or months of 30, in years of 360, 364, 365 or their own length."""
    assert abs(Fraction(count.year_part(start, end)) - part) < Fraction(1, 10**25)


def test_instalments_of_unequal_months_are_equal_by_the_day() -> None:
    """By the day the interest follows the length of the month, and the instalments still are equal."""
    interest = Interest("equal_instalments", "12", DayCount("365"))
    found = schedule(interest, 500_000, 12)
    assert found[0].interest == 5_096  # 31 days: 500000 * 0.12 * 31 / 365 = 5095.89
    assert len({sum(due) for due in found[:-1]}) == 1
    assert abs(sum(found[-1]) - sum(found[0])) < 12


def test_due_days_keep_to_the_end_of_the_month() -> None:
    """A loan due on the 31st is due on the last day of shorter months, and on the 31st again after them."""
    dues = [MONTHLY.after(date(2027, 12, 31), n) for n in range(5)]
    assert dues == [
        date(2027, 12, 31),
        date(2028, 1, 31),
        date(2028, 2, 29),
        date(2028, 3, 31),
        date(2028, 4, 30),
    ]
    assert Every("weeks", 2).after(START, 3) == START + timedelta(days=42)
    assert Every("days", 10).after(START, 3) == START + timedelta(days=30)
    assert Every("months", 3).after(START, 5) == date(2027, 4, 15)


# ---------------------------------------------------------------- rounding


def test_ties_go_to_the_even_unit_or_up() -> None:
    """Half-even unless half-up is asked for."""
    with localcontext():
        assert [rounded(getcontext().create_decimal(x), "half_even") for x in ("0.5", "1.5", "2.5")] == [
            0,
            2,
            2,
        ]
        assert [rounded(getcontext().create_decimal(x), "half_up") for x in ("0.5", "1.5", "2.5")] == [
            1,
            2,
            3,
        ]
    assert [share(amount, 1, 2, "half_even") for amount in (1, 3, 5)] == [0, 2, 2]
    assert [share(amount, 1, 2, "half_up") for amount in (1, 3, 5)] == [1, 2, 3]
    half_up = Interest("flat", "6", rounding="half_up")
    assert schedule(half_up, 100, 1) == [Dues(100, 1)]  # 0.5
    assert schedule(Interest("flat", "6"), 100, 1) == [Dues(100, 0)]


def test_schedules_do_not_depend_on_the_threads_decimal_context() -> None:
    """Somebody else's precision or rounding changes nothing."""
    interest = Interest("equal_instalments", "12.345")
    expected = schedule(interest, 123_456_789, 60)
    with localcontext() as context:
        context.prec, context.rounding = 5, ROUND_DOWN
        assert schedule(interest, 123_456_789, 60) == expected


# ---------------------------------------------------------------- against an oracle


def half(value: Fraction, rounding: Rounding) -> int:
    """The nearest integer."""
    floor = value.numerator // value.denominator
    rest = value - floor
    if rest == Fraction(1, 2):
        return floor + 1 if rounding == "half_up" or floor % 2 else floor
    return floor + (rest > Fraction(1, 2))


def yearly(daily: DayCount | None, span: Period) -> Fraction:
    """The part of a year of a period, counted day by day."""
    if daily is None:
        return Fraction(1, 12)
    if daily.month == "30":
        ends = [d.year * 360 + d.month * 30 + min(d.day, 30) for d in (span.start, span.due)]
        return Fraction(ends[1] - ends[0], int(daily.year))
    days = [span.start + timedelta(days=n) for n in range((span.due - span.start).days)]
    lengths = {"360": 360, "364": 364, "365": 365}
    length = lengths.get(daily.year)
    return sum(
        (Fraction(1, length or (date(d.year, 12, 31) - date(d.year, 1, 1)).days + 1) for d in days),
        Fraction(0),
    )


def present_value(instalment: Fraction, rates: list[Fraction]) -> Fraction:
    """What equal instalments are worth at the beginning."""
    total, discount = Fraction(0), Fraction(1)
    for rate in rates:
        discount /= 1 + rate
        total += instalment * discount
    return total


@settings(max_examples=150, deadline=None)
@given(
    principal=st.integers(1_000, 10**9),
    rate=st.integers(0, 6_000),
    count=st.integers(1, 24),
    daily=st.sampled_from(
        [None, DayCount("365"), DayCount("360"), DayCount("364"), DayCount("actual"), DayCount("360", "30")]
    ),
    rounding=st.sampled_from(["half_even", "half_up"]),
)
def test_equal_instalments_are_worth_the_principal(
    principal: int, rate: int, count: int, daily: DayCount | None, rounding: Rounding
) -> None:
    """In fractions: the instalment discounts to the principal, interest is that of what is left."""
    interest = Interest("equal_instalments", f"{rate / 100:.2f}", daily, rounding)
    spans = periods(interest, MONTHLY, START, MONTHLY.after(START, 1), count)
    found = plan(interest, principal, spans)
    rates = [Fraction(rate, 10_000) * yearly(daily, span) for span in spans]
    left = principal
    for due, period_rate in zip(found, rates, strict=True):
        assert due.interest == half(left * period_rate, rounding)
        left -= due.principal
    assert left == 0
    if count > 1:
        instalment = Fraction(sum(found[0]))
        assert present_value(instalment - Fraction(51, 100), rates) < principal
        assert present_value(instalment + Fraction(51, 100), rates) > principal


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["equal_instalments", "equal_principal", "flat", "rule_of_78"]),
    principal=st.integers(1, 10**9),
    rate=st.integers(0, 6_000),
    count=st.integers(1, 36),
    grace=st.integers(0, 6),
    multiple=st.sampled_from([1, 5, 100, 10_000]),
)
def test_every_schedule_pays_back_exactly_the_principal(
    method: Method, principal: int, rate: int, count: int, grace: int, multiple: int
) -> None:
    """No instalment is negative, grace asks no principal, the last takes the rest; twice the same."""
    interest = Interest(method, f"{rate / 100:.2f}", multiple=multiple)
    grace = min(grace, count - 1)
    found = schedule(interest, principal, count, grace)
    assert sum(due.principal for due in found) == principal
    assert all(due.principal >= 0 and due.interest >= 0 for due in found)
    assert not any(due.principal for due in found[: min(grace, len(found) - 1)])
    assert len(found) <= count
    if method in ("flat", "rule_of_78"):
        total = sum(due.interest for due in found)
        exact = count * half(Fraction(principal * rate, 120_000), "half_even")
        assert total == exact
    assert schedule(interest, principal, count, grace) == found


@given(amount=st.integers(0, 10**15), part=st.integers(0, 10**6), whole=st.integers(1, 10**6))
def test_shares_are_rounded_once(amount: int, part: int, whole: int) -> None:
    """A share is the fraction's nearest integer."""
    for rounding in ("half_even", "half_up"):
        assert share(amount, part, whole, rounding) == half(Fraction(amount * part, whole), rounding)
