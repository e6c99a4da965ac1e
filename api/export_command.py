"""`daybook audit export`: the folder, the progress bar, and the last lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from api.database import opened
from api.settings import Settings
from ledger.keeping import Keeping
from ledger.reader import Reader
from projections.exports.export import FORMATS, Asked, Format, Signed, export
from projections.exports.export import Progress as Report
from projections.exports.source import ExportRefused
from projections.proving import Prover
from projections.tree_heads import LedgerDiffers, TreeHeads

ALL = "all"


def _day(context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a date such as 2026-01-31.") from None


def _formats(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> frozenset[Format]:
    return frozenset(f for f in FORMATS if f in values or ALL in values or not values)


@click.command("export")
@click.option("--ledger", required=True)
@click.option("--from", "first", metavar="DATE", callback=_day, help="First effective day of the accounts.")
@click.option("--to", "last", metavar="DATE", callback=_day, help="Last effective day of the accounts.")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice([*FORMATS, ALL]),
    callback=_formats,
    help="May be repeated; all if absent.",
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.pass_obj
def export_command(
    settings: Settings,
    ledger: str,
    first: date | None,
    last: date | None,
    formats: frozenset[Format],
    folder: Path,
) -> None:
    """Write a ledger as files that can be checked without it, with a signed tree head (docs/audit-export.md).

    The events are whole, up to the present one; --from and --to bound the journals and Audit Data Standards
    files, in calendar days of the ledger's time zone, both included.
    """
    asked = Asked(ledger, formats, first, last)
    started = time.monotonic()
    try:
        with opened(settings) as database:
            keeping = Keeping(settings.keys_dir, settings.key_file)
            with closing(Reader(database.conninfo, connections=1)) as reader:
                prover = Prover(TreeHeads(reader, keeping))
                signed = Signed(prover.tree_head(ledger).note, prover.verifier_key())
            with _progress() as report:
                made = export(database.conninfo, asked, folder, signed, report)
    except ExportRefused as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(
            f"{error.filename or folder} cannot be written: {error.strerror}."
        ) from error
    except LedgerDiffers as error:
        raise click.ClickException(
            f"{error.args[0]} Nothing is exported as if it were that ledger."
        ) from error
    seconds = time.monotonic() - started
    click.echo(
        f"Exported {ledger}, events 1 to {made.pin.seq:,}, to {folder} in {seconds:.1f} s, "
        f"{made.pin.seq / seconds:,.0f} events/s: {', '.join(made.formats)}."
    )
    click.echo(f"SHA-256 of its manifest.json: {made.manifest}")


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar for each pass, with its rate, on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda what, done, total: None
        return
    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        TextColumn("{task.completed:>12,} of {task.total:,}"),
        TextColumn("{task.fields[rate]:>9,.0f} events/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, tuple[TaskID, float]] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = (bar.add_task(what, total=total, rate=0.0), time.monotonic())
            task, began = tasks[what]
            bar.update(task, completed=done, rate=done / max(time.monotonic() - began, 1e-3))

        yield report
