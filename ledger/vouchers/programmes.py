"""Programmes: opened, funded, charged, settled; and what is left returned to the sponsor."""

from __future__ import annotations

from typing import Any

from ledger.commands import Command, ProductCommand
from ledger.entry import effective_moment, refuse
from ledger.product import Line, credit, debit, record
from ledger.state import Accepted, State, figures
from ledger.vouchers import accounts as a
from ledger.vouchers import commands as c
from ledger.vouchers.streams import Programme


def programme_of(state: State, programme: str) -> Programme:
    """The programme, or the refusal that there is none."""
    stream = state.streams[f"programme:{programme}"]
    if stream is None:
        refuse("programme_not_found", programme=programme)
    found: Programme = stream.state
    return found


def open_programme(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.ProgrammeOpening)
    name = f"programme:{body.programme}"
    if state.streams[name] is not None:
        refuse("programme_exists", programme=body.programme)
    at = effective_moment(state, body, now)
    if body.asset not in state.chart.asset_ids:
        refuse("asset_not_in_chart", asset=body.asset)
    for address in (a.fund(body.programme), a.trust(body.programme)):
        if state.chart.find(address) is None:
            refuse("account_not_in_chart", account=address)
    data: dict[str, Any] = {"programme": body.programme, "name": body.name, "asset": body.asset}
    if body.sponsor:
        data["sponsor"] = body.sponsor
    if body.expires_after_days is not None:
        data["expires_after_days"] = body.expires_after_days
    if body.distributor:
        data["distributor"] = body.distributor
    return record(state, command, "programme_opened", now, at, [], [name], data)


def _subject(state: State, command: Command) -> tuple[str, str]:
    """The programme that the command is about, and its asset."""
    assert isinstance(command.subject, str)
    return command.subject, programme_of(state, command.subject).asset


def fund(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Funding)
    programme, asset = _subject(state, command)
    lines = [
        debit(a.trust(programme), asset, body.amount),
        credit(a.fund(programme), asset, body.amount),
    ]
    return _moved(state, command, now, "programme_funded", lines, {"amount": str(body.amount)})


def return_funds(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Return)
    programme, asset = _subject(state, command)
    lines = [
        debit(a.fund(programme), asset, body.amount),
        credit(a.trust(programme), asset, body.amount),
    ]
    return _moved(state, command, now, "funds_returned", lines, {"amount": str(body.amount)})


def charge_fee(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Fee)
    programme, asset = _subject(state, command)
    owed = a.fees(programme, body.payee)
    lines = [debit(a.cost(programme), asset, body.amount), credit(owed, asset, body.amount)]
    data = {"amount": str(body.amount), "payee": body.payee}
    return _moved(state, command, now, "voucher_fee_charged", lines, data)


def pay_fee(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.FeePayment)
    programme, asset = _subject(state, command)
    owed = a.fees(programme, body.payee)
    lines = [debit(owed, asset, body.amount), credit(a.operating(programme), asset, body.amount)]
    data = {"amount": str(body.amount), "payee": body.payee}
    return _moved(state, command, now, "voucher_fee_paid", lines, data)


def settle(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.Settlement)
    programme, asset = _subject(state, command)
    lines: list[Line] = []
    paid: list[dict[str, str]] = []
    for payee in body.payees:
        owed = a.payable(programme, payee.payee_type, payee.payee)
        amount = _owed(state, owed, asset) if payee.amount is None else payee.amount
        if not amount:
            refuse("nothing_to_settle", payee_type=payee.payee_type, payee=payee.payee)
        lines.append(debit(owed, asset, amount))
        paid.append({"payee_type": payee.payee_type, "payee": payee.payee, "amount": str(amount)})
    lines.append(credit(a.trust(programme), asset, sum(line.amount for line in lines)))
    return _moved(state, command, now, "payees_settled", lines, {"payees": paid})


def _owed(state: State, address: str, asset: str) -> int:
    account = state.accounts[address]
    position = None if account is None else account.positions.get(asset)
    if account is None or position is None:
        return 0
    return figures(account.debit_normal, position.balance).available


def _moved(
    state: State,
    command: Command,
    now: int,
    type: str,
    lines: list[Line],
    data: dict[str, Any],
) -> Accepted:
    """The programme's own stream has its money events, so that its history is one read."""
    body = command.body
    assert isinstance(body, ProductCommand)
    data["programme"] = command.subject
    at = effective_moment(state, body, now)
    return record(state, command, type, now, at, lines, [f"programme:{command.subject}"], data)
