"""Leads of credit providers as their read model has them: lists, and how a provider does over a period.

Rates are percent with one decimal, hours likewise, half up; null of nothing. Amounts are by asset, never
added up across assets.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from ledger.providers.streams import BidStatus
from ledger.reader import Reader
from ledger.text import iso, micros
from projections.provider_leads import QUERIES
from projections.reading import Position, position

HOUR = 3_600_000_000
# Lower bounds of the ranges that leads are counted in, minor units: as the dashboard of the seed has them.
BOUNDS = (1_000_000, 2_500_000, 5_000_000)


class LeadLine(Struct, frozen=True, rename="camel"):
    """A lead of a credit provider; amounts in minor units of its asset."""

    lead_id: str
    status: BidStatus
    asset: str
    requested_amount: int
    approved_amount: int | None
    disbursed_amount: int
    lead_fee: int
    fee_reversed: bool
    sent_at: str
    decided_at: str | None


class LeadLines(Struct, frozen=True):
    """Leads by name, from events up to `seq`; `next` continues as `after`, null at the end."""

    seq: int
    leads: list[LeadLine]
    next: str | None


class Period(Struct, frozen=True, rename="camel"):
    """From a moment until before another."""

    start_date: str
    end_date: str


class Metrics(Struct, frozen=True, rename="camel"):
    """Of leads that were sent in the period; the processing time in hours.

    `conversionRate` is approved of processed, `approvalRate` approved of received.
    """

    leads_received: int
    leads_processed: int
    leads_approved: int
    leads_accepted: int
    leads_pending: int
    conversion_rate: str | None
    approval_rate: str | None
    average_processing_time: str | None


class Money(Struct, frozen=True, rename="camel"):
    """In minor units of an asset. Revenue is ours: lead fees that stand, and what we kept of collections.

    `costPerLead` is what a lead costs the provider, `revenuePerLead` what it brings us; both rounded down.
    """

    asset: str
    total_disbursed_amount: int
    total_revenue: int
    lead_fees: int
    servicing_income: int
    cost_per_lead: int
    revenue_per_lead: int


class Ranking(Struct, frozen=True, rename="camel"):
    """Among who was sent leads in the period, by conversion; `topPercentile` rounded up."""

    overall_rank: int
    total_providers: int
    top_percentile: int


class Analytics(Struct, frozen=True, rename="camel"):
    """How a credit provider did in a period, from events up to `seq`."""

    seq: int
    provider_id: str
    period: Period
    metrics: Metrics
    financial_metrics: list[Money]
    performance_ranking: Ranking | None


class AmountRange(Struct, frozen=True):
    """Leads that asked for `minimum` or more and less than `maximum` (null: without an end)."""

    asset: str
    minimum: int
    maximum: int | None
    count: int
    percentage: str | None


class RatingShare(Struct, frozen=True):
    """Leads of a risk rating; null: none was known."""

    rating: str | None
    count: int
    percentage: str | None


class LeadsOverview(Struct, frozen=True, rename="camel"):
    """Leads of the period; `conversionRate` here is approved of received."""

    total_leads: int
    pending_leads: int
    conversion_rate: str | None
    average_response_time: str | None


class LeadShares(Struct, frozen=True, rename="camel"):
    """Leads by what they ask for and by risk rating."""

    by_amount: list[AmountRange]
    by_risk_rating: list[RatingShare]


class Trend(Struct, frozen=True):
    """A figure, and how it has changed against as long a period before."""

    current: str | None
    trend: Literal["up", "down", "flat"] | None
    change: str | None


class LeadsPerformance(Struct, frozen=True, rename="camel"):
    """What has changed."""

    approval_rate: Trend
    processing_time: Trend


class Dashboard(Struct, frozen=True, rename="camel"):
    """What a credit provider looks at, from events up to `seq`; `revenue` by asset."""

    seq: int
    provider_id: str
    period: Period
    overview: LeadsOverview
    revenue: list[Money]
    lead_distribution: LeadShares
    performance_metrics: LeadsPerformance


class _Counts(Struct, frozen=True):
    received: int = 0
    processed: int = 0
    approved: int = 0
    accepted: int = 0
    pending: int = 0
    response: int = 0

    @property
    def conversion(self) -> int | None:
        """Tenths of a percent: approved of processed."""
        return ratio(1_000 * self.approved, self.processed)

    @property
    def approval(self) -> int | None:
        """Tenths of a percent: approved of received."""
        return ratio(1_000 * self.approved, self.received)

    @property
    def hours(self) -> int | None:
        """Tenths of hours from sent to answered, in the mean."""
        return ratio(10 * self.response, self.processed * HOUR)


def ratio(part: int, whole: int) -> int | None:
    """`part / whole`, half up; None of nothing."""
    return (2 * part + whole) // (2 * whole) if whole else None


def tenths(number: int | None) -> str | None:
    """A number of tenths with its decimal point."""
    if number is None:
        return None
    return f"{'-' if number < 0 else ''}{abs(number) // 10}.{abs(number) % 10}"


def leads(
    reader: Reader,
    ledger: str,
    provider: str,
    status: BidStatus | None,
    after: str,
    limit: int,
    min_seq: int | None,
) -> LeadLines:
    """Leads of a credit provider beyond a name (Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "provider_leads", min_seq)
        page = {"provider": provider, "status": status, "after": after, "limit": limit}
        rows = connection.execute(
            QUERIES["provider_leads"], {**parameters, "version": at.version, **page}
        ).fetchall()
    found = [_line(row) for row in rows]
    return LeadLines(at.seq, found, found[-1].lead_id if len(found) == limit else None)


def _line(row: tuple[Any, ...]) -> LeadLine:
    line = dict(zip(LeadLine.__struct_fields__, row, strict=True))
    decided_at = line["decided_at"]
    line["sent_at"] = iso(micros(line["sent_at"]))
    line["decided_at"] = None if decided_at is None else iso(micros(decided_at))
    return LeadLine(**line)


class _Look:
    """What queries over a period share: one snapshot of the read model."""

    def __init__(self, connection: Any, parameters: dict[str, Any], at: Position, provider: str) -> None:
        self._connection = connection
        self._wanted = {**parameters, "version": at.version, "provider": provider}
        self.provider = provider

    def rows(self, query: str, start: datetime, end: datetime, **more: Any) -> list[tuple[Any, ...]]:
        wanted = {**self._wanted, "from": start, "before": end, **more}
        found: list[tuple[Any, ...]] = self._connection.execute(QUERIES[query], wanted).fetchall()
        return found

    def counts(self, start: datetime, end: datetime) -> dict[str, _Counts]:
        return {row[0]: _Counts(*map(int, row[1:])) for row in self.rows("provider_counts", start, end)}

    def money(self, start: datetime, end: datetime) -> list[Money]:
        found = []
        for asset, *sums in self.rows("provider_sums", start, end):
            count, disbursed, fees, servicing = map(int, sums)
            revenue = fees + servicing
            per_lead = fees // count, revenue // count
            found.append(Money(asset, disbursed, revenue, fees, servicing, *per_lead))
        return found


def analytics(
    reader: Reader, ledger: str, provider: str, start: datetime, end: datetime, min_seq: int | None
) -> Analytics:
    """How a credit provider did with the leads that were sent in a period (Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "provider_leads", min_seq)
        look = _Look(connection, parameters, at, provider)
        counts, money = look.counts(start, end), look.money(start, end)
    own = counts.get(provider, _Counts())
    metrics = Metrics(
        own.received,
        own.processed,
        own.approved,
        own.accepted,
        own.pending,
        tenths(own.conversion),
        tenths(own.approval),
        tenths(own.hours),
    )
    return Analytics(at.seq, provider, _period(start, end), metrics, money, _ranking(counts, provider))


def _ranking(counts: dict[str, _Counts], provider: str) -> Ranking | None:
    if provider not in counts:
        return None
    own = counts[provider].conversion or 0
    rank = 1 + sum((other.conversion or 0) > own for other in counts.values())
    return Ranking(rank, len(counts), -(-100 * rank // len(counts)))


def dashboard(
    reader: Reader, ledger: str, provider: str, start: datetime, end: datetime, min_seq: int | None
) -> Dashboard:
    """What a credit provider looks at, of leads that were sent in a period (Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "provider_leads", min_seq)
        look = _Look(connection, parameters, at, provider)
        now = look.counts(start, end).get(provider, _Counts())
        before = look.counts(start - (end - start), start).get(provider, _Counts())
        money = look.money(start, end)
        amounts = look.rows("provider_amounts", start, end, bounds=list(BOUNDS))
        ratings = look.rows("provider_ratings", start, end)
    by_amount = [
        AmountRange(asset, _bound(place), _bound(place + 1) or None, count, _share(count, now.received))
        for asset, place, count in amounts
    ]
    by_rating = [RatingShare(rating or None, n, _share(n, now.received)) for rating, n in ratings]
    overview = LeadsOverview(now.received, now.pending, tenths(now.approval), tenths(now.hours))
    performance = LeadsPerformance(_trend(now.approval, before.approval), _trend(now.hours, before.hours))
    period = _period(start, end)
    distribution = LeadShares(by_amount, by_rating)
    return Dashboard(at.seq, provider, period, overview, money, distribution, performance)


def _bound(place: int) -> int:
    """The lower bound of a range; 0 of the first, and of none that there is."""
    return BOUNDS[place - 1] if 1 <= place <= len(BOUNDS) else 0


def _share(part: int, whole: int) -> str | None:
    return tenths(ratio(1_000 * part, whole))


def _trend(now: int | None, before: int | None) -> Trend:
    if now is None or before is None:
        return Trend(tenths(now), None, None)
    change = now - before
    return Trend(tenths(now), "up" if change > 0 else "down" if change else "flat", tenths(change))


def _period(start: datetime, end: datetime) -> Period:
    return Period(iso(micros(start)), iso(micros(end)))
