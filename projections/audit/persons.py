"""The audit's law of four eyes: what moved more than the chart lets one person move names a second one.

Independent of `ledger.approvals`, which keeps the law.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger.events import EXPIRIES, Event


class Persons:
    """What one person may move, by asset, and what the batch at hand has moved so far."""

    def __init__(self) -> None:
        self.above: dict[str, int] = {}
        self._moved: dict[str, int] = {}
        self._alone = False  # whether an event of the batch names no second person

    def enter(self, event: Event) -> Iterator[str]:
        """What an event breaks. An atomic batch is one request: its amounts are added up."""
        if event.batch is None or event.batch[0] == 0:
            self._moved, self._alone = {}, False
        self._alone = self._alone or event.approver in ("", event.actor)
        for posting in event.postings:
            if posting.side == "debit" and posting.kind != "release" and posting.amount.isdecimal():
                self._moved[posting.asset] = self._moved.get(posting.asset, 0) + int(posting.amount)
        if event.batch is not None and event.batch[0] + 1 < event.batch[1]:
            return
        if self._alone and event.type not in EXPIRIES:
            for asset, above in self.above.items():
                if self._moved.get(asset, 0) > above:
                    yield f"moves {self._moved[asset]} {asset}, more than {above}, without a second person"

    def set(self, event: Event, above: dict[str, int]) -> Iterator[str]:
        """The limits of a new chart, which one person alone may only tighten."""
        before, self.above = self.above, above
        if event.approver in ("", event.actor):
            for asset, limit in before.items():
                if asset not in above or above[asset] > limit:
                    yield f"lets one person move more {asset} than {limit}, without a second person"
