"""Prepaid credits over HTTP: what commands are answered with, and the reads.

An answer to a command is made of its event, and of the package's or order's stream up to it, so that a
replay is the same bytes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from api.handlers import REPLAYED, Call, Handler, Reply, refused
from api.http import decode_body
from api.queries import AsOf, Incarnation, Limit, MinSeq
from ledger import commands as c
from ledger.batch import Recorded, Refusal, Replayed, Request
from ledger.chart import MAX_AMOUNT
from ledger.credits.commands import CreditType, Owner
from ledger.credits.views import (
    CreditBalance,
    CreditOrder,
    CreditPackage,
    CreditTransaction,
    transaction_view,
)
from ledger.days import day_or_moment
from ledger.events import Event
from ledger.reader import Reader
from ledger.views import Acknowledged
from projections import credit_reads as reads

Path = dict[str, Any]


class OwnerQuery(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Whose wallets."""

    owner: Owner = field(name="userId")
    min_seq: MinSeq | None = field(default=None, name="min_seq")
    incarnation: Incarnation | None = None


class WalletQuery(OwnerQuery, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Which wallet."""

    credit_type: CreditType


class CheckQuery(WalletQuery, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """How much of which wallet is required."""

    required: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]


class HistoryQuery(OwnerQuery, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """An owner's transactions, the last first; of one credit type or of all."""

    credit_type: CreditType | None = None
    limit: Limit = 100
    offset: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class PeriodQuery(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """From the beginning of a day, or a moment, to the end of a day or a moment; by default all until now."""

    start_date: AsOf | None = None
    end_date: AsOf | None = None
    min_seq: MinSeq | None = field(default=None, name="min_seq")
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        for name, spelled in (("start_date", "startDate"), ("end_date", "endDate")):
            value = getattr(self, name)
            if isinstance(value, str):
                setattr(self, name, day_or_moment(spelled, value))


class UsageQuery(PeriodQuery, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Which wallet, and over which period."""

    owner: Owner = field(name="userId")
    credit_type: CreditType


class PackagesQuery(Struct, forbid_unknown_fields=True, kw_only=True, rename="camel"):
    """Packages of a credit type, those on offer or all."""

    credit_type: CreditType | None = None
    is_active: Literal["true", "false"] | None = None
    incarnation: Incarnation | None = None


class Packages(Struct, frozen=True):
    """Packages in their sort order."""

    packages: list[CreditPackage]


class Products(Struct, frozen=True):
    """Packages on offer by credit type, each list in its sort order."""

    products: dict[str, list[CreditPackage]]


# ---------------------------------------------------------------- commands


def _answering(shape: Any) -> Handler:
    """A handler of one command; `shape` makes the answer of its event, in a thread."""

    async def handler(call: Call) -> Reply:
        ledger = call.path["ledger"]
        body = decode_body(call.operation.decoder, await call.exchange.body())
        asked = c.command(
            body, key=call.exchange.key(), actor=call.principal.actor, request_id=call.exchange.asked_id
        )
        (outcome,) = await call.submit(ledger, Request([asked]))
        if isinstance(outcome, Refusal):
            return await refused(call, ledger, [asked], outcome)
        assert isinstance(outcome, Recorded | Replayed)
        recorded = outcome.event if isinstance(outcome, Recorded) else outcome.seq
        answer = await call.bridge.read(_shaped, call.reader, ledger, recorded, shape)
        headers = (REPLAYED,) if isinstance(outcome, Replayed) else ()
        return Reply(call.operation.status, answer, headers)

    return handler


def _shaped(reader: Reader, ledger: str, recorded: Event | int, shape: Any) -> Any:
    if isinstance(recorded, int):
        (recorded,) = reads.events(reader, ledger, [recorded])
    return shape(reader, ledger, recorded)


def _transaction(reader: Reader, ledger: str, event: Event) -> CreditTransaction:
    return transaction_view(event)


def _package(reader: Reader, ledger: str, event: Event) -> CreditPackage:
    return reads.package_at(reader, ledger, event.data["id"], event.seq)


def _order(reader: Reader, ledger: str, event: Event) -> CreditOrder:
    return reads.order_at(reader, ledger, event.data["order"], event.seq)


def _acknowledged(reader: Reader, ledger: str, event: Event) -> Acknowledged:
    return Acknowledged(event.seq, event.type, event.recorded_at)


transaction = _answering(_transaction)
package = _answering(_package)
order = _answering(_order)
acknowledged = _answering(_acknowledged)

# ---------------------------------------------------------------- reads


def get_balances(reader: Reader, path: Path, query: OwnerQuery) -> reads.CreditBalances:
    return reads.balances(reader, path["ledger"], query.owner)


def get_balance(reader: Reader, path: Path, query: WalletQuery) -> CreditBalance:
    return reads.balance(reader, path["ledger"], query.owner, query.credit_type)


def check_balance(reader: Reader, path: Path, query: CheckQuery) -> reads.CreditCheck:
    return reads.check(reader, path["ledger"], query.owner, query.credit_type, query.required)


def get_history(reader: Reader, path: Path, query: HistoryQuery) -> reads.CreditHistory:
    return reads.history(
        reader, path["ledger"], query.owner, query.credit_type, query.limit, query.offset, query.min_seq
    )


def get_usage(reader: Reader, path: Path, query: UsageQuery) -> reads.UsageStats:
    return reads.usage(
        reader,
        path["ledger"],
        query.owner,
        query.credit_type,
        query.start_date,
        query.end_date,
        query.min_seq,
    )


def get_metrics(reader: Reader, path: Path, query: PeriodQuery) -> reads.CreditMetrics:
    return reads.metrics(reader, path["ledger"], query.start_date, query.end_date, query.min_seq)


def get_packages(reader: Reader, path: Path, query: PackagesQuery) -> Packages:
    active = None if query.is_active is None else query.is_active == "true"
    return Packages(reads.packages(reader, path["ledger"], query.credit_type, active))


def get_products(reader: Reader, path: Path, query: Any) -> Products:
    products: dict[str, list[CreditPackage]] = {}
    for one in reads.packages(reader, path["ledger"], None, True):
        products.setdefault(one.credit_type, []).append(one)
    return Products(products)


def get_order(reader: Reader, path: Path, query: Any) -> CreditOrder:
    return reads.order(reader, path["ledger"], path["order"])


def get_settings(reader: Reader, path: Path, query: Any) -> reads.CreditSettings:
    return reads.settings(reader, path["ledger"])
