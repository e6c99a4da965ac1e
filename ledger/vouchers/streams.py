"""The states of programmes, vouchers and codes, and what events make of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.text import from_iso
from ledger.vouchers.accounts import outstanding

Status = Literal[
    "issued", "delivered", "partially_redeemed", "redeemed", "expired", "cancelled", "failed", "reissued"
]
OPEN: frozenset[Status] = frozenset({"issued", "delivered", "partially_redeemed", "failed"})


class Programme(Struct, frozen=True, omit_defaults=True):
    """What vouchers of a programme are made by."""

    programme: str
    name: str
    asset: str
    sponsor: str = ""
    expires_after_days: int | None = None
    distributor: str = ""


class Voucher(Struct, frozen=True, omit_defaults=True):
    """A voucher: `amount` promised, `redeemed` paid out, `remaining` still promised (0 once it is final).

    `contradictions` counts what was reported of it and cannot be: each is an event for people to reconcile.
    """

    voucher: str
    programme: str
    asset: str
    amount: int
    remaining: int
    status: Status
    beneficiary: str
    code_hash: str
    grant_type: str = ""
    redeemed: int = 0
    expires_at: int | None = None
    delivered_at: int | None = None
    delivery: str = ""
    distributed: bool = False
    expired: int = 0
    replaces: str = ""
    replaced_by: str = ""
    contradictions: int = 0

    @property
    def is_open(self) -> bool:
        """Whether something of it can still be redeemed, expire or be cancelled."""
        return self.status in OPEN


class Code(Struct, frozen=True):
    """Which voucher a code is of."""

    voucher: str


class Beneficiary(Struct, frozen=True, omit_defaults=True):
    """What the book knows of a person: a commitment to their data, and whether these were erased."""

    beneficiary: str
    commitment: str
    erased: bool = False


def evolve_beneficiary(beneficiary: Beneficiary | None, event: Event, stream: str) -> Beneficiary:
    """Registered, registered anew, erased."""
    if event.type == "beneficiary_erased":
        assert beneficiary is not None
        return replace(beneficiary, erased=True)
    return Beneficiary(event.data["beneficiary"], event.data["commitment"])


def evolve_programme(programme: Programme | None, event: Event, stream: str) -> Programme:
    """A programme as it was opened; its money is in its accounts."""
    if programme is not None:
        return programme
    data = event.data
    return Programme(
        data["programme"],
        data["name"],
        data["asset"],
        data.get("sponsor", ""),
        data.get("expires_after_days"),
        data.get("distributor", ""),
    )


def evolve_code(code: Code | None, event: Event, stream: str) -> Code:
    """The code of the voucher that the event issues."""
    return Code(event.data.get("replacement") or event.data["voucher"])


def evolve_voucher(voucher: Voucher | None, event: Event, stream: str) -> Voucher:
    """A voucher after one more event."""
    data = event.data
    if voucher is None:
        return _issued(event, stream)
    match event.type:
        case "voucher_delivered":
            status: Status = "delivered" if voucher.status in ("issued", "failed") else voucher.status
            at = from_iso(data.get("happened_at", event.effective_at))
            delivery = data.get("delivery", voucher.delivery)
            return replace(voucher, status=status, delivered_at=at, delivery=delivery)
        case "voucher_distributed":
            return replace(voucher, distributed=True, delivery=data["delivery"])
        case "voucher_redeemed":
            return _redeemed(voucher, int(data["amount"]))
        case "voucher_expired":
            at = from_iso(data.get("happened_at", event.effective_at))
            return replace(voucher, status="expired", remaining=0, expired=voucher.remaining, expires_at=at)
        case "voucher_cancelled":
            return replace(voucher, status="cancelled", remaining=0)
        case "voucher_failed":
            return replace(voucher, status="failed")
        case "voucher_reissued":
            return replace(voucher, status="reissued", remaining=0, replaced_by=data["replacement"])
        case "voucher_contradicted":
            return replace(voucher, contradictions=voucher.contradictions + 1)
        case _:
            raise ValueError(f"{event.type} is no event of a voucher")


def voucher_due(voucher: Voucher) -> int | None:
    """When it expires by itself."""
    return voucher.expires_at if voucher.is_open else None


def voucher_claims(voucher: Voucher, stream: str) -> Iterator[tuple[str, str, int]]:
    """What the liability account holds for it (debit positive): what it still promises."""
    if voucher.remaining:
        yield outstanding(voucher.programme), voucher.asset, -voucher.remaining


def _issued(event: Event, stream: str) -> Voucher:
    data = event.data
    expires_at = data.get("expires_at")
    return Voucher(
        voucher=stream.partition(":")[2],
        programme=data["programme"],
        asset=data["asset"],
        amount=int(data["amount"]),
        remaining=int(data["amount"]),
        status="issued",
        beneficiary=data["beneficiary"],
        code_hash=data["code_hash"],
        grant_type=data.get("grant_type", ""),
        expires_at=None if expires_at is None else from_iso(expires_at),
        replaces=data["voucher"] if "replacement" in data else "",
    )


def _redeemed(voucher: Voucher, amount: int) -> Voucher:
    """Of an expired voucher, what had gone back to the fund was taken from there again."""
    left = (voucher.expired if voucher.status == "expired" else voucher.remaining) - amount
    redeemed = voucher.redeemed + amount
    if voucher.status == "expired" and left:
        return replace(voucher, redeemed=redeemed, expired=left)
    if left:
        return replace(voucher, redeemed=redeemed, remaining=left, status="partially_redeemed")
    return replace(voucher, redeemed=redeemed, remaining=0, expired=0, status="redeemed")
