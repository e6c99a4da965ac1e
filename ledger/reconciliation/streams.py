"""The states of runs and of their pages of items, and what events make of them."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.reconciliation.items import Finding, Item, Outcome, Rule
from ledger.state import Stream

# The run that nobody starts and that never ends: what was reported of vouchers and contradicts the book.
REPORTS = "reports"
REPORTS_STREAM = f"reconciliation:{REPORTS}"


class Run(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A run: the ledger at seq `known_at`, or one account of it, compared with a side as `source` has it.

    `unresolved` counts the items that nobody has resolved; `counts` (by outcome) and `kinds` are there once
    it is finished; a run that goes by names has counts of all `through` one of them before. A run is
    abandoned when it was interrupted and its side tells something else meanwhile.
    """

    run: str
    side: str
    source: str
    digest: str
    known_at: int
    account: str = ""
    window_days: int | None = None
    status: Literal["running", "finished", "abandoned"] = "running"
    pages: int = 0
    items: int = 0
    unresolved: int = 0
    through: str = ""
    counts: dict[Outcome, int] = {}
    kinds: dict[str, int] = {}
    match_rate: str = ""
    first_day: str = ""
    last_day: str = ""


class Resolution(Struct, frozen=True, omit_defaults=True):
    """How an item was settled, by the event `seq`."""

    seq: int
    transaction: int | None = None
    explanation: str = ""


class PageItem(Struct, frozen=True, omit_defaults=True):
    """A finding that is no match, with both sides as they were then."""

    outcome: Outcome
    rule: Rule
    here: tuple[dict[str, str], ...] = ()
    there: tuple[dict[str, str], ...] = ()
    kind: str = ""
    resolution: Resolution | None = None


class Page(Struct, frozen=True):
    """Some items of a run; item `<page>.<n>` is the n-th."""

    run: str
    page: int
    items: tuple[PageItem, ...]


def next_report(reports: Stream | None) -> int:
    """The page that the next report which contradicts a voucher is, alone."""
    return 1 if reports is None else reports.state.pages + 1


def page_stream(run: str, page: int) -> str:
    """The stream of a page: the pages of a run stand in order."""
    return f"reconciliation_page:{run}:{page:09}"


def shown(item: Item) -> dict[str, str]:
    """One side's item as it stands in an event: the amount in digits, nothing that is empty."""
    said = {
        "id": item.name,
        "day": item.day,
        "amount": str(item.amount),
        "asset": item.asset,
        "fee": "" if item.fee is None else str(item.fee),
        "reference": item.reference,
        "status": item.status,
    }
    return {name: value for name, value in said.items() if value}


def as_data(finding: Finding) -> dict[str, Any]:
    """A finding as it stands in an event."""
    return {
        "outcome": finding.outcome,
        **({"kind": finding.kind} if finding.kind else {}),
        "rule": finding.rule,
        "here": [shown(item) for item in finding.here],
        "there": [shown(item) for item in finding.there],
    }


def evolve_run(run: Run | None, event: Event, stream: str) -> Run:
    """A run after one more event."""
    data = event.data
    if run is None:
        run = _begun(event)
    match event.type:
        case "reconciliation_started":
            return run
        case "voucher_contradicted":
            return replace(run, pages=data["page"], items=run.items + 1, unresolved=run.unresolved + 1)
        case "reconciliation_items_found":
            new = len(data["items"])
            return replace(
                run,
                pages=data["page"],
                items=run.items + new,
                unresolved=run.unresolved + new,
                through=data.get("through", ""),
                counts=data.get("counts", {}),
            )
        case "reconciliation_finished":
            return replace(
                run,
                status="finished",
                counts=data["counts"],
                kinds=data["kinds"],
                match_rate=data["match_rate"],
                first_day=data["first_day"],
                last_day=data["last_day"],
            )
        case "reconciliation_abandoned":
            return replace(run, status="abandoned", unresolved=0)
        case "reconciliation_item_resolved":
            return replace(run, unresolved=run.unresolved - 1)
        case _:
            raise ValueError(f"{event.type} is no event of a reconciliation")


def _begun(event: Event) -> Run:
    data = event.data
    if event.type == "voucher_contradicted":
        source = "what is reported of vouchers"
        return Run(run=REPORTS, side="buffr", source=source, digest="", known_at=event.seq)
    return Run(
        run=data["run"],
        side=data["side"],
        source=data["source"],
        digest=data["digest"],
        known_at=data["known_at"],
        account=data.get("account", ""),
        window_days=data.get("window_days"),
    )


def evolve_page(page: Page | None, event: Event, stream: str) -> Page:
    """A page after one more event."""
    data = event.data
    if event.type == "voucher_contradicted":
        return Page(REPORTS, data["page"], (_contradiction(data),))
    if page is None:
        items = (
            PageItem(
                each["outcome"],
                each["rule"],
                tuple(each["here"]),
                tuple(each["there"]),
                each.get("kind", ""),
            )
            for each in data["items"]
        )
        return Page(data["run"], data["page"], tuple(items))
    at = int(data["item"].partition(".")[2]) - 1
    resolution = Resolution(event.seq, data.get("transaction"), data.get("explanation", ""))
    resolved = replace(page.items[at], resolution=resolution)
    return replace(page, items=(*page.items[:at], resolved, *page.items[at + 1 :]))


def _contradiction(data: dict[str, Any]) -> PageItem:
    """A report beside the voucher as it was: the same state with another amount, or another state."""
    same = {"id": data["voucher"], "reference": data["voucher"], "asset": data["asset"], "day": data["day"]}
    here = same | {"amount": data["remaining"], "status": data["status"]}
    there = same | {"amount": data.get("amount", data["remaining"]), "status": data["said"]}
    exceeds = data["said"] == "redeemed" and (data["remaining"] != "0" or data["status"] == "redeemed")
    return PageItem("amount_mismatch" if exceeds else "status_mismatch", "reference", (here,), (there,))
