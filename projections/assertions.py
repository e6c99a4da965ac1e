"""Balance assertions: what somebody said a balance was, and whether the ledger still agrees.

An assertion is judged when it is made and again by every leg that counts at or before its moment, however
late that leg is recorded. `failing_seq` is the event since which it fails without a break.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from ledger.events import Event
from ledger.wire import Connection
from projections.legs import QUERIES, parameters
from projections.numbering import Numbering
from projections.projection import Range, Subject


class Assertions:
    """See above."""

    name = "assertions"
    code_version = 1
    tables = ("assertions",)

    def apply(self, connection: Connection, range: Range) -> None:
        """Take in what was asserted in the range, then let its legs judge all."""
        row = connection.execute(QUERIES["has_assertions"], range._asdict()).fetchone()
        if row == (True,):
            connection.execute(QUERIES["add_assertions"], range._asdict())
            connection.execute(QUERIES["judge_assertions"], parameters(connection, range))

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Every leg against every assertion on its account, whose legs before it count from the beginning."""
        made: dict[tuple[str, str], list[_Asserted]] = defaultdict(list)
        for event in events:
            if event.type == "balance_asserted":
                data = event.data
                asserted = _Asserted(event.seq, data["at"], int(data["expected"]), int(data["tolerance"]))
                made[data["account"], data["asset"]].append(asserted)
        if not made:
            return
        by_seq = {asserted.seq: asserted for those in made.values() for asserted in those}
        known = Numbering()
        for event in events:
            known.take_in(event)
            changed = [by_seq[event.seq]] if event.seq in by_seq else []
            for posting in event.postings:
                if posting.kind == "posted":
                    signed = int(posting.amount) * (1 if posting.side == "debit" else -1)
                    for asserted in made.get((posting.account, posting.asset), ()):
                        if event.effective_at <= asserted.at:
                            asserted.actual += signed * known.sign[posting.account]
                            if asserted.seq < event.seq:
                                changed.append(asserted)
            for asserted in changed:
                asserted.judge(event.seq)
        for (account, asset), those in made.items():
            for a in those:
                numbers = known.accounts[account], known.assets[asset]
                at = datetime.fromisoformat(a.at)
                yield "assertions", (a.seq, *numbers, at, a.expected, a.tolerance, a.actual, a.failing_seq)


class _Asserted(Struct):
    seq: int
    at: str
    expected: int
    tolerance: int
    actual: int = 0
    failing_seq: int | None = None

    def judge(self, seq: int) -> None:
        if abs(self.actual - self.expected) <= self.tolerance:
            self.failing_seq = None
        elif self.failing_seq is None:
            self.failing_seq = seq
