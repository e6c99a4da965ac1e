"""The core beside the oracle: the same generated batches to both, and everything compared after each.

Attacks the invariants Balanced, Exactly once, Bounded and Derivable. The machine also forgets the State at
any moment (a lost cache) and throws decided batches away (failed speculation): what the events alone give
must do as well as what was carried along. `pytest -m torture tests/test_state_machine.py` looks longer.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ledger.batch import Plan, Previewed, Recorded, Refusal, Replayed
from ledger.events import KINDS
from ledger.state import Account, Leg, State
from ledger.text import SECOND, from_iso
from tests.desk import Desk, fold
from tests.oracle import Oracle
from tests.strategies import CHARTS, DAY, ZONE, World, leg, request_of

seeds = st.integers(0, 2**32 - 1)
STEPS = (1, 1, 10, 10, SECOND, SECOND, SECOND, 2 * SECOND, 2 * SECOND, 61 * SECOND, 61 * SECOND, DAY)
START = 1_800_000_000 * SECOND
OTHER = {
    "op": "transaction",
    "postings": [leg("cash", "debit", 16), leg("customers:2", "credit", 16)],
}


class Ledger(RuleBasedStateMachine):
    """Batches, time and accidents."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.oracle = Oracle()
        self.now = START
        self.seen: list[dict[str, Any]] = []

    @initialize(seed=seeds)
    def open(self, seed: int) -> None:
        self.both(self.drawn(seed, 1))
        self.both(
            [{"commands": [{"op": "open_ledger", "name": "main", "chart": CHARTS[0], "time_zone": ZONE}]}]
        )
        funds = [leg("cash", "debit", 20), leg("customers:1", "credit", 20)]
        self.both([{"commands": [{"op": "transaction", "postings": funds}]}])

    @rule(seed=seeds, count=st.integers(1, 4), step=st.sampled_from(STEPS))
    def batch(self, seed: int, count: int, step: int) -> None:
        """Requests that queued up while the last batch was committed."""
        self.now += step
        self.both(self.drawn(seed, count))

    @rule(seed=seeds)
    def speculate(self, seed: int) -> None:
        """Decide, throw away, and decide the same again on what is stored."""
        self.now += 1
        plain = self.drawn(seed, 2)
        self.desk.decide([request_of(p) for p in plain], self.now)
        self.desk.forget()
        self.both(plain)

    @precondition(lambda self: self.seen)
    @rule(which=st.integers(0, 20), altered=st.sampled_from((False, False, False, True)))
    def again(self, which: int, altered: bool) -> None:
        """A client tries again, with the same request or with another under its key."""
        self.now += 1
        request = copy.deepcopy(self.seen[-1 - which % len(self.seen)])
        if altered:
            first = request["commands"][0]
            request["commands"][0] = OTHER | ({"key": first["key"]} if "key" in first else {})
        self.both([request])

    @rule()
    def forget(self) -> None:
        """The cache is lost."""
        self.desk.forget()

    def drawn(self, seed: int, count: int) -> list[dict[str, Any]]:
        world = World(Random(seed), self.oracle.entries, self.oracle.left, self.now)
        return [world.request() for _ in range(count)]

    def both(self, plain: list[dict[str, Any]]) -> None:
        """One batch to the ledger and to the oracle; they must say the same."""
        note(f"at {self.now}: {plain}")
        before = len(self.oracle.entries)
        expected = self.oracle.batch(plain, self.now)
        plan = self.desk.run([request_of(request) for request in plain], self.now)
        got = [[outcome_of(outcome) for outcome in outcomes] for outcomes in plan.outcomes]
        assert got == [[expected_of(o) for o in outcomes] for outcomes in expected]
        recorded = [recorded_of(a.event, a.legs) for a in plan.accepted]
        assert recorded == [entry_of(e) for e in self.oracle.entries[before:]]
        check_sums(plan)
        self.seen += [r for r in plain if r.get("key") or any(c.get("key") for c in r["commands"])]

    @invariant()
    def state_is_the_fold_of_the_events(self) -> None:
        check_same(self.desk.state, fold(self.desk.bodies))

    @invariant()
    def oracle_has_the_same_book(self) -> None:
        state = fold(self.desk.bodies)
        for address, asset in self.oracle.positions():
            account = state.accounts[address]
            terms = self.oracle.account(address)
            assert account is not None
            assert terms is not None
            position = account.positions[asset]
            assert list(position.balance) == self.oracle.counters(address, asset)
            assert position.version == self.oracle.version(address, asset)
            assert (position.min_available, position.max_balance) == self.oracle.bounds(terms, asset)
            assert not self.oracle.outside(address, terms, asset, list(position.balance)), "a bound is broken"
        closed = {c.period: (c.starts_at, c.ends_at, c.seq) for c in state.closings.by_period.values()}
        assert closed == {p: (*e["span"], e["seq"]) for p, e in self.oracle.closed().items()}
        holds = {
            s.seq: (s.expires_at, [leg.left for leg in s.legs])
            for s in state.subjects.values()
            if s is not None and s.status == "pending"
        }
        assert holds == self.oracle.open_holds()


def leg_of(leg: Leg) -> tuple[Any, ...]:
    position, kind, amount, after = leg
    side = "debit" if amount > 0 else "credit"
    return (position.account.address, position.asset, side, KINDS[kind], abs(amount), list(after))


def recorded_of(event: Any, legs: list[Leg]) -> dict[str, Any]:
    moments = [from_iso(event.effective_at), from_iso(event.recorded_at)]
    expires_at = event.data.get("expires_at")
    return {
        "seq": event.seq,
        "type": event.type,
        "moments": moments,
        "expires_at": None if expires_at is None else from_iso(expires_at),
        "subject": event.data.get("transaction"),
        "original": from_iso(event.original_effective_at) if event.original_effective_at else None,
        "control": control_of(event.data),
        "opened": sorted(event.accounts_opened),
        "legs": [leg_of(leg) for leg in legs],
    }


def control_of(data: dict[str, Any]) -> list[Any]:
    """What the events of periods, assertions and restores say."""
    span = [from_iso(data[name]) for name in ("starts_at", "ends_at")] if "starts_at" in data else None
    at = from_iso(data["at"]) if "at" in data else None
    expected = int(data["expected"]) if "expected" in data else None
    return [data.get("period"), span, data.get("closed_seq"), at, expected, data.get("incarnation")]


def entry_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "seq": entry["seq"],
        "type": entry["type"],
        "moments": [entry["effective_at"], entry["recorded_at"]],
        "expires_at": entry.get("expires_at"),
        "subject": entry.get("subject"),
        "original": entry.get("original"),
        "control": [entry.get(name) for name in ("period", "span", "closed_seq", "at", "expected", "life")],
        "opened": sorted(entry["opened"]),
        "legs": [(*leg, after) for leg, after in zip(entry["legs"], entry["after"], strict=True)],
    }


def outcome_of(outcome: Any) -> Any:
    if isinstance(outcome, Refusal):
        return ("refused", outcome.rejection.code, outcome.rejection.evidence, outcome.replayed)
    if isinstance(outcome, Replayed):
        return ("replayed", outcome.seq, outcome.events)
    assert isinstance(outcome, Recorded | Previewed)
    return (type(outcome).__name__.lower(), recorded_of(outcome.event, outcome.legs))


def expected_of(outcome: dict[str, Any]) -> Any:
    if outcome["is"] == "refused":
        return ("refused", outcome["code"], outcome["evidence"], outcome["replayed"])
    if outcome["is"] == "replayed":
        return ("replayed", outcome["seq"], outcome["events"])
    return (outcome["is"], entry_of(outcome["entry"]))


def check_sums(plan: Plan) -> None:
    """In every event, for every asset and kind, debits equal credits; all events ever, too."""
    for accepted in plan.accepted:
        sums: dict[tuple[str, int], int] = defaultdict(int)
        for position, kind, amount, _ in accepted.legs:
            sums[position.asset, kind] += amount
        assert not any(sums.values()), accepted.event


def check_same(live: State, folded: State) -> None:
    """What the live state holds is what the events give; it may hold less, never something else."""
    scalars = ("incarnation", "seq", "recorded_at", "root", "accounts_count", "chart_seq", "time_zone")
    for scalar in scalars:
        assert getattr(live, scalar) == getattr(folded, scalar), scalar
    assert live.frontier.pack() == folded.frontier.pack()
    assert live.closings.by_period == folded.closings.by_period
    assert live.chart.asset_ids == folded.chart.asset_ids
    assert live.chart.document == folded.chart.document
    for address, account in live.accounts.items():
        assert account_of(account) == account_of(folded.accounts.get(address)), address
    for seq, subject in live.subjects.items():
        assert subject == folded.subjects.get(seq), seq


def account_of(account: Account | None) -> Any:
    if account is None:
        return None
    positions = {
        p.asset: (p.asset_id, p.balance, p.version, p.min_available, p.max_balance)
        for p in account.positions.values()
    }
    return (account.account_id, account.opened_seq, account.closed_seq, account.terms, positions)


def explore(examples: int, steps: int) -> None:
    """Run the machine; a failure prints the steps, and the blob that repeats them."""
    run_state_machine_as_test(
        Ledger,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_ledger_and_oracle_agree_on_every_step() -> None:
    """Whatever is asked in whatever order, the ledger decides by the rules, and its state is the fold."""
    explore(examples=150, steps=50)


@pytest.mark.torture
def test_ledger_and_oracle_agree_for_long() -> None:
    """The same, with longer histories."""
    explore(examples=40, steps=120)
