"""One ledger up to a pinned seq, read in pieces, so that memory does not grow with the ledger.

Later events do not show, whoever writes meanwhile: every query is bounded by the seq, and what it reads
never changes. So no snapshot is held for the length of an export; what has to be sorted is sorted by
PostgreSQL into a cursor WITH HOLD, which lies on its disk.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo

from ledger.chart import MAX_AMOUNT, AccountType, Terms
from ledger.days import day_of, end_of
from ledger.errors import LedgerNotFound
from ledger.events import Event, EventPosting, UnknownEvent, read_event
from ledger.notes import TreeHead
from ledger.text import ASSET_PATTERN, SECOND, micros, whose
from ledger.wire import Connection
from sql import load as load_queries

QUERIES = load_queries("exports.sql")
FIND_LEDGER = load_queries("reader.sql")["find_ledger"]

# A body has at most 64 KiB, so a page of them has at most 32 MiB.
PAGE = 512
CACHED_NATURES = 50_000
CACHED_DAYS = 10_000
UTC_DAY = 86_400 * SECOND
BEGINNING = datetime.min.replace(tzinfo=UTC)

_asset = re.compile(ASSET_PATTERN)
_decode_terms = msgspec.json.Decoder(Terms).decode


class Nature(NamedTuple):
    """What an account is for ever: its terms without the limits, which change."""

    type: AccountType
    contra: bool
    memo: bool
    debit_normal: bool
    assets: tuple[str, ...] | None


@lru_cache(maxsize=4096)
def _nature(text: str) -> Nature:
    """Accounts of one pattern have one text."""
    terms = _decode_terms(text)
    return Nature(terms.type, terms.contra, terms.memo, terms.debit_normal, terms.assets)


class ExportRefused(Exception):
    """The export cannot be made as asked, or a format cannot carry something: a sentence that says what."""


class Pin(NamedTuple):
    """The ledger and the tree that the export is of. `today` is by the database's clock."""

    ledger_id: int
    name: str
    public_id: str
    time_zone: str
    incarnation: int
    seq: int
    today: date


class Entry(NamedTuple):
    """A stored event. `day` is its effective day, in the ledger's time zone."""

    seq: int
    day: date
    leaf: bytes
    body: bytes
    event: Event


class AccountRow(NamedTuple):
    """An account as known at the pinned seq."""

    number: int
    address: str
    nature: Nature
    opened_seq: int
    closed_seq: int | None


class BalanceRow(NamedTuple):
    """The four counters of an (account, asset) after its last leg up to the pinned seq, minor units."""

    account: str
    asset: str
    debits_posted: int
    credits_posted: int
    debits_pending: int
    credits_pending: int


class PeriodBalance(NamedTuple):
    """An (account, asset) before and after a period, debit positive. Period 0 is all before the range."""

    period: int
    account: str
    nature: Nature
    asset: str
    opening: int
    closing: int


class Calendar:
    """The days of a time zone, remembered, because neighbours in a ledger mostly count on the same ones."""

    def __init__(self, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)
        # By UTC day: when the ledger's days that meet it begin and end, and their dates.
        self._known: dict[int, list[tuple[int, int, date]]] = {}

    def day(self, moment: datetime) -> date:
        """The day that a moment is in."""
        us = micros(moment)
        known = self._known.setdefault(us // UTC_DAY, [])
        for begin, end, day in known:
            if begin <= us < end:
                return day
        if len(self._known) > CACHED_DAYS:
            self._known.clear()
        day = day_of(moment, self._zone)
        known.append((micros(self.begin(day)), micros(self.end(day)), day))
        return day

    def begin(self, day: date) -> datetime:
        """The first moment of a day, in UTC; the first that there is for the first day of the calendar."""
        return BEGINNING if day == date.min else self.end(day - timedelta(days=1))

    def end(self, day: date) -> datetime:
        """The first moment after a day, in UTC."""
        return end_of(day, self._zone)


def _check(seq: int, leg: EventPosting) -> None:
    """Refuse what no ledger accepts and no file could carry exactly: a body that was tampered with has it."""
    amount = leg.amount
    if not (amount.isascii() and amount.isdigit() and len(amount) < 20 and 0 < int(amount) <= MAX_AMOUNT):
        raise ExportRefused(f"Event {seq} has the amount {amount[:40]!r}, not minor units in 64 bits.")
    if not _asset.match(leg.asset):
        raise ExportRefused(f"Event {seq} has the asset {leg.asset!r}, which is not CODE/SCALE.")


class Source:
    """Reads one ledger. A context manager; one thread at a time."""

    def __init__(self, conninfo: str, ledger: str, head: TreeHead) -> None:
        """Pins the ledger at a tree head of it (LedgerNotFound, ExportRefused)."""
        options = "-c timezone=UTC -c role=daybook_reader -c default_transaction_read_only=on"
        self._connection: Connection = psycopg.connect(
            make_conninfo(conninfo, application_name="daybook export", options=options), autocommit=True
        )
        try:
            self.pin = self._pin(ledger, head)
        except BaseException:
            self._connection.close()
            raise
        self._calendar = Calendar(self.pin.time_zone)
        self._known: dict[str, Nature] = {}
        self._bounds = {
            "ledger_id": self.pin.ledger_id,
            "upto": self.pin.seq,
            "limit": PAGE,
        }

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *exception: object) -> None:
        self._connection.close()

    def _pin(self, ledger: str, head: TreeHead) -> Pin:
        tenant, own = whose(ledger)
        wanted = {"tenant": tenant, "name": own}
        self._connection.execute(QUERIES["set_tenant"], wanted)
        found = self._connection.execute(FIND_LEDGER, wanted).fetchone()
        if found is None:
            raise LedgerNotFound(ledger)
        ledger_id, name, public_id, time_zone, *_ = found
        parameters = {"ledger_id": ledger_id}
        self._connection.execute(QUERIES["set_ledger"], parameters)
        row = self._connection.execute(QUERIES["pin"], parameters).fetchone()
        assert row is not None
        incarnation, seq, clock = row
        if (public_id, incarnation) != (head.ledger, head.incarnation) or seq < head.size:
            raise ExportRefused(f"The tree head of {head.origin}, size {head.size}, is not one of {ledger}.")
        return Pin(
            ledger_id, name, public_id, time_zone, incarnation, head.size, day_of(clock, ZoneInfo(time_zone))
        )

    def _rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(QUERIES[query], self._bounds | parameters).fetchall()

    # ------------------------------------------------------------ events

    def book(self) -> Iterator[Entry]:
        """Every event up to the pinned seq, in order (ExportRefused)."""
        after = 0
        while after < self.pin.seq:
            rows = self._rows("book", after=after)
            if not rows:
                return
            yield from map(self._entry, rows)
            after = rows[-1][0]

    def posting_days(self) -> tuple[date, date] | None:
        """The first and last effective day with a posted leg."""
        ((first, last),) = self._rows("posted_between")
        return None if first is None else (self._calendar.day(first), self._calendar.day(last))

    def moved(self, first: date, last: date) -> int:
        """How many events `effective` has."""
        ((count,),) = self._rows("effective_count", **self._span(first, last))
        return int(count)

    def effective(self, first: date, last: date) -> Iterator[Entry]:
        """The events with legs in a range of effective days, by effective moment and seq."""
        seqs = self._held("effective_order", **self._span(first, last))
        while page := [seq for (seq,) in islice(seqs, PAGE)]:
            yield from map(self._entry, self._rows("bodies", seqs=page))

    def _span(self, first: date, last: date) -> dict[str, datetime]:
        return {"starts": self._calendar.begin(first), "ends": self._calendar.end(last)}

    def _entry(self, row: tuple[Any, ...]) -> Entry:
        seq, effective_at, leaf, body = row
        try:
            event = read_event(body)
        except (UnknownEvent, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ExportRefused(f"Event {seq} cannot be read: {error}.") from error
        for leg in event.postings:
            _check(seq, leg)
        return Entry(seq, self._calendar.day(effective_at), leaf, body, event)

    # ------------------------------------------------------------ accounts and balances

    def accounts(self) -> Iterator[AccountRow]:
        """Every account opened up to the pinned seq, in the order of opening."""
        after = 0
        while rows := self._rows("accounts", after=after):
            for number, address, terms, opened, closed in rows:
                yield AccountRow(number, address, _nature(terms), opened, closed)
            after = rows[-1][0]

    def balances(self) -> Iterator[BalanceRow]:
        """What the database keeps as each balance, by account in the order of opening, then asset."""
        after = 0
        while accounts := self._rows("accounts", after=after):
            last = accounts[-1][0]
            for row in self._rows("balances", after=after, last=last):
                yield BalanceRow(*row[1:])
            after = last

    def period_balances(self, first: date, ends: list[date]) -> Iterator[PeriodBalance]:
        """By period, then account in the order of opening, then asset; `ends` are the periods' last days."""
        over = [self._calendar.end(day) for day in ends]
        starts = [self._calendar.begin(first), *over[:-1]]
        for period, account, terms, asset, opening, closing in self._held(
            "period_balances", starts=starts, ends=over[-1]
        ):
            yield PeriodBalance(period, account, _nature(terms), asset, opening, closing)

    def natures(self, addresses: Iterable[str]) -> dict[str, Nature]:
        """What some accounts are, at least; they are remembered for a while."""
        missing = [address for address in addresses if address not in self._known]
        if missing:
            if len(self._known) > CACHED_NATURES:
                self._known = {}
                missing = list(addresses)
            self._known |= {a: _nature(terms) for a, terms in self._rows("terms", addresses=missing)}
            for address in missing:
                if address not in self._known:
                    raise ExportRefused(f"The account {address!r} of an event is not among the accounts.")
        return self._known

    def _held(self, query: str, **parameters: Any) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor(query, withhold=True) as cursor:
            cursor.itersize = 10 * PAGE
            cursor.execute(QUERIES[query], self._bounds | parameters)
            yield from cursor
