"""What is read of prepaid credits: balances from the wallets, the rest from the read model."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from ledger.credits.purchase_commands import TypeSettings
from ledger.credits.streams import DEFAULTS, SETTINGS, Order, Package
from ledger.credits.views import (
    CreditBalance,
    CreditOrder,
    CreditPackage,
    CreditTransaction,
    balance_view,
    order_view,
    package_view,
    transaction_view,
)
from ledger.credits.wallet import NO_WALLET, Wallet
from ledger.events import Event, read_event
from ledger.products import PRODUCTS
from ledger.reader import QUERIES as BOOK_QUERIES
from ledger.reader import Reader
from ledger.state import Stream
from ledger.wire import Connection
from projections.balances_at import BEGINNING, AsOf, period
from projections.credits import QUERIES
from projections.reading import position

MOST = 1_000
MOST_PACKAGES = 100


class OrderNotFound(LookupError):
    """No order has this id."""


class CreditBalances(Struct, frozen=True):
    """An owner's wallets, one for each credit type that was ever used."""

    balances: list[CreditBalance]


class CreditSettings(Struct, frozen=True):
    """The rules of each credit type that has its own, and those of all others."""

    types: dict[str, TypeSettings]
    default: TypeSettings


class CreditCheck(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a wallet has what is required, and how much it lacks."""

    has_sufficient: bool
    balance: int
    required: int
    shortfall: int


class CreditHistory(Struct, frozen=True, kw_only=True, rename="camel"):
    """Transactions, the last first. `seq` is how far they are known; `next` the offset to go on at."""

    seq: int
    transactions: list[CreditTransaction]
    next: int | None


class UsageStats(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a wallet used and bought in a period of so many calendar days of the ledger's time zone.

    `averageDaily` is `totalUsed` by `days`, with two decimals; `balance` is the present one.
    """

    total_used: int
    total_purchased: int
    balance: int
    average_daily: str
    transactions: int
    days: int
    seq: int


class TypeMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """All wallets of a credit type in a period. Rates are shares with four decimals."""

    credit_type: str
    total_used: int
    total_purchased: int
    average_daily: str
    transactions: int
    uses: int
    refunds: int
    refund_rate: str
    purchases: int
    purchases_refunded: int
    purchase_refund_rate: str


class PackageMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """How often a package was bought, its units without bonus, and what was paid with tax."""

    package_id: str
    asset: str
    purchases: int
    credits: int
    paid: int


class MoneyMetrics(Struct, frozen=True):
    """Money of purchases, with tax, in minor units."""

    asset: str
    paid: int
    refunded: int


class CreditMetrics(Struct, frozen=True, kw_only=True, rename="camel"):
    """A tenant's figures: by credit type, its popular packages, its money by asset."""

    seq: int
    days: int
    types: list[TypeMetrics]
    popular_packages: list[PackageMetrics]
    money: list[MoneyMetrics]


def balance(reader: Reader, ledger: str, owner: str, credit_type: str) -> CreditBalance:
    """One wallet, by one indexed read."""
    found = reader.stream(ledger, f"wallet:{owner}:{credit_type}")
    wallet, seq = (NO_WALLET, 0) if found is None else (found[0].state, found[1])
    assert isinstance(wallet, Wallet)
    return balance_view(owner, credit_type, wallet, seq)


def balances(reader: Reader, ledger: str, owner: str) -> CreditBalances:
    """All wallets of an owner."""
    found = reader.streams(ledger, "wallet", prefix=f"{owner}:", limit=MOST)
    return CreditBalances(
        [balance_view(owner, stream.name.rpartition(":")[2], stream.state, seq) for stream, seq in found]
    )


def check(reader: Reader, ledger: str, owner: str, credit_type: str, required: int) -> CreditCheck:
    """Whether a wallet has so many credits."""
    available = balance(reader, ledger, owner, credit_type).balance
    shortfall = max(required - available, 0)
    return CreditCheck(
        has_sufficient=not shortfall, balance=available, required=required, shortfall=shortfall
    )


def packages(
    reader: Reader, ledger: str, credit_type: str | None, active: bool | None
) -> list[CreditPackage]:
    """What is offered, in its sort order."""
    found: list[CreditPackage] = []
    after = ""
    while True:
        page = reader.streams(ledger, "package", after=after, limit=MOST)
        for stream, _ in page:
            package = stream.state
            assert isinstance(package, Package)
            if credit_type in (None, package.credit_type) and active in (None, package.is_active):
                found.append(package_view(stream.name.partition(":")[2], package))
        if len(page) < MOST:
            return sorted(found, key=lambda package: (package.sort_order, package.id))
        after = page[-1][0].name


def order(reader: Reader, ledger: str, order_id: str) -> CreditOrder:
    """An order (OrderNotFound)."""
    found = reader.stream(ledger, f"order:{order_id}")
    if found is None:
        raise OrderNotFound(order_id)
    state = found[0].state
    assert isinstance(state, Order)
    return order_view(order_id, state)


def package_at(reader: Reader, ledger: str, package_id: str, seq: int) -> CreditPackage:
    """A package as its events up to a seq left it."""
    state = _state_at(reader, ledger, f"package:{package_id}", seq)
    assert isinstance(state, Package)
    return package_view(package_id, state)


def order_at(reader: Reader, ledger: str, order_id: str, seq: int) -> CreditOrder:
    """An order as its events up to a seq left it."""
    state = _state_at(reader, ledger, f"order:{order_id}", seq)
    assert isinstance(state, Order)
    return order_view(order_id, state)


def _state_at(reader: Reader, ledger: str, name: str, seq: int) -> Any:
    with reader.snapshot(ledger) as (connection, parameters):
        bodies = connection.execute(BOOK_QUERIES["stream_bodies"], {**parameters, "stream": name}).fetchall()
    stream: Stream | None = None
    for (body,) in bodies:
        event = read_event(body)
        if event.seq > seq:
            break
        stream = PRODUCTS.evolved(stream, event, name)
    assert stream is not None
    return stream.state


def settings(reader: Reader, ledger: str) -> CreditSettings:
    """The rules of the credit types that have their own."""
    found = reader.stream(ledger, SETTINGS)
    return CreditSettings({} if found is None else found[0].state.types, DEFAULTS)


def events(reader: Reader, ledger: str, seqs: list[int]) -> list[Event]:
    """The events of some seqs, in seq order."""
    with reader.snapshot(ledger) as (connection, parameters):
        return _events(connection, parameters, seqs)


def _events(connection: Connection, parameters: dict[str, Any], seqs: list[int]) -> list[Event]:
    rows = connection.execute(BOOK_QUERIES["event_bodies"], {**parameters, "seqs": seqs})
    return [read_event(body) for _, body in rows]


def history(
    reader: Reader,
    ledger: str,
    owner: str,
    credit_type: str | None,
    limit: int,
    offset: int,
    min_seq: int | None = None,
) -> CreditHistory:
    """An owner's transactions (Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "credits", min_seq)
        wanted = {"owner": owner, "credit_type": credit_type, "limit": limit, "offset": offset}
        rows = connection.execute(
            QUERIES["credit_history"], {**parameters, "version": at.version, **wanted}
        ).fetchall()
        found = _events(connection, parameters, [seq for seq, _ in rows])
    return CreditHistory(
        seq=at.seq,
        transactions=[transaction_view(event) for event in sorted(found, key=lambda e: -e.seq)],
        next=offset + limit if len(rows) == limit else None,
    )


def _between(
    connection: Connection, parameters: dict[str, Any], start: AsOf | None, end: AsOf | None
) -> tuple[datetime, datetime, int]:
    """A period as moments [start, end), and how many calendar days it touches; by default up to now."""
    zone = ZoneInfo(parameters["time_zone"])
    first, last = period(start, end, zone, ("startDate", "endDate"))
    row = connection.execute(QUERIES["credit_bounds"], parameters).fetchone()
    assert row is not None
    opened, now = row
    first = max(first, opened) if first == BEGINNING else first
    last = now if last is None else last
    # The end is the first moment that is no longer in it.
    days = (_day(last, zone) - _day(first, zone)).days + (_starts_day(last, zone) is False)
    return first, last, max(days, 1)


def _day(moment: datetime, zone: ZoneInfo) -> Any:
    return moment.astimezone(zone).date()


def _starts_day(moment: datetime, zone: ZoneInfo) -> bool:
    local = moment.astimezone(zone)
    return (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)


def usage(
    reader: Reader,
    ledger: str,
    owner: str,
    credit_type: str,
    start: AsOf | None,
    end: AsOf | None,
    min_seq: int | None = None,
) -> UsageStats:
    """A wallet's statistics over a period (EndsBeforeItStarts, Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "credits", min_seq)
        first, last, days = _between(connection, parameters, start, end)
        wanted = {"owner": owner, "credit_type": credit_type, "start": first, "end": last}
        row = connection.execute(
            QUERIES["credit_usage"], {**parameters, "version": at.version, **wanted}
        ).fetchone()
    assert row is not None
    used, purchased, transactions = row
    return UsageStats(
        total_used=used,
        total_purchased=purchased,
        balance=balance(reader, ledger, owner, credit_type).balance,
        average_daily=_share(used, days, "0.01"),
        transactions=transactions,
        days=days,
        seq=at.seq,
    )


def metrics(
    reader: Reader, ledger: str, start: AsOf | None, end: AsOf | None, min_seq: int | None = None
) -> CreditMetrics:
    """A tenant's figures over a period (EndsBeforeItStarts, Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "credits", min_seq)
        first, last, days = _between(connection, parameters, start, end)
        wanted = {**parameters, "version": at.version, "start": first, "end": last, "limit": MOST_PACKAGES}
        types = connection.execute(QUERIES["credit_metrics"], wanted).fetchall()
        sold = connection.execute(QUERIES["credit_packages_sold"], wanted).fetchall()
        money = connection.execute(QUERIES["credit_money"], wanted).fetchall()
    return CreditMetrics(
        seq=at.seq,
        days=days,
        types=[
            TypeMetrics(
                credit_type=credit_type,
                total_used=used,
                total_purchased=purchased,
                average_daily=_share(used, days, "0.01"),
                transactions=transactions,
                uses=uses,
                refunds=refunds,
                refund_rate=_share(refunds, uses, "0.0001"),
                purchases=purchases,
                purchases_refunded=refunded,
                purchase_refund_rate=_share(refunded, purchases, "0.0001"),
            )
            for credit_type, used, purchased, transactions, uses, refunds, purchases, refunded in types
        ],
        popular_packages=[
            PackageMetrics(package_id=package, asset=asset, purchases=count, credits=units, paid=paid)
            for package, asset, count, units, paid in sold
        ],
        money=[MoneyMetrics(*row) for row in money],
    )


def _share(part: int, whole: int, places: str) -> str:
    if not whole:
        return str(Decimal(0).quantize(Decimal(places)))
    return str((Decimal(part) / whole).quantize(Decimal(places), ROUND_HALF_EVEN))
