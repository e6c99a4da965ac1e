"""The work list of payments: open items, with what each of them means to whoever works on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ledger.payments.items import Item, Payment
from ledger.reader import Reader

Kind = Literal["payment", "charge", "dispute", "payout", "txn"]
KINDS: tuple[Kind, ...] = ("charge", "dispute", "payment", "payout", "txn")


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
