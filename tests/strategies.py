"""Small worlds for generated commands: few accounts, small amounts and few keys, so that things collide.

Commands are plain dicts, which the oracle reads; `request_of` turns them into the ledger's own. They are
drawn from a `random.Random`, so that one number stands for a request and long histories stay cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any

import msgspec

from ledger import commands as c
from ledger.batch import Request
from ledger.chart import ChartDocument, Limits
from ledger.text import iso, moment

Plain = dict[str, Any]

USD, EUR = "USD/2", "EUR/2"
HUGE = 2**62
DAY = 86_400_000_000
ZONE = "America/St_Johns"

PATTERNS: list[Plain] = [
    {"pattern": "cash", "type": "asset"},
    {"pattern": "customers:{n}", "type": "liability", "limits": {"*": {"min_available": 0}}},
    {
        "pattern": "till:{n}",
        "type": "asset",
        "limits": {USD: {"min_available": -5, "max_balance": 30}, "*": {}},
    },
    {"pattern": "refunds", "type": "income", "contra": True, "limits": {"*": {"max_balance": 25}}},
    {"pattern": "capital", "type": "equity", "assets": [USD], "limits": {"*": {"min_available": 4}}},
    {"pattern": "suspense", "type": "liability", "memo": True},
]
CHARTS: list[Plain] = [
    {"assets": [USD, EUR], "accounts": PATTERNS},
    {"assets": [EUR, "JPY/0"], "accounts": [*PATTERNS[:2], {"pattern": "till:{n}", "type": "expense"}]},
    {"assets": [USD, "EUR/3"], "accounts": PATTERNS},
    {"assets": [USD], "accounts": [*PATTERNS, {"pattern": "{any}:9", "type": "asset"}]},
]

ADDRESSES = ("cash", "customers:1", "customers:2", "till:1", "refunds", "capital")
LIMITS: list[Plain] = [
    {},
    {"*": {"min_available": 0}},
    {"*": {"min_available": -9}, USD: {"max_balance": 40}},
    {USD: {"min_available": -20, "max_balance": 50}, "*": {"min_available": 3}},
    {"*": {"max_balance": 4}},
    {"GBP/2": {"min_available": 0}},
]


def leg(account: str, side: str, amount: int, asset: str = USD) -> Plain:
    """One posting."""
    return {"account": account, "side": side, "amount": amount, "asset": asset}


class World:
    """Draws requests about a book of entries, as the oracle keeps it."""

    def __init__(
        self, random: Random, entries: list[Plain], left: Callable[[int], list[int]], now: int
    ) -> None:
        self.random = random
        self.entries = entries
        self.left = left
        self.now = now

    def one_in(self, n: int) -> bool:
        """True once in n times."""
        return self.random.randrange(n) == 0

    def request(self) -> Plain:
        """Commands on their own, an atomic group, or a preview."""
        count = self.random.choice((1, 1, 2, 3))
        key = self.key()
        if self.one_in(8):
            return {"commands": [self.command()], "preview": True}
        if self.one_in(4):
            # A key stands for transactions only, as over HTTP; without one a group may hold anything.
            draw = self.command if key is None else self.transaction
            return {"commands": [draw() for _ in range(count)], "atomic": True, "key": key}
        return {"commands": [self.command() | {"key": self.key()} for _ in range(count)]}

    def key(self) -> str | None:
        """None, or one of few."""
        return f"k{self.random.randrange(15)}" if self.one_in(5) else None

    def command(self) -> Plain:
        """Mostly money: new, held, or about what was held and posted before."""
        kinds = (self.transaction, self.follow_up, self.administration, self.control)
        draw = self.random.choices(kinds, (12, 13, 3, 3))[0]
        return draw()

    def transaction(self) -> Plain:
        """Posted or held; sometimes `up_to`, under conditions, or impossible."""
        command: Plain = {"op": "transaction", "postings": self.odd() if self.one_in(10) else self.balanced()}
        if self.one_in(2):
            command |= {"pending": True, "timeout": self.random.choice((None, 1, 2, 60))}
        if len(command["postings"]) == 2 and self.one_in(4):
            one, other = command["postings"]
            if one["side"] != other["side"] and one["asset"] == other["asset"]:
                command["up_to"] = True
        if self.one_in(5):
            command["conditions"] = [self.condition() for _ in range(self.random.choice((1, 2)))]
        return self.dated(command)

    def balanced(self) -> list[Plain]:
        """Two legs, or more, of one asset or two; the same account may stand in several."""
        choice = self.random.choice
        legs: list[Plain] = []
        asset = choice((USD, USD, EUR))
        for _ in range(choice((1, 1, 2, 2, 3))):
            amount = self.random.randint(1, 12)
            # money comes in through cash more often than it goes out
            sides = ("debit", "credit") if self.one_in(3) else ("credit", "debit")
            first = choice(ADDRESSES[1:]) if self.one_in(3) else choice(ADDRESSES[1:3])
            legs += [leg(first, sides[0], amount, asset)]
            legs += [leg(choice((*ADDRESSES, "cash", "cash")), sides[1], amount, asset)]
            asset = choice((asset, asset, USD, EUR))
        self.random.shuffle(legs)
        return legs

    def odd(self) -> list[Plain]:
        """Postings that something is usually wrong with: unbalanced, unknown, or far too large."""
        choice = self.random.choice
        amount = choice((1, HUGE, HUGE + HUGE - 1))
        second = leg(
            choice(("nowhere", "cash", "suspense", "till:9", "customers:1")),
            choice(("credit", "credit", "debit")),
            choice((amount, amount, amount, 2)),
            choice((USD, USD, USD, "GBP/2")),
        )
        return [leg(choice(("cash", "suspense")), "debit", amount), second]

    def condition(self) -> Plain:
        """On a balance or a version, true about as often as not."""
        choice = self.random.choice
        condition = {
            "account": choice((*ADDRESSES, *ADDRESSES, "nowhere")),
            "asset": choice((USD, USD, USD, EUR, EUR, "GBP/2")),
            "balance": choice(("posted", "pending", "available")),
        }
        bound = choice(("min", "max", "version"))
        return condition | {bound: self.random.randint(-10, 25) if bound != "version" else choice((0, 1, 4))}

    def dated(self, command: Plain) -> Plain:
        """With an `effective_at` now and then: mostly in the past, rarely in the future."""
        if self.one_in(5):
            step = self.random.choice(
                (1, 0, 0, -1, -2_000_000, -2_000_000, -400_000_000, -DAY, -DAY, -20 * DAY)
            )
            command = command | {"effective_at": self.now + step}
        if self.one_in(20):
            step = self.random.choice((1, 0, -1, -2_000_000, -DAY, -40 * DAY))
            command = command | {"original_effective_at": self.now + step}
        return command

    def follow_up(self) -> Plain:
        """Post, void, reverse or annotate something recent, or something that is not there."""
        choice = self.random.choice
        op = choice(("post_hold", "post_hold", "post_hold", "void_hold", "reverse", "reverse", "annotate"))
        wanted = ("transaction_held",) if op.endswith("hold") else ("transaction_posted", "hold_posted")
        candidates = [e["seq"] for e in self.entries if e["type"] in wanted][-5:]
        if not candidates or self.one_in(6):
            candidates = [len(self.entries) + step for step in range(-4, 5)]
        command: Plain = {"op": op, "subject": choice(candidates)}
        if op in ("post_hold", "reverse"):
            command["amounts"] = self.part(command["subject"])
        if op == "post_hold":
            command["final"] = self.one_in(3)
        return command if op == "annotate" else self.dated(command)

    def part(self, seq: int) -> list[int] | None:
        """How much of each leg: all, balanced shares, or what cannot be."""
        rest = self.left(seq) if 1 <= seq <= len(self.entries) else []
        pairs = [[n if i in pair else 0 for i, n in enumerate(rest)] for pair in self.pairs(seq)]
        shares = [rest, [n // 2 for n in rest], [min(n, 1) for n in rest], *pairs, *pairs]
        if self.one_in(6):
            shares = [[*rest, 1, 1], [n + 1 for n in rest], rest[:1]]
        amounts = self.random.choice(shares)
        whole = self.one_in(3) or len(amounts) < 2 or not any(amounts)
        return None if whole else [min(amount, 2**63 - 1) for amount in amounts]

    def pairs(self, seq: int) -> list[tuple[int, int]]:
        """Pairs of legs that balance."""
        if not 1 <= seq <= len(self.entries):
            return []
        legs = [leg for leg in self.entries[seq - 1]["legs"] if leg[3] != "release"]
        rest = self.left(seq)
        return [
            (i, j)
            for i, one in enumerate(legs)
            for j, other in enumerate(legs[:i])
            if one[1] == other[1] and one[2] != other[2] and rest[i] == rest[j]
        ]

    def administration(self) -> Plain:
        """Limits, opening and closing, charts."""
        choice = self.random.choice
        address = choice((*ADDRESSES, "till:2", "nowhere"))
        op = choice(("set_limits", "set_limits", "close_account", "open_account", "set_chart", "open_ledger"))
        if op == "set_limits":
            return {"op": op, "subject": address, "limits": choice(LIMITS)}
        if op == "close_account":
            return {"op": op, "subject": choice((address, "till:2"))}
        if op == "open_account":
            return {"op": op, "address": address}
        if op == "set_chart":
            return {"op": op, "chart": choice(CHARTS)}
        return {"op": op, "name": "main", "chart": CHARTS[0], "time_zone": ZONE}

    def control(self) -> Plain:
        """Periods near now closed and reopened, balances asserted, now and then a restore."""
        choice = self.random.choice
        today = moment(self.now).date()
        days = [str(today + timedelta(days=n)) for n in (0, -1, -1, -2, -15)]
        last_month = str(today.replace(day=1) - timedelta(days=1))[:7]
        periods = (*days, days[0][:7], last_month, last_month, "2026", "2026-Q4", str(today.year))
        op = choice(
            ("close_period", "close_period", "close_period", "reopen_period", "reopen_period", "assert")
        )
        if op == "close_period":
            retained = choice((None, None, "capital", "refunds", "nowhere"))
            return {"op": op, "subject": choice(periods), "retained_earnings": retained}
        if op == "reopen_period":
            closed = [e for e in self.entries if e["type"] == "period_closed"]
            if not closed or self.one_in(6):
                return {"op": op, "subject": choice(periods)}
            one = choice(closed[-3:])
            return {"op": op, "subject": one["period"], "closed_seq": choice((None, one["seq"]))}
        if self.one_in(4):
            return {"op": "restore_ledger", "lost_incarnation": choice((None, 1, 5))}
        at = choice((choice(days), self.now - choice((0, 1, DAY, -1))))
        asset = choice((USD, USD, EUR, "GBP/2"))
        account = choice((*ADDRESSES, "nowhere"))
        return {"op": "assert_balance", "account": account, "asset": asset, "at": at, "expected": -5}


# ---------------------------------------------------------------- the same, as the ledger's own commands


def chart_of(plain: Plain) -> ChartDocument:
    """A chart document."""
    return msgspec.convert(plain, ChartDocument)


def body_of(plain: Plain) -> c.Body:
    """The body of a command."""
    note: Plain = {}
    for field in ("effective_at", "original_effective_at"):
        if plain.get(field) is not None:
            note[field] = moment(plain[field])
    op = plain["op"]
    if op == "transaction":
        return c.Transaction(
            postings=[c.Posting(**posting) for posting in plain["postings"]],
            pending=plain.get("pending", False),
            timeout_seconds=plain.get("timeout"),
            up_to=plain.get("up_to", False),
            conditions=[c.Condition(**condition) for condition in plain.get("conditions", [])],
            **note,
        )
    if op == "post_hold":
        return c.HoldPosting(amounts=plain.get("amounts"), final=plain.get("final", False), **note)
    if op == "void_hold":
        return c.HoldVoid(**note)
    if op == "reverse":
        return c.Reversal(amounts=plain.get("amounts"), **note)
    if op == "annotate":
        return c.Annotation(metadata={"note": "seen"})
    if op == "set_limits":
        return c.AccountLimits({asset: Limits(**limits) for asset, limits in plain["limits"].items()})
    if op == "close_account":
        return c.AccountClosing()
    if op == "open_account":
        return c.AccountOpening(plain["address"])
    if op == "set_chart":
        return chart_of(plain["chart"])
    if op == "close_period":
        return c.PeriodClosing(retained_earnings=plain.get("retained_earnings"))
    if op == "reopen_period":
        return c.PeriodReopening(reason="an invoice came late", closed_seq=plain.get("closed_seq"))
    if op == "assert_balance":
        at = plain["at"] if isinstance(plain["at"], str) else iso(plain["at"])
        figures = {name: plain[name] for name in ("account", "asset", "expected")}
        return c.BalanceAssertion(**figures, at=at, source="bank")
    if op == "restore_ledger":
        lost = plain.get("lost_incarnation")
        return c.Restoration(reason="disk", lost_size=9, lost_root="ab" * 32, lost_incarnation=lost)
    assert op == "open_ledger", op
    zone = plain.get("time_zone", "UTC")
    return c.LedgerOpening(name=plain["name"], time_zone=zone, chart=chart_of(plain["chart"]))


def request_of(plain: Plain) -> Request:
    """A request of the writer."""
    group = plain.get("atomic") or plain.get("preview")
    bodies = [body_of(command) for command in plain["commands"]]
    made = [
        c.command(body, command.get("subject", ""), key=None if group else command.get("key"))
        for body, command in zip(bodies, plain["commands"], strict=True)
    ]
    key = plain.get("key")
    return Request(
        made,
        atomic=plain.get("atomic", False),
        preview=plain.get("preview", False),
        key=key,
        fingerprint=b"" if key is None else c.fingerprint(bodies),
    )
