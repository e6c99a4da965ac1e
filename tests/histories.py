"""Random histories by the real writer, and what they come to, told from the event bodies alone.

`History` drives one ledger: deposits, transfers, exchanges, holds with and without a time-out, parts, voids,
reversals, nearly all of them backdated, to days on which the clock changes too; time passes between, so that
holds expire. `Facts` reads the bodies with json and adds up; it shares no code with what it checks.
"""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any, NamedTuple

import psycopg

from ledger import commands as c
from ledger.batch import Recorded, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.writer import Writer
from projections.advance import Place, advance, begin
from projections.projection import Projection
from projections.registry import PROJECTIONS
from projections.versions import connect, ensure_live, versions
from tests.clockwork import Clock

ASSETS = ("USD/2", "EUR/2")
ZONES = ("Europe/Prague", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Kiritimati", "UTC")
CHART = ChartDocument(
    assets=ASSETS,
    accounts=(
        AccountPattern("cash", "asset"),
        AccountPattern("depreciation", "asset", contra=True),
        AccountPattern("customers:{n}", "liability"),
        AccountPattern("fees", "income"),
        AccountPattern("capital", "equity"),
    ),
)
ACCOUNTS = ("cash", "depreciation", "customers:1", "customers:2", "fees", "capital")

_names = count(1)


class History:
    """One ledger in the making. `now` only grows, over all histories of a clock."""

    def __init__(self, conninfo: str, writer: Writer, clock: Clock, random: Random, shift: int) -> None:
        self.conninfo = conninfo
        self.writer = writer
        self.clock = clock
        self.random = random
        self.shift = shift
        self.name = f"history-{next(_names)}"
        self.zone = random.choice(ZONES)
        self.holds: list[int] = []
        self.posted: list[int] = []
        self.do(c.LedgerOpening(name=self.name, time_zone=self.zone, chart=CHART))

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.shift)

    def do(self, body: c.Body, subject: int | str = "") -> int | None:
        """One command; its seq if it was accepted."""
        [outcome] = self.writer.execute(self.name, Request([c.command(body, subject)]))
        return outcome.event.seq if isinstance(outcome, Recorded) else None

    def step(self) -> None:
        """Something happens."""
        what = self.random.choice(
            ("post", "post", "hold", "hold", "part", "void", "reverse", "wait", "assert")
        )
        when: dict[str, Any] = {
            "effective_at": self.moment(),
            "reference": self.random.choice(("", "r1", "r2")),
        }
        when["metadata"] = self.random.choice(({}, {"k": "v"}, {"k": "w", "order": "1"}))
        if what in ("post", "hold"):
            timeout = self.random.choice((None, 60, 90_000)) if what == "hold" else None
            body = c.Transaction(
                postings=self.postings(), pending=what == "hold", timeout_seconds=timeout, **when
            )
            seq = self.do(body)
            if seq is not None:
                (self.holds if what == "hold" else self.posted).append(seq)
        elif what == "wait":
            self.shift += self.random.choice((61, 86_400))
            self.clock.shift(self.shift)
        elif what == "reverse" and self.posted:
            self.do(c.Reversal(**when), self.random.choice(self.posted))
        elif what == "part" and self.holds:
            amounts = self.random.choice((None, [1, 1]))
            part = c.HoldPosting(amounts=amounts, final=self.random.random() < 0.3, **when)
            seq = self.do(part, self.random.choice(self.holds))
            if seq is not None:
                self.posted.append(seq)
        elif what == "void" and self.holds:
            self.do(c.HoldVoid(**when), self.random.choice(self.holds))
        elif what == "assert" and self.posted:
            self.observe()

    def observe(self) -> None:
        """A remark on a transaction, or an assertion of a balance that may be right, or become so."""
        if self.random.random() < 0.3:
            self.do(c.Annotation(metadata={"k": "v", "seen": "yes"}), self.random.choice(self.posted))
            return
        at = self.moment() or self.now
        assertion = c.BalanceAssertion(
            account=self.random.choice(ACCOUNTS),
            asset=ASSETS[0],
            at=max(at, datetime(1000, 1, 1, tzinfo=UTC)).isoformat(),
            expected=self.random.choice((0, 1, -1, 7, 8)),
            tolerance=self.random.choice((0, 1, 2**40)),
            source="test",
        )
        self.do(assertion)

    def postings(self) -> list[c.Posting]:
        """Two legs, or four of two assets."""
        legs = []
        for asset in self.random.sample(ASSETS, self.random.choice((1, 1, 2))):
            debit, credit = self.random.sample(ACCOUNTS, 2)
            amount = self.random.choice((1, 7, 2**40))
            legs += [c.Posting(debit, "debit", amount, asset), c.Posting(credit, "credit", amount, asset)]
        return legs

    def moment(self) -> datetime | None:
        """When it counts: now, lately, on a day when a clock changed, or long ago."""
        kind = self.random.randrange(5)
        if kind == 0:
            return None
        if kind == 1:
            return self.now - timedelta(seconds=self.random.choice((1, 3_600, 86_400, 200_000)))
        return self.random.choice(CORNERS) + timedelta(
            minutes=self.random.choice((-90, -30, 0, 0, 30, 61, 90))
        )


CORNERS = (
    datetime(2026, 3, 29, 1, tzinfo=UTC),  # Prague loses an hour
    datetime(2026, 10, 25, 1, tzinfo=UTC),  # and has it back
    datetime(2026, 3, 28, 23, tzinfo=UTC),  # midnight in Prague
    datetime(2010, 11, 7, 2, 31, tzinfo=UTC),  # St. John's goes from 0:01 back to 23:01
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia has no 30 December
    datetime(1986, 1, 1, tzinfo=UTC),  # Kathmandu moves by a quarter of an hour
    datetime(1979, 9, 30, 10, 40, tzinfo=UTC),  # midnight in Kiritimati, within a quarter of an hour
    datetime(1979, 10, 2, 10, 0, tzinfo=UTC),  # and on the hour
    datetime(1891, 9, 30, 23, 2, 16, tzinfo=UTC),  # Prague leaves local mean time
    datetime(1, 1, 2, tzinfo=UTC),
)


class Leg(NamedTuple):
    """A leg of a body."""

    seq: int
    leg: int
    effective_at: datetime
    account: str
    asset: str
    counter: int  # debits posted, credits posted, debits pending, credits pending
    amount: int


class Facts:
    """The bodies of a ledger, added up."""

    def __init__(self, conninfo: str, ledger: str) -> None:
        self.bodies: list[dict[str, Any]] = []
        with psycopg.connect(conninfo) as connection:
            rows = connection.execute(
                "SELECT ledger_id, body FROM daybook.events JOIN daybook.ledgers USING (ledger_id)"
                " WHERE name = %s ORDER BY seq",
                (ledger,),
            ).fetchall()
        self.ledger_id: int = rows[0][0]
        self.bodies = [json.loads(body) for _, body in rows]
        self.legs = [leg for body in self.bodies for leg in _legs(body)]

    @property
    def head(self) -> int:
        return len(self.bodies)

    def balances(self, before: datetime, seq: int) -> dict[tuple[str, str], tuple[int, int, int, int]]:
        """By place: counters of legs effective before a moment, of events 1 .. `seq`, if not all are 0."""
        found: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for leg in self.legs:
            if leg.seq <= seq and leg.effective_at < before:
                found[leg.account, leg.asset][leg.counter] += leg.amount
        return {place: (a, b, c, d) for place, (a, b, c, d) in found.items() if a or b or c or d}


def _legs(body: dict[str, Any]) -> list[Leg]:
    legs = []
    for number, posting in enumerate(body.get("postings", ())):
        kind = posting.get("kind", "posted")
        amount = int(posting["amount"])
        counter = (0 if posting["side"] == "debit" else 1) + (0 if kind == "posted" else 2)
        at = datetime.fromisoformat(body["effective_at"])
        signed = -amount if kind == "release" else amount
        legs.append(Leg(body["seq"], number, at, posting["account"], posting["asset"], counter, signed))
    return legs


def project(
    conninfo: str, ledger_id: int, upto: int, size: int, projections: tuple[Projection, ...] = PROJECTIONS
) -> None:
    """Bring projections to a seq of one ledger, in ranges of `size` events."""
    with connect(conninfo) as connection:
        ensure_live(connection, projections)
        live = {v.projection: v.version for v in versions(connection, [p.name for p in projections])}
        for projection in projections:
            place = Place(projection, live[projection.name], ledger_id)
            begin(connection, place)
            while advance(connection, place, size, bound=upto) is not None:
                pass
