"""Opening and changing what money moves between: the ledger, its chart, its accounts."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.chart import ANY_ASSET, AccountPattern, Chart, ChartDocument, Terms, first_overlap, scale_conflict
from ledger.commands import AccountLimits, AccountOpening, Command, LedgerOpening
from ledger.entry import accept, refuse
from ledger.products import PRODUCTS
from ledger.state import Accepted, Account, State, figures


def open_ledger(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, LedgerOpening)
    if state.seq:
        refuse("ledger_exists", name=body.name)
    data: dict[str, Any] = {"name": body.name, "time_zone": body.time_zone}
    if body.chart is not None:
        data["chart"] = _whole_chart(state, body.chart)
    accepted = accept(state, command, "ledger_opened", now, now, [], {}, data)
    if body.chart is not None:
        accepted.chart = Chart(data["chart"], state.chart.asset_ids)
    return accepted


def set_chart(state: State, command: Command, now: int) -> Accepted:
    document = command.body
    assert isinstance(document, ChartDocument)
    document = _whole_chart(state, document)
    accepted = accept(state, command, "chart_set", now, now, [], {}, {"chart": document})
    accepted.chart = Chart(document, state.chart.asset_ids)
    return accepted


def _whole_chart(state: State, document: ChartDocument) -> ChartDocument:
    """The chart with the patterns of its products, checked."""
    shipped: list[AccountPattern] = []
    for name in document.products:
        patterns = PRODUCTS.patterns(name)
        if patterns is None:
            refuse("product_unknown", product=name)
        shipped += [entry for entry in patterns if entry not in shipped]
    for entry in document.accounts:
        if entry.product and entry not in shipped:
            refuse("pattern_not_of_product", pattern=entry.pattern, product=entry.product)
    for name in state.chart.document.products:
        # Its streams have moments to come, at which it opens accounts that no one can refuse it.
        if name not in document.products:
            refuse("product_stays", product=name)
    own = [entry for entry in document.accounts if entry not in shipped]
    document = msgspec.structs.replace(document, accounts=(*own, *shipped))
    _check_chart(state, document)
    arriving = Chart(msgspec.structs.replace(document, accounts=tuple(new_patterns(state, document))), {})
    if arriving.document.accounts:
        _check_nobodys(state, arriving)
    return document


def new_patterns(state: State, document: ChartDocument) -> list[AccountPattern]:
    """The patterns that only a product may post to and that the chart in force does not have."""
    shipped = [pattern for name in document.products for pattern in PRODUCTS.patterns(name) or ()]
    return [p for p in shipped if p.product and p not in state.chart.document.accounts]


def _check_nobodys(state: State, arriving: Chart) -> None:
    """No account that is open, or was, is one that a product is going to have to itself."""
    for address, account in state.accounts.items():
        if account is not None and not account.terms.product:
            pattern = arriving.find(address)
            if pattern is not None:
                refuse("account_before_product", account=address, product=pattern.product)


def _check_chart(state: State, document: ChartDocument) -> None:
    patterns = first_overlap(document)
    if patterns is not None:
        refuse("chart_patterns_overlap", pattern=patterns[0], other=patterns[1])
    assets = scale_conflict(document, state.chart.asset_ids)
    if assets is not None:
        refuse("asset_scale_conflict", asset=assets[1], known=assets[0])


def open_account(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, AccountOpening)
    account = state.accounts[body.address]
    if account is not None:
        if account.closed_seq is not None:
            refuse("account_closed", account=body.address, closed_seq=account.closed_seq)
        refuse("account_exists", account=body.address, opened_seq=account.opened_seq)
    pattern = state.chart.find(body.address)
    if pattern is None:
        refuse("account_not_in_chart", account=body.address)
    opened = {body.address: Account(state.accounts_count + 1, body.address, pattern.terms(), state.seq + 1)}
    return accept(state, command, "account_opened", now, now, [], opened, {})


def _open_account_named(state: State, command: Command) -> Account:
    address = command.subject
    assert isinstance(address, str)
    account = state.accounts[address]
    if account is None:
        refuse("account_not_found", account=address)
    if account.closed_seq is not None:
        refuse("account_closed", account=address, closed_seq=account.closed_seq)
    if account.terms.product:
        refuse("account_of_product", account=address, product=account.terms.product)
    return account


def set_limits(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, AccountLimits)
    for asset in body.limits:
        if asset != ANY_ASSET and asset not in state.chart.asset_ids:
            refuse("asset_not_in_chart", asset=asset)
    account = _open_account_named(state, command)
    terms: Terms = msgspec.structs.replace(account.terms, limits=body.limits)
    for position in account.positions.values():
        limits = terms.limits_of(position.asset)
        then = figures(account.debit_normal, position.balance)
        if (limits.min_available is not None and then.available < limits.min_available) or (
            limits.max_balance is not None and then.reach > limits.max_balance
        ):
            refuse(
                "limit_already_exceeded",
                account=account.address,
                asset=position.asset,
                posted=str(then.posted),
                pending=str(then.pending),
                available=str(then.available),
            )
    accepted = accept(
        state,
        command,
        "account_limits_set",
        now,
        now,
        [],
        {},
        {"account": account.address, "limits": body.limits},
    )
    accepted.limited = (account, terms)
    return accepted


def close_account(state: State, command: Command, now: int) -> Accepted:
    account = _open_account_named(state, command)
    for position in account.positions.values():
        then = figures(account.debit_normal, position.balance)
        if then.posted or position.balance[2] or position.balance[3]:
            refuse(
                "account_not_empty",
                account=account.address,
                asset=position.asset,
                posted=str(then.posted),
                debits_pending=str(position.balance[2]),
                credits_pending=str(position.balance[3]),
            )
    accepted = accept(state, command, "account_closed", now, now, [], {}, {"account": account.address})
    accepted.closed = account
    return accepted
