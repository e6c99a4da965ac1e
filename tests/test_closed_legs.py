"""A leg of which nothing is left may stand on an account that is closed by now; it is in nobody's way."""

from __future__ import annotations

import pytest

from ledger import commands as c
from ledger.batch import Outcome, Recorded, Request
from tests.desk import Desk
from tests.journal import BOOK, START, play

ONE_OFF = "free:one-off"


def ask(desk: Desk, body: c.Body, subject: int | str = "", at: int = 0) -> Outcome:
    plan = desk.run([Request([c.command(body, subject)])], START + len(desk.bodies) * 10**6 + at)
    return plan.outcomes[0][0]


def seq_of(outcome: Outcome) -> int:
    assert isinstance(outcome, Recorded), outcome
    return outcome.event.seq


def four_legs(pending: bool) -> c.Transaction:
    legs = [("cash", "debit", 5), (ONE_OFF, "credit", 5), ("cash", "debit", 7), ("free:1", "credit", 7)]
    postings = [c.Posting(account, side, amount, "USD/2") for account, side, amount in legs]  # type: ignore[arg-type]
    return c.Transaction(postings=postings, pending=pending, timeout_seconds=3_600 if pending else None)


def empty_and_close(desk: Desk) -> None:
    spend = [c.Posting(ONE_OFF, "debit", 5, "USD/2"), c.Posting("cash", "credit", 5, "USD/2")]
    seq_of(ask(desk, c.Transaction(postings=spend)))
    seq_of(ask(desk, c.AccountClosing(), ONE_OFF))


@pytest.mark.parametrize("ending", [c.HoldPosting(), c.HoldVoid(), None])
def test_a_hold_ends_though_an_account_of_a_finished_leg_is_closed(ending: c.Body | None) -> None:
    """One leg is posted in full and its account closed: the rest can be posted, voided, or expires."""
    desk = play(BOOK).desk
    hold = seq_of(ask(desk, four_legs(pending=True)))
    seq_of(ask(desk, c.HoldPosting(amounts=[5, 5, 0, 0]), hold))
    empty_and_close(desk)
    if ending is None:
        plan = desk.run([], START + 7_200 * 10**6)
        assert [accepted.event.type for accepted in plan.accepted] == ["hold_expired"]
    else:
        seq_of(ask(desk, ending, hold))
    subject = desk.state.subjects[hold]
    assert subject is not None
    assert [leg.left for leg in subject.legs] == [0, 0, 0, 0]


def test_the_rest_is_reversed_though_an_account_of_a_reversed_leg_is_closed() -> None:
    """One leg is reversed in full and its account closed: what is left of the others can be reversed."""
    desk = play(BOOK).desk
    original = seq_of(ask(desk, four_legs(pending=False)))
    seq_of(ask(desk, c.Reversal(amounts=[5, 5, 0, 0]), original))
    seq_of(ask(desk, c.AccountClosing(), ONE_OFF))
    reversal = ask(desk, c.Reversal(), original)
    assert isinstance(reversal, Recorded)
    assert [(p.account, p.amount) for p in reversal.event.postings] == [("cash", "7"), ("free:1", "7")]


def test_a_ledger_that_was_never_opened_remembers_no_key() -> None:
    """A key refused for want of a ledger is free when the ledger is there."""
    plan = Desk().run([Request([c.command(four_legs(pending=False), key="k")])], START)
    assert plan.keys == {}
