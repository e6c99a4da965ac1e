"""`daybook reconcile schedule | schedules | run-due`: reconciliations that come by themselves."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import click
from rich.console import Console

from api.console import show, show_json
from api.data_commands import as_json
from api.database import opened
from api.reconcilers import Reconcilers
from api.settings import Settings
from ledger.writer import Writer
from projections import reconciliation_schedules as schedules
from projections.reconciliation_schedules import Schedule, ScheduleNotFound, ScheduleView
from projections.versions import connect

SIDES = click.Choice(["stripe", "buffr"])


@click.command("schedule")
@click.argument("ledger")
@click.argument("side", type=SIDES)
@click.option(
    "--daily-at",
    type=click.DateTime(["%H:%M"]),
    metavar="HH:MM",
    help="Daily at this time of the ledger's time zone.",
)
@click.option("--every-minutes", type=click.IntRange(15, 10_080), help="Every so many minutes.")
@click.option("--end", is_flag=True, help="End the schedule.")
@as_json
@click.pass_obj
def schedule_command(
    settings: Settings,
    ledger: str,
    side: str,
    daily_at: datetime | None,
    every_minutes: int | None,
    end: bool,
    json_: bool,
) -> None:
    """Reconcile a ledger with a side by itself, from now on.

    The service does it, or `daybook reconcile run-due`.
    """
    if [end, daily_at is not None, every_minutes is not None].count(True) != 1:
        raise click.UsageError("One of --daily-at, --every-minutes and --end says what to do.")
    with opened(settings) as database, closing(connect(database.conninfo)) as connection:
        try:
            if end:
                view = schedules.delete(connection, ledger, side)
            else:
                daily = None if daily_at is None else f"{daily_at:%H:%M}"
                schedule = Schedule(daily, every_minutes)
                view = schedules.put(connection, ledger, side, schedule, datetime.now(UTC))
        except ScheduleNotFound as error:
            raise click.ClickException(f"{ledger} has no schedule for {side}.") from error
    _show([view], json_)


@click.command("schedules")
@click.argument("ledger")
@as_json
@click.pass_obj
def schedules_command(settings: Settings, ledger: str, json_: bool) -> None:
    """Show when a ledger is reconciled by itself."""
    with opened(settings) as database, closing(connect(database.conninfo)) as connection:
        _show(schedules.listed(connection, ledger), json_)


@click.command("run-due")
@click.pass_obj
def run_due_command(settings: Settings) -> None:
    """Reconcile whatever is due, in all ledgers, and wait for it: what a service does by itself."""
    console = Console(stderr=True)
    with (
        opened(settings) as database,
        closing(Writer(database.conninfo, connections=2)) as writer,
        closing(Reconcilers(database.conninfo, settings.work, writer, working=True)) as reconcilers,
        console.status("Looking") as status,
    ):
        if not reconcilers.sides:
            raise click.ClickException(
                "Neither STRIPE_SECRET_KEY nor BUFFR_API_URL is set: nobody can be asked."
            )
        failed = reconcilers.wait(lambda count: status.update(f"Reconciling: {count:,} to go"))
    if failed:
        show(("ledger", "side", "failed"), failed)
        raise SystemExit(1)
    click.echo("Nothing is due.")


def _show(views: list[ScheduleView], json_: bool) -> None:
    if json_:
        for view in views:
            show_json(view)
        return
    show(
        ("side", "when", "from", "next", "job"),
        (
            (
                view.side,
                f"daily at {view.daily_at}" if view.daily_at else f"every {view.every_minutes} minutes",
                view.from_at,
                view.next_at,
                view.job or "",
            )
            for view in views
        ),
    )
