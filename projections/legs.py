"""The legs of a range of events, and how they are best found.

Postings have no index by seq, because every posting would pay for it. A small range is read from the bodies
of its events; one that is a good part of the book by scanning the posting rows.
"""

from __future__ import annotations

from typing import Any

from ledger.wire import Connection
from projections.projection import Range
from sql import load as load_queries

QUERIES = load_queries("read_models.sql")


def parameters(connection: Connection, range: Range) -> dict[str, Any]:
    """The parameters of the queries that call `projections.legs`, and the year after the last event's."""
    given = range._asdict()
    row = connection.execute(QUERIES["is_scanned"], given).fetchone()
    assert row is not None
    return given | {"scanning": row[0], "year": row[1]}
