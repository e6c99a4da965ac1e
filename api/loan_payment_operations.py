"""The operations on borrowers' payments, on virtual accounts and on KYC status."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from api import handlers
from api.access.scopes import Scope
from api.loan_list_operations import Beyond
from api.operation import DATED, POSTING, Operation
from api.queries import From, Incarnation, Limit, MinSeq, To, read_period
from ledger import loan_reads as reads
from ledger.chart import AssetCode
from ledger.loans import payment_commands as c
from ledger.loans.command import LoanCommand
from ledger.loans.payments import PaymentStatus
from ledger.loans.terms import Id
from ledger.reader import Reader
from ledger.views import EntryView
from projections import loan_payments as lists

_LEDGER = "/v1/ledgers/{ledger}"
_PAYMENTS = _LEDGER + "/loan-payments"
_PAYMENT = _PAYMENTS + "/{loan_payment}"

COLLECT: Scope = "credit:collection:manage"

_MOVING = (*DATED, *POSTING)
_KNOWN = ("loan_payment_not_found", "loan_payment_status")
# What may come of entering a payment into a loan that somebody names.
_ENTERING = ("loan_not_found", "loan_status", "payment_asset_differs", "later_transaction_conflicts")


class PaymentsQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Payments by name, by every filter that is given."""

    status: Annotated[PaymentStatus, Meta(description="Only these; `suspense` is the work list.")] | None = (
        None
    )
    method: Annotated[c.PaymentMethod, Meta(description="Only those paid so.")] | None = None
    loan: Annotated[Id, Meta(description="Only those that repaid this loan.")] | None = None
    borrower: Annotated[Id, Meta(description="Only those that this borrower is said to pay.")] | None = None
    asset: Annotated[AssetCode, Meta(description="Only those in this asset.")] | None = None
    start: From | None = field(default=None, name="from")
    to: To | None = None
    after: Beyond = ""
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        self.start, self.to = read_period(self.start, self.to)


class PlainQuery(Struct, forbid_unknown_fields=True):
    """No more than which life of the ledger is meant."""

    incarnation: Incarnation | None = None


def _payments(reader: Reader, path: dict[str, Any], query: PaymentsQuery) -> lists.PaymentsPage:
    wanted = lists.PaymentFilter(
        status=query.status,
        method=query.method,
        loan=query.loan,
        borrower=query.borrower,
        asset=query.asset,
        created_from=query.start,
        created_to=query.to,
    )
    ledger, after, limit = path["ledger"], query.after, query.limit
    return lists.payments(reader, ledger, wanted, after=after, limit=limit, min_seq=query.min_seq)


def _payment(reader: Reader, path: dict[str, Any], query: PlainQuery) -> reads.PaymentView:
    return reads.payment(reader, path["ledger"], path["loan_payment"])


def _virtual_account(reader: Reader, path: dict[str, Any], query: PlainQuery) -> reads.VirtualAccountView:
    return reads.virtual_account(reader, path["ledger"], path["virtual_account"])


def _command(
    method: Any, path: str, summary: str, scope: Scope, body: type[LoanCommand], *codes: str
) -> Operation:
    return Operation(
        method,
        path,
        body.operation,
        summary,
        description=(body.__doc__ or "").strip(),
        tag="Loans",
        scope=scope,
        handler=handlers.command,
        body=body,
        answer=EntryView,
        status=200 if method == "PUT" else 201,
        codes=codes,
    )


def _read(path: str, id: str, summary: str, function: Any, answer: type, *codes: str) -> Operation:
    return Operation(
        "GET",
        path,
        id,
        summary,
        tag="Loans",
        scope="ledger:read",
        handler=handlers.read(function),
        query=PaymentsQuery if id == "list_loan_payments" else PlainQuery,
        answer=answer,
        codes=codes,
    )


LOAN_PAYMENT_OPERATIONS: tuple[Operation, ...] = (
    _command(
        "POST",
        _PAYMENTS,
        "Enter a payment, pending or processed",
        COLLECT,
        c.NewLoanPayment,
        *_MOVING,
        "loan_payment_exists",
        "loan_not_found",
    ),
    _read(_PAYMENTS, "list_loan_payments", "Payments by name", _payments, lists.PaymentsPage),
    _read(_PAYMENT, "get_loan_payment", "A payment", _payment, reads.PaymentView, "loan_payment_not_found"),
    _command(
        "POST",
        _PAYMENT + "/process",
        "Say that a payment arrived",
        COLLECT,
        c.PaymentProcessing,
        *_MOVING,
        *_KNOWN,
    ),
    _command(
        "POST",
        _PAYMENT + "/fail",
        "Say that a payment will not arrive",
        COLLECT,
        c.PaymentFailure,
        *_MOVING,
        *_KNOWN,
    ),
    _command(
        "POST",
        _PAYMENT + "/match",
        "Say whose a payment in suspense is",
        COLLECT,
        c.PaymentMatching,
        *_MOVING,
        *_KNOWN,
        *_ENTERING,
    ),
    _command(
        "POST",
        _PAYMENT + "/refund",
        "Give a payment back",
        COLLECT,
        c.PaymentRefund,
        *_MOVING,
        *_KNOWN,
        "exceeds_payment",
        "exceeds_repayment",
        "repayment_not_found",
        "later_transaction_conflicts",
    ),
    _command(
        "PUT",
        _LEDGER + "/virtual-accounts/{virtual_account}",
        "Assign a virtual account to a loan",
        COLLECT,
        c.VirtualAccount,
        *DATED,
        "loan_not_found",
    ),
    _read(
        _LEDGER + "/virtual-accounts/{virtual_account}",
        "get_virtual_account",
        "Whose a virtual account is",
        _virtual_account,
        reads.VirtualAccountView,
        "virtual_account_not_found",
    ),
    _command(
        "PUT",
        _LEDGER + "/borrowers/{borrower}/kyc",
        "Set a borrower's KYC status",
        "credit:application:approve",
        c.KycStatus,
        *DATED,
        "already_recorded",
    ),
)
