"""The commands that put something into a ledger, and its balances: open, post, balance.

Amounts go in as whole minor units; people are shown them with the scale of their asset, machines (`--json`)
as minor units again.
"""

from __future__ import annotations

import re
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from api.access.at_console import refuse
from api.console import explain, moment, money, show, show_json
from api.database import reading, writing
from api.import_files import InputError
from api.settings import Settings
from api.time_options import as_of_option, known_at_option
from api.time_zones import time_zones
from ledger import commands
from ledger.batch import Refusal, Replayed, Request
from ledger.text import whose
from ledger.views import EntryView, entry_view, legs_after
from projections.balances_at import balances_at

FIGURES = ("posted", "pending", "available")

as_json = click.option("--json", "json_", is_flag=True, help="Print JSON; amounts are minor units.")


@click.command("open")
@click.argument("ledger")
@click.option(
    "--chart", type=click.Path(path_type=Path), required=True, help="JSON file: assets and accounts."
)
@click.option(
    "--time-zone", default="UTC", show_default=True, help="IANA name; its days are the ledger's days."
)
@click.pass_obj
def open_command(settings: Settings, ledger: str, chart: Path, time_zone: str) -> None:
    """Open a ledger with a chart of accounts."""
    _check_time_zone(time_zone)
    try:
        text = chart.read_bytes()
    except OSError as error:
        raise InputError(f"{chart} cannot be read: {error.strerror}.") from error
    try:
        document = msgspec.json.decode(text)
        body = msgspec.convert(
            {"name": whose(ledger)[1], "time_zone": time_zone, "chart": document}, commands.LedgerOpening
        )
    except msgspec.MsgspecError as error:
        raise InputError(f"{chart}: {error}.") from error
    with writing(settings) as (writer, _):
        (outcome,) = writer.execute(ledger, Request([commands.command(body)]))
    if isinstance(outcome, Refusal):
        raise click.ClickException(f"Refused: {explain(outcome.rejection)}")
    click.echo(f"Opened ledger {ledger}.")


def _check_time_zone(name: str) -> None:
    if name not in time_zones():
        raise click.BadParameter(f"{name!r} is not a time zone such as Europe/Prague.")


def _whole(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", value):
        raise click.BadParameter(
            f"{value!r} is not a whole number of minor units (9.99 USD/2 is --amount 999 --asset USD/2)."
        )
    return int(value)


@click.command("post")
@click.argument("ledger")
@click.argument("source", required=False, metavar="[-]")
@click.option("--debit", metavar="ACCOUNT")
@click.option("--credit", metavar="ACCOUNT")
@click.option("--amount", callback=_whole, help="In minor units: 999 of USD/2 is 9.99 USD.")
@click.option("--asset", help="Code and scale, such as USD/2.")
@click.option("--key", help="Idempotency key: posting again with it posts nothing twice.")
@click.option("--reference")
@click.option("--description")
@click.option("--effective-at", help="When it counts, such as 2026-11-20T10:00:00Z; now if absent.")
@click.option("--original-effective-at", help="When it would have counted, had its period not been closed.")
@click.option("--pending", is_flag=True, help="Hold the amount instead of posting it.")
@click.option("--timeout", type=int, metavar="SECONDS", help="When the hold ends by itself.")
@as_json
@click.pass_obj
def post_command(settings: Settings, /, ledger: str, source: str | None, json_: bool, **given: Any) -> None:
    """Post a transaction: two accounts and an amount, or `-` and the API's JSON on standard input."""
    key = given.pop("key")
    check_key(key)
    if source is None:
        transaction = _two_legs(given)
    elif source != "-":
        raise click.UsageError(f"{source!r}: only `-`, standard input, can stand here.")
    elif any(given.values()):
        raise click.UsageError("With `-` the transaction comes from standard input, without options.")
    else:
        transaction = commands.decode_transaction(sys.stdin.buffer.read())
    if key is not None and transaction.idempotency_key not in (None, key):
        raise click.UsageError("--key and the transaction's own `idempotency_key` differ.")
    request = Request(
        [commands.command(transaction, key=key, actor="daybook post")], preview=transaction.preview
    )
    with writing(settings) as (writer, reader):
        (outcome,) = writer.execute(ledger, request)
        if isinstance(outcome, Replayed):
            (entry,) = reader.entries(ledger, [outcome.seq])
        elif isinstance(outcome, Refusal):
            refuse(settings, ledger, request.commands[0], outcome, json_)
        else:
            entry = entry_view(outcome.event, legs_after(outcome.legs), preview=transaction.preview)
    if json_:
        show_json(entry)
    else:
        _show_entry(entry, replayed=isinstance(outcome, Replayed))


def check_key(key: str | None) -> None:
    """Whether it can be an idempotency key, if there is one (click.BadParameter)."""
    try:
        msgspec.convert(key, commands.Key | None)
    except msgspec.ValidationError:
        raise click.BadParameter("a key is 1 to 255 printable ASCII characters", param_hint="--key") from None


def _two_legs(given: dict[str, Any]) -> commands.Transaction:
    missing = [name for name in ("debit", "credit", "amount", "asset") if given[name] is None]
    if missing:
        raise click.UsageError(f"Missing: {', '.join(f'--{name}' for name in missing)}.")
    amount, asset = given.pop("amount"), given.pop("asset")
    request = {
        "postings": [
            {"account": given.pop(side), "side": side, "amount": amount, "asset": asset}
            for side in ("debit", "credit")
        ],
        "timeout_seconds": given.pop("timeout"),
        **{name: value for name, value in given.items() if value is not None},
    }
    return commands.decode_transaction(msgspec.json.encode(request))


def _show_entry(entry: EntryView, replayed: bool) -> None:
    if entry.preview:
        click.echo("Would be recorded:")
    else:
        what = "Was recorded before, with this key," if replayed else "Recorded"
        click.echo(f"{what} as seq {entry.seq} at {moment(entry.recorded_at)}.")
    show(
        ("account", *FIGURES),
        (
            (b.account, money(b.posted, b.asset), money(b.pending, b.asset), money(b.available, b.asset))
            for b in entry.balances
        ),
        right=FIGURES,
    )


@click.command("balance")
@click.argument("ledger")
@click.argument("account")
@as_of_option
@known_at_option
@as_json
@click.pass_obj
def balance_command(
    settings: Settings,
    ledger: str,
    account: str,
    as_of: date | datetime | None,
    known_at: int | datetime | None,
    json_: bool,
) -> None:
    """Show the balances of an account, one line for each asset: now, as of a time, as known, or both."""
    with reading(settings) as reader:
        if as_of is None:
            view = reader.balances(ledger, account, known_at)
        else:
            view = balances_at(reader, ledger, account, as_of, known_at)
    if json_:
        show_json(view)
        return
    show(
        ("asset", *FIGURES),
        (
            (b.asset, money(b.posted, b.asset), money(b.pending, b.asset), money(b.available, b.asset))
            for b in view.balances
        ),
        right=FIGURES,
    )
