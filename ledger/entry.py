"""From a decision to its event: refusing, dating, balancing, and building the one canonical body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from ledger.commands import Command, Note
from ledger.events import KINDS, SCHEMA_VERSIONS, Event, EventPosting, encode
from ledger.rejections import Rejection
from ledger.state import Accepted, Account, Leg, State
from ledger.text import iso, micros, moment

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


def effective_moment(state: State, body: Note, now: int) -> int:
    """When the command counts: as asked, not after `now` and in no closed period; `now` unless asked.

    A period closes when it is over, so `now` is in none.
    """
    effective_at = now if body.effective_at is None else micros(body.effective_at)
    if effective_at > now:
        refuse("effective_at_in_future", effective_at=iso(effective_at), now=iso(now))
    if body.original_effective_at is not None:
        original = micros(body.original_effective_at)
        if original >= effective_at:
            refuse(
                "original_not_earlier", original_effective_at=iso(original), effective_at=iso(effective_at)
            )
    if effective_at < state.closings.until:
        _check_open(state, effective_at)
    return effective_at


def _check_open(state: State, effective_at: int) -> None:
    closing = state.closings.at(effective_at)
    if closing is not None:
        first_open = state.closings.first_open(effective_at)
        refuse(
            "period_closed",
            period=closing.period,
            effective_at=iso(effective_at),
            first_open=iso(first_open),
            first_open_date=moment(first_open).astimezone(state.zone).date().isoformat(),
        )


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
    ends: tuple[str, ...] = (),
    metadata: dict[str, str] | None = None,
    reference: str = "",
) -> Accepted:
    """The event, encoded; it carries what the command says of itself and the legs as postings."""
    body = command.body
    note = body if isinstance(body, Note) else None
    original = note.original_effective_at if note else None
    event = Event(
        accounts_opened={address: account.terms for address, account in opened.items()} if opened else {},
        actor=command.actor,
        approver=command.approver,
        batch=command.batch,
        data=data,
        description=note.description if note else "",
        effective_at=iso(effective_at),
        ends=ends,
        fingerprint=command.fingerprint.hex(),
        key=command.key or "",
        ledger=state.public_id,
        metadata=note.metadata if note else metadata or {},
        original_effective_at=iso(micros(original)) if original is not None else "",
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
        reference=note.reference if note else reference,
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
