"""Paystack's charges as transactions: what is posted, and what waits for people instead."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.adapter import Event, Park, Post, Unreadable
from adapters.paystack import PaystackSettings, parse, translate
from ledger.commands import Transaction

RECEIVED = datetime(2026, 11, 21, 12, tzinfo=UTC)
GOOD = {
    "id": 696134701,
    "status": "success",
    "reference": "order-1842",
    "amount": 216_000,
    "currency": "NGN",
    "channel": "card",
    "paid_at": "2026-11-20T12:29:51.000Z",
}


def event(type: str = "charge.success", **data: Any) -> Event:
    """An event whose data differ from a good charge's in what is given; None: it is missing."""
    told = {name: value for name, value in (GOOD | data).items() if value is not None}
    body = json.dumps({"event": type, "data": told}).encode()
    named = parse(body)
    return Event("paystack", named.id, named.type, named.subject, RECEIVED, json.loads(body))


def posted(told: Event, settings: PaystackSettings | None = None) -> Transaction:
    """The transaction that it becomes."""
    translation = translate(told, settings or PaystackSettings())
    assert isinstance(translation, Post)
    [command] = translation.commands
    assert isinstance(command.body, Transaction)
    assert translation.once == ""
    return command.body


def legs(transaction: Transaction) -> list[tuple[str, str, int, str]]:
    return [(leg.side, leg.account, leg.amount, leg.asset) for leg in transaction.postings]


def test_a_charge_is_money_that_paystack_owes() -> None:
    """DR unsettled / CR unapplied, whole, when it was paid, with Paystack's reference and the charge's id."""
    told = event()
    assert (told.id, told.type, told.subject) == ("charge.success:696134701", "charge.success", "order-1842")
    transaction = posted(told)
    assert legs(transaction) == [
        ("debit", "paystack:unsettled", 216_000, "NGN/2"),
        ("credit", "payments:unapplied", 216_000, "NGN/2"),
    ]
    assert transaction.effective_at == datetime(2026, 11, 20, 12, 29, 51, tzinfo=UTC)
    assert transaction.reference == "order-1842"
    assert transaction.metadata == {"paystack_charge": "696134701", "channel": "card"}


def test_a_channel_may_have_an_account_of_its_own() -> None:
    """The others stay where they were; both sides can be set."""
    settings = PaystackSettings("paystack", "payments", {"card": "paystack:cards"})
    assert [leg[1] for leg in legs(posted(event(), settings))] == ["paystack:cards", "payments"]
    assert [leg[1] for leg in legs(posted(event(channel="ussd"), settings))] == ["paystack", "payments"]


@pytest.mark.parametrize(
    ("currency", "amount", "units", "asset"),
    [
        ("NGN", 1, 1, "NGN/2"),
        ("GHS", 150, 150, "GHS/2"),
        ("XOF", 150_000, 1_500, "XOF/0"),
        ("RWF", 100, 1, "RWF/0"),
    ],
)
def test_every_currency_comes_in_hundredths(currency: str, amount: int, units: int, asset: str) -> None:
    """Also those that have none."""
    assert legs(posted(event(currency=currency, amount=amount)))[0][2:] == (units, asset)


@pytest.mark.parametrize(
    ("paid_at", "effective_at"),
    [
        ("2026-11-21T12:00:03Z", RECEIVED),
        ("2026-11-20T13:29:51+01:00", datetime(2026, 11, 20, 12, 29, 51, tzinfo=UTC)),
        ("2026-11-20T12:29:51", datetime(2026, 11, 20, 12, 29, 51, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
        (1_763_000_000, None),
    ],
)
def test_a_charge_counts_when_it_was_paid_and_never_in_the_future(paid_at: Any, effective_at: Any) -> None:
    """Their clock may be ahead of ours; without a time it counts when it is posted."""
    assert posted(event(paid_at=paid_at)).effective_at == effective_at


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"amount": None}, "amount_not_understood"),
        ({"amount": 0}, "amount_not_understood"),
        ({"amount": -5}, "amount_not_understood"),
        ({"amount": 1.5}, "amount_not_understood"),
        ({"amount": "216000"}, "amount_not_understood"),
        ({"amount": True}, "amount_not_understood"),
        ({"currency": "XAU"}, "currency_not_known"),
        ({"currency": None}, "currency_not_known"),
        ({"currency": "XOF", "amount": 150_050}, "amount_not_whole"),
        ({"status": "failed"}, "charge_not_understood"),
        ({"id": None}, "charge_not_understood"),
        ({"type": "transfer.success"}, "unknown_type"),
        ({"type": "refund.processed"}, "unknown_type"),
        ({"type": ""}, "unknown_type"),
    ],
)
def test_what_is_not_understood_is_parked_and_never_guessed(data: dict[str, Any], code: str) -> None:
    """With a code of its own and a sentence."""
    translation = translate(event(**data), PaystackSettings())
    assert isinstance(translation, Park)
    assert translation.code == code
    assert translation.reason.endswith(".")


def test_a_charge_is_one_event_however_it_is_written() -> None:
    """Another order of members, more members, sent later: the charge's id names it. Others by their bytes."""
    first = parse(json.dumps({"event": "charge.success", "data": GOOD}).encode())
    again = parse(
        json.dumps({"data": dict(reversed(GOOD.items())), "event": "charge.success", "x": 1}).encode()
    )
    assert first.id == again.id
    ids = {
        parse(json.dumps({"event": type, "data": {"id": 1, "n": n}}).encode()).id
        for type in ("charge.dispute.remind", "transfer.success")
        for n in range(2)
    }
    assert len(ids) == 4
    with pytest.raises(Unreadable):
        parse(b"[]")


def test_texts_of_theirs_fit_the_ledger() -> None:
    """NUL, decomposed accents and endless references are no reason to refuse a payment."""
    transaction = posted(event(reference="a\x00b" + "e\u0301" * 300, channel="c\x00"))
    assert transaction.reference == "a?b" + "é" * 252
    assert transaction.metadata["channel"] == "c?"
    assert event().not_later(RECEIVED + timedelta(days=1)) == RECEIVED
