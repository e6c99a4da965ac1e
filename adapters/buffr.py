"""Buffr: what became of vouchers that it distributes. Each report is a command on the voucher, with
`reported`: it has happened, whatever the book thinks of it.

The body is `{"event": "voucher.redeemed", "data": {"voucher_id": ..., ...}}`. Its amounts are of the currency
(12.5 dollars), ours are minor units. A retry has the caller's own Idempotency-Key, which is not signed: so
what is posted is named by the body alone, and the same bytes under another key post nothing more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from adapters.adapter import Adapter, Event, Named, Park, Post, at, decode, hash_of, plain, text_at
from adapters.signatures import BUFFR
from ledger.chart import MAX_AMOUNT
from ledger.commands import command
from ledger.vouchers import commands as v

EVENTS = {
    "voucher.delivered": "delivered",
    "voucher.redeemed": "redeemed",
    "voucher.expired": "expired",
    "voucher.cancelled": "cancelled",
    "voucher.failed": "failed",
}
_IDS = (("data", "event_id"), ("event_id",), ("id",))
_PAYEES: tuple[tuple[v.PayeeType, str], ...] = (
    ("agent", "agent_id"),
    ("merchant", "merchant_id"),
    ("wallet", "wallet_id"),
)


class BuffrSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`decimals`: of the programmes' asset. `wallet`: who is owed what names no other payee."""

    decimals: Annotated[int, Meta(ge=0, le=18)] = 2
    wallet: v.Id = "buffr"


def parse(raw: bytes) -> Named:
    """The event's own id where it has one; else the same bytes are the same event."""
    body = decode(raw)
    id = next((found for path in _IDS if (found := text_at(body, *path))), "") or hash_of(raw)
    return Named(id, text_at(body, "event"), _voucher(body))


def translate(event: Event, settings: BuffrSettings) -> Post | Park:
    """A report as a command on its voucher."""
    said = EVENTS.get(event.type)
    if said is None:
        return Park("unknown_type", f"Daybook has no rule for {event.type or 'events without a type'}.")
    voucher = _voucher(event.body)
    try:
        msgspec.convert(voucher, v.Id)
    except msgspec.ValidationError:
        return Park("voucher_not_understood", "The event names no voucher that could be one of ours.")
    data = at(event.body, "data")
    happened = _moment(event)
    about: dict[str, Any] = {"reported": True, "happened_at": happened}
    reason = plain(text_at(data, "reason"), 1_000).strip() or f"Buffr: {event.type}"
    # Of a state that a voucher comes to once, its name says all; several parts may be redeemed alike.
    once = f"{voucher}:{said}"
    own = next((found for path in _IDS if (found := text_at(event.body, *path))), "")
    body: v.OfVoucher
    match said:
        case "delivered":
            body = v.Delivery(**about)
        case "redeemed":
            amount = _amount(data, settings.decimals)
            if isinstance(amount, Park):
                return amount
            payee_type, payee = _payee(data, settings)
            counted = None if amount is None else settings.decimals
            body = v.Redemption(amount=amount, decimals=counted, payee_type=payee_type, payee=payee, **about)
            if amount is not None and not own:
                own = hash_of(msgspec.json.encode(event.body, order="sorted"))
        case "expired":
            body = v.Expiry(**about)
        case "cancelled":
            body = v.Cancellation(reason=reason, **about)
        case _:
            body = v.Failure(reason=reason, **about)
    return Post([command(body, voucher)], once=f"{once}:{own}" if own else once)


def _voucher(body: Any) -> str:
    return text_at(body, "data", "voucher_id") or text_at(body, "voucher_id")


def _amount(data: Any, decimals: int) -> int | Park | None:
    """Minor units; None: all that remains."""
    given = at(data, "amount")
    if given is None:
        return None
    try:
        if isinstance(given, bool) or not isinstance(given, int | float | str):
            raise InvalidOperation
        units = Decimal(str(given)).scaleb(decimals)
        if units != units.to_integral_value() or not 0 < units <= MAX_AMOUNT:
            raise InvalidOperation
    except ArithmeticError:
        return Park(
            "amount_not_understood", f"The amount is not above zero with {decimals} decimals at most."
        )
    return int(units)


def _payee(data: Any, settings: BuffrSettings) -> tuple[v.PayeeType, str]:
    for kind, name in _PAYEES:
        if found := text_at(data, name):
            return kind, found
    return "wallet", settings.wallet


def _moment(event: Event) -> datetime | None:
    """When it happened by Buffr's clock, which may be ahead of ours."""
    for path in (("data", "timestamp"), ("data", f"{EVENTS[event.type]}_at"), ("timestamp",)):
        try:
            moment = datetime.fromisoformat(text_at(event.body, *path))
        except ValueError:
            continue
        return event.not_later(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
    return None


ADAPTER = Adapter("buffr", BUFFR, parse, translate, BuffrSettings)
