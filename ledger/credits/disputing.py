"""Purchases that are disputed: nothing that is left of them is used until the dispute is decided."""

from __future__ import annotations

from ledger.commands import Command
from ledger.credits.change import Change
from ledger.credits.deciding import begin, record_change
from ledger.credits.purchase_commands import FreezePurchase, UnfreezePurchase
from ledger.credits.purchasing import paid, undecided
from ledger.credits.retiring import lots_of, thaw
from ledger.credits.streams import Order
from ledger.entry import effective_moment, refuse
from ledger.state import Accepted, State


def freeze(state: State, command: Command, now: int) -> Accepted:
    """A purchase disputed: DR wallet / CR frozen, for what is left of its lots and not held."""
    body = command.body
    assert isinstance(body, FreezePurchase)
    name, order = paid(state, body)
    undecided(name, order, body.dispute)
    if order.dispute == body.dispute:
        refuse("already_recorded", what=f"{body.dispute} of order:{name}")
    if order.dispute:
        refuse("purchase_frozen", order=name, dispute=order.dispute)
    at = effective_moment(state, body, now)
    change = begin(state, order.owner, order.credit_type)
    for lot in lots_of(change, name):
        if lot.free:
            change.move(lot, "available", "frozen", lot.free)
    return _dispute(state, command, now, at, change, body, name, order, "purchase_frozen")


def unfreeze(state: State, command: Command, now: int) -> Accepted:
    """A dispute won: DR frozen / CR wallet; what has expired meanwhile expires."""
    body = command.body
    assert isinstance(body, UnfreezePurchase)
    name, order = paid(state, body)
    undecided(name, order, body.dispute)
    if order.dispute != body.dispute:
        refuse("purchase_not_frozen", order=name, dispute=body.dispute)
    at = effective_moment(state, body, now)
    change = begin(state, order.owner, order.credit_type)
    thaw(change, name, now)
    return _dispute(state, command, now, at, change, body, name, order, "purchase_unfrozen")


def _dispute(
    state: State,
    command: Command,
    now: int,
    at: int,
    change: Change,
    body: FreezePurchase | UnfreezePurchase,
    name: str,
    order: Order,
    type: str,
) -> Accepted:
    data = {"order": name, "package": order.package, "dispute": body.dispute}
    return record_change(
        state,
        command,
        type,
        now,
        at,
        change,
        order.owner,
        order.credit_type,
        data,
        streams=[f"order:{name}"],
    )
