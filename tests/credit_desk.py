"""A desk for credits: a ledger in memory, decided by the pure core, whose events are all kept.

Times are seconds after `START`. `run` decides what has fallen due first, as the writer does.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from zoneinfo import ZoneInfo

from ledger import commands as c
from ledger.batch import Due, Outcome, Recorded, Refusal, Request, decide_batch
from ledger.chart import ChartDocument
from ledger.commands import Command
from ledger.credits.streams import Order, wallet_stream
from ledger.credits.wallet import NO_WALLET, Wallet
from ledger.events import Event
from ledger.product import Needs
from ledger.products import PRODUCTS
from ledger.state import KeyOutcome, State
from ledger.text import SECOND, from_iso

START = from_iso("2026-11-01T00:00:00.000000Z")
DAY = 86_400
CHART = ChartDocument(
    assets=("USD/2", "JPY/0", "CREDIT.enrichment/0", "CREDIT.calling/0"), accounts=(), products=("credits",)
)


class CreditDesk:
    """One ledger with credits, at `now` seconds after START."""

    def __init__(self, chart: ChartDocument = CHART) -> None:
        self.state = State(1, "00000000-0000-4000-8000-000000000001", ZoneInfo)
        self.now = 0.0
        self.events: list[Event] = []
        self.keys: dict[str, KeyOutcome] = {}
        self.run(c.LedgerOpening(name="main", chart=chart))

    def run(self, body: Any) -> Outcome:
        """One command; time goes on by a millisecond."""
        return self.batch([body])[0]

    def batch(self, bodies: list[Any], atomic: bool = False) -> list[Outcome]:
        """Several commands in one batch."""
        commands = [c.command(body) for body in bodies]
        if atomic:
            return self.ask(Request(commands, atomic=True))
        return self.ask(*(Request([command]) for command in commands))

    def ask(self, *requests: Request) -> list[Outcome]:
        """Requests with keys or without, in one batch; keys are remembered as the ledger does."""
        self.now += 0.001
        for request in requests:
            for command in request.commands:
                self._fetch(command)
        now = START + round(self.now * SECOND)
        waiting: list[Due] = sorted(
            (s.due, s.name) for s in self.state.streams.values() if s is not None and s.due is not None
        )
        due: list[Due] = [(at, name) for at, name in waiting if at <= now]
        rest = [at for at, _ in waiting if at > now]
        next_due = rest[0] if rest else None
        plan = decide_batch(self.state, requests, self.keys, now, due, next_due, self._fetch)
        self.keys |= plan.keys
        self.events += [accepted.event for accepted in plan.accepted]
        return [outcome for outcomes in plan.outcomes for outcome in outcomes]

    def done(self, body: Any) -> Event:
        """One command that must be accepted: its event."""
        outcome = self.run(body)
        assert isinstance(outcome, Recorded), outcome
        return outcome.event

    def refused(self, body: Any) -> tuple[str, dict[str, Any]]:
        """One command that must be refused: code and evidence."""
        outcome = self.run(body)
        assert isinstance(outcome, Refusal), outcome
        return outcome.rejection.code, outcome.rejection.evidence

    def wait(self, seconds: float) -> list[Event]:
        """Let time pass; what happened by itself."""
        self.now += seconds
        before = len(self.events)
        self.batch([])
        return self.events[before:]

    def wallet(self, owner: str = "42", credit_type: str = "enrichment") -> Wallet:
        """A wallet's state."""
        stream = self.state.streams.get(wallet_stream(owner, credit_type))
        return NO_WALLET if stream is None else stream.state

    def order(self, order: str) -> Order:
        """An order's state."""
        stream = self.state.streams[f"order:{order}"]
        assert stream is not None
        assert isinstance(stream.state, Order)
        return stream.state

    def balances(self) -> dict[tuple[str, str], int]:
        """Posted balance by (account, asset), debit positive, added up from the events."""
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for event in self.events:
            for p in event.postings:
                sums[p.account, p.asset] += int(p.amount) if p.side == "debit" else -int(p.amount)
        return {key: value for key, value in sums.items() if value}

    def _fetch(self, command: Command) -> bool:
        """Everything that was ever written is in the state; what is not does not exist."""
        streams, accounts = self.state.streams, self.state.accounts
        before = len(streams) + len(accounts)
        while True:
            of_product = isinstance(command.body, c.OF_PRODUCTS)
            needed = PRODUCTS.needs(self.state, command) if of_product else Needs()
            shared = PRODUCTS.shared([command]) if of_product else set()
            absent = [name for name in needed.streams if name not in streams]
            for name in absent:
                streams[name] = None
            for address in (*needed.accounts, *shared):
                if address not in accounts:
                    accounts[address] = None
            if not absent:
                return len(streams) + len(accounts) > before


def journal(event: Event) -> list[str]:
    """The money and the units that an event moved, one line a leg: `DR account 100 USD/2`, in its order."""
    return [f"{'DR' if p.side == 'debit' else 'CR'} {p.account} {p.amount} {p.asset}" for p in event.postings]
