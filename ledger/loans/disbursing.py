"""Money out to borrowers, in tranches, each held until the rail confirms it; and providers' funds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from ledger.commands import Command
from ledger.entry import refuse
from ledger.events import PENDING, RELEASE
from ledger.loans import accounts as a
from ledger.loans import commands as c
from ledger.loans.common import (
    check_fund,
    check_payable,
    dated,
    entered,
    loan_of,
    misfits,
    streams_of,
    subject,
)
from ledger.loans.facts import Disbursed, Misfit
from ledger.loans.history import Entry, add
from ledger.loans.state import Loan, Tranche, dump, written
from ledger.product import Line, credit, debit, record
from ledger.state import Accepted, State


def disburse(state: State, command: Command, now: int) -> Accepted:
    """Hold a tranche: what it will post is pending."""
    body = command.body
    assert isinstance(body, c.Disbursement)
    loan = loan_of(state, command, "accepted", "active", "repaid", "overpaid")
    assert loan.offer is not None
    check_fund(state, body.account)
    amount = loan.to_disburse if body.amount is None else int(body.amount)
    if not amount or amount > loan.to_disburse:
        refuse("exceeds_offer", loan=loan.loan, left=str(loan.to_disburse), amount=str(amount))
    sent = [tranche for tranche in loan.tranches if tranche.status != "failed"]
    fee = 0 if sent else loan.offer.fee
    if fee > amount:
        refuse("below_fee", fee=str(fee), amount=str(amount))
    reference = body.reference or _reference(loan)
    if any(tranche.reference == reference for tranche in sent):
        refuse("disbursement_reference_used", loan=loan.loan, reference=reference)
    tranche = Tranche(
        seq=state.seq + 1,
        amount=amount,
        fee=fee,
        account=body.account,
        method=body.method,
        reference=reference,
        first_due=body.first_due,
    )
    effective_at, at, day = dated(state, body, now)
    if body.first_due is not None and body.first_due <= day:
        refuse("first_due_not_later", first_due=body.first_due.isoformat(), day=day.isoformat())
    _arrived(loan, _fact(tranche, state.seq + 1, at, day))  # what never could must not go out
    data = {"tranche": dump(tranche)}
    streams = streams_of(loan, loan, data)
    lines = _held(loan, tranche, PENDING)
    return record(state, command, "loan_disbursement_held", now, effective_at, lines, streams, data)


def _reference(loan: Loan) -> str:
    """`LOAN_{loan}`, then `LOAN_{loan}-2` and so on."""
    number = len(loan.tranches) + 1
    return f"LOAN_{loan.loan}" if number == 1 else f"LOAN_{loan.loan}-{number}"


def _held(loan: Loan, tranche: Tranche, kind: int) -> list[Line]:
    """The legs of a tranche while it is on its way."""
    assert loan.offer is not None
    provider = loan.offer.provider
    if provider is None:
        source = a.PORTFOLIO
        fees = a.DEFERRED_FEES if loan.policy.defer_fees else a.INCOME["fee"]
    else:
        source, fees = a.provider_funds(provider), a.provider_payable(provider)
    return [
        Line(source, loan.asset, tranche.amount, kind),
        Line(tranche.account, loan.asset, tranche.fee - tranche.amount, kind),
        Line(fees, loan.asset, -tranche.fee, kind),
    ]


def _on_its_way(loan: Loan, number: int) -> Tranche:
    tranche = next((t for t in loan.tranches if t.seq == number), None)
    if tranche is None:
        refuse("disbursement_not_found", loan=loan.loan, disbursement=number)
    if tranche.status != "pending":
        refuse("disbursement_ended", disbursement=number, status=tranche.status)
    return tranche


def confirm(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.DisbursementConfirmation)
    loan = loan_of(state, command)
    tranche = _on_its_way(loan, body.disbursement)
    effective_at, at, day = dated(state, body, now)
    fact = _fact(tranche, state.seq + 1, at, day)
    entry = _arrived(loan, fact)
    data = {"fact": written(fact), "tranche": str(tranche.seq)}
    return entered(
        state,
        command,
        "loan_disbursed",
        now,
        effective_at,
        loan,
        entry,
        data,
        before=_held(loan, tranche, RELEASE),
        ends=_ends(loan, tranche),
    )


def _fact(tranche: Tranche, seq: int, at: int, day: date) -> Disbursed:
    first_due = tranche.first_due
    if first_due is not None and first_due <= day:
        first_due = None  # the rail took longer than that
    return Disbursed(
        seq=seq,
        at=at,
        day=day,
        amount=tranche.amount,
        fee=tranche.fee,
        account=tranche.account,
        first_due=first_due,
    )


def _arrived(loan: Loan, fact: Disbursed) -> Entry:
    try:
        return add(loan.history, fact)
    except Misfit as error:
        misfits(error)


def fail(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.DisbursementFailure)
    loan = loan_of(state, command)
    tranche = _on_its_way(loan, body.disbursement)
    effective_at, _, _ = dated(state, body, now)
    data = {"tranche": str(tranche.seq), "reason": body.reason}
    streams = streams_of(loan, loan, data)
    lines = _held(loan, tranche, RELEASE)
    ends = _ends(loan, tranche)
    return record(state, command, "loan_disbursement_failed", now, effective_at, lines, streams, data, ends)


def _ends(loan: Loan, tranche: Tranche) -> Sequence[str]:
    return (f"loan:{loan.loan}:disbursement:{tranche.seq}",)


def receive_funds(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.FundsReceipt)
    provider = _provider(command)
    check_fund(state, body.account)
    effective_at, _, _ = dated(state, body, now)
    amount = int(body.amount)
    lines = (
        debit(body.account, body.asset, amount),
        credit(a.provider_funds(provider), body.asset, amount),
    )
    data = {"provider": provider, "asset": body.asset, "amount": str(amount)}
    streams = (subject(command),)
    return record(state, command, "provider_funds_received", now, effective_at, lines, streams, data)


def remit(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Remittance)
    provider = _provider(command)
    check_fund(state, body.account)
    effective_at, _, _ = dated(state, body, now)
    amount = int(body.amount)
    check_payable(state, provider, body.asset, amount)
    lines = (
        debit(a.provider_payable(provider), body.asset, amount),
        credit(body.account, body.asset, amount),
    )
    data = {"provider": provider, "asset": body.asset, "amount": str(amount)}
    streams = (subject(command),)
    return record(state, command, "provider_paid", now, effective_at, lines, streams, data)


def _provider(command: Command) -> str:
    return subject(command).partition(":")[2]
