"""The commands that look into a read model: search, assertions.

They go as far as their projection has come, and say so when that is not the head.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

import click

from api.console import moment, money, show, show_json
from api.data_commands import as_json
from api.database import reading
from api.settings import Settings
from api.time_options import from_option, to_option
from ledger.chart import MAX_AMOUNT
from ledger.reader import Reader
from ledger.views import EntryView
from projections.assertion_reads import assertions
from projections.finding import Filters, find_transactions
from projections.views import AssertionView

PAGE = 1_000

AsOf = date | datetime


def _pairs(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    if not all("=" in pair for pair in value):
        raise click.BadParameter("write a pair as name=value")
    return dict(pair.split("=", 1) for pair in value)


@click.command("search")
@click.argument("ledger")
@click.option("--metadata", metavar="NAME=VALUE", multiple=True, callback=_pairs, help="May be repeated.")
@click.option("--reference")
@click.option("--account")
@click.option("--type", help="Such as transaction_posted.")
@click.option("--asset", help="Code and scale, such as USD/2.")
@click.option("--amount-min", type=click.IntRange(0, MAX_AMOUNT), help="Of any leg of --asset, minor units.")
@click.option("--amount-max", type=click.IntRange(0, MAX_AMOUNT))
@from_option
@to_option
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@as_json
@click.pass_obj
def search_command(
    settings: Settings,
    /,
    ledger: str,
    start: AsOf | None,
    to: AsOf | None,
    limit: int,
    json_: bool,
    **given: Any,
) -> None:
    """Find transactions, newest first, by any combination of options (JSON: one a line)."""
    if given["asset"] is None and (given["amount_min"], given["amount_max"]) != (None, None):
        raise click.UsageError("An amount needs its --asset.")
    filters = Filters(**given, effective_from=start, effective_to=to)
    with reading(settings) as reader:
        head = reader.ledger(ledger).seq
        seq, entries = _found(reader, ledger, filters, limit)
    if json_:
        for entry in entries:
            show_json(entry)
    else:
        columns = ("seq", "effective", "type", "debits", "reference", "description")
        show(columns, map(_found_row, entries), right=("seq", "debits"))
    if seq < head:
        click.echo(
            f"Searched up to seq {seq} of {head}; `daybook projections run` brings the rest.", err=True
        )


def _found(reader: Reader, ledger: str, filters: Filters, limit: int) -> tuple[int, list[EntryView]]:
    entries: list[EntryView] = []
    before = None
    while True:
        page = find_transactions(reader, ledger, filters, before, min(PAGE, limit - len(entries)))
        entries += page.transactions
        before = page.next
        if before is None or len(entries) == limit:
            return page.seq, entries


def _found_row(entry: EntryView) -> tuple[str, ...]:
    debits: dict[str, int] = {}
    for posting in entry.postings:
        if posting.side == "debit" and posting.kind != "release":
            debits[posting.asset] = debits.get(posting.asset, 0) + posting.amount
    return (
        str(entry.seq),
        moment(entry.effective_at),
        entry.type,
        " ".join(money(amount, asset) for asset, amount in debits.items()),
        entry.reference,
        entry.description,
    )


@click.command("assertions")
@click.argument("ledger")
@click.option("--status", type=click.Choice(["passing", "failing"]))
@as_json
@click.pass_obj
def assertions_command(
    settings: Settings, ledger: str, status: Literal["passing", "failing"] | None, json_: bool
) -> None:
    """Show asserted balances and whether they hold (JSON: one a line; exit code 1 when one fails)."""
    found: list[AssertionView] = []
    with reading(settings) as reader:
        head = reader.ledger(ledger).seq
        after: int | None = 0
        while after is not None:
            page = assertions(reader, ledger, status=status, account=None, after=after, limit=PAGE)
            found += page.assertions
            after = page.next
    if json_:
        for each in found:
            show_json(each)
    else:
        columns = ("seq", "account", "at", "expected", "actual", "status", "source")
        show(columns, map(_assertion_row, found), right=("seq", "expected", "actual"))
    if page.seq < head:
        click.echo(
            f"Judged up to seq {page.seq} of {head}; `daybook projections run` does the rest.", err=True
        )
    failing = sum(each.status == "failing" for each in found)
    if failing:
        raise click.ClickException(f"{failing} of the assertions shown do not hold.")


def _assertion_row(each: AssertionView) -> tuple[str, ...]:
    return (
        str(each.seq),
        each.account,
        moment(each.at),
        money(each.expected, each.asset),
        money(each.actual, each.asset),
        each.status,
        each.source,
    )
