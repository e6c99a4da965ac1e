"""Vouchers as their read model has them: lists by programme, status or beneficiary, and what is counted."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ledger.reader import Reader
from ledger.reconciliation_reads import open_discrepancies
from ledger.text import iso, micros
from ledger.vouchers.streams import Status
from projections.reading import position
from projections.vouchers import QUERIES


class VoucherLine(Struct, frozen=True):
    """A voucher in a list; amounts in minor units, `seq` is of its last event."""

    voucher: str
    programme: str
    asset: str
    beneficiary: str
    status: Status
    amount: int
    redeemed: int
    remaining: int
    expired: int
    issued_at: str
    distributed_at: str | None
    contradictions: int
    seq: int


class VoucherLines(Struct, frozen=True):
    """Vouchers by name, from events up to `seq`; `next` continues as `after`, null at the end."""

    seq: int
    vouchers: list[VoucherLine]
    next: str | None


class VoucherCounts(Struct, frozen=True):
    """How many were issued; of those that have a distributor, how many it took and how many it declined.

    `success_rate`: taken in percent of taken and declined, two decimals; None before there is any.
    `discrepancies`: items that nobody has resolved, of the last comparison with Buffr and of reports that
    contradict the book.
    """

    seq: int
    issued: int
    to_distribute: int
    distributed: int
    declined: int
    success_rate: str | None
    discrepancies: int


def vouchers(
    reader: Reader,
    ledger: str,
    *,
    programme: str | None = None,
    status: Status | None = None,
    beneficiary: str | None = None,
    after: str = "",
    limit: int = 100,
    min_seq: int | None = None,
) -> VoucherLines:
    """Vouchers beyond a name that match every filter (Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "vouchers", min_seq)
        wanted = {
            **parameters,
            "version": at.version,
            "programme": programme,
            "status": status,
            "beneficiary": beneficiary,
            "after": after,
            "limit": limit,
        }
        rows = connection.execute(QUERIES["vouchers"], wanted).fetchall()
    found = [_line(row) for row in rows]
    return VoucherLines(at.seq, found, found[-1].voucher if len(found) == limit else None)


def _line(row: tuple[Any, ...]) -> VoucherLine:
    line = dict(zip(VoucherLine.__struct_fields__, row, strict=True))
    distributed_at = line["distributed_at"]
    line["issued_at"] = iso(micros(line["issued_at"]))
    line["distributed_at"] = None if distributed_at is None else iso(micros(distributed_at))
    return VoucherLine(**line)


def counts(reader: Reader, ledger: str, min_seq: int | None = None) -> VoucherCounts:
    """What the vouchers of a ledger come to (Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "vouchers", min_seq)
        row = connection.execute(QUERIES["voucher_metrics"], {**parameters, "version": at.version}).fetchone()
        discrepancies = open_discrepancies(connection, parameters)
    assert row is not None
    issued, to_distribute, distributed, declined = map(int, row)
    return VoucherCounts(
        at.seq, issued, to_distribute, distributed, declined, percent(distributed, declined), discrepancies
    )


def percent(part: int, rest: int) -> str | None:
    """`part` of both in percent with two decimals, half up; None of nothing."""
    whole = part + rest
    if not whole:
        return None
    hundredths = (20_000 * part + whole) // (2 * whole)
    return f"{hundredths // 100}.{hundredths % 100:02d}"
