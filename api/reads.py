"""The reads behind the operations: from path and query to the reader's methods and the pages."""

from __future__ import annotations

from typing import Any

from api.queries import (
    AccountsPage,
    AccountsQuery,
    BalancesQuery,
    EventsPage,
    EventsQuery,
    LedgersPage,
    LedgersQuery,
    PageQuery,
    StatementQuery,
    TransactionsPage,
    TransactionsQuery,
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
from projections.balances_at import balances_at

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
    seq, _, leg = query.after.partition(".")
    after = (int(seq), int(leg)) if leg else (0, 0)
    return reader.statement(path["ledger"], path["address"], query.asset, after, query.limit)


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


def trial_balance(reader: Reader, path: Path, query: PageQuery) -> TrialBalanceView:
    return reader.trial_balance(path["ledger"], query.after, query.limit)


def periods(reader: Reader, path: Path, query: PageQuery) -> PeriodsView:
    return period_reads.periods(reader, path["ledger"], query.after, query.limit)


def events(reader: Reader, path: Path, query: EventsQuery) -> EventsPage:
    # First the incarnation: if a new one begins in between, the next request says so.
    incarnation = reader.incarnation(path["ledger"])
    page = read_page(reader, path["ledger"], query.after, query.limit, query.filter, PAGE_BYTES)
    more = page.position > query.after and page.position < head_seq(reader, path["ledger"])
    return EventsPage(incarnation, page.events, page.position if more else None, page.position)
