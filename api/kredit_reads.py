"""What Kredit, and who administers it, read: use and billing, sessions, payments, and the tables of tenants.

The paths below `/api/internal/kredit` and their forms are Kredit's contract; its Bearer secret is an API key
of ours. Amounts there are of the currency, not of its minor unit.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from anyio import to_thread

from adapters.inbox.endpoints import default_ledger
from api.handlers import Call, Reply
from api.kredit_views import (
    Borrower,
    BorrowerRow,
    Borrowers,
    BorrowersAnswer,
    LoanRow,
    Loans,
    LoansAnswer,
    OfTenant,
    Overview,
    OverviewAnswer,
    OverviewRow,
    Pagination,
    PaymentsQuery,
    Performance,
    SessionQuery,
    SessionView,
    SubscriptionPaymentsPage,
    SubscriptionPaymentView,
    Summary,
    TableQuery,
    TenantRow,
    Tenants,
    TenantsAnswer,
    TenantSubscription,
    UsageAnswer,
    UsageQuery,
)
from api.kredit_webhooks import Contact, code_of
from api.problems import Refused, make, of_validation
from ledger.days import day_of
from ledger.kredit import commands as k
from ledger.kredit import streams as s
from ledger.periods import start_of
from ledger.reader import Reader
from ledger.text import DEFAULT_TENANT, iso, micros, of_currency
from projections import kredit_lists as lists
from projections.kredit_lists import QUERIES, LoanFigures

R = TypeVar("R", bound="OverviewRow")
DAY = timedelta(days=1)
# How many payments are looked at for a page of those of one status.
LOOKED_AT = 1_000

# ---------------------------------------------------------------- sessions and payments


def session(reader: Reader, path: dict[str, Any], query: SessionQuery) -> SessionView:
    """A verification (Refused)."""
    found = reader.stream(path["ledger"], s.session_stream(path["verification"]))
    if found is None:
        raise Refused(make("verification_not_found", evidence={"session": path["verification"]}))
    kept: s.Session = found[0].state
    return SessionView(
        kept.session,
        kept.tenant,
        kept.borrower,
        kept.status,
        kept.result,
        kept.reason,
        kept.units,
        kept.amount,
        kept.asset,
        kept.hold or None,
        kept.requested_at,
        iso(kept.ends_at),
    )


def payments(reader: Reader, path: dict[str, Any], query: PaymentsQuery) -> SubscriptionPaymentsPage:
    """Payments for subscriptions by their request; at most a thousand are looked at."""
    looked_at = query.limit if query.status is None else LOOKED_AT
    after = s.payment_stream(query.after) if query.after else ""
    found: list[SubscriptionPaymentView] = []
    last, seen = "", 0
    for stream, _ in reader.streams(path["ledger"], "kredit_payment", after=after, limit=looked_at):
        kept: s.Payment = stream.state
        last, seen = kept.request, seen + 1
        if query.status in (None, kept.status):
            found.append(_payment(kept))
            if len(found) == query.limit:
                break
    more = len(found) == query.limit or seen == looked_at
    return SubscriptionPaymentsPage(found, last if more else None)


def _payment(kept: s.Payment) -> SubscriptionPaymentView:
    return SubscriptionPaymentView(
        kept.request,
        kept.tenant,
        kept.plan,
        kept.billing_type,
        kept.status,
        kept.asset,
        kept.amount,
        kept.tax,
        kept.start,
        kept.end,
        kept.reference,
        kept.requested_at,
        kept.decided_at,
        kept.decided_by,
        kept.reason,
        kept.released,
        kept.matched,
    )


# ---------------------------------------------------------------- Kredit's own paths


async def _ledger(call: Call) -> str:
    """The ledger with Kredit's tenants: named, the only one, or its default endpoint's (Refused)."""
    asked: str | None = call.query.ledger
    if asked is not None:
        return asked
    own = call.principal.ledgers
    if own is not None and len(own) == 1:
        return next(iter(own))
    if call.principal.tenant == DEFAULT_TENANT:
        found = await call.bridge.inbox.run(default_ledger, "kredit")
        if found is not None:
            return found
    raise Refused(make("invalid_request", "Which ledger? The key sees more than one.", field="ledger"))


async def usage(call: Call) -> Reply:
    """What a tenant used in a period, for its bill."""
    ledger = await _ledger(call)
    answer = await call.bridge.read(_usage, call.reader, ledger, call.query)
    return Reply(call.operation.status, answer)


def _usage(reader: Reader, ledger: str, query: UsageQuery) -> UsageAnswer:
    found = reader.stream(ledger, s.tenant_stream(query.tenant_id))
    if found is None:
        raise Refused(make("kredit_tenant_not_found", evidence={"tenant": query.tenant_id}))
    tenant: s.Tenant = found[0].state
    asset = _rules(reader, ledger).asset
    zone = ZoneInfo(reader.ledger(ledger).time_zone)
    try:
        start = k.day_of_period("period_start", query.period_start)
        end = k.day_of_period("period_end", query.period_end)
    except ValueError as error:
        raise Refused(of_validation(error)) from None
    first = micros(start) if isinstance(start, datetime) else start_of(start, zone)
    # Both ends in: the last moment, or the whole last day.
    beyond = micros(end) + 1 if isinstance(end, datetime) else start_of(end + DAY, zone)
    if beyond <= first:
        raise Refused(make("invalid_request", "`period_end` lies before `period_start`.", field="period_end"))
    named = {
        "asset": asset,
        "first": s.usage_stream(tenant.tenant, first, ""),
        "beyond": s.usage_stream(tenant.tenant, beyond, ""),
    }
    with reader.snapshot(ledger) as (connection, parameters):
        row = connection.execute(QUERIES["usage"], parameters | named).fetchone()
    assert row is not None
    count, units, amount = row
    about = (tenant.tenant, tenant.client, query.period_start, query.period_end)
    return UsageAnswer(*about, count, units, of_currency(amount, asset))


def _rules(reader: Reader, ledger: str) -> k.KreditRules:
    found = reader.stream(ledger, s.RULES)
    rules: k.KreditRules = k.KreditRules() if found is None else found[0].state.rules
    return rules


class _Page(NamedTuple):
    """A question for a page: whose, of which tenants, from where on."""

    ledger: str
    rules: k.KreditRules
    of: list[s.Tenant]
    offset: int
    size: int

    def pagination(self, query: TableQuery, total: int) -> Pagination:
        return Pagination(query.page, query.page_size, total, max(-(-total // query.page_size), 1))


def _asked(reader: Reader, ledger: str, query: TableQuery, search: str = "") -> _Page:
    of = lists.tenants(reader, ledger, search)
    if query.tenant_id is not None:
        of = [tenant for tenant in of if tenant.tenant == query.tenant_id]
    offset = (query.page - 1) * query.page_size
    return _Page(ledger, _rules(reader, ledger), of, offset, query.page_size)


async def overview(call: Call) -> Reply:
    """Figures of all tenants, and a page of those that were searched for."""
    ledger = await _ledger(call)
    query: TableQuery = call.query

    def read(reader: Reader) -> tuple[_Page, Summary, dict[str, LoanFigures], str]:
        page = _asked(reader, ledger, query, query.search)
        everybody = lists.tenants(reader, ledger)
        asset = page.rules.asset
        of = {tenant.tenant: lists.figures(reader, tenant, asset) for tenant in everybody}
        sums = [sum(figures) for figures in zip(*of.values(), strict=True)] or [0] * len(LoanFigures())
        both = LoanFigures(*sums)
        summary = Summary(
            len(everybody),
            both.borrowers,
            both.applications,
            both.loans,
            *(of_currency(amount, asset) for amount in (both.disbursed, both.outstanding, both.profit)),
        )
        return page, summary, of, _today(reader, ledger)

    page, summary, of, today = await call.bridge.read(read, call.reader)
    shown = page.of[page.offset : page.offset + page.size]
    rows = [_row(OverviewRow, page, t, of[t.tenant], today, await _contact(call, ledger, t)) for t in shown]
    data = Overview(summary, rows, page.pagination(query, len(page.of)))
    return Reply(call.operation.status, OverviewAnswer(True, data))


async def tenants(call: Call) -> Reply:
    """A page of tenants, with all that is known of them."""
    ledger = await _ledger(call)
    query: TableQuery = call.query

    def read(reader: Reader) -> tuple[_Page, dict[str, LoanFigures], str]:
        page = _asked(reader, ledger, query, query.search)
        shown = page.of[page.offset : page.offset + page.size]
        of = {tenant.tenant: lists.figures(reader, tenant, page.rules.asset) for tenant in shown}
        return page, of, _today(reader, ledger)

    page, of, today = await call.bridge.read(read, call.reader)
    rows = []
    for tenant in page.of[page.offset : page.offset + page.size]:
        contact = await _contact(call, ledger, tenant)
        more = {
            "client_id": tenant.client,
            "client_code": code_of(tenant),
            "billing": tenant.billing,
            "contact_number": contact.contact_phone or None,
            "registration_number": contact.company_registration or None,
            "subscription": _subscription(tenant, today),
            "subscribed_at": tenant.subscribed_at or None,
        }
        rows.append(_row(TenantRow, page, tenant, of[tenant.tenant], today, contact, **more))
    data = Tenants(rows, page.pagination(query, len(page.of)))
    return Reply(call.operation.status, TenantsAnswer(True, data))


async def borrowers(call: Call) -> Reply:
    """A page of borrowers, tenant by tenant."""
    ledger = await _ledger(call)
    query: TableQuery = call.query

    def read(reader: Reader) -> Borrowers:
        page = _asked(reader, ledger, query)
        found, total = lists.borrowers(reader, page.of, query.search, page.offset, page.size)
        rows = [
            BorrowerRow(
                row.borrower,
                _of(tenant),
                row.kyc == "verified",
                row.kyc.upper(),
                row.score,
                row.loans,
                row.assessed_at,
                Performance(row.rating, row.loans, row.defaulted, row.in_arrears),
            )
            for tenant, row in found
        ]
        return Borrowers(rows, page.pagination(query, total))

    return Reply(call.operation.status, BorrowersAnswer(True, await call.bridge.read(read, call.reader)))


async def loans(call: Call) -> Reply:
    """A page of loans, tenant by tenant."""
    ledger = await _ledger(call)
    query: TableQuery = call.query

    def read(reader: Reader) -> Loans:
        page = _asked(reader, ledger, query)
        found, total = lists.loans(reader, page.of, query.search, page.offset, page.size)
        rows = [
            LoanRow(
                line.loan,
                tenant.tenant,
                _of(tenant),
                line.borrower,
                Borrower(line.borrower),
                line.asset.partition("/")[0],
                of_currency(line.requested if line.amount is None else line.amount, line.asset),
                of_currency(line.principal + line.interest + line.fee + line.penalty, line.asset),
                line.rate,
                line.instalments,
                line.kredit_status,
                line.days_past_due,
                line.submitted_at,
            )
            for tenant, line in found
        ]
        return Loans(rows, page.pagination(query, total))

    return Reply(call.operation.status, LoansAnswer(True, await call.bridge.read(read, call.reader)))


def _today(reader: Reader, ledger: str) -> str:
    return day_of(reader.clock(), ZoneInfo(reader.ledger(ledger).time_zone)).isoformat()


async def _contact(call: Call, ledger: str, tenant: s.Tenant) -> Contact:
    place = (call.principal.tenant, ledger, s.tenant_stream(tenant.tenant))
    return await to_thread.run_sync(call.bridge.kredit.find, *place, Contact) or Contact()


def _row(
    row: type[R],
    page: _Page,
    tenant: s.Tenant,
    figures: LoanFigures,
    today: str,
    contact: Contact,
    **more: Any,
) -> R:
    subscription = _subscription(tenant, today)
    return row(
        tenant_id=tenant.tenant,
        tenant_name=tenant.name,
        tenant_slug=tenant.slug,
        email=contact.contact_email or None,
        subscription_status=(
            "FREE" if subscription is None else "PAID" if subscription.status == "ACTIVE" else "OVERDUE"
        ),
        borrower_count=figures.borrowers,
        application_count=figures.applications,
        loan_count=figures.loans,
        total_disbursed=of_currency(figures.disbursed, page.rules.asset),
        total_profit=of_currency(figures.profit, page.rules.asset),
        created_at=tenant.opened_at,
        **more,
    )


def _subscription(tenant: s.Tenant, today: str) -> TenantSubscription | None:
    if not tenant.plan:
        return None
    status: Literal["ACTIVE", "EXPIRED"] = "ACTIVE" if today <= tenant.subscribed_to else "EXPIRED"
    return TenantSubscription(tenant.plan, status, tenant.subscribed_from, tenant.subscribed_to)


def _of(tenant: s.Tenant) -> OfTenant:
    return OfTenant(tenant.tenant, tenant.name, tenant.slug)
