"""`daybook vouchers trust`: the daily trust report."""

from __future__ import annotations

from datetime import datetime

import click

from api.console import money, show, show_json
from api.data_commands import as_json
from api.database import reading
from api.settings import Settings
from projections import trust

_COLUMNS = (
    "day",
    "programme",
    "bank",
    "since",
    "outstanding",
    "unsettled",
    "fund",
    "deficiency",
    "status",
    "failing since",
)


@click.command("trust")
@click.argument("ledger")
@click.option("--programme", help="Only this programme.")
@click.option("--to", type=click.DateTime(["%Y-%m-%d"]), help="The last day; today if absent.")
@click.option("--days", type=click.IntRange(1, 366), default=1, show_default=True, help="So many days.")
@click.option("--failing", is_flag=True, help="Only where the bank lacks something.")
@as_json
@click.pass_obj
def trust_command(
    settings: Settings,
    ledger: str,
    programme: str | None,
    to: datetime | None,
    days: int,
    failing: bool,
    json_: bool,
) -> None:
    """Does the bank hold what is owed from each trust account? Exit code 1 where it does not."""
    with reading(settings) as reader:
        report = trust.trust_report(
            reader,
            ledger,
            to=None if to is None else to.date(),
            days=days,
            programme=programme,
            status="failing" if failing else None,
        )
        head = reader.ledger(ledger).seq
    if json_:
        show_json(report)
    else:
        show(_COLUMNS, map(_trust_row, (*report.programmes, *report.in_all)), right=_COLUMNS[2:8])
    if report.seq < head:
        click.echo(f"As of seq {report.seq} of {head}; `daybook projections run` does the rest.", err=True)
    lacking = sorted({line.programme for line in report.programmes if line.status == "failing"})
    if lacking:
        raise click.ClickException(f"The bank lacks what is owed for {', '.join(lacking)}.")


def _trust_row(line: trust.TrustLine) -> tuple[str, ...]:
    figures = (line.bank, line.since, line.outstanding, line.unsettled, line.fund, line.deficiency)
    amounts = ("-" if amount is None else money(amount, line.asset) for amount in figures)
    return (line.day, line.programme or "in all", *amounts, line.status, line.failing_since or "")
