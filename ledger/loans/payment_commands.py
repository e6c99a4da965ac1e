"""What borrowers' payments can be asked: the bodies of their commands, validated once.

Amounts are minor units of the payment's asset. `reference` of a payment is what the payer wrote:
`LOAN_{loan}` names a loan.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ledger.chart import AssetCode
from ledger.commands import Amount, Reason
from ledger.loans.command import LoanCommand
from ledger.loans.state import Kyc
from ledger.loans.terms import Id

PaymentMethod = Literal["credit_card", "debit_card", "bank_transfer", "check", "cash", "crypto"]


class PaymentCommand(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A command on a payment."""

    kind: ClassVar[str] = "loan_payment"


class NewLoanPayment(PaymentCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A borrower's payment; `payment` is its name from then on. It is pending, or `processed` at once.

    `loan`, `virtual_account`, the reference and the instalments of `borrower` are what it may be matched by.
    """

    operation: ClassVar[str] = "create_loan_payment"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    payment: Id
    method: PaymentMethod
    asset: AssetCode
    amount: Amount
    loan: Id | None = None
    virtual_account: Id | None = None
    borrower: Id | None = None
    processed: bool = False

    def stream(self, subject: str) -> str:
        """That of the payment that it names."""
        return f"{self.kind}:{self.payment}"


class PaymentProcessing(PaymentCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The money of a pending payment has arrived, when the command is effective."""

    operation: ClassVar[str] = "process_loan_payment"


class PaymentFailure(PaymentCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The money of a pending payment will not arrive."""

    operation: ClassVar[str] = "fail_loan_payment"
    reason: Reason


class PaymentMatching(PaymentCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Say whose a payment in suspense is: it repays the loan, as of the day on which it was received."""

    operation: ClassVar[str] = "match_loan_payment"
    loan: Id


class PaymentRefund(PaymentCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Give a payment back, or `amount` of it: out of suspense, or as a chargeback of what it repaid."""

    operation: ClassVar[str] = "refund_loan_payment"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    amount: Amount | None = None
    reason: Reason


class VirtualAccount(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is paid into a virtual account from now on is for a loan."""

    operation: ClassVar[str] = "assign_virtual_account"
    kind: ClassVar[str] = "virtual_account"
    loan: Id


class KycStatus(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A borrower's KYC status alone; what else is known of the borrower stays."""

    operation: ClassVar[str] = "set_kyc_status"
    kind: ClassVar[str] = "borrower"
    kyc: Kyc
