"""Loans as a product of the ledger: streams, deciders, accounts."""

from __future__ import annotations

from typing import NoReturn

from ledger.commands import Command
from ledger.days import day_of
from ledger.loans import accounts as a
from ledger.loans import applying, collecting, disbursing, receiving
from ledger.loans import collection_commands as cc
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
from ledger.product import Kind, Needs, Product
from ledger.state import State
from ledger.text import micros

CONTROL = frozenset(
    entry.pattern for entry in a.PATTERNS if "{" not in entry.pattern and entry.pattern != a.SUSPENSE
)


def needs(state: State, command: Command) -> Needs:
    """The loan with its borrower and the policy; the control accounts and where the money is."""
    if isinstance(command.body, cc.CollectionCommand):
        return collecting.needs(command)
    stream, body = subject(command), command.body
    account = getattr(body, "account", None)
    accounts = [] if account is None else [account]
    if isinstance(body, c.LoanPolicy | c.Assessment | p.KycStatus):
        return Needs((stream,), ())
    if isinstance(body, c.FundsReceipt | c.Remittance):
        provider = stream.partition(":")[2]
        return Needs((stream,), (*accounts, a.provider_funds(provider), a.provider_payable(provider)))
    if isinstance(body, c.Application):
        return Needs((stream, POLICY, borrower_stream(body.borrower)), ())
    if isinstance(body, p.PaymentCommand | p.VirtualAccount):
        return _of_payment(state, stream, command)
    loan = _of_loan(state, stream, body)
    undone = _payments_undone(state, stream, body) if isinstance(body, c.Undoing) else ()
    return Needs((stream, POLICY, *loan.streams, *undone), (*accounts, *loan.accounts))


def _of_loan(state: State, stream: str, body: object = None) -> Needs:
    """What whatever happens to a loan may touch, as far as it is known."""
    known = state.streams.get(stream)
    if known is None:
        return Needs()
    loan: Loan = known.state
    accounts = [tranche.account for tranche in loan.tranches]
    if loan.offer is not None and loan.offer.provider is not None:
        accounts += [a.provider_funds(loan.offer.provider), a.provider_payable(loan.offer.provider)]
    if loan.book is not None:
        accounts += [address for address in loan.book.totals if address not in CONTROL]
    if not state.accounts.keys() >= CONTROL:
        accounts += CONTROL
    return Needs((borrower_stream(loan.borrower),) if _may_end(state, loan, body) else (), accounts)


def _payments_undone(state: State, stream: str, body: c.Undoing) -> list[str]:
    known = state.streams.get(stream)
    return [] if known is None else payments_of(known.state, body)


def _of_payment(state: State, stream: str, command: Command) -> Needs:
    """The payment, every loan that it may be for, and where its money is."""
    body, known = command.body, state.streams.get(stream)
    if isinstance(body, p.VirtualAccount):
        streams, names, accounts = [stream], [body.loan], []
    else:
        payment: LoanPayment | None = None if known is None else known.state
        paid = receiving.said(command) if payment is None and isinstance(body, p.NewLoanPayment) else None
        if payment is not None:
            paid = payment.paid
        streams, names, accounts = [stream], [], [*CONTROL, a.SUSPENSE]
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


def _may_end(state: State, loan: Loan, body: object) -> bool:
    """Whether the loan may take more or less of its borrower's credit limit after the command than before.

    Time alone ends no loan, nor does a repayment in the order of facts of less than is owed: those are what
    there are most of, and they need not know the borrower.
    """
    if isinstance(body, c.Accrual | c.Announcement):
        return False
    book = loan.book
    if not isinstance(body, c.Repayment) or loan.status != "active" or book is None:
        return True
    if body.original_effective_at is not None or not book.owes_more_than(int(body.amount)):
        return True
    at = body.effective_at
    return at is not None and (micros(at) < loan.facts[-1].at or day_of(at, state.zone) < book.accrued_to)


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
        cc.CaseOpening: collecting.open_case,
        cc.CaseChange: collecting.change,
        cc.CaseNote: collecting.note,
        cc.PaymentPromise: collecting.promise,
        cc.PromiseRecord: collecting.record_promise,
        cc.CaseClosing: collecting.close,
        **receiving.DECIDERS,
    },
    needs=needs,
    due=_never_due,
    patterns=a.PATTERNS,
    controlled=tuple(sorted(a.OWN)),
)
