"""The operations on reconciliations."""

from __future__ import annotations

from api import handlers, reconciliations
from api.operation import Operation
from ledger.reconciliation_reads import ItemsPage, ItemView, RunsPage, RunView
from ledger.views import Acknowledged
from projections.jobs import Job
from projections.reconciliation_schedules import Schedule, ScheduleView

_LEDGER = "/v1/ledgers/{ledger}"
_RUNS = _LEDGER + "/reconciliations"
_RUN = _RUNS + "/{run}"
_ITEM = _RUN + "/items/{item}"
_SCHEDULES = _LEDGER + "/reconciliation-schedules"

_NO_RUN = ("reconciliation_not_found",)
_NO_ITEM = (*_NO_RUN, "reconciliation_item_not_found")

RECONCILIATION_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        _RUNS,
        "start_reconciliation",
        "Compare the ledger with a side that is asked",
        description=(
            "A job, whose `result` is the run. Stripe: clearing and payouts of some days. Buffr: every "
            "voucher as it is now. An interrupted run is gone on with, unless its side says otherwise now."
        ),
        tag="Reconciliation",
        scope="ledger:write",
        handler=reconciliations.order,
        body=reconciliations.ReconciliationOrder,
        answer=Job,
        status=202,
        keyed=False,
        codes=("side_unavailable",),
        location="/v1/jobs/{job}",
    ),
    Operation(
        "POST",
        _LEDGER + "/bank-statements",
        "reconcile_statement",
        "Compare an account with a bank statement",
        description=(
            "The body is the file: camt.053 as `application/xml`, CSV as `text/csv`. It is read and checked "
            "whole before anything is recorded. The same file, read the same way, is one run, however often "
            "it is sent."
        ),
        tag="Reconciliation",
        scope="ledger:write",
        handler=reconciliations.statement,
        query=reconciliations.StatementQuery,
        uploads=reconciliations.MEDIA,
        answer=RunView,
        status=201,
        codes=(
            "statement_unreadable",
            "account_not_found",
            "reconciliation_exists",
            "reconciliation_has_ended",
            "reconciliation_page_out_of_order",
            "event_too_large",
            "clock_behind",
        ),
        location=_RUN,
    ),
    Operation(
        "GET",
        _RUNS,
        "list_reconciliations",
        "List reconciliations by name",
        tag="Reconciliation",
        scope="ledger:read",
        handler=handlers.read(reconciliations.runs),
        query=reconciliations.RunsQuery,
        answer=RunsPage,
    ),
    Operation(
        "GET",
        _RUN,
        "get_reconciliation",
        "A reconciliation and its summary",
        tag="Reconciliation",
        scope="ledger:read",
        handler=handlers.read(reconciliations.run),
        answer=RunView,
        codes=_NO_RUN,
    ),
    Operation(
        "GET",
        _RUN + "/items",
        "list_reconciliation_items",
        "What does not match in a reconciliation",
        description="A page may be short, or empty, where few are of the outcome that is asked for.",
        tag="Reconciliation",
        scope="ledger:read",
        handler=handlers.read(reconciliations.items),
        query=reconciliations.ItemsQuery,
        answer=ItemsPage,
        codes=_NO_RUN,
    ),
    Operation(
        "GET",
        _ITEM,
        "get_reconciliation_item",
        "An item: both sides, and how it was settled",
        tag="Reconciliation",
        scope="ledger:read",
        handler=handlers.read(reconciliations.item),
        answer=ItemView,
        codes=_NO_ITEM,
    ),
    Operation(
        "POST",
        _ITEM + "/resolve",
        "resolve_reconciliation_item",
        "Settle an item",
        description="By a correcting transaction, an explanation, or both; once.",
        tag="Reconciliation",
        scope="ledger:write",
        handler=reconciliations.resolve,
        body=reconciliations.ItemResolution,
        answer=Acknowledged,
        status=201,
        codes=(
            *_NO_ITEM,
            "reconciliation_has_ended",
            "reconciliation_item_is_resolved",
            "transaction_not_found",
        ),
        location=_ITEM,
    ),
    Operation(
        "GET",
        _SCHEDULES,
        "list_reconciliation_schedules",
        "When the ledger is reconciled by itself",
        tag="Reconciliation",
        scope="ledger:read",
        handler=reconciliations.list_schedules,
        answer=reconciliations.SchedulesPage,
    ),
    Operation(
        "PUT",
        _SCHEDULES + "/{side}",
        "put_reconciliation_schedule",
        "Reconcile with a side daily, or every so many minutes",
        description=(
            "Daily runs compare the days before, others what has passed since the last one. Each begins "
            "where the one before it ended, also when the schedule is changed or the service was down."
        ),
        tag="Reconciliation",
        scope="ledger:admin",
        handler=reconciliations.put_schedule,
        body=Schedule,
        answer=ScheduleView,
        keyed=False,
        codes=("side_unavailable",),
    ),
    Operation(
        "DELETE",
        _SCHEDULES + "/{side}",
        "delete_reconciliation_schedule",
        "End a schedule",
        description="The answer is how it stood.",
        tag="Reconciliation",
        scope="ledger:admin",
        handler=reconciliations.delete_schedule,
        answer=ScheduleView,
        codes=("schedule_not_found",),
    ),
)
