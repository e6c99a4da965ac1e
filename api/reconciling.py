"""Running a reconciliation: a file is read and checked, compared with the ledger, and what differs recorded.

A run can end anywhere and be repeated. Its name stands for the file and the settings; the ledger is compared
as it was when the run began; each page has its key. So the second time goes on where the first has ended, and
of a finished run nothing is done at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.batch import Outcome, Refusal, Request
from ledger.reader import Reader
from ledger.reconciliation.commands import FinishRun, RecordItems, StartRun
from ledger.reconciliation.items import Finding, Item, Rules, Tally
from ledger.reconciliation.matching import reconcile
from ledger.reconciliation.streams import Run, as_data
from ledger.rejections import Rejection
from ledger.writer import Writer

PAGE_BYTES = 40_000
PAGE_ITEMS = 100
STEP = 1_000
ACTOR = "daybook reconcile"


class Asked(Struct, frozen=True, kw_only=True):
    """What to compare: the name of the run, the account, and what stands for the other side."""

    run: str
    account: str
    source: str
    digest: str
    window_days: int


class Extent(Struct, frozen=True):
    """What a whole statement is about: its number of items, their assets, its days."""

    items: int
    assets: frozenset[str]
    first_day: str
    last_day: str


class RunRefused(Exception):
    """The ledger refuses the run; carries the rejection."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.code)
        self.rejection = rejection


def extent_of(items: Iterable[Item], said: Callable[[], tuple[str, str]]) -> Extent:
    """Read a statement to its end; `said` are then the days that it names itself, if it does."""
    count, assets, first, last = 0, set(), "9999-12-31", ""
    for item in items:
        count += 1
        assets.add(item.asset)
        first, last = min(first, item.day), max(last, item.day)
    named_first, named_last = said()
    first, last = min(named_first or first, first), max(named_last, last)
    return Extent(count, frozenset(assets), first if last else "", last)


def run(
    writer: Writer,
    reader: Reader,
    ledger: str,
    asked: Asked,
    extent: Extent,
    there: Iterable[Item],
    progress: Callable[[int], None],
) -> Run:
    """The finished run (RunRefused). `progress` is told how many items of both sides were read."""
    try:
        begun = reads.run(reader, ledger, asked.run)
    except reads.RunNotFound:
        start = StartRun(
            run=asked.run,
            account=asked.account,
            source=asked.source,
            digest=asked.digest,
            window_days=asked.window_days,
        )
        _done(writer, ledger, start, "start")
        begun = reads.run(reader, ledger, asked.run)
    if (begun.digest, begun.account, begun.window_days) != (asked.digest, asked.account, asked.window_days):
        raise RunRefused(Rejection("reconciliation_exists", {"run": asked.run}))
    if begun.status == "finished":
        return begun
    rules = Rules(window_days=asked.window_days, first_day=extent.first_day, last_day=extent.last_day)
    tally = Tally()
    read = _Count(progress)
    here = read.passing(_here(reader, ledger, begun, extent))
    with TemporaryDirectory(prefix="daybook-reconcile-") as folder:
        findings = reconcile(here, read.passing(there), rules, Path(folder))
        for page, items in enumerate(_pages(findings, tally), 1):
            _done(writer, ledger, RecordItems(run=asked.run, page=page, items=items), f"page:{page}")
    finish = FinishRun(
        run=asked.run, counts=tally.counts, first_day=extent.first_day, last_day=extent.last_day
    )
    _done(writer, ledger, finish, "finish")
    return reads.run(reader, ledger, asked.run)


def _here(reader: Reader, ledger: str, run: Run, extent: Extent) -> Iterator[Item]:
    """The account around the statement's days, as far as the window reaches, in the statement's assets."""
    if not extent.last_day:
        return
    window = timedelta(days=run.window_days)
    first = (date.fromisoformat(extent.first_day) - window).isoformat()
    last = (date.fromisoformat(extent.last_day) + window).isoformat()
    for item in reads.account_items(reader, ledger, run.account, run.known_at, first, last):
        if not extent.assets or item.asset in extent.assets:
            yield item


def _pages(findings: Iterable[Finding], tally: Tally) -> Iterator[tuple[Finding, ...]]:
    """What is no match, in pages that fit into events."""
    page: list[Finding] = []
    size = 0
    for finding in findings:
        tally.add(finding)
        if finding.outcome == "match":
            continue
        length = len(msgspec.json.encode(as_data(finding)))
        if page and (size + length > PAGE_BYTES or len(page) == PAGE_ITEMS):
            yield tuple(page)
            page, size = [], 0
        page.append(finding)
        size += length
    if page:
        yield tuple(page)


def _done(writer: Writer, ledger: str, body: StartRun | RecordItems | FinishRun, step: str) -> None:
    command = c.command(body, key=f"reconcile:{body.run}:{step}", actor=ACTOR)
    outcome: Outcome
    [outcome] = writer.execute(ledger, Request([command]))
    if isinstance(outcome, Refusal):
        raise RunRefused(outcome.rejection)


class _Count:
    """Counts what passes, and tells now and then."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self._progress = progress
        self._count = 0

    def passing(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            self._count += 1
            if self._count % STEP == 0:
                self._progress(self._count)
            yield item
