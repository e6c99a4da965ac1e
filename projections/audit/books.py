"""The audit's books: every event entered in order, every law of the ledger checked as it is.

This is the accounting verdict. It never asks `ledger.decide` or `ledger.state` what is right; it has the laws
from GLOSSARY.md and docs/events.md and its own fold. What an event breaks is noted and the event entered all
the same, so that one false event does not hide what follows from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ledger.chart import Terms
from ledger.events import EXPIRIES, Event
from projections.audit.accounts import MOST, Account, Chart, Position, whole
from projections.audit.keys import Keys
from projections.audit.persons import Persons
from projections.audit.rules import RULES, Restore, of_product
from projections.audit.subjects import Subject, Subjects
from projections.audit.verdicts import Findings

# A leg as it was folded: position, kind (0 posted, 1 pending, 2 release), signed amount, counters after it.
Leg = tuple[Position, int, int, int, int, int, int]
KINDS = {"posted": 0, "pending": 1, "release": 2}


class Books:
    """One ledger as its events make it, up to `seq`."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.seq = 0
        self.ledger = ""
        self.name = ""
        self.time_zone = ""
        self.opened_at = ""
        self.recorded_at = ""
        self.incarnation = 1
        self.restores: list[Restore] = []
        self.chart_seq = 0
        self.chart = Chart({"accounts": []})
        self.assets: dict[str, int] = {}
        self.accounts: dict[str, Account] = {}
        self.subjects = Subjects()
        self.keys = Keys()
        self.persons = Persons()
        self.streams: dict[str, int] = {}  # of products: how many events each has
        self.ends: dict[str, int] = {}  # what of a product ended, and by which event
        self.periods: dict[str, tuple[str, str, int]] = {}  # closed: starts_at, ends_at, by which seq
        self.closed_until = ""
        self.legs: list[Leg] = []  # of the last event
        self.touched: Subject | None = None  # by the last event
        self._group: tuple[int, int, str] | None = None  # index and size of the last event's batch, its key
        self.origin: Callable[[int], Event | None] = lambda seq: None

    def wanted(self, events: Sequence[Event]) -> set[int]:
        """The transactions, outside these events, whose bodies entering them takes."""
        first = events[0].seq if events else 0
        seqs = {seq for event in events if event.data and (seq := self.subjects.needs(event)) is not None}
        ends = {end for seq in seqs if seq < first and (end := self.subjects.ended_by(seq)) is not None}
        return {seq for seq in seqs | ends if seq < first}

    def enter(self, event: Event, origin: Callable[[int], Event | None]) -> None:
        """Enter the event that follows; `origin` gives earlier ones by seq."""
        self.seq = seq = self.seq + 1
        self.origin = origin
        self.touched = None
        if seq >= len(self.subjects.versions):
            self.subjects.grow(seq)
        self._enter_time(event)
        if event.key or event.batch is not None or self._group is not None:
            self._enter_key(event)
        if event.accounts_opened:
            self._open_accounts(event)
        legs = self.legs
        legs.clear()
        if event.postings:
            self._enter_postings(event, legs)
        if self.persons.above:
            for sentence in self.persons.enter(event):
                self.broken(seq, sentence)
        try:
            RULES.get(event.type, of_product)(self, event)
        except (KeyError, TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
            self.broken(seq, f"the data of a {event.type} are not what they should be: {error!r}")

    def finish(self, read: Callable[[Sequence[int]], dict[int, Event]]) -> None:
        """Check what only the whole shows: whether a key has two effects, and that no group is cut short."""
        if self._group is not None and self._group[0] + 1 < self._group[1]:
            self.broken(self.seq, f"its batch of {self._group[1]} is cut short")
        found = self.keys.twice(lambda seqs: [(seq, event.key) for seq, event in read(seqs).items()])
        if found is not None:
            seq, earlier, key = found
            self.broken(seq, f"the idempotency key {key} had its effect at {earlier} already")

    def broken(self, seq: int, sentence: str) -> None:
        self.findings.add("accounting", seq, sentence)

    # ------------------------------------------------------------ every event

    def _enter_time(self, event: Event) -> None:
        seq, recorded_at = self.seq, event.recorded_at
        if recorded_at < self.recorded_at:
            self.broken(seq, f"recorded at {recorded_at}, before its predecessor at {self.recorded_at}")
        self.recorded_at = recorded_at
        if event.effective_at > recorded_at:
            self.broken(seq, f"effective at {event.effective_at}, after it was recorded")
        due = self.subjects.due()
        if due is not None and due[0] <= recorded_at and event.type != "ledger_restored":
            if event.type == "hold_expired":
                expires = event.data.get("transaction") == due[1]
            else:
                expires = event.type in EXPIRIES and event.effective_at < due[0]
            if not expires:
                self.broken(seq, f"recorded while hold {due[1]}, due at {due[0]}, had not expired")
        if seq == 1:
            self.ledger = event.ledger
            if event.type != "ledger_opened":
                self.broken(1, f"the first event is a {event.type}, not a ledger_opened")
        elif event.ledger != self.ledger:
            self.broken(seq, f"belongs to ledger {event.ledger}, not {self.ledger}")

    def _enter_key(self, event: Event) -> None:
        """A key stands for one event, or for one batch, whose events follow each other."""
        seq, batch = self.seq, event.batch
        before, self._group = self._group, None
        if before is not None and before[0] + 1 < before[1] and batch != (before[0] + 1, before[1]):
            self.broken(seq, f"does not go on with the batch of {before[1]} before it")
        if batch is not None:
            if not 0 <= batch[0] < batch[1]:
                self.broken(seq, f"is number {batch[0]} of a batch of {batch[1]}")
            self._group = (*batch, event.key)
            if batch[0] > 0:
                if before is None or (before[0] + 1, before[1], before[2]) != self._group:
                    self.broken(seq, f"is number {batch[0]} of a batch that does not stand before it")
                return
        if event.key:
            self.keys.add(seq, event.key)

    def _open_accounts(self, event: Event) -> None:
        """Accounts are numbered in the order of their first posting."""
        opened = event.accounts_opened
        order = dict.fromkeys(p.account for p in event.postings if p.account in opened)
        if len(order) != len(opened) and (
            event.postings or event.type != "account_opened" or len(opened) > 1
        ):
            self.broken(self.seq, "opens accounts that it does not post to")
        for address in order or opened:
            terms = opened[address]
            if address in self.accounts:
                self.broken(self.seq, f"opens {address}, which is open since {self.accounts[address].opened}")
                continue
            known = self.chart.terms(address)
            if known is None:
                self.broken(self.seq, f"opens {address}, which the chart does not know")
            elif known != terms:
                self.broken(self.seq, f"opens {address} on other terms than the chart's")
            self.accounts[address] = Account(len(self.accounts) + 1, address, self.seq, terms)

    def _enter_postings(self, event: Event, legs: list[Leg]) -> None:
        seq, postings = self.seq, event.postings
        accounts = self.accounts
        first = postings[0]
        asset, kind_name, mixed, total = first.asset, first.kind, False, 0
        bounded = False
        for posting in postings:
            if posting.asset != asset or posting.kind != kind_name:
                mixed = True
            text = posting.amount
            amount = whole(text)
            if amount <= 0 or amount > MOST or text[0] == "0" or not text.isascii():
                self.broken(seq, f"has a leg of {text[:40]!r}")
            account = accounts.get(posting.account)
            if account is None or account.closed is not None:
                account = self._not_open(seq, posting.account, account)
            position = account.positions.get(posting.asset) or self._position(seq, account, posting.asset)
            kind = KINDS[posting.kind]
            change = -amount if kind == 2 else amount
            if posting.side == "debit":
                signed = amount
                if kind:
                    position.debits_pending = after = position.debits_pending + change
                else:
                    position.debits = after = position.debits + change
            else:
                signed = -amount
                if kind:
                    position.credits_pending = after = position.credits_pending + change
                else:
                    position.credits = after = position.credits + change
            if after < 0 or after > MOST:
                self.broken(seq, f"brings a counter of {posting.account} in {posting.asset} to {after}")
            total += signed
            if position.last_seq != seq:
                position.version += 1
                position.last_seq = seq
            if position.bounded:
                bounded = True
            legs.append(
                (
                    position,
                    kind,
                    signed,
                    position.debits,
                    position.credits,
                    position.debits_pending,
                    position.credits_pending,
                )
            )
        if mixed:
            self._check_sums(seq, legs)
        elif total:
            self.broken(
                seq, f"its {kind_name} legs in {asset} do not balance: debits less credits are {total}"
            )
        if bounded:
            for leg in legs:
                self.check_limits(seq, leg[0])
        if event.effective_at < self.closed_until and event.type not in EXPIRIES:
            self._check_periods(event)

    def _not_open(self, seq: int, address: str, account: Account | None) -> Account:
        if account is None:
            self.broken(seq, f"posts to {address}, which was never opened")
            terms = self.chart.terms(address) or Terms("asset")
            account = self.accounts[address] = Account(len(self.accounts) + 1, address, seq, terms)
        else:
            self.broken(seq, f"posts to {address}, which was closed at {account.closed}")
        return account

    def _position(self, seq: int, account: Account, asset: str) -> Position:
        number = self.assets.get(asset)
        if number is None:
            self.broken(seq, f"moves {asset}, which no chart has named")
            number = self.assets[asset] = len(self.assets) + 1
        if account.terms.assets is not None and asset not in account.terms.assets:
            self.broken(seq, f"moves {asset} on {account.address}, which does not take it")
        position = account.positions[asset] = Position(account, asset, number)
        return position

    def _check_sums(self, seq: int, legs: list[Leg]) -> None:
        sums: dict[tuple[str, int], int] = {}
        for position, kind, signed, *_ in legs:
            place = (position.asset, kind)
            sums[place] = sums.get(place, 0) + signed
        for (asset, kind), total in sums.items():
            if total:
                name = next(name for name, number in KINDS.items() if number == kind)
                self.broken(
                    seq, f"its {name} legs in {asset} do not balance: debits less credits are {total}"
                )

    def check_limits(self, seq: int, position: Position) -> None:
        if position.bounded:
            how = position.broken()
            if how is not None:
                self.broken(seq, f"leaves an account beyond its limits: {how}")

    def _check_periods(self, event: Event) -> None:
        for period, (starts_at, ends_at, closed) in self.periods.items():
            if starts_at <= event.effective_at < ends_at:
                self.broken(
                    self.seq, f"effective at {event.effective_at}, in {period}, which event {closed} closed"
                )
