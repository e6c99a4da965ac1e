"""An active loan: each command becomes one fact of its history, and the event of that fact."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from ledger.commands import Command, ProductCommand
from ledger.entry import refuse
from ledger.loans import commands as c
from ledger.loans import facts as f
from ledger.loans.common import check_fund, dated, entered, loan_of, misfits
from ledger.loans.history import accrued, add, without
from ledger.loans.payments import payment_stream, said_of, undone
from ledger.loans.state import ACTIVE, LENT, Loan, Status, written
from ledger.loans.waterfall import PARTS, Waterfall
from ledger.state import Accepted, State

Decider = Callable[[State, Command, int], Accepted]
# Makes the fact of a command; `seq`, `at` and `day` are those of the fact.
Maker = Callable[..., f.AnyFact]


def _becoming(type: str, make: Maker, allowed: tuple[Status, ...]) -> Decider:
    """A decider of the commands that `make` makes facts of."""

    def decider(state: State, command: Command, now: int) -> Accepted:
        body = command.body
        assert isinstance(body, ProductCommand)
        loan = loan_of(state, command, *allowed)
        account = getattr(body, "account", None)
        if account is not None:
            check_fund(state, account)
        effective_at, at, day = dated(state, body, now)
        fact = make(loan, body, seq=state.seq + 1, at=at, day=day)
        try:
            entry = add(loan.history, fact)
        except f.Misfit as error:
            misfits(error)
        data: dict[str, Any] = {"fact": written(fact)}
        waterfall = getattr(fact, "waterfall", None)
        if waterfall is not None:
            data["waterfall"] = {"name": waterfall.name, "version": str(waterfall.version)}
        return entered(state, command, type, now, effective_at, loan, entry, data)

    return decider


def accrue(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Accrual)
    loan = loan_of(state, command, *LENT)
    effective_at, _, day = dated(state, body, now)
    assert loan.book is not None
    if day <= loan.book.accrued_to:
        refuse("already_accrued", accrued_to=loan.book.accrued_to.isoformat(), day=day.isoformat())
    entry = accrued(loan.history, day)
    return entered(state, command, "loan_accrued", now, effective_at, loan, entry, {"to": day.isoformat()})


def undo(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Undoing)
    loan = loan_of(state, command, *LENT)
    effective_at, _, day = dated(state, body, now)
    try:
        entry = without(loan.history, body.transaction, day)
    except f.Misfit as error:
        misfits(error)
    data: dict[str, Any] = {"undone": str(body.transaction), "reason": body.reason, "to": day.isoformat()}
    ends = (f"loan:{loan.loan}:transaction:{body.transaction}",)
    type, also = "loan_transaction_undone", payments_of(loan, body)
    for name in also:
        stream = state.streams[name]
        assert stream is not None
        data |= said_of(undone(stream.state, body.transaction))
    return entered(state, command, type, now, effective_at, loan, entry, data, ends=ends, also=also)


def payments_of(loan: Loan, body: c.Undoing) -> list[str]:
    """The stream of the payment that a transaction was part of, if it was."""
    undone = [fact for fact in loan.facts if fact.seq == body.transaction]
    return [payment_stream(name) for fact in undone if (name := getattr(fact, "payment", ""))]


# ---------------------------------------------------------------- the facts of commands


def _waterfall(loan: Loan, asked: Waterfall | None) -> Waterfall:
    return loan.policy.waterfall if asked is None else asked


def _repaid(loan: Loan, body: c.Repayment, **when: Any) -> f.Repaid:
    waterfall = _waterfall(loan, body.waterfall)
    return f.Repaid(amount=int(body.amount), account=body.account, waterfall=waterfall, **when)


def _prepaid(loan: Loan, body: c.Prepayment, **when: Any) -> f.Prepaid:
    return f.Prepaid(
        amount=int(body.amount),
        account=body.account,
        waterfall=loan.policy.waterfall,
        keep_instalment=body.reduce == "term",
        **when,
    )


def _nothing_on_its_way(loan: Loan) -> None:
    """What ends a loan, or takes it off the books, leaves no place for money that arrives later."""
    if any(tranche.status == "pending" for tranche in loan.tranches):
        refuse("disbursement_under_way", loan=loan.loan)


def _settled(loan: Loan, body: c.LoanSettlement, **when: Any) -> f.Settled:
    _nothing_on_its_way(loan)
    return f.Settled(amount=int(body.amount), account=body.account, **when)


def _refunded(loan: Loan, body: c.OverpaymentRefund, **when: Any) -> f.Refunded:
    return f.Refunded(amount=int(body.amount), account=body.account, **when)


def _charged_back(loan: Loan, body: c.Chargeback, **when: Any) -> f.ChargedBack:
    split = None if loan.book is None else loan.book.splits.get(str(body.repayment))
    if split is None:
        refuse("repayment_not_found", repayment=str(body.repayment))
    amount = split.left if body.amount is None else int(body.amount)
    return f.ChargedBack(
        repayment=body.repayment, amount=amount, account=body.account, order=body.order, **when
    )


def _charged(loan: Loan, body: c.Charge, **when: Any) -> f.Charged:
    return f.Charged(part=body.part, amount=int(body.amount), **when)


def _waived(loan: Loan, body: c.Waiver, **when: Any) -> f.Waived:
    given_up = {part: int(getattr(body.amounts, part)) for part in PARTS}
    return f.Waived(amounts={part: amount for part, amount in given_up.items() if amount}, **when)


def _credited(loan: Loan, body: c.Goodwill, **when: Any) -> f.Credited:
    return f.Credited(amount=int(body.amount), waterfall=_waterfall(loan, body.waterfall), **when)


def _rescheduled(loan: Loan, body: c.Rescheduling, *, day: date, **when: Any) -> f.Rescheduled:
    return f.Rescheduled(
        first_due=body.first_due, count=body.count, grace=body.grace, interest=body.interest, day=day, **when
    )


def _charged_off(loan: Loan, body: c.ChargeOff, **when: Any) -> f.ChargedOff:
    _nothing_on_its_way(loan)
    return f.ChargedOff(**when)


def _written_off(loan: Loan, body: c.WriteOff, **when: Any) -> f.WrittenOff:
    _nothing_on_its_way(loan)
    return f.WrittenOff(**when)


def _provisioned(loan: Loan, body: c.Provisioning, **when: Any) -> f.Provisioned:
    return f.Provisioned(**when)


def _locked(loan: Loan, body: c.CollateralLock, **when: Any) -> f.Locked:
    return f.Locked(collateral=body.collateral, value=int(body.value), **when)


def _released(loan: Loan, body: c.CollateralRelease, **when: Any) -> f.Released:
    return f.Released(collateral=body.collateral, **when)


def _liquidated(loan: Loan, body: c.Liquidation, **when: Any) -> f.Repaid:
    return f.Repaid(
        amount=int(body.amount),
        account=body.account,
        waterfall=loan.policy.waterfall,
        costs=int(body.costs),
        to_borrower=True,
        collateral=body.collateral,
        **when,
    )


DECIDERS: dict[type, Decider] = {
    c.Accrual: accrue,
    c.Repayment: _becoming("loan_repaid", _repaid, LENT),
    c.Prepayment: _becoming("loan_prepaid", _prepaid, ACTIVE),
    c.LoanSettlement: _becoming("loan_settled", _settled, ACTIVE),
    c.OverpaymentRefund: _becoming("loan_overpayment_refunded", _refunded, LENT),
    c.Chargeback: _becoming("loan_repayment_charged_back", _charged_back, LENT),
    c.Undoing: undo,
    c.Charge: _becoming("loan_charged", _charged, ACTIVE),
    c.Waiver: _becoming("loan_waived", _waived, ACTIVE),
    c.Goodwill: _becoming("loan_goodwill_credited", _credited, ACTIVE),
    c.Rescheduling: _becoming("loan_rescheduled", _rescheduled, ACTIVE),
    c.ChargeOff: _becoming("loan_charged_off", _charged_off, ACTIVE),
    c.WriteOff: _becoming("loan_written_off", _written_off, ACTIVE),
    c.Provisioning: _becoming("loan_provisioned", _provisioned, ACTIVE),
    c.CollateralLock: _becoming("loan_collateral_locked", _locked, ACTIVE),
    c.CollateralRelease: _becoming("loan_collateral_released", _released, LENT),
    c.Liquidation: _becoming("loan_collateral_liquidated", _liquidated, LENT),
}
