"""The operations on arrears: what is said of instalments, collection cases, the portfolio at risk."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct

from api import handlers
from api.loan_operations import COLLECT
from api.operation import DATED, Operation
from api.queries import After, Incarnation, Limit, MinSeq
from ledger import collection_reads as reads
from ledger.loans import collection_commands as cc
from ledger.loans import commands as c
from ledger.loans.case import Assignee, CaseStatus
from ledger.loans.command import LoanCommand
from ledger.reader import Reader
from ledger.views import EntryView
from projections import arrears_reads

_LEDGER = "/v1/ledgers/{ledger}"
_LOAN = _LEDGER + "/loans/{loan}"
_CASE = _LOAN + "/collection"

_OPEN = ("collection_case_not_open",)


class AtRiskQuery(Struct, forbid_unknown_fields=True):
    """A day of the ledger's time zone."""

    on: Annotated[date, Meta(description="As of the end of this day; now: today.")] | None = None
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


class CaseQuery(Struct, forbid_unknown_fields=True):
    """No more than which life of the ledger is meant."""

    incarnation: Incarnation | None = None


class CasesQuery(Struct, forbid_unknown_fields=True):
    """Cases by the loan's name."""

    status: Annotated[CaseStatus, Meta(description="Only these; now: all but closed ones.")] | None = None
    assignee: Annotated[Assignee, Meta(description="Only those of this assignee.")] | None = None
    after: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_.\-]{0,64}\Z", description="Go on beyond this name.")
    ] = ""
    limit: Limit = 100
    incarnation: Incarnation | None = None


class NotesQuery(Struct, forbid_unknown_fields=True):
    """Notes in order."""

    after: After = 0
    limit: Limit = 100
    incarnation: Incarnation | None = None


def _at_risk(reader: Reader, path: dict[str, Any], query: AtRiskQuery) -> arrears_reads.PortfolioAtRisk:
    return arrears_reads.portfolio_at_risk(reader, path["ledger"], query.on, query.min_seq)


def _case(reader: Reader, path: dict[str, Any], query: CaseQuery) -> reads.CaseView:
    return reads.case(reader, path["ledger"], path["loan"])


def _notes(reader: Reader, path: dict[str, Any], query: NotesQuery) -> reads.NotesPage:
    return reads.notes(reader, path["ledger"], path["loan"], query.after, query.limit)


def _cases(reader: Reader, path: dict[str, Any], query: CasesQuery) -> reads.CasesPage:
    return reads.cases(
        reader,
        path["ledger"],
        status=query.status,
        assignee=query.assignee,
        after=query.after,
        limit=query.limit,
    )


def _read(
    path: str, id: str, summary: str, function: Any, answer: type, query: type, *codes: str
) -> Operation:
    return Operation(
        "GET",
        path,
        id,
        summary,
        tag="Loans",
        scope=COLLECT,
        handler=handlers.read(function),
        query=query,
        answer=answer,
        codes=codes,
    )


def _command(path: str, summary: str, body: type[LoanCommand], *codes: str) -> Operation:
    return Operation(
        "POST",
        path,
        body.operation,
        summary,
        description=(body.__doc__ or "").strip(),
        tag="Loans",
        scope=COLLECT,
        handler=handlers.command,
        body=body,
        answer=EntryView,
        status=201,
        codes=(*DATED, "loan_not_found", "loan_status", *codes),
    )


ARREARS_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        _LEDGER + "/portfolio-at-risk",
        "get_portfolio_at_risk",
        "What is outstanding of loans in arrears, by asset",
        description=(
            "PAR 1, 30, 60 and 90: principal outstanding of loans past due by at least 1, 31, 61 and 91 days"
            " (beyond their days of grace), and that in percent of all principal outstanding; and the ageing"
            " buckets of the lender's policy. What came late counts on its day."
        ),
        tag="Loans",
        scope="ledger:read",
        handler=handlers.read(_at_risk),
        query=AtRiskQuery,
        answer=arrears_reads.PortfolioAtRisk,
    ),
    _command(
        _LOAN + "/announce",
        "Say that an instalment fell due or was missed",
        c.Announcement,
        "nothing_to_announce",
        # it accrues, which posts
        "account_not_in_chart",
        "asset_not_allowed",
        "amount_overflow",
        "insufficient_available",
        "max_balance_exceeded",
        "approval_required",
    ),
    _read(
        _LEDGER + "/collections",
        "list_collection_cases",
        "Collection cases by the loan's name",
        _cases,
        reads.CasesPage,
        CasesQuery,
    ),
    _read(
        _CASE,
        "get_collection_case",
        "The last collection case of a loan",
        _case,
        reads.CaseView,
        CaseQuery,
        "loan_not_found",
        "collection_case_not_found",
    ),
    _command(
        _CASE,
        "Open a collection case",
        cc.CaseOpening,
        "collection_case_open",
        "not_to_be_collected",
    ),
    _command(_CASE + "/change", "Assign a case, or say how it goes on", cc.CaseChange, *_OPEN),
    _command(
        _CASE + "/close",
        "Close a collection case",
        cc.CaseClosing,
        *_OPEN,
        "still_past_due",
    ),
    _command(_CASE + "/notes", "Note something on a case", cc.CaseNote, *_OPEN),
    _read(
        _CASE + "/notes",
        "list_collection_notes",
        "What was noted on a loan's cases",
        _notes,
        reads.NotesPage,
        NotesQuery,
        "collection_case_not_found",
    ),
    _command(
        _CASE + "/promises",
        "Enter a promise to pay",
        cc.PaymentPromise,
        *_OPEN,
        "promise_day_over",
    ),
    _command(
        _CASE + "/record-promise",
        "Record that a promise was kept or broken",
        cc.PromiseRecord,
        *_OPEN,
        "promise_not_found",
        "promise_undecided",
    ),
)
