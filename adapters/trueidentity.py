"""TrueIdentity: what becomes of sessions in which people are verified.

The body is `{"event": "kyc.session.completed", "timestamp": ..., "data": {...}}`; its `metadata` names our
session. Each stage of a session is one event however often it is told; another result is another event, which
the book refuses, so that somebody looks at it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.adapter import (
    Adapter,
    Event,
    Named,
    NoSettings,
    Park,
    Post,
    at,
    decode,
    hash_of,
    plain,
    text_at,
)
from adapters.kyc_client import SESSION_KEY
from adapters.signatures import TRUEIDENTITY
from ledger.commands import command
from ledger.kredit import commands as k

EVENTS: dict[str, k.Report] = {
    "kyc.session.started": "started",
    "kyc.session.processing": "processing",
    "kyc.session.completed": "completed",
    "kyc.session.expired": "expired",
    "kyc.session.failed": "failed",
}


def parse(raw: bytes) -> Named:
    """Session, stage and result; what has no session of ours is named by its bytes."""
    body = decode(raw)
    session, type = _session(body), text_at(body, "event")
    id = f"{session}:{type}:{text_at(body, 'data', 'result')}" if session else hash_of(raw)
    return Named(id, type, session)


def translate(event: Event, settings: NoSettings) -> Post | Park:
    """A report on a session."""
    status = EVENTS.get(event.type)
    if status is None:
        return Park("unknown_type", f"Daybook has no rule for {event.type or 'events without a type'}.")
    try:
        session = msgspec.convert(_session(event.body), k.SessionId)
    except msgspec.ValidationError:
        return Park("session_not_named", "The event names no session of ours in its metadata.")
    data = at(event.body, "data")
    result: k.Result | None = None
    if status == "completed":
        # As the provider bills it: what was carried out and not approved is rejected.
        result = "approved" if text_at(data, "result") == "approved" else "rejected"
    reason = plain(text_at(data, "reject_message"), 1_000)
    body = k.ReportSession(status=status, result=result, reason=reason, happened_at=_moment(event))
    return Post([command(body, session)], once=f"{session}:{status}:{result or ''}")


def _session(body: Any) -> str:
    return text_at(body, "data", "metadata", SESSION_KEY)


def _moment(event: Event) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text_at(event.body, "timestamp"))
    except ValueError:
        return None
    return event.not_later(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)


ADAPTER = Adapter("trueidentity", TRUEIDENTITY, parse, translate)
