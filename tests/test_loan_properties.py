"""What holds of every loan, whatever happens to it: found by Hypothesis, on the pure history of facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ledger.loans import accounts as a
from ledger.loans import facts as f
from ledger.loans.book import Book, Lines
from ledger.loans.calendar import DayCount
from ledger.loans.history import Entry, History, accrued, add, without
from ledger.loans.schedule import Interest
from ledger.loans.terms import Offer, Policy
from ledger.loans.waterfall import PARTS, TIMINGS, Item, Part, Waterfall, allocate
from ledger.text import SECOND
from tests.loan_books import USD

START = date(2026, 1, 15)
LAST = 420  # days
STEPS = tuple(f"{timing} {part}" for timing in TIMINGS for part in PARTS)

waterfalls = st.one_of(
    st.sampled_from(["penalty_first", "interest_first", "principal_first", "due_first"]).map(Waterfall),
    st.permutations(STEPS).map(lambda steps: Waterfall("house", 3, tuple(steps))),
)
offers = st.builds(
    Offer,
    asset=st.just(USD),
    amount=st.integers(1_000, 10**6),
    interest=st.builds(
        Interest,
        st.sampled_from(["equal_instalments", "equal_principal", "flat", "rule_of_78"]),
        st.sampled_from(["0", "7.77", "12", "60"]),
        daily=st.sampled_from([None, DayCount("365"), DayCount("360", "30")]),
        multiple=st.sampled_from([1, 100]),
    ),
    count=st.integers(1, 8),
    fee=st.integers(0, 900),
)
policies = st.builds(
    Policy,
    waterfall=st.just(Waterfall()),
    grace_days=st.sampled_from([0, 5]),
    non_accrual_days=st.sampled_from([None, 30, 90]),
    defer_fees=st.booleans(),
)
amounts = st.one_of(st.integers(1, 5_000), st.integers(1, 10**6))
# These fit whatever came before them, so they can come in any order.
MUTABLE: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "Repaid": st.fixed_dictionaries({"amount": amounts, "account": st.just("bank"), "waterfall": waterfalls}),
    "Prepaid": st.fixed_dictionaries(
        {
            "amount": amounts,
            "account": st.just("bank"),
            "waterfall": waterfalls,
            "keep_instalment": st.booleans(),
        }
    ),
    "Charged": st.fixed_dictionaries({"part": st.sampled_from(["fee", "penalty"]), "amount": amounts}),
    "Provisioned": st.just({}),
}
# These may not fit, and then are left out.
FITTING: dict[str, st.SearchStrategy[dict[str, Any]]] = MUTABLE | {
    "Settled": st.fixed_dictionaries({"amount": amounts, "account": st.just("bank")}),
    "Waived": st.dictionaries(st.sampled_from(PARTS), st.integers(1, 3_000), min_size=1).map(
        lambda amounts: {"amounts": amounts}
    ),
    "Credited": st.fixed_dictionaries({"amount": st.integers(1, 5_000), "waterfall": waterfalls}),
    "Rescheduled": st.fixed_dictionaries({"count": st.integers(1, 6)}),
    "Refunded": st.fixed_dictionaries({"amount": amounts, "account": st.just("bank")}),
    "ChargedBack": st.fixed_dictionaries({"amount": amounts, "order": st.permutations(PARTS).map(tuple)}),
    "ChargedOff": st.just({}),
    "WrittenOff": st.just({}),
    "Disbursed": st.fixed_dictionaries({"amount": amounts, "account": st.just("bank")}),
}


def events(kinds: dict[str, st.SearchStrategy[dict[str, Any]]]) -> st.SearchStrategy[list[Any]]:
    """Days and what happens on them, at most one thing a day."""
    happening = st.one_of(
        [st.tuples(st.just(kind), fields) for kind, fields in kinds.items()]
        + [st.tuples(st.just("Repaid"), MUTABLE["Repaid"])] * 2
    )
    return st.lists(
        st.tuples(st.integers(1, LAST), happening), max_size=8, unique_by=lambda event: event[0]
    ).map(sorted_by_day)


def sorted_by_day(events: list[Any]) -> list[Any]:
    return sorted(events, key=lambda event: event[0])


def when(number: int, days: int) -> dict[str, Any]:
    day = START + timedelta(days=days)
    return {"seq": number, "at": day.toordinal() * 86_400 * SECOND, "day": day}


def fact_of(number: int, days: int, kind: str, fields: dict[str, Any], repaid: Iterable[int]) -> Any:
    """A fact of an event; what refers to repayments refers to the last."""
    more: dict[str, Any] = {}
    if kind == "Rescheduled":
        more["first_due"] = START + timedelta(days=days + 20)
    if kind == "ChargedBack":
        more |= {"account": "bank", "repayment": max(repaid, default=0)}
    return getattr(f, kind)(**when(number, days), **fields, **more)


def opened(offer: Offer, policy: Policy) -> Entry:
    fact = f.Disbursed(**when(1, 0), amount=offer.amount, fee=offer.fee, account="bank")
    return add(History(offer, policy), fact)


def played(offer: Offer, policy: Policy, happened: list[Any]) -> Iterator[tuple[Any, Entry]]:
    """Each fact that fits, with the history after it."""
    entry = opened(offer, policy)
    yield None, entry
    for number, (days, (kind, fields)) in enumerate(happened, 2):
        repaid = [fact.seq for fact in entry.history.facts if isinstance(fact, f.Repaid | f.Prepaid)]
        fact = fact_of(number, days, kind, fields, repaid)
        try:
            entry = add(entry.history, fact)
        except f.Misfit:
            continue
        yield fact, entry


def book_of(history: History) -> Book:
    assert history.book is not None
    return history.book


# ---------------------------------------------------------------- the book


def check(book: Book) -> None:
    """What holds of a book after every fact."""
    total = Counter(book.totals)
    owed = book.outstanding()
    principal = book.tally("principal")
    assert principal.accrued == book.disbursed
    assert principal.paid + principal.waived + owed["principal"] == book.disbursed
    suspended = 0
    for part, receivable in a.RECEIVABLE.items():
        tally = book.tally(part)
        ahead = 0
        if part == "interest":
            ahead = sum(row.interest - book.accrued_of(row, book.accrued_to) for row in book.rows)
        assert owed[part] == tally.net + ahead
        if book.on_books:
            held = max(tally.net, 0) if book.non_accrual else 0
            suspended += held
            unearned = -total[a.UNEARNED] if part == "interest" else 0
            assert total[receivable] - unearned == tally.accrued - tally.paid - tally.waived - held
            assert total[receivable] >= 0
        else:
            assert total[receivable] == 0
    assert total[a.SUSPENDED] == -total[a.SUSPENDED_OFFSET] == suspended
    assert total[a.PORTFOLIO] == (owed["principal"] if book.on_books else 0)
    assert -total[a.OVERPAID] == book.overpaid >= 0
    assert -total[a.ALLOWANCE] == book.allowance >= 0
    assert -total[a.DEFERRED_FEES] == book.fee_left - book.fee_taken >= 0
    assert -total[a.UNEARNED] >= 0
    assert sum(book.totals.values()) == 0
    assert all(0 <= row.principal_done <= row.principal for row in book.rows)
    assert all(0 <= row.interest_done <= row.interest for row in book.rows)
    assert all(0 <= extra.done <= extra.amount for extra in book.extras)
    if book.closed is not None:
        assert not any(owed.values())
        assert not {a.PORTFOLIO, a.UNEARNED, a.DEFERRED_FEES, a.ALLOWANCE} & book.totals.keys()


@settings(max_examples=100, deadline=None)
@given(offer=offers, policy=policies, happened=events(FITTING))
def test_the_debt_and_the_accounts_agree_after_everything_that_happens(
    offer: Offer, policy: Policy, happened: list[Any]
) -> None:
    """Principal repaid, waived and outstanding are what was disbursed; receivables are what has accrued
    less paid, waived and suspended; the lines of each fact balance, and are what the totals changed by.
    """
    before: Counter[str] = Counter()
    for _, entry in played(offer, policy, happened):
        book = book_of(entry.history)
        check(book)
        for account, amount in entry.lines:
            before[account] += amount
        assert sum(amount for _, amount in entry.lines) == 0
        assert {account: amount for account, amount in before.items() if amount} == book.totals


@settings(max_examples=100, deadline=None)
@given(offer=offers, policy=policies, happened=events(FITTING), to=st.integers(LAST, 2 * LAST))
def test_a_loan_that_nobody_touches_any_more_stays_consistent(
    offer: Offer, policy: Policy, happened: list[Any], to: int
) -> None:
    """Time alone accrues all interest, amortises all fees and breaks nothing."""
    *_, (_, entry) = played(offer, policy, happened)
    history = accrued(entry.history, START + timedelta(days=to)).history
    book = book_of(history)
    check(book)
    assert book.fee_left == book.fee_taken
    later = accrued(history, START + timedelta(days=to + 5 * LAST)).history
    check(book_of(later))


# ---------------------------------------------------------------- waterfalls


@given(
    waterfall=waterfalls,
    items=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(PARTS), st.integers(1, 1_000)), max_size=12),
    amount=st.integers(0, 8_000),
    day=st.integers(0, 9),
)
def test_a_waterfall_never_takes_more_than_there_is(
    waterfall: Waterfall, items: list[tuple[int, Part, int]], amount: int, day: int
) -> None:
    """It takes the whole amount or all that is owed, of each item at most what is owed of it."""
    owed = [Item(START + timedelta(days=due), part, n, ("row", i)) for i, (due, part, n) in enumerate(items)]
    slices = allocate(waterfall, owed, amount, START + timedelta(days=day))
    assert sum(piece.amount for piece in slices) == min(amount, sum(item.amount for item in owed))
    assert all(0 < piece.amount <= piece.item.amount for piece in slices)
    assert len({piece.item.place for piece in slices}) == len(slices)
    assert [piece.amount == piece.item.amount for piece in slices[:-1]] == [True] * len(slices[:-1])


@given(order=st.permutations(STEPS), amounts=st.lists(st.integers(1, 99), min_size=12, max_size=12))
def test_a_waterfall_of_steps_takes_them_in_their_order(order: list[str], amounts: list[int]) -> None:
    """With one item for each step, the slices are the steps."""
    dues = {"past_due": -1, "due": 0, "in_advance": 1}
    items = [
        Item(START + timedelta(days=dues[timing]), part, amounts[i], ("row", i))
        for i, (timing, part) in enumerate((timing, part) for timing in TIMINGS for part in PARTS)
    ]
    slices = allocate(Waterfall("house", 1, tuple(order)), items, sum(amounts), START)
    assert [f"{piece.timing} {piece.item.part}" for piece in slices] == order


# ---------------------------------------------------------------- undoing and backdating


@settings(max_examples=100, deadline=None)
@given(offer=offers, policy=policies, happened=events(FITTING), data=st.data())
def test_undo_then_redo_gives_the_same_state(
    offer: Offer, policy: Policy, happened: list[Any], data: st.DataObject
) -> None:
    """A repayment that is taken back and entered again leaves facts, debt and accounts as they were."""
    *_, (_, entry) = played(offer, policy, happened)
    history = entry.history
    repaid = [fact for fact in history.facts if isinstance(fact, f.Repaid)]
    assume(repaid)
    fact = data.draw(st.sampled_from(repaid))
    try:
        undone = without(history, fact.seq, book_of(history).accrued_to)
    except f.Misfit:
        assume(False)
    check(book_of(undone.history))
    redone = add(undone.history, fact)
    assert redone.history == history
    assert net([*undone.lines, *redone.lines]) == Counter()


def net(lines: Lines) -> Counter[str]:
    """What lines come to, by account."""
    total: Counter[str] = Counter()
    for account, amount in lines:
        total[account] += amount
    return Counter({account: amount for account, amount in total.items() if amount})


@settings(max_examples=100, deadline=None)
@given(
    offer=offers,
    policy=policies,
    happened=events(MUTABLE),
    accruals=st.lists(st.integers(0, LAST), max_size=3),
    data=st.data(),
)
def test_any_order_of_entering_gives_the_balances_of_the_facts_in_order(
    offer: Offer, policy: Policy, happened: list[Any], accruals: list[int], data: st.DataObject
) -> None:
    """However late each fact is entered, whenever accruals ran: head is as if all had come in order."""
    last = START + timedelta(days=LAST)
    *_, (_, entry) = played(offer, policy, happened)
    in_order = accrued(entry.history, last).history
    facts = in_order.facts[1:]
    entry = opened(offer, policy)
    lines = list(entry.lines)
    for fact in data.draw(st.permutations(facts)):
        if accruals:
            step = accrued(entry.history, START + timedelta(days=accruals.pop()))
            lines += step.lines
            entry = step
        entry = add(entry.history, fact)
        lines += entry.lines
    entry = accrued(entry.history, last)
    lines += entry.lines
    assert entry.history == in_order
    assert dict(net(lines)) == book_of(in_order).totals


@settings(max_examples=100, deadline=None)
@given(
    offer=offers, policy=policies, happened=events(FITTING), days=st.lists(st.integers(0, LAST), max_size=9)
)
def test_when_accruals_run_makes_no_difference(
    offer: Offer, policy: Policy, happened: list[Any], days: list[int]
) -> None:
    """Daily accruals, rare ones or none before the end: the loan is the same."""
    last = START + timedelta(days=LAST)
    *_, (_, entry) = played(offer, policy, happened)
    once = accrued(entry.history, last).history
    history = opened(offer, policy).history
    waiting = sorted(START + timedelta(days=n) for n in days)
    for fact in once.facts[1:]:
        while waiting and waiting[0] <= fact.day:
            history = accrued(history, waiting.pop(0)).history
        history = add(history, fact).history
    assert accrued(history, last).history == once
