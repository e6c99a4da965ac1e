"""Paystack: a charge that succeeded is money that Paystack owes us. Everything else waits for people.

A charge posts DR what Paystack has not settled yet / CR payments that nothing was applied to yet; what was
bought takes it from there. Fees and settlements are Paystack's statement, not this event.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta, Struct

from adapters.adapter import Adapter, Event, Named, Park, Post, at, decode, hash_of, plain, text_at
from adapters.signatures import PAYSTACK
from ledger.commands import Address, Posting, Transaction, command

CHARGE = "charge.success"

# Paystack counts every currency in hundredths, also those that have none; ours follow ISO 4217.
HUNDREDTHS = 2
SCALES = {"NGN": 2, "USD": 2, "GHS": 2, "ZAR": 2, "KES": 2, "EGP": 2, "XOF": 0, "RWF": 0}


Channel = Annotated[str, Meta(pattern=r"^[a-z_]{1,64}\Z")]


class PaystackSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """The accounts. `channels`: an account of its own for what came by card, bank, ussd, mobile_money, ..."""

    unsettled: Address = "paystack:unsettled"
    unapplied: Address = "payments:unapplied"
    channels: dict[Channel, Address] = {}


def parse(raw: bytes) -> Named:
    """Events have no id: a charge succeeds once, so its own id does; the same bytes are the same event."""
    body = decode(raw)
    type, charge = text_at(body, "event"), text_at(body, "data", "id")
    id = f"{CHARGE}:{charge}" if type == CHARGE and charge else hash_of(raw)
    return Named(id, type, text_at(body, "data", "reference") or charge)


def translate(event: Event, settings: PaystackSettings) -> Post | Park:
    """A charge as a transaction: once for each charge, when it was paid."""
    if event.type != CHARGE:
        return Park("unknown_type", f"Daybook has no rule for {event.type or 'events without a type'}.")
    data = at(event.body, "data")
    amount, currency = at(data, "amount"), text_at(data, "currency")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount <= 0:
        return Park("amount_not_understood", "The amount is not a whole number of hundredths above zero.")
    if currency not in SCALES:
        return Park("currency_not_known", f"Daybook does not know how Paystack counts {currency or 'this'}.")
    units, rest = divmod(amount, 10 ** (HUNDREDTHS - SCALES[currency]))
    if rest:
        return Park("amount_not_whole", f"{currency} has no hundredths, but {amount} of them were charged.")
    if text_at(data, "status") != "success" or not text_at(data, "id"):
        return Park("charge_not_understood", "The charge has no id, or its status is not success.")
    channel = plain(text_at(data, "channel"), 200)
    asset = f"{currency}/{SCALES[currency]}"
    unsettled = settings.channels.get(channel, settings.unsettled)
    reference = plain(text_at(data, "reference"), 255)
    paid_at = _moment(at(data, "paid_at"))
    transaction = Transaction(
        description="Paystack charge",
        reference=reference,
        effective_at=None if paid_at is None else event.not_later(paid_at),
        metadata={"paystack_charge": text_at(data, "id")} | ({"channel": channel} if channel else {}),
        postings=[
            Posting(unsettled, "debit", units, asset),
            Posting(settings.unapplied, "credit", units, asset),
        ],
    )
    return Post([command(transaction)])


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


ADAPTER = Adapter("paystack", PAYSTACK, parse, translate, PaystackSettings)
