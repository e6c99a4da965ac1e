"""Vouchers: issued, delivered, redeemed in parts, expired, cancelled, failed, issued again.

What somebody outside reports (`reported`) has happened, whatever the book thinks of it. A report that the
state of the voucher allows is posted like a command; one that says what is known is `already_recorded`; one
that contradicts a final state becomes `voucher_contradicted`, which changes nothing and opens an item of the
reconciliation `reports`; except that a redemption which happened before the voucher expired takes back the
expiry.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ledger.commands import Command, ProductCommand
from ledger.days import day_at
from ledger.entry import effective_moment, refuse
from ledger.periods import start_of
from ledger.product import Line, credit, debit, record
from ledger.reconciliation.streams import REPORTS, REPORTS_STREAM, next_report, page_stream
from ledger.state import Accepted, State
from ledger.text import iso, micros
from ledger.vouchers import accounts as a
from ledger.vouchers import commands as c
from ledger.vouchers.beneficiaries import check_there
from ledger.vouchers.programmes import programme_of
from ledger.vouchers.streams import Voucher

# What may be reported of a final state and contradicts nothing: it is known, or it is of a dead voucher.
_AGREES = {"expired": {"expired"}, "cancelled": {"cancelled"}, "reissued": {"cancelled", "failed"}}


def issue(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Issue)
    check_there(state, body.beneficiary)
    programme = programme_of(state, body.programme)
    streams = _new_voucher(state, body.voucher, body.code_hash)
    at = effective_moment(state, body, now)
    expires_at = None if body.expires_at is None else micros(body.expires_at)
    if expires_at is None and programme.expires_after_days is not None:
        last = day_at(at, state.zone) + timedelta(days=programme.expires_after_days)
        expires_at = start_of(last + timedelta(days=1), state.zone)
    data = {
        "programme": body.programme,
        "voucher": body.voucher,
        "asset": programme.asset,
        "amount": str(body.amount),
        "beneficiary": body.beneficiary,
        "code_hash": body.code_hash,
        **_expiring(expires_at, now),
    }
    if body.grant_type:
        data["grant_type"] = body.grant_type
    lines = [
        debit(a.fund(body.programme), programme.asset, body.amount),
        credit(a.outstanding(body.programme), programme.asset, body.amount),
    ]
    return record(state, command, "voucher_issued", now, at, lines, streams, data)


def distribute(state: State, command: Command, now: int) -> Accepted:
    """A fact that is known afterwards: whatever the voucher has become meanwhile, it was handed over once."""
    body = command.body
    assert isinstance(body, c.Distribution)
    voucher = _voucher(state, str(command.subject))
    if voucher.distributed:
        refuse("voucher_already_distributed", voucher=voucher.voucher, delivery=voucher.delivery)
    data = {"voucher": voucher.voucher, "delivery": body.delivery, **_happened(body, now)}
    at = effective_moment(state, body, now)
    return record(state, command, "voucher_distributed", now, at, [], [_stream(voucher)], data)


def deliver(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Delivery)
    voucher = _voucher(state, str(command.subject))
    if voucher.delivered_at is not None:
        refuse("voucher_already_delivered", voucher=voucher.voucher, delivered_at=iso(voucher.delivered_at))
    if not voucher.is_open and voucher.status != "redeemed":
        return _contradicted(state, command, now, body, voucher, "delivered", {})
    data = {"voucher": voucher.voucher, **_happened(body, now)}
    if body.delivery:
        data["delivery"] = body.delivery
    at = effective_moment(state, body, now)
    return record(state, command, "voucher_delivered", now, at, [], [_stream(voucher)], data)


def redeem(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Redemption)
    voucher = _voucher(state, str(command.subject) or _voucher_of(state, body.code_hash))
    if body.code_hash is not None and body.code_hash != voucher.code_hash:
        refuse("voucher_code_wrong", voucher=voucher.voucher)
    if body.amount is not None and body.decimals not in (None, _decimals_of(voucher)):
        refuse(
            "voucher_decimals_differ", voucher=voucher.voucher, asset=voucher.asset, decimals=body.decimals
        )
    payee = {"payee_type": body.payee_type, "payee": body.payee}
    after_expiry = voucher.status == "expired" and body.reported and _before_expiry(voucher, body)
    left = voucher.expired if after_expiry else voucher.remaining
    amount = left if body.amount is None else body.amount
    if not (voucher.is_open or after_expiry) or amount > left:
        if body.amount is None and voucher.status == "redeemed":
            refuse("voucher_not_open", voucher=voucher.voucher, status=voucher.status)
        if voucher.is_open and not body.reported:
            refuse("exceeds_voucher", voucher=voucher.voucher, remaining=str(left), amount=str(amount))
        said = {**payee, "amount": str(amount)} if amount else payee
        return _contradicted(state, command, now, body, voucher, "redeemed", said)
    at = effective_moment(state, body, now)
    asset, programme = voucher.asset, voucher.programme
    lines = [
        debit(a.outstanding(programme), asset, amount),
        credit(a.payable(programme, body.payee_type, body.payee), asset, amount),
    ]
    data: dict[str, Any] = {
        "voucher": voucher.voucher,
        "amount": str(amount),
        **payee,
        **_happened(body, now),
    }
    if after_expiry:
        # The expiry is taken back as far as it was redeemed: from the fund, which must still have it.
        lines = [
            debit(a.fund(programme), asset, amount),
            credit(a.outstanding(programme), asset, amount),
            *lines,
        ]
        data["expiry_reversed"] = True
    ends = [_stream(voucher)] if amount == left and not after_expiry else []
    return record(state, command, "voucher_redeemed", now, at, lines, [_stream(voucher)], data, ends)


def expire(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Expiry)
    voucher = _voucher(state, str(command.subject))
    if not voucher.is_open:
        return _contradicted(state, command, now, body, voucher, "expired", {})
    at = effective_moment(state, body, now)
    return _back_to_fund(state, command, now, at, voucher, "voucher_expired", _happened(body, now))


def fall_due(state: State, command: Command, now: int) -> Accepted:
    """The voucher's own time has come."""
    stream = state.streams[str(command.subject)]
    assert stream is not None
    voucher: Voucher = stream.state
    assert voucher.expires_at is not None
    return _back_to_fund(state, command, now, voucher.expires_at, voucher, "voucher_expired", {})


def cancel(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Cancellation)
    voucher = _voucher(state, str(command.subject))
    if not voucher.is_open:
        return _contradicted(state, command, now, body, voucher, "cancelled", {"reason": body.reason})
    at = effective_moment(state, body, now)
    data = {"reason": body.reason, **_happened(body, now)}
    return _back_to_fund(state, command, now, at, voucher, "voucher_cancelled", data)


def fail(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Failure)
    voucher = _voucher(state, str(command.subject))
    if not voucher.is_open:
        return _contradicted(state, command, now, body, voucher, "failed", {"reason": body.reason})
    if voucher.status == "failed":
        refuse("voucher_already_failed", voucher=voucher.voucher)
    at = effective_moment(state, body, now)
    data = {"voucher": voucher.voucher, "reason": body.reason, **_happened(body, now)}
    return record(state, command, "voucher_failed", now, at, [], [_stream(voucher)], data)


def reissue(state: State, command: Command, now: int) -> Accepted:
    """The liability stays what it is; only who can claim it changes, so nothing is posted."""
    body = command.body
    assert isinstance(body, c.Reissue)
    voucher = _voucher(state, str(command.subject))
    check_there(state, voucher.beneficiary)
    if not voucher.is_open:
        refuse("voucher_not_open", voucher=voucher.voucher, status=voucher.status)
    streams = _new_voucher(state, body.replacement, body.code_hash)
    expires_at = voucher.expires_at if body.expires_at is None else micros(body.expires_at)
    data = {
        "programme": voucher.programme,
        "voucher": voucher.voucher,
        "replacement": body.replacement,
        "asset": voucher.asset,
        "amount": str(voucher.remaining),
        "beneficiary": voucher.beneficiary,
        "code_hash": body.code_hash,
        **_expiring(expires_at, now),
    }
    if voucher.grant_type:
        data["grant_type"] = voucher.grant_type
    at = effective_moment(state, body, now)
    streams = [_stream(voucher), *streams]
    return record(state, command, "voucher_reissued", now, at, [], streams, data, [_stream(voucher)])


def _stream(voucher: Voucher) -> str:
    return f"voucher:{voucher.voucher}"


def _voucher(state: State, name: str) -> Voucher:
    stream = state.streams[f"voucher:{name}"]
    if stream is None:
        refuse("voucher_not_found", voucher=name)
    voucher: Voucher = stream.state
    return voucher


def _decimals_of(voucher: Voucher) -> int:
    return int(voucher.asset.rpartition("/")[2])


def _voucher_of(state: State, code_hash: str | None) -> str:
    code = state.streams[f"code:{code_hash}"]
    if code is None:
        refuse("voucher_code_wrong", voucher="")
    voucher: str = code.state.voucher
    return voucher


def _new_voucher(state: State, voucher: str, code_hash: str) -> list[str]:
    """The streams of a voucher and a code that nobody has used."""
    names = [f"voucher:{voucher}", f"code:{code_hash}"]
    if state.streams[names[0]] is not None:
        refuse("voucher_exists", voucher=voucher)
    taken = state.streams[names[1]]
    if taken is not None:
        refuse("voucher_code_taken", voucher=voucher, other=taken.state.voucher)
    return names


def _expiring(expires_at: int | None, now: int) -> dict[str, str]:
    if expires_at is None:
        return {}
    if expires_at <= now:
        refuse("expires_in_past", expires_at=iso(expires_at), now=iso(now))
    return {"expires_at": iso(expires_at)}


def _happened(body: c.OfVoucher, now: int) -> dict[str, str]:
    if body.happened_at is None:
        return {}
    happened_at = micros(body.happened_at)
    if happened_at > now:
        refuse("effective_at_in_future", effective_at=iso(happened_at), now=iso(now))
    return {"happened_at": iso(happened_at)}


def _before_expiry(voucher: Voucher, body: c.Redemption) -> bool:
    assert voucher.expires_at is not None
    return body.happened_at is not None and micros(body.happened_at) < voucher.expires_at


def _back_to_fund(
    state: State, command: Command, now: int, at: int, voucher: Voucher, type: str, data: dict[str, str]
) -> Accepted:
    lines: list[Line] = [
        debit(a.outstanding(voucher.programme), voucher.asset, voucher.remaining),
        credit(a.fund(voucher.programme), voucher.asset, voucher.remaining),
    ]
    data = {"voucher": voucher.voucher, "amount": str(voucher.remaining), **data}
    return record(state, command, type, now, at, lines, [_stream(voucher)], data, [_stream(voucher)])


def _contradicted(
    state: State,
    command: Command,
    now: int,
    body: ProductCommand,
    voucher: Voucher,
    said: str,
    about: dict[str, str],
) -> Accepted:
    """A report that cannot be: an item for people to reconcile, and nothing changes. No report: refused."""
    assert isinstance(body, c.OfVoucher)
    if not body.reported:
        refuse("voucher_not_open", voucher=voucher.voucher, status=voucher.status)
    if said in _AGREES.get(voucher.status, ()):
        refuse("already_recorded", what=f"{voucher.voucher} {voucher.status}")
    at = effective_moment(state, body, now)
    happened_at = at if body.happened_at is None else micros(body.happened_at)
    page = next_report(state.streams[REPORTS_STREAM])
    data: dict[str, Any] = {
        "voucher": voucher.voucher,
        "said": said,
        "status": voucher.status,
        "remaining": str(voucher.remaining),
        "asset": voucher.asset,
        "day": day_at(happened_at, state.zone).isoformat(),
        "page": page,
        **about,
        **_happened(body, now),
    }
    streams = [_stream(voucher), REPORTS_STREAM, page_stream(REPORTS, page)]
    return record(state, command, "voucher_contradicted", now, at, [], streams, data)
