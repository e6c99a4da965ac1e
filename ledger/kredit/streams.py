"""The streams of Kredit's side, and what events make of them: rules, tenants, sessions, uses, payments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.kredit.accounts import BANK_UNCONFIRMED, DEFERRED, unbilled
from ledger.kredit.commands import Billing, KreditRules, Result
from ledger.text import SECOND, from_iso, iso

RULES = "kredit:rules"
# A report of the provider's may be late: a session is over by itself this long after it has ended.
GRACE = 3_600 * SECOND

SessionStatus = Literal["pending", "processing", "completed", "expired", "failed"]
PaymentStatus = Literal["pending", "approved", "rejected"]


def tenant_stream(tenant: str) -> str:
    """The stream of a tenant of Kredit's."""
    return f"kredit_tenant:{tenant}"


def session_stream(session: str) -> str:
    """The stream of a session."""
    return f"kyc:{session}"


def request_stream(request: str) -> str:
    """The stream of a request for verification: the sessions that it was given."""
    return f"kyc_request:{request}"


def usage_stream(tenant: str, at: int, session: str) -> str:
    """The stream of one verification that a tenant used: in the order of their names, that of time."""
    return f"kyc_usage:{tenant}:{iso(at)}:{session}"


def payment_stream(request: str) -> str:
    """The stream of a payment for a subscription."""
    return f"kredit_payment:{request}"


def billing_stream(tenant: str, start: date, end: date) -> str:
    """The stream of what a tenant that pays afterwards paid for a period."""
    return f"kredit_billing:{tenant}:{start}:{end}"


class Rules(Struct, frozen=True):
    """What things cost from now on."""

    rules: KreditRules


class Tenant(Struct, frozen=True, omit_defaults=True):
    """A tenant. `client` is our id of it, `loans` the ledger with its loans.

    `plan` is what it subscribed for the period that ends last, whenever that was approved.
    """

    tenant: str
    client: str
    opened_at: str
    billing: Billing
    slug: str = ""
    name: str = ""
    webhook_url: str = ""
    loans: str = ""
    plan: str = ""
    subscribed_at: str = ""
    subscribed_from: str = ""
    subscribed_to: str = ""


class Session(Struct, frozen=True, omit_defaults=True):
    """A verification. `hold`: of the credits that it takes; 0: its tenant pays afterwards.

    `units` credits and `amount` minor units of `asset` are what it costs, in the one way or the other.
    """

    session: str
    tenant: str
    request: str
    webhook_url: str
    status: SessionStatus
    units: int
    amount: int
    asset: str
    credit_type: str
    requested_at: str
    ends_at: int
    hold: int = 0
    borrower: str = ""
    result: Result | None = None
    reason: str = ""
    metadata: dict[str, str] = {}

    @property
    def is_open(self) -> bool:
        """Whether it can still be completed."""
        return self.status in ("pending", "processing")


class Requested(Struct, frozen=True):
    """The last session that a request was given, of so many."""

    session: str
    sessions: int


class Usage(Struct, frozen=True, omit_defaults=True):
    """A verification that was completed: credits, what it is worth, and whether that is `owed` afterwards."""

    units: int
    amount: int
    asset: str
    owed: bool = False


class Payment(Struct, frozen=True, omit_defaults=True):
    """A payment for a subscription, `tax` of it tax. `days` of its period were released, `released` of it."""

    request: str
    tenant: str
    plan: str
    asset: str
    amount: int
    tax: int
    start: str
    end: str
    reference: str
    billing_type: str
    requested_at: str
    status: PaymentStatus = "pending"
    decision_webhook_url: str = ""
    decided_at: str = ""
    decided_by: str = ""
    reason: str = ""
    days: int = 0
    released: int = 0
    release_at: int | None = None
    matched: bool = False


class Paid(Struct, frozen=True, omit_defaults=True):
    """What a tenant paid for a period."""

    tenant: str
    start: str
    end: str
    asset: str
    amount: int
    matched: bool = False


def evolve_rules(rules: Rules | None, event: Event, stream: str) -> Rules:
    """The last that were set."""
    return Rules(msgspec.convert(event.data["rules"], KreditRules))


def evolve_tenant(tenant: Tenant | None, event: Event, stream: str) -> Tenant:
    """A tenant as it was registered, with what was said of it since."""
    data = event.data
    if tenant is None:
        return Tenant(
            data["tenant"],
            data["client"],
            event.recorded_at,
            data["billing"],
            data.get("slug", ""),
            data.get("name", ""),
            data.get("webhook_url", ""),
        )
    if event.type == "kredit_tenant_set":
        return replace(tenant, billing=data["billing"], loans=data.get("loans", ""))
    if event.type == "subscription_payment_approved":
        tenant = replace(tenant, subscribed_at=tenant.subscribed_at or event.recorded_at)
        if data["period_end"] < tenant.subscribed_to:
            return tenant
        return replace(
            tenant,
            plan=data["plan"],
            subscribed_from=data["period_start"],
            subscribed_to=data["period_end"],
        )
    told = {name: data[name] for name in ("slug", "name", "webhook_url") if data.get(name)}
    return replace(tenant, **told)


def evolve_session(session: Session | None, event: Event, stream: str) -> Session:
    """Requested; then what was reported of it."""
    data = event.data
    if session is None:
        return Session(
            session=data["session"],
            tenant=data["tenant"],
            request=data["request"],
            webhook_url=data["webhook_url"],
            status="pending",
            units=int(data["price"]),
            amount=int(data["worth"]),
            asset=data["worth_in"],
            credit_type=data["price_in"],
            requested_at=event.recorded_at,
            ends_at=from_iso(data["ends_at"]),
            hold=data.get("hold", 0),
            borrower=data.get("borrower", ""),
            metadata=data.get("metadata", {}),
        )
    match event.type:
        case "kyc_session_started":
            return session
        case "kyc_session_processing":
            return replace(session, status="processing")
        case "kyc_session_completed":
            reason = data.get("reason", "")
            return replace(session, status="completed", result=data["result"], reason=reason)
        case "kyc_session_expired":
            return replace(session, status="expired")
    return replace(session, status="failed", reason=data["reason"])


def session_due(session: Session) -> int | None:
    """When it is over by itself."""
    return session.ends_at + GRACE if session.is_open else None


def evolve_requested(requested: Requested | None, event: Event, stream: str) -> Requested:
    """One session more."""
    return Requested(event.data["session"], 1 if requested is None else requested.sessions + 1)


def evolve_usage(usage: Usage | None, event: Event, stream: str) -> Usage:
    """As the session's end says."""
    data = event.data
    owed = data["billing"] == "postpaid"
    return Usage(int(data["price"]), int(data["worth"]), data["worth_in"], owed)


def usage_claims(usage: Usage, stream: str) -> Iterator[tuple[str, str, int]]:
    """What is owed for it."""
    if usage.owed:
        yield unbilled(stream.split(":")[1]), usage.asset, usage.amount


def evolve_payment(payment: Payment | None, event: Event, stream: str) -> Payment:
    """Requested, decided, released day by day, found at the bank."""
    data = event.data
    if payment is None:
        return Payment(
            request=data["request"],
            tenant=data["tenant"],
            plan=data["plan"],
            asset=data["asset"],
            amount=int(data["amount"]),
            tax=int(data["tax"]),
            start=data["period_start"],
            end=data["period_end"],
            reference=data["payment_reference"],
            billing_type=data["billing_type"],
            requested_at=data.get("requested_at", event.recorded_at),
            decision_webhook_url=data.get("decision_webhook_url", ""),
        )
    match event.type:
        case "subscription_payment_approved" | "subscription_payment_rejected":
            payment = replace(
                payment,
                status=event.type.removeprefix("subscription_payment_"),
                decided_at=event.recorded_at,
                decided_by=event.actor,
                reason=data.get("rejection_reason", ""),
            )
            return _released(payment, data)
        case "subscription_released":
            return _released(payment, data)
    return replace(payment, matched=True)


def _released(payment: Payment, data: dict[str, Any]) -> Payment:
    at = data.get("release_at")
    return replace(
        payment,
        days=data.get("days", payment.days),
        released=payment.released + int(data.get("released", 0)),
        release_at=None if at is None else from_iso(at),
    )


def payment_due(payment: Payment) -> int | None:
    """When the next day of it is over."""
    return payment.release_at


def payment_claims(payment: Payment, stream: str) -> Iterator[tuple[str, str, int]]:
    """What the bank is yet to confirm, and what is not earned yet."""
    if payment.status != "approved":
        return
    if not payment.matched:
        yield BANK_UNCONFIRMED, payment.asset, payment.amount
    yield DEFERRED, payment.asset, payment.released + payment.tax - payment.amount


def evolve_paid(paid: Paid | None, event: Event, stream: str) -> Paid:
    """Recorded; then found at the bank."""
    if paid is not None:
        return replace(paid, matched=True)
    data = event.data
    return Paid(data["tenant"], data["period_start"], data["period_end"], data["asset"], int(data["amount"]))


def paid_claims(paid: Paid, stream: str) -> Iterator[tuple[str, str, int]]:
    """What the bank is yet to confirm; what was owed."""
    if not paid.matched:
        yield BANK_UNCONFIRMED, paid.asset, paid.amount
    yield unbilled(paid.tenant), paid.asset, -paid.amount
