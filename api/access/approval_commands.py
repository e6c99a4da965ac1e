"""`daybook approval`: what waits for a second person, decided at the console."""

from __future__ import annotations

from uuid import UUID

import click

from api.access.approvals import ApprovalView
from api.access.at_console import approvals_of, person
from api.console import explain, show, show_json
from api.data_commands import as_json
from api.database import writing
from api.settings import Settings
from ledger.text import whose

MOST = 100


_ledger = click.argument("ledger")
_id = click.argument("id", type=click.UUID)


@click.group("approval")
def approval_group() -> None:
    """Decide on what waits for a second person."""


@approval_group.command("list")
@_ledger
@click.option("--all", "all_", is_flag=True, help="Also what was decided, or was not in time.")
@as_json
@click.pass_obj
def list_command(settings: Settings, ledger: str, all_: bool, json_: bool) -> None:
    """Show what waits in a ledger, newest first."""
    tenant, name = whose(ledger)
    found: list[ApprovalView] = []
    with approvals_of(settings) as approvals:
        while page := approvals.page(tenant, name, found[-1].id if found else None, MOST, pending=not all_):
            found += page
    if json_:
        for each in found:
            show_json(each)
        return
    show(("id", "asked", "by", "for", "amount", "status"), map(_row, found), ("amount",))


def _row(approval: ApprovalView) -> tuple[str, ...]:
    amount, asset = approval.evidence["amount"], approval.evidence["asset"]
    return (
        str(approval.id),
        f"{approval.asked_at:%Y-%m-%d %H:%M}",
        approval.asked_by,
        f"{approval.operation}{f' x {approval.commands}' if approval.commands > 1 else ''}",
        f"{amount or 'no limit'} {asset}",
        _status(approval),
    )


def _status(approval: ApprovalView) -> str:
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    seq = f", seq {approval.seq}" if approval.seq else ""
    why = f": {explain(approval.rejection)}" if approval.rejection else ""
    return f"{approval.status}{by}{seq}{why}"


@approval_group.command("show")
@_ledger
@_id
@click.pass_obj
def show_command(settings: Settings, ledger: str, id: UUID) -> None:
    """Show one, with all that was asked, as JSON."""
    with approvals_of(settings) as approvals:
        show_json(approvals.details(*whose(ledger), id))


@approval_group.command("approve")
@_ledger
@_id
@click.pass_obj
def approve_command(settings: Settings, ledger: str, id: UUID) -> None:
    """Approve what somebody else asked for; it takes place at once. Safe to give again."""
    with writing(settings) as (writer, reader), approvals_of(settings) as approvals:
        done = approvals.approve(*whose(ledger), id, person(), writer.execute, reader, ledger)
    if done.status != "posted":
        raise click.ClickException(f"It is {_status(done)}")
    click.echo(f"It is {_status(done)}.")


@approval_group.command("reject")
@_ledger
@_id
@click.option("--reason", required=True, help="Why; it is kept with the approval.")
@click.pass_obj
def reject_command(settings: Settings, ledger: str, id: UUID, reason: str) -> None:
    """Reject what somebody else asked for."""
    with approvals_of(settings) as approvals:
        click.echo(f"It is {_status(approvals.reject(*whose(ledger), id, person(), reason))}.")
