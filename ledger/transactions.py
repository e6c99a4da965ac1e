"""Transactions: posted, held, posted in parts, voided, expired, reversed, annotated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.commands import Annotation, Command, HoldPosting, HoldVoid, Reversal, Transaction
from ledger.entry import accept, check_balanced, effective_moment, refuse
from ledger.events import PENDING, POSTED, RELEASE
from ledger.moves import Move, check_conditions, condition_positions, move, positions_of, room
from ledger.state import Accepted, Account, Balance, Leg, Position, State, Subject, SubjectLeg
from ledger.text import SECOND, iso


def transaction(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, Transaction)
    effective_at = effective_moment(state, body, now)
    postings = body.postings
    assets = [p.asset for p in postings]
    amounts = [p.amount if p.side == "debit" else -p.amount for p in postings]
    check_balanced(assets, amounts)

    opened: dict[str, Account] = {}
    positions = positions_of(state, [p.account for p in postings], assets, opened)
    for position in positions:
        if position.account.terms.kept_by_product:
            refuse(
                "account_of_product", account=position.account.address, product=position.account.terms.product
            )
    if body.conditions:
        conditions = condition_positions(state, body.conditions, positions, opened)
    if body.up_to:
        moved = room(body, positions)
        amounts = [moved if amount > 0 else -moved for amount in amounts]
    kind = PENDING if body.pending else POSTED
    moves = [(position, kind, amount) for position, amount in zip(positions, amounts, strict=True)]
    legs, touched = move(moves)
    if body.conditions:
        check_conditions(body.conditions, conditions, touched)

    data: dict[str, Any] = {}
    expiry = None
    if body.timeout_seconds is not None:
        expiry = now + body.timeout_seconds * SECOND
        data["expires_at"] = iso(expiry)
    if body.up_to:
        data["up_to"] = str(body.postings[0].amount)
    accepted = accept(
        state,
        command,
        "transaction_held" if body.pending else "transaction_posted",
        now,
        effective_at,
        legs,
        opened,
        data,
        streams={f"transaction:{state.seq + 1}": 1} if body.pending else {},
    )
    accepted.touched = touched
    if body.pending:
        accepted.expiry = expiry
        accepted.subject = Subject(
            state.seq + 1,
            "transaction_held",
            "pending",
            effective_at,
            tuple(SubjectLeg(p.account.address, p.asset, amount, abs(amount)) for p, _, amount in moves),
            1,
            expiry,
        )
    return accepted


def _subject(state: State, command: Command) -> Subject:
    seq = command.subject
    assert isinstance(seq, int)
    subject = state.subjects[seq]
    if subject is None:
        refuse("transaction_not_found", seq=seq)
    return subject


def _open_hold(state: State, command: Command) -> Subject:
    hold = _subject(state, command)
    if hold.type != "transaction_held":
        refuse("not_a_hold", seq=hold.seq)
    if hold.status == "expired":
        assert hold.expires_at is not None
        refuse("hold_already_expired", seq=hold.seq, ended_by=hold.ended_by, expires_at=iso(hold.expires_at))
    if hold.status != "pending":
        refuse(f"hold_already_{hold.status}", seq=hold.seq, ended_by=hold.ended_by)
    return hold


def _amounts(subject: Subject, amounts: list[int] | None) -> list[int]:
    """One amount for each leg: those asked, or all that is left; balanced, and not more than is left."""
    if amounts is None:
        return [leg.left for leg in subject.legs]
    if len(amounts) != len(subject.legs):
        refuse("amounts_count_differs", legs=len(subject.legs), amounts=len(amounts))
    for index, (leg, amount) in enumerate(zip(subject.legs, amounts, strict=True)):
        if amount > leg.left:
            refuse("exceeds_remaining", leg=index, remaining=str(leg.left), amount=str(amount))
    return amounts


def _after_original(subject: Subject, effective_at: int) -> None:
    if effective_at < subject.effective_at:
        refuse(
            "effective_before_original",
            effective_at=iso(effective_at),
            transaction_effective_at=iso(subject.effective_at),
        )


def post_hold(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, HoldPosting)
    hold = _open_hold(state, command)
    amounts = _amounts(hold, body.amounts)
    effective_at = effective_moment(state, body, now)
    _after_original(hold, effective_at)
    _check_parts_balanced(hold, amounts)

    released = [leg.left for leg in hold.legs] if body.final else amounts
    moves = _moves(state, hold, RELEASE, released) + _moves(state, hold, POSTED, amounts)
    legs, touched = move(moves)
    left = [leg.left - amount for leg, amount in zip(hold.legs, released, strict=True)]
    return _on_subject(
        state,
        command,
        "hold_posted",
        now,
        effective_at,
        legs,
        touched,
        hold,
        left,
        "posted",
        {"final": body.final, **_asked(body.amounts)},
    )


def void_hold(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, HoldVoid)
    hold = _open_hold(state, command)
    effective_at = effective_moment(state, body, now)
    _after_original(hold, effective_at)
    return _release(state, command, "hold_voided", now, effective_at, hold, "voided")


def expire_hold(state: State, command: Command, now: int) -> Accepted:
    hold = _open_hold(state, command)
    assert hold.expires_at is not None
    assert hold.expires_at <= now
    return _release(state, command, "hold_expired", now, hold.expires_at, hold, "expired")


def _release(
    state: State, command: Command, type: str, now: int, effective_at: int, hold: Subject, status: str
) -> Accepted:
    legs, touched = move(_moves(state, hold, RELEASE, [leg.left for leg in hold.legs]))
    return _on_subject(
        state, command, type, now, effective_at, legs, touched, hold, [0] * len(hold.legs), status, {}
    )


def reverse(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, Reversal)
    original = _subject(state, command)
    if original.type == "transaction_reversed":
        refuse("reversal_of_reversal", seq=original.seq)
    if original.type == "transaction_held":
        refuse("reversal_of_hold", seq=original.seq)
    if original.status == "reversed":
        refuse("already_reversed", seq=original.seq, ended_by=original.ended_by)
    amounts = _amounts(original, body.amounts)
    effective_at = effective_moment(state, body, now)
    _after_original(original, effective_at)
    _check_parts_balanced(original, amounts)

    legs, touched = move([(p, kind, -amount) for p, kind, amount in _moves(state, original, POSTED, amounts)])
    left = [leg.left - amount for leg, amount in zip(original.legs, amounts, strict=True)]
    return _on_subject(
        state,
        command,
        "transaction_reversed",
        now,
        effective_at,
        legs,
        touched,
        original,
        left,
        "reversed",
        _asked(body.amounts),
    )


def annotate(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, Annotation)
    subject = _subject(state, command)
    accepted = accept(
        state,
        command,
        "transaction_annotated",
        now,
        now,
        [],
        {},
        {"transaction": subject.seq},
        streams={subject.stream: subject.version + 1},
        metadata=body.metadata,
    )
    accepted.subject = msgspec.structs.replace(subject, version=subject.version + 1)
    return accepted


def _check_parts_balanced(subject: Subject, amounts: Sequence[int]) -> None:
    legs = subject.legs
    check_balanced([leg.asset for leg in legs], list(map(_signed, legs, amounts)))


def _asked(amounts: list[int] | None) -> dict[str, Any]:
    """The amounts by leg, where they were named: two legs alike cannot be told apart in the postings."""
    return {} if amounts is None else {"amounts": [str(amount) for amount in amounts]}


def _signed(leg: SubjectLeg, amount: int) -> int:
    return amount if leg.amount > 0 else -amount


def _moves(state: State, subject: Subject, kind: int, amounts: Sequence[int]) -> list[Move]:
    """Moves of the legs that have an amount; the account of one that has none may be closed by now."""
    taken = [(leg, amount) for leg, amount in zip(subject.legs, amounts, strict=True) if amount]
    accounts = [leg.account for leg, _ in taken]
    positions = positions_of(state, accounts, [leg.asset for leg, _ in taken], {})
    return [
        (position, kind, _signed(leg, amount))
        for position, (leg, amount) in zip(positions, taken, strict=True)
    ]


def _on_subject(
    state: State,
    command: Command,
    type: str,
    now: int,
    effective_at: int,
    legs: list[Leg],
    touched: dict[Position, Balance],
    subject: Subject,
    left: list[int],
    status: Any,
    data: dict[str, Any],
) -> Accepted:
    """The event that takes from what is left of a transaction; ends its stream when nothing is left."""
    accepted = accept(
        state,
        command,
        type,
        now,
        effective_at,
        legs,
        {},
        {"transaction": subject.seq, **data},
        streams={subject.stream: subject.version + 1},
    )
    accepted.touched = touched
    accepted.ended = not any(left)
    accepted.subject = msgspec.structs.replace(
        subject,
        version=subject.version + 1,
        legs=tuple(
            msgspec.structs.replace(leg, left=rest) for leg, rest in zip(subject.legs, left, strict=True)
        ),
        status=status if accepted.ended else subject.status,
        ended_by=state.seq + 1 if accepted.ended else None,
    )
    return accepted
