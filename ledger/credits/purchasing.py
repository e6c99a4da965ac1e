"""Purchases: ordered, paid, refunded, lost. What a dispute freezes is in `disputing`.

Cash posts apart, and meets these events in `payments:unapplied`.
"""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.credits.accounts import DISPUTES, TAX_PAYABLE, UNAPPLIED
from ledger.credits.change import Change
from ledger.credits.deciding import (
    DAY,
    begin,
    fresh,
    new_lot,
    order_of,
    package_of,
    record_change,
    room_for,
    settings_of,
)
from ledger.credits.lapsing import order_data
from ledger.credits.lots import round_half_even
from ledger.credits.purchase_commands import (
    DeclineOrder,
    FreezePurchase,
    FulfilOrder,
    LoseDispute,
    OrderCredits,
    RefundPurchase,
    ReversePurchaseRefund,
    TypeSettings,
    UnfreezePurchase,
)
from ledger.credits.retiring import give_back, retire, thaw
from ledger.credits.streams import Order, Refund, Retired, wallet_stream
from ledger.entry import effective_moment, refuse
from ledger.product import Line, credit, debit, record
from ledger.state import Accepted, State

Purchase = RefundPurchase | ReversePurchaseRefund | FreezePurchase | UnfreezePurchase | LoseDispute


def items_of(state: State, body: object, name: str, order: Order) -> list[str]:
    """Streams of open items: last the one that a command about an order posts to; none: it posts to none.

    The item of an invoice is that of its payment as soon as this is known.
    """
    match body:
        case FulfilOrder():
            named = f"payment:{body.payment or name}"
        case RefundPurchase() | ReversePurchaseRefund():
            named = f"payment:{body.payment or order.payment}"
        case LoseDispute():
            return [f"dispute:{body.dispute}"]
        case _:
            return []
    stream = state.streams.get(named)
    paid_by = "" if stream is None else stream.state.paid_by
    return [named, f"payment:{paid_by}"] if paid_by else [named]


def order_named(state: State, body: Purchase) -> str:
    """The order that a command names, itself or by its payment; empty: that has bought nothing so far."""
    if body.order is not None:
        return body.order
    stream = state.streams[f"payment:{body.payment}"]
    return "" if stream is None else stream.state.order


def place(state: State, command: Command, now: int) -> Accepted:
    """An order for a package: its price and units as they are now. Posts nothing."""
    body = command.body
    assert isinstance(body, OrderCredits)
    package = package_of(state, body.package)
    if not package.is_active:
        refuse("package_not_active", package=body.package)
    order = body.order
    if order is None:
        order = str(state.seq + 1)
        fresh(state, f"order:{order}")
    if state.streams[f"order:{order}"] is not None:
        refuse("order_exists", order=order)
    at = effective_moment(state, body, now)
    data = {
        "owner": body.owner,
        "credit_type": package.credit_type,
        **order_data(order, package, body.package),
    }
    streams = [wallet_stream(body.owner, package.credit_type), f"order:{order}"]
    return record(state, command, "purchase_ordered", now, at, [], streams, data)


def decline(state: State, command: Command, now: int) -> Accepted:
    """A payment that failed; nothing is undone when it comes after one that did not."""
    body = command.body
    assert isinstance(body, DeclineOrder)
    order = order_of(state, body.order)
    if order.status != "pending":
        refuse("order_not_pending", order=body.order, status=order.status)
    at = effective_moment(state, body, now)
    data: dict[str, Any] = {
        "owner": order.owner,
        "credit_type": order.credit_type,
        "order": body.order,
        "package": order.package,
        "reason": body.reason,
        "units": str(order.granted),
        "was": order.status,
    }
    if order.top_up:
        data["top_up"] = True
    streams = [wallet_stream(order.owner, order.credit_type), f"order:{body.order}"]
    return record(state, command, "purchase_declined", now, at, [], streams, data)


def fulfil(state: State, command: Command, now: int) -> Accepted:
    """What was ordered is granted, once: DR unapplied / CR contract liability, tax payable."""
    body = command.body
    assert isinstance(body, FulfilOrder)
    order = order_of(state, body.order)
    if order.status == "fulfilled":
        refuse("order_fulfilled", order=body.order, fulfilled_by=order.fulfilled_by)
    net = body.amount - body.tax
    if body.asset != order.asset or net + body.discount != order.price:
        refuse(
            "payment_differs",
            order=body.order,
            price=str(order.price),
            asset=order.asset,
            paid=str(body.amount),
            tax=str(body.tax),
            discount=str(body.discount),
            paid_asset=body.asset,
        )
    at = effective_moment(state, body, now)
    change = begin(state, order.owner, order.credit_type)
    room_for(change.wallet, 2 if order.bonus else 1)
    _grant(change, settings_of(state, order.credit_type), body.order, order, net, at, now)
    item = items_of(state, body, body.order, order)[-1]
    data: dict[str, Any] = {
        "order": body.order,
        "package": order.package,
        "units": str(order.granted),
        "was": order.status,
        "paid": str(body.amount),
        "tax": str(body.tax),
        "asset": body.asset,
        "payment": item.removeprefix("payment:"),
    }
    if body.discount:
        data["discount"] = str(body.discount)
    if body.session:
        data["session"] = body.session
    return record_change(
        state,
        command,
        "purchase_fulfilled",
        now,
        at,
        change,
        order.owner,
        order.credit_type,
        data,
        streams=[f"order:{body.order}", item],
        extra=[debit(UNAPPLIED, body.asset, body.amount), credit(TAX_PAYABLE, body.asset, body.tax)],
        ends=[f"order:{body.order}:fulfilled"],
    )


def _grant(
    change: Change, settings: TypeSettings, name: str, order: Order, net: int, at: int, now: int
) -> None:
    """The lots of a purchase: what is bundled with it shares its price by units."""
    expires_at = None if order.expiry_days is None else now + order.expiry_days * DAY
    shared = round_half_even(net * order.bonus, order.granted)
    for units, cost, source in ((order.units, net - shared, "purchased"), (order.bonus, shared, "bonus")):
        if units:
            lot = new_lot(
                change,
                settings,
                units,
                at,
                source=source,
                cost=cost,
                asset=order.asset,
                priority=order.priority,
                expires_at=expires_at,
                order=name,
            )
            change.grant(lot, "issued")


def refund(state: State, command: Command, now: int) -> Accepted:
    """Money back: DR contract liability for what is retired, refunds for the rest / CR unapplied.

    Credits that are spent never block it.
    """
    body = command.body
    assert isinstance(body, RefundPurchase)
    name, order = paid(state, body)
    if body.refund and body.refund in order.refunds:
        refuse("already_recorded", what=f"{body.refund} of order:{name}")
    change = begin(state, order.owner, order.credit_type)
    amount = _left(name, order, body.amount)
    accounts = change.accounts
    data: dict[str, Any] = {"payment": body.payment or order.payment}
    if body.refund:
        data["refund"] = body.refund
    if body.keep_credits:
        data["kept"] = str(amount)
    if body.claim:
        data["claim"] = True
    rest = accounts.receivable if body.claim else accounts.refunds
    lines = [credit(UNAPPLIED, order.asset, amount)]
    return _money_back(
        state, command, now, change, name, order, amount, "purchase_refunded", rest, lines, data
    )


def reverse(state: State, command: Command, now: int) -> Accepted:
    """A refund that failed: what it took comes back, and its money waits again; it cannot be made any more.

    What is known to have failed before it was taken moves nothing, now or later.
    """
    body = command.body
    assert isinstance(body, ReversePurchaseRefund)
    name, order = paid(state, body)
    made = order.refunds.get(body.refund, Refund())
    if made.reversed:
        refuse("already_recorded", what=f"{body.refund} of order:{name}, reversed")
    at = effective_moment(state, body, now)
    change = begin(state, order.owner, order.credit_type)
    refunded, kept = order.refunded - made.amount, order.kept - made.kept
    tax = order.tax_refunded - (round_half_even(order.tax * refunded, order.paid) if order.paid else 0)
    units = max(order.retired - order.retirable(refunded - kept), 0) if made.amount else 0
    back = give_back(change, settings_of(state, order.credit_type), order, units, at, now)
    cost = sum(returned.cost for returned in back)
    accounts = change.accounts
    extra = [
        debit(UNAPPLIED, order.asset, made.amount),
        credit(TAX_PAYABLE, order.asset, tax),
        credit(
            accounts.receivable if made.claim else accounts.refunds, order.asset, made.amount - tax - cost
        ),
    ]
    data: dict[str, Any] = {
        "payment": body.payment or order.payment,
        "refund": body.refund,
        "order": name,
        "package": order.package,
        "asset": order.asset,
        "refunded": str(-made.amount),
        "tax": str(-tax),
        "retired": str(-sum(returned.units for returned in back)),
    }
    if made.kept:
        data["kept"] = str(-made.kept)
    if back:
        data["returned"] = [_returned(each) for each in back]
    return record_change(
        state,
        command,
        "purchase_refund_reversed",
        now,
        at,
        change,
        order.owner,
        order.credit_type,
        data,
        streams=[f"order:{name}", items_of(state, body, name, order)[-1]],
        extra=extra,
    )


def _returned(back: Retired) -> dict[str, Any]:
    found: dict[str, Any] = {"lot": back.lot, "units": str(back.units)}
    return found | ({"cost": str(back.cost)} if back.cost else {})


def lose(state: State, command: Command, now: int) -> Accepted:
    """A dispute lost: DR contract liability for what is retired, loss for the rest / CR disputes."""
    body = command.body
    assert isinstance(body, LoseDispute)
    name, order = paid(state, body)
    undecided(name, order, body.dispute)
    change = begin(state, order.owner, order.credit_type)
    amount = _left(name, order, body.amount)
    lines = [credit(DISPUTES, order.asset, amount)]
    loss = change.accounts.dispute_loss
    data = {"dispute": body.dispute}
    return _money_back(state, command, now, change, name, order, amount, "dispute_lost", loss, lines, data)


def _money_back(
    state: State,
    command: Command,
    now: int,
    change: Change,
    name: str,
    order: Order,
    amount: int,
    type: str,
    rest: str,
    lines: list[Line],
    data: dict[str, Any],
) -> Accepted:
    """Retire units and reverse tax in proportion; what the units left do not cover goes to `rest`."""
    body = command.body
    assert isinstance(body, RefundPurchase | LoseDispute)
    at = effective_moment(state, body, now)
    refunded = order.refunded + amount
    tax = round_half_even(order.tax * refunded, order.paid) - order.tax_refunded
    retired = 0
    if "kept" not in data:
        retired = retire(change, name, order, max(order.retirable(refunded - order.kept) - order.retired, 0))
    cost = sum(taken.cost for taken in change.slices if taken.target == "retired")
    if type == "dispute_lost":
        thaw(change, name, now)
    # Rounding can make the cost of a part a minor unit more than its money: `rest` takes the difference.
    uncovered = amount - tax - cost
    extra = [*lines, debit(TAX_PAYABLE, order.asset, tax), debit(rest, order.asset, uncovered)]
    data |= {
        "order": name,
        "package": order.package,
        "asset": order.asset,
        "refunded": str(amount),
        "tax": str(tax),
        "retired": str(retired),
    }
    return record_change(
        state,
        command,
        type,
        now,
        at,
        change,
        order.owner,
        order.credit_type,
        data,
        streams=[f"order:{name}", items_of(state, body, name, order)[-1]],
        extra=extra,
    )


def paid(state: State, body: Purchase) -> tuple[str, Order]:
    """The order that is meant, which is fulfilled (Refused)."""
    name = order_named(state, body)
    if not name:
        refuse("nothing_bought", payment=body.payment)
    order = order_of(state, name)
    if order.status != "fulfilled":
        refuse("order_not_fulfilled", order=name, status=order.status)
    return name, order


def undecided(name: str, order: Order, dispute: str) -> None:
    """A dispute that was won or lost, or is being fought, is not begun again (Refused)."""
    if dispute in order.disputes:
        refuse("already_recorded", what=f"{dispute} of order:{name}")


def _left(name: str, order: Order, amount: int | None) -> int:
    """The money to give back: what was asked, at most what was paid and not given back (Refused)."""
    left = order.paid - order.refunded
    asked = left if amount is None else amount
    if asked > left or not left:
        refuse("refund_exceeds_purchase", order=name, paid=str(order.paid), left=str(left), asked=str(asked))
    return asked
