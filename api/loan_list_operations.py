"""Reading many loans: lists by the filters that people ask for, figures, reports."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from api import handlers
from api.operation import Operation
from api.queries import From, Incarnation, Limit, MinSeq, To, read_period
from ledger import loan_accounts as accounts
from ledger.chart import AssetCode
from ledger.loans.state import Kyc, Status
from ledger.loans.statuses import KreditLoan
from ledger.loans.terms import Id, Rating
from ledger.reader import Reader
from projections import lending_figures as figures
from projections import loan_lists as lists

_LEDGER = "/v1/ledgers/{ledger}"

Beyond = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,64}\Z", description="Go on beyond this name.")]


class LoansQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Loans by name, on a day, by every filter that is given."""

    borrower: Annotated[Id, Meta(description="Only this borrower's.")] | None = None
    status: Annotated[Status, Meta(description="Only those of this status.")] | None = None
    kredit_status: Annotated[KreditLoan, Meta(description="Only those that Kredit calls so.")] | None = None
    asset: Annotated[AssetCode, Meta(description="Only those in this asset.")] | None = None
    provider: Annotated[Id, Meta(description="Only those with this provider's money.")] | None = None
    past_due: (
        Annotated[int, Meta(ge=1, le=3_660, description="Only those past due by so many days or more.")]
        | None
    ) = None
    start: From | None = field(default=None, name="from")
    to: To | None = None
    on: Annotated[date, Meta(description="As they are on this day; now: today.")] | None = None
    after: Beyond = ""
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        self.start, self.to = read_period(self.start, self.to)


class BorrowersQuery(Struct, forbid_unknown_fields=True):
    """Borrowers by name."""

    kyc: Annotated[Kyc, Meta(description="Only those of this KYC status.")] | None = None
    rating: Annotated[Rating, Meta(description="Only those of this risk rating.")] | None = None
    after: Beyond = ""
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


class FiguresQuery(Struct, forbid_unknown_fields=True):
    """Figures on a day."""

    on: Annotated[date, Meta(description="As it is on this day; now: today.")] | None = None
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


class ReportQuery(FiguresQuery, forbid_unknown_fields=True):
    """A page of a credit report on a day."""

    after: Beyond = ""
    limit: Annotated[int, Meta(ge=1, le=figures.MOST_REPORTED, description="At most so many loans.")] = (
        figures.MOST_REPORTED
    )


class LoanStatementQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """A loan's account from a day to a day."""

    start: Annotated[date, Meta(description="From this day on.")] | None = field(default=None, name="from")
    to: Annotated[date, Meta(description="To this day, included; now: today.")] | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        if self.start is not None and self.to is not None and self.to < self.start:
            raise ValueError("`to` is before `from`")


def _loans(reader: Reader, path: dict[str, Any], query: LoansQuery) -> lists.LoansPage:
    wanted = lists.LoanFilter(
        borrower=query.borrower,
        status=query.status,
        kredit_status=query.kredit_status,
        asset=query.asset,
        provider=query.provider,
        past_due=query.past_due,
        submitted_from=query.start,
        submitted_to=query.to,
    )
    return lists.loans(
        reader,
        path["ledger"],
        wanted,
        on=query.on,
        after=query.after,
        limit=query.limit,
        min_seq=query.min_seq,
    )


def _borrowers(reader: Reader, path: dict[str, Any], query: BorrowersQuery) -> lists.BorrowersPage:
    return lists.borrowers(
        reader,
        path["ledger"],
        kyc=query.kyc,
        rating=query.rating,
        after=query.after,
        limit=query.limit,
        min_seq=query.min_seq,
    )


def _overview(reader: Reader, path: dict[str, Any], query: FiguresQuery) -> figures.LendingOverview:
    return figures.overview(reader, path["ledger"], query.on, query.min_seq)


def _borrower(reader: Reader, path: dict[str, Any], query: FiguresQuery) -> figures.BorrowerOverview:
    return figures.borrower_overview(reader, path["ledger"], path["borrower"], query.on, query.min_seq)


def _report(reader: Reader, path: dict[str, Any], query: ReportQuery) -> figures.CreditReport:
    return figures.credit_report(
        reader,
        path["ledger"],
        path["borrower"],
        on=query.on,
        after=query.after,
        limit=query.limit,
        min_seq=query.min_seq,
    )


def _statement(reader: Reader, path: dict[str, Any], query: LoanStatementQuery) -> accounts.LoanStatement:
    return accounts.statement(reader, path["ledger"], path["loan"], query.start, query.to)


def _read(
    path: str, id: str, summary: str, function: Any, answer: type, query: type, *codes: str
) -> Operation:
    return Operation(
        "GET",
        _LEDGER + path,
        id,
        summary,
        description="As far as the read model has come (`seq`).",
        tag="Loans",
        scope="ledger:read",
        handler=handlers.read(function),
        query=query,
        answer=answer,
        codes=codes,
    )


LOAN_LIST_OPERATIONS: tuple[Operation, ...] = (
    _read("/loans", "list_loans", "Loans by name", _loans, lists.LoansPage, LoansQuery),
    _read(
        "/borrowers", "list_borrowers", "Borrowers by name", _borrowers, lists.BorrowersPage, BorrowersQuery
    ),
    _read(
        "/borrowers/{borrower}/overview",
        "get_borrower_overview",
        "A borrower's loans and payments in figures",
        _borrower,
        figures.BorrowerOverview,
        FiguresQuery,
        "borrower_not_found",
    ),
    _read(
        "/borrowers/{borrower}/report",
        "get_credit_report",
        "What a credit report says of a borrower",
        _report,
        figures.CreditReport,
        ReportQuery,
        "borrower_not_found",
    ),
    _read(
        "/loan-overview",
        "get_lending_overview",
        "The ledger's lending in figures",
        _overview,
        figures.LendingOverview,
        FiguresQuery,
    ),
    Operation(
        "GET",
        _LEDGER + "/loans/{loan}/statement",
        "get_loan_statement",
        "A loan's account, line by line",
        description="By what is known now: late facts stand where they belong, undone ones are gone.",
        tag="Loans",
        scope="ledger:read",
        handler=handlers.read(_statement),
        query=LoanStatementQuery,
        answer=accounts.LoanStatement,
        codes=("loan_not_found",),
    ),
)
