"""The commands on time: `daybook period close | reopen | list` and `daybook assert`."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from api.access.at_console import refuse
from api.console import moment, show, show_json
from api.data_commands import as_json, check_key
from api.database import reading, writing
from api.settings import Settings
from ledger import commands as c
from ledger.batch import Recorded, Refusal, Replayed, Request
from ledger.closing import close_period
from ledger.period_reads import period_event, periods
from ledger.periods import days_of
from ledger.views import Acknowledged, ClosingView, PeriodEvent

PAGE = 1_000
ACTOR = "daybook period"

_ledger = click.argument("ledger")
_key = click.option("--key", help="Idempotency key: asking again with it does nothing twice.")


def _checked(context: click.Context, parameter: click.Parameter, value: str) -> str:
    try:
        days_of(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not a year, quarter, month or day: 2026, 2026-Q3, 2026-10, 2026-10-15."
        ) from None
    return value


_period = click.argument("period", callback=_checked)


@click.group("period")
def period_group() -> None:
    """Close periods, reopen them, list them."""


@period_group.command("close")
@_ledger
@_period
@click.option("--retained-earnings", metavar="ACCOUNT", help="Post closing entries to this equity account.")
@_key
@as_json
@click.pass_obj
def close_command(
    settings: Settings, ledger: str, period: str, retained_earnings: str | None, key: str | None, json_: bool
) -> None:
    """Close a period that is over: nothing more can count inside it until it is reopened.

    With --retained-earnings, income and expense are brought to zero as of its end. When that fails on the
    way, give the command again.
    """
    check_key(key)
    body = msgspec.convert({"retained_earnings": retained_earnings}, c.PeriodClosing)
    with writing(settings) as (writer, reader):
        command = c.command(body, period, key=key, actor=ACTOR)
        closed = close_period(writer.execute, reader, ledger, command)
        if isinstance(closed, Refusal):
            refuse(settings, ledger, command, closed, json_)
        event = period_event(reader, ledger, closed.seq)
    if json_:
        show_json(ClosingView(**msgspec.structs.asdict(event), closing_entries=closed.entries))
        return
    click.echo(f"{'Was closed before, with this key' if closed.replayed else 'Closed'}: {_about(event)}.")
    if closed.entries:
        click.echo(f"Closing entries: seq {', '.join(map(str, closed.entries))}.")


@period_group.command("reopen")
@_ledger
@_period
@click.option("--reason", required=True, help="Why; it stays in the ledger.")
@click.option("--closed-seq", type=int, help="Only if this event closed it.")
@_key
@as_json
@click.pass_obj
def reopen_command(
    settings: Settings,
    ledger: str,
    period: str,
    reason: str,
    closed_seq: int | None,
    key: str | None,
    json_: bool,
) -> None:
    """Open a closed period again."""
    body = msgspec.convert({"reason": reason, "closed_seq": closed_seq}, c.PeriodReopening)
    done = _acknowledged(settings, ledger, body, period, key, json_)
    if json_:
        show_json(done)
    else:
        click.echo(f"Reopened {period} as seq {done.seq}.")


@period_group.command("list")
@_ledger
@as_json
@click.pass_obj
def list_command(settings: Settings, ledger: str, json_: bool) -> None:
    """Show every closing and reopening, and which closings are in force (JSON: one a line)."""
    after: int | None = 0
    with reading(settings) as reader:
        in_force = {each.closed_seq for each in periods(reader, ledger, 0, 1).closed}
        events: list[PeriodEvent] = []
        while after is not None:
            page = periods(reader, ledger, after, PAGE)
            events += page.history
            after = page.next
    if json_:
        for event in events:
            show_json(event)
        return
    show(
        ("seq", "recorded", "period", "what"),
        (_row(event, event.seq in in_force) for event in events),
        ("seq",),
    )


def _row(event: PeriodEvent, in_force: bool) -> tuple[str, ...]:
    what = f"reopened: {event.reason}"
    if event.type == "period_closed":
        what = "closed" if in_force else "closed, no longer"
    return str(event.seq), moment(event.recorded_at), event.period, what


def _about(event: PeriodEvent) -> str:
    assert event.starts_at is not None
    assert event.ends_at is not None
    return f"{event.period}, {moment(event.starts_at)} to {moment(event.ends_at)}, by seq {event.seq}"


@click.command("assert")
@_ledger
@click.argument("account")
@click.option("--asset", required=True, help="Code and scale, such as USD/2.")
@click.option(
    "--at", required=True, metavar="DATE|MOMENT", help="2026-10-31, its end, or 2026-10-31T22:00:00Z."
)
@click.option(
    "--expected",
    required=True,
    metavar="AMOUNT",
    help="Posted balance on the account's normal side, in minor units; may be negative.",
)
@click.option("--tolerance", default="0", metavar="AMOUNT", help="How far off it may be, in minor units.")
@click.option("--source", required=True, help="Who says so, such as 'bank statement 2026-10'.")
@click.option("--reference", default="")
@_key
@as_json
@click.pass_obj
def assert_command(settings: Settings, /, ledger: str, key: str | None, json_: bool, **given: Any) -> None:
    """Record what a balance must have been; it is checked from then on, whatever is posted later."""
    body = msgspec.convert(given, c.BalanceAssertion)
    done = _acknowledged(settings, ledger, body, "", key, json_)
    if json_:
        show_json(done)
    else:
        click.echo(f"Recorded as seq {done.seq}.")


def _acknowledged(
    settings: Settings, ledger: str, body: c.Body, subject: str, key: str | None, json_: bool
) -> Acknowledged:
    check_key(key)
    command = c.command(body, subject, key=key, actor=ACTOR)
    with writing(settings) as (writer, reader):
        [outcome] = writer.execute(ledger, Request([command]))
        if isinstance(outcome, Refusal):
            refuse(settings, ledger, command, outcome, json_)
        if isinstance(outcome, Replayed):
            [entry] = reader.entries(ledger, [outcome.seq])
            return Acknowledged(entry.seq, entry.type, entry.recorded_at)
    assert isinstance(outcome, Recorded)
    return Acknowledged(outcome.event.seq, outcome.event.type, outcome.event.recorded_at)
