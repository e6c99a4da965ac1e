"""Kredit: what it asks the administration for, at paths of its own, and is answered at once (docs/kredit.md).

Its bodies have no event id. A request for a payment names itself (`request_id`), however a retry writes it;
the others are named by their bytes, which a retry repeats under a new timestamp and signature. The path says
what a body is; what comes in elsewhere must say so itself (`event`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from adapters.adapter import (
    Adapter,
    Event,
    Named,
    NoSettings,
    Park,
    Post,
    Unreadable,
    decode,
    hash_of,
    no_translation,
    plain,
    text_at,
)
from adapters.signatures import KREDIT
from ledger.commands import Moment, command
from ledger.kredit import commands as k

TENANT = "tenant.created"
VERIFICATION = "verification.requested"
PAYMENT = "subscription.payment.requested"

B = TypeVar("B")
_Short = Annotated[str, Meta(max_length=255)]
_Given = Annotated[str, Meta(min_length=1, max_length=255)]
_Item = dict[Annotated[str, Meta(max_length=255)], Any]


class TenantBody(Struct, frozen=True):
    """A lender has begun to pay."""

    tenant_id: k.TenantId
    tenant_slug: _Short | None = None
    tenant_name: _Short | None = None
    contact_email: _Short | None = None
    contact_phone: _Short | None = None
    company_registration: _Short | None = None
    webhook_url: k.Target | None = None


class VerificationBody(Struct, frozen=True):
    """A borrower is to be verified; who it is goes to the provider, and not into the book."""

    tenant_id: k.TenantId
    document_name: _Given
    document_number: _Given
    webhook_url: k.Target
    tenant_slug: _Short | None = None
    tenant_name: _Short | None = None
    borrower_id: _Short | None = None
    document_type: Annotated[str, Meta(max_length=64)] | None = None
    metadata: _Item | None = None


class PaymentBody(Struct, frozen=True):
    """A tenant says that it has paid."""

    request_id: k.RequestId
    tenant_id: k.TenantId
    plan: _Given
    amount_cents: Annotated[int, Meta(ge=1, le=10**15)]
    amount_myr: float
    payment_reference: _Given
    period_start: k.Day
    period_end: k.Day
    event: str = PAYMENT
    billing_type: str | None = None
    tenant_slug: _Short | None = None
    tenant_name: _Short | None = None
    requested_at: Moment | None = None
    requested_add_ons: Annotated[list[_Short], Meta(max_length=100)] | None = None
    line_items: Annotated[list[_Item], Meta(max_length=100)] | None = None
    decision_webhook_url: k.Target | None = None

    def __post_init__(self) -> None:
        if self.event != PAYMENT:
            raise ValueError(f"`event` is not {PAYMENT}")
        # A float is written as the number that was sent, which is exact.
        if Decimal(repr(self.amount_myr)) * 100 != self.amount_cents:
            raise ValueError("`amount_myr` is not what `amount_cents` says")
        if self.billing_type is not None and self.billing_type.lower() not in _BILLING:
            raise ValueError("`billing_type` is not first_subscription, addon_purchase or renewal")


_BILLING = k.BillingType.__args__  # type: ignore[attr-defined]
_SHAPES: dict[str, type[TenantBody] | type[VerificationBody] | type[PaymentBody]] = {
    TENANT: TenantBody,
    VERIFICATION: VerificationBody,
    PAYMENT: PaymentBody,
}
Body = TenantBody | VerificationBody | PaymentBody


def parse(raw: bytes) -> Named:
    """The request's own id, which its event type makes unique, where there is one."""
    body = decode(raw)
    type, request = text_at(body, "event"), text_at(body, "request_id")
    return Named(f"{type}:{request}" if request else hash_of(raw), type, text_at(body, "tenant_id"))


def at_path(type: str) -> Callable[[bytes], Named]:
    """A parser of what comes in at a path of its own (Unreadable, msgspec.ValidationError)."""

    def parsed(raw: bytes) -> Named:
        body = body_of(type, raw)
        id = f"{type}:{body.request_id}" if isinstance(body, PaymentBody) else hash_of(type.encode() + raw)
        return Named(id, type, body.tenant_id)

    return parsed


def body_of(type: str, raw: bytes) -> Body:
    """A body that can be posted (Unreadable, msgspec.ValidationError)."""
    decode(raw)
    body: Body = msgspec.json.decode(raw, type=_SHAPES[type])
    try:
        command_of(body, "0" * 64)
    except ValueError as error:
        raise msgspec.ValidationError(str(error)) from None
    return body


def request_of(named: Named) -> str:
    """What names a request for verification in the book: the hash of what was asked."""
    return named.id.removeprefix("sha256:")


def tenant_of(body: Body) -> k.RegisterTenant:
    """The tenant as a body tells of it (ValueError)."""
    return _checked(
        k.RegisterTenant(
            tenant=body.tenant_id,
            slug=plain(body.tenant_slug or "", 255),
            name=plain(body.tenant_name or "", 255),
            webhook_url=body.webhook_url if isinstance(body, TenantBody) else None,
        )
    )


def command_of(body: Body, request: str) -> k.RegisterTenant | k.RequestVerification | k.RequestPayment:
    """What a body asks for (ValueError)."""
    match body:
        case TenantBody():
            return tenant_of(body)
        case VerificationBody():
            return _checked(
                k.RequestVerification(
                    tenant=body.tenant_id,
                    request=request,
                    webhook_url=body.webhook_url,
                    borrower=plain(body.borrower_id or "", 255),
                    session_metadata=_texts(body.metadata or {}),
                )
            )
    return _checked(
        k.RequestPayment(
            request=body.request_id,
            tenant=body.tenant_id,
            plan=plain(body.plan, 255),
            amount=body.amount_cents,
            billing_type=(body.billing_type or "first_subscription").lower(),  # type: ignore[arg-type]
            payment_reference=plain(body.payment_reference, 255),
            period_start=body.period_start,
            period_end=body.period_end,
            requested_at=body.requested_at,
            add_ons=[plain(name, 255) for name in body.requested_add_ons or ()],
            line_items=[_texts(item) for item in body.line_items or ()],
            decision_webhook_url=body.decision_webhook_url,
        )
    )


def _texts(values: dict[str, Any]) -> dict[str, str]:
    """A JSON object with texts for values: those of others are their JSON."""
    return {
        plain(name, 64): plain(
            value if isinstance(value, str) else msgspec.json.encode(value).decode(), 1_000
        )
        for name, value in values.items()
    }


def _checked(body: B) -> B:
    """A body whose fields are as they would be decoded (msgspec.ValidationError)."""
    msgspec.convert(msgspec.to_builtins(body), type(body))
    return body


def translate(event: Event, settings: NoSettings) -> Post | Park:
    """The command that a request is."""
    if event.type not in _SHAPES:
        return no_translation(event, settings)
    raw = msgspec.json.encode(event.body)
    try:
        body = body_of(event.type, raw)
    except (Unreadable, msgspec.ValidationError) as error:
        return Park("not_postable", f"What it says cannot be posted: {error}.")
    return Post([command(command_of(body, request_of(Named(event.id, event.type))))])


ADAPTER = Adapter("kredit", KREDIT, parse, translate)
