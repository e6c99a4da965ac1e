"""Payments of borrowers: created, processed or failed, matched to a loan or kept in suspense, refunded.

Whose a payment is, is decided with the payment, by what was said of it: the loan it names, the reference
`LOAN_{loan}`, the virtual account, an exact instalment of the borrower's loans - the first of these that
finds a loan that can take it. All others wait in suspense for somebody to say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

from msgspec import structs

from ledger.commands import Command, ProductCommand
from ledger.days import day_at
from ledger.entry import effective_moment, refuse
from ledger.loans import accounts as a
from ledger.loans import facts as f
from ledger.loans import payment_commands as c
from ledger.loans.common import dated, entered, lines_of, misfits, subject
from ledger.loans.history import Entry, add
from ledger.loans.payments import (
    Assigned,
    LoanPayment,
    Paid,
    PaymentStatus,
    matched,
    payment_stream,
    received,
    said_of,
    virtual_account_stream,
)
from ledger.loans.state import LENT, Borrower, Loan, borrower_stream, dump, loan_stream
from ledger.product import Line, record
from ledger.state import Accepted, State
from ledger.text import moment

REFERENCE = re.compile(r"LOAN_([A-Za-z0-9_.\-]{1,64})\Z")


class Hint(NamedTuple):
    """A loan that a payment may be for, and by which of its signs."""

    sign: str
    loan: str


class Match(NamedTuple):
    """A loan that takes a payment."""

    hint: Hint
    loan: Loan
    entry: Entry
    fact: f.Repaid


def candidates(state: State, paid: Paid) -> Iterator[Hint]:
    """Loans that a payment may be for, the surest first; whether they can take it is another question."""
    if paid.loan is not None:
        yield Hint("loan", paid.loan)
    named = REFERENCE.match(paid.reference)
    if named is not None:
        yield Hint("reference", named[1])
    if paid.virtual_account is not None:
        assigned = state.streams.get(virtual_account_stream(paid.virtual_account))
        if assigned is not None:
            known: Assigned = assigned.state
            yield Hint("virtual_account", known.loan)
    if paid.borrower is not None:
        for name in _loans_of(state, paid.borrower):
            yield Hint("instalment", name)


def signs(paid: Paid) -> Iterator[str]:
    """The streams that say which loans a payment may be for."""
    if paid.virtual_account is not None:
        yield virtual_account_stream(paid.virtual_account)
    if paid.borrower is not None:
        yield borrower_stream(paid.borrower)


def _loans_of(state: State, borrower: str) -> Iterable[str]:
    stream = state.streams.get(borrower_stream(borrower))
    if stream is None:
        return ()
    known: Borrower = stream.state
    return known.taken


def said(command: Command) -> Paid:
    """What a new payment says of itself."""
    body = command.body
    assert isinstance(body, c.NewLoanPayment)
    return Paid(
        payment=body.payment,
        method=body.method,
        asset=body.asset,
        amount=int(body.amount),
        reference=body.reference,
        loan=body.loan,
        virtual_account=body.virtual_account,
        borrower=body.borrower,
    )


def payment_of(state: State, command: Command, *allowed: PaymentStatus) -> LoanPayment:
    """The payment that a command is about, in one of the statuses."""
    name = subject(command)
    stream = state.streams[name]
    if stream is None:
        refuse("loan_payment_not_found", payment=name.partition(":")[2])
    payment: LoanPayment = stream.state
    if payment.status not in allowed:
        refuse(
            "loan_payment_status",
            payment=payment.paid.payment,
            status=payment.status,
            allowed=list(allowed),
        )
    return payment


# ---------------------------------------------------------------- coming in


def create(state: State, command: Command, now: int) -> Accepted:
    """Pending, or processed at once."""
    body, paid = command.body, said(command)
    assert isinstance(body, c.NewLoanPayment)
    if state.streams[payment_stream(paid.payment)] is not None:
        refuse("loan_payment_exists", payment=paid.payment)
    if paid.asset not in state.chart.asset_ids:
        refuse("asset_not_in_chart", asset=paid.asset)
    if paid.loan is not None and state.streams[loan_stream(paid.loan)] is None:
        refuse("loan_not_found", loan=paid.loan)
    if body.processed:
        return _processed(state, command, now, paid)
    effective_at, _, _ = dated(state, body, now)
    data = said_of(LoanPayment(paid=paid))
    streams = (payment_stream(paid.payment),)
    return record(state, command, "loan_payment_created", now, effective_at, (), streams, data)


def process(state: State, command: Command, now: int) -> Accepted:
    """The money of a pending payment arrived."""
    return _processed(state, command, now, payment_of(state, command, "pending").paid)


def fail(state: State, command: Command, now: int) -> Accepted:
    """It did not, and will not."""
    body = command.body
    assert isinstance(body, c.PaymentFailure)
    payment = payment_of(state, command, "pending")
    effective_at, _, _ = dated(state, body, now)
    data = said_of(structs.replace(payment, failed=body.reason))
    streams, ends = (subject(command),), (f"{subject(command)}:ended",)
    return record(state, command, "loan_payment_failed", now, effective_at, (), streams, data, ends)


def _processed(state: State, command: Command, now: int, paid: Paid) -> Accepted:
    """DR clearing / CR the waterfall of the loan that it is for, or suspense."""
    body = command.body
    assert isinstance(body, ProductCommand)
    effective_at, at, day = dated(state, body, now)
    name, type, payment = payment_stream(paid.payment), "loan_payment_processed", received(paid, at)
    lines = [
        Line(a.clearing(paid.method), paid.asset, paid.amount),
        Line(a.SUSPENSE, paid.asset, -paid.amount),
    ]
    ends = (f"{name}:ended",)
    found = _match(state, paid, at, day)
    if found is None:
        return record(state, command, type, now, effective_at, lines, (name,), said_of(payment), ends)
    return _repaid(state, command, type, now, effective_at, found, payment, before=lines, ends=ends)


def _match(state: State, paid: Paid, at: int, day: date) -> Match | None:
    """The loan that a payment is for; None: it is not clear, or the loan cannot take it."""
    instalments: list[Match] = []
    for hint in candidates(state, paid):
        stream = state.streams.get(loan_stream(hint.loan))
        if stream is None:
            continue
        loan: Loan = stream.state
        if loan.asset != paid.asset or loan.status not in LENT:
            continue
        if hint.sign == "instalment" and not _asks(loan, paid.amount):
            continue
        fact = _fact(state, loan, paid.payment, paid.amount, at, day)
        try:
            found = Match(hint, loan, add(loan.history, fact), fact)
        except f.Misfit:
            continue
        if hint.sign != "instalment":
            return found
        instalments.append(found)
    return instalments[0] if len(instalments) == 1 else None


def _asks(loan: Loan, amount: int) -> bool:
    """Whether an instalment is exactly so much, paid or not: so the order of payments makes no difference."""
    return loan.book is not None and any(row.principal + row.interest == amount for row in loan.book.rows)


def _fact(state: State, loan: Loan, payment: str, amount: int, at: int, day: date) -> f.Repaid:
    return f.Repaid(
        seq=state.seq + 1,
        at=at,
        day=day,
        amount=amount,
        account=a.SUSPENSE,
        waterfall=loan.policy.waterfall,
        payment=payment,
    )


def _repaid(
    state: State,
    command: Command,
    type: str,
    now: int,
    effective_at: int,
    match: Match,
    payment: LoanPayment,
    *,
    before: Sequence[Line] = (),
    ends: Sequence[str] = (),
) -> Accepted:
    """The event of a payment that repays a loan; what only passes through suspense is no leg of it."""
    waterfall, fact = match.fact.waterfall, match.fact
    data = said_of(matched(payment, match.loan.loan, fact.seq, match.hint.sign)) | {
        "fact": dump(fact),
        "waterfall": {"name": waterfall.name, "version": str(waterfall.version)},
    }
    entry, lines = match.entry, [*before, *lines_of(match.loan.asset, match.entry.lines)]
    through = sum(line.amount for line in lines if line.account == a.SUSPENSE)
    kept = [line for line in lines if line.account != a.SUSPENSE]
    suspense = Line(a.SUSPENSE, match.loan.asset, through)
    return entered(
        state,
        command,
        type,
        now,
        effective_at,
        match.loan,
        structs.replace(entry, lines=[]),
        data,
        before=[suspense, *kept],
        ends=ends,
        also=(payment_stream(payment.paid.payment),),
    )


# ---------------------------------------------------------------- the work list, and going back


def match(state: State, command: Command, now: int) -> Accepted:
    """DR suspense / CR the waterfall, as of the receipt; or as of the loan's beginning, if that is later."""
    body = command.body
    assert isinstance(body, c.PaymentMatching)
    payment = payment_of(state, command, "suspense")
    stream = state.streams[loan_stream(body.loan)]
    if stream is None:
        refuse("loan_not_found", loan=body.loan)
    loan: Loan = stream.state
    if loan.asset != payment.paid.asset:
        refuse("payment_asset_differs", asset=loan.asset, paid=payment.paid.asset)
    if loan.status not in LENT:
        refuse("loan_status", loan=loan.loan, status=loan.status, allowed=list(LENT))
    assert payment.received_at is not None
    at = max(payment.received_at, loan.facts[0].at)
    when = body if body.effective_at is not None else structs.replace(body, effective_at=moment(at))
    effective_at = effective_moment(state, when, now)
    fact = _fact(state, loan, payment.paid.payment, payment.in_suspense, at, day_at(at, state.zone))
    try:
        found = Match(Hint("hand", loan.loan), loan, add(loan.history, fact), fact)
    except f.Misfit as error:
        misfits(error)
    return _repaid(state, command, "loan_payment_matched", now, effective_at, found, payment)


def refund(state: State, command: Command, now: int) -> Accepted:
    """DR suspense / CR clearing; of a payment that was matched, a chargeback of the repayment."""
    body = command.body
    assert isinstance(body, c.PaymentRefund)
    payment = payment_of(state, command, "suspense", "matched")
    paid, name = payment.paid, subject(command)
    left = payment.in_suspense or payment.repaid - sum(payment.refunds.values())
    amount = left if body.amount is None else int(body.amount)
    if amount > left:
        refuse("exceeds_payment", left=str(left), amount=str(amount))
    effective_at, at, day = dated(state, body, now)
    data: dict[str, Any] = {"amount": str(amount), "reason": body.reason}
    clearing, type = a.clearing(paid.method), "loan_payment_refunded"
    if payment.in_suspense:
        lines = [Line(a.SUSPENSE, paid.asset, amount), Line(clearing, paid.asset, -amount)]
        after = structs.replace(
            payment, in_suspense=payment.in_suspense - amount, returned=payment.returned + amount
        )
        return record(state, command, type, now, effective_at, lines, (name,), data | said_of(after))
    stream = state.streams[loan_stream(payment.loan)]
    assert stream is not None
    loan: Loan = stream.state
    fact = f.ChargedBack(
        seq=state.seq + 1,
        at=at,
        day=day,
        repayment=payment.repayment,
        amount=amount,
        account=clearing,
        order=("principal", "interest", "fee", "penalty"),
        payment=paid.payment,
    )
    try:
        entry = add(loan.history, fact)
    except f.Misfit as error:
        misfits(error)
    after = structs.replace(payment, refunds={**payment.refunds, str(fact.seq): amount})
    data |= said_of(after) | {"fact": dump(fact)}
    return entered(state, command, type, now, effective_at, loan, entry, data, also=(name,))


def assign(state: State, command: Command, now: int) -> Accepted:
    """What is paid into a virtual account is for this loan, from now on."""
    body = command.body
    assert isinstance(body, c.VirtualAccount)
    if state.streams[loan_stream(body.loan)] is None:
        refuse("loan_not_found", loan=body.loan)
    effective_at, _, _ = dated(state, body, now)
    name = subject(command)
    data = {"virtual_account": name.partition(":")[2], "loan": body.loan}
    return record(state, command, "virtual_account_assigned", now, effective_at, (), (name,), data)


DECIDERS: dict[type, Callable[[State, Command, int], Accepted]] = {
    c.NewLoanPayment: create,
    c.PaymentProcessing: process,
    c.PaymentFailure: fail,
    c.PaymentMatching: match,
    c.PaymentRefund: refund,
    c.VirtualAccount: assign,
}
