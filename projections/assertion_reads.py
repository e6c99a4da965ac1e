"""Asserted balances with their present results."""

from __future__ import annotations

from typing import Literal

from ledger.events import read_event
from ledger.reader import Reader, find_account
from projections.finding import QUERIES
from projections.reading import position
from projections.views import AssertionsView, AssertionView


def assertions(
    reader: Reader,
    ledger: str,
    *,
    status: Literal["passing", "failing"] | None,
    account: str | None,
    after: int,
    limit: int,
    min_seq: int | None = None,
) -> AssertionsView:
    """Assertions beyond a seq, those of one status or account only (AccountNotFound, Behind, Stopped)."""
    with reader.snapshot(ledger) as (connection, parameters):
        at = position(connection, parameters["ledger_id"], "assertions", min_seq)
        account_id = None if account is None else find_account(connection, parameters, account)[0]
        wanted = {
            **parameters,
            "version": at.version,
            "status": status,
            "account_id": account_id,
            "after": after,
            "limit": limit,
        }
        rows = connection.execute(QUERIES["assertions"], wanted).fetchall()
    found = []
    for seq, expected, tolerance, actual, failing_seq, body in rows:
        event = read_event(body)
        found.append(
            AssertionView(
                seq=seq,
                account=event.data["account"],
                asset=event.data["asset"],
                at=event.data["at"],
                expected=expected,
                tolerance=tolerance,
                actual=actual,
                difference=actual - expected,
                status="passing" if failing_seq is None else "failing",
                source=event.data["source"],
                recorded_at=event.recorded_at,
                reference=event.reference,
                failing_since=failing_seq,
            )
        )
    return AssertionsView(at.seq, found, found[-1].seq if len(found) == limit else None)
