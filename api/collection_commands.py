"""`daybook collections`: cases of loans in arrears, for those who work on them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, get_args

import click
import msgspec

from api.console import explain, money, show, show_json
from api.data_commands import as_json
from api.database import reading, writing
from api.settings import Settings
from ledger import collection_reads as reads
from ledger import commands as c
from ledger.batch import Recorded, Refusal, Request
from ledger.loan_reads import LoanNotFound
from ledger.loans import collection_commands as cc
from ledger.loans.case import CaseStatus, Outcome
from ledger.loans.terms import Id

ACTOR = "daybook collections"
_COLUMNS = ("loan", "case", "status", "opened", "assignee", "notes", "promises")

_ledger = click.argument("ledger")
_loan = click.argument("loan")
_assignee = click.option("--assignee", help="Who works on it.")


@click.group("collections")
def collection_group() -> None:
    """Collection cases of loans in arrears: look at them, note on them, enter promises to pay."""


@collection_group.command("list")
@_ledger
@click.option("--status", type=click.Choice(get_args(CaseStatus)), help="Only these; else all but closed.")
@_assignee
@click.option("--after", default="", help="Go on beyond this loan's name.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@as_json
@click.pass_obj
def list_command(
    settings: Settings,
    ledger: str,
    status: CaseStatus | None,
    assignee: str | None,
    after: str,
    limit: int,
    json_: bool,
) -> None:
    """Cases by the loan's name."""
    with reading(settings) as reader:
        page = reads.cases(reader, ledger, status=status, assignee=assignee, after=after, limit=limit)
    if json_:
        show_json(page)
        return
    show(_COLUMNS, [_row(line) for line in page.cases], right=("notes", "promises"))
    if page.next is not None:
        click.echo(f"There may be more: --after {page.next}", err=True)


def _row(line: reads.CaseLine) -> tuple[str, ...]:
    opened = line.opened.isoformat()
    return (
        line.loan,
        str(line.case),
        line.status,
        opened,
        line.assignee,
        str(line.notes),
        str(line.promises),
    )


@collection_group.command("show")
@_ledger
@_loan
@as_json
@click.pass_obj
def show_command(settings: Settings, ledger: str, loan: str, json_: bool) -> None:
    """The last case of a loan: its promises as payments keep them, and its last notes."""
    with reading(settings) as reader:
        try:
            case = reads.case(reader, ledger, loan)
        except LoanNotFound:
            raise click.ClickException(f"There is no loan {loan}.") from None
        except reads.CaseNotFound:
            raise click.ClickException(f"{loan} never had a collection case.") from None
        if json_:
            show_json(case)
            return
        whose = f", {case.assignee}" if case.assignee else ""
        click.echo(
            f"{loan}, case {case.case}: {case.status}{whose}; since {case.opened}, "
            f"{case.days_past_due} days past due today."
        )
        promised = [(str(p.promise), money(p.amount, p.asset), str(p.by), p.outcome) for p in case.promises]
        show(("promise", "amount", "by", "outcome"), promised, right=("amount",))
        after: int | None = 0
        noted = []
        while after is not None:
            page = reads.notes(reader, ledger, loan, after, 1_000)
            noted += [(n.recorded_at, n.actor, n.text) for n in page.notes if n.case == case.case]
            after = page.next
        show(("noted at", "by", "note"), noted)


def _ask(settings: Settings, ledger: str, loan: str, type: type[cc.CollectionCommand], **fields: Any) -> None:
    """One command about a loan's cases; a refusal fails."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        name, body = msgspec.convert(loan, Id), msgspec.convert(given, type)
    except msgspec.ValidationError as error:
        raise click.ClickException(str(error)) from None
    with writing(settings) as (writer, reader):
        reader.ledger(ledger)
        [outcome] = writer.execute(ledger, Request([c.command(body, name, actor=ACTOR)]))
    if isinstance(outcome, Refusal):
        raise click.ClickException(explain(outcome.rejection))
    assert isinstance(outcome, Recorded)
    click.echo(f"Recorded as seq {outcome.event.seq}.")


@collection_group.command("open")
@_ledger
@_loan
@_assignee
@click.pass_obj
def open_command(settings: Settings, ledger: str, loan: str, assignee: str | None) -> None:
    """Open a case by hand."""
    _ask(settings, ledger, loan, cc.CaseOpening, assignee=assignee)


@collection_group.command("change")
@_ledger
@_loan
@_assignee
@click.option("--status", type=click.Choice(["open", "on_hold", "legal"]))
@click.pass_obj
def change_command(
    settings: Settings, ledger: str, loan: str, assignee: str | None, status: str | None
) -> None:
    """Assign a case, or say how it goes on."""
    _ask(settings, ledger, loan, cc.CaseChange, assignee=assignee, status=status)


@collection_group.command("note")
@_ledger
@_loan
@click.argument("text")
@click.pass_obj
def note_command(settings: Settings, ledger: str, loan: str, text: str) -> None:
    """Note something. It stays for ever: refer to personal data, do not write them."""
    _ask(settings, ledger, loan, cc.CaseNote, text=text)


@collection_group.command("promise")
@_ledger
@_loan
@click.argument("amount", type=click.IntRange(1))
@click.option("--by", type=click.DateTime(["%Y-%m-%d"]), required=True, help="The last day to pay it.")
@click.pass_obj
def promise_command(settings: Settings, ledger: str, loan: str, amount: int, by: datetime) -> None:
    """Enter that the borrower promises to pay AMOUNT minor units by the end of a day."""
    _ask(settings, ledger, loan, cc.PaymentPromise, amount=amount, by=by.date())


@collection_group.command("close")
@_ledger
@_loan
@click.option("--outcome", type=click.Choice(get_args(Outcome)), required=True)
@click.option("--reason")
@click.pass_obj
def close_command(settings: Settings, ledger: str, loan: str, outcome: Outcome, reason: str | None) -> None:
    """Close a case."""
    _ask(settings, ledger, loan, cc.CaseClosing, outcome=outcome, reason=reason)
