"""What Kredit is told, and where: the callbacks that events of Kredit's side are (docs/kredit.md).

A callback is made of its event alone, so it is the same bytes at every attempt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from ledger.events import Event
from ledger.text import of_currency

DECISION_PATH = "/api/webhooks/kredit/subscription-payment-decision"
PAYMENT_PATH = "/payment"


class Callback(Struct, frozen=True):
    """`target` is a URL, or a path below the address of Kredit's backend."""

    event: str
    target: str
    body: bytes

    def url(self, base: str) -> str:
        """Where it goes."""
        return base.rstrip("/") + self.target if self.target.startswith("/") else self.target


def callback(event: Event) -> Callback | None:
    """What an event tells Kredit; None: nothing."""
    made = _MADE.get(event.type)
    return None if made is None else made(event)


def _session(status: str, about: str) -> Callable[[Event], Callback]:
    def made(event: Event) -> Callback:
        data = event.data
        told = {
            "event": f"kyc.session.{about}",
            "session_id": data["session"],
            "tenant_id": data["tenant"],
            "borrower_id": data.get("borrower"),
            "status": status,
            "result": data.get("result"),
            "reject_message": data.get("reason") if data.get("result") != "approved" else None,
            "metadata": data.get("metadata", {}),
            "timestamp": event.recorded_at,
        }
        return _callback(told, data["webhook_url"])

    return made


def _decision(event: Event) -> Callback:
    data = event.data
    told = {
        "event": "subscription.payment.decision",
        "request_id": data["request"],
        "tenant_id": data["tenant"],
        "status": event.type.removeprefix("subscription_payment_"),
        "plan": data["plan"],
        "amount_cents": int(data["amount"]),
        "amount_myr": of_currency(int(data["amount"]), data["asset"]),
        "payment_reference": data["payment_reference"],
        "period_start": data["period_start"],
        "period_end": data["period_end"],
        "rejection_reason": data.get("rejection_reason") or None,
        "decided_at": event.recorded_at,
        "decided_by": event.approver or event.actor,
    }
    return _callback(told, data.get("decision_webhook_url", DECISION_PATH))


def _paid(event: Event) -> Callback:
    data = event.data
    told = {
        "event": "payment.recorded",
        "tenant_id": data["tenant"],
        "client_id": data["client"],
        "period_start": data["period_start"],
        "period_end": data["period_end"],
        "paid_at": event.effective_at,
        "paid_amount_myr": of_currency(int(data["amount"]), data["asset"]),
        "timestamp": event.recorded_at,
    }
    return _callback(told, data.get("webhook_url", PAYMENT_PATH))


def _callback(told: dict[str, Any], target: str) -> Callback:
    return Callback(told["event"], target, msgspec.json.encode(told))


_MADE: dict[str, Callable[[Event], Callback]] = {
    "kyc_session_started": _session("pending", "started"),
    "kyc_session_processing": _session("processing", "processing"),
    "kyc_session_completed": _session("completed", "completed"),
    "kyc_session_expired": _session("expired", "expired"),
    "kyc_session_failed": _session("expired", "expired"),
    "subscription_payment_approved": _decision,
    "subscription_payment_rejected": _decision,
    "kredit_payment_recorded": _paid,
}
CALLBACKS = tuple(_MADE)
