"""The CaaS platform: payments that reached it, and who passed KYC there. What else it says waits for people.

The body is `{"eventId": ..., "eventType": "sme.payment.received", "timestamp": ..., "data": {...}}`; what is
about a payment may stand in `data` or in `data.payment`. Its amounts are of the currency (12.50 dollars), as
everywhere in its interfaces; ours are minor units. One payment is posted once, whichever events tell of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, get_args

import msgspec

from adapters.adapter import (
    Adapter,
    Event,
    Named,
    NoSettings,
    Park,
    Post,
    at,
    decode,
    hash_of,
    plain,
    text_at,
)
from adapters.exponents import asset_of, exponent
from adapters.signatures import CAAS
from ledger.chart import MAX_AMOUNT
from ledger.commands import command
from ledger.loans import payment_commands as c
from ledger.loans.terms import Id

PAYMENT = "sme.payment.received"
KYC = "sme.kyc.verified"
_SUBJECTS = ("paymentId", "userId", "leadId")


def parse(raw: bytes) -> Named:
    """The event's own id; its subject is the payment, the user or the lead."""
    body = decode(raw)
    named = _said(body)
    subject = next((found for name in _SUBJECTS if (found := text_at(named, name))), "")
    return Named(text_at(body, "eventId") or hash_of(raw), text_at(body, "eventType"), subject)


def translate(event: Event, settings: NoSettings) -> Post | Park:
    """A payment that was received, or a borrower whose KYC status is verified."""
    match event.type:
        case "sme.payment.received":
            return _payment(event, _said(event.body))
        case "sme.kyc.verified":
            return _kyc(event, _said(event.body))
    return Park("unknown_type", f"Daybook has no rule for {event.type or 'events without a type'}.")


def _said(body: dict[str, Any]) -> dict[str, Any]:
    """What the event is about: members of `data`, and of `data.payment` or `data.kycData` before them."""
    data = at(body, "data")
    data = data if isinstance(data, dict) else {}
    inner = next((found for name in ("payment", "kycData") if isinstance(found := data.get(name), dict)), {})
    named = {"paymentId": inner.get("id")} if inner.get("id") is not None else {}
    return {**data, **named, **inner}


def _payment(event: Event, said: dict[str, Any]) -> Post | Park:
    payment, currency = _id(text_at(said, "paymentId")), text_at(said, "currency")
    if payment is None:
        return Park("payment_not_understood", "The event names no payment that could be one of ours.")
    method = text_at(said, "method") or "bank_transfer"
    if method not in get_args(c.PaymentMethod):
        return Park("payment_not_understood", f"Daybook knows no way to pay by {plain(method, 64)}.")
    if len(currency) != 3 or not (currency.isascii() and currency.isupper()):
        return Park("currency_not_known", f"Daybook does not know the currency {plain(currency, 64)!r}.")
    decimals = exponent("caas", currency, "").scale
    amount = _amount(at(said, "amount"), decimals)
    if amount is None:
        return Park(
            "amount_not_understood", f"The amount is not above zero with {decimals} decimals at most."
        )
    body = c.NewLoanPayment(
        payment=payment,
        method=method,  # type: ignore[arg-type]
        asset=asset_of("caas", currency),
        amount=amount,
        reference=plain(text_at(said, "reference"), 255),
        virtual_account=_id(text_at(said, "virtualAccount")),
        borrower=_id(text_at(said, "userId")),
        processed=True,
        effective_at=_moment(event, (said.get("receivedAt"), event.body.get("timestamp"))),
    )
    return Post([command(body)], once=f"payment:{payment}")


def _kyc(event: Event, said: dict[str, Any]) -> Post | Park:
    borrower = _id(text_at(said, "userId"))
    if borrower is None:
        return Park("user_not_understood", "The event names no user that could be a borrower of ours.")
    at = _moment(event, (said.get("verificationDate"), event.body.get("timestamp")))
    return Post([command(c.KycStatus(kyc="verified", effective_at=at), borrower)])


def _id(text: str) -> str | None:
    """A name of theirs as one of ours; None: it cannot be one."""
    try:
        found: str = msgspec.convert(text, Id)
        return found
    except msgspec.ValidationError:
        return None


def _amount(given: Any, decimals: int) -> int | None:
    """Minor units; None: it is no amount."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        units = Decimal(str(given)).scaleb(decimals)
        whole = units == units.to_integral_value() and 0 < units <= MAX_AMOUNT
    except ArithmeticError:
        return None
    return int(units) if whole else None


def _moment(event: Event, texts: Iterable[Any]) -> datetime | None:
    """The first of the texts that is a moment, by their clock, which may be ahead of ours."""
    for text in texts:
        try:
            moment = datetime.fromisoformat(text)
            return event.not_later(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment)
        except (TypeError, ValueError, OverflowError):
            continue
    return None


ADAPTER = Adapter("caas", CAAS, parse, translate)
