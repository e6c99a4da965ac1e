"""Options that say which time is meant: --as-of, --known-at, --from and --to."""

from __future__ import annotations

import re
from datetime import date, datetime

import click

from ledger.days import day_or_moment


def _as_of(context: click.Context, parameter: click.Parameter, value: str | None) -> date | datetime | None:
    try:
        return None if value is None else day_or_moment(parameter.opts[0], value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _known_at(context: click.Context, parameter: click.Parameter, value: str | None) -> int | datetime | None:
    if value is None or re.fullmatch(r"[0-9]{1,18}", value):
        return None if value is None else int(value)
    try:
        known_at = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is neither a seq nor a time such as 2026-11-20T10:00:00Z."
        ) from None
    if known_at.tzinfo is None:
        raise click.BadParameter(f"{value!r} needs its offset from UTC, such as {value}Z.")
    return known_at


as_of_option = click.option(
    "--as-of", callback=_as_of, help="What counts by the end of a day of the ledger, or by a time."
)
known_at_option = click.option(
    "--known-at", callback=_known_at, help="As known at a seq, or at a time with its offset."
)
from_option = click.option("--from", "start", callback=_as_of, help="From a day of the ledger or a time on.")
to_option = click.option("--to", callback=_as_of, help="To the end of a day of the ledger, or to a time.")
