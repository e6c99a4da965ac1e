"""Reconciliations by themselves: no time is left out and none comes twice, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner, Result

from api.reconcile_commands import reconcile_group
from api.settings import read
from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.chart import ChartDocument
from ledger.reader import Reader
from ledger.wire import Connection
from projections import reconciliation_schedules as schedules
from projections.reconciliation_schedules import Schedule, ask_due
from projections.versions import connect
from tests.bookkeeping import do, done, writing
from tests.conftest import NewDatabase
from tests.daybook_command import COMMAND, environment, succeeds
from tests.stripe_double import KEY, StripeDouble, stripe_double
from tests.stripe_events import txn
from tests.waiting import until

CHART = ChartDocument(assets=("USD/2",), accounts=(), products=("payments",))
NOW = datetime(2026, 3, 28, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo, writing(conninfo) as writer:
        for name in ("daily", "hourly", "changed", "failing"):
            done(
                do(writer, c.LedgerOpening(name=name, time_zone="Europe/Amsterdam", chart=CHART), ledger=name)
            )
        done(do(writer, c.LedgerOpening(name="crashing", time_zone="UTC", chart=CHART), ledger="crashing"))
        yield conninfo


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    with closing(connect(database)) as connection:
        yield connection


def end_jobs(connection: Connection, state: str, now: datetime) -> None:
    """What is asked for is done, or has failed, by whoever runs jobs."""
    connection.execute(
        "UPDATE projections.jobs SET state = %s, ended_at = %s WHERE ended_at IS NULL", (state, now)
    )


def asked(connection: Connection, ledger: str) -> list[tuple[str, str, str]]:
    """What the jobs of a ledger compare, in the order in which they were asked for."""
    rows = connection.execute(
        "SELECT parameters ->> 'start', parameters ->> 'end', parameters ->> 'run' FROM projections.jobs "
        "WHERE parameters ->> 'ledger' = %s ORDER BY number",
        (ledger,),
    )
    return [(start[:16], end[:16], run) for start, end, run in rows]


def test_daily_runs_compare_each_day_of_the_ledger_once(connection: Connection) -> None:
    """At a time of its time zone, through a change of the clock, and after a week that nobody served."""
    made = schedules.put(connection, "daily", "stripe", Schedule(daily_at="06:00"), NOW)
    assert (made.from_at[:16], made.next_at[:16]) == ("2026-03-27T23:00", "2026-03-29T04:00")
    assert ask_due(connection, ["stripe"], NOW) == 0
    assert ask_due(connection, ["buffr"], NOW + 9 * DAY) == 0
    for _ in range(3):
        ask_due(connection, ["stripe"], NOW + 3 * DAY)
        assert ask_due(connection, ["stripe"], NOW + 3 * DAY) == 0  # the last one has not ended
        end_jobs(connection, "done", NOW)
    assert ask_due(connection, ["stripe"], NOW + 3 * DAY) == 0
    assert asked(connection, "daily") == [
        ("2026-03-27T23:00", "2026-03-28T23:00", "scheduled-stripe-2026-03-28"),
        ("2026-03-28T23:00", "2026-03-29T22:00", "scheduled-stripe-2026-03-29"),
        ("2026-03-29T22:00", "2026-03-30T22:00", "scheduled-stripe-2026-03-30"),
    ]
    schedules.delete(connection, "daily", "stripe")


def test_an_interval_goes_on_where_it_ended(connection: Connection) -> None:
    """Each compares from the end of the one before, however late it is asked for."""
    schedules.put(connection, "hourly", "stripe", Schedule(every_minutes=60), NOW)
    for hours in (1, 5, 5):
        ask_due(connection, ["stripe"], NOW + timedelta(hours=hours))
        end_jobs(connection, "done", NOW)
    assert [(start[11:], end[11:]) for start, end, _ in asked(connection, "hourly")] == [
        ("10:00", "11:00"),
        ("11:00", "12:00"),
        ("12:00", "13:00"),
    ]
    schedules.delete(connection, "hourly", "stripe")


def test_a_change_leaves_no_day_out(connection: Connection) -> None:
    """A time that has passed today is tomorrow's, whose run then compares two days."""
    schedules.put(connection, "changed", "stripe", Schedule(daily_at="12:00"), NOW)
    schedules.put(connection, "changed", "stripe", Schedule(daily_at="10:30"), NOW)
    assert ask_due(connection, ["stripe"], NOW + DAY) == 1
    assert asked(connection, "changed") == [
        ("2026-03-26T23:00", "2026-03-28T23:00", "scheduled-stripe-2026-03-27-2026-03-28")
    ]
    end_jobs(connection, "done", NOW)
    schedules.delete(connection, "changed", "stripe")


def test_what_failed_is_asked_for_again(connection: Connection) -> None:
    """The same time, ten minutes later, and none after it before; what somebody cancelled is over."""
    schedules.put(connection, "failing", "stripe", Schedule(every_minutes=60), NOW)
    late = NOW + timedelta(hours=3)
    ask_due(connection, ["stripe"], late)
    end_jobs(connection, "failed", late)
    assert ask_due(connection, ["stripe"], late + timedelta(minutes=9)) == 0
    assert ask_due(connection, ["stripe"], late + timedelta(minutes=10)) == 1
    first, again = asked(connection, "failing")
    assert first == again
    end_jobs(connection, "cancelled", late)
    assert ask_due(connection, ["stripe"], late) == 1
    assert asked(connection, "failing")[-1][0] == first[1]
    end_jobs(connection, "done", late)
    schedules.delete(connection, "failing", "stripe")


def test_a_run_that_fails_is_told(database: str, connection: Connection) -> None:
    """With its ledger, side and reason, by an exit code of 1; it is done when Stripe answers."""
    begun = datetime.now(UTC) - timedelta(minutes=61)
    schedules.put(connection, "failing", "stripe", Schedule(every_minutes=60), begun)
    with stripe_double() as double:
        double.failures = 100
        settings = read(environment(database, STRIPE_SECRET_KEY=KEY, STRIPE_API=double.address))
        said = CliRunner().invoke(reconcile_group, ["run-due"], obj=settings)
    assert said.exit_code == 1, said.output
    assert "failing\tstripe\tStripe does not answer: APIError." in said.stdout
    schedules.delete(connection, "failing", "stripe")


def test_a_schedule_is_made_shown_and_ended_at_the_console(database: str) -> None:
    """One way to say when; a time that there is; and a sentence where there is no schedule."""
    settings = read(environment(database))

    def said(*arguments: str) -> Result:
        return CliRunner().invoke(reconcile_group, arguments, obj=settings)

    made = said("schedule", "hourly", "buffr", "--daily-at", "6:05")
    assert made.exit_code == 0, made.output
    assert "buffr\tdaily at 06:05\t" in said("schedules", "hourly").stdout
    for wrong in (
        (),
        ("--daily-at", "25:00"),
        ("--daily-at", "06:00", "--every-minutes", "60"),
        ("--every-minutes", "1"),
    ):
        assert said("schedule", "hourly", "buffr", *wrong).exit_code == 2
    assert said("schedule", "hourly", "buffr", "--end").exit_code == 0
    assert "hourly has no schedule for buffr" in said("schedule", "hourly", "buffr", "--end").output
    assert "nobody can be asked" in said("run-due").output


def kill(database: str, double: StripeDouble, when: int) -> None:
    """Begin what is due, and kill -9 it once Stripe has been asked so often."""
    before = len(double.asked)
    settings = environment(database, STRIPE_SECRET_KEY=KEY, STRIPE_API=double.address)
    process = subprocess.Popen((*COMMAND, "reconcile", "run-due"), env=settings, start_new_session=True)
    try:
        until(lambda: len(double.asked) >= before + when)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_kill_9_neither_skips_nor_doubles_a_run(database: str, connection: Connection) -> None:
    """Killed amid the first day and amid the second, each day has one run, finished, with what is of it."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight - 3 * DAY + timedelta(hours=6)
    schedules.put(connection, "crashing", "stripe", Schedule(daily_at="06:00"), datetime.now(UTC))
    connection.execute(
        "UPDATE projections.reconciliation_schedules SET from_at = %s, next_at = %s",
        (midnight - 4 * DAY, first),
    )
    days = (datetime.now(UTC) - first) // DAY + 1
    noons = [midnight - (4 - n) * DAY + timedelta(hours=12) for n in range(days)]
    with stripe_double() as double:
        double.objects["balance_transactions"] = [
            txn("stripe_fee", -5, 0, None, id=f"txn_{n}", created=int(noon.timestamp()))
            for n, noon in enumerate(noons)
        ]
        double.seconds = 0.05
        for requests in (3, 8):
            kill(database, double, requests)
        double.seconds = 0.0
        variables = {"STRIPE_SECRET_KEY": KEY, "STRIPE_API": double.address}
        assert succeeds(database, "reconcile", "run-due", **variables) == "Nothing is due.\n"
    with closing(Reader(database, 1)) as reader:
        runs = reads.runs(reader, "crashing", "", 100)
    assert [(run.run, run.status, run.counts["missing_here"]) for run in runs] == [
        (f"scheduled-stripe-{noon.date()}", "finished", 1) for noon in noons
    ]
