"""What can be asked of credits. Fields are spelled as in the system whose surface this is (`creditType`)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import UNSET, Meta, UnsetType, field

from ledger.chart import AssetCode
from ledger.commands import (
    MAX_TIMEOUT_SECONDS,
    Amount,
    AmountOrZero,
    Moment,
    ProductCommand,
    Reference,
    SignedAmount,
    _integer,
    _utc,
)
from ledger.text import check_text

_segment = r"^[A-Za-z0-9_.\-]+\Z"
Owner = Annotated[str, Meta(pattern=_segment, max_length=80, examples=["42"])]
CreditType = Annotated[str, Meta(pattern=_segment, max_length=40, examples=["enrichment"])]
Id = Annotated[str, Meta(pattern=_segment, max_length=64, examples=["starter"])]
# It names a stream of payments.
Item = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]*\Z", max_length=200, examples=["pi_1"])]
Seq = Annotated[int, Meta(ge=1)]
Priority = Annotated[int, Meta(ge=0, le=1_000)]
Days = Annotated[int, Meta(ge=0, le=36_600)]
TransactionType = Literal["purchase", "promotional", "bonus"]


class _Of(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A command to one wallet."""

    owner: Owner = field(name="userId")
    credit_type: CreditType
    reference: Reference = field(default="", name="referenceId")


class AddCredits(_Of, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Grant a lot: bought for `cost` minor units of `asset` (tax apart), or given for nothing.

    What was bought is paid from `payments:unapplied`; `payment` names its open item there (one of its own,
    `added-` and the event's number, unless given).
    """

    operation: ClassVar[str] = "add_credits"
    amount: SignedAmount
    transaction_type: TransactionType = "purchase"
    cost: AmountOrZero = 0
    asset: AssetCode | None = None
    payment: Item = ""
    priority: Priority = 0
    expires_at: Moment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, -(2**63) + 1)
        self.cost = _integer("cost", self.cost, 0)
        if self.expires_at is not None:
            self.expires_at = _utc("expiresAt", self.expires_at)
        if self.cost and self.asset is None:
            raise ValueError("`cost` needs its `asset`, such as USD/2")
        if self.cost and self.transaction_type != "purchase":
            raise ValueError("`cost` is for what was bought: `transactionType` purchase")


class DeductCredits(_Of, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Use credits."""

    operation: ClassVar[str] = "deduct_credits"
    amount: SignedAmount
    reference_type: Reference = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, -(2**63) + 1)
        check_text("referenceType", self.reference_type)


class RefundCredits(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Take a use of credits back, whole and once: exactly the units of each lot return at their cost."""

    operation: ClassVar[str] = "refund_credits"
    transaction_id: Seq


class AdjustCredits(_Of, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Correct a balance by hand, up or down.

    Down needs a `reason`: `correction` (earned as adjustments) or `forfeiture` (earned as breakage). Up is
    granted at no cost, or at `cost` minor units of `asset`, which adjustments bear.
    """

    operation: ClassVar[str] = "adjust_credits"
    amount: SignedAmount
    reason: Literal["correction", "forfeiture"] | None = None
    cost: AmountOrZero = 0
    asset: AssetCode | None = None
    priority: Priority = 0
    expires_at: Moment | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, -(2**63) + 1)
        self.cost = _integer("cost", self.cost, 0)
        if self.expires_at is not None:
            self.expires_at = _utc("expiresAt", self.expires_at)
        if not self.amount:
            raise ValueError("`amount` is zero")
        if self.amount < 0 and self.reason is None:
            raise ValueError("`reason` says why credits are taken: correction or forfeiture")
        if self.amount < 0 and (self.cost or self.asset or self.expires_at):
            raise ValueError("`cost`, `asset` and `expiresAt` are for credits that are given")
        if self.cost and self.asset is None:
            raise ValueError("`cost` needs its `asset`, such as USD/2")


class HoldCredits(_Of, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Reserve credits, until they are captured or released, or `timeoutSeconds` have passed."""

    operation: ClassVar[str] = "hold_credits"
    amount: SignedAmount
    timeout_seconds: Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_SECONDS)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, -(2**63) + 1)


class ChangeHold(_Of, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Make a hold larger by `increase`, or let it last `timeoutSeconds` from now; or both."""

    operation: ClassVar[str] = "change_credit_hold"
    hold: Seq
    increase: AmountOrZero = 0
    timeout_seconds: Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_SECONDS)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.increase = _integer("increase", self.increase, 0)
        if not self.increase and self.timeout_seconds is None:
            raise ValueError("a change of a hold needs `increase` or `timeoutSeconds`")


class CaptureHold(_Of, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Use what a hold reserved: `amount` of it, or all; `final` releases the rest."""

    operation: ClassVar[str] = "capture_credit_hold"
    hold: Seq
    amount: Amount | None = None
    final: bool = False
    reference_type: Reference = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount is not None:
            self.amount = _integer("amount", self.amount, 1)
        check_text("referenceType", self.reference_type)


class ReleaseHold(_Of, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """End a hold; what is left of it is available again."""

    operation: ClassVar[str] = "release_credit_hold"
    hold: Seq


class CreatePackage(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Offer `creditAmount` units (and `bonusAmount` with them) for `price` minor units of `asset`, tax apart.

    `expiryDays` after the purchase they expire; without it, never. `id`: the event's number unless given.
    """

    operation: ClassVar[str] = "create_package"
    package: Id | None = field(default=None, name="id")
    name: Annotated[str, Meta(min_length=1, max_length=255, examples=["Starter pack"])]
    credit_type: CreditType
    credit_amount: Amount
    bonus_amount: AmountOrZero = 0
    price: AmountOrZero
    asset: AssetCode
    is_active: bool = True
    sort_order: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] = 0
    expiry_days: Annotated[int, Meta(ge=1, le=36_600)] | None = None
    priority: Priority = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.credit_amount = _integer("creditAmount", self.credit_amount, 1)
        self.bonus_amount = _integer("bonusAmount", self.bonus_amount, 0)
        self.price = _integer("price", self.price, 0)
        check_text("name", self.name)


class UpdatePackage(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Change what is given of a package; what was ordered before keeps its terms.

    An empty `description` or `metadata` leaves it as it is.
    """

    operation: ClassVar[str] = "update_package"
    package: Id = field(name="id")
    name: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType = UNSET
    credit_amount: Amount | UnsetType = UNSET
    bonus_amount: AmountOrZero | UnsetType = UNSET
    price: AmountOrZero | UnsetType = UNSET
    asset: AssetCode | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    sort_order: Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | UnsetType = UNSET
    expiry_days: Annotated[int, Meta(ge=1, le=36_600)] | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("credit_amount", 1), ("bonus_amount", 0), ("price", 0)):
            value = getattr(self, name)
            if value is not UNSET:
                setattr(self, name, _integer(name, value, least))
        if self.name is not UNSET:
            check_text("name", self.name)
