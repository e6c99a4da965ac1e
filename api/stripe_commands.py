"""`daybook stripe`: Stripe's balance fetched when somebody asks, what a payout is made of, what is open."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console

from api.console import show, show_json
from api.data_commands import as_json
from api.database import opened, reading
from api.settings import Settings
from ledger.payment_reads import KINDS, Kind, OpenItem, open_items
from ledger.reader import Reader
from ledger.writer import Writer

PAGE = 1_000


@click.group("stripe")
def stripe_group() -> None:
    """Fetch what Stripe knows, and show what is open."""


@stripe_group.command("fetch")
@click.argument("ledger")
@click.option(
    "--from", "start", type=click.DateTime(["%Y-%m-%d"]), required=True, help="From a day of UTC on."
)
@click.option("--to", "end", type=click.DateTime(["%Y-%m-%d"]), help="To the end of a day of UTC (today).")
@as_json
@click.pass_obj
def fetch_command(
    settings: Settings, ledger: str, start: datetime, end: datetime | None, json_: bool
) -> None:
    """Post balance transactions that the ledger does not know; again and again is harmless."""
    # Imported here: Stripe's client takes a while to load.
    from stripe import StripeError

    from adapters.stripe_balance import NOTHING, client_of, fetch

    if settings.stripe is None:
        raise click.ClickException("STRIPE_SECRET_KEY is not set: Stripe answers nobody without it.")
    client = client_of(settings.stripe.secret_key, settings.stripe.address)
    begin = start.replace(tzinfo=UTC)
    until = datetime.now(UTC) if end is None else end.replace(tzinfo=UTC) + timedelta(days=1)
    console = Console(stderr=True)
    whole = NOTHING
    with (
        opened(settings) as database,
        closing(Writer(database.conninfo)) as writer,
        closing(Reader(database.conninfo, 1)) as reader,
        console.status("Fetching") as status,
    ):
        reader.incarnation(ledger)
        try:
            for page in fetch(client, reader, writer.execute, ledger, begin, until):
                whole = whole.plus(page)
                status.update(f"Fetching: {whole.posted} posted, {whole.known} known")
        except StripeError as error:
            raise click.ClickException(f"Stripe does not answer: {type(error).__name__}.") from error
    if json_:
        show_json(whole)
    else:
        click.echo(f"{whole.posted} posted, {whole.known} known, {len(whole.troubles)} not posted.")
        if whole.troubles:
            show(("txn", "reason"), whole.troubles)
    if whole.troubles:
        raise SystemExit(1)


@stripe_group.command("open")
@click.argument("ledger")
@click.option("--kind", type=click.Choice(KINDS), multiple=True, help="Only of this kind; may be repeated.")
@as_json
@click.pass_obj
def open_command(settings: Settings, ledger: str, kind: tuple[Kind, ...], json_: bool) -> None:
    """Show open items, the work list of payments (JSON: one a line)."""
    found: list[OpenItem] = []
    with reading(settings) as reader:
        while page := open_items(
            reader, ledger, kind or KINDS, after=found[-1].item if found else "", limit=PAGE
        ):
            found += page
    if json_:
        for each in found:
            show_json(each)
        return
    rows = [
        (item.item, str(amount), asset, item.order, status, str(item.last_seq))
        for item in found
        for amounts, status in ((item.balance, item.status), (item.refunds_missing, "refunds missing"))
        for asset, amount in amounts.items()
    ]
    show(("item", "balance", "asset", "order", "status", "last seq"), rows, ("balance", "last seq"))


@stripe_group.command("payout")
@click.argument("ledger")
@click.argument("payout")
@click.pass_obj
def payout_command(settings: Settings, ledger: str, payout: str) -> None:
    """Show the balance transactions that make an automatic payout, there and here; 1 when they differ."""
    # Imported here: Stripe's client takes a while to load.
    from stripe import StripeError

    from adapters.stripe_balance import client_of
    from adapters.stripe_side import paid_out

    if settings.stripe is None:
        raise click.ClickException("STRIPE_SECRET_KEY is not set: Stripe answers nobody without it.")
    client = client_of(settings.stripe.secret_key, settings.stripe.address)
    rows: list[tuple[str, ...]] = []
    there: dict[str, int] = {}
    same = True
    with reading(settings) as reader:
        try:
            for part, here in paid_out(client, reader, ledger, payout):
                there[part.asset] = there.get(part.asset, 0) + part.amount
                same = same and part.amount == here
                shown = "" if here is None else str(here)
                rows.append((part.reference, part.name, part.status, str(part.amount), shown, part.asset))
        except StripeError as error:
            raise click.ClickException(f"Stripe does not answer: {type(error).__name__}.") from error
    show(("txn", "source", "type", "net there", "net here", "asset"), rows, ("net there", "net here"))
    sums = ", ".join(f"{amount} {asset}" for asset, amount in there.items())
    here_too = "the same" if same else "not the same"
    click.echo(f"{len(rows)} balance transactions of {sums or 'nothing'}; {here_too} here.")
    if not same:
        raise SystemExit(1)
