"""`daybook loans`: the daily run over all loans of a ledger, and a look at them."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from itertools import count

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.console import explain, money, show, show_json
from api.data_commands import as_json
from api.database import reading, writing
from api.loan_run import LoanRun
from api.settings import Settings
from ledger import commands as c
from ledger import loan_reads as reads
from ledger.batch import Refusal
from projections.arrears_reads import portfolio_at_risk

SHOWN = 20
_FIGURES = ("loans", "outstanding", "at risk")

_on = click.option("--on", type=click.DateTime(["%Y-%m-%d"]), help="A day of the ledger's time zone.")


@click.group("loans")
def loan_group() -> None:
    """Run over the loans of a ledger day by day, look at them."""


@loan_group.command("run")
@click.argument("ledger")
@_on
@click.option("--provision", is_flag=True, help="Bring allowances to what is expected to be lost, too.")
@click.pass_obj
def run_command(settings: Settings, ledger: str, on: datetime | None, provision: bool) -> None:
    """Bring every loan to the end of a day that is over: yesterday, unless --on says which.

    It accrues, says which instalments fell due or were missed, opens and closes collection cases by ageing,
    and records promises that were kept or broken. Running it again goes on where it ended.
    """
    began = time.monotonic()
    with writing(settings) as (writer, reader):
        today = reads.today(reader, ledger)
        day = today - timedelta(days=1) if on is None else on.date()
        if day >= today:
            raise click.BadParameter(f"{day} is not over in the ledger's time zone.", param_hint="--on")
        shown = count(1)

        def refused(command: c.Command, refusal: Refusal) -> None:
            if next(shown) <= SHOWN:
                click.echo(f"{command.subject}: {explain(refusal.rejection)}", err=True)

        run = LoanRun(writer, reader, ledger, day, provision=provision, refusals=refused)
        with _progress() as progress:
            task = progress.add_task("", total=reads.count(reader, ledger))
            for done in run.go():
                progress.update(task, completed=done)
    seconds = time.monotonic() - began
    click.echo(
        f"{day}: {run.looked_at:,} loans, {run.recorded:,} events, {run.already:,} already there, "
        f"{run.refused:,} refused; {run.looked_at / seconds:,.0f} loans/s over {seconds:.1f} s."
    )
    if run.refused:
        raise SystemExit(1)


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("loans"), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


@loan_group.command("show")
@click.argument("ledger")
@click.argument("loan")
@_on
@as_json
@click.pass_obj
def show_command(settings: Settings, ledger: str, loan: str, on: datetime | None, json_: bool) -> None:
    """A loan's schedule and what is owed, today or on a day."""
    with reading(settings) as reader:
        try:
            found = reads.loan(reader, ledger, loan, None if on is None else on.date())
        except reads.LoanNotFound:
            raise click.ClickException(f"There is no loan {loan}.") from None
    if json_:
        show_json(found)
        return
    position = found.position
    if position is None:
        click.echo(f"{found.loan}: {found.status}, {money(found.requested, found.asset)} asked for.")
        return
    owed, due = money(position.owed.total, found.asset), money(position.due.total, found.asset)
    click.echo(f"{found.loan} on {position.on}: {found.status}, {owed} owed, {due} of it due.")
    show(
        ("due", "principal", "interest", "status"),
        [
            (
                row.due.isoformat(),
                money(row.principal, found.asset),
                money(row.interest, found.asset),
                row.status,
            )
            for row in position.schedule
        ],
        right=("principal", "interest"),
    )


@loan_group.command("at-risk")
@click.argument("ledger")
@_on
@as_json
@click.pass_obj
def at_risk_command(settings: Settings, ledger: str, on: datetime | None, json_: bool) -> None:
    """The portfolio at risk and the ageing buckets, today or as of a day."""
    with reading(settings) as reader:
        head = reader.ledger(ledger).seq
        found = portfolio_at_risk(reader, ledger, None if on is None else on.date())
    if found.seq < head:
        click.echo(
            f"From events up to {found.seq} of {head}; `daybook projections run` brings the rest.", err=True
        )
    if json_:
        show_json(found)
        return
    rows = []
    for of in found.assets:
        total = ("all", of.loans, of.outstanding, "")
        risked = [(line.name, line.loans, line.outstanding, f"{line.ratio} %") for line in of.at_risk]
        buckets = [(line.bucket, line.loans, line.outstanding, "") for line in of.buckets]
        rows += [
            (of.asset, of.funding, name, str(loans), money(amount, of.asset), ratio)
            for name, loans, amount, ratio in (total, *risked, *buckets)
        ]
    show(("asset", "funding", "past due", "loans", "outstanding", "at risk"), rows, right=_FIGURES)
