"""The ledger's side of a reconciliation with Stripe: what moved its clearing account, fact by fact.

A balance transaction is an item of its own, by its `txn_`. What a refund or payout posted as it was told
belongs to the balance transaction that settles it, once that is there; until then it is an item without a
reference. So the items of all time add up to the account.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ledger.events import Event, read_event
from ledger.payments.accounts import CLEARING, DISPUTE_FEE
from ledger.payments.items import Movement, evolve_movement, stage_of
from ledger.reader import QUERIES as READER_QUERIES
from ledger.reader import Reader, known_seq
from ledger.reconciliation.items import Item
from ledger.wire import Connection
from sql import load as load_queries

QUERIES = load_queries("reconciliation.sql")

PIECE = 1_000
# The status of what nobody has said the meaning of, instead of Stripe's type.
UNCLASSIFIED = "unclassified"
MADE, FAILED = "made", "failed"


class Extent(NamedTuple):
    """Events that count from `start` until before `end`, of those up to the seq `known_at`."""

    known_at: int
    start: datetime
    end: datetime


class _Source:
    """One snapshot of a ledger."""

    def __init__(self, connection: Connection, parameters: dict[str, Any], known_at: int) -> None:
        self._connection = connection
        self._parameters = {**parameters, "known_at": known_at}
        self._zone = ZoneInfo(parameters["time_zone"])
        connection.execute(READER_QUERIES["patience"])

    def pieces(self, types: Sequence[str], extent: Extent) -> Iterator[list[Event]]:
        """Events of some types, in order of seq. None that counts later was recorded before."""
        after = known_seq(self._connection, self._parameters, extent.start)
        wanted = {"types": list(types), "after": after, "start": extent.start, "end": extent.end}
        with self._connection.cursor("facts") as cursor:
            cursor.execute(QUERIES["facts"], {**self._parameters, **wanted})
            while rows := cursor.fetchmany(PIECE):
                yield [read_event(body) for (body,) in rows]

    def streams(self, names: Iterable[str]) -> dict[str, list[Event]]:
        """The events of some streams, each in their order."""
        found: dict[str, list[Event]] = {}
        wanted = {**self._parameters, "streams": sorted(set(names))}
        for stream, body in self._connection.execute(QUERIES["facts_on_streams"], wanted):
            found.setdefault(stream, []).append(read_event(body))
        return found

    def day(self, event: Event) -> str:
        """The day of the ledger's time zone on which an event counts."""
        at = datetime.fromisoformat(event.effective_at)
        return at.astimezone(self._zone).date().isoformat()


def clearing_items(reader: Reader, ledger: str, extent: Extent) -> Iterator[Item]:
    """What moved clearing: net amounts with their fees, and Stripe's type as status (LedgerNotFound)."""
    types = ("balance_transaction_recorded", "dispute_recorded", "refund_recorded", "payout_recorded")
    with reader.snapshot(ledger) as (connection, parameters):
        source = _Source(connection, parameters, extent.known_at)
        for events in source.pieces(types, extent):
            context = source.streams(name for event in events for name in _context(event))
            for event in events:
                yield from _told(event, source.day(event), context)


def settled_amounts(
    reader: Reader, ledger: str, known_at: int, txns: Iterable[str]
) -> dict[str, tuple[str, int]]:
    """Asset and net amount of those of some balance transactions that the ledger knows."""
    with reader.snapshot(ledger) as (connection, parameters):
        source = _Source(connection, parameters, known_at)
        facts = source.streams(f"txn:{txn}" for txn in txns)
    found: dict[str, tuple[str, int]] = {}
    for events in facts.values():
        for item in _told(events[0], "", facts):
            found[item.reference] = item.asset, item.amount
    return found


def clearing_balance(reader: Reader, ledger: str, extent: Extent) -> dict[str, int]:
    """Clearing by asset, as of the extent's end and known at its seq; no entry: it has not moved."""
    with reader.snapshot(ledger) as (connection, parameters):
        connection.execute(READER_QUERIES["patience"])
        wanted = {"account": CLEARING, "known_at": extent.known_at, "end": extent.end}
        rows = connection.execute(QUERIES["balance_before"], {**parameters, **wanted})
        return {asset: int(amount) for asset, amount in rows}


def payout_items(reader: Reader, ledger: str, extent: Extent) -> Iterator[Item]:
    """Payouts first told of in that time, each with its amount and whether it is made or failed."""
    with reader.snapshot(ledger) as (connection, parameters):
        source = _Source(connection, parameters, extent.known_at)
        for events in source.pieces(("payout_recorded", "balance_transaction_recorded"), extent):
            mine = {name: event for event in events for name in event.streams if name.startswith("payout:")}
            context = source.streams(mine)
            # A payout is an item where its first event is: others of it may be in other pieces.
            seqs = {event.seq for event in events}
            for name, told in context.items():
                facts = [event for event in told if event.type != "payout_matched"]
                first = min(facts, key=lambda event: (event.effective_at, event.seq))
                if first.seq in seqs:
                    yield _payout(name.removeprefix("payout:"), source.day(first), facts)


def _context(event: Event) -> Iterator[str]:
    """The streams that say what an event of a piece means by now."""
    if event.type == "balance_transaction_recorded" and event.data["kind"] == "other":
        yield f"txn:{event.data['txn']}"
    elif event.type in ("refund_recorded", "payout_recorded") and event.data["posted"]:
        yield _movement(event)


def _movement(event: Event) -> str:
    kind = event.type.removesuffix("_recorded")
    return f"{kind}:{event.data[kind]}"


def _told(event: Event, day: str, context: dict[str, list[Event]]) -> Iterator[Item]:
    data = event.data
    match event.type:
        case "balance_transaction_recorded":
            known = any(
                other.type == "balance_transaction_classified"
                for other in context.get(f"txn:{data['txn']}", ())
            )
            status = data["type"] if known or data["kind"] != "other" else UNCLASSIFIED
            amount, fee = int(data["amount"]), int(data["fee"])
            name = data.get("source") or data["txn"]
            yield Item(day, name, data["txn"], amount - fee, data["asset"], status, fee=fee)
        case "dispute_recorded":
            yield from _dispute(event, day)
        case "refund_recorded" | "payout_recorded":
            name = _movement(event)
            settled = {
                stage_of(other.data["kind"])
                for other in context.get(name, ())
                if other.type == "balance_transaction_recorded"
            }
            for stage in data["posted"]:
                if stage not in settled:
                    amount = int(data["amount"]) if stage == FAILED else -int(data["amount"])
                    yield Item(day, name.partition(":")[2], "", amount, data["asset"])


def _dispute(event: Event, day: str) -> Iterator[Item]:
    """Each balance transaction that came along has a leg of its own; if it came alone, its fee too."""
    dispute, txns = event.data["dispute"], event.data["facts"]
    legs = [
        (p.asset, int(p.amount) * (1 if p.side == "debit" else -1))
        for p in event.postings
        if p.account == CLEARING
    ]
    if len(legs) != len(txns):
        for asset, amount in legs:
            yield Item(day, dispute, "", amount, asset)
        return
    fees = [
        int(p.amount) * (1 if p.side == "debit" else -1) for p in event.postings if p.account == DISPUTE_FEE
    ]
    fee = sum(fees) if len(txns) == 1 else None
    for txn, (asset, amount) in zip(txns, legs, strict=True):
        yield Item(day, dispute, txn, amount, asset, fee=fee)


_evolve = evolve_movement()


def _payout(payout: str, day: str, facts: Sequence[Event]) -> Item:
    state: Movement | None = None
    amount, asset = 0, ""
    for event in facts:
        state = _evolve(state, event, "")
        if event.type == "balance_transaction_recorded" and event.data["kind"] == "payout":
            amount, asset = -int(event.data["amount"]), event.data["asset"]
    assert state is not None
    if state.told:
        amount, asset = state.amount, state.asset
    status = FAILED if FAILED in (*state.told, *state.settled) else MADE
    return Item(day, payout, payout, amount, asset, status)
