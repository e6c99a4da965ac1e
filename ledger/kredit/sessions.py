"""Verifications: requested, reported on, completed, over. A session keeps the price of when it was requested.

A prepaid tenant's credits are held, used when the session is completed, whatever its result, and free again
when it expires or fails. What a postpaid tenant owes is posted when the session is completed.
"""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.credits.deciding import begin, counted, fresh, record_change, settings_of
from ledger.credits.holding import free_all, given_back
from ledger.credits.wallet import Hold
from ledger.entry import effective_moment, refuse
from ledger.kredit import commands as c
from ledger.kredit.accounts import VERIFICATION_REVENUE, unbilled
from ledger.kredit.common import id_of, rules_of, tenant_of
from ledger.kredit.streams import (
    GRACE,
    Requested,
    Session,
    request_stream,
    session_stream,
    usage_stream,
)
from ledger.product import credit, debit, record
from ledger.state import Accepted, State
from ledger.text import SECOND, iso, micros

HOUR = 3_600 * SECOND


def request(state: State, command: Command, now: int) -> Accepted:
    """A session; DR wallet / CR held for a prepaid tenant's."""
    body = command.body
    assert isinstance(body, c.RequestVerification)
    tenant, rules = tenant_of(state, body.tenant), rules_of(state)
    asked = request_stream(body.request)
    number = sessions_of(state, body.request) + 1
    if number > 1:
        last = last_session(state, body.request)
        if last.is_open:
            refuse("verification_open", session=last.session)
    session = id_of(state, body.request, number)
    data: dict[str, Any] = {
        "session": session,
        "tenant": body.tenant,
        "request": body.request,
        "webhook_url": body.webhook_url,
        "billing": tenant.billing,
        "price": str(rules.price),
        "price_in": rules.credit_type,
        "worth": str(rules.amount),
        "worth_in": rules.asset,
        "ends_at": iso(now + rules.session_hours * HOUR),
    }
    if body.borrower:
        data["borrower"] = body.borrower
    if body.session_metadata:
        data["metadata"] = body.session_metadata
    at = effective_moment(state, body, now)
    streams = [session_stream(session), asked]
    type = "kyc_session_requested"
    if tenant.billing == "postpaid":
        state.streams.setdefault(streams[0], None)
        return record(state, command, type, now, at, [], streams, data)
    change = begin(state, body.tenant, rules.credit_type)
    available = change.wallet.available
    if available < rules.price:
        refuse(
            "verification_unpaid",
            tenant=body.tenant,
            required=str(rules.price),
            available=str(available),
        )
    hold = state.seq + 1
    settings = settings_of(state, rules.credit_type)
    data |= {"hold": hold, **counted(state, change.wallet, settings, rules.price, now)}
    change.use(rules.price, "held", hold)
    fresh(state, streams[0])
    return record_change(
        state, command, type, now, at, change, body.tenant, rules.credit_type, data, streams=streams
    )


def report(state: State, command: Command, now: int) -> Accepted:
    """What the provider says of a session; once it is over, nothing changes it."""
    body = command.body
    assert isinstance(body, c.ReportSession)
    session = session_of(state, str(command.subject))
    if not session.is_open:
        refuse("verification_over", session=session.session, status=session.status)
    at = effective_moment(state, body, now)
    data = _about(session)
    if body.happened_at is not None:
        data["happened_at"] = iso(min(micros(body.happened_at), now))
    if body.reason:
        data["reason"] = body.reason
    match body.status:
        case "started" | "processing":
            type = f"kyc_session_{body.status}"
            return record(state, command, type, now, at, [], [session_stream(session.session)], data)
        case "completed":
            return _complete(state, command, now, at, session, data | {"result": body.result})
        case "expired":
            return _release(state, command, now, at, "kyc_session_expired", session, data)
    data.setdefault("reason", "no reason was given")
    return _release(state, command, now, at, "kyc_session_failed", session, data)


def lapse(state: State, command: Command, now: int) -> Accepted:
    """A session that nobody reported the end of is over."""
    session = session_of(state, str(command.subject).partition(":")[2])
    return _release(
        state, command, now, session.ends_at + GRACE, "kyc_session_expired", session, _about(session)
    )


def _complete(
    state: State, command: Command, now: int, at: int, session: Session, data: dict[str, Any]
) -> Accepted:
    """DR held / CR units consumed with their cost; or DR unbilled / CR revenue."""
    type, name = "kyc_session_completed", session_stream(session.session)
    data |= {
        "billing": "prepaid" if session.hold else "postpaid",
        "price": str(session.units),
        "worth": str(session.amount),
        "worth_in": session.asset,
    }
    streams = [name, fresh(state, usage_stream(session.tenant, at, session.session))]
    if not session.hold:
        lines = [
            debit(unbilled(session.tenant), session.asset, session.amount),
            credit(VERIFICATION_REVENUE, session.asset, session.amount),
        ]
        return record(state, command, type, now, at, lines, streams, data, [name])
    change = begin(state, session.tenant, session.credit_type)
    hold = change.wallet.hold(session.hold)
    if hold is None:
        refuse("credit_hold_not_open", hold=session.hold)
    for number, units in hold.slices:
        lot = change.lot(number)
        assert lot is not None
        change.move(lot, "held", "consumed", units, hold.hold)
    data |= {"hold": hold.hold, "used": str(hold.units)}
    streams.append(fresh(state, f"usage:{state.seq + 1}"))
    return record_change(
        state,
        command,
        type,
        now,
        at,
        change,
        session.tenant,
        session.credit_type,
        data,
        streams=streams,
        ends=[name],
    )


def _release(
    state: State, command: Command, now: int, at: int, type: str, session: Session, data: dict[str, Any]
) -> Accepted:
    """DR held / CR wallet. What somebody has released by hand is free already."""
    name = session_stream(session.session)
    hold: Hold | None = None
    if session.hold:
        change = begin(state, session.tenant, session.credit_type)
        hold = change.wallet.hold(session.hold)
    if hold is None:
        return record(state, command, type, now, at, [], [name], data, [name])
    free_all(change, hold, at)
    data |= {"hold": hold.hold, **given_back(change.wallet, hold, hold.units)}
    return record_change(
        state,
        command,
        type,
        now,
        at,
        change,
        session.tenant,
        session.credit_type,
        data,
        streams=[name],
        ends=[name],
    )


def _about(session: Session) -> dict[str, Any]:
    """What every event of a session says, so that whoever is told of it needs no other."""
    data: dict[str, Any] = {
        "session": session.session,
        "tenant": session.tenant,
        "webhook_url": session.webhook_url,
    }
    if session.borrower:
        data["borrower"] = session.borrower
    if session.metadata:
        data["metadata"] = session.metadata
    return data


def session_of(state: State, session: str) -> Session:
    """A session (Refused)."""
    stream = state.streams[session_stream(session)]
    if stream is None:
        refuse("verification_not_found", session=session)
    assert isinstance(stream.state, Session)
    return stream.state


def sessions_of(state: State, request: str) -> int:
    """How many sessions a request was given."""
    stream = state.streams[request_stream(request)]
    return 0 if stream is None else stream.state.sessions


def last_session(state: State, request: str) -> Session:
    """The last of them."""
    stream = state.streams[request_stream(request)]
    assert stream is not None
    assert isinstance(stream.state, Requested)
    return session_of(state, stream.state.session)
