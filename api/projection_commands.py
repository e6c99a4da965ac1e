"""`daybook projections`: status, run, rebuild, verify, rollback, with a progress bar on a terminal."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.console import show, show_json
from api.data_commands import as_json
from api.database import opened
from api.settings import Settings
from ledger.wire import Connection
from projections import inline
from projections.advance import resume
from projections.jobs import Runner
from projections.kinds import KINDS
from projections.rebuild import RebuildError, rebuild, rollback
from projections.registry import PROJECTIONS, ProjectionNotFound, find
from projections.status import LedgerStatus, ProjectionStatus, ledger_status, status
from projections.verify import Report, Verified, verify
from projections.versions import connect, ensure_live
from projections.workers import Workers

PAGE = 1_000
LOOK_SECONDS = 0.2

FIGURES = ("version", "ledgers", "head", "checkpoint", "lag", "seconds", "rate", "eta")


@click.group("projections")
def projections() -> None:
    """Keep, rebuild and verify the read models."""


def _named(context: click.Context, parameter: click.Parameter, value: str | tuple[str, ...] | None) -> object:
    """Names of projections."""
    names = (value,) if isinstance(value, str) else value or ()
    for name in names:
        if name != inline.NAME or context.info_name != "verify":
            _check(name)
    return value


def _check(name: str) -> None:
    try:
        find(name)
    except ProjectionNotFound:
        known = ", ".join(projection.name for projection in PROJECTIONS)
        raise click.BadParameter(f"{name!r} is not a projection; there are {known}.") from None


@projections.command("status")
@click.argument("name", required=False, callback=_named)
@as_json
@click.pass_obj
def status_command(settings: Settings, name: str | None, json_: bool) -> None:
    """Show how far every projection is, or one in each ledger (exit code 1 when one has stopped).

    Lag is in events, and in seconds the age of the oldest of them; the rate is in events a second.
    """
    with opened(settings) as database, closing(connect(database.conninfo)) as connection:
        ensure_live(connection, PROJECTIONS)
        if name is None:
            found = status(connection, PROJECTIONS)
            _show_projections(found, json_)
            stopped = sum(row.stopped for row in found if row.state == "live")
        else:
            stopped = len(ledger_status(connection, name, limit=1, stopped=True))
            _show_ledgers(_ledgers(connection, name), json_)
    if stopped:
        raise SystemExit(1)


def _ledgers(connection: Connection, name: str) -> Iterator[LedgerStatus]:
    after = ""
    while page := ledger_status(connection, name, after=after, limit=PAGE):
        yield from page
        after = page[-1].ledger


def _show_projections(found: list[ProjectionStatus], json_: bool) -> None:
    if json_:
        for row in found:
            show_json(row)
        return
    show(
        ("projection", "version", "state", "ledgers", "head", "checkpoint", "lag", "seconds", "rate", "eta"),
        (
            (
                row.projection,
                str(row.version),
                _state(row),
                str(row.ledgers),
                str(row.head),
                str(row.checkpoint),
                str(row.lag_events),
                f"{row.lag_seconds:.1f}",
                _figure(row.rate),
                _figure(row.eta_seconds, "s"),
            )
            for row in found
        ),
        right=FIGURES,
    )
    for row in found:
        for error in row.errors:
            click.echo(f"{row.projection} stopped in {error.ledger} at seq {error.error_seq}: {error.error}")
        if row.difference is not None:
            click.echo(f"{row.projection} version {row.version} was refused: {row.difference}")


def _state(row: ProjectionStatus) -> str:
    words: list[str] = [row.state]
    if row.state == "live" and row.stopped:
        words.append(f"stopped in {row.stopped}")
    if row.outdated:
        words.append("outdated")
    return ", ".join(words)


def _show_ledgers(found: Iterator[LedgerStatus], json_: bool) -> None:
    if json_:
        for row in found:
            show_json(row)
        return
    show(
        ("ledger", "state", "head", "checkpoint", "lag", "seconds", "rate", "eta", "error"),
        (
            (
                row.ledger,
                row.state,
                str(row.head),
                str(row.checkpoint),
                str(row.lag_events),
                f"{row.lag_seconds:.1f}",
                _figure(row.rate),
                _figure(row.eta_seconds, "s"),
                "" if row.error_seq is None else f"seq {row.error_seq}: {row.error}",
            )
            for row in found
        ),
        right=FIGURES,
    )


def _figure(value: float | None, unit: str = "/s") -> str:
    return "" if value is None else f"{value:,.1f} s" if unit == "s" else f"{value:,.0f}/s"


@projections.command("run")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Threads.")
@click.option("--until-caught-up", is_flag=True, help="End when every projection is at every head.")
@click.pass_obj
def run_command(settings: Settings, workers: int, until_caught_up: bool) -> None:
    """Keep projections at the heads, and run jobs, until Ctrl-C; what had stopped is tried again."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stopping.set())
    with opened(settings) as database, closing(connect(database.conninfo)) as connection:
        ensure_live(connection, PROJECTIONS)
        resume(connection, [projection.name for projection in PROJECTIONS])
        if until_caught_up:
            with closing(Workers(database.conninfo, threads=workers)):
                stopped = _catch_up(connection, stopping)
            if stopped:
                raise click.ClickException(
                    "A projection has stopped: `daybook projections status` says where."
                )
            return
        click.echo("Projections are kept at the heads of their ledgers. Ctrl-C stops it.")
        with closing(Workers(database.conninfo, threads=workers)), closing(Runner(database.conninfo, KINDS)):
            stopping.wait()


def _catch_up(connection: Connection, stopping: threading.Event) -> bool:
    """Wait until nothing is behind but what has stopped; whether something has."""
    while True:
        live = [row for row in status(connection, PROJECTIONS) if row.state == "live"]
        lacking = [row for row in live if row.lag_events]
        if stopping.is_set() or all(_only_stopped(connection, row) for row in lacking):
            return any(row.stopped for row in live)
        stopping.wait(LOOK_SECONDS)


def _only_stopped(connection: Connection, row: ProjectionStatus) -> bool:
    return all(
        ledger.state == "stopped" or not ledger.lag_events for ledger in _ledgers(connection, row.projection)
    )


@projections.command("rebuild")
@click.argument("name", callback=_named)
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, help="Ledgers at once.")
@click.option("--accept-differences", is_flag=True, help="Swap even if rows differ from the live version's.")
@click.pass_obj
def rebuild_command(settings: Settings, name: str, workers: int, accept_differences: bool) -> None:
    """Build a new version beside the live one, compare both, and let it take its place.

    Reads and writes go on. Interrupted, it goes on where it was when it is run again.
    """
    began = time.monotonic()
    with opened(settings) as database, _progress(f"rebuilding {name}") as report:
        try:
            done = rebuild(
                database.conninfo,
                find(name),
                workers=workers,
                accept_differences=accept_differences,
                report=report,
            )
        except RebuildError as error:
            raise click.ClickException(str(error)) from error
    seconds = time.monotonic() - began
    if done.difference is not None:
        click.echo(f"Accepted: {done.difference}")
    else:
        click.echo(f"It is the same as before in {done.compared} ledgers.")
    click.echo(
        f"{name} version {done.version} is live, version {done.previous} is kept: {done.events:,} events in "
        f"{seconds:.1f} s, {done.events / seconds:,.0f}/s."
    )


@projections.command("rollback")
@click.argument("name", callback=_named)
@click.pass_obj
def rollback_command(settings: Settings, name: str) -> None:
    """Bring the version before back, after applying to it what it lacks; the present one is kept."""
    with opened(settings) as database:
        try:
            version = rollback(database.conninfo, find(name)).version
        except RebuildError as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{name} version {version} is live again.")


@projections.command("verify")
@click.argument("names", nargs=-1, callback=_named)
@click.option("--ledger", help="All ledgers if absent.")
@as_json
@click.pass_obj
def verify_command(settings: Settings, names: tuple[str, ...], ledger: str | None, json_: bool) -> None:
    """Recompute rows from the event bodies and name the first that differs (exit code 1 when one does).

    Without names all projections and `inline`, which is what is kept with the book itself: balances,
    streams, postings. Reads and writes go on.
    """
    names = names or (*(projection.name for projection in PROJECTIONS), inline.NAME)
    wrong = 0
    with opened(settings) as database:
        for name in names:
            with _progress(f"verifying {name}") as report:
                found = list(_verified(database.conninfo, name, ledger, report))
            wrong += sum(row.finding is not None for row in found)
            _show_verified(name, found, json_)
    if wrong:
        raise SystemExit(1)


def _verified(conninfo: str, name: str, ledger: str | None, report: Report) -> Iterator[Verified]:
    if name == inline.NAME:
        return inline.verify_inline(conninfo, ledger, report)
    return verify(conninfo, find(name), ledger, report)


def _show_verified(name: str, found: list[Verified], json_: bool) -> None:
    if json_:
        for row in found:
            show_json(row)
        return
    for row in found:
        if row.finding is not None:
            click.echo(f"{name} of {row.ledger} at seq {row.seq}: {row.finding}")
    right = sum(row.finding is None for row in found)
    events = sum(row.seq for row in found)
    click.echo(f"{name}: right in {right} of {len(found)} ledgers, {events:,} events.")


@contextmanager
def _progress(what: str) -> Iterator[Report]:
    """A bar with rate and ETA on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    began = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:>9,.0f} events/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None, rate=0.0)
        first: list[int] = []

        def report(done: int, total: int) -> None:
            if not first:
                first.append(done)  # what was there already is no work of this run
            rate = (done - first[0]) / max(time.monotonic() - began, 1e-6)
            bar.update(task, completed=done, total=total or None, rate=rate)

        yield report
