"""Reconciliations as the ledger decides them: events without postings. A correction is a transaction."""

from __future__ import annotations

from typing import Any

from ledger.commands import Command
from ledger.entry import effective_moment, refuse
from ledger.product import Kind, Needs, Product, record
from ledger.reconciliation import commands as c
from ledger.reconciliation.items import match_rate
from ledger.reconciliation.streams import (
    REPORTS,
    Page,
    Run,
    as_data,
    evolve_page,
    evolve_run,
    page_stream,
)
from ledger.state import Accepted, State

OfRun = c.StartRun | c.RecordItems | c.FinishRun | c.AbandonRun | c.ResolveItem


def _needs(state: State, command: Command) -> Needs:
    body = command.body
    assert isinstance(body, OfRun)
    name = f"reconciliation:{body.run}"
    match body:
        case c.StartRun():
            return Needs([name], [body.account] if body.account is not None else [])
        case c.RecordItems():
            return Needs([name, page_stream(body.run, body.page)])
        case c.ResolveItem():
            return Needs([name, page_stream(body.run, int(body.item.partition(".")[0]))])
    return Needs([name])


def _run(state: State, name: str) -> Run:
    stream = state.streams[f"reconciliation:{name}"]
    if stream is None:
        refuse("reconciliation_not_found", run=name)
    run: Run = stream.state
    return run


def _running(state: State, name: str) -> Run:
    if name == REPORTS:
        refuse("reconciliation_exists", run=name)
    run = _run(state, name)
    if run.status != "running":
        refuse("reconciliation_has_ended", run=name, status=run.status)
    return run


def _recorded(
    state: State, command: Command, now: int, type: str, data: dict[str, Any], *pages: str
) -> Accepted:
    body = command.body
    assert isinstance(body, OfRun)
    at = effective_moment(state, body, now)
    streams = [f"reconciliation:{body.run}", *pages]
    return record(state, command, type, now, at, (), streams, {"run": body.run, **data})


def _start(state: State, command: Command, now: int) -> Accepted:
    """The seq at which the ledger is compared is that of the decision."""
    body = command.body
    assert isinstance(body, c.StartRun)
    if body.run == REPORTS or state.streams[f"reconciliation:{body.run}"] is not None:
        refuse("reconciliation_exists", run=body.run)
    data: dict[str, Any] = {
        "side": body.side,
        "source": body.source,
        "digest": body.digest,
        "known_at": state.seq,
    }
    if body.account is not None:
        if state.accounts[body.account] is None:
            refuse("account_not_found", account=body.account)
        data["account"] = body.account
    if body.window_days is not None:
        data["window_days"] = body.window_days
    return _recorded(state, command, now, "reconciliation_started", data)


def _items(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.RecordItems)
    run = _running(state, body.run)
    if body.page != run.pages + 1:
        refuse("reconciliation_page_out_of_order", run=body.run, page=body.page, expected=run.pages + 1)
    data: dict[str, Any] = {"page": body.page, "items": [as_data(finding) for finding in body.items]}
    if body.through:
        data |= {"through": body.through, "counts": body.counts}
    page = page_stream(body.run, body.page)
    return _recorded(state, command, now, "reconciliation_items_found", data, page)


def _finish(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.FinishRun)
    _running(state, body.run)
    data = {
        "counts": body.counts,
        "kinds": body.kinds,
        "match_rate": match_rate(body.counts.get("match", 0), sum(body.counts.values())),
        "first_day": body.first_day,
        "last_day": body.last_day,
    }
    return _recorded(state, command, now, "reconciliation_finished", data)


def _abandon(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.AbandonRun)
    _running(state, body.run)
    return _recorded(state, command, now, "reconciliation_abandoned", {})


def _resolve(state: State, command: Command, now: int) -> Accepted:
    body = command.body
    assert isinstance(body, c.ResolveItem)
    if _run(state, body.run).status == "abandoned":
        refuse("reconciliation_has_ended", run=body.run, status="abandoned")
    page, _, number = body.item.partition(".")
    name = page_stream(body.run, int(page))
    stream = state.streams[name]
    if stream is None or int(number) > len(stream.state.items):
        refuse("reconciliation_item_not_found", run=body.run, item=body.item)
    found: Page = stream.state
    resolution = found.items[int(number) - 1].resolution
    if resolution is not None:
        refuse("reconciliation_item_is_resolved", run=body.run, item=body.item, seq=resolution.seq)
    data: dict[str, Any] = {"item": body.item}
    if body.transaction is not None:
        if body.transaction > state.seq:
            refuse("transaction_not_found", seq=body.transaction)
        data["transaction"] = body.transaction
    if body.explanation:
        data["explanation"] = body.explanation
    return _recorded(state, command, now, "reconciliation_item_resolved", data, name)


def _never_due(state: State, command: Command, now: int) -> Accepted:
    raise AssertionError("no stream of a reconciliation has a moment to come")


RECONCILIATION = Product(
    name="reconciliation",
    kinds={
        "reconciliation": Kind(Run, 1, evolve_run),
        "reconciliation_page": Kind(Page, 1, evolve_page),
    },
    deciders={
        c.StartRun: _start,
        c.RecordItems: _items,
        c.FinishRun: _finish,
        c.AbandonRun: _abandon,
        c.ResolveItem: _resolve,
    },
    needs=_needs,
    due=_never_due,
    patterns=(),
)
