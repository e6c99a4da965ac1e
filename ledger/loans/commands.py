"""What loans can be asked: the bodies of their commands, validated once.

The subject of a command is the name of what it is about, as its path has it: a loan, a borrower, a provider.
Amounts are minor units of the loan's asset. When money came late into the books, `original_effective_at` is
when it came into the world: the loan counts it then.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from ledger.chart import AssetCode
from ledger.commands import Address, Amount, AmountOrZero, Moment, Reason, _integer
from ledger.loans.command import LoanCommand, WaivedParts
from ledger.loans.schedule import MOST_INSTALMENTS, Interest
from ledger.loans.state import Kyc
from ledger.loans.terms import Id, Offer, Policy, Rating
from ledger.loans.waterfall import PARTS, Part, Waterfall

Seq = Annotated[int, Meta(ge=1)]
Method = Literal["bank_transfer", "virtual_account", "wallet"]
Limits = Annotated[dict[AssetCode, AmountOrZero], Meta(max_length=100)]
Text = Annotated[str, Meta(min_length=1, max_length=500)]


# ---------------------------------------------------------------- before there is a loan


class LoanPolicy(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Set the policy of loans that are approved from now on."""

    operation: ClassVar[str] = "set_loan_policy"
    kind: ClassVar[str] = "loan_policy"
    policy: Policy


class Assessment(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What is known of a borrower; it replaces what was known. `limits` are by asset, minor units."""

    operation: ClassVar[str] = "assess_borrower"
    kind: ClassVar[str] = "borrower"
    kyc: Kyc
    rating: Rating | None = None
    score: Annotated[int, Meta(ge=300, le=850)] | None = None
    limits: Limits = field(default_factory=dict)

    def __post_init__(self) -> None:
        LoanCommand.__post_init__(self)
        self.limits = {asset: _integer("limits", limit, 0) for asset, limit in self.limits.items()}


class Application(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A borrower asks for a loan; `loan` is its name from then on."""

    operation: ClassVar[str] = "submit_loan_application"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    loan: Id
    borrower: Id
    asset: AssetCode
    amount: Amount
    purpose: Annotated[str, Meta(max_length=500)] = ""

    def stream(self, subject: str) -> str:
        """That of the loan that it names."""
        return f"{self.kind}:{self.loan}"


class Approval(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Approve an application with an offer; above the policy's limit two people must, with the same offer."""

    operation: ClassVar[str] = "approve_loan"
    offer: Offer
    conditions: Annotated[tuple[Text, ...], Meta(max_length=20)] = ()
    expires_at: Moment | None = None


class ApplicationRejection(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Reject an application."""

    operation: ClassVar[str] = "reject_loan"
    reason: Reason


class Withdrawal(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The borrower does not want the loan any more."""

    operation: ClassVar[str] = "withdraw_loan"


class Acceptance(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The borrower accepts the offer."""

    operation: ClassVar[str] = "accept_loan"


# ---------------------------------------------------------------- disbursing


class Disbursement(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Send money to the borrower: held until the rail confirms it. All that is left of the offer, or
    `amount`.

    `reference` is what the rail knows it by, `LOAN_{loan}` unless given; one reference goes out once.
    `first_due` is when the first instalment is due, an interval after the first disbursement unless given.
    """

    operation: ClassVar[str] = "disburse_loan"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    account: Address
    method: Method
    amount: Amount | None = None
    first_due: date | None = None


class DisbursementConfirmation(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The rail has paid a disbursement out."""

    operation: ClassVar[str] = "confirm_disbursement"
    disbursement: Seq


class DisbursementFailure(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The rail has not paid a disbursement out, and will not."""

    operation: ClassVar[str] = "fail_disbursement"
    disbursement: Seq
    reason: Reason


class FundsReceipt(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A provider gives money for its loans."""

    operation: ClassVar[str] = "receive_provider_funds"
    kind: ClassVar[str] = "provider_funding"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    asset: AssetCode
    amount: Amount
    account: Address


class Remittance(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What was collected for a provider is paid to it: no more than is payable."""

    operation: ClassVar[str] = "remit_to_provider"
    kind: ClassVar[str] = "provider_funding"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    asset: AssetCode
    amount: Amount
    account: Address


# ---------------------------------------------------------------- being paid


class Accrual(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Accrue to the day of `effective_at`, which every other command does by itself."""

    operation: ClassVar[str] = "accrue_loan"


class Announcement(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Say that the instalment due on a day fell due or was missed, or that it was not, as it now turns out.

    Each is said once.
    """

    operation: ClassVar[str] = "announce_instalment"
    due: date


class Repayment(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A borrower pays. `account` is where the money is; `waterfall` that of the policy unless given."""

    operation: ClassVar[str] = "repay_loan"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    amount: Amount
    account: Address
    waterfall: Waterfall | None = None


class Prepayment(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A borrower pays what is due and then principal; the instalments to come get smaller, or fewer."""

    operation: ClassVar[str] = "prepay_loan"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    amount: Amount
    account: Address
    reduce: Literal["instalment", "term"] = "instalment"


class LoanSettlement(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A borrower pays the loan off early: at least the payoff of the day; interest to come is not charged."""

    operation: ClassVar[str] = "settle_loan"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    amount: Amount
    account: Address


class OverpaymentRefund(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Give back what was paid too much."""

    operation: ClassVar[str] = "refund_overpayment"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    amount: Amount
    account: Address


class Chargeback(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The bank takes a repayment back, or `amount` of it; `order` is that in which its split is undone."""

    operation: ClassVar[str] = "charge_back_repayment"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    repayment: Seq
    account: Address
    amount: Amount | None = None
    order: Annotated[tuple[Part, ...], Meta(min_length=4, max_length=4)] = (
        "principal",
        "interest",
        "fee",
        "penalty",
    )

    def __post_init__(self) -> None:
        LoanCommand.__post_init__(self)
        if sorted(self.order) != sorted(PARTS):
            raise ValueError("`order` names each part once")


class Undoing(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Take back a transaction of the loan that should not have been entered: a repayment, a charge, a waiver.

    What came after it is allocated anew.
    """

    operation: ClassVar[str] = "undo_loan_transaction"
    transaction: Seq
    reason: Reason


# ---------------------------------------------------------------- charging, giving up, changing


class Charge(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Charge a fee, due with the next instalment, or a penalty, due at once."""

    operation: ClassVar[str] = "charge_loan"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    part: Literal["fee", "penalty"]
    amount: Amount


class Waiver(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Give up amounts of the parts of the debt."""

    operation: ClassVar[str] = "waive_loan"
    amounts: WaivedParts


class Goodwill(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Pay for the borrower, as a courtesy."""

    operation: ClassVar[str] = "credit_goodwill"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    amount: Amount
    waterfall: Waterfall | None = None


class Rescheduling(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Agree on other instalments for all that is not paid; what is past due becomes part of them."""

    operation: ClassVar[str] = "reschedule_loan"
    first_due: date
    count: Annotated[int, Meta(ge=1, le=MOST_INSTALMENTS)]
    grace: Annotated[int, Meta(ge=0)] = 0
    interest: Interest | None = None

    def __post_init__(self) -> None:
        LoanCommand.__post_init__(self)
        if self.grace >= self.count:
            raise ValueError("`grace` leaves no instalment that pays principal")


class ChargeOff(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Take an active loan off the books; the borrower still owes it."""

    operation: ClassVar[str] = "charge_off_loan"


class WriteOff(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Give a loan up."""

    operation: ClassVar[str] = "write_off_loan"


class Provisioning(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Bring the loan's allowance to what the policy expects to lose at its days past due."""

    operation: ClassVar[str] = "provision_loan"


# ---------------------------------------------------------------- collateral


class CollateralLock(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Take collateral of a value."""

    operation: ClassVar[str] = "lock_collateral"
    positive: ClassVar[tuple[str, ...]] = ("value",)
    collateral: Id
    value: Amount


class CollateralRelease(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Give collateral back."""

    operation: ClassVar[str] = "release_collateral"
    collateral: Id


class Liquidation(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Collateral was sold for `amount`, `costs` of it are gone: what is over is payable to the borrower."""

    operation: ClassVar[str] = "liquidate_collateral"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    zero_too: ClassVar[tuple[str, ...]] = ("costs",)
    collateral: Id
    amount: Amount
    account: Address
    costs: AmountOrZero = 0

    def __post_init__(self) -> None:
        LoanCommand.__post_init__(self)
        if self.costs > self.amount:
            raise ValueError("`costs` are more than `amount`")
