"""What the deciders of loans share: finding the loan, dating, checking accounts, the event of a fact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NoReturn

from ledger.commands import Command, ProductCommand
from ledger.days import day_at
from ledger.entry import effective_moment, refuse
from ledger.loans import accounts as a
from ledger.loans.book import Book
from ledger.loans.command import LoanCommand
from ledger.loans.facts import Misfit
from ledger.loans.history import Entry, Exposures
from ledger.loans.state import (
    FREE,
    POLICY,
    Borrower,
    Lender,
    Loan,
    Status,
    borrower_stream,
    loan_stream,
)
from ledger.loans.terms import Policy
from ledger.loans.waterfall import Slice
from ledger.product import Line, record
from ledger.state import Accepted, State, figures
from ledger.text import micros


def loan_of(state: State, command: Command, *allowed: Status) -> Loan:
    """The loan that a command is about, in one of the statuses (any, if none is named)."""
    name = subject(command)
    stream = state.streams[name]
    if stream is None:
        refuse("loan_not_found", loan=name.partition(":")[2])
    loan: Loan = stream.state
    if allowed and loan.status not in allowed:
        refuse("loan_status", loan=loan.loan, status=loan.status, allowed=list(allowed))
    return loan


def subject(command: Command) -> str:
    """The stream that a command is about."""
    body = command.body
    assert isinstance(body, LoanCommand)
    return body.stream(str(command.subject))


def policy_of(state: State) -> Policy:
    """The lender's policy now."""
    stream = state.streams[POLICY]
    if stream is None:
        return Policy()
    lender: Lender = stream.state
    return lender.policy


def borrower_of(state: State, name: str) -> Borrower:
    """A borrower who was assessed."""
    stream = state.streams[borrower_stream(name)]
    if stream is None:
        refuse("borrower_not_found", borrower=name)
    borrower: Borrower = stream.state
    return borrower


def dated(state: State, body: ProductCommand, now: int) -> tuple[int, int, date]:
    """When the event counts in the books, and the moment and day at which the loan counts it."""
    effective_at = effective_moment(state, body, now)
    original = body.original_effective_at
    at = effective_at if original is None else micros(original)
    return effective_at, at, day_at(at, state.zone)


def check_fund(state: State, address: str) -> None:
    """Money comes from and goes to accounts of the ledger's own, never to those of a product."""
    account = state.accounts[address]
    terms = account.terms if account is not None else None
    if terms is None:
        pattern = state.chart.find(address)
        terms = pattern.terms() if pattern is not None else None
    if terms is not None and terms.product:
        refuse("account_of_product", account=address, product=terms.product)


def check_payable(state: State, provider: str, asset: str, amount: int) -> None:
    """No provider is paid more than we owe it: what it owes us is another account."""
    account = state.accounts[a.provider_payable(provider)]
    position = None if account is None else account.positions.get(asset)
    payable = 0
    if account is not None and position is not None:
        payable = max(figures(account.debit_normal, position.balance).available, 0)
    if amount > payable:
        refuse("exceeds_payable", provider=provider, asset=asset, payable=str(payable))


def misfits(error: Misfit) -> NoReturn:
    """A fact does not fit the loan: the command is refused."""
    refuse(error.code, **error.evidence)


def lines_of(asset: str, lines: Iterable[tuple[str, int]]) -> list[Line]:
    """The lines of a book as lines of an event: what is posted to one side of an account is one line."""
    sums: dict[tuple[str, bool], int] = {}
    for account, amount in lines:
        side = account, amount > 0
        sums[side] = sums.get(side, 0) + amount
    return [Line(account, asset, amount) for (account, _), amount in sums.items()]


def explained(slices: Iterable[Slice]) -> list[dict[str, str]]:
    """A split as the event explains it: what was paid, of what, in which order."""
    return [
        {
            "timing": piece.timing,
            "part": piece.item.part,
            "due": piece.item.due.isoformat(),
            "amount": str(piece.amount),
        }
        for piece in slices
    ]


def _exposures(exposures: Exposures) -> dict[str, Any]:
    """As the event says them: from which day on, and [day, principal, since when something is owed]."""
    days = [
        [day.isoformat(), str(exposure.principal), exposure.oldest_due and exposure.oldest_due.isoformat()]
        for day, exposure in exposures.days
    ]
    return {"from": exposures.since.isoformat(), "days": days}


def entered(
    state: State,
    command: Command,
    type: str,
    now: int,
    effective_at: int,
    loan: Loan,
    entry: Entry,
    data: dict[str, Any],
    *,
    before: Sequence[Line] = (),
    ends: Sequence[str] = (),
    also: Sequence[str] = (),
) -> Accepted:
    """The event of a loan with another history: its lines, and what it says of the loan after it.

    `also` are streams that it belongs to besides.
    """
    after = loan.at(entry)
    book = after.book
    assert book is not None
    data |= {
        "owed": {part: str(n) for part, n in book.outstanding().items() if n},
        "standing": standing(book),
    }
    if entry.slices:
        data["split"] = explained(entry.slices)
    if entry.exposures is not None:
        data["exposures"] = _exposures(entry.exposures)
    lines = [*before, *lines_of(loan.asset, entry.lines)]
    streams = [*streams_of(loan, after, data), *also]
    return record(state, command, type, now, effective_at, lines, streams, data, ends)


def standing(book: Book) -> dict[str, Any]:
    """What lists tell loans by: money out and in, since when or from when on something is due, what it is."""
    found: dict[str, Any] = {}
    if book.disbursed:
        found["disbursed"] = str(book.disbursed)
    if book.overpaid:
        found["overpaid"] = str(book.overpaid)
    due = book.oldest_due
    if due is not None:
        found["oldest_due"] = due.isoformat()
    if book.non_accrual:
        found["non_accrual"] = True
    if book.charged_off:
        found["charged_off"] = True
    return found


def streams_of(loan: Loan | None, after: Loan, data: dict[str, Any]) -> list[str]:
    """The loan's stream, and its borrower's when it takes more or less of the credit limit than before."""
    status, takes = after.status, taken(after)
    data |= {"loan": after.loan, "status": status}
    streams = [loan_stream(after.loan)]
    if loan is None or (loan.status in FREE) != (status in FREE) or taken(loan) != takes:
        streams.append(borrower_stream(after.borrower))
        data |= {"asset": after.asset, "taken": str(takes)}
    return streams


def taken(loan: Loan) -> int:
    """What a loan takes of its borrower's credit limit while it is not over."""
    return loan.requested if loan.offer is None else loan.offer.amount
