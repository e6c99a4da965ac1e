"""Periods: what their names mean in a time zone, and that what is closed stays closed, wherever kept."""

from __future__ import annotations

import time
from concurrent.futures import Future
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import commands as c
from ledger.batch import Recorded, Refusal, Request
from ledger.decide import decide
from ledger.periods import Closing, Closings, bounds_of, days_of, start_of
from ledger.state import Accepted
from ledger.text import from_iso, moment
from ledger.writer import Answer
from tests.audit import audited
from tests.bookkeeping import (
    CHART,
    code,
    deposit,
    do,
    done,
    head_locked,
    open_ledger,
    outcomes,
    submit,
    withdrawal,
    writing,
)
from tests.journal import START, book
from tests.oracle import midnight, span

ZONES = (
    "UTC",
    "Europe/Prague",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "Asia/Beirut",  # puts its clocks forward at midnight: some days begin at one
    "America/Havana",  # puts them back over midnight: some days have two midnights
    "America/Sao_Paulo",  # did both
    "Pacific/Apia",  # had no 30 December 2011
    "Africa/Monrovia",  # was 44 minutes and 30 seconds behind
)


# ---------------------------------------------------------------- names and days


@pytest.mark.parametrize(
    ("period", "first", "after"),
    [
        ("2026", "2026-01-01", "2027-01-01"),
        ("2026-Q1", "2026-01-01", "2026-04-01"),
        ("2026-Q4", "2026-10-01", "2027-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2026-12", "2026-12-01", "2027-01-01"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("2026-12-31", "2026-12-31", "2027-01-01"),
    ],
)
def test_period_has_the_days_of_its_name(period: str, first: str, after: str) -> None:
    """Years, quarters, months and days, with the first day after them."""
    assert [str(day) for day in days_of(period)] == [first, after]


@pytest.mark.parametrize(
    "name",
    [
        *("", "26", "2026-", "2026-Q5", "2026-Q0", "2026-q1", "2026-13", "2026-00", "2026-2", "2025-02-29"),
        *("2026-02-30", "20260101", "2026-W01", "2026-10-15T00", "9999", "9999-12", "9999-12-31", "2026\n"),
        *("２０２６", "+2026", "2026-Q1-01"),  # noqa: RUF001
    ],
)
def test_other_names_are_no_periods(name: str) -> None:
    """Nothing that only looks like a period, is not in the calendar, or ends after the last year."""
    with pytest.raises(ValueError, match="`period`"):
        days_of(name)


@given(st.dates(date(1900, 1, 1), date(2037, 12, 30)), st.sampled_from(ZONES))
def test_day_begins_when_a_clock_of_the_zone_first_shows_it(day: date, zone: str) -> None:
    """Whatever its clocks did that night; found by looking at the clock second by second."""
    assert start_of(day, ZoneInfo(zone)) == midnight(day, zone)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Prague", "2026-03-29", 23),
        ("Europe/Prague", "2026-10-25", 25),
        ("America/Havana", "2025-11-02", 25),
        ("Asia/Beirut", "2026-03-29", 23),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Pacific/Apia", "2011-12-30", 0),
        ("Europe/Prague", "2026-10-24", 24),
    ],
)
def test_day_is_as_long_as_it_is(zone: str, day: str, hours: float) -> None:
    """Where clocks change, a day has 23 or 25 hours, and the next begins where it ends."""
    start, end = bounds_of(day, ZoneInfo(zone))
    assert end - start == hours * 3_600_000_000
    following = str(date.fromisoformat(day) + timedelta(days=1))
    assert bounds_of(following, ZoneInfo(zone))[0] == end


@given(st.dates(date(1950, 1, 1), date(2036, 12, 31)), st.sampled_from(ZONES))
def test_periods_are_made_of_their_days(day: date, zone: str) -> None:
    """Each day is inside its month, quarter and year, and their bounds are bounds of days."""
    name = str(day)
    for period in (name, name[:7], name[:4], f"{day.year}-Q{(day.month + 2) // 3}"):
        start, end = bounds_of(period, ZoneInfo(zone))
        assert (start, end) == span(period, zone)
        own_start, own_end = bounds_of(name, ZoneInfo(zone))
        assert start <= own_start <= own_end <= end


@given(
    st.lists(st.sampled_from(["2026", "2026-Q4", "2026-11", "2026-12", "2026-12-31", "2025", "2026-10"])),
    st.integers(-40, 400),
    st.sampled_from(ZONES[:4]),
)
def test_first_open_moment_is_the_first_that_is_in_no_closing(names: list[str], day: int, zone: str) -> None:
    """However closed periods nest and follow each other."""
    closings = Closings(Closing(name, *bounds_of(name, ZoneInfo(zone)), 1) for name in names)
    moment = from_iso("2026-01-01T12:00:00.000000Z") + day * 86_400_000_000
    spans = [span(name, zone) for name in names]
    inside = [(b - a, a) for a, b in spans if a <= moment < b]
    found = closings.at(moment)
    assert (found is None) == (not inside)
    assert found is None or found.ends_at - found.starts_at == max(inside)[0]
    assert moment < closings.until or not inside
    candidates = [moment, *(b for _, b in spans if b > moment)]
    assert closings.first_open(moment) == min(m for m in candidates if not any(a <= m < b for a, b in spans))


# ---------------------------------------------------------------- deciding


def test_nothing_with_legs_counts_in_a_closed_period() -> None:
    """Posted, held, a part, a void and a reversal are refused; dated after the period they are taken."""
    book("""
        hold at=-172800
          Dr customers:1  5
          Cr cash         5
        post at=-172800
          Dr cash         7
          Cr customers:1  7
        shut 2027-01-14
        shut 2027-01-13
        part 3 1 1 at=-86400
        ! period_closed period=2027-01-14 first_open=@-28800
        void 3 at=-172700
        ! period_closed period=2027-01-13 first_open=@-28800
        reverse 4 at=-86400
        ! period_closed
        post at=-86400
          Dr cash         7
          Cr customers:1  7
        ! period_closed
        part 3 1 1 at=-28000 first=-86400
        void 3
        reverse 4
        = customers:1  posted=99
        reopen 2027-01-14
        post at=-86400
          Dr cash         7
          Cr customers:1  7
        = customers:1  posted=106
    """)


def test_expiry_is_never_blocked() -> None:
    """A hold that ends inside a period closed meanwhile ends all the same, at its own moment."""
    journal = book("""
        hold timeout=60
          Dr customers:1  5
          Cr cash         5
    """)
    state = journal.desk.state
    expires_at = journal.now + 60_000_000
    state.closings = Closings([Closing("2027-01-15", expires_at - 1, expires_at + 1, 1)])
    expired = decide(state, c.Command(c.HoldExpiry(), 3), expires_at + 86_400_000_000)
    assert isinstance(expired, Accepted)
    assert (expired.event.type, expired.effective_at) == ("hold_expired", expires_at)


def test_a_refused_group_leaves_periods_as_they_were() -> None:
    """Closing, reopening and a new incarnation are undone with the group they are in."""
    journal = book("shut 2026")
    state = journal.desk.state
    before = (state.closings, state.incarnation, state.token)
    group = [
        c.command(c.PeriodReopening(reason="late"), "2026"),
        c.command(c.PeriodClosing(), "2025"),
        c.command(c.Restoration(reason="disk", lost_size=5, lost_root="ab" * 32)),
        c.command(c.PeriodClosing(), "2027"),
    ]
    plan = journal.desk.run([Request(group, atomic=True)], journal.now + 1)
    codes = [o.rejection.code for o in plan.outcomes[0] if isinstance(o, Refusal)]
    assert codes == ["linked_failed"] * 3 + ["period_not_over"]
    assert (state.closings, state.incarnation, state.token) == before
    assert (plan.closings, plan.reopened, plan.incarnation) == ({}, [], 1)


def test_assertion_of_a_day_is_of_its_last_microsecond() -> None:
    """A calendar date means the end of that day where the ledger is."""
    journal = book("shut 2026")
    journal.desk.state.time_zone = "Europe/Prague"
    body = c.BalanceAssertion(account="cash", asset="USD/2", at="2026-10-25", expected=5, source="bank")
    accepted = decide(journal.desk.state, c.command(body), START + 10**6)
    assert isinstance(accepted, Accepted)
    assert accepted.event.data["at"] == "2026-10-25T22:59:59.999999Z"


@pytest.mark.parametrize(
    "at", ["2026-10", "20261025", "2026-02-30", "2026-10-25T10:00:00", "9999-12-31", "now"]
)
def test_assertion_needs_a_day_or_a_moment(at: str) -> None:
    """A moment has its offset; nothing else is guessed."""
    body = {"account": "cash", "asset": "USD/2", "at": at, "expected": 5, "source": "bank"}
    with pytest.raises(msgspec.ValidationError, match="`at`"):
        msgspec.convert(body, c.BalanceAssertion)


def test_restore_goes_beyond_every_incarnation_that_is_known() -> None:
    """A backup restored twice does not live the same life twice."""
    journal = book("restore")
    assert journal.desk.state.incarnation == 2
    body = c.Restoration(reason="disk", lost_size=5, lost_root="ab" * 32, lost_incarnation=7)
    [[outcome]] = journal.desk.run([Request([c.command(body)])], journal.now + 1).outcomes
    assert isinstance(outcome, Recorded)
    assert outcome.event.data["incarnation"] == journal.desk.state.incarnation == 8


# ---------------------------------------------------------------- stored

OLD = moment(from_iso("2020-06-15T12:00:00.000000Z"))


def rows(database: str) -> list[Any]:
    with psycopg.connect(database) as connection:
        return connection.execute("SELECT period, seq FROM daybook.closed_periods ORDER BY 1").fetchall()


def test_closings_survive_the_process(database: str) -> None:
    """A writer that starts now refuses what the one before it refused; reopened by it, the other takes it."""
    with writing(database) as one, writing(database) as other:
        open_ledger(one)
        closed = done(do(one, c.PeriodClosing(), "2020-06"))
        assert rows(database) == [("2020-06", closed)]
        late = deposit(1, 5, effective_at=OLD)
        assert code(do(other, late)) == code(do(one, late)) == "period_closed"
        done(do(other, c.PeriodReopening(reason="late", closed_seq=closed), "2020-06"))
        assert rows(database) == []
        done(do(one, late))
    audited(database)


def test_one_batch_may_close_reopen_and_close(database: str) -> None:
    """Only the last closing is stored, whatever the batch did before; a batch that opens the ledger too."""
    reopening, closing = c.PeriodReopening(reason="late"), c.PeriodClosing()
    with writing(database) as writer:
        opening = c.LedgerOpening(name="main", time_zone="Europe/Prague", chart=CHART)
        group = [
            c.command(opening),
            c.command(closing, "2020-06"),
            c.command(reopening, "2020-06"),
            c.command(deposit(1, 5, effective_at=OLD)),
            c.command(closing, "2020-06"),
            c.command(closing, "2020-07"),
        ]
        recorded = writer.execute("main", Request(group, atomic=True))
        assert all(isinstance(outcome, Recorded) for outcome in recorded), recorded
        assert rows(database) == [("2020-06", 5), ("2020-07", 6)]
        again = [
            c.command(reopening, "2020-06"),
            c.command(closing, "2020-06"),
            c.command(reopening, "2020-07"),
        ]
        assert [done(outcome) for outcome in writer.execute("main", Request(again))] == [7, 8, 9]
        assert rows(database) == [("2020-06", 8)]
    audited(database)


def test_closing_and_posting_at_once_have_one_order(database: str) -> None:
    """What queued before the closing is in, what queued after it is out; another writer sees the same."""
    with writing(database) as writer, writing(database) as other:
        open_ledger(writer)
        with head_locked(database):
            futures = [
                submit(writer, c.command(deposit(1, 5, effective_at=OLD))),
                submit(writer, c.command(c.PeriodClosing(), "2020")),
                submit(writer, c.command(deposit(1, 5, effective_at=OLD))),
                submit(writer, c.command(withdrawal(1, 5))),
            ]
            theirs = submit(other, c.command(c.PeriodClosing(), "2020"))
        first, closing, late, now = [outcomes(future)[0] for future in futures]
        their_closing = outcomes(theirs)[0]
        assert [isinstance(first, Recorded), isinstance(now, Recorded)] in ([True, True], [False, False])
        assert sorted(isinstance(o, Recorded) for o in (closing, their_closing)) == [False, True]
        assert code(late) == "period_closed"
        assert code(do(other, deposit(1, 5, effective_at=OLD))) == "period_closed"
    audited(database)


def test_keys_of_control_commands_replay(database: str) -> None:
    """Closing, reopening and asserting again under their keys answers the first outcome."""
    assertion = c.BalanceAssertion(account="cash", asset="USD/2", at="2020-06-15", expected=-5, source="bank")
    with writing(database) as writer:
        open_ledger(writer)
        done(do(writer, deposit(1, 5)))
        closed = done(do(writer, c.PeriodClosing(), "2020", key="close"))
        reopened = done(do(writer, c.PeriodReopening(reason="late"), "2020", key="reopen"))
        asserted = done(do(writer, assertion, key="assert"))
        assert done(do(writer, c.PeriodClosing(), "2020", key="close")) == closed
        assert done(do(writer, c.PeriodReopening(reason="late"), "2020", key="reopen")) == reopened
        assert done(do(writer, assertion, key="assert")) == asserted
        assert code(do(writer, c.PeriodClosing(), "2021", key="close")) == "idempotency_key_reused"
        assert rows(database) == []
    audited(database)


def test_restore_moves_the_head_to_another_incarnation(database: str) -> None:
    """From the event on, and for every writer."""

    def incarnation() -> int:
        with psycopg.connect(database) as connection:
            [(found,)] = connection.execute("SELECT incarnation FROM daybook.heads").fetchall()
            return int(found)

    with writing(database) as one, writing(database) as other:
        open_ledger(one)
        done(do(other, deposit(1, 5)))
        body = c.Restoration(reason="disk lost", lost_size=7, lost_root="cd" * 32)
        done(do(one, body))
        assert incarnation() == 2
        done(do(other, deposit(1, 5)))
        done(do(other, body))
        assert incarnation() == 3
    audited(database)


def test_restore_comes_before_the_holds_that_are_due(database: str) -> None:
    """Its event follows right after what the ledger shares with the lost one; then the holds expire."""
    body = c.Restoration(reason="disk lost", lost_size=70, lost_root="cd" * 32)
    with writing(database, sweep_seconds=60) as writer:
        open_ledger(writer)
        done(do(writer, deposit(1, 500)))
        for _ in range(2):
            done(do(writer, withdrawal(1, 5, pending=True, timeout_seconds=1)))
        time.sleep(1.1)
        with head_locked(database):
            before = submit(writer, c.command(c.PeriodClosing(), "2019"))
            while not writer._books["default/main"].under_way:
                time.sleep(0.001)
            restored: Future[Answer] = Future()
            alone = Request([c.command(body)], alone=True)
            writer.submit("main", alone, restored.set_result)
            after = submit(writer, c.command(deposit(1, 5)))
        assert done(outcomes(before)[0]) == 7
        assert done(outcomes(restored)[0]) == 8
        assert done(outcomes(after)[0]) == 9
        for _ in range(2):
            done(do(writer, withdrawal(1, 5, pending=True, timeout_seconds=1)))
        time.sleep(1.1)
        [outcome] = writer.execute("main", Request([c.command(body)], alone=True))
        assert done(outcome) == 12
        assert done(do(writer, deposit(1, 5))) == 15
    audited(database)


def test_ledger_closes_in_its_own_time_zone(database: str) -> None:
    """A period of a ledger far in the east is over before the same one in the west."""
    with writing(database) as writer:
        for name, zone in (("east", "Pacific/Kiritimati"), ("west", "Pacific/Pago_Pago")):
            done(do(writer, c.LedgerOpening(name=name, time_zone=zone, chart=CHART), ledger=name))
            done(do(writer, c.PeriodClosing(), "2020-03", ledger=name))
            for at, wanted in (
                ("2020-02-29T10:00:00.000000Z", "east"),
                ("2020-04-01T10:59:59.999999Z", "west"),
            ):
                late = deposit(1, 5, effective_at=moment(from_iso(at)))
                outcome = do(writer, late, ledger=name)
                assert isinstance(outcome, Refusal) == (wanted == name), (name, at)
                if isinstance(outcome, Refusal):
                    assert outcome.rejection.evidence["first_open_date"] == "2020-04-01"
    audited(database)


def test_commands_beside_a_closing_are_decided_ahead(database: str) -> None:
    """With more waiting than a batch takes, closings among postings still hold for all that comes after."""
    with writing(database, batch_size=300) as writer:
        open_ledger(writer)
        with head_locked(database):
            futures = []
            for n in range(1_500):
                body: c.Body = deposit(n % 5, 5, effective_at=OLD)
                if n % 250 == 100:
                    body = c.PeriodClosing()
                if n % 250 == 200:
                    body = c.PeriodReopening(reason="late")
                subject = "" if isinstance(body, c.Transaction) else "2020-06"
                futures.append(submit(writer, c.command(body, subject)))
        closed = False
        for n, future in enumerate(futures):
            [outcome] = outcomes(future)
            if n % 250 in (100, 200):
                closed = n % 250 == 100
                done(outcome)
            else:
                assert isinstance(outcome, Refusal) == closed, n
    audited(database)
