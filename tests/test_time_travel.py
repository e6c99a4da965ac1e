"""Balances as of a moment, as known at a seq: what the bodies say, wherever the read models are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.reader import Reader
from ledger.views import StatementLine
from ledger.writer import Writer
from projections.balances_at import Instant, balances_at, places
from projections.registry import PROJECTIONS
from projections.statements import Cursor, cursor, period_statement
from projections.verify import verify
from tests.bookkeeping import writing
from tests.clockwork import Clock
from tests.conftest import NewDatabase
from tests.histories import CORNERS, Facts, History, Leg, project

MICROSECOND = timedelta(microseconds=1)


class World:
    """A database with a clock that moves on from example to example."""

    def __init__(self, conninfo: str, clock: Clock, writer: Writer, reader: Reader) -> None:
        self.conninfo = conninfo
        self.clock = clock
        self.writer = writer
        self.reader = reader
        self.shift = 0

    def history(self, random: Random, steps: int) -> History:
        """A ledger after some steps."""
        history = History(self.conninfo, self.writer, self.clock, random, self.shift)
        for _ in range(steps):
            history.step()
        self.shift = history.shift
        return history


@pytest.fixture(scope="module")
def world(new_database: NewDatabase) -> Iterator[World]:
    with new_database() as conninfo:
        clock = Clock(conninfo)
        with writing(conninfo, sweep_seconds=3_600) as writer, closing(Reader(conninfo)) as reader:
            yield World(conninfo, clock, writer, reader)


def asked(random: Random, facts: Facts) -> tuple[datetime, int]:
    """A moment near something that happened, and a seq."""
    moments = [leg.effective_at for leg in facts.legs] + list(CORNERS)
    near = random.choice((0, 0, 1, -1, 3_600_000_000, -86_400_000_000))
    moment = random.choice(moments)
    if moment.year > 1:
        moment += near * MICROSECOND
    return moment, random.randrange(facts.head + 1)


def found(world: World, ledger: str, at: Instant) -> dict[tuple[str, str], tuple[int, int, int, int]]:
    with world.reader.snapshot(ledger) as (connection, parameters):
        return {(p.address, p.asset): p.balance for p in places(connection, parameters, at)}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), steps=st.integers(3, 25))
def test_balances_at_any_moment_known_at_any_seq_are_the_fold_of_the_bodies(
    world: World, seed: int, steps: int
) -> None:
    """Behind, at the head or beyond the seq that is asked: every account has what the naive fold gives it."""
    random = Random(seed)
    history = world.history(random, steps)
    facts = Facts(world.conninfo, history.name)
    for projection in PROJECTIONS:
        if projection.name in ("activity", "daily_balances"):
            upto = random.choice((0, random.randrange(facts.head + 1), facts.head))
            project(world.conninfo, facts.ledger_id, upto, random.choice((1, 3, 1_000)), (projection,))
    for _ in range(12):
        moment, seq = asked(random, facts)
        expected = facts.balances(moment, seq)
        assert found(world, history.name, Instant(moment, seq)) == expected, (moment, seq)
    zone = ZoneInfo(history.zone)
    for _ in range(4):
        moment, seq = asked(random, facts)
        day = moment.astimezone(zone).date() if moment.year > 1 else date(1, 1, 3)
        end = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=1)
        for as_of, before in ((moment, moment + MICROSECOND), (day, end.astimezone(UTC))):
            check_account(world, history.name, random, facts, as_of, before, seq)
    check_statement(world, history.name, random, facts)


def check_account(
    world: World,
    ledger: str,
    random: Random,
    facts: Facts,
    as_of: date,
    before: datetime,
    seq: int,
) -> None:
    """One account's balances as a reader gets them."""
    if not facts.legs:
        return
    address = random.choice([leg.account for leg in facts.legs])
    for known_at in (None, seq):
        view = balances_at(world.reader, ledger, address, as_of, known_at)
        got = {
            b.asset: (b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending)
            for b in view.balances
        }
        expected = facts.balances(before, facts.head if known_at is None else seq)
        assert got == {asset: v for (account, asset), v in expected.items() if account == address}
        assert view.seq == (facts.head if known_at is None else seq)


def check_statement(world: World, ledger: str, random: Random, facts: Facts) -> None:
    """A statement over a period, page by page, is the account's legs in effective order with their sums."""
    if not facts.legs:
        return
    place = random.choice([(leg.account, leg.asset) for leg in facts.legs])
    (start, seq), (end, _) = asked(random, facts), asked(random, facts)
    start, end = sorted((start, end))
    own = [leg for leg in facts.legs if (leg.account, leg.asset) == place and leg.seq <= seq]
    own.sort(key=lambda leg: (leg.effective_at, leg.seq, leg.leg))
    expected = [(leg.seq, leg.leg) for leg in own if start <= leg.effective_at < end]
    normal = 1 if place[0] == "cash" else -1  # depreciation is a contra asset
    lines: list[StatementLine] = []
    after: Cursor | None = None
    while True:
        page = period_statement(
            world.reader, ledger, *place, start=start, to=end, known_at=seq, after=after, limit=3
        )
        lines += page.lines
        if page.next is None:
            break
        after = cursor(page.next)
    assert [(line.seq, line.leg) for line in lines] == expected

    def posted(legs: list[Leg]) -> int:
        return normal * sum(leg.amount * (1 - 2 * leg.counter) for leg in legs if leg.counter < 2)

    before = [leg for leg in own if leg.effective_at < start]
    running = [posted(own[: len(before) + n + 1]) for n in range(len(expected))]
    assert [line.posted for line in lines] == running
    assert page.opening
    assert page.opening.posted == posted(before)
    assert page.closing
    assert page.closing.posted == posted([leg for leg in own if leg.effective_at < end])


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), steps=st.integers(3, 25))
def test_read_models_are_what_is_recomputed_however_ranges_are_cut(
    world: World, seed: int, steps: int
) -> None:
    """Event by event, in ranges or at once: every row is the one that the bodies alone give."""
    random = Random(seed)
    history = world.history(random, steps)
    facts = Facts(world.conninfo, history.name)
    upto = 0
    while upto < facts.head:
        upto = min(facts.head, upto + random.choice((1, 2, 5, 1_000)))
        project(world.conninfo, facts.ledger_id, upto, random.choice((1, 1_000)))
    for projection in PROJECTIONS:
        [verified] = verify(world.conninfo, projection, history.name)
        assert (verified.seq, verified.finding) == (facts.head, None)
