"""`daybook loans`: the daily run over all loans of a ledger, and a look at them.

A run can end anywhere and be repeated: what it asks of a loan for a day has a key of its own, so nothing is
done twice, and every loan is accrued and provided for by itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from api.console import explain, money, show, show_json
from api.data_commands import as_json
from api.database import reading, writing
from api.settings import Settings
from ledger import commands as c
from ledger import loan_reads as reads
from ledger.batch import Recorded, Refusal, Request
from ledger.days import end_of
from ledger.errors import WriterError
from ledger.loans import commands as loan_commands
from ledger.loans.state import Loan
from ledger.reader import Reader
from ledger.writer import Answer, Writer
from projections.arrears_reads import portfolio_at_risk

IN_FLIGHT = 4
SHOWN = 20
ACTOR = "daybook loans"
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
    """Accrue every active loan to the end of a day that is over: yesterday, unless --on says which.

    Running it again goes on where it ended.
    """
    began = time.monotonic()
    with writing(settings) as (writer, reader):
        today = reads.today(reader, ledger)
        day = today - timedelta(days=1) if on is None else on.date()
        if day >= today:
            raise click.BadParameter(f"{day} is not over in the ledger's time zone.", param_hint="--on")
        run = _Run(writer, reader, ledger, day, provision)
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


class _Run:
    """A day's commands on their way, at most IN_FLIGHT batches at once, in order of the loans' names."""

    def __init__(self, writer: Writer, reader: Reader, ledger: str, day: date, provision: bool) -> None:
        self._writer, self._reader, self._ledger = writer, reader, ledger
        self._day, self._provision = day, provision
        zone = ZoneInfo(reader.ledger(ledger).time_zone)
        self._effective_at = end_of(day, zone) - timedelta(microseconds=1)
        self.looked_at = self.recorded = self.already = self.refused = 0

    def go(self) -> Iterator[int]:
        """Ask for a page of loans after another; yields how many are done (WriterError)."""
        under_way: deque[tuple[int, list[c.Command], Future[Answer]]] = deque()
        for page in reads.every(self._reader, self._ledger):
            commands = [command for loan in page for command in self._wanted(loan)]
            answer: Future[Answer] = Future()
            if commands:
                self._writer.submit(self._ledger, Request(commands), answer.set_result)
            else:
                answer.set_result([])
            under_way.append((len(page), commands, answer))
            if len(under_way) == IN_FLIGHT:
                yield self._settle(*under_way.popleft())
        while under_way:
            yield self._settle(*under_way.popleft())

    def _wanted(self, loan: Loan) -> Iterator[c.Command]:
        if loan.status != "active" or loan.book is None:
            return
        if loan.book.accrued_to < self._day:
            yield self._command(loan_commands.Accrual(effective_at=self._effective_at), loan)
        if self._provision and loan.book.accrued_to <= self._day:
            yield self._command(loan_commands.Provisioning(effective_at=self._effective_at), loan)

    def _command(self, body: loan_commands.LoanCommand, loan: Loan) -> c.Command:
        return c.command(body, loan.loan, key=f"{body.operation}:{loan.loan}:{self._day}", actor=ACTOR)

    def _settle(self, loans: int, commands: list[c.Command], future: Future[Answer]) -> int:
        answer = future.result()
        if isinstance(answer, WriterError):
            raise answer
        for command, outcome in zip(commands, answer, strict=True):
            if isinstance(outcome, Refusal):
                self.refused += 1
                if self.refused <= SHOWN:
                    click.echo(f"{command.subject}: {explain(outcome.rejection)}", err=True)
            elif isinstance(outcome, Recorded):
                self.recorded += 1
            else:
                self.already += 1
        self.looked_at += loans
        return self.looked_at


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
