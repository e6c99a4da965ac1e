"""Vouchers: what they can be listed by, what waits to be distributed, what figures are counted from."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from ledger.events import Event
from ledger.wire import Connection
from projections.projection import Range, Subject
from sql import load as load_queries

QUERIES = load_queries("voucher_models.sql")

# So many vouchers are folded at once; of more, the events are read again for each part of them.
PART = 200_000


class Vouchers:
    """See above."""

    name = "vouchers"
    code_version = 1
    tables = ("vouchers",)

    def apply(self, connection: Connection, range: Range) -> None:
        """Those that are issued in the range, then what it makes of all."""
        connection.execute(QUERIES["add_vouchers"], range._asdict())
        connection.execute(QUERIES["move_vouchers"], range._asdict())

    def recompute(self, events: Iterable[Event], subject: Subject) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """One event after another, in as many passes as there are parts."""
        issued = sum(event.type in ("voucher_issued", "voucher_reissued") for event in events)
        parts = -(-issued // PART)
        for part in range(parts):
            distributors: dict[str, str] = {}
            found: dict[str, _Voucher] = {}
            for event in events:
                if event.type == "programme_opened":
                    distributors[event.data["programme"]] = event.data.get("distributor", "")
                elif event.type.startswith("voucher_") and "voucher" in event.data:
                    _fold(found, event, distributors, (part, parts))
            for name in list(found):
                yield "vouchers", found.pop(name).row(name)


class _Voucher(Struct):
    seq: int
    amount: int
    issued_at: datetime
    programme: str
    asset: str
    beneficiary: str
    distributor: str
    left: int
    redeemed: int = 0
    distributed_at: datetime | None = None
    failures: int = 0
    contradictions: int = 0
    status: str = "issued"

    def row(self, name: str) -> tuple[Any, ...]:
        """As it is stored, after version and ledger."""
        over = self.status in ("redeemed", "cancelled", "reissued", "expired")
        expired = self.left if self.status == "expired" else 0
        sums = (self.seq, self.amount, self.redeemed, 0 if over else self.left, expired)
        counts = (self.issued_at, self.distributed_at, self.failures, self.contradictions)
        return (
            *sums,
            *counts,
            name,
            self.programme,
            self.asset,
            self.beneficiary,
            self.distributor,
            self.status,
        )


def _fold(
    found: dict[str, _Voucher], event: Event, distributors: dict[str, str], part: tuple[int, int]
) -> None:
    data = event.data
    at = datetime.fromisoformat(event.recorded_at)
    new = data["voucher"] if event.type == "voucher_issued" else data.get("replacement")
    if new is not None and zlib.crc32(new.encode()) % part[1] == part[0]:
        amount, programme = int(data["amount"]), data["programme"]
        found[new] = _Voucher(
            event.seq,
            amount,
            at,
            programme,
            data["asset"],
            data["beneficiary"],
            distributors[programme],
            amount,
        )
    voucher = found.get(data["voucher"])
    if voucher is None or event.type == "voucher_issued":
        return
    voucher.seq = event.seq
    match event.type:
        case "voucher_distributed":
            voucher.distributed_at = at
        case "voucher_delivered":
            if voucher.status in ("issued", "failed"):
                voucher.status = "delivered"
        case "voucher_redeemed":
            voucher.redeemed += int(data["amount"])
            voucher.left -= int(data["amount"])
            if not voucher.left:
                voucher.status = "redeemed"
            elif voucher.status != "expired":
                voucher.status = "partially_redeemed"
        case "voucher_contradicted":
            voucher.contradictions += 1
        case "voucher_failed":
            voucher.failures += 1
            voucher.status = "failed"
        case ended:
            voucher.status = ended.removeprefix("voucher_")
