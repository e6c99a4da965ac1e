"""Kredit's webhooks have no event id: what names one of them, so that a retry is not taken for another."""

from __future__ import annotations

import json
from typing import Any

from adapters.kredit import parse

PAYMENT: dict[str, Any] = {
    "event": "subscription.payment.requested",
    "request_id": "req_1",
    "tenant_id": "t_1",
    "amount_cents": 10_800,
}
VERIFICATION: dict[str, Any] = {"tenant_id": "t_1", "document_name": "A", "document_number": "1"}


def named(body: dict[str, Any], **others: Any) -> str:
    return parse(json.dumps({**body, **others}).encode()).id


def test_a_request_for_a_payment_is_one_however_it_is_written() -> None:
    """Another order of members, other spaces, more members: `request_id` names it, of its type of event."""
    again = json.dumps(dict(reversed(PAYMENT.items())), indent=2).encode()
    assert parse(again) == parse(json.dumps(PAYMENT).encode())
    assert named(PAYMENT, line_items=[]) == named(PAYMENT)
    assert named(PAYMENT, request_id=7) == "subscription.payment.requested:7"
    names = {named(PAYMENT), named(PAYMENT, request_id="req_2"), named(PAYMENT, event="other")}
    assert len(names) == 3


def test_what_has_no_name_is_named_by_its_bytes() -> None:
    """Requests for verification have no id: other documents are other requests."""
    assert named(VERIFICATION) == named(VERIFICATION) != named(VERIFICATION, document_number="2")
    assert named(PAYMENT, request_id=None) != named(PAYMENT, request_id=None, amount_cents=1)
    assert parse(json.dumps(VERIFICATION).encode()).subject == "t_1"
