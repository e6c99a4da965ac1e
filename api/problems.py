"""Problems: every answer that is not what was asked for, as RFC 9457 problem details.

Refused commands keep the codes of `ledger.rejections`; what goes wrong before a command is decided, or
instead of it, has the codes of `TABLE` here. Together they are all the codes that the API ever sends, served
by `GET /v1/rejections`, which is also where a problem's `type` points.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import psycopg
import structlog
from msgspec import Struct

from adapters.adapter import Unreadable
from adapters.inbox.desk import WebhookNotFound, WebhookSettled
from adapters.inbox.door import DoorClosed, IdReused, NotTrusted
from adapters.inbox.endpoints import MAX_ENDPOINTS, DefaultTaken, EndpointNotFound, TooManyEndpoints
from adapters.providers import ProviderNotFound
from adapters.stripe_calls import (
    StripeDeclined,
    StripeKeyRefused,
    StripeKeyReused,
    StripeRefused,
    StripeUnreachable,
)
from api.access.approvals import AlreadyDecided, ApprovalNotFound, ApprovalView, SamePerson
from api.access.gate import Unauthenticated
from api.access.key_set import KeysUnavailable
from api.access.keys import KeyNotFound, TenantExists, TenantNotFound
from api.access.limits import TooMany
from api.registry import PersonNotFound
from ledger import rejections
from ledger.collection_reads import CaseNotFound
from ledger.errors import ClockBehind, Defect, LedgerNotFound, Overloaded, Unavailable
from ledger.keeping import KeepingError
from ledger.loan_reads import BorrowerNotFound, LoanNotFound, PaymentNotFound, VirtualAccountNotFound
from ledger.payment_reads import StripeSubscriptionNotFound
from ledger.provider_reads import CreditProviderNotFound, InvoiceNotFound, LeadNotFound
from ledger.reader import AccountNotFound, AssetNeeded, TransactionNotFound
from ledger.reconciliation_reads import ItemNotFound, RunNotFound
from ledger.rejections import Rejection, RejectionCode
from ledger.store import Trouble, why
from ledger.text import whose
from ledger.vault import VaultError
from ledger.views import EntryView
from ledger.voucher_reads import ProgrammeNotFound, VoucherNotFound
from projections.balances_at import EndsBeforeItStarts
from projections.credit_reads import OrderNotFound
from projections.deliveries.subscriptions import SubscriptionNotFound, TooManySubscriptions
from projections.jobs import JobNotFound
from projections.proving import EventNotFound, EventNotInTree, SizeNotReached, TileNotFound
from projections.reading import Behind, Stopped
from projections.reconciliation_schedules import ScheduleNotFound
from projections.registry import ProjectionNotFound
from projections.tree_heads import LedgerDiffers

log = structlog.get_logger("daybook.http")

TABLE: tuple[RejectionCode, ...] = (
    RejectionCode("invalid_request", 400, False, "The request is malformed; `field` names what is wrong."),
    RejectionCode(
        "asset_needed",
        400,
        False,
        "The account has several assets, or none: name one.",
        ("account", "assets"),
    ),
    RejectionCode(
        "origin_not_allowed", 403, False, "A page of another origin asks for a WebSocket.", ("origin",)
    ),
    RejectionCode("event_not_found", 404, True, "No event has this seq yet.", ("seq",)),
    RejectionCode("size_not_reached", 404, True, "The ledger has no so many events yet.", ("size", "seq")),
    RejectionCode(
        "incarnation_ended",
        409,
        False,
        "What you know is of another incarnation: a backup was restored. Read again from the beginning.",
        ("asked", "incarnation"),
    ),
    RejectionCode("projection_not_found", 404, False, "No projection has this name."),
    RejectionCode("subscription_not_found", 404, False, "No subscription of the ledger has this id."),
    RejectionCode(
        "webhook_unreadable", 400, False, "The webhook's body is not what its provider sends: a JSON object."
    ),
    RejectionCode(
        "webhook_signature_bad", 400, False, "The webhook's signature is missing, wrong or not of this time."
    ),
    RejectionCode(
        "webhook_untrusted",
        401,
        False,
        "The webhook's signature is missing, wrong or late, so it is not taken for its provider's.",
    ),
    RejectionCode(
        "webhooks_closed",
        401,
        False,
        "No secret is set for this provider, so that nothing of it can be verified and nothing is taken.",
        ("provider",),
    ),
    RejectionCode("provider_not_found", 404, False, "No provider of webhooks has this name.", ("provider",)),
    RejectionCode("endpoint_not_found", 404, False, "No endpoint of the ledger has this id."),
    RejectionCode(
        "kredit_request_differs",
        409,
        False,
        "The request was made before, and said something else.",
        ("request",),
    ),
    RejectionCode(
        "kyc_unavailable", 502, True, "The provider of verifications opens no session; nothing is held."
    ),
    RejectionCode("kyc_not_configured", 503, False, "No provider of verifications is configured."),
    RejectionCode("webhook_not_found", 404, False, "The ledger's inbox has no webhook of this number."),
    RejectionCode(
        "webhook_settled",
        409,
        False,
        "The webhook was posted or waits to be: only what was ignored, parked or failed is tried again.",
        ("number",),
    ),
    RejectionCode(
        "default_endpoint_taken", 409, False, "The provider has another default endpoint.", ("provider",)
    ),
    RejectionCode(
        "too_many_endpoints", 409, False, "The ledger has as many endpoints as it may.", ("limit",)
    ),
    RejectionCode(
        "virtual_account_not_found",
        404,
        False,
        "No virtual account of this number is assigned.",
        ("virtual_account",),
    ),
    RejectionCode(
        "stripe_not_configured",
        409,
        False,
        "Stripe is not set up for this ledger, so nothing is asked of it.",
    ),
    RejectionCode(
        "checkout_not_found", 404, False, "Stripe has no such session, or not of this ledger.", ("session",)
    ),
    RejectionCode(
        "checkout_unpaid", 409, True, "The session is not paid, so nothing is granted.", ("session", "status")
    ),
    RejectionCode(
        "checkout_grants_nothing",
        422,
        False,
        "The session is paid, and nothing can be granted for it.",
        ("session", "reason"),
    ),
    RejectionCode("currency_not_taken", 422, False, "Stripe does not count money as this asset does."),
    RejectionCode("payment_declined", 402, False, "The customer's bank does not pay.", ("reason", "message")),
    RejectionCode(
        "stripe_refused", 422, False, "Stripe does not do this.", ("reason", "parameter", "message")
    ),
    RejectionCode(
        "stripe_key_refused", 502, False, "Stripe does not take STRIPE_SECRET_KEY, or not for this."
    ),
    RejectionCode(
        "stripe_unreachable",
        503,
        True,
        "Stripe did not answer. The outcome is unknown: asking again with the same Idempotency-Key is safe.",
    ),
    RejectionCode(
        "stripe_subscription_not_found",
        404,
        True,
        "No subscription at Stripe is known by this id.",
        ("subscription",),
    ),
    RejectionCode("job_not_found", 404, False, "No job has this id."),
    RejectionCode(
        "statement_unreadable", 422, False, "The statement cannot be read exactly, so nothing of it is taken."
    ),
    RejectionCode(
        "side_unavailable",
        409,
        False,
        "No settings give access to this side, or its account is not about this ledger.",
        ("side",),
    ),
    RejectionCode("schedule_not_found", 404, False, "The ledger has no schedule for this side.", ("side",)),
    RejectionCode(
        "unauthenticated", 401, False, "The request has no credentials, or none that are accepted."
    ),
    RejectionCode(
        "forbidden",
        403,
        False,
        "The credentials do not allow this operation.",
        ("scope", "actor"),
    ),
    RejectionCode(
        "approval_same_person",
        403,
        False,
        "Who asked cannot decide: that is for a second person.",
        ("actor",),
    ),
    RejectionCode("approval_not_found", 404, False, "No approval of the ledger has this id."),
    RejectionCode(
        "approval_decided", 409, False, "It was decided otherwise, or nobody did in time.", ("status",)
    ),
    RejectionCode("api_key_not_found", 404, False, "No API key of the tenant has this id."),
    RejectionCode("tenant_not_found", 404, False, "There is no tenant of this name.", ("tenant",)),
    RejectionCode("tenant_exists", 409, False, "There is a tenant of this name already.", ("tenant",)),
    RejectionCode("collection_case_not_found", 404, True, "The loan never had a collection case.", ("loan",)),
    RejectionCode("not_found", 404, False, "There is nothing at this path."),
    RejectionCode("method_not_allowed", 405, False, "This path has other methods.", ("allowed",)),
    RejectionCode(
        "cursor_ahead",
        409,
        False,
        "The feed is asked to go on from beyond the ledger's last event.",
        ("after", "head"),
    ),
    RejectionCode(
        "too_many_subscriptions", 409, False, "The ledger has as many subscriptions as it may.", ("limit",)
    ),
    RejectionCode("payload_too_large", 413, False, "The body is longer than allowed.", ("limit",)),
    RejectionCode(
        "too_many_requests",
        429,
        True,
        "The key or its tenant has asked too often; nothing was done.",
        ("limit", "retry_after"),
    ),
    RejectionCode("unsupported_media_type", 415, False, "A body must be plain application/json."),
    RejectionCode(
        "projection_behind",
        503,
        True,
        "The read has not come as far as `min_seq` yet.",
        ("projection", "checkpoint", "min_seq"),
    ),
    RejectionCode(
        "projection_stopped",
        503,
        False,
        "The read cannot come as far as `min_seq`: an event before it cannot be applied.",
        ("projection", "checkpoint", "error_seq"),
    ),
    RejectionCode(
        "ledger_differs",
        503,
        False,
        "The ledger is not what its kept tree head says; nothing is signed before that is resolved.",
        ("difference",),
    ),
    RejectionCode(
        "signing_unavailable",
        503,
        True,
        "The folder of the signing key and of kept tree heads does not work.",
    ),
    RejectionCode(
        "secrets_unavailable", 503, True, "The key that secrets of webhooks are stored with cannot be used."
    ),
    RejectionCode("too_many_feeds", 503, True, "As many feeds are open as this process serves.", ("limit",)),
    RejectionCode("overloaded", 503, True, "Too many commands or reads are waiting; nothing was done."),
    RejectionCode(
        "clock_behind", 503, True, "The clock is behind the ledger's last event; nothing was done."
    ),
    RejectionCode(
        "unavailable",
        503,
        True,
        "The database did not answer. "
        "The outcome is unknown: asking again with the same Idempotency-Key is safe.",
    ),
    RejectionCode(
        "internal_error",
        500,
        False,
        "A defect of ours. Asking again with the same Idempotency-Key is safe.",
    ),
)

ALL: tuple[RejectionCode, ...] = (*TABLE, *rejections.TABLE)
CODES: dict[str, RejectionCode] = {row.code: row for row in ALL}

# What Stripe calls a parameter, and what our requests call it.
OUR_FIELDS = {
    "success_url": "successUrl",
    "cancel_url": "cancelUrl",
    "customer": "customer",
    "payment_method": "paymentMethod",
}

RETRY_AFTER_SECONDS = {
    "stripe_unreachable": 5,
    "projection_behind": 1,
    "too_many_feeds": 5,
    "overloaded": 1,
    "clock_behind": 10,
    "unavailable": 1,
}


class Problem(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """RFC 9457 problem details. `transient`: the same request may succeed later.

    `evidence` holds the figures that show why, `field` the part of the request that is wrong, `results` what
    became of each transaction of an atomic batch.
    """

    type: str
    title: str
    status: int
    code: str
    transient: bool
    detail: str = ""
    field: str | None = None
    evidence: dict[str, Any] = {}
    results: list[BatchResult] | None = None


class BatchResult(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What became of one transaction of a batch, with the status of it alone.

    An entry, a problem, or an approval that it waits for.
    """

    status: int
    transaction: EntryView | None = None
    problem: Problem | None = None
    approval: ApprovalView | None = None
    replayed: bool = False


class Refused(Exception):
    """Ends a request with a problem."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


def make(
    code: str,
    detail: str = "",
    *,
    field: str | None = None,
    evidence: dict[str, Any] | None = None,
    results: list[BatchResult] | None = None,
) -> Problem:
    """A problem of a code that stands in the tables (KeyError)."""
    row = CODES[code]
    return Problem(
        type=f"/v1/rejections#{code}",
        title=row.sentence,
        status=row.status,
        code=code,
        transient=row.transient,
        detail=detail,
        field=field,
        evidence=evidence or {},
        results=results,
    )


def of_rejection(rejection: Rejection, results: list[BatchResult] | None = None) -> Problem:
    """A refused command: the same bytes whenever it is replayed."""
    detail = ", ".join(f"{name}: {value}" for name, value in rejection.evidence.items())
    return make(rejection.code, detail, evidence=rejection.evidence, results=results)


def of_error(error: Exception) -> Problem | None:
    """What the ledger raised, where that is not a defect."""
    match error:
        case Refused():
            return error.problem
        case Unauthenticated():
            return make("unauthenticated", str(error))
        case TooMany():
            evidence = {"limit": error.limit, "retry_after": error.retry_after}
            return make("too_many_requests", evidence=evidence)
        case KeysUnavailable():
            return make("unavailable", f"{error}.")
        case ApprovalNotFound():
            return make("approval_not_found")
        case SamePerson():
            return make("approval_same_person", evidence={"actor": error.args[0]})
        case AlreadyDecided():
            return make("approval_decided", evidence={"status": error.args[0]})
        case KeyNotFound():
            return make("api_key_not_found")
        case TenantNotFound():
            return make("tenant_not_found", evidence={"tenant": error.args[0]})
        case TenantExists():
            return make("tenant_exists", evidence={"tenant": error.args[0]})
        case LedgerNotFound():
            return make("ledger_not_found", f"No ledger is named {whose(error.args[0])[1]}.")
        case AccountNotFound():
            return make("account_not_found", evidence={"account": error.args[0]})
        case TransactionNotFound():
            return make("transaction_not_found", evidence={"seq": error.args[0]})
        case AssetNeeded():
            evidence = {"account": error.args[0], "assets": error.args[1]}
            return make("asset_needed", field="asset", evidence=evidence)
        case EndsBeforeItStarts():
            start, end = error.args
            return make("invalid_request", f"`{end}` lies before `{start}`.", field=end)
        case Behind():
            evidence = {
                "projection": error.projection,
                "checkpoint": error.checkpoint,
                "min_seq": error.min_seq,
            }
            return make("projection_behind", str(error), evidence=evidence)
        case Stopped():
            name, _, checkpoint, error_seq = error.position
            evidence = {"projection": name, "checkpoint": checkpoint, "error_seq": error_seq}
            return make("projection_stopped", str(error), evidence=evidence)
        case CreditProviderNotFound():
            return make("credit_provider_not_found", evidence={"provider": error.args[0]})
        case LeadNotFound():
            return make("lead_not_found", evidence={"lead": error.args[0]})
        case InvoiceNotFound():
            provider, invoice = error.args
            return make("provider_invoice_not_found", evidence={"provider": provider, "invoice": invoice})
        case LoanNotFound():
            return make("loan_not_found", evidence={"loan": error.args[0]})
        case CaseNotFound():
            return make("collection_case_not_found", evidence={"loan": error.args[0]})
        case BorrowerNotFound():
            return make("borrower_not_found", evidence={"borrower": error.args[0]})
        case PaymentNotFound():
            return make("loan_payment_not_found", evidence={"payment": error.args[0]})
        case VirtualAccountNotFound():
            return make("virtual_account_not_found", evidence={"virtual_account": error.args[0]})
        case EventNotFound():
            return make("event_not_found", evidence={"seq": error.args[0]})
        case SizeNotReached():
            return make(
                "size_not_reached", field="size", evidence={"size": error.args[0], "seq": error.args[1]}
            )
        case EventNotInTree():
            seq, size = error.args
            return make("invalid_request", f"The tree of size {size} ends before event {seq}.", field="size")
        case TileNotFound():
            return make("not_found", "No tree of this ledger has this tile.")
        case LedgerDiffers():
            log.error("tree_heads.differs", difference=str(error.args[0]))
            return make("ledger_differs", evidence={"difference": str(error.args[0])})
        case KeepingError():
            log.error("tree_heads.not_kept", error=str(error))
            return make("signing_unavailable")
        case ProjectionNotFound():
            return make("projection_not_found", f"No projection is named {error.args[0]}.")
        case PersonNotFound():
            return make("beneficiary_not_found", evidence={"beneficiary": error.args[0]})
        case ProgrammeNotFound():
            return make("programme_not_found", evidence={"programme": error.args[0]})
        case VoucherNotFound():
            return make("voucher_not_found", evidence={"voucher": error.args[0]})
        case SubscriptionNotFound():
            return make("subscription_not_found")
        case TooManySubscriptions():
            return make("too_many_subscriptions", evidence={"limit": error.args[0]})
        case NotTrusted():
            if error.why.status == 401:
                return make("webhook_untrusted", str(error))
            return make("webhook_signature_bad", str(error))
        case IdReused():
            return make("idempotency_key_reused", evidence={"key": error.args[0].removeprefix("key:")})
        case DoorClosed():
            return make("webhooks_closed", evidence={"provider": error.args[0]})
        case Unreadable():
            return make("webhook_unreadable", str(error))
        case ProviderNotFound():
            return make("provider_not_found", evidence={"provider": error.args[0]})
        case EndpointNotFound():
            return make("endpoint_not_found")
        case WebhookNotFound():
            return make("webhook_not_found")
        case WebhookSettled():
            return make("webhook_settled", evidence={"number": error.args[0]})
        case DefaultTaken():
            return make("default_endpoint_taken", evidence={"provider": error.args[0]})
        case TooManyEndpoints():
            return make("too_many_endpoints", evidence={"limit": MAX_ENDPOINTS})
        case VaultError():
            log.error("webhooks.secrets", error=str(error))
            return make("secrets_unavailable")
        case StripeKeyReused():
            return make("idempotency_key_reused")
        case StripeDeclined():
            return make("payment_declined", evidence={"reason": error.code, "message": error.message})
        case StripeRefused():
            evidence = {"reason": error.code, "parameter": error.param, "message": error.message}
            return make("stripe_refused", field=OUR_FIELDS.get(error.param), evidence=evidence)
        case StripeKeyRefused():
            log.error("stripe.key_refused", error=str(error))
            return make("stripe_key_refused")
        case StripeUnreachable():
            log.warning("stripe.unreachable", error=str(error))
            return make("stripe_unreachable")
        case StripeSubscriptionNotFound():
            return make("stripe_subscription_not_found", evidence={"subscription": error.args[0]})
        case RunNotFound():
            return make("reconciliation_not_found", evidence={"run": error.args[0]})
        case ItemNotFound():
            run, item = error.args
            return make("reconciliation_item_not_found", evidence={"run": run, "item": item})
        case ScheduleNotFound():
            return make("schedule_not_found", evidence={"side": error.args[0]})
        case OrderNotFound():
            return make("order_not_found", evidence={"order": error.args[0]})
        case JobNotFound():
            return make("job_not_found", f"No job has the id {error.args[0]}.")
        case Overloaded():
            return make("overloaded")
        case ClockBehind():
            return make("clock_behind")
        case Unavailable():
            return make("unavailable")
        case Defect():
            return make("internal_error")
    if isinstance(error, psycopg.Error) and why(error) in (Trouble.CONNECTION, Trouble.LOCKED):
        return make("unavailable")
    return None


_PLACE = re.compile(r" - at (?:`key` in )?`\$(.*)`\Z")
_MEMBER = re.compile(r"(?:Object (?:contains unknown|missing required) field )?`([^`]+)`")


def of_validation(error: Exception, where: str = "") -> Problem:
    """A body, query or path value that msgspec or one of our own checks refused; names the field.

    msgspec writes the place at the end ("... - at `$.postings[0].amount`"); our checks begin with the name of
    the member ("`description` contains the NUL character"), as do its words on missing and unknown members.
    """
    if isinstance(error, UnicodeDecodeError):
        return make("invalid_request", f"The body is not UTF-8 at byte {error.start}.", field=where or None)
    message = str(error)
    if not isinstance(error, msgspec.ValidationError) and isinstance(error, msgspec.DecodeError):
        return make("invalid_request", f"{message}.", field=where or None)
    place = _PLACE.search(message)
    path = place[1].replace("[...]", "").lstrip(".") if place else ""
    detail = message[: place.start()] if place else message
    member = _MEMBER.match(detail)
    if member:
        path = f"{path}.{member[1]}" if path else member[1]
    return make("invalid_request", f"{detail}.", field=path or where or None)
