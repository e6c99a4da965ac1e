"""The sides of reconciliations that can be asked: what each has, from when until when, and who may ask.

A setting makes a side: its credentials are of the whole installation. So over the API only the ledgers that
are about its account may be compared with it, or one tenant would be shown what is another's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from zoneinfo import ZoneInfo

from api import buffr_side, reconciling
from api.settings import Buffr, StripeSettings, Work
from ledger.days import end_of
from ledger.reader import Reader
from ledger.reconciliation.streams import Run
from ledger.text import DEFAULT_TENANT, whose
from ledger.writer import Writer


class SideUnavailable(Exception):
    """The side cannot be asked now; the message is a sentence."""


class Asking(NamedTuple):
    """A run of a ledger (its whole name) with a side, of what there is from `start` until before `end`.

    It is the first of `name`, `name.2`, `name.3`, ... that can be gone on with or begun; a finished one is
    the answer, unless it is to be compared `anew`. `report` is told how much has been read.
    """

    writer: Writer
    reader: Reader
    ledger: str
    start: datetime
    end: datetime
    name: str
    anew: bool
    report: Callable[[int], None]


class Side(NamedTuple):
    """A side: the finished run (SideUnavailable, RunRefused), and which ledgers are about it."""

    run: Callable[[Asking], Run]
    serves: Callable[[str], bool]


def sides_of(work: Work, conninfo: str) -> dict[str, Side]:
    """The sides that the settings give access to."""
    sides: dict[str, Side] = {}
    stripe = work.stripe
    if stripe is not None:

        def of_stripe(ledger: str) -> bool:
            # Imported here, as below: Stripe's client takes a while to load.
            from adapters.stripe_worker import default_ledger

            return default_ledger(conninfo) == ledger

        sides["stripe"] = Side(lambda asking: _stripe(asking, stripe), of_stripe)
    buffr = work.buffr
    if buffr is not None:
        # Vouchers are told by their names alone, and those of other tenants are other vouchers.
        sides["buffr"] = Side(
            lambda asking: _buffr(asking, buffr, conninfo), lambda ledger: whose(ledger)[0] == DEFAULT_TENANT
        )
    return sides


def _stripe(asking: Asking, settings: StripeSettings) -> Run:
    from stripe import StripeError

    from adapters.stripe_balance import client_of
    from adapters.stripe_side import StripeComparison

    writer, reader, ledger, start, end, name, anew, report = asking
    client = client_of(settings.secret_key, settings.address)
    with TemporaryDirectory(prefix="daybook-reconcile-") as temporary:
        folder = Path(temporary)
        try:
            comparison = StripeComparison(client, reader, ledger, start, end, folder, report)
        except StripeError as error:
            raise SideUnavailable(f"Stripe does not answer: {type(error).__name__}.") from error
        return reconciling.run_next(writer, reader, ledger, name, comparison, folder, report, anew=anew)


def _buffr(asking: Asking, settings: Buffr, conninfo: str) -> Run:
    """Every voucher as it is now, whatever the period."""
    writer, reader, ledger, _, _, name, anew, report = asking
    name = reconciling.next_name(reader, ledger, name) if anew else name
    return buffr_side.ask(conninfo, settings, writer, reader, ledger, name, report)


def period_of(first: date, last: date, time_zone: str, now: datetime) -> tuple[datetime, datetime]:
    """Whole days of a ledger as moments, as far as they are over (ValueError: they have not begun)."""
    zone = ZoneInfo(time_zone)
    start = end_of(first - timedelta(days=1), zone)
    if start >= now:
        raise ValueError("`from` is in the future")
    if last < first:
        raise ValueError("`from` is beyond `to`")
    return start, min(end_of(last, zone), now)
