"""What is answered about credits, in the words of the system whose surface this is."""

from __future__ import annotations

from msgspec import Struct

from ledger.credits.streams import Order, Package
from ledger.credits.wallet import Wallet
from ledger.events import Event

KINDS = {
    "credits_used": "usage",
    "credit_hold_captured": "usage",
    "usage_refunded": "refund",
    "credits_adjusted": "adjustment",
    "credits_held": "hold",
    "credit_hold_changed": "hold",
    "credit_hold_released": "release",
    "credits_expired": "expiry",
    "purchase_fulfilled": "purchase",
    "purchase_refunded": "purchase_refund",
    "purchase_refund_reversed": "refund_reversal",
    "purchase_frozen": "freeze",
    "purchase_unfrozen": "unfreeze",
    "dispute_lost": "dispute",
    # Of verifications, where the tenant's credits pay for them.
    "kyc_session_requested": "hold",
    "kyc_session_completed": "usage",
    "kyc_session_expired": "release",
    "kyc_session_failed": "release",
}


def transaction_type(event: Event) -> str:
    """What a transaction of a wallet is: purchase, usage, refund, adjustment, ..."""
    if event.type == "credits_added":
        source: str = event.data["source"]
        return "purchase" if source == "purchased" else source
    return KINDS[event.type]


class CreditTransaction(Struct, frozen=True, kw_only=True, rename="camel"):
    """A transaction of a wallet. `id` is the event's seq.

    `amount` is the signed change of what is available, `balanceAfter` what is available after it; `used` are
    the units that were used, which a hold had taken from the balance before if they are captured.
    """

    id: int
    user_id: str
    credit_type: str
    transaction_type: str
    amount: int
    balance_after: int
    used: int = 0
    description: str = ""
    reference_id: str = ""
    reference_type: str = ""
    metadata: dict[str, str] = {}
    effective_at: str
    created_at: str


def transaction_view(event: Event) -> CreditTransaction:
    """An event of a wallet."""
    data = event.data
    used = sum(
        int(s["units"]) * ((s["to"] == "consumed") - (s["from"] == "consumed"))
        for s in data.get("slices", ())
    )
    used -= sum(int(lot["units"]) for lot in data.get("lots", ()) if lot["from"] == "consumed")
    return CreditTransaction(
        id=event.seq,
        user_id=data["owner"],
        credit_type=data["credit_type"],
        transaction_type=transaction_type(event),
        amount=int(data["amount"]),
        balance_after=int(data["balance"]),
        used=used,
        description=event.description,
        reference_id=event.reference,
        reference_type=data.get("reference_type", ""),
        metadata=event.metadata,
        effective_at=event.effective_at,
        created_at=event.recorded_at,
    )


class CreditBalance(Struct, frozen=True, kw_only=True, rename="camel"):
    """A wallet: `balance` is what is available; `totalPurchased` is gross, `totalUsed` net of refunds."""

    user_id: str
    credit_type: str
    balance: int
    held: int
    frozen: int
    total_purchased: int
    total_used: int
    seq: int


def balance_view(owner: str, credit_type: str, wallet: Wallet, seq: int) -> CreditBalance:
    """A wallet as its event `seq` left it."""
    return CreditBalance(
        user_id=owner,
        credit_type=credit_type,
        balance=wallet.available,
        held=wallet.held,
        frozen=wallet.frozen,
        total_purchased=wallet.purchased,
        total_used=wallet.used,
        seq=seq,
    )


class CreditPackage(Struct, frozen=True, kw_only=True, rename="camel"):
    """A package: `creditAmount` and `bonusAmount` units for `price` minor units of `asset`, tax apart."""

    id: str
    name: str
    description: str
    credit_amount: int
    bonus_amount: int
    price: int
    asset: str
    credit_type: str
    is_active: bool
    sort_order: int
    expiry_days: int | None
    priority: int
    metadata: dict[str, str]
    created_at: str
    updated_at: str


def package_view(package_id: str, package: Package) -> CreditPackage:
    """A package as it is offered."""
    return CreditPackage(
        id=package_id,
        name=package.name,
        description=package.description,
        credit_amount=package.credit_amount,
        bonus_amount=package.bonus_amount,
        price=package.price,
        asset=package.asset,
        credit_type=package.credit_type,
        is_active=package.is_active,
        sort_order=package.sort_order,
        expiry_days=package.expiry_days,
        priority=package.priority,
        metadata=package.metadata,
        created_at=package.created_at,
        updated_at=package.updated_at,
    )


class CreditOrder(Struct, frozen=True, kw_only=True, rename="camel"):
    """An order. `price` is before tax and discount; `paid` and `refunded` are money with tax."""

    id: str
    user_id: str
    package_id: str
    credit_type: str
    credit_amount: int
    bonus_amount: int
    price: int
    asset: str
    status: str
    paid: int
    tax: int
    refunded: int
    retired: int
    session: str
    dispute: str
    fulfilled_by: int | None
    created_at: str


def order_view(order_id: str, order: Order) -> CreditOrder:
    """An order as its events leave it."""
    return CreditOrder(
        id=order_id,
        user_id=order.owner,
        package_id=order.package,
        credit_type=order.credit_type,
        credit_amount=order.units,
        bonus_amount=order.bonus,
        price=order.price,
        asset=order.asset,
        status=order.status,
        paid=order.paid,
        tax=order.tax,
        refunded=order.refunded,
        retired=order.retired,
        session=order.session,
        dispute=order.dispute,
        fulfilled_by=order.fulfilled_by,
        created_at=order.ordered_at,
    )
