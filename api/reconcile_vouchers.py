"""`daybook reconcile vouchers` and `three-way`: vouchers beside Buffr, and both beside the bank."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import click
import msgspec

from api import buffr_side
from api.console import money, show, show_json
from api.data_commands import as_json
from api.database import opened, reading
from api.reconcile_commands import compared, sentences, show_run
from api.settings import Settings
from ledger.reader import Reader
from ledger.reconciliation.commands import RunName
from ledger.three_way import ThreeWayLine, Word, three_way
from ledger.writer import Writer


@click.command("vouchers")
@click.argument("ledger")
@click.option("--run", "name", help="Names the run; by today's date if absent.")
@as_json
@click.pass_obj
def vouchers_command(settings: Settings, ledger: str, name: str | None, json_: bool) -> None:
    """Ask Buffr about every voucher that it distributes, and compare.

    BUFFR_API_URL and BUFFR_API_KEY say where. There is one run a day unless you name another. A run that was
    interrupted is gone on with by its name; what Buffr does not answer is `unknown`.
    """
    access = settings.work.buffr
    if access is None:
        raise click.ClickException("BUFFR_API_URL says where Buffr is, and it is not set.")
    with (
        opened(settings) as database,
        closing(Reader(database.conninfo, connections=1)) as reader,
        closing(Writer(database.conninfo, connections=1)) as writer,
        sentences(),
        compared() as progress,
    ):
        run = None if name is None else msgspec.convert(name, RunName)
        done = buffr_side.ask(database.conninfo, access, writer, reader, ledger, run, progress)
    show_run(done, json_)


@click.command("three-way")
@click.argument("ledger")
@as_json
@click.pass_obj
def three_way_command(settings: Settings, ledger: str, json_: bool) -> None:
    """Where ledger, Buffr and bank do not say the same of a voucher, a settlement, the trust account.

    By the last run against Buffr and the statements of the trust accounts. Exit code 1 when there is any
    (JSON: one a line).
    """
    found = 0
    with reading(settings) as reader:

        def lines() -> Iterator[ThreeWayLine]:
            nonlocal found
            for line in three_way(reader, ledger):
                found += 1
                yield line

        if json_:
            for line in lines():
                show_json(line)
        else:
            show(("subject", "name", "programme", "ledger", "buffr", "bank"), map(_row, lines()))
    if found:
        raise click.ClickException(f"{found:,} differ.")


def _row(line: ThreeWayLine) -> tuple[str, ...]:
    said = (_word(word, line.asset) for word in (line.ledger, line.buffr, line.bank))
    return (line.subject, line.name, line.programme, *said)


def _word(word: Word, asset: str) -> str:
    return word.status if word.amount is None or not asset else f"{word.status} {money(word.amount, asset)}"
