"""The reads behind the operations: from path and query to the reader's methods and the pages."""

from __future__ import annotations

from typing import Any

from api.queries import (
    AccountsPage,
    AccountsQuery,
    ActivityQuery,
    AssertionsQuery,
    BalanceSheetQuery,
    BalancesQuery,
    DailyBalancesQuery,
    EventsPage,
    EventsQuery,
    IncomeStatementQuery,
    LedgersPage,
    LedgersQuery,
    PageQuery,
    SearchQuery,
    StatementQuery,
    TransactionsPage,
    TransactionsQuery,
    TrialBalanceQuery,
)
from ledger import period_reads
from ledger.feed import head_seq, read_page
from ledger.reader import Reader
from ledger.views import (
    AccountView,
    BalancesView,
    ChartView,
    LedgerView,
    PeriodsView,
    StatementView,
    TransactionView,
    TrialBalanceView,
)
from projections import account_reads, assertion_reads, reports
from projections.balances_at import balances_at
from projections.finding import Filters, find_transactions
from projections.statements import cursor, period_statement
from projections.views import (
    ActivityView,
    AssertionsView,
    BalanceSheetView,
    DailyBalancesView,
    FoundTransactions,
    IncomeStatementView,
)

PAGE_BYTES = 10 * 2**20
Path = dict[str, Any]


def ledgers(reader: Reader, path: Path, query: LedgersQuery) -> LedgersPage:
    found = reader.ledgers(query.after, query.limit)
    return LedgersPage(found, found[-1].name if len(found) == query.limit else None)


def ledger(reader: Reader, path: Path, query: Any) -> LedgerView:
    return reader.ledger(path["ledger"])


def chart(reader: Reader, path: Path, query: Any) -> ChartView:
    return reader.chart(path["ledger"])


def accounts(reader: Reader, path: Path, query: AccountsQuery) -> AccountsPage:
    found = reader.accounts(path["ledger"], query.after, query.limit, query.prefix, query.type)
    return AccountsPage(*found)


def account(reader: Reader, path: Path, query: Any) -> AccountView:
    return reader.account(path["ledger"], path["address"])


def balances(reader: Reader, path: Path, query: BalancesQuery) -> BalancesView:
    if query.as_of is None:
        return reader.balances(path["ledger"], path["address"], query.known_at)
    return balances_at(reader, path["ledger"], path["address"], query.as_of, query.known_at)


def statement(reader: Reader, path: Path, query: StatementQuery) -> StatementView:
    if query.over_period:
        return period_statement(
            reader,
            path["ledger"],
            path["address"],
            query.asset,
            start=query.start,
            to=query.to,
            known_at=query.known_at,
            after=cursor(query.after) if query.after else None,
            limit=query.limit,
        )
    seq, _, leg = query.after.partition(".")
    after = (int(seq), int(leg)) if leg else (0, 0)
    return reader.statement(path["ledger"], path["address"], query.asset, after, query.limit)


def daily_balances(reader: Reader, path: Path, query: DailyBalancesQuery) -> DailyBalancesView:
    return account_reads.daily_balances(
        reader,
        path["ledger"],
        path["address"],
        query.asset,
        start=query.start,
        to=query.to,
        after=query.after,
        limit=query.limit,
        min_seq=query.min_seq,
    )


def activity(reader: Reader, path: Path, query: ActivityQuery) -> ActivityView:
    return account_reads.activity(
        reader,
        path["ledger"],
        path["address"],
        start=query.start,
        to=query.to,
        before=account_reads.before(query.before) if query.before else None,
        limit=query.limit,
        min_seq=query.min_seq,
    )


def search(reader: Reader, path: Path, query: SearchQuery) -> FoundTransactions:
    names = (name for name in Filters.__struct_fields__)
    filters = Filters(**{name: getattr(query, name) for name in names})
    return find_transactions(reader, path["ledger"], filters, query.before, query.limit, query.min_seq)


def assertions(reader: Reader, path: Path, query: AssertionsQuery) -> AssertionsView:
    return assertion_reads.assertions(
        reader,
        path["ledger"],
        status=query.status,
        account=query.account,
        after=query.after,
        limit=query.limit,
        min_seq=query.min_seq,
    )


def transactions(reader: Reader, path: Path, query: TransactionsQuery) -> TransactionsPage:
    found = reader.transactions(
        path["ledger"],
        after=query.after,
        limit=query.limit,
        newest_first=query.order == "desc",
        account=query.account,
        type=query.type,
        reference=query.reference,
        effective_from=query.effective_from,
        effective_to=query.effective_to,
    )
    return TransactionsPage(*found)


def transaction(reader: Reader, path: Path, query: Any) -> TransactionView:
    return reader.transaction(path["ledger"], path["seq"])


def trial_balance(reader: Reader, path: Path, query: TrialBalanceQuery) -> TrialBalanceView:
    if query.as_of is None and query.known_at is None:
        return reader.trial_balance(path["ledger"], query.after, query.limit)
    return reports.trial_balance(
        reader, path["ledger"], query.as_of, query.known_at, query.after, query.limit
    )


def balance_sheet(reader: Reader, path: Path, query: BalanceSheetQuery) -> BalanceSheetView:
    return reports.balance_sheet(reader, path["ledger"], query.as_of, query.known_at, query.depth)


def income_statement(reader: Reader, path: Path, query: IncomeStatementQuery) -> IncomeStatementView:
    return reports.income_statement(
        reader, path["ledger"], query.start, query.to, query.known_at, query.depth
    )


def periods(reader: Reader, path: Path, query: PageQuery) -> PeriodsView:
    return period_reads.periods(reader, path["ledger"], query.after, query.limit)


def events(reader: Reader, path: Path, query: EventsQuery) -> EventsPage:
    # First the incarnation: if a new one begins in between, the next request says so.
    incarnation = reader.incarnation(path["ledger"])
    page = read_page(reader, path["ledger"], query.after, query.limit, query.filter, PAGE_BYTES)
    more = page.position > query.after and page.position < head_seq(reader, path["ledger"])
    return EventsPage(incarnation, page.events, page.position if more else None, page.position)
