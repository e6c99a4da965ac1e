"""Holds of credits: place, extend, increase, capture in parts, release. Time-outs are in `lapsing`.

A hold reserves units of particular lots, in the order of use: DR wallet / CR held. Units of a lot that
expires meanwhile stay reserved: they can still be captured, and expire when they are released.
"""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.credits.change import Change
from ledger.credits.commands import CaptureHold, ChangeHold, HoldCredits, ReleaseHold
from ledger.credits.deciding import (
    begin,
    counted,
    enough,
    fresh,
    positive,
    record_change,
    settings_of,
)
from ledger.credits.wallet import Hold, Wallet
from ledger.entry import effective_moment, refuse
from ledger.state import Accepted, State
from ledger.text import SECOND, iso


def place(state: State, command: Command, now: int) -> Accepted:
    """Reserve units: DR wallet / CR held."""
    body = command.body
    assert isinstance(body, HoldCredits)
    positive(body.amount)
    at = effective_moment(state, body, now)
    change = begin(state, body.owner, body.credit_type)
    enough(change.wallet, body.amount)
    settings = settings_of(state, body.credit_type)
    number = state.seq + 1
    data: dict[str, Any] = {"hold": number, **counted(state, change.wallet, settings, body.amount, now)}
    if body.timeout_seconds is not None:
        data["expires_at"] = iso(_free_moment(change.wallet, now + body.timeout_seconds * SECOND))
    change.use(body.amount, "held", number)
    return record_change(state, command, "credits_held", now, at, change, body.owner, body.credit_type, data)


def alter(state: State, command: Command, now: int) -> Accepted:
    """Make a hold larger, or later."""
    body = command.body
    assert isinstance(body, ChangeHold)
    change = begin(state, body.owner, body.credit_type)
    hold = _open(change.wallet, body.hold)
    at = effective_moment(state, body, now)
    data: dict[str, Any] = {"hold": hold.hold}
    if body.increase:
        enough(change.wallet, body.increase)
        settings = settings_of(state, body.credit_type)
        data |= counted(state, change.wallet, settings, body.increase, now)
        change.use(body.increase, "held", hold.hold)
    if body.timeout_seconds is not None:
        data["expires_at"] = iso(_free_moment(change.wallet, now + body.timeout_seconds * SECOND))
    return record_change(
        state, command, "credit_hold_changed", now, at, change, body.owner, body.credit_type, data
    )


def capture(state: State, command: Command, now: int) -> Accepted:
    """Use what was reserved: DR held / CR units consumed; the cost as for every use."""
    body = command.body
    assert isinstance(body, CaptureHold)
    change = begin(state, body.owner, body.credit_type)
    hold = _open(change.wallet, body.hold)
    amount = hold.units if body.amount is None else body.amount
    if amount > hold.units:
        refuse("exceeds_credit_hold", hold=hold.hold, remaining=str(hold.units), amount=str(amount))
    at = effective_moment(state, body, now)
    data: dict[str, Any] = {"hold": hold.hold, "used": str(amount)}
    if body.reference_type:
        data["reference_type"] = body.reference_type
    rest = amount
    for number, reserved in hold.slices:
        lot = change.lot(number)
        assert lot is not None
        used = min(rest, reserved)
        if used:
            change.move(lot, "held", "consumed", used, hold.hold)
            rest -= used
        if body.final and reserved > used:
            free(change, number, reserved - used, hold.hold, now)
    if body.final:
        data |= given_back(change.wallet, hold, hold.units - amount)
    return record_change(
        state,
        command,
        "credit_hold_captured",
        now,
        at,
        change,
        body.owner,
        body.credit_type,
        data,
        streams=[fresh(state, f"usage:{state.seq + 1}")],
    )


def release(state: State, command: Command, now: int) -> Accepted:
    """End a hold: DR held / CR wallet; units of lots that have expired by now expire."""
    body = command.body
    assert isinstance(body, ReleaseHold)
    change = begin(state, body.owner, body.credit_type)
    hold = _open(change.wallet, body.hold)
    at = effective_moment(state, body, now)
    free_all(change, hold, now)
    data = {"hold": hold.hold, **given_back(change.wallet, hold, hold.units)}
    return record_change(
        state, command, "credit_hold_released", now, at, change, body.owner, body.credit_type, data
    )


def free_all(change: Change, hold: Hold, at: int) -> None:
    """Give back all that a hold reserves."""
    for number, reserved in hold.slices:
        free(change, number, reserved, hold.hold, at)


def free(change: Change, number: int, units: int, hold: int, at: int) -> None:
    """Give reserved units back to their lot: expired when it has expired, frozen when it is disputed."""
    lot = change.lot(number)
    assert lot is not None
    if lot.locked:
        change.move(lot, "held", "frozen", units, hold)
    elif lot.expires_at is not None and lot.expires_at <= at:
        change.move(lot, "held", "expired", units, hold)
    else:
        change.move(lot, "held", "available", units, hold)


def given_back(wallet: Wallet, hold: Hold, units: int) -> dict[str, str]:
    """Units that were reserved but not used do not count in the window that they were counted in."""
    units = min(units, hold.counted)
    if not units or hold.window != wallet.window:
        return {}
    return {"window": hold.window, "counted": str(-units)}


def _open(wallet: Wallet, number: int) -> Hold:
    hold = wallet.hold(number)
    if hold is None:
        refuse("credit_hold_not_open", hold=number)
    return hold


def _free_moment(wallet: Wallet, at: int) -> int:
    """A moment at which no other hold of the wallet ends, so that what happens at one moment stays small."""
    taken = {hold.expires_at for hold in wallet.holds}
    while at in taken:
        at += 1
    return at
