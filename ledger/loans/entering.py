"""Entering facts: the posting rules of loans, one function for each kind of fact (docs/postings.md).

Every function gets a book that has accrued to the fact's day, changes it, and answers the split, if there is
one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from msgspec.structs import replace

from ledger.loans import accounts as a
from ledger.loans import facts as f
from ledger.loans.book import Book, Extra, Split
from ledger.loans.facts import misfit
from ledger.loans.planning import collapse, first_dues, move_arrears, replan
from ledger.loans.schedule import EXACT, rounded
from ledger.loans.waterfall import PARTS, Item, Part, Slice, Waterfall, allocate

DUE = Waterfall("due_first")
AFTER_WRITE_OFF = f.Repaid | f.Settled | f.Prepaid | f.ChargedBack | f.Refunded | f.Released


def enter(book: Book, fact: f.AnyFact) -> list[Slice]:
    """Accrue to the fact's day and enter it (Misfit)."""
    book.accrue(fact.day)
    if book.written_off and not isinstance(fact, AFTER_WRITE_OFF):
        misfit("loan_written_off")
    slices: list[Slice] = _RULES[type(fact)](book, fact) or []
    book.conclude()
    return slices


def percent(amount: int, rate: str, book: Book) -> int:
    """A percentage, rounded as the loan rounds."""
    with localcontext(EXACT):
        return rounded(Decimal(amount) * Decimal(rate) / 100, book.rounding)


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
        book.credit(fact.account, fact.amount)
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
    if book.policy.defer_fees:
        book.defer(fact.fee)


# ---------------------------------------------------------------- being paid


def _pay(book: Book, fact: f.Repaid | f.Prepaid | f.Settled, slices: Iterable[Slice], over: int) -> None:
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
    serviced = recovered = 0
    if book.offer.provider is not None and not book.written_off:
        serviced = percent(paid, book.offer.servicing_rate, book)
        book.credit(book.collected, paid - serviced)
        book.credit(a.SERVICING_INCOME, serviced)
    elif not book.on_books:
        recovered, over = (paid + over, 0) if book.written_off else (paid, over)
        book.credit(book.collected, recovered)
        book.recovered += recovered
    if isinstance(fact, f.Repaid) and fact.to_borrower:
        book.credit(a.BORROWER_PAYABLE, over)
        over = 0
    else:
        book.credit(a.OVERPAID, over)
        book.overpaid += over
    book.splits[str(fact.seq)] = Split(parts, over, recovered, serviced)


def _repaid(book: Book, fact: f.Repaid) -> list[Slice]:
    if fact.collateral:
        _released(book, f.Released(seq=fact.seq, at=fact.at, day=fact.day, collateral=fact.collateral))
    slices = allocate(fact.waterfall, book.items(), fact.amount, fact.day)
    _pay(book, fact, slices, fact.amount - sum(slice.amount for slice in slices))
    return slices


def _prepaid(book: Book, fact: f.Prepaid) -> list[Slice]:
    due = [item for item in book.items() if item.due <= fact.day]
    ahead = [item for item in book.items() if item.due > fact.day and item.part == "principal"]
    slices = allocate(fact.waterfall, due, fact.amount, fact.day)
    rest = fact.amount - sum(slice.amount for slice in slices)
    before = allocate(fact.waterfall, ahead, rest, fact.day)
    slices += before
    usual = _usual_instalment(book) if fact.keep_instalment else None
    _pay(book, fact, slices, fact.amount - sum(slice.amount for slice in slices))
    if before:
        replan(book, instalment=usual)
    return slices


def _usual_instalment(book: Book) -> int | None:
    """The instalment that comes next, if it is not the last."""
    ahead = [row for row in book.rows if row.due > book.accrued_to]
    return ahead[0].principal + ahead[0].interest if len(ahead) > 1 else None


def _settled(book: Book, fact: f.Settled) -> list[Slice]:
    if not book.written_off:
        collapse(book)
    needed = sum(book.outstanding().values())
    if fact.amount < needed:
        misfit("below_payoff", payoff=needed, amount=fact.amount)
    slices = allocate(DUE, book.items(), fact.amount, fact.day)
    _pay(book, fact, slices, fact.amount - needed)
    return slices


def _refunded(book: Book, fact: f.Refunded) -> None:
    if fact.amount > book.overpaid:
        misfit("exceeds_overpayment", overpaid=book.overpaid, amount=fact.amount)
    book.overpaid -= fact.amount
    book.debit(a.OVERPAID, fact.amount)
    book.credit(fact.account, fact.amount)


def _charged_back(book: Book, fact: f.ChargedBack) -> None:
    """Overpayment first, then the repayment's own split in the order asked; what was refunded is lent."""
    split = book.splits.get(str(fact.repayment))
    if split is None:
        misfit("repayment_not_found", repayment=fact.repayment)
    if fact.amount > split.left:
        misfit("exceeds_repayment", left=split.left, amount=fact.amount)
    rest, skip = fact.amount, split.returned
    over = min(max(split.overpaid - skip, 0), rest)
    skip, rest = max(skip - split.overpaid, 0), rest - over
    taken = min(over, book.overpaid)
    book.overpaid -= taken
    book.debit(a.OVERPAID, taken)
    back: dict[Part, int] = {}
    for part in fact.order:
        whole = split.parts.get(part, 0)
        amount = min(max(whole - skip, 0), rest)
        skip, rest = max(skip - whole, 0), rest - amount
        if amount:
            back[part] = amount
    _take_back(book, fact, split, back, rest)
    if over > taken:
        _lend(book, fact, over - taken)
    book.credit(fact.account, fact.amount)
    book.splits[str(fact.repayment)] = replace(split, returned=split.returned + fact.amount)


def _take_back(book: Book, fact: f.ChargedBack, split: Split, back: dict[Part, int], rest: int) -> None:
    for part, amount in back.items():
        if not book.written_off:
            book.burden(part, amount)
            book.extras.append(Extra(part, fact.day, amount))
    amount = sum(back.values())
    if split.recovered:
        book.debit(a.RECOVERIES, amount + rest)
        book.recovered -= amount + rest
    elif book.offer.provider is not None:
        serviced = percent(amount, book.offer.servicing_rate, book)
        book.debit(book.collected, amount - serviced)
        book.debit(a.SERVICING_INCOME, serviced)
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
        item._replace(amount=_accrued_of(book, item)) if item.part == "interest" else item
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


# ---------------------------------------------------------------- losses


def _charged_off(book: Book, fact: f.ChargedOff) -> None:
    if not book.on_books:
        misfit("loan_charged_off")
    book.debit(a.CHARGE_OFFS, max(book.tally("principal").net, 0))
    _clear(book, contra=True)
    book.provide(0)
    book.charged_off, book.non_accrual = True, False


def _written_off(book: Book, fact: f.WrittenOff) -> None:
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
    book.release_fees(against)
    unearned = max(-book.tally("interest").net, 0)
    book.debit(a.UNEARNED, unearned)
    book.credit(against, unearned)


def _provisioned(book: Book, fact: f.Provisioned) -> None:
    entry = book.policy.provision_class(book.days_past_due(fact.day))
    exposed = 0
    if book.on_books and entry is not None:
        exposed = max(book.tally("principal").net, 0)
        if not book.non_accrual:
            exposed += sum(max(book.tally(part).net, 0) for part in a.RECEIVABLE)
    book.provide(percent(exposed, entry.rate, book) if entry is not None else 0)


# ---------------------------------------------------------------- collateral


def _locked(book: Book, fact: f.Locked) -> None:
    if fact.collateral in book.collateral:
        misfit("collateral_locked", collateral=fact.collateral)
    book.collateral[fact.collateral] = fact.value
    book.debit(a.COLLATERAL, fact.value)
    book.credit(a.COLLATERAL_OFFSET, fact.value)


def _released(book: Book, fact: f.Released) -> None:
    value = book.collateral.pop(fact.collateral, None)
    if value is None:
        misfit("collateral_not_found", collateral=fact.collateral)
    book.credit(a.COLLATERAL, value)
    book.debit(a.COLLATERAL_OFFSET, value)


_RULES: dict[type, Callable[[Book, Any], list[Slice] | None]] = {
    f.Disbursed: _disbursed,
    f.Repaid: _repaid,
    f.Prepaid: _prepaid,
    f.Settled: _settled,
    f.Charged: _charged,
    f.Waived: _waived,
    f.Credited: _credited,
    f.Rescheduled: _rescheduled,
    f.Refunded: _refunded,
    f.ChargedBack: _charged_back,
    f.ChargedOff: _charged_off,
    f.WrittenOff: _written_off,
    f.Provisioned: _provisioned,
    f.Locked: _locked,
    f.Released: _released,
}
