"""Running a reconciliation: what a comparison finds is recorded, so that it can end anywhere and be repeated.

The ledger is compared as it was when the run began; each page has its key. So the second time goes on where
the first has ended, and of a finished run nothing is done at all. A run that was interrupted, and whose other
side says something else by now, is abandoned: another one takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from api import own_keys
from ledger import commands as c
from ledger import reconciliation_reads as reads
from ledger.batch import Refusal
from ledger.days import day_of
from ledger.reader import Reader
from ledger.reconciliation.commands import AbandonRun, FinishRun, RecordItems, StartRun
from ledger.reconciliation.items import Finding, Item, Tally
from ledger.reconciliation.sides import About, Comparison
from ledger.reconciliation.streams import Run, as_data
from ledger.rejections import Rejection
from ledger.text import iso, micros
from ledger.writer import Writer

PAGE_BYTES = 40_000
PAGE_ITEMS = 100
STEP = 1_000
LONGEST_BASE = 58  # a name has 64 characters
ACTOR = "daybook reconcile"


class RunRefused(Exception):
    """The ledger refuses the run; carries the rejection."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.code)
        self.rejection = rejection


def run(
    writer: Writer,
    reader: Reader,
    ledger: str,
    name: str,
    comparison: Comparison,
    folder: Path,
    progress: Callable[[int], None],
) -> Run:
    """The finished run of this name (RunRefused). `progress` is told how many items of both sides were read.

    `folder` is for temporary files. What `comparison` raises goes through.
    """
    about = comparison.about
    begun = found(reader, ledger, name)
    if begun is None:
        start = StartRun(
            run=name,
            side=about.side,
            account=about.account or None,
            source=about.source,
            digest=about.digest,
            window_days=about.window_days,
        )
        record(writer, ledger, start, "start")
        begun = reads.run(reader, ledger, name)
    if not _same(begun, about):
        raise RunRefused(Rejection("reconciliation_exists", {"run": name}))
    if begun.status != "running":
        return begun
    assert_balances(writer, reader, ledger, name, about)
    tally = Tally()
    findings = comparison.findings(begun.known_at, folder, _Count(progress).passing)
    for page, items in enumerate(_pages(findings, tally), 1):
        record(writer, ledger, RecordItems(run=name, page=page, items=items), f"page:{page}")
    finish = FinishRun(
        run=name,
        counts=tally.counts,
        kinds=tally.kinds,
        first_day=about.first_day,
        last_day=about.last_day,
    )
    record(writer, ledger, finish, "finish")
    return reads.run(reader, ledger, name)


def assert_balances(writer: Writer, reader: Reader, ledger: str, name: str, about: About) -> None:
    """Keep what the other side says the account held: each a balance assertion (RunRefused).

    Of the day that is not over, it is what the account holds by now; nobody says what it will hold later.
    """
    if not about.balances:
        return
    now = reader.clock()
    today = day_of(now, ZoneInfo(reader.ledger(ledger).time_zone)).isoformat()
    for told in about.balances:
        if told.day > today:
            continue
        body = c.BalanceAssertion(
            account=about.account,
            asset=told.asset,
            at=told.day if told.day < today else iso(micros(now)),
            expected=told.amount,
            source=about.source,
            reference=name,
        )
        key = f"reconcile:{name}:balance:{told.asset}:{told.day}"
        outcome = own_keys.execute(writer, ledger, c.command(body, key=key, actor=ACTOR))
        # The second time, it is another moment of today.
        if isinstance(outcome, Refusal) and outcome.rejection.code != "idempotency_key_reused":
            raise RunRefused(outcome.rejection)


def run_next(
    writer: Writer,
    reader: Reader,
    ledger: str,
    base: str,
    comparison: Comparison,
    folder: Path,
    progress: Callable[[int], None],
    *,
    anew: bool,
) -> Run:
    """The first run named `base`, `base.2`, `base.3`, ... that can be gone on with or begun (RunRefused).

    For sides that are asked and may say something else the next time: a run that cannot be gone on with is
    abandoned. A finished one is the answer, unless it is to be compared `anew`.
    """
    for name in _names(base):
        begun = found(reader, ledger, name)
        if begun is not None and begun.side != comparison.about.side:
            raise RunRefused(Rejection("reconciliation_exists", {"run": name}))
        if begun is not None and begun.status == "finished" and not anew:
            return begun
        if begun is not None and begun.status == "running" and not _same(begun, comparison.about):
            record(writer, ledger, AbandonRun(run=name), "abandon")
        elif begun is None or begun.status == "running":
            return run(writer, reader, ledger, name, comparison, folder, progress)
    raise AssertionError("names do not end")


def finished(reader: Reader, ledger: str, base: str) -> Run | None:
    """The finished run among `base`, `base.2`, `base.3`, ...; None: there is none yet."""
    for name in _names(base):
        begun = found(reader, ledger, name)
        if begun is None or begun.status == "finished":
            return begun
    raise AssertionError("names do not end")


def next_name(reader: Reader, ledger: str, base: str) -> str:
    """The first of `base`, `base.2`, `base.3`, ... that is not finished."""
    for name in _names(base):
        begun = found(reader, ledger, name)
        if begun is None or begun.status != "finished":
            return name
    raise AssertionError("names do not end")


def found(reader: Reader, ledger: str, name: str) -> Run | None:
    """A run, whatever has become of it; None: nobody has begun it."""
    try:
        return reads.run(reader, ledger, name)
    except reads.RunNotFound:
        return None


def _names(base: str) -> Iterator[str]:
    yield base
    for number in count(2):
        yield f"{base[:LONGEST_BASE]}.{number}"


def _same(begun: Run, about: About) -> bool:
    return (begun.side, begun.digest, begun.account, begun.window_days) == (
        about.side,
        about.digest,
        about.account,
        about.window_days,
    )


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


def record(
    writer: Writer, ledger: str, body: StartRun | RecordItems | FinishRun | AbandonRun, step: str
) -> None:
    """One step of a run, once however often it is recorded (RunRefused)."""
    command = c.command(body, key=f"reconcile:{body.run}:{step}", actor=ACTOR)
    outcome = own_keys.execute(writer, ledger, command)
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
