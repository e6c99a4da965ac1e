"""What can be asked of purchases: order, pay, decline, refund, dispute; and the settings of credits."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

from ledger.chart import AssetCode
from ledger.commands import Amount, AmountOrZero, ProductCommand, Reference, _integer
from ledger.credits.commands import CreditType, Days, Id, Item, Owner
from ledger.credits.lots import Policy
from ledger.text import check_text

# They name streams of payments, as `Item` does.
Dispute = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+\Z", max_length=200, examples=["dp_1"])]
RefundId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+\Z", max_length=200, examples=["re_1"])]
Window = Literal["minute", "hour", "day", "month"]


class _OfOrder(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    order: Id


class _OfPurchase(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """About what was bought: by its order, or by the open item `payment` that it was paid from."""

    order: Id | None = None
    payment: Item = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order is None and not self.payment:
            raise ValueError("`order` or `payment` must say what was bought")


class OrderCredits(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Order a package: what is owed and what will be granted, as a payment is checked against.

    `order` is the event's number unless given. Nothing is granted and nothing is posted.
    """

    operation: ClassVar[str] = "order_credits"
    owner: Owner = field(name="userId")
    package: Id = field(name="packageId")
    order: Id | None = None


class FulfilOrder(_OfOrder, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """Grant what was ordered, because it is paid: `amount` in all, of which `tax`, after `discount`.

    `amount - tax + discount` must be the order's price. It is paid from `payments:unapplied`, from the open
    item `payment` (the order's own name unless given). An order is fulfilled once; `session` is kept with it.
    """

    operation: ClassVar[str] = "fulfil_order"
    amount: AmountOrZero
    asset: AssetCode
    tax: AmountOrZero = 0
    discount: AmountOrZero = 0
    payment: Item = ""
    session: Reference = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, 0)
        self.tax = _integer("tax", self.tax, 0)
        self.discount = _integer("discount", self.discount, 0)
        if self.tax > self.amount:
            raise ValueError("`tax` is a part of `amount`")
        check_text("session", self.session)


class DeclineOrder(_OfOrder, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """An order's payment failed or did not come; what is paid late is granted all the same."""

    operation: ClassVar[str] = "decline_order"
    reason: Annotated[str, Meta(min_length=1, max_length=255, examples=["card_declined"])]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("reason", self.reason)


class RefundPurchase(
    _OfPurchase, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """Money back for a purchase: `amount`, tax included, or all that was not refunded.

    Units are retired in proportion from that purchase's lots, as far as there are any; what the customer used
    falls on refunds, or with `claim` on a receivable from the customer. `keepCredits` retires none. The same
    `refund` (the provider's id) is accepted once.
    """

    operation: ClassVar[str] = "refund_purchase"
    amount: Amount | None = None
    claim: bool = False
    keep_credits: bool = False
    refund: Item = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount is not None:
            self.amount = _integer("amount", self.amount, 1)
        if self.claim and self.keep_credits:
            raise ValueError("`claim` and `keepCredits` exclude each other")


class ReversePurchaseRefund(
    _OfPurchase, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """A provider's `refund` has failed: units, cost and tax that it took come back; its money waits again.

    Once. Told before the refund was taken from the purchase, it keeps it from ever being taken.
    """

    operation: ClassVar[str] = "reverse_purchase_refund"
    refund: RefundId


class FreezePurchase(
    _OfPurchase, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """A purchase is disputed: what is left of its lots can not be used."""

    operation: ClassVar[str] = "freeze_purchase"
    dispute: Dispute


class UnfreezePurchase(
    _OfPurchase, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """A dispute was won: what was frozen can be used again; what ran out meanwhile expires now."""

    operation: ClassVar[str] = "unfreeze_purchase"
    dispute: Dispute


class LoseDispute(_OfPurchase, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"):
    """A dispute was lost: its `amount`, or all that was not refunded, is gone, and the units with it."""

    operation: ClassVar[str] = "lose_dispute"
    dispute: Dispute
    amount: Amount | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.amount is not None:
            self.amount = _integer("amount", self.amount, 1)


class Breakage(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """What becomes of units that nobody uses. `expected`: basis points, for proportional."""

    policy: Policy = "remote"
    expected: Annotated[int, Meta(ge=0, le=9_999)] = 0

    def __post_init__(self) -> None:
        if (self.policy == "proportional") != bool(self.expected):
            raise ValueError("`expected` is what policy proportional needs, and no other has")


class Rollover(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Of a lot that expires `min(max, max(remaining, min))` units go on for `days`, once."""

    max: Annotated[int, Meta(ge=1, le=2**62)]
    days: Annotated[int, Meta(ge=1, le=36_600)]
    min: Annotated[int, Meta(ge=0, le=2**62)] = 0

    def __post_init__(self) -> None:
        if self.min > self.max:
            raise ValueError("`min` is more than `max`")


class UsageLimit(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """How many units a wallet can use or hold in one `window` of the ledger's clock and calendar."""

    units: Annotated[int, Meta(ge=1, le=2**62)]
    window: Window


class TypeSettings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """The rules for one credit type. `restoreDays`: how long refunded units of an expired lot last."""

    breakage: Breakage = Breakage()
    restore_days: Days = 30
    rollover: Rollover | None = None
    low_balance: Annotated[int, Meta(ge=0, le=2**62)] | None = None
    usage_limit: UsageLimit | None = None


class SetCreditSettings(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """The rules for one credit type, in place of those before. Lots keep the breakage of their grant."""

    operation: ClassVar[str] = "set_credit_settings"
    credit_type: CreditType
    settings: TypeSettings


class AutoTopUp(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Order `packageId` when balance and pending orders together are at or below `threshold`."""

    threshold: Annotated[int, Meta(ge=0, le=2**62)]
    package: Id = field(name="packageId")


class SetWalletSettings(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, rename="camel"
):
    """A wallet's automatic top-up; null ends it."""

    operation: ClassVar[str] = "set_wallet_settings"
    owner: Owner = field(name="userId")
    credit_type: CreditType
    auto_top_up: AutoTopUp | None = None
