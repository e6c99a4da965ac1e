"""`daybook audit`: four verdicts on a live ledger or an export, with the first event that offends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from api.console import show, show_json
from api.data_commands import as_json
from api.database import opened
from api.lazy_group import LazyGroup
from api.settings import Settings
from ledger.keeping import KEY_FILE, Keeping
from ledger.notes import NoteError, VerifierKey, verifier_key
from projections.audit import live, offline, stored
from projections.audit.completeness import KeptHead, read_kept
from projections.audit.live import quiet
from projections.audit.verdicts import Report, Verdict, unread


@click.group("audit", cls=LazyGroup, elsewhere={"export": "api.export_command:export_command"})
def audit() -> None:
    """Check that events are what they were, obey the ledger's laws, and that all else follows from them."""


def _keys(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> list[VerifierKey]:
    """Public keys, each as text or as the name of a file that holds one."""
    keys = []
    for value in values:
        text = value
        if Path(value).is_file():
            text = Path(value).read_text(encoding="utf-8", errors="replace").strip()
        try:
            keys.append(verifier_key(text))
        except NoteError as error:
            raise click.BadParameter(f"{value!r} is not a public key: {error}.") from error
    return keys


tree_heads = click.option(
    "--tree-head",
    "heads",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A tree head that you kept: shows that nothing since then is gone or rewritten. May be repeated.",
)
keys = click.option(
    "--key",
    "keys",
    multiple=True,
    callback=_keys,
    metavar="VKEY",
    help="A public key that tree heads must be signed by (name+id+key, or a file). May be repeated.",
)


@audit.command("check")
@click.option("--ledger", "names", multiple=True, metavar="LEDGER", help="All ledgers if absent.")
@tree_heads
@keys
@as_json
@click.pass_obj
def check_command(
    settings: Settings,
    names: tuple[str, ...],
    heads: tuple[Path, ...],
    keys: list[VerifierKey],
    json_: bool,
) -> None:
    """Audit ledgers of the database, which may be written meanwhile (exit code 1 when a verdict fails).

    They are compared with the tree heads that this installation keeps outside the database, and with yours.
    """
    keeping = Keeping(settings.keys_dir, settings.key_file)
    own = [keeping.verifier()] if (settings.key_file or settings.keys_dir / KEY_FILE).exists() else []
    given = read_kept(heads, keys or own)
    failed = 0
    with opened(settings) as database:
        ledgers = stored.ledgers(database.conninfo)
        wanted = names or tuple(ledgers)
        nameless = [] if names else stored.nameless(database.conninfo)
        if len(wanted) != 1 and given:
            raise click.UsageError("A tree head is one ledger's: say which with --ledger.")
        for name in wanted:
            kept = [
                *given,
                *(
                    KeptHead("of this installation", each.head, own=True)
                    for each in keeping.lives(ledgers.get(name, name))
                ),
            ]
            with _progress() as progress:
                report = live.check(database.conninfo, name, kept, progress)
            failed += _show(report, json_)
    for number in nameless:
        failed += _show(unread(f"the ledger of number {number} has no row of ledgers any more", 0.0), json_)
    if not names:
        here = set(ledgers.values())
        gone = {each.head.ledger: each.head for each in keeping.everything() if each.head.ledger not in here}
        for head in gone.values():
            failed += _show(live.missing(head), json_)
    if failed:
        raise SystemExit(1)


@audit.command("verify")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
@tree_heads
@keys
@as_json
def verify_command(folder: Path, heads: tuple[Path, ...], keys: list[VerifierKey], json_: bool) -> None:
    """Verify an export from its folder alone: no database, no network (exit code 1 when a verdict fails)."""
    try:
        with _progress() as progress:
            report = offline.verify(folder, heads, keys, progress)
    except OSError as error:
        raise click.ClickException(f"{error.filename or folder} cannot be read: {error.strerror}.") from error
    if _show(report, json_):
        raise SystemExit(1)


def _show(report: Report, json_: bool) -> bool:
    """A report as one line of JSON, or as a heading and a line a verdict; whether anything failed."""
    if json_:
        show_json(report)
        return not report.ok
    rate = report.size / report.seconds if report.seconds else 0
    click.echo(
        f"Ledger {report.ledger or 'unknown'} ({report.id}), incarnation {report.incarnation}:"
        f" {report.size:,} events in {report.seconds:.1f} s, {rate:,.0f}/s."
    )
    show(
        ("verdict", "", "event", "finding"), [_row(verdict) for verdict in report.verdicts], right=("event",)
    )
    return not report.ok


def _row(verdict: Verdict) -> tuple[str, str, str, str]:
    status = verdict.status.replace("_", " ")
    event = "" if verdict.seq is None else str(verdict.seq)
    return verdict.name, status, event, f"{verdict.sentence[0].upper()}{verdict.sentence[1:]}."


@contextmanager
def _progress() -> Iterator[live.Progress]:
    """A bar on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield quiet
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None)
            bar.update(tasks[what], completed=done, total=total or None)

        yield update
