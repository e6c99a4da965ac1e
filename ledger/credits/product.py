"""Credits as the ledger sees them: kinds of streams, deciders, what each command needs, the chart."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ledger.commands import Command, StreamDue
from ledger.credits import disputing, holding, lapsing, offering, purchasing, using
from ledger.credits.accounts import DISPUTES, PATTERNS, TAX_PAYABLE, UNAPPLIED, accounts_of
from ledger.credits.commands import (
    AddCredits,
    AdjustCredits,
    CaptureHold,
    ChangeHold,
    CreatePackage,
    DeductCredits,
    HoldCredits,
    RefundCredits,
    ReleaseHold,
    UpdatePackage,
)
from ledger.credits.control import CONTROLLED, claims
from ledger.credits.purchase_commands import (
    DeclineOrder,
    FreezePurchase,
    FulfilOrder,
    LoseDispute,
    OrderCredits,
    RefundPurchase,
    ReversePurchaseRefund,
    SetCreditSettings,
    SetWalletSettings,
    UnfreezePurchase,
)
from ledger.credits.purchasing import items_of, order_named
from ledger.credits.streams import (
    SETTINGS,
    Order,
    Package,
    Settings,
    Usage,
    evolve_order,
    evolve_package,
    evolve_settings,
    evolve_usage,
    wallet_stream,
)
from ledger.credits.wallet import Wallet, due, evolve
from ledger.product import Kind, Needs, Product
from ledger.state import State


def needs(state: State, command: Command) -> Needs:
    """The streams that the command names, those that these name, and the accounts of its wallet."""
    body: Any = command.body
    find = _NEEDS.get(type(body))
    if find is not None:
        return find(state, body)
    if isinstance(body, StreamDue):
        return _due(state, str(command.subject))
    payment = [] if body.order is not None else [f"payment:{body.payment}"]
    if payment and payment[0] not in state.streams:
        return Needs(payment)
    order_name = body.order or order_named(state, body)
    name = f"order:{order_name}"
    order = state.streams.get(name)
    if order is None:
        return Needs([name, *payment])
    items = items_of(state, body, order_name, order.state)
    return _wallet(order.state.owner, order.state.credit_type, name, *payment, *items)


def _due(state: State, name: str) -> Needs:
    _, owner, credit_type = name.split(":")
    wallet = state.streams.get(name)
    top_up = None if wallet is None else wallet.state.top_up
    return _wallet(owner, credit_type, *([] if top_up is None else [f"package:{top_up.package}"]))


@lru_cache(maxsize=10_000)
def _use(owner: str, credit_type: str) -> Needs:
    """What using credits needs, the command of which there are most."""
    a = accounts_of(owner, credit_type)
    accounts = a.available, a.consumed, a.liability, a.revenue, a.recognised, a.breakage
    return Needs((wallet_stream(owner, credit_type), SETTINGS), accounts)


def _wallet(owner: str, credit_type: str, *streams: str) -> Needs:
    accounts = accounts_of(owner, credit_type)
    return Needs(
        [wallet_stream(owner, credit_type), SETTINGS, *streams],
        (*accounts[1:], UNAPPLIED, TAX_PAYABLE, DISPUTES),
    )


def _refund(state: State, body: RefundCredits) -> Needs:
    name = f"usage:{body.transaction_id}"
    stream = state.streams.get(name)
    if stream is None:
        return Needs([name])
    usage = stream.state
    orders = {f"order:{s['terms']['order']}" for s in usage.slices if "order" in s["terms"]}
    return _wallet(usage.owner, usage.credit_type, name, *orders)


def _order(state: State, body: OrderCredits) -> Needs:
    names = [f"package:{body.package}"] + ([] if body.order is None else [f"order:{body.order}"])
    package = state.streams.get(names[0])
    if package is not None:
        names.append(wallet_stream(body.owner, package.state.credit_type))
    return Needs(names)


def _top_up(state: State, body: SetWalletSettings) -> Needs:
    packages = [] if body.auto_top_up is None else [f"package:{body.auto_top_up.package}"]
    return Needs([wallet_stream(body.owner, body.credit_type), *packages])


_NEEDS: dict[type, Callable[[State, Any], Needs]] = {
    DeductCredits: lambda state, body: _use(body.owner, body.credit_type),
    **dict.fromkeys(
        (AdjustCredits, HoldCredits, ChangeHold, CaptureHold, ReleaseHold),
        lambda state, body: _wallet(body.owner, body.credit_type),
    ),
    AddCredits: lambda state, body: _wallet(
        body.owner, body.credit_type, *([f"payment:{body.payment}"] if body.payment else [])
    ),
    RefundCredits: _refund,
    CreatePackage: lambda state, body: Needs([] if body.package is None else [f"package:{body.package}"]),
    UpdatePackage: lambda state, body: Needs([f"package:{body.package}"]),
    OrderCredits: _order,
    SetCreditSettings: lambda state, body: Needs([SETTINGS]),
    SetWalletSettings: _top_up,
}


CREDITS = Product(
    name="credits",
    kinds={
        "wallet": Kind(Wallet, 2, evolve, due, claims),
        "usage": Kind(Usage, 1, evolve_usage),
        "package": Kind(Package, 1, evolve_package),
        "order": Kind(Order, 2, evolve_order),
        "credits": Kind(Settings, 1, evolve_settings),
    },
    deciders={
        AddCredits: using.add,
        DeductCredits: using.deduct,
        RefundCredits: using.refund,
        AdjustCredits: using.adjust,
        HoldCredits: holding.place,
        ChangeHold: holding.alter,
        CaptureHold: holding.capture,
        ReleaseHold: holding.release,
        CreatePackage: offering.create,
        UpdatePackage: offering.update,
        SetCreditSettings: offering.set_settings,
        SetWalletSettings: offering.set_wallet,
        OrderCredits: purchasing.place,
        DeclineOrder: purchasing.decline,
        FulfilOrder: purchasing.fulfil,
        RefundPurchase: purchasing.refund,
        ReversePurchaseRefund: purchasing.reverse,
        FreezePurchase: disputing.freeze,
        UnfreezePurchase: disputing.unfreeze,
        LoseDispute: purchasing.lose,
    },
    needs=needs,
    due=lapsing.lapse,
    patterns=PATTERNS,
    controlled=CONTROLLED,
)
