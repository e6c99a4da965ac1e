"""What the deciders of credits share: reading streams, counting, and recording a change of a wallet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.commands import Command
from ledger.credits.accounts import accounts_of
from ledger.credits.change import Change
from ledger.credits.lots import Lot
from ledger.credits.purchase_commands import TypeSettings, Window
from ledger.credits.streams import (
    NO_SETTINGS,
    SETTINGS,
    Order,
    Package,
    Settings,
    wallet_stream,
)
from ledger.credits.wallet import NO_WALLET, Wallet
from ledger.entry import refuse
from ledger.product import Line, record
from ledger.state import Accepted, State
from ledger.text import SECOND, iso, moment

DAY = 86_400 * SECOND
# So that the event in which all lots of a wallet expire at once, and roll over, always fits.
MAX_LOTS = 100


def wallet_of(state: State, owner: str, credit_type: str) -> Wallet:
    """A wallet, which is empty before its first event."""
    stream = state.streams[wallet_stream(owner, credit_type)]
    if stream is None:
        return NO_WALLET
    assert isinstance(stream.state, Wallet)
    return stream.state


def settings_of(state: State, credit_type: str) -> TypeSettings:
    """The rules of a credit type."""
    stream = state.streams[SETTINGS]
    settings = NO_SETTINGS if stream is None else stream.state
    assert isinstance(settings, Settings)
    return settings.of(credit_type)


def package_of(state: State, package: str) -> Package:
    """A package that exists (Refused)."""
    stream = state.streams[f"package:{package}"]
    if stream is None:
        refuse("package_not_found", package=package)
    assert isinstance(stream.state, Package)
    return stream.state


def order_of(state: State, order: str) -> Order:
    """An order that exists (Refused)."""
    stream = state.streams[f"order:{order}"]
    if stream is None:
        refuse("order_not_found", order=order)
    assert isinstance(stream.state, Order)
    return stream.state


def fresh(state: State, stream: str) -> str:
    """A stream that begins with the next event and is named after its seq: nobody can have begun it."""
    state.streams.setdefault(stream, None)
    return stream


def begin(state: State, owner: str, credit_type: str) -> Change:
    """A change of a wallet, to be filled."""
    return Change(wallet_of(state, owner, credit_type), accounts_of(owner, credit_type))


def positive(amount: int) -> None:
    """An amount of credits is more than zero (Refused)."""
    if amount <= 0:
        refuse("amount_not_positive", amount=str(amount))


def enough(wallet: Wallet, units: int) -> None:
    """The wallet has the units (Refused)."""
    if wallet.available < units:
        refuse(
            "insufficient_credits",
            required=str(units),
            available=str(wallet.available),
            shortfall=str(units - wallet.available),
            held=str(wallet.held),
        )


def room_for(wallet: Wallet, lots: int = 1) -> None:
    """The wallet can have so many more lots (Refused)."""
    if len(wallet.lots) + lots > MAX_LOTS:
        refuse("too_many_lots", lots=len(wallet.lots), limit=MAX_LOTS)


def in_future(expires_at: int | None, now: int) -> None:
    """A lot is not granted when it has expired (Refused)."""
    if expires_at is not None and expires_at <= now:
        refuse("expires_in_past", expires_at=iso(expires_at), now=iso(now))


def counted(state: State, wallet: Wallet, settings: TypeSettings, units: int, now: int) -> dict[str, str]:
    """What a use or hold of `units` counts in its window (Refused: more than the limit)."""
    limit = settings.usage_limit
    if limit is None:
        return {}
    window = window_of(state, limit.window, now)
    so_far = wallet.counted if wallet.window == window else 0
    if so_far + units > limit.units:
        refuse(
            "usage_limit_exceeded",
            limit=str(limit.units),
            window=limit.window,
            used=str(so_far),
            asked=str(units),
        )
    return {"window": window, "counted": str(units)}


def window_of(state: State, window: Window, now: int) -> str:
    """The window that a moment is in: days and months are the ledger's, in its time zone."""
    if window in ("day", "month"):
        day = moment(now).astimezone(state.zone).date().isoformat()
        return day if window == "day" else day[:7]
    return iso(now)[: 13 if window == "hour" else 16]


def record_change(
    state: State,
    command: Command,
    type: str,
    now: int,
    at: int,
    change: Change,
    owner: str,
    credit_type: str,
    data: dict[str, Any],
    *,
    streams: Sequence[str] = (),
    extra: Iterable[Line] = (),
    forfeited: bool = False,
    ends: Sequence[str] = (),
) -> Accepted:
    """The event of a change of a wallet: its data, its postings, and whether the balance is low now."""
    whole = {"owner": owner, "credit_type": credit_type, **change.data(), **data}
    low = settings_of(state, credit_type).low_balance
    if low is not None and change.wallet.available > low >= change.available:
        whole["low"] = str(low)
    names = [wallet_stream(owner, credit_type), *streams]
    return record(state, command, type, now, at, change.lines(extra, forfeited), names, whole, ends)


def new_lot(
    change: Change,
    settings: TypeSettings,
    units: int,
    at: int,
    *,
    source: Any,
    cost: int = 0,
    asset: str = "",
    priority: int = 0,
    expires_at: int | None = None,
    order: str = "",
    locked: bool = False,
) -> Lot:
    """A lot as it is granted under the present rules for breakage."""
    return Lot(
        number=change.next_number(),
        units=units,
        cost=cost,
        total=cost,
        asset=asset if cost else "",
        source=source,
        priority=priority,
        effective_at=at,
        expires_at=expires_at,
        order=order,
        policy=settings.breakage.policy,
        expected=settings.breakage.expected,
        frozen=units if locked else 0,
        locked=locked,
    )
