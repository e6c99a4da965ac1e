"""What a balance transaction of Stripe's says, fetched by the worker or brought by a webhook."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from adapters.adapter import Event
from adapters.stripe_objects import PROVIDER, Told
from ledger.payments.commands import BalanceFigures, Kind, RecordBalanceTransaction

KINDS: dict[str, Kind] = {
    "charge": "charge",
    "payment": "charge",
    "refund": "refund",
    "payment_refund": "refund",
    "refund_failure": "refund_failure",
    "payout": "payout",
    "payout_failure": "payout_failure",
    "payout_cancel": "payout_failure",
}


def recorded(body: dict[str, Any], now: datetime) -> RecordBalanceTransaction:
    """A balance transaction, with its source in it, as the ledger is told of it (Misread, NotWhole)."""
    txn = Told(_event(body, now))
    source = Told(_event(body.get("source") if isinstance(body.get("source"), dict) else {}, now))
    type, source_id = txn.text("type"), txn.link("source")
    kind: Kind = KINDS.get(type, "other")
    if type == "adjustment" and source_id.startswith(("dp_", "du_")):
        kind = "dispute"
    amount, asset = txn.amount("amount", operation="balance"), txn.asset()
    figures: dict[str, Any] = {}
    payment = ""
    if kind in ("charge", "refund", "refund_failure", "dispute"):
        own = source.id() if kind == "charge" else source.id("charge")
        payment = source.link("payment_intent") or own
        if source.asset() != asset:
            captured = kind == "charge" and source.object.get("amount_captured") is not None
            there = source.amount("amount_captured" if captured else "amount")
            figures = {"source_amount": there if amount > 0 else -there, "source_asset": source.asset()}
    return RecordBalanceTransaction(
        kind=kind,
        type=type,
        settlement=BalanceFigures(
            txn=txn.id(), amount=amount, fee=txn.or_zero("fee"), asset=asset, **figures
        ),
        source=source_id,
        payment=payment,
        effective_at=txn.when(),
    )


def _event(body: Any, now: datetime) -> Event:
    return Event(PROVIDER, "", "", "", now, {"data": {"object": body}})
