"""Keys, atomic groups and previews: what a command means among others. And that deciding changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger import commands as c
from ledger.batch import Previewed, Recorded, Refusal, Replayed, Request, decide_batch
from ledger.decide import decide
from ledger.rejections import Rejection
from ledger.state import Accepted
from tests.desk import Desk
from tests.journal import BOOK, START, play
from tests.strategies import chart_of, leg, request_of


def plain(account: str, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "op": "transaction",
        "postings": [leg("cash", "debit", amount), leg(account, "credit", amount)],
        **more,
    }


def run(desk: Desk, *requests: dict[str, Any]) -> list[list[Any]]:
    return [
        list(o)
        for o in desk.run([request_of(r) for r in requests], START + len(desk.bodies) * 10**6).outcomes
    ]


def test_key_answers_with_its_first_outcome_within_and_across_batches() -> None:
    """A replay has no effect; another request under the key is refused; a refusal is remembered."""
    desk = play(BOOK).desk
    ok, other, bad = plain("free:1", 5, key="k"), plain("free:1", 6, key="k"), plain("nowhere", 5, key="b")
    first = run(desk, {"commands": [ok, ok, other, bad, bad]})[0]
    assert isinstance(first[0], Recorded)
    reused = Refusal(first[2].rejection)
    assert reused.rejection.code == "idempotency_key_reused"
    assert reused.rejection.evidence == {"key": "k"}
    assert first[1] == Replayed(3, 1)
    assert first[4] == Refusal(first[3].rejection, replayed=True)
    run(desk, {"commands": [{"op": "set_chart", "chart": {"assets": [], "accounts": []}}]})
    again = run(desk, {"commands": [ok, other, bad]})[0]
    assert again == [Replayed(3, 1), reused, first[4]]
    assert len(desk.bodies) == 4


def test_atomic_group_is_all_or_none() -> None:
    """The first failure has its own code, the others `linked_failed`, and nothing of it happened."""
    desk = play(BOOK).desk
    group = {
        "commands": [plain("free:1", 5), plain("nowhere", 5), plain("free:2", 5)],
        "atomic": True,
        "key": "g",
    }
    outcomes = run(desk, group)[0]
    codes = [o.rejection.code for o in outcomes]
    assert codes == ["linked_failed", "account_not_in_chart", "linked_failed"]
    linked = outcomes[0].rejection.evidence
    assert linked == {"index": 1, "code": "account_not_in_chart"}
    assert len(desk.bodies) == 2
    assert run(desk, group)[0] == [Refusal(o.rejection, True) for o in outcomes]


def test_group_that_fails_leaves_no_trace_for_the_next_command() -> None:
    """What a failed group touched, asked for or changed is as if it had never been tried."""
    desk = play(BOOK).desk
    euro = [leg("free:1", "debit", 5, "EUR/2"), leg("customers:1", "credit", 5, "EUR/2")]
    *_, [last] = run(
        desk,
        {"commands": [{"op": "reverse", "subject": 3}]},
        {"commands": [{"op": "transaction", "postings": euro}, plain("nowhere", 1)], "atomic": True},
        {
            "commands": [
                {"op": "set_limits", "subject": "customers:1", "limits": {"EUR/2": {"min_available": 1}}}
            ]
        },
        {"commands": [{"op": "reverse", "subject": 3}]},
    )
    assert [json.loads(body)["type"] for body in desk.bodies[2:]] == ["account_limits_set"]
    assert last == Refusal(Rejection("transaction_not_found", {"seq": 3}))


def test_preview_answers_with_the_entry_and_stores_nothing() -> None:
    """A preview is the event that would come next; neither balance nor key nor seq moves."""
    desk = play(BOOK).desk
    [[preview], [recorded]] = run(
        desk, {"commands": [plain("free:9", 5)], "preview": True}, {"commands": [plain("free:9", 5)]}
    )
    assert isinstance(preview, Previewed)
    assert isinstance(recorded, Recorded)
    assert preview.event == recorded.event
    assert len(desk.bodies) == 3


def test_decide_does_not_change_the_state() -> None:
    """`decide` answers; only `evolve` applies."""
    desk = play(BOOK).desk
    before = (desk.state.token, desk.state.accounts_count, dict(desk.state.accounts))
    desk.state.accounts["free:1"] = None
    for _ in range(2):
        accepted = decide(
            desk.state, c.command(request_of({"commands": [plain("free:1", 5)]}).commands[0].body), START + 9
        )
        assert isinstance(accepted, Accepted)
        assert accepted.event.seq == 3
    assert (desk.state.token, desk.state.accounts_count) == before[:2]
    assert desk.state.accounts == before[2] | {"free:1": None}


def test_account_that_was_not_loaded_is_a_loud_defect() -> None:
    """An account that the state knows nothing of is an error of the program, never an absent account."""
    state = play(BOOK).desk.state
    request = Request([c.command(c.AccountOpening("free:1"))])
    with pytest.raises(KeyError):
        decide_batch(state, [request], {}, START)


def test_empty_ledger_opens_once() -> None:
    """The first event opens the ledger; before it nothing else can happen."""
    desk = Desk()
    [[early]] = run(desk, {"commands": [plain("free:1", 5)]})
    assert early == Refusal(Rejection("ledger_not_found"))
    opening = {"commands": [{"op": "open_ledger", "name": "main", "chart": {"assets": [], "accounts": []}}]}
    run(desk, opening)
    assert [o.rejection.evidence for [o] in run(desk, opening)] == [{"name": "main"}]
    assert chart_of({"assets": [], "accounts": []}) == desk.state.chart.document
