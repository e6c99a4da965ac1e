"""The history of a loan: its facts in the order in which they count, and the book that they make.

A fact that comes in order is entered into the book as it stands. One that comes late, or is taken back, makes
a new book of all facts in order, and what the accounts are short of the new book is posted as one correction.
So at head the book is always that of the facts in order, whatever order they came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from ledger.loans.book import Book, Lines
from ledger.loans.entering import enter
from ledger.loans.facts import AnyFact, Disbursed, Misfit, misfit
from ledger.loans.terms import Offer, Policy
from ledger.loans.waterfall import Slice


class History(NamedTuple):
    """Facts in the order in which they count, and their book (None: nothing was disbursed)."""

    offer: Offer
    policy: Policy
    facts: tuple[AnyFact, ...] = ()
    book: Book | None = None


class Entry(NamedTuple):
    """A history with one more fact: the lines that it posts, and the split of the fact."""

    history: History
    lines: Lines
    slices: Sequence[Slice] = ()


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
        return _entry(history, (*facts, fact), after, after.lines, split)
    place = sum((other.at, other.seq) < key for other in facts)
    facts = (*facts[:place], fact, *facts[place:])
    after, slices = _made_anew(history, facts, fact)
    return _entry(history, facts, after, after.lines if book is None else _correction(book, after), slices)


def without(history: History, seq: int, day: date) -> Entry:
    """Accrue to a day and take a fact back (Misfit)."""
    history, lines, _ = accrued(history, day)
    facts = tuple(fact for fact in history.facts if fact.seq != seq)
    if len(facts) == len(history.facts):
        misfit("loan_transaction_not_found", transaction=seq)
    if any(isinstance(fact, Disbursed) and fact.seq == seq for fact in history.facts):
        misfit("disbursement_not_undone", transaction=seq)
    after, _ = _made_anew(history, facts, None)
    assert history.book is not None
    return _entry(history, facts, after, [*lines, *_correction(history.book, after)], ())


def accrued(history: History, to: date) -> Entry:
    """Let time pass (Misfit: nothing was disbursed)."""
    if history.book is None:
        misfit("nothing_disbursed")
    after = history.book.copy()
    after.accrue(to)
    return _entry(history, history.facts, after, after.lines, ())


def _entry(
    history: History, facts: tuple[AnyFact, ...], book: Book, lines: Lines, slices: Sequence[Slice]
) -> Entry:
    book.lines = []
    return Entry(history._replace(facts=facts, book=book), lines, slices)


def _made_anew(
    history: History, facts: tuple[AnyFact, ...], fresh: AnyFact | None
) -> tuple[Book, Sequence[Slice]]:
    """The book of facts in order, accrued as far as the old one; and the split of the `fresh` fact."""
    if not facts or not isinstance(facts[0], Disbursed):
        misfit("nothing_disbursed")
    book = Book(offer=history.offer, policy=history.policy, accrued_to=facts[0].day)
    found: Sequence[Slice] = ()
    for fact in facts:
        try:
            slices = enter(book, fact)
        except Misfit as misfitting:
            if fact is fresh:
                raise
            misfit("later_transaction_conflicts", transaction=fact.seq, because=misfitting.code)
        if fact is fresh:
            found = slices
    if history.book is not None:
        book.accrue(history.book.accrued_to)
    return book, found


def _correction(before: Book, after: Book) -> Lines:
    """What the accounts lack to be as the new book says."""
    changes = {
        account: after.totals.get(account, 0) - before.totals.get(account, 0)
        for account in sorted(before.totals.keys() | after.totals.keys())
    }
    debits = [(account, change) for account, change in changes.items() if change > 0]
    return debits + [(account, change) for account, change in changes.items() if change < 0]
