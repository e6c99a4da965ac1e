"""An inbox in memory on a ledger in memory: what becomes of webhooks when the process may end at any step.

Translating, keys and what follows from what was posted are the real inbox's; what is here is what a database
does for it: rows, and that what was not committed has not happened.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.adapter import tidy
from adapters.inbox.settling import Answer, Claimed, Later, Settled, Settler
from adapters.providers import adapter
from adapters.stripe_transactions import recorded
from ledger import commands as c
from ledger.batch import Recorded, Refusal, Request
from ledger.credits.commands import CreatePackage, DeductCredits
from ledger.credits.purchase_commands import FulfilOrder, OrderCredits
from ledger.payments.commands import MatchPayout
from ledger.payments.items import Item, Payment
from tests.credit_desk import CreditDesk
from tests.stripe_events import CHART, Crash
from tests.stripe_sales import Books, Sale, Step

NOW = datetime(2026, 11, 1, tzinfo=UTC)
PARSE = adapter("stripe").parse


@dataclass
class Row:
    webhook: Claimed
    next_at: datetime
    end: Settled | None = None


@dataclass
class DeskInbox:
    """A ledger that offers a sale, and its inbox. `crashes` are the seams at which the process ends."""

    sale: Sale
    crashes: frozenset[int] = frozenset()
    seams: int = 0
    now: datetime = NOW
    rows: dict[str, Row] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk = CreditDesk(CHART)
        package = CreatePackage(
            package="p", name="P", credit_type="enrichment", credit_amount=self.sale.units,
            bonus_amount=self.sale.bonus, price=self.sale.price, asset="USD/2",
        )  # fmt: skip
        self.desk.done(package)
        if not self.sale.way.endswith("month"):
            self.desk.done(OrderCredits(owner="42", package="p", order="o"))
        self._settler = Settler(self._submit, lambda: self.now, lambda: 1.0)

    # ------------------------------------------------------------ what happens

    def tell(self, steps: Iterable[Step], hurry: Callable[[], bool] = lambda: False) -> None:
        """Steps in an order; what waits is tried again in between whenever it is time, or not."""
        for step in steps:
            if hurry():
                self.now += timedelta(minutes=6)
            self.take(step)
        for _ in range(25):
            if all(row.end is not None for row in self.rows.values()):
                return
            self.now += timedelta(minutes=6)
            self._surely(self._settle)
        raise AssertionError("something waits for ever")

    def take(self, step: Step) -> None:
        """One step, done again for as long as the process ends in the middle of it."""
        if not isinstance(step, dict):
            self._surely(lambda: self._command(step))
        elif step["object"] == "balance_transaction":
            self._surely(lambda: self._command(recorded(step, self.now)))
        else:
            self._surely(lambda: self._store(step))
            self._surely(self._settle)

    def _surely(self, work: Callable[[], None]) -> None:
        while True:
            try:
                return work()
            except Crash:
                continue

    def seam(self) -> None:
        """A place at which the process may end."""
        self.seams += 1
        if self.seams in self.crashes:
            raise Crash

    # ------------------------------------------------------------ the inbox's rows

    def _store(self, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        named = tidy(PARSE(body))
        if named.id not in self.rows:
            number = len(self.rows) + 1
            webhook = Claimed(
                number, "main", "stripe", named.id, named.type, named.subject, self.now, 0, 0, body, "{}"
            )
            self.rows[named.id] = Row(webhook, self.now)
        self.seam()

    def _settle(self) -> None:
        """What waits and may be tried: written down together, or not at all."""
        claimed = [row for row in self.rows.values() if row.end is None and row.next_at <= self.now]
        ends = [self._settler.begin("default", row.webhook) for row in claimed]
        written: list[tuple[Row, Settled | Later]] = []
        for row, end in zip(claimed, ends, strict=True):
            written.append((row, end()))
            self.seam()
        for row, found in written:
            if isinstance(found, Settled):
                row.end = found
            else:
                attempts = row.webhook.attempts + 1
                row.webhook = row.webhook._replace(attempts=attempts)
                row.next_at = self.now + timedelta(minutes=5)

    def _submit(self, ledger: str, request: Request, answer: Callable[[Answer], None]) -> None:
        self.seam()
        outcomes = self.desk.ask(request)
        for command, outcome in zip(request.commands, outcomes, strict=False):
            if isinstance(command.body, FulfilOrder) and isinstance(outcome, Recorded) and self.sale.used:
                self.desk.done(DeductCredits(owner="42", credit_type="enrichment", amount=self.sale.used))
        self.seam()
        answer(outcomes)

    def _command(self, body: Any) -> None:
        self.seam()
        # Whoever matches a payout has a key for it; who fetches balance transactions needs none.
        key = f"match {body.payout}" if isinstance(body, MatchPayout) else None
        (outcome,) = self.desk.ask(Request([c.command(body, key=key)]))
        if isinstance(outcome, Refusal):
            assert outcome.rejection.code == "already_recorded", outcome
        self.seam()

    # ------------------------------------------------------------ what there is

    def reasons(self) -> set[str]:
        """Why webhooks are parked."""
        ends = [row.end for row in self.rows.values() if row.end is not None]
        assert all(end.state in ("posted", "ignored", "parked") for end in ends), ends
        return {str(end.reason) for end in ends if end.state == "parked"}

    def balances(self) -> Books:
        """Debits positive."""
        return self.desk.balances()

    def open_items(self) -> dict[str, dict[str, int]]:
        """What is on the work list, by stream."""
        found: dict[str, dict[str, int]] = {}
        for name, stream in self.desk.state.streams.items():
            if stream is not None and isinstance(stream.state, Item):
                missing = stream.state.refunds_missing if isinstance(stream.state, Payment) else {}
                if stream.state.balance or missing:
                    found[name] = {**missing, **stream.state.balance}
        return found
