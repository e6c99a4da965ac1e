"""From a decision to its event: refusing, dating, balancing, and building the one canonical body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from ledger.commands import Command, Note
from ledger.events import KINDS, SCHEMA_VERSIONS, Event, EventPosting, encode
from ledger.rejections import Rejection
from ledger.state import Accepted, Account, Leg, State
from ledger.text import iso, micros

MAX_BODY = 65_535
# So that the event that posts it whole, with twice the legs, and above all its expiry, always fit.
MAX_HOLD_BODY = 30_000


class Refused(Exception):
    """Raised inside `decide` only; carries the rejection."""

    def __init__(self, rejection: Rejection) -> None:
        self.rejection = rejection


def refuse(code: str, **evidence: Any) -> NoReturn:
    """End the decision with a rejection."""
    raise Refused(Rejection(code, evidence))


def effective_moment(body: Note, now: int) -> int:
    """When the command counts: as asked, not after `now`; `now` unless asked."""
    if body.effective_at is None:
        return now
    effective_at = micros(body.effective_at)
    if effective_at > now:
        refuse("effective_at_in_future", effective_at=iso(effective_at), now=iso(now))
    return effective_at


def check_balanced(assets: Sequence[str], amounts: Sequence[int]) -> None:
    """Refuse signed amounts (debit positive) that do not cancel out in every asset."""
    wanted = dict.fromkeys(assets)
    if len(wanted) == 1 and not sum(amounts):
        return
    for asset in wanted:
        own = [amount for a, amount in zip(assets, amounts, strict=True) if a == asset]
        if sum(own):
            debits = sum(amount for amount in own if amount > 0)
            refuse("unbalanced", asset=asset, debits=str(debits), credits=str(debits - sum(own)))


def accept(
    state: State,
    command: Command,
    type: str,
    now: int,
    effective_at: int,
    legs: list[Leg],
    opened: dict[str, Account],
    data: dict[str, Any],
    *,
    streams: dict[str, int] | None = None,
    metadata: dict[str, str] | None = None,
) -> Accepted:
    """The event, encoded; it carries what the command says of itself and the legs as postings."""
    body = command.body
    note = body if isinstance(body, Note) else None
    event = Event(
        accounts_opened={address: account.terms for address, account in opened.items()} if opened else {},
        actor=command.actor,
        batch=command.batch,
        data=data,
        description=note.description if note else "",
        effective_at=iso(effective_at),
        fingerprint=command.fingerprint.hex(),
        key=command.key or "",
        ledger=state.public_id,
        metadata=note.metadata if note else metadata or {},
        postings=[
            EventPosting(
                position.account.address,
                str(abs(amount)),
                position.asset,
                "debit" if amount > 0 else "credit",
                KINDS[kind],
            )
            for position, kind, amount, _ in legs
        ],
        recorded_at=iso(now),
        reference=note.reference if note else "",
        request_id=command.request_id,
        schema_version=SCHEMA_VERSIONS[type],
        seq=state.seq + 1,
        streams=streams or {},
        type=type,
    )
    encoded = encode(event)
    limit = MAX_HOLD_BODY if type == "transaction_held" else MAX_BODY
    if len(encoded) > limit:
        refuse("event_too_large", bytes=len(encoded), limit=limit)
    return Accepted(event, encoded, effective_at, legs, list(opened.values()))
