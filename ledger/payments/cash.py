"""What each fact posts. None of these is refused for what another one has posted: order does not matter.

A refund or payout is told by its own events and by its balance transactions. Whichever comes first posts it;
a balance transaction that comes second posts what it says less what was posted, which is nothing unless
there is a fee or another currency.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ledger.commands import Command, ProductCommand
from ledger.entry import effective_moment, refuse
from ledger.payments import commands as c
from ledger.payments.accounts import (
    ACCOUNTS,
    BANK,
    CLEARING,
    DISPUTE_FEE,
    DISPUTES,
    FX_GAIN,
    FX_LOSS,
    FX_POSITION,
    IN_TRANSIT,
    PROCESSING_FEE,
    UNAPPLIED,
    UNCLASSIFIED,
    UNSETTLED,
)
from ledger.payments.invoices import RecordInvoicePayment
from ledger.payments.items import Movement, Payment, added, stage_of
from ledger.payments.subscriptions import RecordInvoiceFailure, RecordStripeSubscription
from ledger.product import Line, Needs, credit, debit, record
from ledger.state import Accepted, State

COUNTERPARTS = {
    "charge": UNSETTLED,
    "refund": UNAPPLIED,
    "refund_failure": UNAPPLIED,
    "dispute": DISPUTES,
    "payout": IN_TRANSIT,
    "payout_failure": IN_TRANSIT,
    "other": UNCLASSIFIED,
}


def needs(state: State, command: Command) -> Needs:
    """The streams that a command names."""
    match command.body:
        case c.RecordCharge(charge=charge, payment=payment):
            streams = [f"charge:{charge}", f"payment:{payment}"]
        case c.RecordRefund(refund=refund, payment=payment):
            streams = [f"refund:{refund}", f"payment:{payment}"]
        case c.RecordRefundedTotal(payment=payment):
            streams = [f"payment:{payment}"]
        case c.RecordPayout(payout=payout) | c.MatchPayout(payout=payout):
            streams = [f"payout:{payout}"]
        case c.RecordDispute(dispute=dispute, payment=payment, settlements=settlements):
            streams = [f"dispute:{dispute}", f"payment:{payment}", *(f"txn:{s.txn}" for s in settlements)]
        case c.RecordBalanceTransaction() as body:
            streams = _streams_of(body)
        case c.ClassifyBalanceTransaction(txn=txn, account=account):
            return Needs([f"txn:{txn}"], [account, UNCLASSIFIED])
        case c.ApplyOpenItem(item=item, account=account):
            return Needs([item], [account, UNAPPLIED, DISPUTES])
        case RecordInvoicePayment(invoice=invoice, payment=payment):
            return Needs([f"payment:{invoice}", f"payment:{payment}"])
        case RecordStripeSubscription(subscription=name) | RecordInvoiceFailure(subscription=name):
            return Needs([f"stripe_subscription:{name}"])
    return Needs(streams, ACCOUNTS)


def _streams_of(body: c.RecordBalanceTransaction) -> list[str]:
    streams = [f"txn:{body.settlement.txn}"]
    if body.kind != "other":
        streams.append(f"{body.kind.removesuffix('_failure')}:{body.source}")
    if body.payment:
        streams.append(f"payment:{body.payment}")
    return streams


def record_charge(state: State, command: Command, now: int) -> Accepted:
    """A charge, once. Its balance transaction may have come before it."""
    body = command.body
    assert isinstance(body, c.RecordCharge)
    name = f"charge:{body.charge}"
    _once(state, name, "charged")
    lines = [debit(UNSETTLED, body.asset, body.amount), credit(UNAPPLIED, body.asset, body.amount)]
    data = {
        "charge": body.charge,
        "payment": body.payment,
        "amount": str(body.amount),
        "asset": body.asset,
        "facts": ["charged"],
    }
    data |= _said_order(state, body.payment, body.order)
    return _recorded(state, command, now, "charge_recorded", lines, [name, f"payment:{body.payment}"], data)


def record_refund(state: State, command: Command, now: int) -> Accepted:
    """A stage of a refund, once."""
    body = command.body
    assert isinstance(body, c.RecordRefund)
    name = f"refund:{body.refund}"
    posted, lines = _told(state, name, body.stage, UNAPPLIED, body.asset, body.amount)
    data = {
        "refund": body.refund,
        "payment": body.payment,
        "amount": str(body.amount),
        "asset": body.asset,
        "stage": body.stage,
        "posted": posted,
    }
    return _recorded(state, command, now, "refund_recorded", lines, [name, f"payment:{body.payment}"], data)


def record_refunded_total(state: State, command: Command, now: int) -> Accepted:
    """How much was refunded in all: noted while refunds are missing (Refused: none is)."""
    body = command.body
    assert isinstance(body, c.RecordRefundedTotal)
    name = f"payment:{body.payment}"
    stream = state.streams[name]
    payment: Payment = Payment() if stream is None else stream.state
    if body.amount <= max(payment.refunded, sum(payment.refunds.values())):
        refuse("already_recorded", what=f"{body.amount} refunded of {name}")
    data = {
        "charge": body.charge,
        "payment": body.payment,
        "refunded": str(body.amount),
        "asset": body.asset,
    }
    return _recorded(state, command, now, "refunded_total_recorded", [], [name], data)


def record_payout(state: State, command: Command, now: int) -> Accepted:
    """A stage of a payout, once. What was paid may still fail."""
    body = command.body
    assert isinstance(body, c.RecordPayout)
    name = f"payout:{body.payout}"
    posted, lines = _told(state, name, body.stage, IN_TRANSIT, body.asset, body.amount)
    data = {
        "payout": body.payout,
        "amount": str(body.amount),
        "asset": body.asset,
        "stage": body.stage,
        "posted": posted,
    }
    return _recorded(state, command, now, "payout_recorded", lines, [name], data)


def _told(
    state: State, name: str, stage: c.Stage, account: str, asset: str, amount: int
) -> tuple[list[str], list[Line]]:
    """The stages that are posted now because they are told, and their lines (Refused: told before)."""
    movement = _movement(state, name)
    if stage in movement.told:
        refuse("already_recorded", what=f"{name} {stage}")
    stages = ("made",) if stage == "made" else ("made", "failed")
    new = [one for one in stages if one not in movement.posted and one not in movement.settled]
    return new, _netted(line for one in new for line in _move(account, asset, amount, one))


def _move(account: str, asset: str, amount: int, stage: str) -> list[Line]:
    """Out of the balance when it is made, back when it failed."""
    if stage == "made":
        return [Line(account, asset, amount), Line(CLEARING, asset, -amount)]
    return [Line(CLEARING, asset, amount), Line(account, asset, -amount)]


def record_dispute(state: State, command: Command, now: int) -> Accepted:
    """A dispute's status, and those of its balance transactions that are not posted: each once."""
    body = command.body
    assert isinstance(body, c.RecordDispute)
    lines: list[Line] = []
    new: list[c.BalanceFigures] = []
    for settlement in body.settlements:
        named_before = any(settlement.txn == one.txn for one in new)
        if state.streams[f"txn:{settlement.txn}"] is None and not named_before:
            new.append(settlement)
            lines += _settled("dispute", settlement)
    lines += _realised(state, body.payment, new, lines)
    data = {
        "dispute": body.dispute,
        "payment": body.payment,
        "status": body.status,
        "facts": [settlement.txn for settlement in new],
        **_said_order(state, body.payment),
    }
    names = [f"dispute:{body.dispute}", f"payment:{body.payment}", *(f"txn:{s.txn}" for s in new)]
    return _recorded(state, command, now, "dispute_recorded", lines, names, data)


def record_balance_transaction(state: State, command: Command, now: int) -> Accepted:
    """A balance transaction, once: DR clearing, fee / CR what it is about; foreign through the position."""
    body = command.body
    assert isinstance(body, c.RecordBalanceTransaction)
    names = _streams_of(body)
    if state.streams[names[0]] is not None:
        refuse("already_recorded", what=names[0])
    settlement = body.settlement
    lines = _settled(body.kind, settlement)
    if body.kind in ("refund", "refund_failure", "payout", "payout_failure"):
        movement, stage = _movement(state, names[1]), stage_of(body.kind)
        if stage in movement.posted and stage not in movement.settled:
            told = _move(COUNTERPARTS[body.kind], movement.asset, movement.amount, stage)
            lines = _netted([*lines, *(Line(t.account, t.asset, -t.amount) for t in told)])
    if body.payment:
        lines += _realised(state, body.payment, [settlement], lines)
    data: dict[str, Any] = {
        "txn": settlement.txn,
        "kind": body.kind,
        "type": body.type,
        "amount": str(settlement.amount),
        "fee": str(settlement.fee),
        "asset": settlement.asset,
        "facts": [settlement.txn],
    }
    if settlement.source_asset is not None:
        data |= {"source_amount": str(settlement.source_amount), "source_asset": settlement.source_asset}
    if body.source:
        data["source"] = body.source
    if body.payment:
        data["payment"] = body.payment
    return _recorded(state, command, now, "balance_transaction_recorded", lines, names, data)


def _settled(kind: str, settlement: c.BalanceFigures) -> list[Line]:
    """What a balance transaction says, the source's asset first."""
    counterpart, asset = COUNTERPARTS[kind], settlement.asset
    fee = DISPUTE_FEE if kind == "dispute" else PROCESSING_FEE
    cash = Line(CLEARING, asset, settlement.amount - settlement.fee)
    fees = Line(fee, asset, settlement.fee)
    if settlement.source_asset is None:
        return _netted([cash, Line(counterpart, asset, -settlement.amount), fees])
    foreign = [
        Line(FX_POSITION, settlement.source_asset, settlement.source_amount),
        Line(counterpart, settlement.source_asset, -settlement.source_amount),
    ]
    return _netted([*foreign, cash, Line(FX_POSITION, asset, -settlement.amount), fees])


def _realised(
    state: State, payment: str, settlements: Iterable[c.BalanceFigures], lines: Iterable[Line]
) -> list[Line]:
    """Gains and losses as they are after `lines`, less those realised before.

    When a payment's position in its own currency is zero, what is left in others was gained or lost. That is
    a matter of the sums alone, so it comes out the same whatever came first.
    """
    sources = [s.source_asset for s in settlements if s.source_asset is not None]
    if not sources:
        return []
    stream = state.streams[f"payment:{payment}"]
    before: Payment = Payment() if stream is None else stream.state
    position = before.fx
    for line in lines:
        if line.account == FX_POSITION:
            position = added(position, {line.asset: line.amount})
    due = {} if any(source in position for source in sources) else position
    found: list[Line] = []
    for asset in sorted(due.keys() | before.realised.keys()):
        was, now = before.realised.get(asset, 0), due.get(asset, 0)
        loss, gain = max(now, 0) - max(was, 0), max(-now, 0) - max(-was, 0)
        found += _netted(
            [Line(FX_LOSS, asset, loss), Line(FX_POSITION, asset, gain - loss), Line(FX_GAIN, asset, -gain)]
        )
    return found


def match_payout(state: State, command: Command, now: int) -> Accepted:
    """DR bank / CR in transit, whatever has been told of the payout: the bank knows best."""
    body = command.body
    assert isinstance(body, c.MatchPayout)
    lines = _netted([Line(BANK, body.asset, body.amount), Line(IN_TRANSIT, body.asset, -body.amount)])
    data = {"payout": body.payout, "amount": str(body.amount), "asset": body.asset}
    return _recorded(state, command, now, "payout_matched", lines, [f"payout:{body.payout}"], data)


def classify(state: State, command: Command, now: int) -> Accepted:
    """All that is unclassified of a balance transaction, to where somebody says that it belongs."""
    body = command.body
    assert isinstance(body, c.ClassifyBalanceTransaction)
    name = f"txn:{body.txn}"
    stream = state.streams[name]
    if stream is None or not stream.state.balance:
        refuse("nothing_to_classify", txn=body.txn)
    lines = _moved_to(state, stream.state.balance, UNCLASSIFIED, body.account)
    data = {"txn": body.txn, "account": body.account}
    return _recorded(state, command, now, "balance_transaction_classified", lines, [name], data)


def apply(state: State, command: Command, now: int) -> Accepted:
    """All that is open of a payment or dispute, to where somebody says that it belongs."""
    body = command.body
    assert isinstance(body, c.ApplyOpenItem)
    stream = state.streams[body.item]
    if stream is None or not stream.state.balance:
        refuse("item_not_open", item=body.item)
    held_in = UNAPPLIED if stream.kind == "payment" else DISPUTES
    lines = _moved_to(state, stream.state.balance, held_in, body.account)
    data = {"item": body.item, "account": body.account}
    return _recorded(state, command, now, "open_item_applied", lines, [body.item], data)


def _moved_to(state: State, balance: Mapping[str, int], source: str, address: str) -> list[Line]:
    """An item's balance, to an account that no product keeps (Refused)."""
    account = state.accounts[address]
    terms = account.terms if account is not None else None
    pattern = state.chart.find(address)
    product = terms.product if terms is not None else pattern.product if pattern is not None else ""
    if address in (UNAPPLIED, DISPUTES):  # shared with credits, but each balance there is of an item
        product = "payments"
    if product:
        refuse("account_of_product", account=address, product=product)
    lines: list[Line] = []
    for asset, amount in balance.items():
        lines += _netted([Line(source, asset, -amount), Line(address, asset, amount)])
    return lines


def _movement(state: State, name: str) -> Movement:
    stream = state.streams[name]
    return Movement() if stream is None else stream.state


def _said_order(state: State, payment: str, said: str = "") -> dict[str, str]:
    """The order that an item is for, as far as it is known: for people alone, nothing is decided by it."""
    stream = state.streams[f"payment:{payment}"]
    known: Payment = Payment() if stream is None else stream.state
    order = known.order or said or known.said_order
    return {"said_order": order} if order else {}


def _once(state: State, name: str, fact: str) -> None:
    stream = state.streams[name]
    if stream is not None and fact in stream.state.facts:
        refuse("already_recorded", what=name)


def _netted(lines: Iterable[Line]) -> list[Line]:
    """One line for each account and asset: asset by asset, debits, then credits."""
    sums: dict[tuple[str, str], int] = {}
    for line in lines:
        sums[line.asset, line.account] = sums.get((line.asset, line.account), 0) + line.amount
    assets = list(dict.fromkeys(asset for asset, _ in sums))
    found = [Line(account, asset, amount) for (asset, account), amount in sums.items() if amount]
    return sorted(found, key=lambda line: (assets.index(line.asset), line.amount < 0))


def _recorded(
    state: State,
    command: Command,
    now: int,
    type: str,
    lines: list[Line],
    streams: list[str],
    data: dict[str, Any],
) -> Accepted:
    assert isinstance(command.body, ProductCommand)
    at = effective_moment(state, command.body, now)
    return record(state, command, type, now, at, lines, streams, data)
