"""What is read of payments: open items, which are the work list, and subscriptions at Stripe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ledger.payments.items import Item, Payment
from ledger.payments.subscriptions import FailedInvoice, Subscription
from ledger.reader import Reader

Kind = Literal["payment", "charge", "dispute", "payout", "txn"]
KINDS: tuple[Kind, ...] = ("charge", "dispute", "payment", "payout", "txn")
_SUBSCRIPTION = "stripe_subscription"


class StripeSubscriptionNotFound(LookupError):
    """No subscription of this id is known."""


class OpenItem(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An item that is not zero: debits less credits of its account by asset, as its last event has left it.

    `order`: what was bought with its payment, else what its charge says that it is for, as far as that was
    known by then; `status`: a dispute's, in Stripe's words. `refunds_missing`: what a charge says was
    refunded, and no refund tells of.
    """

    item: str
    balance: dict[str, int]
    refunds_missing: dict[str, int] = {}
    last_seq: int
    order: str = ""
    status: str = ""


class OpenItems(Struct, frozen=True):
    """Open items by name; `next` continues as `after`, null at the end."""

    items: list[OpenItem]
    next: str | None


class StripeSubscriptionView(Struct, frozen=True, kw_only=True):
    """A subscription in Stripe's words, as it was at `told_at` as far as is known.

    `user_id` and `package` are ours. `failure` is the last invoice that was not paid, while nothing says that
    it is. `seq` is the last event that told of it.
    """

    subscription: str
    status: str
    user_id: str
    package: str
    customer: str
    current_period_end: str | None
    cancel_at_period_end: bool
    failure: FailedInvoice | None
    told_at: str | None
    seq: int


class StripeSubscriptions(Struct, frozen=True):
    """Subscriptions by id; `next` continues as `after`, null at the end."""

    subscriptions: list[StripeSubscriptionView]
    next: str | None


def open_items(
    reader: Reader, ledger: str, kinds: Sequence[Kind] = KINDS, *, after: str = "", limit: int
) -> list[OpenItem]:
    """Open items by name, beyond `after` (LedgerNotFound)."""
    found: list[OpenItem] = []
    for stream, seq in reader.open_items(ledger, kinds, after=after, limit=limit):
        state: Item = stream.state
        payment = state if isinstance(state, Payment) else Payment()
        found.append(
            OpenItem(
                item=stream.name,
                balance=state.balance,
                refunds_missing=payment.refunds_missing,
                last_seq=seq,
                order=payment.order or state.said_order,
                status=state.status if stream.kind == "dispute" else "",
            )
        )
    return found


def subscription(reader: Reader, ledger: str, id: str) -> StripeSubscriptionView:
    """One (StripeSubscriptionNotFound)."""
    found = reader.stream(ledger, f"{_SUBSCRIPTION}:{id}")
    if found is None:
        raise StripeSubscriptionNotFound(id)
    return _view(id, found[0].state, found[1])


def subscriptions(
    reader: Reader, ledger: str, status: str | None, owner: str | None, after: str, limit: int
) -> StripeSubscriptions:
    """A page of them, in a status or of an owner."""
    wanted = {name: value for name, value in (("status", status), ("owner", owner)) if value is not None}
    first = f"{_SUBSCRIPTION}:{after}" if after else ""
    page = reader.streams_saying(ledger, _SUBSCRIPTION, wanted, after=first, limit=limit)
    views = [_view(stream.name.partition(":")[2], stream.state, seq) for stream, seq in page]
    return StripeSubscriptions(views, views[-1].subscription if len(views) == limit else None)


def _view(id: str, state: Subscription, seq: int) -> StripeSubscriptionView:
    return StripeSubscriptionView(
        subscription=id,
        status=state.status,
        user_id=state.owner,
        package=state.package,
        customer=state.customer,
        current_period_end=state.current_period_end or None,
        cancel_at_period_end=state.cancel_at_period_end,
        failure=state.failing,
        told_at=state.told_at or None,
        seq=seq,
    )
