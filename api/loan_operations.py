"""The operations on loans, their borrowers, and the funds of providers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from msgspec import Meta, Struct

from api import handlers
from api.access.scopes import Scope
from api.operation import DATED, POSTING, Operation
from api.queries import Incarnation
from ledger import loan_reads as reads
from ledger.loans import commands as c
from ledger.loans.command import LoanCommand
from ledger.reader import Reader
from ledger.views import EntryView

_LEDGER = "/v1/ledgers/{ledger}"
_LOANS = _LEDGER + "/loans"
_LOAN = _LOANS + "/{loan}"
_POLICY = _LEDGER + "/loan-policy"
_BORROWER = _LEDGER + "/borrowers/{borrower}"
_PROVIDER = _LEDGER + "/loan-providers/{loan_provider}"

CREATE: Scope = "credit:application:create"
APPROVE: Scope = "credit:application:approve"
DISBURSE: Scope = "credit:disbursement:execute"
COLLECT: Scope = "credit:collection:manage"

_MOVING = (*DATED, *POSTING, "loan_not_found", "loan_status")
# What may come of entering a fact, also behind others that come after it.
_FACT = (*_MOVING, "nothing_disbursed", "later_transaction_conflicts", "loan_written_off")

# What may come of a disbursement's arrival, which is tried before it is sent.
_ARRIVING = (
    "instalments_too_late",
    "loan_matured",
    "loan_charged_off",
    "loan_written_off",
    "nothing_disbursed",
    "later_transaction_conflicts",
)


class DayQuery(Struct, forbid_unknown_fields=True):
    """A day of the ledger's time zone."""

    on: Annotated[date, Meta(description="As it is on this day; now: today.")] | None = None
    incarnation: Incarnation | None = None


class PlainQuery(Struct, forbid_unknown_fields=True):
    """No more than which life of the ledger is meant."""

    incarnation: Incarnation | None = None


def _loan(reader: Reader, path: dict[str, Any], query: DayQuery) -> reads.LoanView:
    return reads.loan(reader, path["ledger"], path["loan"], query.on)


def _payoff(reader: Reader, path: dict[str, Any], query: DayQuery) -> reads.PayoffView:
    return reads.payoff_of(reader, path["ledger"], path["loan"], query.on)


def _borrower(reader: Reader, path: dict[str, Any], query: PlainQuery) -> reads.BorrowerView:
    return reads.borrower(reader, path["ledger"], path["borrower"])


def _policy(reader: Reader, path: dict[str, Any], query: PlainQuery) -> reads.PolicyView:
    return reads.policy(reader, path["ledger"])


def _read(
    path: str, id: str, summary: str, function: Any, answer: type, query: type, *codes: str
) -> Operation:
    return Operation(
        "GET",
        path,
        id,
        summary,
        tag="Loans",
        scope="ledger:read",
        handler=handlers.read(function),
        query=query,
        answer=answer,
        codes=codes,
    )


def _command(
    method: Any, path: str, summary: str, scope: Scope, body: type[LoanCommand], codes: tuple[str, ...]
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


def _on(path: str, summary: str, scope: Scope, body: type[LoanCommand], *codes: str) -> Operation:
    """A command before there is money in the loan."""
    return _command("POST", _LOAN + path, summary, scope, body, (*_MOVING, *codes))


def _fact(path: str, summary: str, body: type[LoanCommand], *codes: str) -> Operation:
    """A command that becomes a fact of the loan."""
    return _command("POST", _LOAN + path, summary, COLLECT, body, (*_FACT, *codes))


LOAN_OPERATIONS: tuple[Operation, ...] = (
    _command("PUT", _POLICY, "Set the lender's policy", "ledger:admin", c.LoanPolicy, DATED),
    _read(
        _POLICY,
        "get_loan_policy",
        "The lender's policy",
        _policy,
        reads.PolicyView,
        PlainQuery,
    ),
    _command(
        "PUT",
        _BORROWER,
        "Say what is known of a borrower",
        APPROVE,
        c.Assessment,
        DATED,
    ),
    _read(
        _BORROWER,
        "get_borrower",
        "A borrower",
        _borrower,
        reads.BorrowerView,
        PlainQuery,
        "borrower_not_found",
    ),
    _command(
        "POST",
        _LOANS,
        "Apply for a loan",
        CREATE,
        c.Application,
        (
            *DATED,
            "asset_not_in_chart",
            "borrower_not_found",
            "kyc_not_verified",
            "rating_refused",
            "credit_limit_exceeded",
            "loan_exists",
        ),
    ),
    _read(_LOAN, "get_loan", "A loan on a day", _loan, reads.LoanView, DayQuery, "loan_not_found"),
    _read(
        _LOAN + "/payoff",
        "get_payoff",
        "What it takes to settle a loan on a day",
        _payoff,
        reads.PayoffView,
        DayQuery,
        "loan_not_found",
    ),
    _on(
        "/approve",
        "Approve an application with an offer",
        APPROVE,
        c.Approval,
        "offer_asset_differs",
        "borrower_not_found",
        "credit_limit_exceeded",
        "second_person_needed",
    ),
    _on("/reject", "Reject an application", APPROVE, c.ApplicationRejection),
    _on("/withdraw", "Withdraw an application or an offer", CREATE, c.Withdrawal, "disbursement_under_way"),
    _on("/accept", "Accept the offer", CREATE, c.Acceptance, "offer_expired"),
    _on(
        "/disburse",
        "Send money to the borrower",
        DISBURSE,
        c.Disbursement,
        "exceeds_offer",
        "below_fee",
        "disbursement_reference_used",
        "first_due_not_later",
        *_ARRIVING,
    ),
    _on(
        "/confirm-disbursement",
        "Say that a disbursement arrived",
        DISBURSE,
        c.DisbursementConfirmation,
        "disbursement_not_found",
        "disbursement_ended",
        *_ARRIVING,
    ),
    _on(
        "/fail-disbursement",
        "Say that a disbursement will not arrive",
        DISBURSE,
        c.DisbursementFailure,
        "disbursement_not_found",
        "disbursement_ended",
    ),
    _fact("/accrue", "Accrue interest to a day", c.Accrual, "already_accrued"),
    _fact("/repay", "Enter a repayment", c.Repayment),
    _fact("/prepay", "Enter a prepayment", c.Prepayment),
    _fact("/settle", "Pay a loan off early", c.LoanSettlement, "below_payoff", "disbursement_under_way"),
    _fact("/refund", "Give back what was paid too much", c.OverpaymentRefund, "exceeds_overpayment"),
    _fact(
        "/charge-back",
        "Charge a repayment back",
        c.Chargeback,
        "repayment_not_found",
        "exceeds_repayment",
    ),
    _fact(
        "/undo",
        "Take back a transaction of the loan",
        c.Undoing,
        "loan_transaction_not_found",
        "disbursement_not_undone",
    ),
    _fact("/charge", "Charge a fee or a penalty", c.Charge),
    _fact("/waive", "Give up part of the debt", c.Waiver, "exceeds_owed"),
    _fact("/goodwill", "Pay for the borrower", c.Goodwill, "exceeds_owed"),
    _fact(
        "/reschedule",
        "Agree on other instalments",
        c.Rescheduling,
        "first_due_not_later",
        "instalments_too_late",
        "nothing_owed",
    ),
    _fact(
        "/charge-off",
        "Take a loan off the books",
        c.ChargeOff,
        "loan_charged_off",
        "disbursement_under_way",
    ),
    _fact("/write-off", "Give a loan up", c.WriteOff, "nothing_owed", "disbursement_under_way"),
    _fact("/provision", "Provide for expected losses", c.Provisioning),
    _fact("/lock-collateral", "Take collateral", c.CollateralLock, "collateral_locked"),
    _fact("/release-collateral", "Give collateral back", c.CollateralRelease, "collateral_not_found"),
    _fact("/liquidate-collateral", "Enter the sale of collateral", c.Liquidation, "collateral_not_found"),
    _command(
        "POST",
        _PROVIDER + "/receive",
        "Receive a provider's funds",
        DISBURSE,
        c.FundsReceipt,
        (*DATED, *POSTING),
    ),
    _command(
        "POST",
        _PROVIDER + "/remit",
        "Pay a provider what was collected for it",
        DISBURSE,
        c.Remittance,
        (*DATED, *POSTING, "exceeds_payable"),
    ),
)
