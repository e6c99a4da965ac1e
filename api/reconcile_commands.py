"""`daybook reconcile`: compare an account with a bank statement, see what differs, resolve it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from adapters.statements.amounts import StatementError
from adapters.statements.csv_file import read_columns
from api import reconciling
from api.bank_side import BankComparison, Statement, run_name
from api.console import explain, show, show_json
from api.data_commands import as_json
from api.database import opened, reading, writing
from api.import_files import InputError
from api.lazy_group import LazyGroup
from api.settings import Settings
from api.sides import Asking, SideUnavailable, period_of, sides_of
from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.batch import Refusal, Request
from ledger.reader import Reader, TransactionNotFound
from ledger.reconciliation.commands import ResolveItem, RunName
from ledger.reconciliation.items import OUTCOMES
from ledger.reconciliation.streams import Run
from ledger.writer import Writer
from projections.reconciliation_schedules import name_of

PAGE = 100


@click.group(
    "reconcile",
    cls=LazyGroup,
    elsewhere={
        "run-due": "api.schedule_commands:run_due_command",
        "schedule": "api.schedule_commands:schedule_command",
        "schedules": "api.schedule_commands:schedules_command",
        "vouchers": "api.reconcile_vouchers:vouchers_command",
        "three-way": "api.reconcile_vouchers:three_way_command",
    },
)
def reconcile_group() -> None:
    """Compare the ledger with what somebody outside says, and settle what differs."""


@contextmanager
def sentences(file: Path | None = None) -> Iterator[None]:
    """Says what went wrong, in one sentence."""
    try:
        yield
    except (StatementError, OSError, UnicodeError, LookupError) as error:
        if isinstance(error, reads.RunNotFound):
            raise click.ClickException(f"There is no reconciliation {error}.") from error
        if isinstance(error, TransactionNotFound):
            raise click.ClickException(f"There is no transaction {error}.") from error
        if file is None or (isinstance(error, LookupError) and "encoding" not in str(error)):
            raise
        raise InputError(f"{file}: {error}") from error
    except reconciling.RunRefused as error:
        raise click.ClickException(f"Refused: {explain(error.rejection)}") from error


@reconcile_group.command("bank")
@click.argument("ledger")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--account", required=True, metavar="ADDRESS", help="The bank account in the ledger.")
@click.option(
    "--mapping", type=click.Path(path_type=Path), help="TOML file: what the columns of a CSV file mean."
)
@click.option("--statement-account", default="", metavar="IBAN", help="Which account of a camt.053 file.")
@click.option(
    "--window-days",
    type=click.IntRange(0, 366),
    default=3,
    show_default=True,
    help="How many days the ledger and the bank may be apart, where no reference tells.",
)
@click.option(
    "--closing-balance",
    "closing",
    default="",
    metavar="AMOUNT",
    help="What the account held at the end of the statement's last day, where the file does not say it.",
)
@click.option("--run", "name", help="Names the run; by the file and the options if absent.")
@as_json
@click.pass_obj
def bank_command(
    settings: Settings,
    ledger: str,
    file: Path,
    account: str,
    mapping: Path | None,
    statement_account: str,
    window_days: int,
    closing: str,
    name: str | None,
    json_: bool,
) -> None:
    """Compare an account with a bank statement: camt.053, or CSV with --mapping.

    The same file with the same options is one run, however often the command is given: to compare it anew,
    name another run.
    """
    with writing(settings) as (writer, reader), sentences(file):
        columns = None if mapping is None else read_columns(mapping.read_text("utf-8"))
        statement = Statement(
            file=file,
            title=file.name,
            columns=columns,
            of_account=statement_account,
            closing=closing,
        )
        comparison = BankComparison(reader, ledger, account, statement, window_days)
        run = msgspec.convert(name or run_name(comparison.about, statement), RunName)
        with compared() as progress, TemporaryDirectory(prefix="daybook-reconcile-") as folder:
            done = reconciling.run(writer, reader, ledger, run, comparison, Path(folder), progress)
    show_run(done, json_)


@reconcile_group.command("stripe")
@click.argument("ledger")
@click.option(
    "--from", "first", type=click.DateTime(["%Y-%m-%d"]), required=True, help="From a day of the ledger's on."
)
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="To the end of a day (the first day).")
@click.option("--run", "name", help="Names the run; by the days if absent.")
@as_json
@click.pass_obj
def stripe_command(
    settings: Settings, ledger: str, first: datetime, last: datetime | None, name: str | None, json_: bool
) -> None:
    """Compare clearing and payouts with Stripe's balance, balance transactions and payouts.

    Each time is a new run, `NAME.2` after `NAME`; one that was interrupted is gone on with.
    """
    with opened(settings) as database:
        side = sides_of(settings.work, database.conninfo).get("stripe")
        if side is None:
            raise click.ClickException("STRIPE_SECRET_KEY is not set: Stripe answers nobody without it.")
        with (
            closing(Reader(database.conninfo, 1)) as reader,
            closing(Writer(database.conninfo, connections=2)) as writer,
            sentences(),
            compared() as progress,
        ):
            start, end = first.date(), (last or first).date()
            zone = reader.ledger(ledger).time_zone
            try:
                period = period_of(start, end, zone, datetime.now(UTC))
                base = msgspec.convert(name or name_of("stripe", start, end), RunName)
                done = side.run(Asking(writer, reader, ledger, *period, base, True, progress))
            except (ValueError, SideUnavailable) as error:
                raise click.ClickException(f"{error}") from error
    show_run(done, json_)


@contextmanager
def compared() -> Iterator[Callable[[int], None]]:
    """Shows how many items of both sides were read."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("compared", total=None)
        yield lambda count: progress.update(task, completed=count)


def show_run(run: Run, json_: bool) -> None:
    if json_:
        show_json(run)
        return
    about = run.account or run.source
    days = f", {run.first_day} to {run.last_day}" if run.last_day else ""
    found = ", ".join(f"{run.counts[name]:,} {name}" for name in OUTCOMES if run.counts.get(name))
    click.echo(f"{run.run}: {about}{days}, at seq {run.known_at}.")
    click.echo(f"{run.match_rate} % match ({found or 'nothing on either side'}); {run.unresolved:,} open.")
    if run.kinds:
        click.echo(f"Of these: {', '.join(f'{number:,} {kind}' for kind, number in run.kinds.items())}.")


@reconcile_group.command("list")
@click.argument("ledger")
@as_json
@click.pass_obj
def list_command(settings: Settings, ledger: str, json_: bool) -> None:
    """Show the reconciliations of a ledger by name."""
    with reading(settings) as reader:
        found: list[Run] = []
        while page := reads.runs(reader, ledger, found[-1].run if found else "", PAGE):
            found += page
    if json_:
        for run in found:
            show_json(run)
        return
    show(
        ("run", "account", "source", "status", "match", "items", "open"),
        (
            (
                run.run,
                run.account,
                run.source,
                run.status,
                run.match_rate,
                str(run.items),
                str(run.unresolved),
            )
            for run in found
        ),
        ("match", "items", "open"),
    )


@reconcile_group.command("show")
@click.argument("ledger")
@click.argument("run")
@click.option("--open", "only_open", is_flag=True, help="Only what nobody has resolved.")
@as_json
@click.pass_obj
def show_command(settings: Settings, ledger: str, run: str, only_open: bool, json_: bool) -> None:
    """Show what did not match in a run."""
    with reading(settings) as reader, sentences():
        found = (item for item in reads.items(reader, ledger, run) if not (only_open and item.resolution))
        if json_:
            for item in found:
                show_json(item)
            return
        show(("item", "outcome", "here", "there", "resolved"), map(_row, found))


def _row(item: reads.ItemView) -> tuple[str, ...]:
    resolved = ""
    if item.resolution is not None:
        by = item.resolution.transaction
        resolved = "; ".join(filter(None, ("" if by is None else f"seq {by}", item.resolution.explanation)))
    return item.item, item.kind or item.outcome, _side(item.here), _side(item.there), resolved


def _side(items: Iterable[dict[str, str]]) -> str:
    shown = ("day", "id", "reference", "amount", "asset", "status")
    return "; ".join(
        " ".join([*(each[name] for name in shown if name in each), *_fee(each)]) for each in items
    )


def _fee(item: dict[str, str]) -> list[str]:
    return [f"fee {item['fee']}"] if "fee" in item else []


@reconcile_group.command("resolve")
@click.argument("ledger")
@click.argument("run")
@click.argument("item")
@click.option("--transaction", type=int, metavar="SEQ", help="The transaction that corrects it.")
@click.option("--explanation", default="", help="Why it needs none, or what was done.")
@click.pass_obj
def resolve_command(
    settings: Settings, ledger: str, run: str, item: str, transaction: int | None, explanation: str
) -> None:
    """Settle an item by a correcting transaction, an explanation, or both."""
    asked = {"run": run, "item": item, "transaction": transaction, "explanation": explanation}
    body = msgspec.convert(asked, ResolveItem)
    with writing(settings) as (writer, reader), sentences():
        if transaction is not None:
            reader.transaction(ledger, transaction)
        [outcome] = writer.execute(ledger, Request([c.command(body, actor=reconciling.ACTOR)]))
    if isinstance(outcome, Refusal):
        raise click.ClickException(f"Refused: {explain(outcome.rejection)}")
    click.echo(f"Resolved {item} of {run}.")
