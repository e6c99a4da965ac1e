"""A loan's account, line by line: what was owed after each thing that happened to it, and how late it was.

The facts are entered into a new book, one after another, in the order in which they count; so a statement is
what is known now of every day, late facts where they belong and undone ones gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, NamedTuple

from ledger.loans.book import Book
from ledger.loans.entering import enter
from ledger.loans.history import History
from ledger.loans.waterfall import PARTS, Part

ACCRUED = "accrued"


class Debt(NamedTuple):
    """What has accrued of each part and is not paid (below zero: paid in advance), and what is overpaid."""

    parts: dict[Part, int]
    overpaid: int

    @property
    def balance(self) -> int:
        """What the borrower owes by now, less what is overpaid."""
        return sum(self.parts.values()) - self.overpaid


class Step(NamedTuple):
    """Something that happened: a fact by its kind and seq, or time that passed; and the debt after it.

    `amount` is the fact's own, `days_past_due` what it found.
    """

    day: date
    kind: str
    seq: int | None
    amount: int | None
    after: Debt
    days_past_due: int


def debt_of(book: Book) -> Debt:
    """What is owed by a book as it stands."""
    return Debt({part: book.tally(part).net for part in PARTS}, book.overpaid)


def steps(history: History, upto: date, since: date | None = None) -> Iterator[Step]:
    """What happened to a loan by the end of a day, in order; time passes in steps of its own.

    What accrued before the day `since` and from then on are two steps.
    """
    book: Book | None = None
    eve = date.min if since is None or since == date.min else since - timedelta(days=1)
    for fact in history.facts:
        if fact.day > upto:
            break
        book = book or Book(offer=history.offer, policy=history.policy, accrued_to=fact.day)
        yield from _passed(book, min(eve, fact.day))
        yield from _passed(book, fact.day)
        late = book.days_past_due(fact.day)
        enter(book, fact)
        tag: Any = type(fact).__struct_config__.tag
        yield Step(fact.day, str(tag), fact.seq, getattr(fact, "amount", None), debt_of(book), late)
    if book is not None:
        yield from _passed(book, min(eve, upto))
        yield from _passed(book, upto)


def _passed(book: Book, day: date) -> Iterator[Step]:
    before = debt_of(book)
    book.accrue(day)
    after = debt_of(book)
    if after != before:
        accrued = after.balance - before.balance
        yield Step(day, ACCRUED, None, accrued, after, book.days_past_due(day))
