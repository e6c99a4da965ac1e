"""A desk at which the pure core works without a database, and the fold of events into a fresh State.

`Desk` does for `decide_batch` what the writer does: it loads what the commands name, finds the holds that
are due, feeds the outcomes of keys used before, and keeps the bodies of accepted events. That list is all it
trusts: whatever the State does not hold is taken from `fold` of the bodies, as the store would.
"""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ledger.batch import Plan, Request, decide_batch
from ledger.chart import Chart, ChartDocument, Terms
from ledger.commands import Command
from ledger.decide import names
from ledger.merkle import Frontier, leaf_hash
from ledger.periods import Closing, Closings
from ledger.state import Account, Balance, KeyOutcome, Position, State, Status, Subject, SubjectLeg
from ledger.text import from_iso

PUBLIC_ID = "00000000-0000-4000-8000-000000000001"
COLUMNS = {("posted", "debit"): 0, ("posted", "credit"): 1, ("pending", "debit"): 2, ("pending", "credit"): 3}


class Desk:
    """One ledger: its accepted bodies, its keys, and a State that may be dropped at any time."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.keys: dict[str, KeyOutcome] = {}
        self.state = State(1, PUBLIC_ID, ZoneInfo)

    def decide(self, requests: list[Request], now: int) -> Plan:
        """A plan on the state at head; the state moves on, nothing is kept."""
        self._load([command for request in requests for command in request.commands])
        waiting = sorted(
            (s.expires_at, s.seq)
            for s in self.folded.subjects.values()
            if s is not None and s.status == "pending" and s.expires_at is not None
        )
        due = [(at, seq) for at, seq in waiting if at <= now]
        self._load([Command(msgspec.UNSET, seq) for _, seq in due])  # type: ignore[arg-type]
        rest = [at for at, _ in waiting if at > now]
        return decide_batch(self.state, requests, self.keys, now, due, rest[0] if rest else None)

    def keep(self, plan: Plan) -> None:
        """Store what was decided."""
        self.bodies += [accepted.body for accepted in plan.accepted]
        self.keys |= plan.keys

    def run(self, requests: list[Request], now: int) -> Plan:
        """Decide and keep."""
        plan = self.decide(requests, now)
        self.keep(plan)
        return plan

    def forget(self) -> None:
        """Drop the state, as after a failed commit: the next one starts from the head row alone."""
        folded = fold(self.bodies)
        self.state = cold = State(1, PUBLIC_ID, ZoneInfo)
        for scalar in ("incarnation", "seq", "recorded_at", "frontier", "root", "accounts_count"):
            setattr(cold, scalar, getattr(folded, scalar))
        for scalar in ("chart", "chart_seq", "time_zone", "closings"):
            setattr(cold, scalar, getattr(folded, scalar))

    def _load(self, commands: list[Command]) -> None:
        state = self.state
        self.folded = folded = fold(self.bodies)
        addresses: set[str] = set()
        for command in commands:
            wanted, seq = names(command)
            addresses.update(wanted)
            if seq is not None:
                subject = state.subjects.setdefault(seq, folded.subjects.get(seq))
                if subject is not None:
                    addresses.update(leg.account for leg in subject.legs)
        for address in addresses:
            state.accounts.setdefault(address, folded.accounts.get(address))


def fold(bodies: list[bytes]) -> State:
    """The state that follows from the events alone."""
    state = State(1, PUBLIC_ID, ZoneInfo)
    state.frontier = Frontier()
    for body in bodies:
        event = json.loads(body)
        state.seq += 1
        assert event["seq"] == state.seq, "seq has a gap"
        recorded_at = from_iso(event["recorded_at"])
        assert recorded_at >= state.recorded_at, "time goes back"
        state.recorded_at = recorded_at
        state.frontier.add(leaf_hash(body))
        _fold_chart_and_accounts(state, event)
        _fold_postings(state, event.get("postings", []))
        _fold_subject(state, event)
        _fold_control(state, event)
    state.root = state.frontier.root()
    return state


def _fold_chart_and_accounts(state: State, event: dict[str, Any]) -> None:
    data = event.get("data", {})
    if "chart" in data:
        state.chart = Chart(msgspec.convert(data["chart"], ChartDocument), state.chart.asset_ids)
        state.chart_seq = state.seq
    opened = event.get("accounts_opened", {})
    in_order = dict.fromkeys(p["account"] for p in event.get("postings", []) if p["account"] in opened)
    for address in in_order or opened:
        state.accounts_count += 1
        terms = msgspec.convert(opened[address], Terms)
        state.accounts[address] = Account(state.accounts_count, address, terms, state.seq)
    if event["type"] in ("account_limits_set", "account_closed"):
        account = state.accounts[data["account"]]
        assert account is not None
        if event["type"] == "account_closed":
            account.closed_seq = state.seq
        else:
            terms = msgspec.to_builtins(account.terms) | {"limits": data["limits"]}
            account.terms = msgspec.convert(terms, Terms)
            for asset, old in account.positions.items():
                account.positions[asset] = Position(account, asset, old.asset_id, old.balance, old.version)


def _fold_control(state: State, event: dict[str, Any]) -> None:
    type, data = event["type"], event.get("data", {})
    closed = dict(state.closings.by_period)
    if type == "ledger_opened":
        state.time_zone = data["time_zone"]
    if type == "period_closed":
        bounds = from_iso(data["starts_at"]), from_iso(data["ends_at"])
        closed[data["period"]] = Closing(data["period"], *bounds, event["seq"])
    if type == "period_reopened":
        assert closed.pop(data["period"]).seq == data["closed_seq"], "another closing was reopened"
    if type == "ledger_restored":
        state.incarnation = data["incarnation"]
    state.closings = Closings(closed.values())


def _fold_postings(state: State, postings: list[dict[str, Any]]) -> None:
    touched = set()
    for p in postings:
        account = state.accounts[p["account"]]
        assert account is not None
        asset = p["asset"]
        if asset not in account.positions:
            account.positions[asset] = Position(account, asset, state.chart.asset_ids[asset])
        position = account.positions[asset]
        kind = p.get("kind", "posted")
        counters = list(position.balance)
        column = COLUMNS["posted" if kind == "posted" else "pending", p["side"]]
        counters[column] += -int(p["amount"]) if kind == "release" else int(p["amount"])
        dp, cp, dpend, cpend = counters
        balance: Balance = (dp, cp, dpend, cpend)
        position.balance = balance
        touched.add(position)
    for position in touched:
        position.version += 1


def _fold_subject(state: State, event: dict[str, Any]) -> None:
    seq, type = event["seq"], event["type"]
    postings, data = event.get("postings", []), event.get("data", {})
    if type in ("transaction_posted", "transaction_held", "hold_posted", "transaction_reversed"):
        held = type == "transaction_held"
        legs = tuple(
            SubjectLeg(p["account"], p["asset"], n if p["side"] == "debit" else -n, n)
            for p in postings
            if p.get("kind", "posted") != "release"
            for n in (int(p["amount"]),)
        )
        expires_at = from_iso(data["expires_at"]) if "expires_at" in data else None
        status: Status = "pending" if held else "posted"
        at = from_iso(event["effective_at"])
        state.subjects[seq] = Subject(seq, type, status, at, legs, 1 if held else 0, expires_at)
    about = state.subjects.get(data.get("transaction", 0))
    if about is None:
        return
    left = [leg.left for leg in about.legs]
    took = [0] * len(left)
    if type != "transaction_annotated":
        took = left if data.get("final") or "amounts" not in data else [int(n) for n in data["amounts"]]
        kind = "posted" if type == "transaction_reversed" else "release"
        legs_taken = [int(p["amount"]) for p in postings if p.get("kind", "posted") == kind]
        assert legs_taken == [n for n in took if n], "the legs are not those that the event says it takes"
    rest = [n - t for n, t in zip(left, took, strict=True)]
    ended = about.ended_by is None and not any(rest)
    ends = {"hold_posted": "posted", "hold_voided": "voided", "hold_expired": "expired"}
    state.subjects[about.seq] = msgspec.structs.replace(
        about,
        version=about.version + 1,
        legs=tuple(msgspec.structs.replace(leg, left=n) for leg, n in zip(about.legs, rest, strict=True)),
        status=ends.get(type, "reversed") if ended else about.status,
        ended_by=seq if ended else about.ended_by,
    )
