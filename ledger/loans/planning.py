"""Planning anew: what is not yet due is spread over instalments again.

After a disbursement, a prepayment or an agreement to reschedule, what is due stays as it is. The instalments
to come are planned for the principal that is left; the one that is running keeps the interest that has
accrued in it, and what was paid in advance is kept paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import localcontext

from msgspec.structs import replace

from ledger.loans import accounts as a
from ledger.loans import fees
from ledger.loans.book import Book
from ledger.loans.calendar import LAST_DUE
from ledger.loans.debt import Extra, Row
from ledger.loans.facts import misfit
from ledger.loans.schedule import EXACT, Dues, Interest, Period, plan


def replan(
    book: Book,
    *,
    add: int = 0,
    dues: Sequence[date] | None = None,
    interest: Interest | None = None,
    grace: int = 0,
    instalment: int | None = None,
) -> None:
    """Spread what is left, and `add` more principal, over the days `dues` (those that are planned, if None).

    The book has accrued to the day. `instalment` keeps instalments as they are and ends the loan earlier.
    """
    day = book.accrued_to
    past, ahead = _divide(book)
    if interest is not None:
        book.offer = replace(book.offer, interest=interest)
    start, carry, principal, interest_done = _running(book, ahead)
    principal += add
    if dues is None:
        dues = [row.due for row in ahead]
    spans = _spans(book, start, dues)
    planned = plan(book.offer.interest, principal, spans, grace=grace, carry=carry, instalment=instalment)
    fresh = [
        Row(span.start, span.due, due.principal, due.interest)
        for span, due in zip(spans, planned, strict=False)
        if due != Dues(0, 0)
    ]
    if fresh and (start < day or carry):
        fresh[0] = replace(fresh[0], base_day=day, base=carry)
    book.rows = past + fresh
    _keep_paid(book, len(past), interest_done)
    fees.defer(book, 0)


def collapse(book: Book) -> None:
    """End the schedule today: all principal is due, and the interest that has accrued; the rest is not
    charged.

    Interest that was paid in advance pays principal.
    """
    day = book.accrued_to
    past, ahead = _divide(book)
    start, carry, principal, interest_done = _running(book, ahead)
    book.rows = past
    if principal or carry:
        book.rows.append(Row(start, day, principal, carry))
        _keep_paid(book, len(past), interest_done)
    else:
        _give_back(book, interest_done)


def move_arrears(book: Book, due: date) -> int:
    """Take what is past due out of the instalments: answers its principal; its interest is due on `due`."""
    principal = interest = 0
    for place, row in enumerate(book.rows):
        if row.due <= book.accrued_to:
            principal += row.principal - row.principal_done
            interest += row.interest - row.interest_done
            book.rows[place] = replace(row, principal=row.principal_done, interest=row.interest_done)
    for place, extra in enumerate(book.extras):
        if extra.due > book.accrued_to or extra.done == extra.amount:
            continue
        if extra.part == "principal":
            principal += extra.amount - extra.done
            book.extras[place] = replace(extra, amount=extra.done)
        else:
            book.extras[place] = replace(extra, due=due)
    if interest:
        book.extras.append(Extra("interest", due, interest))
    return principal


def _divide(book: Book) -> tuple[list[Row], list[Row]]:
    """What was due by now, and what was not."""
    past = [row for row in book.rows if row.due <= book.accrued_to]
    return past, book.rows[len(past) :]


def _running(book: Book, ahead: list[Row]) -> tuple[date, int, int, int]:
    """Of what is not yet due: when it starts, accrued interest, principal left, interest paid.

    Principal that was paid in advance stays in the book, as an instalment of its own.
    """
    if not ahead:
        return book.accrued_to, 0, 0, 0
    done = sum(row.principal_done for row in ahead)
    if done:
        day = book.accrued_to
        book.extras.append(Extra("principal", day, done, done))
    principal = sum(row.principal for row in ahead) - done
    carry = sum(book.accrued_of(row, book.accrued_to) for row in ahead)
    return min(ahead[0].start, book.accrued_to), carry, principal, sum(row.interest_done for row in ahead)


def _spans(book: Book, start: date, dues: Sequence[date]) -> list[Period]:
    """The periods that end on `dues`; of the first, only what is still to come bears interest."""
    interest, every = book.offer.interest, book.offer.every
    spans: list[Period] = []
    with localcontext(EXACT):
        for due in dues:
            until = book.accrued_to if start < book.accrued_to else None
            spans.append(Period(start, due, interest.part(start, due, every, until)))
            start = due
    return spans


def first_dues(book: Book, first_due: date, count: int) -> list[date]:
    """The days of `count` instalments (Misfit)."""
    every = book.offer.every
    if first_due > LAST_DUE or not every.within_a_century(count) or every.after(first_due, count) > LAST_DUE:
        misfit("instalments_too_late", last_due=LAST_DUE)
    return [every.after(first_due, number) for number in range(count)]


def _keep_paid(book: Book, place: int, interest_done: int) -> None:
    """Interest that was paid in advance is paid in the new instalments, the earliest first."""
    for number in range(place, len(book.rows)):
        row = book.rows[number]
        done = min(row.interest, interest_done)
        interest_done -= done
        book.rows[number] = replace(row, interest_done=done)
    _give_back(book, interest_done)


def _give_back(book: Book, amount: int) -> None:
    """Interest paid for time that does not come pays principal instead; what is over is overpaid."""
    if not amount:
        return
    book.burden("interest", amount)
    for item in list(book.items()):
        taken = min(amount, item.amount) if item.part == "principal" else 0
        if taken:
            book.settle(item, taken)
            book.relieve("principal", taken, paid=True)
            amount -= taken
    if amount:
        if not book.on_books:
            book.debit(book.collected, amount)
        book.overpaid += amount
        book.credit(a.OVERPAID, amount)
