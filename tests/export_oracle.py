"""What an export must say, worked out from the stored bodies alone; and a way to make one.

The oracle shares no code with the exports: psycopg, json, zoneinfo and plain Python.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import psycopg

from ledger.notes import TreeHead, new_key
from projections.exports.export import FORMATS, Asked, Exported, Format, Signed, export

KEY = new_key("daybook-test")

Place = tuple[str, str]  # account, asset


class Leg(NamedTuple):
    """A posted leg: `amount` is in minor units, debit positive."""

    seq: int
    place: int
    day: date
    account: str
    asset: str
    amount: int


class Truth:
    """A ledger as its bodies have it."""

    def __init__(self, conninfo: str, ledger: str) -> None:
        with psycopg.connect(conninfo) as connection:
            rows = connection.execute(
                "SELECT body FROM daybook.events WHERE ledger_id ="
                " (SELECT ledger_id FROM daybook.ledgers WHERE name = %s) ORDER BY seq",
                (ledger,),
            ).fetchall()
        self.bodies: list[bytes] = [row[0] for row in rows]
        self.events: list[dict[str, Any]] = [json.loads(body) for body in self.bodies]
        zone = ZoneInfo(self.events[0]["data"]["time_zone"])
        self.days = [_day(datetime.fromisoformat(event["effective_at"]), zone) for event in self.events]

    def legs(self) -> list[Leg]:
        """The posted legs, in the order of the journals."""
        legs = [
            (day, event["effective_at"], Leg(event["seq"], place, day, p["account"], p["asset"], _signed(p)))
            for event, day in zip(self.events, self.days, strict=True)
            for place, p in enumerate(event.get("postings", []))
            if p.get("kind", "posted") == "posted"
        ]
        legs.sort(key=lambda row: (row[0], row[1], row[2].seq))
        return [leg for _, _, leg in legs]

    def balances(self, until: date = date.max) -> dict[Place, int]:
        """The posted balance of everything posted to, by effective day, debit positive."""
        balances: Counter[Place] = Counter()
        for leg in self.legs():
            if leg.day <= until:
                balances[leg.account, leg.asset] += leg.amount
        return dict(balances)


def _day(moment: datetime, zone: ZoneInfo) -> date:
    """The local date, or a later one if a clock put back over midnight had shown it before."""
    if moment.year == 1:
        return max(date.min, moment.astimezone(UTC).date())
    return max((moment - timedelta(minutes=m)).astimezone(zone).date() for m in range(120))


def _signed(posting: dict[str, Any]) -> int:
    amount = int(posting["amount"])
    return amount if posting["side"] == "debit" else -amount


def make(
    conninfo: str,
    ledger: str,
    target: Path,
    *formats: Format,
    first: date | None = None,
    last: date | None = None,
) -> Exported:
    """An export with a key of the tests, in every format unless some are named."""
    asked = Asked(ledger, frozenset(formats or FORMATS), first, last)
    return export(conninfo, asked, target, signed_head(conninfo, ledger), lambda *_: None)


def signed_head(conninfo: str, ledger: str) -> Signed:
    """The ledger's head, signed with a key of the tests."""
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "SELECT public_id::text, incarnation, seq, root FROM daybook.heads"
            " JOIN daybook.ledgers USING (ledger_id) WHERE name = %s",
            (ledger,),
        ).fetchone()
    assert row is not None
    return Signed(KEY.sign(TreeHead(*row).text), KEY.verifier)


def minor_units(text: str, asset: str) -> int:
    """A decimal with exactly the asset's scale, in minor units."""
    scale = int(asset.rsplit("/", 1)[1])
    whole, point, decimals = text.partition(".")
    assert len(decimals) == scale, (text, asset)
    assert bool(point) == bool(scale), (text, asset)
    return int(whole + decimals)
