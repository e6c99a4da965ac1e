"""What can be told of payments. Amounts are minor units of an asset, signed as Stripe's balance sees them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from ledger.chart import MAX_AMOUNT, AssetCode
from ledger.commands import Address, Amount, ProductCommand, SignedAmount, _integer

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]+\Z", max_length=200, examples=["ch_1"])]
IdOrNone = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]*\Z", max_length=200)]
Kind = Literal["charge", "refund", "refund_failure", "dispute", "payout", "payout_failure", "other"]
# A refund or payout that failed was made before, whether that was told or not.
Stage = Literal["made", "failed"]


def _signed(field: str, amount: int | str) -> int:
    return _integer(field, amount, -MAX_AMOUNT)


class RecordCharge(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A customer's money: DR unsettled / CR unapplied. `payment` is the open item that it belongs to.

    `order` is what the charge says that it is for; what is bought with it says so itself.
    """

    operation: ClassVar[str] = "record_charge"
    charge: Id
    payment: Id
    amount: Amount
    asset: AssetCode
    order: IdOrNone = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, 1)


class RecordRefund(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Money back to a customer: DR unapplied / CR clearing; both again the other way when it failed."""

    operation: ClassVar[str] = "record_refund"
    refund: Id
    payment: Id
    amount: Amount
    asset: AssetCode
    stage: Stage = "made"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, 1)


class RecordRefundedTotal(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What was refunded of a payment in all, by what a charge says: posts nothing, each refund does.

    As long as more was refunded than its refunds tell, the payment is an open item.
    """

    operation: ClassVar[str] = "record_refunded_total"
    charge: Id
    payment: Id
    amount: Amount
    asset: AssetCode

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _integer("amount", self.amount, 1)


class RecordPayout(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Money on its way to the bank: DR in transit / CR clearing; back when it failed. Below zero: from it."""

    operation: ClassVar[str] = "record_payout"
    payout: Id
    amount: SignedAmount
    asset: AssetCode
    stage: Stage = "made"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _signed("amount", self.amount)


class BalanceFigures(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A balance transaction's figures: `amount` gross, of which `fee`; what is left moves the balance.

    Where its source was in another asset, `source_amount` and `source_asset` say what it was there.
    """

    txn: Id
    amount: SignedAmount
    fee: SignedAmount = 0
    asset: AssetCode
    source_amount: SignedAmount = 0
    source_asset: AssetCode | None = None

    def __post_init__(self) -> None:
        for name in ("amount", "fee", "source_amount"):
            force_setattr(self, name, _signed(name, getattr(self, name)))
        if self.source_asset == self.asset:
            raise ValueError("`source_asset` is for a source in another asset")


class RecordDispute(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A dispute as it stands, with every balance transaction that it has: those not posted yet are posted."""

    operation: ClassVar[str] = "record_dispute"
    dispute: Id
    payment: Id
    status: Annotated[str, Meta(pattern=r"^[a-z_]{1,64}\Z", examples=["needs_response"])]
    settlements: Annotated[tuple[BalanceFigures, ...], Meta(max_length=20)] = ()


class RecordBalanceTransaction(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A movement of Stripe's balance: clearing, fees, and what it is about.

    `source` is the charge, refund, dispute or payout that it settles; `payment` the open item of that.
    """

    operation: ClassVar[str] = "record_balance_transaction"
    kind: Kind
    type: Annotated[str, Meta(pattern=r"^[a-z_]{1,64}\Z", examples=["charge"])]
    settlement: BalanceFigures
    source: IdOrNone = ""
    payment: IdOrNone = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind != "other" and not self.source:
            raise ValueError("`source` is missing: only the kind `other` has none")
        if self.kind in ("charge", "refund", "refund_failure") and not self.payment:
            raise ValueError("`payment` is missing: charges and refunds have one")


class MatchPayout(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What the bank says of a payout: DR bank / CR in transit. Below zero: it went back."""

    operation: ClassVar[str] = "match_payout"
    payout: Id
    amount: SignedAmount
    asset: AssetCode

    def __post_init__(self) -> None:
        super().__post_init__()
        self.amount = _signed("amount", self.amount)


class ClassifyBalanceTransaction(
    ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """Say what an unclassified balance transaction was: all of it moves to `account`."""

    operation: ClassVar[str] = "classify_balance_transaction"
    txn: Id
    account: Address


class ApplyOpenItem(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Say where money belongs that nothing was bought with, or what a dispute took that nothing answers for.

    All that is open of the item moves to `account`.
    """

    operation: ClassVar[str] = "apply_open_item"
    item: Annotated[
        str,
        Meta(pattern=r"^(payment|dispute):[A-Za-z0-9_.\-]+\Z", max_length=200, examples=["payment:pi_1"]),
    ]
    account: Address
