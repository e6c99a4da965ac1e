"""Verifying what is kept with the book itself: balances, streams, postings, all that derives from bodies.

`inline` is not a projection: its rows are written with the events, so that it has no checkpoint, no versions
and no rebuild. The audit recomputes them with books of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

from projections.audit import live, stored
from projections.audit.verdicts import Report as AuditReport
from projections.compare import Difference
from projections.verify import Report, Verified

NAME = "inline"


def verify_inline(
    conninfo: str, ledger: str | None, report: Report = lambda done, total: None
) -> Iterator[Verified]:
    """Verify the inline tables, ledger by ledger (LedgerNotFound, psycopg.Error)."""
    for name in [ledger] if ledger is not None else stored.ledgers(conninfo):
        audited = live.check(conninfo, name, progress=lambda what, done, total: report(done, total))
        yield _verified(audited)


def _verified(audited: AuditReport) -> Verified:
    failed = next((verdict for verdict in audited.verdicts if verdict.status == "failed"), None)
    found = None if failed is None else failed.difference
    difference = None
    if found is not None:
        difference = Difference(
            table=found.table,
            key={"row": found.row},
            column=found.column,
            stored=found.stored,
            expected=found.expected,
        )
    return Verified(
        projection=NAME,
        ledger=audited.ledger,
        version=0,
        seq=audited.size,
        rows=None,
        difference=difference,
        finding=None if failed is None else failed.sentence,
    )
