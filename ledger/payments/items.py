"""Open items: what the events of a stream have posted to one account, by asset.

An item is open while that balance is not zero. Nothing else is remembered of money, so an item cannot differ
from the account that it explains: all items of a kind add up to it. An invoice's moves to its
payment's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.payments.accounts import FX_GAIN, FX_LOSS, FX_POSITION


class Item(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`balance`: debits less credits by asset, without zeros. `facts`: what was told of it, each once.

    `said_order`: the order that it is for, as far as its events say.
    """

    balance: dict[str, int] = {}
    facts: tuple[str, ...] = ()
    status: str = ""
    said_order: str = ""


class Payment(Item, frozen=True, omit_defaults=True, kw_only=True):
    """A payment, or an invoice, which is `paid_by` one. `order` is what was bought with it, once known.

    `fx` is its position by asset before any of it was realised, `realised` the losses less the gains.
    `refunds` are those that were told of it, also those that failed, in its own asset; `refunded` what was
    refunded in all as a charge says, and `refunds_missing` how much of that no refund tells of, by asset.
    """

    order: str = ""
    paid_by: str = ""
    refunds: dict[str, int] = {}
    refunded: int = 0
    refunds_missing: dict[str, int] = {}
    fx: dict[str, int] = {}
    realised: dict[str, int] = {}


class Movement(Item, frozen=True, omit_defaults=True, kw_only=True):
    """A refund or payout: `amount` of `asset` as it was told.

    A stage is `posted` while its money was posted as it was told, and `settled` when its balance transaction
    has said the same exactly.
    """

    amount: int = 0
    asset: str = ""
    told: tuple[str, ...] = ()
    posted: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()


def sums(event: Event, accounts: Iterable[str]) -> dict[str, int]:
    """Debits less credits of an event in some accounts, by asset."""
    found: dict[str, int] = {}
    for p in event.postings:
        if p.account in accounts and p.kind == "posted":
            found[p.asset] = found.get(p.asset, 0) + (int(p.amount) if p.side == "debit" else -int(p.amount))
    return found


def added(before: dict[str, int], change: dict[str, int]) -> dict[str, int]:
    """The sum by asset, without zeros, in the order of the assets."""
    assets = sorted(before.keys() | change.keys())
    whole = {asset: before.get(asset, 0) + change.get(asset, 0) for asset in assets}
    return {asset: amount for asset, amount in whole.items() if amount}


def evolve_item(account: str) -> Callable[[Item | None, Event, str], Item]:
    """An item of an account."""

    def evolve(state: Item | None, event: Event, stream: str) -> Item:
        state = state or Item()
        new = tuple(event.data.get("facts", ()))
        return replace(
            state,
            balance=added(state.balance, sums(event, (account,))),
            facts=state.facts + new,
            status=event.data.get("status", state.status),
            said_order=event.data.get("said_order", state.said_order),
        )

    return evolve


def evolve_payment(account: str) -> Callable[[Payment | None, Event, str], Payment]:
    """A payment; events of what was bought with it name their `order`."""

    def evolve(state: Payment | None, event: Event, stream: str) -> Payment:
        state = state or Payment()
        if event.type == "invoice_payment_recorded":
            return _joined(state, event, stream)
        realised = sums(event, (FX_GAIN, FX_LOSS))
        position = added(sums(event, (FX_POSITION,)), realised)
        return _with_refunds(
            replace(
                state,
                balance=added(state.balance, sums(event, (account,))),
                order=event.data.get("order", state.order),
                said_order=event.data.get("said_order", state.said_order),
                fx=added(state.fx, position),
                realised=added(state.realised, realised),
            ),
            event,
        )

    return evolve


def _joined(state: Payment, event: Event, stream: str) -> Payment:
    """The item of the invoice, or that of its payment, which takes over what was open there."""
    data = event.data
    is_invoice = stream == f"payment:{data['invoice']}"
    moved = {asset: int(n) * (-1 if is_invoice else 1) for asset, n in data.get("moved", {}).items()}
    state = replace(state, balance=added(state.balance, moved))
    if is_invoice:
        return replace(state, paid_by=data["payment"])
    return replace(state, order=data.get("order", state.order))


def _with_refunds(state: Payment, event: Event) -> Payment:
    """Each refund counts once, whoever tells of it, and one that failed was made before."""
    data = event.data
    if event.type == "refund_recorded":
        state = replace(state, refunds={**state.refunds, data["refund"]: int(data["amount"])})
    elif event.type == "balance_transaction_recorded" and data["kind"] in ("refund", "refund_failure"):
        amount = abs(int(data.get("source_amount", data["amount"])))
        state = replace(state, refunds={**state.refunds, data["source"]: amount})
    elif event.type == "refunded_total_recorded":
        missing = {data["asset"]: int(data["refunded"])}
        return _missing(replace(state, refunded=int(data["refunded"]), refunds_missing=missing))
    else:
        return state
    return _missing(state)


def _missing(state: Payment) -> Payment:
    missing = state.refunded - sum(state.refunds.values())
    return replace(
        state, refunds_missing=dict.fromkeys(state.refunds_missing, missing) if missing > 0 else {}
    )


def evolve_movement(*accounts: str) -> Callable[[Movement | None, Event, str], Movement]:
    """A refund or a payout; a refund is open in no account of its own, its payment is."""

    def evolve(state: Movement | None, event: Event, stream: str) -> Movement:
        state, data = state or Movement(), event.data
        state = replace(state, balance=added(state.balance, sums(event, accounts)))
        if event.type == "balance_transaction_recorded":
            return replace(state, settled=(*state.settled, stage_of(data["kind"])))
        if event.type == "payout_matched":
            return state
        return replace(
            state,
            amount=int(data["amount"]),
            asset=data["asset"],
            told=(*state.told, data["stage"]),
            posted=(*state.posted, *data["posted"]),
        )

    return evolve


def stage_of(kind: str) -> str:
    """The stage of its source that a balance transaction settles."""
    return "failed" if kind.endswith("_failure") else "made"
