"""Reads about reconciliations, from their streams; and the ledger's own side, from its postings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

from ledger.reader import QUERIES as READER_QUERIES
from ledger.reader import Reader, find_account
from ledger.reconciliation.items import Item, Outcome, Rule
from ledger.reconciliation.streams import REPORTS_STREAM, Page, Resolution, Run, page_stream
from ledger.wire import Connection
from sql import load as load_queries

QUERIES = load_queries("reconciliation.sql")


# Pages of items that one look at a filter reads at most.
SCAN = 50


class RunNotFound(LookupError):
    """No reconciliation has this name."""


class ItemNotFound(LookupError):
    """The reconciliation (`args[0]`) has no such item (`args[1]`)."""


class RunView(Struct, frozen=True, kw_only=True):
    """A run: the ledger at seq `known_at`, or one `account` of it, compared with a side as `source` has it.

    `counts` are its findings by outcome and `kinds` by kind; `match_rate` is matches in a hundred of them,
    empty while it is running. `items` are what is no match, of which `unresolved` nobody has settled.
    """

    run: str
    side: str
    source: str
    status: Literal["running", "finished", "abandoned"]
    account: str
    window_days: int | None
    first_day: str
    last_day: str
    known_at: int
    match_rate: str
    counts: dict[Outcome, int]
    kinds: dict[str, int]
    items: int
    unresolved: int
    digest: str


class RunsPage(Struct, frozen=True):
    """Reconciliations by name; `next` continues as `after`, null at the end."""

    reconciliations: list[RunView]
    next: str | None


class ItemView(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A finding that is no match: both sides as they were, and how it was settled."""

    item: str
    outcome: Outcome
    rule: Rule
    here: tuple[dict[str, str], ...]
    there: tuple[dict[str, str], ...]
    kind: str = ""
    resolution: Resolution | None = None


class ItemsPage(Struct, frozen=True):
    """Items in their order; `next` continues as `after`, null at the end. A page may be short, or empty."""

    items: list[ItemView]
    next: str | None


def view(run: Run) -> RunView:
    """A run as it is shown."""
    return RunView(**{name: getattr(run, name) for name in RunView.__struct_fields__})


def runs(reader: Reader, ledger: str, after: str, limit: int) -> list[Run]:
    """Reconciliations by name."""
    found = reader.streams(
        ledger, "reconciliation", after=f"reconciliation:{after}" if after else "", limit=limit
    )
    return [stream.state for stream, _ in found]


def run(reader: Reader, ledger: str, name: str) -> Run:
    """A reconciliation (RunNotFound)."""
    found = reader.stream(ledger, f"reconciliation:{name}")
    if found is None:
        raise RunNotFound(name)
    state: Run = found[0].state
    return state


def items(reader: Reader, ledger: str, name: str, after_page: int = 0) -> Iterator[ItemView]:
    """The items of a reconciliation in their order, page by page."""
    run(reader, ledger, name)
    after = f"reconciliation_page:{name}:{after_page:09}"
    while found := reader.streams(ledger, "reconciliation_page", prefix=f"{name}:", after=after, limit=10):
        for stream, _ in found:
            yield from _views(stream.state)
        after = found[-1][0].name


def items_page(
    reader: Reader,
    ledger: str,
    name: str,
    *,
    after: str,
    limit: int,
    outcome: Outcome | None,
    resolved: bool | None,
) -> ItemsPage:
    """Items beyond `after` of an outcome, resolved or not (RunNotFound); SCAN pages are looked at."""
    run(reader, ledger, name)
    page, number = map(int, (after or "0.0").split("."))
    beyond = f"reconciliation_page:{name}:{max(page - 1, 0):09}"
    found = reader.streams(ledger, "reconciliation_page", prefix=f"{name}:", after=beyond, limit=SCAN)
    chosen: list[ItemView] = []
    for stream, _ in found:
        for at, each in enumerate(_views(stream.state), 1):
            if stream.state.page == page and at <= number:
                continue
            if (outcome is None or each.outcome == outcome) and (
                resolved is None or resolved == (each.resolution is not None)
            ):
                chosen.append(each)
                if len(chosen) == limit:
                    return ItemsPage(chosen, each.item)
    last = found[-1][0].state if len(found) == SCAN else None
    return ItemsPage(chosen, None if last is None else f"{last.page}.{max(len(last.items), 1)}")


def item(reader: Reader, ledger: str, name: str, item: str) -> ItemView:
    """One item (RunNotFound, ItemNotFound)."""
    run(reader, ledger, name)
    page, number = map(int, item.split("."))
    found = reader.stream(ledger, page_stream(name, page))
    if found is None or number > len(found[0].state.items):
        raise ItemNotFound(name, item)
    return list(_views(found[0].state))[number - 1]


def _views(page: Page) -> Iterator[ItemView]:
    for number, each in enumerate(page.items, 1):
        yield ItemView(
            item=f"{page.page}.{number}",
            outcome=each.outcome,
            rule=each.rule,
            here=each.here,
            there=each.there,
            kind=each.kind,
            resolution=each.resolution,
        )


def open_discrepancies(connection: Connection, parameters: Mapping[str, Any]) -> int:
    """What differs from Buffr and nobody has resolved: in the last finished run, and in reports."""
    wanted = {**parameters, "side": "buffr", "standing": REPORTS_STREAM}
    row = connection.execute(QUERIES["open_differences"], wanted).fetchone()
    assert row is not None
    return int(row[0])


def account_items(
    reader: Reader, ledger: str, account: str, known_at: int, first_day: str, last_day: str
) -> Iterator[Item]:
    """What was posted to an account up to a seq, that counts on some days of the ledger's time zone, both in.

    A debit is positive. Read in one pass, in pieces (AccountNotFound).
    """
    zone = ZoneInfo(reader.ledger(ledger).time_zone)
    # No time zone is two days away from UTC; the days themselves are compared below.
    around = {
        "from": _shifted(first_day, -2),
        "to": _shifted(last_day, 3),
    }
    with reader.snapshot(ledger) as (connection, parameters):
        connection.execute(READER_QUERIES["patience"])
        account_id, _, _ = find_account(connection, parameters, account)
        with connection.cursor("account_items") as cursor:
            cursor.itersize = 5_000
            wanted = {**parameters, **around, "account_id": account_id, "known_at": known_at}
            cursor.execute(QUERIES["account_items"], wanted)
            for seq, leg, amount, effective_at, asset, reference in cursor:
                day = effective_at.astimezone(zone).date().isoformat()
                if first_day <= day <= last_day:
                    yield Item(day, f"{seq}/{leg}", reference or "", amount, asset, "posted")


def _shifted(day: str, days: int) -> str:
    return f"{date.fromisoformat(day) + timedelta(days=days)}T00:00:00Z"
