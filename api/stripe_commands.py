"""`daybook stripe`: Stripe's balance, fetched when somebody asks."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import click
from rich.console import Console

from api.console import show, show_json
from api.data_commands import as_json
from api.database import opened
from api.settings import Settings
from ledger.reader import Reader
from ledger.writer import Writer


@click.group("stripe")
def stripe_group() -> None:
    """Fetch what Stripe knows."""


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
