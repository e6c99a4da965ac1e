"""What is asked of voucher programmes. Amounts are minor units of the programme's asset.

A command about one programme or voucher has its name as the subject.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct

from ledger.chart import AssetCode
from ledger.commands import Amount, Moment, ProductCommand, Reason, _integer, _utc
from ledger.text import check_text

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+\Z", max_length=64, examples=["V-1042"])]
CodeHash = Annotated[
    str,
    Meta(
        pattern=r"^[0-9a-f]{64}\Z",
        description="SHA-256 of the voucher's code in hex: the book knows no code.",
    ),
]
Distributor = Annotated[
    Literal["", "buffr"], Meta(description="Who brings the vouchers to their beneficiaries; empty: not us.")
]
PayeeType = Literal["agent", "merchant", "wallet"]


class _WithAmount(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    amount: Amount

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        self.amount = _integer("amount", self.amount, 1)


class BeneficiaryRegistration(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The person whose name in the book is the command's subject was registered, or their data changed."""

    operation: ClassVar[str] = "register_beneficiary"

    commitment: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class BeneficiaryErasure(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A person's data were erased."""

    operation: ClassVar[str] = "erase_beneficiary"

    reason: Reason

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("reason", self.reason)


class ProgrammeOpening(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Open a programme in one asset. Vouchers are good through `expires_after_days` days, unless they say."""

    operation: ClassVar[str] = "open_programme"

    programme: Id
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    asset: AssetCode
    sponsor: Annotated[str, Meta(max_length=255)] = ""
    expires_after_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None
    distributor: Distributor = ""

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        check_text("name", self.name)
        check_text("sponsor", self.sponsor)


class Funding(_WithAmount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The sponsor's money has come into the trust account."""

    operation: ClassVar[str] = "fund_programme"


class Return(_WithAmount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Money that no voucher promises goes back to the sponsor."""

    operation: ClassVar[str] = "return_funds"


class Fee(_WithAmount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A fee for the programme becomes owed to `payee`."""

    operation: ClassVar[str] = "charge_voucher_fee"

    payee: Id


class FeePayment(_WithAmount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Fees owed are paid from the operating bank account."""

    operation: ClassVar[str] = "pay_voucher_fee"

    payee: Id


class Payee(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One payee of a settlement; without `amount`, everything owed to it."""

    payee_type: PayeeType
    payee: Id
    amount: Amount | None = None


class Settlement(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Payees are paid from the trust account, all of them or none."""

    operation: ClassVar[str] = "settle_payees"

    payees: Annotated[list[Payee], Meta(min_length=1, max_length=200)]

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        self.payees = [
            Payee(
                p.payee_type,
                p.payee,
                None if p.amount is None else _integer(f"payees[{i}].amount", p.amount, 1),
            )
            for i, p in enumerate(self.payees)
        ]
        if len({(p.payee_type, p.payee) for p in self.payees}) != len(self.payees):
            raise ValueError("`payees` names one twice")


class NewVoucher(_WithAmount, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Promise a beneficiary an amount of the fund. It expires at `expires_at`, or as the programme says."""

    programme: Id
    voucher: Id
    beneficiary: Id
    grant_type: Annotated[str, Meta(max_length=64)] = ""
    expires_at: Moment | None = None

    def __post_init__(self) -> None:
        _WithAmount.__post_init__(self)
        check_text("grant_type", self.grant_type)
        if self.expires_at is not None:
            self.expires_at = _utc("expires_at", self.expires_at)


class Issue(NewVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A new voucher, with the hash of its code."""

    operation: ClassVar[str] = "issue_voucher"

    code_hash: CodeHash


class OfVoucher(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """About the voucher that is the command's subject.

    `reported` is a fact that somebody outside reports: where it contradicts a final state it is not refused
    but recorded, for people to reconcile. `happened_at` is when it happened out there.
    """

    reported: bool = False
    happened_at: Moment | None = None

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        if self.happened_at is not None:
            self.happened_at = _utc("happened_at", self.happened_at)


class Distribution(OfVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The distributor has taken the voucher over. `delivery` is its own id of that."""

    operation: ClassVar[str] = "distribute_voucher"

    delivery: Annotated[str, Meta(max_length=255)]

    def __post_init__(self) -> None:
        OfVoucher.__post_init__(self)
        check_text("delivery", self.delivery)


class Delivery(OfVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The beneficiary has the voucher. `delivery` is the distributor's own id of that."""

    operation: ClassVar[str] = "deliver_voucher"

    delivery: Annotated[str, Meta(max_length=255)] = ""

    def __post_init__(self) -> None:
        OfVoucher.__post_init__(self)
        check_text("delivery", self.delivery)


class Payout(OfVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A payee has paid the beneficiary `amount`, or all that remains."""

    amount: Amount | None = None
    payee_type: PayeeType
    payee: Id

    def __post_init__(self) -> None:
        OfVoucher.__post_init__(self)
        if self.amount is not None:
            self.amount = _integer("amount", self.amount, 1)


class Redemption(Payout, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A payout, and the hash of the code that was shown for it, if one was.

    Where the code alone is known, the command has no subject. `decimals`: of what `amount` was counted in,
    where whoever told it does not know the voucher's asset.
    """

    operation: ClassVar[str] = "redeem_voucher"

    code_hash: CodeHash | None = None
    decimals: Annotated[int, Meta(ge=0, le=18)] | None = None


class Expiry(OfVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The voucher has expired before its own time; what remains goes back to the fund."""

    operation: ClassVar[str] = "expire_voucher"


class Cancellation(OfVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The voucher is called back; what remains goes back to the fund."""

    operation: ClassVar[str] = "cancel_voucher"

    reason: Reason

    def __post_init__(self) -> None:
        OfVoucher.__post_init__(self)
        check_text("reason", self.reason)


class Failure(OfVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """It could not be distributed: it is still owed, and can be issued again."""

    operation: ClassVar[str] = "fail_voucher"

    reason: Reason

    def __post_init__(self) -> None:
        OfVoucher.__post_init__(self)
        check_text("reason", self.reason)


class Replacement(OfVoucher, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What remains of the voucher moves to a new one with a new code; the old code is dead."""

    replacement: Id
    expires_at: Moment | None = None

    def __post_init__(self) -> None:
        OfVoucher.__post_init__(self)
        if self.expires_at is not None:
            self.expires_at = _utc("expires_at", self.expires_at)


class Reissue(Replacement, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A replacement, with the hash of its code."""

    operation: ClassVar[str] = "reissue_voucher"

    code_hash: CodeHash
