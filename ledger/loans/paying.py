"""The posting rules of money that comes in and goes back: repayments of every kind, refunds, chargebacks."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from ledger.loans import accounts as a
from ledger.loans import facts as f
from ledger.loans.book import Book
from ledger.loans.debt import Extra, Split
from ledger.loans.facts import misfit
from ledger.loans.losing import percent, released
from ledger.loans.planning import collapse, replan
from ledger.loans.waterfall import PARTS, Part, Slice, Waterfall, allocate

DUE = Waterfall("due_first")


def _pay(book: Book, fact: f.Repaid | f.Prepaid | f.Settled, slices: Iterable[Slice]) -> None:
    """Post a repayment: the money, each part that it pays, and what is over."""
    costs = fact.costs if isinstance(fact, f.Repaid) else 0
    book.debit(fact.account, fact.amount - costs)
    book.debit(a.RECOVERY_COSTS, costs)
    parts: dict[Part, int] = {}
    for slice in slices:
        book.settle(slice.item, slice.amount)
        parts[slice.item.part] = parts.get(slice.item.part, 0) + slice.amount
    for part in PARTS:
        if part in parts:
            book.relieve(part, parts[part], paid=True)
    paid = sum(parts.values())
    over = fact.amount - paid
    unasked, over = (over, 0) if book.written_off else (0, over)
    recovered = book.charged_off or book.written_off
    if recovered:
        book.recovered += paid + unasked
    if book.offer.provider is not None:
        _collected(book, 0, paid + unasked)
    elif recovered:
        book.credit(a.RECOVERIES, paid + unasked)
    if isinstance(fact, f.Repaid) and fact.to_borrower:
        book.credit(a.BORROWER_PAYABLE, over)
        over = 0
    else:
        book.credit(a.OVERPAID, over)
        book.overpaid += over
    book.splits[str(fact.seq)] = Split(parts, over, unasked, recovered)


def _collected(book: Book, before: int, after: int) -> None:
    """What is kept of a repayment for a provider changes; the servicing rate of all that is kept is ours."""
    rate = book.offer.servicing_rate
    serviced = percent(after, rate, book) - percent(before, rate, book)
    book.credit(book.collected, after - before - serviced)
    book.credit(a.SERVICING_INCOME, serviced)


def repaid(book: Book, fact: f.Repaid) -> list[Slice]:
    if fact.collateral:
        released(book, f.Released(seq=fact.seq, at=fact.at, day=fact.day, collateral=fact.collateral))
    items = book.items(fact.amount if fact.waterfall.by_instalment else None)
    slices = allocate(fact.waterfall, items, fact.amount, fact.day)
    _pay(book, fact, slices)
    return slices


def prepaid(book: Book, fact: f.Prepaid) -> list[Slice]:
    due = [item for item in book.items() if item.due <= fact.day]
    ahead = [item for item in book.items() if item.due > fact.day and item.part == "principal"]
    slices = allocate(fact.waterfall, due, fact.amount, fact.day)
    rest = fact.amount - sum(slice.amount for slice in slices)
    before = allocate(fact.waterfall, ahead, rest, fact.day)
    slices += before
    usual = _usual_instalment(book) if fact.keep_instalment else None
    _pay(book, fact, slices)
    if before:
        replan(book, instalment=usual)
    return slices


def _usual_instalment(book: Book) -> int | None:
    """The instalment that comes next, if it is not the last."""
    ahead = [row for row in book.rows if row.due > book.accrued_to]
    return ahead[0].principal + ahead[0].interest if len(ahead) > 1 else None


def settled(book: Book, fact: f.Settled) -> list[Slice]:
    if not book.written_off:
        collapse(book)
    needed = sum(book.outstanding().values())
    if fact.amount < needed:
        misfit("below_payoff", payoff=needed, amount=fact.amount)
    slices = allocate(DUE, book.items(), fact.amount, fact.day)
    _pay(book, fact, slices)
    return slices


def refunded(book: Book, fact: f.Refunded) -> None:
    if fact.amount > book.overpaid:
        misfit("exceeds_overpayment", overpaid=book.overpaid, amount=fact.amount)
    book.overpaid -= fact.amount
    book.debit(a.OVERPAID, fact.amount)
    book.credit(fact.account, fact.amount)


def charged_back(book: Book, fact: f.ChargedBack) -> None:
    """Overpayment first, then the repayment's own split in the order asked; what was refunded is lent."""
    split = book.splits.get(str(fact.repayment))
    if split is None:
        misfit("repayment_not_found", repayment=fact.repayment)
    if fact.amount > split.left:
        misfit("exceeds_repayment", left=split.left, amount=fact.amount)
    over = min(split.overpaid, fact.amount)
    taken, rest = min(over, book.overpaid), fact.amount - over
    book.overpaid -= taken
    book.debit(a.OVERPAID, taken)
    parts = dict(split.parts)
    for part in fact.order:
        amount = min(parts.get(part, 0), rest)
        rest -= amount
        if amount:
            parts[part] -= amount
            _owe_again(book, fact, part, amount)
    after = replace(split, parts=parts, overpaid=split.overpaid - over, unasked=split.unasked - rest)
    _take_back(book, split, after)
    if over > taken:
        _lend(book, fact, over - taken)
    book.credit(fact.account, fact.amount)
    book.splits[str(fact.repayment)] = after


def _owe_again(book: Book, fact: f.ChargedBack, part: Part, amount: int) -> None:
    if not book.written_off:
        book.burden(part, amount)
        book.extras.append(Extra(part, fact.day, amount))


def _take_back(book: Book, before: Split, after: Split) -> None:
    """Of what was kept, where it was not a debt on our books that it paid, or is none any more."""
    amount = before.kept - after.kept
    if before.recovered:
        book.recovered -= amount
    if book.offer.provider is not None:
        _collected(book, before.kept, after.kept)
    elif before.recovered:
        book.debit(a.RECOVERIES, amount)
    elif not book.on_books:
        book.debit(a.LOSSES if book.written_off else a.CHARGE_OFFS, amount)


def _lend(book: Book, fact: f.ChargedBack, amount: int) -> None:
    """Overpaid money that was given back and then charged back is owed as principal, or lost."""
    if not book.on_books:
        book.debit(a.LOSSES, amount)
        return
    tally = book.tally("principal")
    book.tallies["principal"] = replace(tally, accrued=tally.accrued + amount)
    book.disbursed += amount
    book.extras.append(Extra("principal", fact.day, amount))
    book.debit(a.PORTFOLIO, amount)
