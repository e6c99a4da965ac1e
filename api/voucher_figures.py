"""Lists and figures of vouchers over HTTP: from their read model and from the inbox."""

from __future__ import annotations

from datetime import date
from itertools import islice
from typing import Annotated, Any

from msgspec import Meta, Struct, structs

from adapters.inbox import desk
from api.bridge import Bridge
from api.handlers import Call, Reply
from api.http import NoQuery
from api.queries import Incarnation, Limit, MinSeq
from ledger.reader import Reader
from ledger.three_way import ThreeWayLine, three_way
from ledger.vouchers.commands import Id
from ledger.vouchers.streams import Status
from projections import trust, voucher_reads
from projections.voucher_reads import VoucherCounts, VoucherLines, percent


class VouchersQuery(Struct, forbid_unknown_fields=True):
    """Vouchers by name."""

    programme: Annotated[Id, Meta(description="Only of this programme.")] | None = None
    status: Annotated[Status, Meta(description="Only these.")] | None = None
    beneficiary: Annotated[Id, Meta(description="Only for this beneficiary.")] | None = None
    after: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,64}\Z", description="Go on beyond this name.")
    ] = ""
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


class TrustQuery(Struct, forbid_unknown_fields=True):
    """Days of the ledger's calendar."""

    to: Annotated[date, Meta(description="The last day; today by default.")] | None = None
    days: Annotated[int, Meta(ge=1, le=366, description="So many days, up to and with the last.")] = 1
    programme: Annotated[Id, Meta(description="Only this programme.")] | None = None
    status: Annotated[trust.Status, Meta(description="Only lines of this status.")] | None = None
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


class VoucherMetrics(VoucherCounts, frozen=True):
    """Figures of distribution, and of Buffr's webhooks.

    `idempotency_hit_rate`: webhooks that came again, in percent of all that came. Latency is from coming in
    to being posted or parked, in milliseconds.
    """

    webhooks: int
    webhooks_waiting: int
    webhooks_unposted: int
    idempotency_hit_rate: str | None
    webhook_latency_mean_ms: float | None
    webhook_latency_p95_ms: float | None


def vouchers(reader: Reader, path: dict[str, Any], query: VouchersQuery) -> VoucherLines:
    """A page."""
    return voucher_reads.vouchers(
        reader,
        path["ledger"],
        programme=query.programme,
        status=query.status,
        beneficiary=query.beneficiary,
        after=query.after,
        limit=query.limit,
        min_seq=query.min_seq,
    )


def trust_report(reader: Reader, path: dict[str, Any], query: TrustQuery) -> trust.TrustReport:
    """What the bank holds and what is owed from it."""
    return trust.trust_report(
        reader,
        path["ledger"],
        to=query.to,
        days=query.days,
        programme=query.programme,
        status=query.status,
        min_seq=query.min_seq,
    )


MOST_DIFFERENCES = 1_000


class Differences(Struct, frozen=True):
    """What ledger, Buffr and bank do not say alike; `more`: there are more than fit an answer."""

    differences: list[ThreeWayLine]
    more: bool


def differences(reader: Reader, path: dict[str, Any], query: NoQuery) -> Differences:
    """The first of them."""
    found = list(islice(three_way(reader, path["ledger"]), MOST_DIFFERENCES + 1))
    return Differences(found[:MOST_DIFFERENCES], len(found) > MOST_DIFFERENCES)


async def metrics(call: Call) -> Reply:
    """All figures."""
    ledger = call.path["ledger"]
    counted = await call.bridge.read(voucher_reads.counts, call.reader, ledger)
    return Reply(200, await _with_webhooks(call.bridge, counted, call.whole_name(ledger)))


async def _with_webhooks(bridge: Bridge, counted: VoucherCounts, ledger: str) -> VoucherMetrics:
    figures = await bridge.inbox.run(desk.figures, ledger, "buffr")
    return with_webhooks(counted, figures)


def with_webhooks(counted: VoucherCounts, figures: desk.WebhookFigures) -> VoucherMetrics:
    """Both kinds of figures."""
    return VoucherMetrics(
        **structs.asdict(counted),
        webhooks=figures.webhooks,
        webhooks_waiting=figures.waiting,
        webhooks_unposted=figures.unposted,
        idempotency_hit_rate=percent(figures.repeats, figures.webhooks),
        webhook_latency_mean_ms=figures.latency_mean_ms,
        webhook_latency_p95_ms=figures.latency_p95_ms,
    )
