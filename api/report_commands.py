"""The commands that report: statement, trial-balance, balance-sheet, income-statement. All are exact."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

import click

from api.console import moment, money, show, show_json
from api.data_commands import as_json
from api.database import reading
from api.settings import Settings
from api.time_options import as_of_option, from_option, known_at_option, to_option
from ledger.reader import Reader
from ledger.views import StatementLine, StatementView
from projections import reports
from projections.statements import cursor, period_statement
from projections.views import BalanceSheetOfAsset, IncomeStatementOfAsset, MemoLine, RollUpLine

PAGE = 1_000
ALL = 2**31 - 1

AsOf = date | datetime
KnownAt = int | datetime

depth_option = click.option(
    "--depth",
    type=click.IntRange(1, 20),
    default=1,
    show_default=True,
    help="Segments of an address to show.",
)


@click.command("statement")
@click.argument("ledger")
@click.argument("account")
@click.option("--asset", help="Needed when the account has several.")
@from_option
@to_option
@known_at_option
@as_json
@click.pass_obj
def statement_command(
    settings: Settings,
    ledger: str,
    account: str,
    asset: str | None,
    start: AsOf | None,
    to: AsOf | None,
    known_at: KnownAt | None,
    json_: bool,
) -> None:
    """Show the postings of one asset of an account, with the balance after each (JSON: one a line).

    In the order of recording; with --from or --to, over that period in the order in which they count, between
    its opening and its closing balance.
    """
    over_period = start is not None or to is not None
    if known_at is not None and not over_period:
        raise click.UsageError("--known-at needs a period: --from, --to or both.")
    with reading(settings) as reader:
        if over_period:
            pages = _over_period(reader, ledger, account, asset, start, to, known_at)
        else:
            pages = _in_seq_order(reader, ledger, account, asset)
        if json_:
            for page in pages:
                for line in page.lines:
                    show_json(line)
            return
        show(
            ("seq", "effective", "kind", "debit", "credit", "posted", "available", "description"),
            _statement_rows(pages),
            right=("seq", "debit", "credit", "posted", "available"),
        )


def _in_seq_order(reader: Reader, ledger: str, account: str, asset: str | None) -> Iterator[StatementView]:
    after = (0, 0)
    while True:
        page = reader.statement(ledger, account, asset, after, PAGE)
        yield page
        if page.next is None:
            return
        after = (page.lines[-1].seq, page.lines[-1].leg)


def _over_period(
    reader: Reader,
    ledger: str,
    account: str,
    asset: str | None,
    start: AsOf | None,
    to: AsOf | None,
    known_at: KnownAt | None,
) -> Iterator[StatementView]:
    after = None
    while True:
        page = period_statement(
            reader, ledger, account, asset, start=start, to=to, known_at=known_at, after=after, limit=PAGE
        )
        yield page
        if page.next is None:
            return
        after = cursor(page.next)


def _statement_rows(pages: Iterator[StatementView]) -> Iterator[tuple[str, ...]]:
    page = None
    for number, page in enumerate(pages):
        if number == 0 and page.opening:
            figures = money(page.opening.posted, page.asset), money(page.opening.available, page.asset)
            yield ("", "", "opening", "", "", *figures, "")
        for line in page.lines:
            yield _statement_row(page.asset, line)
    if page is not None and page.closing:
        figures = money(page.closing.posted, page.asset), money(page.closing.available, page.asset)
        yield ("", "", "closing", "", "", *figures, "")


def _statement_row(asset: str, line: StatementLine) -> tuple[str, ...]:
    amount = money(line.amount, asset)
    return (
        str(line.seq),
        moment(line.effective_at),
        line.kind,
        amount if line.side == "debit" else "",
        amount if line.side == "credit" else "",
        money(line.posted, asset),
        money(line.available, asset),
        line.description,
    )


@click.command("trial-balance")
@click.argument("ledger")
@as_of_option
@known_at_option
@as_json
@click.pass_obj
def trial_balance_command(
    settings: Settings, ledger: str, as_of: AsOf | None, known_at: KnownAt | None, json_: bool
) -> None:
    """Show the posted balance of every account in its column, and the totals of each asset."""
    with reading(settings) as reader:
        if as_of is None and known_at is None:
            view = reader.trial_balance(ledger, 0, ALL)  # one page, so one snapshot
        else:
            view = reports.trial_balance(reader, ledger, as_of, known_at, 0, ALL)
    if json_:
        show_json(view)
    else:
        rows: list[tuple[str, ...]] = [
            (line.account, line.type, *_columns(line.asset, line.debit, line.credit)) for line in view.lines
        ]
        rows += [("total", "", *_columns(total.asset, total.debit, total.credit)) for total in view.totals]
        show(("account", "type", "debit", "credit"), rows, right=("debit", "credit"))
    if not view.balanced:
        raise click.ClickException(f"The ledger does not balance at seq {view.seq}.")


def _columns(asset: str, debit: int, credit: int) -> tuple[str, str]:
    return money(debit, asset) if debit else "", money(credit, asset) if credit else ""


@click.command("balance-sheet")
@click.argument("ledger")
@as_of_option
@known_at_option
@depth_option
@as_json
@click.pass_obj
def balance_sheet_command(
    settings: Settings, ledger: str, as_of: AsOf | None, known_at: KnownAt | None, depth: int, json_: bool
) -> None:
    """Show assets, liabilities and equity, for each asset; contra accounts netted, memo accounts apart."""
    with reading(settings) as reader:
        view = reports.balance_sheet(reader, ledger, as_of, known_at, depth)
    if json_:
        show_json(view)
    else:
        rows = [row for sheet in view.sheets for row in _sheet_rows(sheet)]
        show(("section", "account", "balance"), rows, right=("balance",))
    if not view.balanced:
        raise click.ClickException(f"The balance sheet does not balance at seq {view.seq}.")


def _sheet_rows(sheet: BalanceSheetOfAsset) -> Iterator[tuple[str, str, str]]:
    yield from _rows("assets", sheet.assets, sheet.asset)
    yield "assets", "total", money(sheet.total_assets, sheet.asset)
    yield from _rows("liabilities", sheet.liabilities, sheet.asset)
    yield "liabilities", "total", money(sheet.total_liabilities, sheet.asset)
    yield from _rows("equity", sheet.equity, sheet.asset)
    yield "equity", "current earnings", money(sheet.current_earnings, sheet.asset)
    yield "equity", "total", money(sheet.total_equity + sheet.current_earnings, sheet.asset)
    yield from _rows("memo", sheet.memo, sheet.asset)


def _rows(
    section: str, lines: list[RollUpLine] | list[MemoLine], asset: str
) -> Iterator[tuple[str, str, str]]:
    for line in lines:
        yield section, line.account, money(line.balance, asset)


@click.command("income-statement")
@click.argument("ledger")
@from_option
@to_option
@known_at_option
@depth_option
@as_json
@click.pass_obj
def income_statement_command(
    settings: Settings,
    ledger: str,
    start: AsOf | None,
    to: AsOf | None,
    known_at: KnownAt | None,
    depth: int,
    json_: bool,
) -> None:
    """Show income and expenses of a period, for each asset, without its closing entries."""
    with reading(settings) as reader:
        view = reports.income_statement(reader, ledger, start, to, known_at, depth)
    if json_:
        show_json(view)
    else:
        rows = [row for statement in view.statements for row in _income_rows(statement)]
        show(("section", "account", "amount"), rows, right=("amount",))


def _income_rows(statement: IncomeStatementOfAsset) -> Iterator[tuple[str, str, str]]:
    yield from _rows("income", statement.income, statement.asset)
    yield "income", "total", money(statement.total_income, statement.asset)
    yield from _rows("expenses", statement.expenses, statement.asset)
    yield "expenses", "total", money(statement.total_expenses, statement.asset)
    yield "net income", "", money(statement.net_income, statement.asset)
    yield from _rows("memo", statement.memo, statement.asset)
