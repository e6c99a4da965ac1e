"""Loans as a product of the ledger: streams, deciders, accounts."""

from __future__ import annotations

from typing import NoReturn

from ledger.commands import Command
from ledger.loans import accounts as a
from ledger.loans import applying, collecting, disbursing
from ledger.loans import collection_commands as cc
from ledger.loans import commands as c
from ledger.loans.ageing import announce
from ledger.loans.case import Case, evolve_case
from ledger.loans.common import subject
from ledger.loans.servicing import DECIDERS
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
)
from ledger.product import Kind, Needs, Product
from ledger.state import State

CONTROL = tuple(pattern.pattern for pattern in a.PATTERNS if "{" not in pattern.pattern)


def needs(state: State, command: Command) -> Needs:
    """The loan with its borrower and the policy; the control accounts and where the money is."""
    if isinstance(command.body, cc.CollectionCommand):
        return collecting.needs(command)
    stream, body = subject(command), command.body
    account = getattr(body, "account", None)
    accounts = [] if account is None else [account]
    if isinstance(body, c.LoanPolicy | c.Assessment):
        return Needs((stream,), ())
    if isinstance(body, c.FundsReceipt | c.Remittance):
        provider = stream.partition(":")[2]
        return Needs((stream,), (*accounts, a.provider_funds(provider), a.provider_payable(provider)))
    if isinstance(body, c.Application):
        return Needs((stream, POLICY, borrower_stream(body.borrower)), ())
    known = state.streams.get(stream)
    if known is None:
        return Needs((stream, POLICY), accounts)
    loan: Loan = known.state
    if loan.offer is not None and loan.offer.provider is not None:
        accounts += [a.provider_funds(loan.offer.provider), a.provider_payable(loan.offer.provider)]
    accounts += [tranche.account for tranche in loan.tranches]
    if loan.book is not None:
        accounts += [address for address in loan.book.totals if address not in CONTROL]
    return Needs((stream, POLICY, borrower_stream(loan.borrower)), (*CONTROL, *accounts))


def _never_due(state: State, command: Command, now: int) -> NoReturn:
    raise AssertionError("no stream of loans falls due")


LOANS = Product(
    name="loans",
    kinds={
        "loan": Kind(Loan, 2, evolve_loan),
        "borrower": Kind(Borrower, 1, evolve_borrower),
        "loan_policy": Kind(Lender, 1, evolve_policy),
        "provider_funding": Kind(Funding, 1, evolve_funding),
        "collection": Kind(Case, 1, evolve_case),
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
        **DECIDERS,
        c.Announcement: announce,
        cc.CaseOpening: collecting.open_case,
        cc.CaseChange: collecting.change,
        cc.CaseNote: collecting.note,
        cc.PaymentPromise: collecting.promise,
        cc.PromiseRecord: collecting.record_promise,
        cc.CaseClosing: collecting.close,
    },
    needs=needs,
    due=_never_due,
    patterns=a.PATTERNS,
)
