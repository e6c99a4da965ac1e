"""Origination fees that are deferred: income evenly by days, until the last instalment is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.loans import accounts as a
from ledger.loans.schedule import share

if TYPE_CHECKING:
    from ledger.loans.book import Book


def amortise(book: Book) -> None:
    """What the days until the book's have earned becomes income."""
    if not book.fee_left or book.fee_day is None:
        return
    last = book.rows[-1].due if book.rows else book.fee_day
    days, whole = (book.accrued_to - book.fee_day).days, (last - book.fee_day).days
    reached = share(book.fee_left, days, whole, book.rounding) if days < whole else book.fee_left
    book.debit(a.DEFERRED_FEES, reached - book.fee_taken)
    book.credit(a.INCOME["interest"], reached - book.fee_taken)
    book.fee_taken = reached


def defer(book: Book, fee: int) -> None:
    """More fees to spread, or another schedule to spread them over."""
    book.fee_left += fee - book.fee_taken
    book.fee_day, book.fee_taken = book.accrued_to, 0


def release(book: Book, account: str) -> None:
    """Nothing is left to spread them over: the rest goes to an account."""
    rest = book.fee_left - book.fee_taken
    book.debit(a.DEFERRED_FEES, rest)
    book.credit(account, rest)
    book.fee_left = book.fee_taken = 0
