"""The audit's own accounts: opened as their chart says, with terms, limits and four counters an asset.

Independent of `ledger.state` and `ledger.chart`, whose work it checks.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ledger.chart import Terms

MOST = 2**63 - 1


def whole(amount: str) -> int:
    """The amount of a leg as it stands in a body; 0 for what is none, or could be none of 64 bits."""
    return int(amount) if len(amount) < 20 and amount.isdecimal() else 0


class Account:
    """An account: its number by order of opening, its terms, its positions by asset."""

    __slots__ = ("address", "closed", "debit_normal", "number", "opened", "positions", "terms")

    def __init__(self, number: int, address: str, opened: int, terms: Terms) -> None:
        self.number = number
        self.address = address
        self.opened = opened
        self.closed: int | None = None
        self.terms = terms
        self.debit_normal = (terms.type in ("asset", "expense")) is not terms.contra
        self.positions: dict[str, Position] = {}


class Position:
    """One asset of an account: counters, limits, how many events touched it and the last that did."""

    __slots__ = (
        "account", "asset", "asset_number", "bounded", "credits", "credits_pending", "debits",
        "debits_pending", "high", "last_seq", "low", "version",
    )  # fmt: skip

    def __init__(self, account: Account, asset: str, asset_number: int) -> None:
        self.account = account
        self.asset = asset
        self.asset_number = asset_number
        self.debits = self.credits = self.debits_pending = self.credits_pending = 0
        self.version = 0
        self.last_seq = 0
        self.bind()

    def bind(self) -> None:
        """Take the limits from the account's terms: the asset's own, else those of `*`."""
        limits = self.account.terms.limits.get(self.asset) or self.account.terms.limits.get("*")
        self.low = limits.min_available if limits else None
        self.high = limits.max_balance if limits else None
        self.bounded = self.low is not None or self.high is not None

    def broken(self) -> str | None:
        """How it is beyond its limits, counted against the worst that pending amounts can become."""
        debits, credits = self.debits, self.credits
        if self.account.debit_normal:
            available, reach = debits - credits - self.credits_pending, debits - credits + self.debits_pending
        else:
            available, reach = credits - debits - self.debits_pending, credits - debits + self.credits_pending
        if self.low is not None and available < self.low:
            return f"{self.account.address} has {available} {self.asset} available, below its {self.low}"
        if self.high is not None and reach > self.high:
            return f"{self.account.address} may reach {reach} {self.asset}, above its {self.high}"
        return None


class Chart:
    """The patterns of the chart in force."""

    def __init__(self, document: Any) -> None:
        """`document` as it stands in a body (KeyError, TypeError, msgspec.ValidationError: it is not one)."""
        self._patterns: list[tuple[re.Pattern[str], Terms]] = []
        for line in document["accounts"]:
            segments = [
                r"[^:]+" if segment.startswith("{") else re.escape(segment)
                for segment in line["pattern"].split(":")
            ]
            terms = msgspec.convert({k: v for k, v in line.items() if k != "pattern"}, Terms)
            self._patterns.append((re.compile(":".join(segments)), terms))

    def terms(self, address: str) -> Terms | None:
        """The terms that an account of this address opens with; None: the chart does not know it."""
        for pattern, terms in self._patterns:
            if pattern.fullmatch(address):
                return terms
        return None
