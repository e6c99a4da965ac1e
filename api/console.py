"""What people see: amounts with their scale, tables on a terminal, plain tab-separated lines elsewhere."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec
import structlog
from rich.console import Console
from rich.table import Table

from ledger.rejections import CODES, Rejection


def money(amount: int, asset: str) -> str:
    """Minor units with the scale of the asset: 123456 of `USD/2` is `1,234.56 USD`."""
    code, scale = asset.rsplit("/", 1)
    places = int(scale)
    whole, part = divmod(abs(amount), 10**places)
    decimals = f".{part:0{places}d}" if places else ""
    return f"{'-' if amount < 0 else ''}{whole:,}{decimals} {code}"


def moment(iso: str) -> str:
    """A stored moment to the second, for people."""
    return f"{iso[:10]} {iso[11:19]}Z"


def show(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = ()) -> None:
    """A table on a terminal, else tab-separated lines with a header; `right` names columns of figures."""
    if not sys.stdout.isatty():
        click.echo("\t".join(columns))
        for row in rows:
            click.echo("\t".join(row))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(markup=False, highlight=False).print(table)


def show_json(value: Any) -> None:
    """One JSON document on one line."""
    click.echo(msgspec.json.encode(value))


def explain(rejection: Rejection) -> str:
    """A rejection as a sentence with its code and figures."""
    evidence = ", ".join(f"{name} {value}" for name, value in rejection.evidence.items())
    sentence = CODES[rejection.code].sentence.rstrip(".")
    return f"{rejection.code}: {sentence}" + (f" ({evidence})." if evidence else ".")


def configure_logs(level: int) -> None:
    """Logs go to standard error: for people on a terminal, else one JSON document a line."""
    person = sys.stderr.isatty()
    processors: list[structlog.types.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if person:
        # The formatter that it would choose shows what local variables hold: keys and passwords.
        processors.append(structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback))
    else:
        processors.append(structlog.processors.format_exc_info)
        processors.append(structlog.processors.JSONRenderer(serializer=_to_json))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=(
            structlog.PrintLoggerFactory(sys.stderr)
            if person
            else structlog.BytesLoggerFactory(sys.stderr.buffer)
        ),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _to_json(record: Any, **options: Any) -> bytes:
    return msgspec.json.encode(record, enc_hook=str)
