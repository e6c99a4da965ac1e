"""Loans as a product of the ledger: streams, deciders, accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from ledger.commands import Command
from ledger.loans import accounts as a
from ledger.loans import applying, collecting, disbursing, receiving
from ledger.loans import commands as c
from ledger.loans import payment_commands as p
from ledger.loans.ageing import announce
from ledger.loans.case import Case, evolve_case
from ledger.loans.common import subject
from ledger.loans.payments import (
    Assigned,
    LoanPayment,
    evolve_payment,
    evolve_virtual_account,
    payment_claims,
)
from ledger.loans.servicing import DECIDERS, payments_of
from ledger.loans.state import (
    POLICY,
    Borrower,
    Funding,
    Lender,
    Loan,
    borrower_stream,
    evolve_borrower,
    evolve_funding,
    evolve_loan,
    evolve_policy,
    loan_claims,
    loan_stream,
)
from ledger.periods import start_of
from ledger.product import Kind, Needs, Product
from ledger.state import State
from ledger.text import micros

CONTROL = frozenset(
    entry.pattern for entry in a.PATTERNS if "{" not in entry.pattern and entry.pattern != a.SUSPENSE
)


def needs(state: State, command: Command) -> Needs:
    """The loan with its borrower and the policy; where the money is."""
    return _NEEDS.get(type(command.body), _of_lending)(state, command)


def _of_itself(state: State, command: Command) -> Needs:
    return Needs((subject(command),))


def _of_funds(state: State, command: Command) -> Needs:
    stream = subject(command)
    provider = stream.partition(":")[2]
    accounts = (a.provider_funds(provider), a.provider_payable(provider))
    return Needs((stream,), (*_named(command), *accounts))


def _of_application(state: State, command: Command) -> Needs:
    body = command.body
    assert isinstance(body, c.Application)
    return Needs((subject(command), POLICY, borrower_stream(body.borrower)))


def _of_lending(state: State, command: Command) -> Needs:
    stream = subject(command)
    loan = _of_loan(state, stream)
    return Needs((stream, POLICY, *loan.streams), (*_named(command), *loan.accounts))


def _of_undoing(state: State, command: Command) -> Needs:
    needed, known, body = _of_lending(state, command), state.streams.get(subject(command)), command.body
    assert isinstance(body, c.Undoing)
    if known is None:
        return needed
    # Its account may have come to nothing in the book, and what is undone comes back to it.
    paid = [
        account
        for fact in known.state.facts
        if fact.seq == body.transaction and (account := getattr(fact, "account", ""))
    ]
    return Needs((*needed.streams, *payments_of(known.state, body)), (*needed.accounts, *paid))


def _of_time(state: State, command: Command) -> Needs:
    """Time alone ends no loan, so the borrower is none of its business."""
    stream = subject(command)
    return Needs((stream,), _of_loan(state, stream).accounts)


def _of_repayment(state: State, command: Command) -> Needs:
    """One in the order of facts that leaves something owed ends and corrects nothing.

    Those are what there are most of, and they need neither the borrower nor where money went before.
    """
    body, known = command.body, state.streams.get(subject(command))
    assert isinstance(body, c.Repayment)
    if known is None or not _only_pays(state, known.state, body):
        return _of_lending(state, command)
    return Needs((), (body.account, *_of_provider(known.state)))


def _only_pays(state: State, loan: Loan, body: c.Repayment) -> bool:
    book = loan.book
    if book is None or loan.status != "active" or body.original_effective_at is not None:
        return False
    if not book.owes_more_than(int(body.amount)):
        return False
    if body.effective_at is None:
        return True
    at = micros(body.effective_at)
    return at >= loan.facts[-1].at and at >= start_of(book.accrued_to, state.zone)


def _named(command: Command) -> tuple[str, ...]:
    """The account that the command itself names."""
    account = getattr(command.body, "account", None)
    return () if account is None else (account,)


def _of_loan(state: State, stream: str) -> Needs:
    """What whatever happens to a loan may touch, as far as it is known."""
    known = state.streams.get(stream)
    if known is None:
        return Needs()
    loan: Loan = known.state
    accounts = [tranche.account for tranche in loan.tranches]
    if loan.book is not None:
        accounts += [address for address in loan.book.totals if address not in CONTROL]
    return Needs((borrower_stream(loan.borrower),), (*accounts, *_of_provider(loan)))


def _of_provider(loan: Loan) -> tuple[str, ...]:
    """The accounts of the provider whose loan it is, if it is one's."""
    if loan.offer is None or loan.offer.provider is None:
        return ()
    return a.provider_funds(loan.offer.provider), a.provider_payable(loan.offer.provider)


def _of_payment(state: State, command: Command) -> Needs:
    """The payment, every loan that it may be for, and where its money is."""
    stream = subject(command)
    body, known = command.body, state.streams.get(stream)
    if isinstance(body, p.VirtualAccount):
        streams, names, accounts = [stream], [body.loan], []
    else:
        payment: LoanPayment | None = None if known is None else known.state
        paid = receiving.said(command) if payment is None and isinstance(body, p.NewLoanPayment) else None
        if payment is not None:
            paid = payment.paid
        streams, names, accounts = [stream], [], [a.SUSPENSE]
        if paid is not None:
            streams += receiving.signs(paid)
            names = [hint.loan for hint in receiving.candidates(state, paid)]
            accounts.append(a.clearing(paid.method))
        if payment is not None and payment.loan:
            names.append(payment.loan)
        if isinstance(body, p.PaymentMatching):
            names.append(body.loan)
    for name in names:
        loan = _of_loan(state, loan_stream(name))
        streams += [loan_stream(name), *loan.streams]
        accounts += loan.accounts
    return Needs(streams, accounts)


_NEEDS: dict[type, Callable[[State, Command], Needs]] = {
    **dict.fromkeys((c.LoanPolicy, c.Assessment, p.KycStatus), _of_itself),
    **dict.fromkeys((c.FundsReceipt, c.Remittance), _of_funds),
    c.Application: _of_application,
    **dict.fromkeys((c.Accrual, c.Announcement), _of_time),
    c.Repayment: _of_repayment,
    c.Undoing: _of_undoing,
    **dict.fromkeys(receiving.DECIDERS, _of_payment),
    **dict.fromkeys(collecting.DECIDERS, collecting.needs),
}


def _never_due(state: State, command: Command, now: int) -> NoReturn:
    raise AssertionError("no stream of loans falls due")


LOANS = Product(
    name="loans",
    kinds={
        "loan": Kind(Loan, 3, evolve_loan, claims=loan_claims),
        "borrower": Kind(Borrower, 2, evolve_borrower),
        "loan_policy": Kind(Lender, 1, evolve_policy),
        "provider_funding": Kind(Funding, 1, evolve_funding),
        "collection": Kind(Case, 1, evolve_case),
        "loan_payment": Kind(LoanPayment, 1, evolve_payment, claims=payment_claims),
        "virtual_account": Kind(Assigned, 1, evolve_virtual_account),
    },
    deciders={
        c.LoanPolicy: applying.set_policy,
        c.Assessment: applying.assess,
        c.Application: applying.submit,
        c.Approval: applying.approve,
        c.ApplicationRejection: applying.reject,
        c.Withdrawal: applying.withdraw,
        c.Acceptance: applying.accept,
        c.Disbursement: disbursing.disburse,
        c.DisbursementConfirmation: disbursing.confirm,
        c.DisbursementFailure: disbursing.fail,
        c.FundsReceipt: disbursing.receive_funds,
        c.Remittance: disbursing.remit,
        p.KycStatus: applying.set_kyc,
        **DECIDERS,
        c.Announcement: announce,
        **collecting.DECIDERS,
        **receiving.DECIDERS,
    },
    needs=needs,
    due=_never_due,
    patterns=a.PATTERNS,
    controlled=tuple(sorted(a.OWN)),
    shared=tuple(sorted(CONTROL)),
)
