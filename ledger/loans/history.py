"""The history of a loan: its facts in the order in which they count, and the book that they make.

A fact that comes in order is entered into the book as it stands. One that comes late, or is taken back, makes
a new book of all facts in order, and what the accounts are short of the new book is posted as one correction.
So at head the book is always that of the facts in order, whatever order they came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from msgspec import Struct

from ledger.loans.book import Book, Lines
from ledger.loans.debt import Exposure
from ledger.loans.entering import enter
from ledger.loans.facts import AnyFact, Disbursed, Misfit, misfit
from ledger.loans.terms import Offer, Policy
from ledger.loans.waterfall import Slice


class History(Struct, frozen=True, gc=False):
    """Facts in the order in which they count, and their book (None: nothing was disbursed)."""

    offer: Offer
    policy: Policy
    facts: tuple[AnyFact, ...] = ()
    book: Book | None = None


class Exposures(Struct, frozen=True, gc=False):
    """What is known anew of a loan's exposure `since` a day: on days of facts, where it changed.

    What was said of that day and later ones before holds no more.
    """

    since: date
    days: tuple[tuple[date, Exposure], ...]


class Entry(Struct, frozen=True, gc=False):
    """A history with one more fact, or one less: the lines that it posts, and the split of the fact.

    `exposures` is None where they are as they were.
    """

    history: History
    lines: Lines
    slices: Sequence[Slice] = ()
    exposures: Exposures | None = None


# What was added last: a decision is followed by the fold of its event, which adds the same fact to the same
# book, and books are not changed once they are made.
_last: tuple[Book, AnyFact, Entry] | None = None


def add(history: History, fact: AnyFact) -> Entry:
    """Enter a fact wherever it belongs (Misfit)."""
    global _last
    known = _last
    if known is not None and known[0] is history.book and known[1] == fact:
        return known[2]
    entry = _added(history, fact)
    if history.book is not None:
        _last = history.book, fact, entry
    return entry


def _added(history: History, fact: AnyFact) -> Entry:
    facts, book = history.facts, history.book
    key = (fact.at, fact.seq)
    if book is not None and fact.day >= book.accrued_to and key > (facts[-1].at, facts[-1].seq):
        after = book.copy()
        split = enter(after, fact)
        exposures = None
        if after.at_risk != book.at_risk or after.oldest_due != book.oldest_due:
            exposures = Exposures(fact.day, ((fact.day, after.exposure()),))
        return _entry(history, (*facts, fact), after, after.lines, split, exposures)
    place = sum((other.at, other.seq) < key for other in facts)
    facts = (*facts[:place], fact, *facts[place:])
    after, slices, exposures = _made_anew(history, facts, fact, fact.day)
    lines = after.lines if book is None else _correction(book, after)
    return _entry(history, facts, after, lines, slices, exposures)


def without(history: History, seq: int, day: date) -> Entry:
    """Accrue to a day and take a fact back (Misfit)."""
    passed = accrued(history, day)
    history = passed.history
    undone = next((fact for fact in history.facts if fact.seq == seq), None)
    if undone is None:
        misfit("loan_transaction_not_found", transaction=seq)
    if isinstance(undone, Disbursed):
        misfit("disbursement_not_undone", transaction=seq)
    facts = tuple(fact for fact in history.facts if fact is not undone)
    after, _, exposures = _made_anew(history, facts, None, undone.day)
    assert history.book is not None
    return _entry(history, facts, after, [*passed.lines, *_correction(history.book, after)], (), exposures)


def accrued(history: History, to: date) -> Entry:
    """Let time pass (Misfit: nothing was disbursed)."""
    if history.book is None:
        misfit("nothing_disbursed")
    after = history.book.copy()
    after.accrue(to)
    return _entry(history, history.facts, after, after.lines, ())


def _entry(
    history: History,
    facts: tuple[AnyFact, ...],
    book: Book,
    lines: Lines,
    slices: Sequence[Slice],
    exposures: Exposures | None = None,
) -> Entry:
    book.lines = []
    return Entry(History(history.offer, history.policy, facts, book), lines, slices, exposures)


def _made_anew(
    history: History, facts: tuple[AnyFact, ...], fresh: AnyFact | None, since: date
) -> tuple[Book, Sequence[Slice], Exposures]:
    """The book of facts in order, accrued as far as the old one; the split of the `fresh` fact; and the
    exposures from a day on.
    """
    if not facts or not isinstance(facts[0], Disbursed):
        misfit("nothing_disbursed")
    book = Book(offer=history.offer, policy=history.policy, accrued_to=facts[0].day)
    found: Sequence[Slice] = ()
    exposures: dict[date, Exposure] = {}
    for fact in facts:
        try:
            slices = enter(book, fact)
        except Misfit as misfitting:
            if fact is fresh:
                raise
            misfit("later_transaction_conflicts", transaction=fact.seq, because=misfitting.code)
        if fact is fresh:
            found = slices
        exposures[fact.day] = book.exposure()
    if history.book is not None:
        book.accrue(history.book.accrued_to)
    return book, found, _changes(since, exposures)


def _changes(since: date, exposures: dict[date, Exposure]) -> Exposures:
    """Those of days from `since` on that differ from the day before."""
    days: list[tuple[date, Exposure]] = []
    before = Exposure(0, None)
    for day, exposure in exposures.items():
        if day >= since and exposure != before:
            days.append((day, exposure))
        before = exposure
    return Exposures(since, tuple(days))


def _correction(before: Book, after: Book) -> Lines:
    """What the accounts lack to be as the new book says."""
    changes = {
        account: after.totals.get(account, 0) - before.totals.get(account, 0)
        for account in sorted(before.totals.keys() | after.totals.keys())
    }
    debits = [(account, change) for account, change in changes.items() if change > 0]
    return debits + [(account, change) for account, change in changes.items() if change < 0]
