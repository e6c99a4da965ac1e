"""What happens to a wallet by itself: lots expire or roll over, holds time out, balances are low.

The writer brings a wallet here when its moment has come, before anything later is decided. Whatever is
decided here moves the wallet's next moment on, and posts to accounts of credits alone.
"""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.credits.change import Change
from ledger.credits.deciding import DAY, MAX_LOTS, begin, fresh, new_lot, record_change, settings_of
from ledger.credits.holding import free_all, given_back
from ledger.credits.lots import Lot
from ledger.credits.purchase_commands import TypeSettings
from ledger.credits.streams import Package
from ledger.credits.wallet import ALARM_COUNT, ALARM_WITHIN, Wallet, due
from ledger.product import record
from ledger.state import Accepted, State


def lapse(state: State, command: Command, now: int) -> Accepted:
    """The event for a wallet whose moment has come."""
    assert isinstance(command.subject, str)
    stream = state.streams[command.subject]
    assert stream is not None
    wallet = stream.state
    assert isinstance(wallet, Wallet)
    at = due(wallet)
    assert at is not None
    _, owner, credit_type = command.subject.split(":")
    if wallet.lapses_at == at:
        return _expire(state, command, now, at, owner, credit_type)
    if wallet.low_at == at:
        data = {
            "owner": owner,
            "credit_type": credit_type,
            "balance": str(wallet.available),
            "threshold": str(wallet.low),
        }
        return record(state, command, "credits_low", now, at, [], [stream.name], data)
    return _top_up(state, command, now, at, owner, credit_type)


def _expire(state: State, command: Command, now: int, at: int, owner: str, credit_type: str) -> Accepted:
    """DR wallet / CR units expired, and the cost to breakage or unclaimed property; holds that end first."""
    change = begin(state, owner, credit_type)
    wallet = change.wallet
    settings = settings_of(state, credit_type)
    data: dict[str, Any] = {}
    ended = [hold for hold in wallet.holds if hold.expires_at is not None and hold.expires_at <= at]
    for hold in ended:
        free_all(change, hold, at)
        data |= given_back(wallet, hold, hold.units)
    if ended:
        data["holds"] = [hold.hold for hold in ended]
    expired = [lot for lot in wallet.lots if lot.expires_at is not None and lot.expires_at <= at and lot.free]
    rolls = _lots_after(change, expired, settings) <= MAX_LOTS
    for lot in expired:
        _end(change, settings, lot, at, rolls)
    return record_change(state, command, "credits_expired", now, at, change, owner, credit_type, data)


def _lots_after(change: Change, expired: list[Lot], settings: TypeSettings) -> int:
    """How many lots the wallet would have if those rolled over: held units keep a lot from going."""
    least = settings.rollover.min if settings.rollover else 0
    going = 0
    for lot in expired:
        now = change.lot(lot.number)
        going += now is not None and now.free == now.units
    return len(change.wallet.lots) - going + sum(2 if lot.free < least else 1 for lot in expired)


def _end(change: Change, settings: TypeSettings, lot: Lot, at: int, rolls: bool) -> None:
    """One lot's free units roll over as far as they may, once; the rest expires."""
    rollover = settings.rollover
    left = lot.free
    if rollover is None or lot.source == "rollover" or not rolls:
        change.move(lot, "available", "expired", left)
        return
    units = min(rollover.max, max(left, rollover.min))
    rolled, expires_at = min(units, left), at + rollover.days * DAY
    taken = change.move(lot, "available", "rolled", rolled)
    change.grant(
        new_lot(
            change,
            settings,
            rolled,
            at,
            source="rollover",
            cost=taken.cost,
            asset=lot.asset,
            priority=lot.priority,
            expires_at=expires_at,
            order=lot.order,
        ),
        "rolled",
    )
    if left > rolled:
        change.move(lot, "available", "expired", left - rolled)
    if units > rolled:
        given = new_lot(
            change,
            settings,
            units - rolled,
            at,
            source="rollover",
            priority=lot.priority,
            expires_at=expires_at,
        )
        change.grant(given, "issued")


def _top_up(state: State, command: Command, now: int, at: int, owner: str, credit_type: str) -> Accepted:
    """An order for the package of the wallet's top-up; if there is no such offer, the top-up stops."""
    name = str(command.subject)
    stream = state.streams[name]
    assert stream is not None
    wallet = stream.state
    top_up = wallet.top_up
    offered = state.streams[f"package:{top_up.package}"]
    data: dict[str, Any] = {"owner": owner, "credit_type": credit_type, "package": top_up.package}
    package = None if offered is None else offered.state
    if not isinstance(package, Package) or not package.is_active or package.credit_type != credit_type:
        return record(state, command, "top_up_stopped", now, at, [], [name], data)
    recent = [moment for moment in wallet.topped_up if moment > at - ALARM_WITHIN]
    order = f"topup-{state.seq + 1}"
    data |= {
        **order_data(order, package, top_up.package),
        "balance": str(wallet.available),
        "threshold": str(top_up.threshold),
        "alarm": len(recent) + 1 >= ALARM_COUNT,
    }
    streams = [name, fresh(state, f"order:{order}")]
    return record(state, command, "top_up_ordered", now, at, [], streams, data)


def order_data(order: str, package: Package, package_id: str) -> dict[str, Any]:
    """What an order's event says of what was ordered."""
    data: dict[str, Any] = {
        "order": order,
        "package": package_id,
        "units": str(package.credit_amount + package.bonus_amount),
        "price": str(package.price),
        "asset": package.asset,
    }
    if package.bonus_amount:
        data["bonus"] = str(package.bonus_amount)
    if package.expiry_days is not None:
        data["expiry_days"] = package.expiry_days
    if package.priority:
        data["priority"] = package.priority
    return data
