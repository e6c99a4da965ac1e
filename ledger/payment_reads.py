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

    `order`: what was bought with a payment; `status`: a dispute's, in Stripe's words.
    """

    item: str
    balance: dict[str, int]
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
        order = state.order if isinstance(state, Payment) else ""
        status = state.status if stream.kind == "dispute" else ""
        found.append(
            OpenItem(item=stream.name, balance=state.balance, last_seq=seq, order=order, status=status)
        )
    return found
