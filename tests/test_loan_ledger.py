"""Loans in the ledger: their sub-ledger against its control accounts; a real database and its audit."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from ledger import commands as c
from ledger.batch import Outcome, Recorded, Refusal, Replayed, Request
from ledger.events import Event
from ledger.loans.accounts import PATTERNS
from ledger.loans.state import Loan
from ledger.reader import Reader
from ledger.rejections import Rejection
from ledger.writer import Writer
from projections.audit import live
from tests.bookkeeping import code, do, done, transaction, writing
from tests.loan_books import BODIES, CHART, OFFER, USD, LoanBooks
from tests.tampering import unguarded

START = date(2026, 1, 15)
CONTROL = [pattern.pattern for pattern in PATTERNS if "{" not in pattern.pattern]
ACMES = ["loans:provider_funds:acme", "loans:provider_payable:acme"]


# ---------------------------------------------------------------- sub-ledger and control accounts


def happening(chance: random.Random, books: LoanBooks, loan: str) -> Any:
    """Something random to ask of a loan, on any day, before or after what was asked already."""
    amount = chance.choice((500, 9_000, 11_200, 50_000))
    seqs = [event.seq for event in books.events if event.data.get("loan") == loan]
    choices: list[tuple[str, dict[str, Any]]] = (
        [("repay_loan", {"amount": amount, "account": "bank"})] * 4
        + [
            ("prepay_loan", {"amount": amount, "account": "bank"}),
            ("settle_loan", {"amount": 150_000, "account": "bank"}),
            ("charge_loan", {"part": "penalty", "amount": 77}),
            ("charge_loan", {"part": "fee", "amount": 30}),
            ("waive_loan", {"amounts": {"interest": 40, "penalty": 20}}),
            ("credit_goodwill", {"amount": 60}),
            ("refund_overpayment", {"amount": 500, "account": "bank"}),
            ("charge_back_repayment", {"repayment": chance.choice(seqs), "account": "bank"}),
            ("undo_loan_transaction", {"transaction": chance.choice(seqs), "reason": "Undone"}),
            ("undo_loan_transaction", {"transaction": chance.choice(seqs), "reason": "Undone"}),
            ("accrue_loan", {}),
            ("provision_loan", {}),
            ("reschedule_loan", {"first_due": "2027-06-01", "count": 5}),
            ("lock_collateral", {"collateral": "C", "value": 700}),
            ("liquidate_collateral", {"collateral": "C", "amount": 600, "costs": 9, "account": "bank"}),
            ("disburse_loan", {"account": "bank", "method": "wallet", "amount": 1_000}),
            ("confirm_disbursement", {"disbursement": chance.choice(seqs)}),
            ("fail_disbursement", {"disbursement": chance.choice(seqs), "reason": "No"}),
        ]
        + [("charge_off_loan", {}), ("write_off_loan", {})] * (chance.random() < 0.2)
    )
    operation, body = chance.choice(choices)
    return books.ask(operation, f"loan:{loan}", START + timedelta(days=chance.randrange(1, 400)), **body)


@pytest.mark.parametrize("seed", range(6))
def test_the_loans_together_are_the_control_accounts_at_every_step(seed: int) -> None:
    """Whatever happens, in whatever order of days: each control account is the sum over the loans.

    A provider's, too; and the stored events fold into the states that were decided.
    """
    chance = random.Random(seed)
    books = LoanBooks()
    books.ask(
        "receive_provider_funds", "provider_funding:acme", START, asset=USD, amount=10**6, account="bank"
    )
    plain = {**OFFER, "amount": 100_000, "interest": {"method": "equal_instalments", "rate": "24"}}
    books.lent({**plain, "fee": 1_500}, "2026-01-15", "L1", amount=98_000)
    books.lent({**OFFER, "count": 3}, "2026-01-15", "L2", "B2")
    books.lent({**plain, "provider": "acme", "servicing_rate": "3"}, "2026-01-15", "L3", "B3", amount=98_000)
    recorded: Counter[str] = Counter()
    for _ in range(60):
        outcome = happening(chance, books, chance.choice(("L1", "L2", "L3")))
        if isinstance(outcome, Rejection):
            continue
        recorded[outcome.type] += 1
        totals: Counter[str] = Counter()
        for name in ("L1", "L2", "L3"):
            book = books.loan(name).book
            assert book is not None
            totals.update(book.totals)
        totals["loans:provider_funds:acme"] -= 10**6
        for account in (*CONTROL, *ACMES):
            assert books.balance(account) == totals[account], (account, outcome)
    assert sum(recorded.values()) > 15, f"seed {seed}: hardly anything was accepted"


# ---------------------------------------------------------------- in the database


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    with writing(database) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHART)))
        yield writer


def ask(
    writer: Writer, operation: str, subject: str, on: str = "", actor: str = "clerk", **body: Any
) -> Outcome:
    [outcome] = writer.execute("main", Request([asked(operation, subject, on, actor, **body)]))
    return outcome


def asked(
    operation: str, subject: str, on: str = "", actor: str = "clerk", key: str | None = None, **body: Any
) -> c.Command:
    if on:
        body["effective_at"] = f"{on}T12:00:00Z"
    subject = subject.partition(":")[2]
    named = {"submit_loan_application": "loan", "create_loan_payment": "payment"}.get(operation)
    if named is not None:
        body[named], subject = subject, ""
    decoded: Any = msgspec.convert(body, BODIES[operation], strict=False)
    return c.command(decoded, subject, key=key, actor=actor)


def event_of(outcome: Outcome) -> Event:
    assert isinstance(outcome, Recorded), outcome
    return outcome.event


def lent(writer: Writer, loan: str = "L1", day: str = "2026-01-15", **offer: Any) -> None:
    whole = {**OFFER, **offer}
    ask(writer, "assess_borrower", "borrower:B1", day, kyc="verified")
    name = f"loan:{loan}"
    fields = {"borrower": "B1", "asset": USD, "amount": whole["amount"]}
    done(ask(writer, "submit_loan_application", name, day, **fields))
    done(ask(writer, "approve_loan", name, day, "boss", offer=whole))
    done(ask(writer, "accept_loan", name, day))
    held = done(ask(writer, "disburse_loan", name, day, account="bank", method="bank_transfer"))
    done(ask(writer, "confirm_disbursement", name, day, disbursement=held))


def state(database: str, loan: str = "L1") -> Loan:
    with closing(Reader(database)) as reader:
        found = reader.stream("main", f"loan:{loan}")
    assert found is not None
    kept: Loan = found[0].state
    return kept


def failures(database: str) -> list[str]:
    return [
        f"{verdict.name} {verdict.seq}: {verdict.sentence}"
        for verdict in live.check(database, "main").verdicts
        if verdict.status == "failed"
    ]


def test_what_comes_back_to_an_account_that_had_come_to_nothing_is_posted(
    database: str, writer: Writer
) -> None:
    """By a writer that starts anew: the book does not name the account any more, the fact does."""
    lent(writer)
    repaid = done(ask(writer, "repay_loan", "loan:L1", "2026-02-15", amount=100, account="suspense"))
    back = done(ask(writer, "charge_back_repayment", "loan:L1", repayment=repaid, account="suspense"))
    loan = state(database)
    assert loan.book is not None
    assert "suspense" not in loan.book.totals
    with writing(database) as another:
        done(
            ask(another, "undo_loan_transaction", "loan:L1", transaction=back, reason="It was paid after all")
        )
    loan = state(database)
    assert loan.book is not None
    assert loan.book.totals["suspense"] == 100
    assert failures(database) == []


def test_a_loans_life_is_in_the_book_and_passes_the_audit(database: str, writer: Writer) -> None:
    """Lent, repaid, undone, entered again, charged off, recovered; by writers that start anew."""
    lent(writer, fee=1_200)
    repaid = done(ask(writer, "repay_loan", "loan:L1", "2026-02-15", amount=11_200, account="bank"))
    done(ask(writer, "repay_loan", "loan:L1", "2026-03-15", amount=11_100, account="bank"))
    with writing(database) as another:
        done(ask(another, "undo_loan_transaction", "loan:L1", transaction=repaid, reason="Wrong loan"))
    with writing(database) as another:
        done(ask(another, "repay_loan", "loan:L1", "2026-02-20", amount=11_200, account="bank"))
        done(ask(another, "charge_off_loan", "loan:L1"))
        done(ask(another, "repay_loan", "loan:L1", amount=500, account="bank"))
    loan = state(database)
    assert loan.book is not None
    assert loan.book.recovered == 500
    assert [type(fact).__name__ for fact in loan.facts] == [
        "Disbursed", "Repaid", "Repaid", "ChargedOff", "Repaid",
    ]  # fmt: skip
    assert failures(database) == []


def test_a_states_version_is_folded_again_from_the_events(database: str, writer: Writer) -> None:
    """A loan whose stored state is of other code is made anew of its events, and goes on."""
    lent(writer)
    done(ask(writer, "repay_loan", "loan:L1", "2026-02-15", amount=11_200, account="bank"))
    before = state(database)
    with unguarded(database) as connection:
        connection.execute("UPDATE daybook.streams SET state_version = 99, state = '{}' WHERE kind = 'loan'")
    with writing(database) as another:
        done(ask(another, "accrue_loan", "loan:L1", "2026-03-01"))
    after = state(database)
    assert (after.facts, after.tranches) == (before.facts, before.tranches)
    assert failures(database) == []


def test_a_repayment_under_one_key_counts_once(writer: Writer, database: str) -> None:
    """The second time it answers with the first outcome, and refusals are remembered too."""
    lent(writer)
    command = asked("repay_loan", "loan:L1", "2026-02-15", key="pay-1", amount=11_200, account="bank")
    [first] = writer.execute("main", Request([command]))
    [second] = writer.execute("main", Request([command]))
    assert isinstance(second, Replayed)
    assert second.seq == done(first)
    assert len(state(database).facts) == 2


def test_a_group_that_fails_leaves_no_trace_of_its_loans(writer: Writer, database: str) -> None:
    """An atomic group with a repayment and a refusal behind it changes nothing."""
    lent(writer)
    group = [
        asked("repay_loan", "loan:L1", "2026-02-15", amount=11_200, account="bank"),
        asked("refund_overpayment", "loan:L1", "2026-02-15", amount=1, account="bank"),
    ]
    refused = writer.execute("main", Request(group, atomic=True))
    assert all(isinstance(outcome, Refusal) for outcome in refused)
    assert len(state(database).facts) == 1
    done(ask(writer, "repay_loan", "loan:L1", "2026-02-15", amount=11_200, account="bank"))
    assert failures(database) == []


def test_nobody_else_posts_to_the_accounts_of_loans(writer: Writer) -> None:
    """Control accounts move by loans alone, and closed periods hold for loans too."""
    lent(writer)
    assert code(do(writer, transaction("loans:portfolio", "bank", 1))) == "account_of_product"
    done(do(writer, c.PeriodClosing(), "2026-01"))
    late: dict[str, Any] = {"amount": 1_000, "account": "bank"}
    assert code(ask(writer, "repay_loan", "loan:L1", "2026-01-20", **late)) == "period_closed"
    dated = {**late, "original_effective_at": "2026-01-20T12:00:00Z"}
    event = event_of(ask(writer, "repay_loan", "loan:L1", "2026-02-20", **dated))
    assert event.data["fact"]["day"] == "2026-01-20"


def test_the_longest_loan_is_paid_off_at_once_by_settling_it(writer: Writer, database: str) -> None:
    """600 instalments are too many to explain in one event; settled early, they are one."""
    lent(writer, count=600, amount=10**8)
    outcome = ask(writer, "repay_loan", "loan:L1", "2026-02-15", amount=10**9, account="bank")
    assert code(outcome) == "event_too_large"
    done(ask(writer, "settle_loan", "loan:L1", "2026-02-15", amount=10**9, account="bank"))
    assert state(database).status == "overpaid"


def test_a_borrower_is_known_when_a_loan_ends_though_repayments_do_not_ask_for_them(
    database: str, writer: Writer
) -> None:
    """By the second of two repayments in a batch, which only shows while it is decided; and by a late one."""
    for name in ("L1", "L2"):
        lent(writer, name)
    paid = [
        asked("repay_loan", "loan:L1", "2026-01-20", amount=amount, account="bank")
        for amount in (100_000, 30_000)
    ]
    with writing(database) as another:
        outcomes = another.execute("main", Request(paid))
    assert [event_of(outcome).data["status"] for outcome in outcomes] == ["active", "overpaid"]
    done(ask(writer, "prepay_loan", "loan:L2", "2026-02-20", amount=90_000, account="bank"))
    with writing(database) as another:
        done(ask(another, "repay_loan", "loan:L2", "2026-01-25", amount=50_000, account="bank"))
    with closing(Reader(database)) as reader:
        found = reader.stream("main", "borrower:B1")
    assert found is not None
    assert found[0].state.taken == {}
    assert failures(database) == []


def test_a_payment_of_a_closed_period_is_matched_later_and_counts_then(writer: Writer, database: str) -> None:
    """The match says another day for the books; the loan counts the day of the receipt."""
    lent(writer)
    said: dict[str, Any] = {"method": "check", "asset": USD, "amount": 11_200, "processed": True}
    done(ask(writer, "create_loan_payment", "loan_payment:P1", "2026-01-20", **said))
    done(do(writer, c.PeriodClosing(), "2026-01"))
    assert code(ask(writer, "match_loan_payment", "loan_payment:P1", loan="L1")) == "period_closed"
    matched = event_of(ask(writer, "match_loan_payment", "loan_payment:P1", "2026-02-01", loan="L1"))
    assert matched.effective_at.startswith("2026-02-01")
    assert state(database).facts[-1].day == date(2026, 1, 20)
    assert failures(database) == []


def test_payments_of_one_batch_see_each_other(writer: Writer, database: str) -> None:
    """Created, processed, matched and given back in one batch, by a writer that knows nothing before it."""
    lent(writer)
    said: dict[str, Any] = {"method": "cash", "asset": USD, "amount": 5_000}
    now, seq = "2026-02-15", done(ask(writer, "accrue_loan", "loan:L1", "2026-02-01"))
    batch = [
        asked("assign_virtual_account", "virtual_account:V1", now, loan="L1"),
        asked("create_loan_payment", "loan_payment:P1", now, virtual_account="V1", **said),
        asked("process_loan_payment", "loan_payment:P1", now),
        asked("create_loan_payment", "loan_payment:P2", now, processed=True, **said),
        asked("match_loan_payment", "loan_payment:P2", loan="L1"),
        asked("refund_loan_payment", "loan_payment:P2", now, amount=1_000, reason="Too much"),
        asked("undo_loan_transaction", "loan:L1", now, transaction=seq + 3, reason="Not this one"),
        asked("process_loan_payment", "loan_payment:P1", now),
    ]
    with writing(database) as another:
        *outcomes, last = another.execute("main", Request(batch))
    assert [event_of(outcome).type for outcome in outcomes] == [
        "virtual_account_assigned", "loan_payment_created", "loan_payment_processed",
        "loan_payment_processed", "loan_payment_matched", "loan_payment_refunded", "loan_transaction_undone",
    ]  # fmt: skip
    assert isinstance(last, Refusal)
    with closing(Reader(database)) as reader:
        found = [
            stream.state.status for stream, _ in reader.streams("main", "loan_payment", after="", limit=9)
        ]
    assert found == ["suspense", "matched"]
    assert failures(database) == []
