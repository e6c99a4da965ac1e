"""Granting, using and correcting credits: add, deduct, refund of a use, adjust."""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.credits.accounts import UNAPPLIED
from ledger.credits.change import Change
from ledger.credits.commands import AddCredits, AdjustCredits, DeductCredits, RefundCredits
from ledger.credits.deciding import (
    begin,
    counted,
    enough,
    fresh,
    in_future,
    new_lot,
    order_of,
    positive,
    record_change,
    room_for,
    settings_of,
)
from ledger.credits.purchase_commands import TypeSettings
from ledger.credits.returning import bring_back, check_room
from ledger.credits.streams import Usage
from ledger.credits.wallet import lot_of
from ledger.entry import effective_moment, refuse
from ledger.product import debit
from ledger.state import Accepted, State
from ledger.text import from_iso, iso, micros

SOURCES = {"purchase": "purchased", "promotional": "promotional", "bonus": "bonus"}


def add(state: State, command: Command, now: int) -> Accepted:
    """A lot granted: DR units issued / CR wallet; bought: DR unapplied / CR contract liability."""
    body = command.body
    assert isinstance(body, AddCredits)
    positive(body.amount)
    at = effective_moment(state, body, now)
    expires_at = None if body.expires_at is None else micros(body.expires_at)
    in_future(expires_at, now)
    change = begin(state, body.owner, body.credit_type)
    room_for(change.wallet)
    lot = new_lot(
        change,
        settings_of(state, body.credit_type),
        body.amount,
        at,
        source=SOURCES[body.transaction_type],
        cost=body.cost,
        asset=body.asset or "",
        priority=body.priority,
        expires_at=expires_at,
    )
    change.grant(lot, "issued")
    data: dict[str, Any] = {"source": lot.source}
    streams = []
    if body.cost:
        data["payment"] = body.payment or f"added-{state.seq + 1}"
        item = f"payment:{data['payment']}"
        streams.append(item if body.payment else fresh(state, item))
    return record_change(
        state,
        command,
        "credits_added",
        now,
        at,
        change,
        body.owner,
        body.credit_type,
        data,
        streams=streams,
        extra=[debit(UNAPPLIED, lot.asset, body.cost)] if body.cost else [],
    )


def deduct(state: State, command: Command, now: int) -> Accepted:
    """Credits used: DR wallet / CR units consumed; their cost DR contract liability / CR revenue."""
    body = command.body
    assert isinstance(body, DeductCredits)
    positive(body.amount)
    at = effective_moment(state, body, now)
    change = begin(state, body.owner, body.credit_type)
    enough(change.wallet, body.amount)
    data: dict[str, Any] = counted(
        state, change.wallet, settings_of(state, body.credit_type), body.amount, now
    )
    if body.reference_type:
        data["reference_type"] = body.reference_type
    change.use(body.amount, "consumed")
    return record_change(
        state,
        command,
        "credits_used",
        now,
        at,
        change,
        body.owner,
        body.credit_type,
        data,
        streams=[fresh(state, f"usage:{state.seq + 1}")],
    )


def refund(state: State, command: Command, now: int) -> Accepted:
    """A use taken back: exactly its slices return, DR revenue / CR contract liability."""
    body = command.body
    assert isinstance(body, RefundCredits)
    name = f"usage:{body.transaction_id}"
    stream = state.streams[name]
    if stream is None:
        refuse("usage_not_found", transaction=body.transaction_id)
    usage = stream.state
    assert isinstance(usage, Usage)
    if usage.refunded_by is not None:
        refuse("usage_already_refunded", transaction=body.transaction_id, refunded_by=usage.refunded_by)
    at = effective_moment(state, body, now)
    if at < from_iso(usage.effective_at):
        refuse(
            "effective_before_original",
            effective_at=iso(at),
            transaction_effective_at=usage.effective_at,
        )
    change = begin(state, usage.owner, usage.credit_type)
    settings = settings_of(state, usage.credit_type)
    for used in usage.slices:
        _restore(state, change, settings, used, at, now)
    check_room(change)
    return record_change(
        state,
        command,
        "usage_refunded",
        now,
        at,
        change,
        usage.owner,
        usage.credit_type,
        {"transaction": body.transaction_id},
        streams=[name],
        ends=[f"{name}:refunded"],
    )


def _restore(
    state: State, change: Change, settings: TypeSettings, used: dict[str, Any], at: int, now: int
) -> None:
    """Bring one slice of a use back to its lot; if that has expired, to one that lasts `restore_days`."""
    units, cost = int(used["units"]), int(used.get("cost", 0))
    terms = used["terms"]
    lot = lot_of(terms)
    locked = False
    if lot.order:
        order = order_of(state, lot.order)
        # The customer has this money back: the units of it would be paid for twice.
        if order.owed:
            refuse("purchase_refunded", order=lot.order, refunded=str(order.refunded))
        locked = bool(order.dispute)
    bring_back(change, settings, "consumed", terms, units, cost, at, now, locked=locked)


def adjust(state: State, command: Command, now: int) -> Accepted:
    """A correction by hand. Up: a lot, at no cost or at one that adjustments bear. Down: as used."""
    body = command.body
    assert isinstance(body, AdjustCredits)
    at = effective_moment(state, body, now)
    change = begin(state, body.owner, body.credit_type)
    accounts = change.accounts
    extra = []
    data: dict[str, Any] = {}
    if body.amount > 0:
        expires_at = None if body.expires_at is None else micros(body.expires_at)
        in_future(expires_at, now)
        room_for(change.wallet)
        lot = new_lot(
            change,
            settings_of(state, body.credit_type),
            body.amount,
            at,
            source="adjustment",
            cost=body.cost,
            asset=body.asset or "",
            priority=body.priority,
            expires_at=expires_at,
        )
        change.grant(lot, "issued")
        extra = [debit(accounts.adjustments, lot.asset, body.cost)] if body.cost else []
    else:
        enough(change.wallet, -body.amount)
        correction = body.reason == "correction"
        change.use(-body.amount, "retired" if correction else "expired")
        data["reason"] = body.reason
        extra = [
            debit(accounts.adjustments, taken.lot.asset, -taken.cost)
            for taken in change.slices
            if correction and taken.cost
        ]
    return record_change(
        state,
        command,
        "credits_adjusted",
        now,
        at,
        change,
        body.owner,
        body.credit_type,
        data,
        extra=extra,
        forfeited=body.amount < 0,
    )
