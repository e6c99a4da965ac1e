"""Deciding about collection cases; none of it posts anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.commands import Command
from ledger.entry import refuse
from ledger.loans import collection_commands as c
from ledger.loans.case import Case, collection_stream, outcomes
from ledger.loans.common import dated
from ledger.loans.state import LENT, Loan, loan_stream
from ledger.product import Needs, record
from ledger.state import Accepted, State


def needs(state: State, command: Command) -> Needs:
    """The loan, and the stream of its cases."""
    name = str(command.subject)
    return Needs((loan_stream(name), collection_stream(name)))


def _loan(state: State, command: Command) -> Loan:
    """The loan, in which there is or was money."""
    name = str(command.subject)
    stream = state.streams[loan_stream(name)]
    if stream is None:
        refuse("loan_not_found", loan=name)
    loan: Loan = stream.state
    if loan.status not in LENT:
        refuse("loan_status", loan=name, status=loan.status, allowed=list(LENT))
    return loan


def _last_case(state: State, loan: Loan) -> Case | None:
    stream = state.streams[collection_stream(loan.loan)]
    return None if stream is None else stream.state


def _open_case(state: State, loan: Loan) -> Case:
    case = _last_case(state, loan)
    if case is None or case.status == "closed":
        refuse("collection_case_not_open", loan=loan.loan)
    return case


def _recorded(
    state: State, command: Command, now: int, type: str, case: int, data: dict[str, Any]
) -> Accepted:
    name = str(command.subject)
    body = command.body
    assert isinstance(body, c.CollectionCommand)
    effective_at, _, _ = dated(state, body, now)
    whole = {"loan": name, "case": str(case), **data}
    return record(state, command, type, now, effective_at, (), (collection_stream(name),), whole)


def open_case(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.CaseOpening)
    loan = _loan(state, command)
    last = _last_case(state, loan)
    if last is not None and last.status != "closed":
        refuse("collection_case_open", loan=loan.loan, case=str(last.number))
    _, _, day = dated(state, body, now)
    assert loan.book is not None
    late, limit = loan.book.days_past_due(day), loan.policy.collection_days
    if body.trigger == "ageing" and (limit is None or late <= limit):
        refuse("not_to_be_collected", days_past_due=late, collection_days=limit)
    provision = loan.policy.provision_class(late)
    data: dict[str, Any] = {
        "opened": day.isoformat(),
        "trigger": body.trigger,
        "days_past_due": str(late),
        "bucket": loan.policy.bucket(late),
        "provision_class": None if provision is None else provision.name,
    }
    if body.assignee is not None:
        data["assignee"] = body.assignee
    number = 1 if last is None else last.number + 1
    return _recorded(state, command, now, "collection_case_opened", number, data)


def change(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.CaseChange)
    case = _open_case(state, _loan(state, command))
    data = {}
    if body.assignee is not None:
        data["assignee"] = body.assignee
    if body.status is not None:
        data["case_status"] = body.status
    return _recorded(state, command, now, "collection_case_changed", case.number, data)


def note(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.CaseNote)
    case = _open_case(state, _loan(state, command))
    data = {"note": str(case.notes + 1), "text": body.text}
    return _recorded(state, command, now, "collection_note_added", case.number, data)


def promise(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.PaymentPromise)
    loan = _loan(state, command)
    case = _open_case(state, loan)
    _, at, day = dated(state, body, now)
    if body.by < day:
        refuse("promise_day_over", by=body.by.isoformat(), day=day.isoformat())
    data = {
        "promise": str(len(case.promises) + 1),
        "asset": loan.asset,
        "amount": str(body.amount),
        "at": str(at),
        "by": body.by.isoformat(),
    }
    return _recorded(state, command, now, "collection_promise_made", case.number, data)


def record_promise(state: State, command: Command, now: int) -> Accepted:
    """Again, where late facts show that what was recorded was not so."""
    body = command.body
    assert isinstance(body, c.PromiseRecord)
    loan = _loan(state, command)
    case = _open_case(state, loan)
    made = next((made for made in case.promises if made.number == body.promise), None)
    if made is None:
        refuse("promise_not_found", loan=loan.loan, promise=str(body.promise))
    _, _, day = dated(state, body, now)
    outcome = outcomes(case.promises, loan.facts, day)[made.number]
    if outcome in ("pending", made.said):
        refuse("promise_undecided", promise=str(made.number), outcome=outcome)
    data = {"promise": str(made.number), "outcome": outcome}
    return _recorded(state, command, now, f"collection_promise_{outcome}", case.number, data)


def close(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.CaseClosing)
    loan = _loan(state, command)
    case = _open_case(state, loan)
    _, _, day = dated(state, body, now)
    assert loan.book is not None
    late = loan.book.days_past_due(day)
    if body.trigger == "ageing" and late:
        refuse("still_past_due", days_past_due=late)
    data: dict[str, Any] = {"trigger": body.trigger, "outcome": body.outcome}
    if body.reason is not None:
        data["reason"] = body.reason
    return _recorded(state, command, now, "collection_case_closed", case.number, data)


DECIDERS: dict[type, Callable[[State, Command, int], Accepted]] = {
    c.CaseOpening: open_case,
    c.CaseChange: change,
    c.CaseNote: note,
    c.PaymentPromise: promise,
    c.PromiseRecord: record_promise,
    c.CaseClosing: close,
}
