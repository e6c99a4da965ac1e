"""The posting rules of what is lost or secured against loss: charge-off, write-off, provision, collateral."""

from __future__ import annotations

from datetime import date
from decimal import Decimal, localcontext

from msgspec.structs import replace

from ledger.loans import accounts as a
from ledger.loans import facts as f
from ledger.loans import fees
from ledger.loans.book import Book
from ledger.loans.facts import misfit
from ledger.loans.schedule import EXACT, rounded


def percent(amount: int, rate: str, book: Book) -> int:
    """A percentage, rounded as the loan rounds."""
    with localcontext(EXACT):
        return rounded(Decimal(amount) * Decimal(rate) / 100, book.rounding)


def charged_off(book: Book, fact: f.ChargedOff) -> None:
    if not book.on_books:
        misfit("loan_charged_off")
    book.debit(a.CHARGE_OFFS, max(book.tally("principal").net, 0))
    _clear(book, contra=True)
    book.provide(0)
    book.charged_off, book.non_accrual = True, False


def written_off(book: Book, fact: f.WrittenOff) -> None:
    if not book.owes:
        misfit("nothing_owed")
    if book.on_books:
        book.debit(a.LOSSES, max(book.tally("principal").net, 0))
        _clear(book, contra=False)
        book.provide(0)
    elif book.offer.provider is not None:
        principal = book.outstanding()["principal"]
        book.credit(a.SERVICED, principal)
        book.debit(a.SERVICED_OFFSET, principal)
    for part, tally in book.tallies.items():
        kept, given_up = max(-tally.net, 0), max(tally.net, 0)
        book.tallies[part] = replace(tally, accrued=tally.accrued + kept, waived=tally.waived + given_up)
    book.rows = [
        replace(row, principal=row.principal_done, interest=row.interest_done, base=row.interest_done)
        for row in book.rows
    ]
    book.extras = [replace(extra, done=extra.amount) for extra in book.extras]
    book.written_off, book.non_accrual = True, False


def _clear(book: Book, *, contra: bool) -> None:
    """Take principal and receivables off the books, and what waits to become income with them."""
    against = a.CHARGE_OFFS if contra else a.LOSSES
    book.credit(a.PORTFOLIO, max(book.tally("principal").net, 0))
    for part, receivable in a.RECEIVABLE.items():
        net = max(book.tally(part).net, 0)
        if book.non_accrual:
            book.credit(a.SUSPENDED, net)
            book.debit(a.SUSPENDED_OFFSET, net)
        else:
            book.debit(a.CONTRA[part] if contra else a.LOSSES, net)
            book.credit(receivable, net)
    fees.release(book, against)
    unearned = max(-book.tally("interest").net, 0)
    book.debit(a.UNEARNED, unearned)
    book.credit(against, unearned)


def provisioned(book: Book, fact: f.Provisioned) -> None:
    book.provide(expected_loss(book, fact.day))


def expected_loss(book: Book, day: date) -> int:
    """What the policy expects to lose of a loan that has accrued to a day."""
    entry = book.policy.provision_class(book.days_past_due(day))
    exposed = 0
    if book.on_books and entry is not None:
        exposed = max(book.tally("principal").net, 0)
        if not book.non_accrual:
            exposed += sum(max(book.tally(part).net, 0) for part in a.RECEIVABLE)
    return percent(exposed, entry.rate, book) if entry is not None else 0


def locked(book: Book, fact: f.Locked) -> None:
    if fact.collateral in book.collateral:
        misfit("collateral_locked", collateral=fact.collateral)
    book.collateral[fact.collateral] = fact.value
    book.debit(a.COLLATERAL, fact.value)
    book.credit(a.COLLATERAL_OFFSET, fact.value)


def released(book: Book, fact: f.Released) -> None:
    value = book.collateral.pop(fact.collateral, None)
    if value is None:
        misfit("collateral_not_found", collateral=fact.collateral)
    book.credit(a.COLLATERAL, value)
    book.debit(a.COLLATERAL_OFFSET, value)
