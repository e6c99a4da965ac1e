"""`daybook inbox`: webhooks that came in, and those that somebody must look at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from adapters.inbox import desk
from adapters.inbox.connections import connect
from adapters.inbox.desk import WebhookNotFound, WebhookSettled, WebhookView
from adapters.inbox.settling import Settler
from api.console import moment, show, show_json
from api.data_commands import as_json
from api.database import opened
from api.settings import Settings
from ledger.reader import Reader
from ledger.text import whose
from ledger.wire import Connection
from ledger.writer import Writer

PAGE = 1_000
PATIENCE_SECONDS = 10.0
ASK_AGAIN_SECONDS = 0.1
STATES = ("received", "posted", "ignored", "parked", "failed")

_ledger = click.argument("ledger")


@click.group("inbox")
def inbox_group() -> None:
    """Show webhooks that came in, and try those again that were not posted."""


@contextmanager
def _inbox(settings: Settings, ledger: str) -> Iterator[tuple[str, Connection]]:
    """The database's conninfo and a connection of the inbox; the ledger is there (LedgerNotFound)."""
    with opened(settings) as database:
        with closing(Reader(database.conninfo, 1)) as reader:
            reader.incarnation(ledger)
        with connect(database.conninfo) as connection:
            yield database.conninfo, connection


@inbox_group.command("list")
@_ledger
@click.option("--state", type=click.Choice(STATES), default="parked", show_default=True)
@click.option("--all", "all_", is_flag=True, help="In whatever state.")
@click.option("--provider", help="Only of this provider.")
@as_json
@click.pass_obj
def list_command(
    settings: Settings, ledger: str, state: str, all_: bool, provider: str | None, json_: bool
) -> None:
    """Show webhooks and their reasons, in the order of their coming (JSON: one a line)."""
    found: list[WebhookView] = []
    with _inbox(settings, ledger) as (_, connection):
        while page := desk.webhooks(
            connection, ledger, None if all_ else state, provider, found[-1].number if found else 0, PAGE
        ):
            found += page
    if json_:
        for each in found:
            show_json(each)
        return
    columns = ("number", "received", "provider", "type", "subject", "state", "reason", "detail")
    show(columns, map(_row, found), ("number",))


def _row(webhook: WebhookView) -> tuple[str, ...]:
    return (
        str(webhook.number),
        moment(webhook.received_at),
        webhook.provider,
        webhook.type,
        webhook.subject,
        webhook.state,
        webhook.reason or "",
        webhook.detail or "",
    )


@inbox_group.command("show")
@_ledger
@click.argument("number", type=click.IntRange(1))
@as_json
@click.pass_obj
def show_command(settings: Settings, ledger: str, number: int, json_: bool) -> None:
    """Show a webhook as it came, and what became of it."""
    with _inbox(settings, ledger) as (_, connection), _sentences(number):
        whole = desk.webhook(connection, ledger, number)
    if json_:
        show_json(whole)
        return
    columns, row = ("state", "reason", "detail", "events"), whole.webhook
    seqs = ", ".join(map(str, row.seqs or ()))
    show(columns, [(row.state, row.reason or "", row.detail or "", seqs)])
    click.echo()
    for name, value in whole.headers:
        click.echo(f"{name}: {value}")
    click.echo(f"\n{whole.body}")


@inbox_group.command("replay")
@_ledger
@click.argument("numbers", type=click.IntRange(1), nargs=-1)
@click.option("--parked", is_flag=True, help="All that are parked, instead of some numbers.")
@click.option("--reason", help="Of the parked ones, only those for this reason.")
@click.pass_obj
def replay_command(
    settings: Settings, ledger: str, numbers: tuple[int, ...], parked: bool, reason: str | None
) -> None:
    """Try webhooks again, now (exit code 1 when one is not posted or ignored)."""
    if bool(numbers) == (parked or reason is not None):
        raise click.UsageError("Say either which numbers, or --parked, perhaps with --reason.")
    left = 0
    with (
        _inbox(settings, ledger) as (conninfo, connection),
        closing(Writer(conninfo, connections=1)) as writer,
    ):
        for number in numbers:
            with _sentences(number):
                desk.replay(connection, ledger, number)
        asked = numbers or desk.replay_parked(connection, ledger, reason)
        settler = Settler(writer.submit)
        for number in asked:
            left += _tried(connection, settler, ledger, number)
    if left:
        raise click.ClickException(f"{left} of {len(asked)} are still not settled.")


def _tried(connection: Connection, settler: Settler, ledger: str, number: int) -> bool:
    """Settle one and say what became of it; whether something is left to do."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        settler.settle(connection, whose(ledger)[0], number)
        row = desk.webhook(connection, ledger, number).webhook
        # A service may have taken it up before this process did.
        if row.state != "received" or row.attempts or time.monotonic() >= deadline:
            break
        time.sleep(ASK_AGAIN_SECONDS)
    seqs = f" as {', '.join(map(str, row.seqs))}" if row.seqs else ""
    why = f": {row.reason}: {row.detail}" if row.reason else ""
    click.echo(f"{number} {row.state}{seqs}{why}")
    return row.state not in ("posted", "ignored")


@contextmanager
def _sentences(number: int) -> Iterator[Any]:
    try:
        yield
    except WebhookNotFound as error:
        raise click.ClickException(f"The ledger's inbox has no webhook {number}.") from error
    except WebhookSettled as error:
        raise click.ClickException(f"Webhook {number} was posted, or waits to be.") from error
