"""Reads about programmes and vouchers, from their streams and accounts at head."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from ledger.reader import Reader
from ledger.text import iso
from ledger.vouchers import accounts as a
from ledger.vouchers.streams import Programme, Status, Voucher
from sql import load as load_queries

QUERIES = load_queries("vouchers.sql")


class ProgrammeNotFound(LookupError):
    """No programme has this name."""


class VoucherNotFound(LookupError):
    """No voucher has this name."""


class ProgrammeView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A programme as it was opened."""

    programme: str
    name: str
    asset: str
    sponsor: str = ""
    expires_after_days: int | None = None
    distributor: str = ""


class ProgrammeFigures(ProgrammeView, frozen=True, omit_defaults=True, kw_only=True):
    """A programme and its money at `seq`, in minor units of its asset.

    `trust`: in the bank; `fund`: not promised; `outstanding`: promised by open vouchers; `unsettled`: paid
    out by payees and not yet paid to them; `fees_unpaid`: owed for fees. `deficiency` is what `trust` lacks
    of outstanding, unsettled and fund together; below zero, it has more.
    """

    seq: int
    trust: int
    fund: int
    outstanding: int
    unsettled: int
    fees_unpaid: int
    deficiency: int


class VoucherView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A voucher as its last event, `seq`, has left it; its code is nowhere known.

    `amount` was promised, `redeemed` paid out, `remaining` is still promised, `expired` went back unclaimed.
    `contradictions`: how often something was reported of it that cannot be.
    """

    voucher: str
    programme: str
    asset: str
    amount: int
    status: Status
    redeemed: int
    remaining: int
    beneficiary: str
    seq: int
    grant_type: str = ""
    expires_at: str | None = None
    delivered_at: str | None = None
    distributed: bool = False
    delivery: str = ""
    expired: int = 0
    replaces: str = ""
    replaced_by: str = ""
    contradictions: int = 0


class ProgrammesPage(Struct, frozen=True):
    """Programmes by name; `next` continues as `after`, null at the end."""

    programmes: list[ProgrammeView]
    next: str | None


def programmes(reader: Reader, ledger: str, after: str, limit: int) -> ProgrammesPage:
    """A page of programmes."""
    found = reader.streams(ledger, "programme", after=f"programme:{after}" if after else "", limit=limit)
    views = [ProgrammeView(**_settings(stream.state)) for stream, _ in found]
    return ProgrammesPage(views, views[-1].programme if len(views) == limit else None)


def programme(reader: Reader, ledger: str, name: str) -> ProgrammeFigures:
    """A programme and its money (ProgrammeNotFound)."""
    found = reader.stream(ledger, f"programme:{name}")
    if found is None:
        raise ProgrammeNotFound(name)
    state: Programme = found[0].state
    named = {"trust": a.trust(name), "fund": a.fund(name), "outstanding": a.outstanding(name)}
    with reader.snapshot(ledger) as (connection, parameters):
        wanted: dict[str, Any] = {
            **parameters,
            **named,
            "named": list(named.values()),
            "payables": a.payable(name, "", "")[:-1],
            "fees": a.fees(name, ""),
            "asset": state.asset,
        }
        row = connection.execute(QUERIES["programme_figures"], wanted).fetchone()
    assert row is not None
    seq, trust, *owed = (int(value) for value in row)
    fund, outstanding, unsettled, fees = (-amount for amount in owed)
    return ProgrammeFigures(
        **_settings(state),
        seq=seq,
        trust=trust,
        fund=fund,
        outstanding=outstanding,
        unsettled=unsettled,
        fees_unpaid=fees,
        deficiency=fund + outstanding + unsettled - trust,
    )


def voucher(reader: Reader, ledger: str, name: str) -> VoucherView:
    """A voucher (VoucherNotFound)."""
    found = reader.stream(ledger, f"voucher:{name}")
    if found is None:
        raise VoucherNotFound(name)
    return voucher_view(found[0].state, found[1])


def code_hash(reader: Reader, ledger: str, name: str) -> str:
    """The hash of a voucher's code (VoucherNotFound)."""
    found = reader.stream(ledger, f"voucher:{name}")
    if found is None:
        raise VoucherNotFound(name)
    state: Voucher = found[0].state
    return state.code_hash


def voucher_view(state: Voucher, seq: int) -> VoucherView:
    """A voucher as it is shown."""
    return VoucherView(
        voucher=state.voucher,
        programme=state.programme,
        asset=state.asset,
        amount=state.amount,
        status=state.status,
        redeemed=state.redeemed,
        remaining=state.remaining,
        beneficiary=state.beneficiary,
        seq=seq,
        grant_type=state.grant_type,
        expires_at=None if state.expires_at is None else iso(state.expires_at),
        delivered_at=None if state.delivered_at is None else iso(state.delivered_at),
        distributed=state.distributed,
        delivery=state.delivery,
        expired=state.expired,
        replaces=state.replaces,
        replaced_by=state.replaced_by,
        contradictions=state.contradictions,
    )


def _settings(state: Programme) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ProgrammeView.__struct_fields__}
