"""Finding transactions: any combination of filters, newest first, without passing over the ledger.

What narrows most leads: the rarest reference or pair of metadata, else an amount, an account, dates, seq.
Its transactions are looked at newest first, at most SCAN of them a page, for whether they match all else.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from ledger.chart import MAX_AMOUNT
from ledger.events import read_event
from ledger.reader import MAX_SEQ, Reader, find_account, legs_of
from ledger.reader import QUERIES as BOOK_QUERIES
from ledger.views import entry_view
from ledger.wire import Connection
from projections.balances_at import BEGINNING, AsOf, period
from projections.reading import position
from projections.views import FoundTransactions
from sql import load as load_queries

QUERIES = load_queries("search.sql")
SCAN = 2_000

_END = datetime.max.replace(tzinfo=BEGINNING.tzinfo)


class Filters(Struct, kw_only=True):
    """What a transaction must be to be found; None: whatever it is.

    An amount bound needs an `asset`; any leg of it may match. Periods are [start, to), by effective time and
    by when the transaction was recorded.
    """

    metadata: dict[str, str] = {}
    reference: str | None = None
    account: str | None = None
    type: str | None = None
    asset: str | None = None
    amount_min: int | None = None
    amount_max: int | None = None
    effective_from: AsOf | None = None
    effective_to: AsOf | None = None
    recorded_from: AsOf | None = None
    recorded_to: AsOf | None = None


def find_transactions(
    reader: Reader, ledger: str, filters: Filters, before: int | None, limit: int, min_seq: int | None = None
) -> FoundTransactions:
    """Matches below the seq `before` (AccountNotFound, EndsBeforeItStarts, Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "search", min_seq)
        wanted = _wanted(connection, parameters, filters, at.version, before, limit)
        rows = connection.execute(QUERIES["find"], wanted).fetchall() if wanted else []
        seqs, last = [], None
        for seq, matches in rows:
            last = seq
            if matches:
                seqs.append(seq)
                if len(seqs) == limit:
                    break
        bodies = connection.execute(BOOK_QUERIES["event_bodies"], {**parameters, "seqs": seqs}).fetchall()
        events = [read_event(body) for _, body in reversed(bodies)]
        legs = legs_of(connection, parameters, events)
    more = len(seqs) == limit or len(rows) == max(SCAN, limit)
    return FoundTransactions(
        at.seq, [entry_view(event, legs[event.seq]) for event in events], last if more else None
    )


def _wanted(
    connection: Connection,
    parameters: dict[str, Any],
    filters: Filters,
    version: int,
    before: int | None,
    limit: int,
) -> dict[str, Any] | None:
    """The parameters of the search; None: nothing can match."""
    zone = ZoneInfo(parameters["time_zone"])
    start, end = period(
        filters.effective_from, filters.effective_to, zone, ("effective_from", "effective_to")
    )
    recorded_start, recorded_end = period(
        filters.recorded_from, filters.recorded_to, zone, ("recorded_from", "recorded_to")
    )
    wanted: dict[str, Any] = {
        **parameters,
        "version": version,
        "start": start,
        "end": end or _END,
        "above": _seq_before(connection, parameters, recorded_start),
        "below": MAX_SEQ if before is None else before,
        "type": filters.type,
        "account_id": None,
        "asset_id": None,
        "amount_min": filters.amount_min or 0,
        "amount_max": MAX_AMOUNT if filters.amount_max is None else filters.amount_max,
        "scan": max(SCAN, limit),
        "terms": [],
        "by": "seq",
    }
    if recorded_end is not None:
        wanted["below"] = min(wanted["below"], _seq_before(connection, parameters, recorded_end) + 1)
    if start > BEGINNING or end is not None:
        wanted["by"] = "date"
    if filters.account is not None:
        wanted["account_id"] = find_account(connection, parameters, filters.account)[0]
        wanted["by"] = "account"
    if filters.asset is not None:
        known = connection.execute(QUERIES["asset_id"], {**parameters, "asset": filters.asset}).fetchone()
        if known is None:
            return None
        wanted["asset_id"] = known[0]
        if filters.amount_min is not None or filters.amount_max is not None:
            # One amount is in order of seq in its index, several are not.
            wanted["by"] = "amount" if filters.amount_min == filters.amount_max else "amounts"
    return _lead_by_terms(connection, filters, wanted)


def _seq_before(connection: Connection, parameters: dict[str, Any], moment: datetime) -> int:
    """The last seq recorded before a moment."""
    if moment == BEGINNING:
        return 0
    found = connection.execute(QUERIES["seq_before"], {**parameters, "moment": moment}).fetchone()
    assert found is not None
    return int(found[0])


def _lead_by_terms(connection: Connection, filters: Filters, wanted: dict[str, Any]) -> dict[str, Any]:
    """With the terms that are asked; the rarest leads, the others are looked up."""
    asked = {
        "reference": filters.reference,
        "names": list(filters.metadata),
        "values": list(filters.metadata.values()),
    }
    pairs = connection.execute(QUERIES["terms"], asked).fetchall()
    wanted |= {"firsts": [one for one, _ in pairs], "seconds": [other for _, other in pairs]}
    if pairs:
        rarest = connection.execute(QUERIES["rarest_term"], wanted).fetchone()
        assert rarest is not None
        wanted |= {"by": "term", "terms": list(rarest[0])}
    return wanted
