"""Reading many loans: lists by the filters that people ask for, figures, reports."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from api import handlers
from api.operation import Operation
from api.queries import From, Incarnation, Limit, MinSeq, To, read_period
from ledger.chart import AssetCode
from ledger.loans.state import Kyc, Status
from ledger.loans.statuses import KreditLoan
from ledger.loans.terms import Id, Rating
from ledger.reader import Reader
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
)
