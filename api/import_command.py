"""`daybook import`: the file, the progress bar, the refused lines and the last line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from api.access.approvals import Asking
from api.access.at_console import approvals_of, person
from api.database import writing
from api.import_csv import CsvMapping, csv_rows, read_mapping
from api.import_files import InputError, Source, json_lines
from api.importer import Refused, Tally, run
from api.settings import Settings
from ledger.text import whose

SHOWN = 20
FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@click.command("import")
@click.argument("ledger")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format", "format_", type=click.Choice(["jsonl", "csv"]), help="By the file's ending if absent."
)
@click.option(
    "--mapping", type=click.Path(path_type=Path), help="TOML file: what the columns of a CSV file mean."
)
@click.option("--name", help="Names the lines' keys, import:NAME:LINE; the file's name if absent.")
@click.option(
    "--rejects", type=click.Path(path_type=Path), help="Write every refused line here, as JSON Lines."
)
@click.pass_obj
def import_command(
    settings: Settings,
    ledger: str,
    file: Path,
    format_: str | None,
    mapping: Path | None,
    name: str | None,
    rejects: Path | None,
) -> None:
    """Post the transactions of a JSON Lines or CSV file. Running it again posts nothing twice."""
    columns = _mapping(file, format_, mapping)
    name = file.name if name is None else name
    if not (name.isascii() and name.isprintable() and 1 <= len(name) <= 200):
        raise click.UsageError(f"--name {name!r} is not 1 to 200 printable ASCII characters.")
    with ExitStack() as stack:
        source = stack.enter_context(Source(file, columns.encoding if columns else "utf-8-sig"))
        written = _open_rejects(stack, rejects)
        writer, reader = stack.enter_context(writing(settings))
        time_zone = ZoneInfo(reader.ledger(ledger).time_zone)
        lines = csv_rows(source, columns, time_zone) if columns else json_lines(source)
        report = _Report(written)
        approvals = stack.enter_context(approvals_of(settings))

        def let_wait(asking: list[Asking]) -> None:
            approvals.ask(*whose(ledger), person(), asking)

        started = time.monotonic()
        try:
            tallies = run(writer, ledger, lines, name, report.refused, let_wait)
            for tally in _with_progress(source, tallies):
                report.tally = tally
        except BaseException:
            click.echo("Not finished; run it again to go on. Known so far:", err=True)
            raise
        finally:
            report.close(time.monotonic() - started)
    if report.tally.refused:
        raise SystemExit(1)


def _mapping(file: Path, format_: str | None, mapping: Path | None) -> CsvMapping | None:
    """The mapping of a CSV file, None for JSON Lines."""
    format_ = format_ or FORMATS.get(file.suffix.lower())
    if format_ is None:
        raise click.UsageError(f"{file.name} ends in neither .csv nor .jsonl: say --format.")
    if format_ == "jsonl":
        if mapping is not None:
            raise click.UsageError("--mapping is for CSV files.")
        return None
    if mapping is None:
        raise click.UsageError("A CSV file needs --mapping: a TOML file that says what its columns mean.")
    return read_mapping(mapping)


def _open_rejects(stack: ExitStack, path: Path | None) -> TextIO | None:
    if path is None:
        return None
    try:
        return stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from error


class _Report:
    """Tells about refused lines as they come, and sums up at the end, however that came."""

    def __init__(self, rejects: TextIO | None) -> None:
        self.tally = Tally()
        self._rejects = rejects
        self._shown = 0

    def refused(self, refused: Refused) -> None:
        """Show the first SHOWN lines; write all."""
        line = refused.line
        if self._shown < SHOWN:
            self._shown += 1
            click.echo(f"line {line.number}: {refused.reason}", err=True)
        if self._rejects is not None:
            # Undecodable bytes stand in the text as lone surrogates, which JSON cannot carry.
            text = line.text.encode("utf-8", "backslashreplace").decode()
            record = {"line": line.number, "reason": refused.reason, "text": text.rstrip("\r\n")}
            self._rejects.write(msgspec.json.encode(record).decode() + "\n")

    def close(self, seconds: float) -> None:
        """The last line."""
        t = self.tally
        if t.refused > self._shown:
            where = f"are in {self._rejects.name}" if self._rejects else "can be written with --rejects FILE"
            click.echo(f"{t.refused - self._shown:,} more refused lines; all {where}.", err=True)
        rate = (t.posted + t.already) / seconds if seconds else 0.0
        click.echo(
            f"{t.posted:,} posted, {t.already:,} already there, {t.refused:,} refused"
            f"{f', {t.waiting:,} waiting for a second person' if t.waiting else ''}; "
            f"{rate:,.0f} transactions/s over {seconds:.1f} s."
        )


def _with_progress(source: Source, tallies: Iterator[Tally]) -> Iterator[Tally]:
    """The same tallies, with a bar by bytes on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from tallies
        return
    started = time.monotonic()
    columns = (
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]:>9,.0f} transactions/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=source.size, rate=0.0)
        for tally in tallies:
            done = tally.posted + tally.already
            rate = done / (time.monotonic() - started)
            progress.update(task, completed=source.position, rate=rate)
            yield tally
