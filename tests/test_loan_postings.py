"""The posting catalogue of loans (docs/postings.md), carried out: each entry is what the core posts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ledger.events import Event
from tests.loan_books import OFFER, LoanBooks, legs

DOCUMENT = Path(__file__).parent.parent / "docs" / "postings.md"
STEP = re.compile(r"(given )?(\d{4}-\d\d-\d\d) (\w+)(?: (\{.*\}))?$")


def examples() -> dict[str, list[str]]:
    """The code lines of each heading of loans."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^### ", DOCUMENT.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        product, _, name = heading.partition(": ")
        if product == "Loans":
            text = re.split(r"^## ", text, flags=re.MULTILINE)[0]
            found[name] = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return found


EXAMPLES = examples()


def carry_out(books: LoanBooks, day: str, operation: str, body: dict[str, Any]) -> Event | None:
    """Do one step; names of event types stand for the first such event, `last` for the last event."""
    if operation == "policy":
        books.set_policy(**body)
    elif operation in ("accepted", "lent"):
        getattr(books, operation)({**OFFER, **body}, day)
    else:
        subject = body.pop("subject", "loan:L1")
        if body.get("disbursement") == "last":
            body["disbursement"] = books.events[-1].seq
        for name in {"repayment", "transaction"} & body.keys():
            body[name] = next(event.seq for event in books.events if event.type == body[name])
        event = books.ask(operation, subject, day, **body)
        assert isinstance(event, Event), event
        return event
    return None


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_operation_posts_what_the_catalogue_says(name: str) -> None:
    """Leg by leg and in order; an operation without legs below it posts nothing."""
    books = LoanBooks()
    expected: list[tuple[str, ...]] = []
    found: list[tuple[str, ...]] = []
    compared = 0
    for line in EXAMPLES[name]:
        step = STEP.match(line)
        if step is None:
            expected.append(tuple(line.split()))
            continue
        assert found == expected
        given, day, operation, body = step.groups()
        event = carry_out(books, day, operation, json.loads(body) if body else {})
        found, expected = [], []
        if not given:
            assert event is not None
            found = legs(event)
            compared += 1
    assert found == expected
    assert compared


def test_the_catalogue_has_every_event_that_posts() -> None:
    """No operation of loans that posts anything is missing."""
    text = DOCUMENT.read_text()
    posting = {
        "confirm_disbursement", "fail_disbursement", "disburse_loan", "receive_provider_funds",
        "remit_to_provider", "accrue_loan", "repay_loan", "prepay_loan", "settle_loan", "refund_overpayment",
        "charge_back_repayment", "undo_loan_transaction", "charge_loan", "waive_loan", "credit_goodwill",
        "reschedule_loan", "charge_off_loan", "write_off_loan", "provision_loan", "lock_collateral",
        "release_collateral", "liquidate_collateral", "create_loan_payment", "process_loan_payment",
        "match_loan_payment", "refund_loan_payment",
    }  # fmt: skip
    assert not {name for name in posting if f" {name} " not in text and f" {name}\n" not in text}
