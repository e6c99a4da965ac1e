"""Entering facts: the posting rules of loans, one function for each kind of fact (docs/postings.md).

Every function gets a book that has accrued to the fact's day, changes it, and answers the split, if there is
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

from msgspec.structs import replace

from ledger.loans import accounts as a
from ledger.loans import facts as f
from ledger.loans import fees, losing, paying
from ledger.loans.book import Book
from ledger.loans.debt import Extra
from ledger.loans.facts import misfit
from ledger.loans.planning import collapse, first_dues, move_arrears, replan
from ledger.loans.waterfall import Item, Part, Slice, allocate

AFTER_WRITE_OFF = f.Repaid | f.Settled | f.Prepaid | f.ChargedBack | f.Refunded | f.Released


def enter(book: Book, fact: f.AnyFact) -> list[Slice]:
    """Accrue to the fact's day and enter it (Misfit)."""
    book.accrue(fact.day)
    if book.written_off and not isinstance(fact, AFTER_WRITE_OFF):
        misfit("loan_written_off")
    slices: list[Slice] = _RULES[type(fact)](book, fact) or []
    book.conclude()
    return slices


def payoff(book: Book, day: date) -> dict[Part, int]:
    """What it takes to settle the loan on a day, by part; principal is less what was paid in advance."""
    book = book.copy()
    book.accrue(day)
    if not book.written_off:
        collapse(book)
    return book.outstanding()


# ---------------------------------------------------------------- lending


def _disbursed(book: Book, fact: f.Disbursed) -> None:
    if book.charged_off:
        misfit("loan_charged_off")
    tally = book.tally("principal")
    book.tallies["principal"] = replace(tally, accrued=tally.accrued + fact.amount)
    book.disbursed += fact.amount
    used = min(book.overpaid, fact.amount)
    provider = book.offer.provider
    if provider is not None:
        book.debit(a.provider_funds(provider), fact.amount)
        book.credit(fact.account, fact.amount - fact.fee)
        book.credit(a.provider_payable(provider), fact.fee)
        book.debit(a.SERVICED, fact.amount)
        book.credit(a.SERVICED_OFFSET, fact.amount)
        used = 0
    else:
        book.debit(a.PORTFOLIO, fact.amount - used)
        book.debit(a.OVERPAID, used)
        book.credit(fact.account, fact.amount - fact.fee)
        book.credit(a.DEFERRED_FEES if book.policy.defer_fees else a.INCOME["fee"], fact.fee)
    if used:
        book.overpaid -= used
        book.tallies["principal"] = replace(book.tally("principal"), paid=book.tally("principal").paid + used)
        book.extras.append(Extra("principal", fact.day, used, used))
    if book.rows:
        if book.rows[-1].due <= fact.day:
            misfit("loan_matured", due=book.rows[-1].due)
        replan(book, add=fact.amount - used)
    else:
        every, count = book.offer.every, book.offer.count
        first_due = fact.first_due or every.after(fact.day, 1)
        replan(book, add=fact.amount - used, dues=first_dues(book, first_due, count), grace=book.offer.grace)
    if book.policy.defer_fees and provider is None:
        fees.defer(book, fact.fee)


# ---------------------------------------------------------------- charging and giving up


def _charged(book: Book, fact: f.Charged) -> None:
    due = fact.day
    if fact.part == "fee":
        due = min((row.due for row in book.rows if row.due > fact.day), default=fact.day)
    book.extras.append(Extra(fact.part, due, fact.amount))
    assert fact.part != "principal"
    book.earn(fact.part, fact.amount)


def _waived(book: Book, fact: f.Waived) -> None:
    """What has accrued is lost; interest that has not accrued is not charged, which posts nothing."""
    lost = 0
    for part, amount in fact.amounts.items():
        items = sorted(item for item in book.items() if item.part == part)
        owed = sum(item.amount for item in items)
        if amount > owed:
            misfit("exceeds_owed", part=part, owed=owed, amount=amount)
        if part == "interest":
            amount = _waive_accrued(book, items, amount)
        else:
            _settle_oldest(book, items, amount)
        lost += book.relieve(part, amount, paid=False)
    book.debit(a.LOSSES, lost)


def _settle_oldest(book: Book, items: Iterable[Item], amount: int) -> None:
    for item in items:
        taken = min(amount, item.amount)
        book.settle(item, taken)
        amount -= taken


def _waive_accrued(book: Book, items: list[Item], amount: int) -> int:
    """Waive interest, accrued interest first; answers how much of it had accrued."""
    accrued = 0
    for item in items:
        taken = min(amount - accrued, _accrued_of(book, item))
        book.settle(item, taken)
        accrued += taken
    rest = amount - accrued
    for place, row in enumerate(book.rows):
        taken = min(rest, row.interest - max(row.interest_done, book.accrued_of(row, book.accrued_to)))
        if row.due > book.accrued_to and taken > 0:
            base = book.accrued_of(row, book.accrued_to)
            begin = max(row.start, book.accrued_to)
            book.rows[place] = replace(row, interest=row.interest - taken, base_day=begin, base=base)
            rest -= taken
    return accrued


def _accrued_of(book: Book, item: Item) -> int:
    """How much of an item of interest has accrued."""
    kind, place = item.place
    if kind == "extra":
        return item.amount
    row = book.rows[place]
    return max(book.accrued_of(row, book.accrued_to) - row.interest_done, 0)


def _credited(book: Book, fact: f.Credited) -> list[Slice]:
    """Goodwill pays what is due and principal, never interest that has not accrued."""
    items = [
        replace(item, amount=_accrued_of(book, item)) if item.part == "interest" else item
        for item in book.items()
    ]
    slices = allocate(fact.waterfall, items, fact.amount, fact.day)
    owed = sum(item.amount for item in items)
    if fact.amount > owed:
        misfit("exceeds_owed", part="all", owed=owed, amount=fact.amount)
    for slice in slices:
        book.settle(slice.item, slice.amount)
        posted = book.relieve(slice.item.part, slice.amount, paid=False)
        book.debit(a.GOODWILL if slice.item.part == "principal" else a.CONTRA[slice.item.part], posted)
    return slices


def _rescheduled(book: Book, fact: f.Rescheduled) -> None:
    if fact.first_due <= fact.day:
        misfit("first_due_not_later", first_due=fact.first_due, day=fact.day)
    if not book.owes:
        misfit("nothing_owed")
    arrears = move_arrears(book, fact.first_due)
    dues = first_dues(book, fact.first_due, fact.count)
    replan(book, add=arrears, dues=dues, interest=fact.interest, grace=fact.grace)


_RULES: dict[type, Callable[[Book, Any], list[Slice] | None]] = {
    f.Disbursed: _disbursed,
    f.Repaid: paying.repaid,
    f.Prepaid: paying.prepaid,
    f.Settled: paying.settled,
    f.Charged: _charged,
    f.Waived: _waived,
    f.Credited: _credited,
    f.Rescheduled: _rescheduled,
    f.Refunded: paying.refunded,
    f.ChargedBack: paying.charged_back,
    f.ChargedOff: losing.charged_off,
    f.WrittenOff: losing.written_off,
    f.Provisioned: losing.provisioned,
    f.Locked: losing.locked,
    f.Released: losing.released,
}
