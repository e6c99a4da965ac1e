"""From an application to an accepted offer; none of it posts anything."""

from __future__ import annotations

from msgspec.structs import replace

from ledger.commands import Command
from ledger.entry import refuse
from ledger.loans import commands as c
from ledger.loans.common import borrower_of, dated, loan_of, policy_of, streams_of, subject, taken
from ledger.loans.payment_commands import KycStatus
from ledger.loans.state import Borrower, Loan, dump
from ledger.loans.terms import Policy
from ledger.product import record
from ledger.state import Accepted, State
from ledger.text import iso, micros


def set_policy(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.LoanPolicy)
    effective_at, _, _ = dated(state, body, now)
    data = {"policy": dump(body.policy)}
    return record(state, command, "loan_policy_set", now, effective_at, (), (subject(command),), data)


def assess(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Assessment)
    effective_at, _, _ = dated(state, body, now)
    known = Borrower(kyc=body.kyc, rating=body.rating, score=body.score, limits=body.limits)
    data = {"borrower": subject(command).partition(":")[2], "assessment": dump(known)}
    return record(state, command, "borrower_assessed", now, effective_at, (), (subject(command),), data)


def set_kyc(state: State, command: Command, now: int) -> Accepted:
    """What is older than the last decision on it changes nothing."""
    body = command.body
    assert isinstance(body, KycStatus)
    name = subject(command)
    effective_at, at, _ = dated(state, body, now)
    stream = state.streams[name]
    if stream is not None and at <= stream.state.kyc_at:
        refuse("already_recorded", what=f"{name} {iso(stream.state.kyc_at)}")
    data = {"borrower": name.partition(":")[2], "kyc": body.kyc}
    return record(state, command, "borrower_kyc_set", now, effective_at, (), (name,), data)


def submit(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Application)
    stream = subject(command)
    name = stream.partition(":")[2]
    if state.streams[stream] is not None:
        refuse("loan_exists", loan=name)
    borrower = borrower_of(state, body.borrower)
    if borrower.kyc != "verified":
        refuse("kyc_not_verified", borrower=body.borrower, kyc=borrower.kyc)
    if body.asset not in state.chart.asset_ids:
        refuse("asset_not_in_chart", asset=body.asset)
    _check_risk(borrower, body.borrower, policy_of(state))
    loan = Loan(loan=name, borrower=body.borrower, asset=body.asset, requested=int(body.amount))
    check_limit(borrower, loan)
    effective_at, _, _ = dated(state, body, now)
    data = {"borrower": body.borrower, "amount": str(body.amount)}
    if body.purpose:
        data["purpose"] = body.purpose
    streams = streams_of(None, loan, data)
    return record(state, command, "loan_application_submitted", now, effective_at, (), streams, data)


def _check_risk(borrower: Borrower, name: str, policy: Policy) -> None:
    if borrower.rating is not None and borrower.rating in policy.refused_ratings:
        refuse("rating_refused", borrower=name, rating=borrower.rating)


def check_limit(borrower: Borrower, loan: Loan) -> None:
    """The loan counts against the limit as it is now, not as it was asked for."""
    others = {name: value for name, value in borrower.taken.items() if name != loan.loan}
    free = replace(borrower, taken=others).free(loan.asset)
    if free is not None and taken(loan) > free:
        refuse(
            "credit_limit_exceeded",
            borrower=loan.borrower,
            asset=loan.asset,
            free=str(max(free, 0)),
            amount=str(taken(loan)),
        )


def approve(state: State, command: Command, now: int) -> Accepted:
    """The offer, or above the policy's limit the first of two approvals of it."""
    body = command.body
    assert isinstance(body, c.Approval)
    loan = loan_of(state, command, "submitted")
    offer = body.offer
    if offer.asset != loan.asset:
        refuse("offer_asset_differs", asset=loan.asset, offered=offer.asset)
    borrower, policy = borrower_of(state, loan.borrower), policy_of(state)
    after = replace(loan, decided="approved", offer=offer, policy=policy)
    check_limit(borrower, after)
    effective_at, _, _ = dated(state, body, now)
    data = {"offer": dump(offer), "policy": dump(policy)}
    limit = policy.four_eyes_above.get(loan.asset)
    if limit is not None and offer.amount > limit:
        if command.actor in (loan.submitted_by, *loan.approvals):
            refuse("second_person_needed", loan=loan.loan, actor=command.actor)
        if loan.proposed is None or loan.proposed != offer:
            streams = streams_of(loan, loan, data)
            return record(state, command, "loan_approval_given", now, effective_at, (), streams, data)
    if body.conditions:
        data["conditions"] = list(body.conditions)
    if body.expires_at is not None:
        data["expires_at"] = iso(micros(body.expires_at))
    return record(state, command, "loan_approved", now, effective_at, (), streams_of(loan, after, data), data)


def reject(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.ApplicationRejection)
    loan = loan_of(state, command, "submitted")
    return _decided(state, command, now, loan, replace(loan, decided="rejected"), reason=body.reason)


def withdraw(state: State, command: Command, now: int) -> Accepted:
    """Until money is on its way."""
    loan = loan_of(state, command, "submitted", "approved", "accepted")
    if any(tranche.status != "failed" for tranche in loan.tranches):
        refuse("disbursement_under_way", loan=loan.loan)
    return _decided(state, command, now, loan, replace(loan, decided="withdrawn"))


def accept(state: State, command: Command, now: int) -> Accepted:
    loan = loan_of(state, command, "approved")
    if loan.expires_at is not None and now >= loan.expires_at:
        refuse("offer_expired", loan=loan.loan, expires_at=iso(loan.expires_at))
    return _decided(state, command, now, loan, replace(loan, decided="accepted"))


def _decided(state: State, command: Command, now: int, loan: Loan, after: Loan, **data: str) -> Accepted:
    body = command.body
    assert isinstance(body, c.ApplicationRejection | c.Withdrawal | c.Acceptance)
    effective_at, _, _ = dated(state, body, now)
    streams = streams_of(loan, after, data)
    return record(state, command, f"loan_{after.decided}", now, effective_at, (), streams, data)
