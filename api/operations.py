"""The table of operations: everything that the API offers, once.

The routes (`app`) and the OpenAPI document (`openapi`) are both made from it, so that neither can say
what the other does not. `scope` is what a caller must be allowed to do.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import msgspec

from api import exports, handlers, projections, proofs, reads, streaming, webhooks
from api.examples import EXAMPLES
from api.handlers import Handler
from api.http import JSON, NOTE, OCTETS, NoQuery
from api.queries import (
    AccountsPage,
    AccountsQuery,
    ActivityQuery,
    AssertionsQuery,
    BalanceSheetQuery,
    BalancesQuery,
    ConsistencyQuery,
    DailyBalancesQuery,
    EventsPage,
    EventsQuery,
    IncomeStatementQuery,
    LedgersPage,
    LedgersQuery,
    PageQuery,
    ProofQuery,
    SearchQuery,
    StatementQuery,
    TransactionsPage,
    TransactionsQuery,
    TreeHeadQuery,
    TrialBalanceQuery,
)
from api.webhooks import AttemptsPage, AttemptsQuery, MessagesPage, MessagesQuery, Subscriptions
from ledger.chart import ChartDocument
from ledger.commands import (
    AccountClosing,
    AccountLimits,
    AccountOpening,
    Annotation,
    BalanceAssertion,
    Batch,
    HoldPosting,
    HoldVoid,
    LedgerOpening,
    PeriodClosing,
    PeriodReopening,
    Reversal,
    Transaction,
)
from ledger.views import (
    AccountView,
    Acknowledged,
    BalancesView,
    ChartView,
    ClosingView,
    EntryView,
    LedgerView,
    PeriodsView,
    StatementView,
    TransactionView,
    TrialBalanceView,
)
from projections.deliveries.subscriptions import (
    AttemptView,
    Change,
    Opening,
    Replay,
    Revival,
    Rotation,
    Subscription,
    WithSecret,
)
from projections.jobs import Job
from projections.proving import ConsistencyProof, InclusionProof, TreeHeadView
from projections.views import (
    ActivityView,
    AssertionsView,
    BalanceSheetView,
    DailyBalancesView,
    FoundTransactions,
    IncomeStatementView,
)

Scope = Literal["none", "ledger:read", "ledger:write", "ledger:admin", "webhooks:manage"]
Tag = Literal[
    "Ledgers",
    "Accounts",
    "Transactions",
    "Periods",
    "Reports",
    "Proofs",
    "Projections",
    "Jobs",
    "Webhooks",
    "Service",
]

# What may come of every operation, of every one with a body or a ledger, of every command, of every read.
_ALWAYS = ("invalid_request", "internal_error")
_LEDGER = ("ledger_not_found",)
_BODY = ("payload_too_large", "unsupported_media_type")
_DATABASE = ("unavailable",)
_MIN_SEQ = ("projection_behind", "projection_stopped")
_COMMAND = ("idempotency_key_reused", "event_too_large", "overloaded", "clock_behind")
_PROOF = ("ledger_differs", "signing_unavailable")
_CHART = ("chart_patterns_overlap", "asset_scale_conflict")
_POSTING = (
    "asset_not_in_chart",
    "account_not_in_chart",
    "account_closed",
    "asset_not_allowed",
    "condition_unknown",
    "nothing_available",
    "amount_overflow",
    "insufficient_available",
    "max_balance_exceeded",
    "condition_failed",
)
_DATED = ("effective_at_in_future", "original_not_earlier", "period_closed")
_TIME = (*_DATED, "unbalanced")
_PARTS = ("transaction_not_found", "amounts_count_differs", "exceeds_remaining", "effective_before_original")
_HOLD = ("not_a_hold", "hold_already_posted", "hold_already_voided", "hold_already_expired")


class Operation:
    """One method of one path. `status`, `media` and `answer` (bytes: as they are) are those of success."""

    def __init__(
        self,
        method: Literal["GET", "POST", "PUT", "DELETE"],
        path: str,
        id: str,
        summary: str,
        *,
        tag: Tag,
        scope: Scope,
        handler: Handler,
        answer: type,
        status: int = 200,
        body: type | None = None,
        optional_body: bool = False,
        query: type[Any] = NoQuery,
        codes: tuple[str, ...] = (),
        location: str | None = None,
        description: str = "",
        keyed: bool = True,
        media: bytes = JSON,
        feed: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.id = id
        self.summary = summary
        self.tag = tag
        self.scope = scope
        self.handler = handler
        self.answer = answer
        self.status = status
        self.body = body
        self.empty_body = b"{}" if optional_body else b""
        self.query = query
        self.location = location
        self.description = description
        self.feed = feed
        self.example: Any = EXAMPLES.get(id, {}).get("body")
        self.answer_example: Any = EXAMPLES.get(id, {}).get("answer")
        self._codes = codes
        self._keyed = keyed
        self.media = media

    @cached_property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """Of the body."""
        return msgspec.json.Decoder(self.body)

    @property
    def optional_body(self) -> bool:
        """Whether no body means `{}`."""
        return bool(self.empty_body)

    @property
    def keyed(self) -> bool:
        """Whether it takes an Idempotency-Key: every command does, what asks for a job does not."""
        return self.body is not None and self._keyed

    @property
    def codes(self) -> tuple[str, ...]:
        """Every problem that may come of it."""
        codes = _ALWAYS + self._codes
        if "{ledger}" in self.path:
            codes += _LEDGER
        if self.body is not None:
            codes += _BODY
        if self.keyed:
            codes += _COMMAND
        if "min_seq" in self.query.__struct_fields__:
            codes += _MIN_SEQ
        if "incarnation" in self.query.__struct_fields__:
            codes += ("incarnation_ended",)
        if self.scope != "none":
            codes += _DATABASE
        return codes


_LEDGERS = "/v1/ledgers"
_ONE = _LEDGERS + "/{ledger}"
_ACCOUNT = _ONE + "/accounts/{address}"
_PERIOD = _ONE + "/periods/{period}"
_TRANSACTIONS = _ONE + "/transactions"
_TRANSACTION = _TRANSACTIONS + "/{seq}"
_JOB = "/v1/jobs/{job}"
_SUBSCRIPTIONS = _ONE + "/subscriptions"
_SUBSCRIPTION = _SUBSCRIPTIONS + "/{subscription}"
_TLOG = _ONE + "/tlog"
_PROJECTIONS = "/v1/projections"
_PROJECTION = _PROJECTIONS + "/{projection}"

FEED = _ONE + "/events"

# The busiest route comes first: routes are tried in this order.
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        _TRANSACTIONS,
        "create_transaction",
        "Record a transaction",
        description="Posts at once, or holds (`pending`). `preview` answers 200 and stores nothing.",
        tag="Transactions",
        scope="ledger:write",
        handler=handlers.command,
        body=Transaction,
        answer=EntryView,
        status=201,
        codes=(*_TIME, *_POSTING),
        location=_TRANSACTION,
    ),
    Operation(
        "GET",
        _TRANSACTIONS,
        "list_transactions",
        "List transactions",
        tag="Transactions",
        scope="ledger:read",
        handler=handlers.read(reads.transactions),
        query=TransactionsQuery,
        answer=TransactionsPage,
        codes=("account_not_found",),
    ),
    Operation(
        "POST",
        _TRANSACTIONS + "/batch",
        "create_transactions",
        "Record many transactions",
        description=(
            "Independent (200): one result for each, in order, with the status that it would have alone; "
            "each may carry `idempotency_key`. Atomic (201): all or none, under one Idempotency-Key; when "
            "one is refused, the answer is its problem, with `results`: the others are `linked_failed`."
        ),
        tag="Transactions",
        scope="ledger:write",
        handler=handlers.batch,
        body=Batch,
        answer=handlers.BatchResults,
        status=201,
        codes=(*_TIME, *_POSTING, "linked_failed"),
    ),
    Operation(
        "GET",
        _TRANSACTIONS + "/search",
        "search_transactions",
        "Search transactions",
        description="By any combination of filters, newest first, as far as the search has come (`seq`).",
        tag="Transactions",
        scope="ledger:read",
        handler=handlers.read(reads.search),
        query=SearchQuery,
        answer=FoundTransactions,
        codes=("account_not_found",),
    ),
    Operation(
        "GET",
        _TRANSACTION,
        "get_transaction",
        "A transaction and what became of it",
        tag="Transactions",
        scope="ledger:read",
        handler=handlers.read(reads.transaction),
        answer=TransactionView,
        codes=("transaction_not_found",),
    ),
    Operation(
        "POST",
        _TRANSACTION + "/post",
        "post_hold",
        "Post a hold, all or part",
        tag="Transactions",
        scope="ledger:write",
        handler=handlers.command,
        body=HoldPosting,
        optional_body=True,
        answer=EntryView,
        status=201,
        codes=(*_TIME, *_PARTS, *_HOLD, "amount_overflow"),
        location=_TRANSACTION,
    ),
    Operation(
        "POST",
        _TRANSACTION + "/void",
        "void_hold",
        "Void a hold",
        tag="Transactions",
        scope="ledger:write",
        handler=handlers.command,
        body=HoldVoid,
        optional_body=True,
        answer=EntryView,
        status=201,
        codes=("transaction_not_found", *_DATED, "effective_before_original", *_HOLD),
        location=_TRANSACTION,
    ),
    Operation(
        "POST",
        _TRANSACTION + "/reverse",
        "reverse_transaction",
        "Reverse a transaction, all or part",
        tag="Transactions",
        scope="ledger:write",
        handler=handlers.command,
        body=Reversal,
        optional_body=True,
        answer=EntryView,
        status=201,
        codes=(
            *_TIME,
            *_PARTS,
            "reversal_of_reversal",
            "reversal_of_hold",
            "already_reversed",
            "account_closed",
            "amount_overflow",
            "insufficient_available",
            "max_balance_exceeded",
        ),
        location=_TRANSACTION,
    ),
    Operation(
        "POST",
        _TRANSACTION + "/annotate",
        "annotate_transaction",
        "Add a remark to a transaction",
        tag="Transactions",
        scope="ledger:write",
        handler=handlers.command,
        body=Annotation,
        answer=Acknowledged,
        status=201,
        codes=("transaction_not_found",),
    ),
    Operation(
        "POST",
        _LEDGERS,
        "open_ledger",
        "Open a ledger",
        description="Its idempotency key belongs to the ledger that is opened.",
        tag="Ledgers",
        scope="ledger:admin",
        handler=handlers.command,
        body=LedgerOpening,
        answer=Acknowledged,
        status=201,
        codes=("ledger_exists", *_CHART),
        location=_ONE,
    ),
    Operation(
        "GET",
        _LEDGERS,
        "list_ledgers",
        "List ledgers by name",
        tag="Ledgers",
        scope="ledger:read",
        handler=handlers.read(reads.ledgers),
        query=LedgersQuery,
        answer=LedgersPage,
    ),
    Operation(
        "GET",
        _ONE,
        "get_ledger",
        "A ledger at its head",
        tag="Ledgers",
        scope="ledger:read",
        handler=handlers.read(reads.ledger),
        answer=LedgerView,
    ),
    Operation(
        "PUT",
        _ONE + "/chart",
        "set_chart",
        "Set the chart of accounts",
        description="Open accounts keep the terms that they opened with.",
        tag="Ledgers",
        scope="ledger:admin",
        handler=handlers.command,
        body=ChartDocument,
        answer=Acknowledged,
        codes=_CHART,
    ),
    Operation(
        "GET",
        _ONE + "/chart",
        "get_chart",
        "The chart of accounts in force",
        tag="Ledgers",
        scope="ledger:read",
        handler=handlers.read(reads.chart),
        answer=ChartView,
    ),
    Operation(
        "POST",
        _ONE + "/accounts",
        "open_account",
        "Open an account",
        description="Posting to an address that the chart knows opens it too.",
        tag="Accounts",
        scope="ledger:write",
        handler=handlers.command,
        body=AccountOpening,
        answer=Acknowledged,
        status=201,
        codes=("account_exists", "account_not_in_chart", "account_closed"),
        location=_ACCOUNT,
    ),
    Operation(
        "GET",
        _ONE + "/accounts",
        "list_accounts",
        "List accounts in order of opening",
        tag="Accounts",
        scope="ledger:read",
        handler=handlers.read(reads.accounts),
        query=AccountsQuery,
        answer=AccountsPage,
    ),
    Operation(
        "GET",
        _ACCOUNT,
        "get_account",
        "An account and its terms",
        tag="Accounts",
        scope="ledger:read",
        handler=handlers.read(reads.account),
        answer=AccountView,
        codes=("account_not_found",),
    ),
    Operation(
        "GET",
        _ACCOUNT + "/balances",
        "get_balances",
        "Balances of an account, now, as of a time, as known",
        tag="Accounts",
        scope="ledger:read",
        handler=handlers.read(reads.balances),
        query=BalancesQuery,
        answer=BalancesView,
        codes=("account_not_found",),
    ),
    Operation(
        "GET",
        _ACCOUNT + "/statement",
        "get_statement",
        "Statement of an account",
        description="In seq order; with `from` or `to`, over that period and in effective order.",
        tag="Accounts",
        scope="ledger:read",
        handler=handlers.read(reads.statement),
        query=StatementQuery,
        answer=StatementView,
        codes=("account_not_found", "asset_needed"),
    ),
    Operation(
        "GET",
        _ACCOUNT + "/daily-balances",
        "list_daily_balances",
        "Closing balances of an account by day",
        tag="Accounts",
        scope="ledger:read",
        handler=handlers.read(reads.daily_balances),
        query=DailyBalancesQuery,
        answer=DailyBalancesView,
        codes=("account_not_found", "asset_needed"),
    ),
    Operation(
        "GET",
        _ACCOUNT + "/activity",
        "list_activity",
        "What happened on an account, the latest first",
        tag="Accounts",
        scope="ledger:read",
        handler=handlers.read(reads.activity),
        query=ActivityQuery,
        answer=ActivityView,
        codes=("account_not_found",),
    ),
    Operation(
        "PUT",
        _ACCOUNT + "/limits",
        "set_limits",
        "Set the limits of an account",
        tag="Accounts",
        scope="ledger:admin",
        handler=handlers.command,
        body=AccountLimits,
        answer=Acknowledged,
        codes=("account_not_found", "account_closed", "asset_not_in_chart", "limit_already_exceeded"),
    ),
    Operation(
        "POST",
        _ACCOUNT + "/close",
        "close_account",
        "Close an account",
        tag="Accounts",
        scope="ledger:write",
        handler=handlers.command,
        body=AccountClosing,
        optional_body=True,
        answer=Acknowledged,
        status=201,
        codes=("account_not_found", "account_closed", "account_not_empty"),
    ),
    Operation(
        "POST",
        _PERIOD + "/close",
        "close_period",
        "Close a period",
        description=(
            "Nothing more can count inside it, until it is reopened; expiries of holds alone still do. With "
            "`retained_earnings`, closing entries bring income and expense to zero as of its end. That takes "
            "several steps: after a failure, send the request again with the same Idempotency-Key. Where "
            "only the entries are refused, the period stays closed without them."
        ),
        tag="Periods",
        scope="ledger:admin",
        handler=handlers.close_period,
        body=PeriodClosing,
        optional_body=True,
        answer=ClosingView,
        status=201,
        codes=(
            "period_not_over",
            "period_already_closed",
            "period_not_closed",
            "larger_period_closed",
            "period_closed",
            "retained_earnings_not_equity",
            "account_not_in_chart",
            "account_closed",
            "asset_not_allowed",
            "amount_overflow",
            "insufficient_available",
            "max_balance_exceeded",
        ),
    ),
    Operation(
        "POST",
        _PERIOD + "/reopen",
        "reopen_period",
        "Reopen a closed period",
        description="With a reason. `closed_seq` names the closing that is meant, if only that one is.",
        tag="Periods",
        scope="ledger:admin",
        handler=handlers.command,
        body=PeriodReopening,
        answer=Acknowledged,
        status=201,
        codes=("period_not_closed", "larger_period_closed"),
    ),
    Operation(
        "GET",
        _ONE + "/periods",
        "list_periods",
        "Closed periods, and how they came to be",
        tag="Periods",
        scope="ledger:read",
        handler=handlers.read(reads.periods),
        query=PageQuery,
        answer=PeriodsView,
    ),
    Operation(
        "GET",
        _ONE + "/assertions",
        "list_assertions",
        "Asserted balances and whether they hold",
        tag="Periods",
        scope="ledger:read",
        handler=handlers.read(reads.assertions),
        query=AssertionsQuery,
        answer=AssertionsView,
        codes=("account_not_found",),
    ),
    Operation(
        "POST",
        _ONE + "/assertions",
        "assert_balance",
        "Say what a balance must have been",
        description="The ledger records what was said, and checks it from then on, whatever is posted later.",
        tag="Periods",
        scope="ledger:write",
        handler=handlers.command,
        body=BalanceAssertion,
        answer=Acknowledged,
        status=201,
        codes=("asserted_in_future", "asset_not_in_chart", "account_not_found", "asset_not_allowed"),
    ),
    Operation(
        "GET",
        _ONE + "/trial-balance",
        "get_trial_balance",
        "Trial balance",
        tag="Reports",
        scope="ledger:read",
        handler=handlers.read(reads.trial_balance),
        query=TrialBalanceQuery,
        answer=TrialBalanceView,
    ),
    Operation(
        "GET",
        _ONE + "/balance-sheet",
        "get_balance_sheet",
        "Balance sheet",
        description="For each asset: assets = liabilities + equity + current earnings, memo accounts apart.",
        tag="Reports",
        scope="ledger:read",
        handler=handlers.read(reads.balance_sheet),
        query=BalanceSheetQuery,
        answer=BalanceSheetView,
    ),
    Operation(
        "GET",
        _ONE + "/income-statement",
        "get_income_statement",
        "Income statement",
        description="For each asset: income less expenses of a period, without its closing entries.",
        tag="Reports",
        scope="ledger:read",
        handler=handlers.read(reads.income_statement),
        query=IncomeStatementQuery,
        answer=IncomeStatementView,
    ),
    Operation(
        "GET",
        FEED,
        "list_events",
        "Events as they are stored, by page or as a feed",
        description=(
            "With `Accept: text/event-stream` the events beyond `after`, and those to come, as Server-Sent "
            "Events: `id` is the seq; one without data says how far a filter has looked. As a WebSocket "
            '(`Upgrade: websocket`): a text message for each event, and `{"position": n}` for how far '
            "a filter has looked. Either may be resumed from any seq; docs/feed.md has the rest."
        ),
        tag="Reports",
        scope="ledger:read",
        handler=streaming.events,
        query=EventsQuery,
        answer=EventsPage,
        codes=("cursor_ahead", "too_many_feeds", "origin_not_allowed"),
        feed=True,
    ),
    Operation(
        "GET",
        _ONE + "/tree-head",
        "get_tree_head",
        "The signed tree head",
        description="Keep it: `consistency` proves later that nothing of the ledger was changed since.",
        tag="Proofs",
        scope="ledger:read",
        handler=handlers.prove(proofs.tree_head),
        query=TreeHeadQuery,
        answer=TreeHeadView,
        codes=_PROOF,
    ),
    Operation(
        "GET",
        _ONE + "/events/{seq}/proof",
        "get_inclusion_proof",
        "Proof that an event is in the ledger",
        description="`daybook proof verify` checks it offline, and so can anybody: docs/proofs.md.",
        tag="Proofs",
        scope="ledger:read",
        handler=handlers.prove(proofs.inclusion),
        query=ProofQuery,
        answer=InclusionProof,
        codes=(*_PROOF, "event_not_found", "size_not_reached"),
    ),
    Operation(
        "GET",
        _ONE + "/consistency",
        "get_consistency_proof",
        "Proof that the ledger only grew",
        tag="Proofs",
        scope="ledger:read",
        handler=handlers.prove(proofs.consistency),
        query=ConsistencyQuery,
        answer=ConsistencyProof,
        codes=(*_PROOF, "size_not_reached"),
    ),
    Operation(
        "GET",
        _TLOG + "/checkpoint",
        "get_checkpoint",
        "The signed tree head as a note (C2SP tlog-checkpoint)",
        tag="Proofs",
        scope="ledger:read",
        handler=handlers.prove(proofs.checkpoint),
        answer=bytes,
        media=NOTE,
        codes=_PROOF,
    ),
    Operation(
        "GET",
        _TLOG + "/tile/entries/{tile}",
        "get_entry_bundle",
        "Bodies of 256 events (C2SP tlog-tiles)",
        description="`.p/` and a width at the end of the path: the first so many.",
        tag="Proofs",
        scope="ledger:read",
        handler=handlers.prove(proofs.bundle),
        answer=bytes,
        media=OCTETS,
        codes=("not_found",),
    ),
    Operation(
        "GET",
        _TLOG + "/tile/{level}/{tile}",
        "get_tile",
        "256 hashes of the tree (C2SP tlog-tiles)",
        description="`.p/` and a width at the end of the path: the first so many.",
        tag="Proofs",
        scope="ledger:read",
        handler=handlers.prove(proofs.tile),
        answer=bytes,
        media=OCTETS,
        codes=("not_found",),
    ),
    Operation(
        "POST",
        _ONE + "/exports",
        "create_export",
        "Export the ledger",
        description=(
            "A job: a folder of files that can be checked without Daybook (docs/audit-export.md), as of the "
            "present head, which is signed. `result`: its folder, seq, files, bytes, and its manifest's hash."
        ),
        tag="Reports",
        scope="ledger:admin",
        handler=exports.order,
        body=exports.ExportOrder,
        optional_body=True,
        keyed=False,
        answer=Job,
        status=202,
        codes=_PROOF,
        location=_JOB,
    ),
    Operation(
        "GET",
        _ONE + "/exports/{job}/files/{file}",
        "get_export_file",
        "A file of a finished export",
        description="`manifest.json` names all the others.",
        tag="Reports",
        scope="ledger:read",
        handler=exports.file,
        answer=bytes,
        media=OCTETS,
        codes=("job_not_found", "not_found"),
    ),
    Operation(
        "GET",
        "/v1/verifier-key",
        "get_verifier_key",
        "The public key that signed tree heads are checked with",
        tag="Service",
        scope="none",
        handler=handlers.prove(proofs.verifier_key),
        answer=proofs.VerifierKeyView,
        codes=("signing_unavailable",),
    ),
    Operation(
        "GET",
        _PROJECTIONS,
        "list_projections",
        "How projections stand",
        description="Head, checkpoint, lag, rate, ETA and errors of every version, over all ledgers.",
        tag="Projections",
        scope="ledger:read",
        handler=projections.list_projections,
        answer=projections.ProjectionsPage,
    ),
    Operation(
        "GET",
        _PROJECTION,
        "get_projection",
        "How a projection stands in each ledger",
        tag="Projections",
        scope="ledger:read",
        handler=projections.get_projection,
        query=projections.LedgersQuery,
        answer=projections.ProjectionPage,
        codes=("projection_not_found",),
    ),
    Operation(
        "POST",
        _PROJECTION + "/rebuild",
        "rebuild_projection",
        "Rebuild a projection",
        description=(
            "A job: a new version is built beside the live one, compared with it, and takes its place. "
            "`result`: the versions, the events applied, the first difference accepted."
        ),
        tag="Projections",
        scope="ledger:admin",
        handler=handlers.job("rebuild", projections.rebuild_parameters),
        body=projections.RebuildOrder,
        optional_body=True,
        keyed=False,
        answer=Job,
        status=202,
        codes=("projection_not_found",),
        location=_JOB,
    ),
    Operation(
        "POST",
        _PROJECTION + "/verify",
        "verify_projection",
        "Verify a projection",
        description=(
            "A job: rows are recomputed from event bodies and compared. `inline` verifies balances, streams "
            "and postings. `result`: how many ledgers and events, and what is `wrong` first, if anything is."
        ),
        tag="Projections",
        scope="ledger:admin",
        handler=handlers.job("verify", projections.verify_parameters),
        body=projections.LedgerChoice,
        optional_body=True,
        keyed=False,
        answer=Job,
        status=202,
        codes=("projection_not_found",),
        location=_JOB,
    ),
    Operation(
        "POST",
        _PROJECTION + "/rollback",
        "rollback_projection",
        "Go back to the version before",
        description="A job: the kept version is drained and takes the place of the live one, which is kept.",
        tag="Projections",
        scope="ledger:admin",
        handler=handlers.job("rollback", projections.rollback_parameters),
        answer=Job,
        status=202,
        codes=("projection_not_found",),
        location=_JOB,
    ),
    Operation(
        "POST",
        _PROJECTION + "/retry",
        "retry_projection",
        "Try again where a projection has stopped",
        description="A job. `result`: in how many ledgers it had stopped.",
        tag="Projections",
        scope="ledger:admin",
        handler=handlers.job("retry", projections.retry_parameters),
        body=projections.LedgerChoice,
        optional_body=True,
        keyed=False,
        answer=Job,
        status=202,
        codes=("projection_not_found",),
        location=_JOB,
    ),
    Operation(
        "GET",
        _JOB,
        "get_job",
        "How a job stands",
        description="A job whose process died is taken up again by the next one.",
        tag="Jobs",
        scope="ledger:read",
        handler=handlers.get_job,
        answer=Job,
        codes=("job_not_found",),
    ),
    Operation(
        "POST",
        _JOB + "/cancel",
        "cancel_job",
        "Cancel a job",
        description="One under way ends at its next step; one that has ended stays as it is.",
        tag="Jobs",
        scope="ledger:admin",
        handler=handlers.cancel_job,
        answer=Job,
        codes=("job_not_found",),
    ),
    Operation(
        "POST",
        _SUBSCRIPTIONS,
        "create_subscription",
        "Subscribe an endpoint to events",
        description=(
            "Each event of the ledger, or of some types, is sent to the URL as a signed webhook. The secret "
            "is shown in this answer and never again. docs/subscriptions.md says how messages are signed and "
            "retried."
        ),
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.create),
        body=Opening,
        answer=WithSecret,
        status=201,
        codes=("too_many_subscriptions", "secrets_unavailable"),
        location=_SUBSCRIPTION,
        keyed=False,
    ),
    Operation(
        "GET",
        _SUBSCRIPTIONS,
        "list_subscriptions",
        "List subscriptions",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.listed),
        answer=Subscriptions,
    ),
    Operation(
        "GET",
        _SUBSCRIPTION,
        "get_subscription",
        "A subscription and how it stands",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.one),
        answer=Subscription,
        codes=("subscription_not_found",),
    ),
    Operation(
        "PUT",
        _SUBSCRIPTION,
        "change_subscription",
        "Change a subscription",
        description="What waits goes to the new URL.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.change),
        body=Change,
        keyed=False,
        answer=Subscription,
        codes=("subscription_not_found",),
    ),
    Operation(
        "DELETE",
        _SUBSCRIPTION,
        "delete_subscription",
        "Delete a subscription",
        description="Its messages go too. The answer is how it stood.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.delete),
        answer=Subscription,
        codes=("subscription_not_found",),
    ),
    Operation(
        "POST",
        _SUBSCRIPTION + "/pause",
        "pause_subscription",
        "Pause a subscription",
        description="Nothing is sent, and nothing is lost.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.pause),
        answer=Subscription,
        codes=("subscription_not_found",),
    ),
    Operation(
        "POST",
        _SUBSCRIPTION + "/resume",
        "resume_subscription",
        "Go on with a subscription",
        description="Also one that was disabled; what waits is tried at once.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.resume),
        answer=Subscription,
        codes=("subscription_not_found",),
    ),
    Operation(
        "POST",
        _SUBSCRIPTION + "/rotate",
        "rotate_secret",
        "Rotate the secret",
        description="For 24 hours the former secret signs too, in schemes that have room for both.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.rotate),
        body=Rotation,
        keyed=False,
        optional_body=True,
        answer=WithSecret,
        codes=(
            "subscription_not_found",
            "secrets_unavailable",
        ),
    ),
    Operation(
        "POST",
        _SUBSCRIPTION + "/ping",
        "ping_subscription",
        "Send a test message",
        description="Of type `ping`, at once; the answer says what became of it.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.ping,
        answer=AttemptView,
        codes=("subscription_not_found",),
    ),
    Operation(
        "POST",
        _SUBSCRIPTION + "/replay",
        "replay_subscription",
        "Send again from any seq",
        description="Every wanted event beyond the seq, with the ids of the first time; new events follow.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.replay),
        body=Replay,
        keyed=False,
        answer=Subscription,
        codes=("subscription_not_found",),
    ),
    Operation(
        "GET",
        _SUBSCRIPTION + "/messages",
        "list_messages",
        "Messages that were not delivered",
        description="Dead letters are those with `state=dead`.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.messages),
        query=MessagesQuery,
        answer=MessagesPage,
        codes=("subscription_not_found",),
    ),
    Operation(
        "POST",
        _SUBSCRIPTION + "/messages/replay",
        "replay_dead_messages",
        "Send dead messages again",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.revive),
        body=Revival,
        keyed=False,
        optional_body=True,
        answer=Subscription,
        codes=("subscription_not_found",),
    ),
    Operation(
        "GET",
        _SUBSCRIPTION + "/attempts",
        "list_attempts",
        "The delivery log",
        description="Every attempt of the last 30 days, the newest first.",
        tag="Webhooks",
        scope="webhooks:manage",
        handler=webhooks.work(webhooks.attempts),
        query=AttemptsQuery,
        answer=AttemptsPage,
        codes=("subscription_not_found",),
    ),
    Operation(
        "GET",
        "/v1/rejections",
        "list_rejections",
        "Every code that a problem can have",
        tag="Service",
        scope="none",
        handler=handlers.list_rejections,
        answer=handlers.Rejections,
    ),
    Operation(
        "GET",
        "/health/live",
        "get_live",
        "Whether the process answers",
        tag="Service",
        scope="none",
        handler=handlers.live,
        answer=handlers.Live,
    ),
    Operation(
        "GET",
        "/health/ready",
        "get_ready",
        "Whether commands can be answered",
        description="503 when down; healthy and degraded are 200.",
        tag="Service",
        scope="none",
        handler=handlers.ready,
        answer=handlers.Ready,
    ),
)
