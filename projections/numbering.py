"""The numbers of accounts and assets, told from event bodies alone, for the independent recomputations.

Accounts are numbered in the order of opening; those that one transaction opens, in the order of their first
posting. Assets are numbered as charts name them.
"""

from __future__ import annotations

from ledger.events import Event


class Numbering:
    """What has been numbered so far. Take in every event, in order."""

    def __init__(self) -> None:
        self.accounts: dict[str, int] = {}
        self.assets: dict[str, int] = {}
        self.sign: dict[str, int] = {}  # 1 where debits increase the account

    def take_in(self, event: Event) -> None:
        """Number what an event opens or names."""
        for asset in (event.data.get("chart") or {}).get("assets", ()):
            self.assets.setdefault(asset, len(self.assets) + 1)
        opened = event.accounts_opened
        posted_to = (posting.account for posting in event.postings)
        for address in dict.fromkeys([a for a in posted_to if a in opened] or list(opened)):
            terms = opened[address]
            self.accounts[address] = len(self.accounts) + 1
            debit = terms.type in ("asset", "expense")
            self.sign[address] = 1 if debit != terms.contra else -1
