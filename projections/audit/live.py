"""The audit of a live database: one ledger, pinned at a seq, while it goes on being written.

Events are final, so they are read in pages, each a statement of its own, until the head is near. Then one
short snapshot holds the head and what changes with it (balances, streams, holds, accounts) still, while the
last events are entered and those tables compared. What is append only (postings, streams' events, endings,
keys) is compared last, up to the seq of that head.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ledger.events import Event
from ledger.notes import TreeHead
from projections.audit import completeness
from projections.audit.compare import Differences, compare_changing
from projections.audit.compare_appended import compare_appended
from projections.audit.compare_streams import compare_streams
from projections.audit.completeness import KeptHead
from projections.audit.derived import Collected, Derived
from projections.audit.rows import LAYOUTS, Layout, readable
from projections.audit.stored import Columns, Head, NoHead, StoredLedger, connected
from projections.audit.verdicts import NAMES, Findings, Report, Verdict, unread
from projections.audit.verifier import CHUNK, Verifier

NEAR = 5 * CHUNK
COLUMNS = ("effective_at", "recorded_at", "legs", "type")

Progress = Callable[[str, int, int], None]  # what is done, how many of how many (0: nobody knows)


def quiet(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def check(conninfo: str, ledger: str, kept: Sequence[KeptHead] = (), progress: Progress = quiet) -> Report:
    """The four verdicts on a ledger of a database, up to its head (LedgerNotFound, psycopg.Error).

    `kept` are tree heads from outside the database. Memory: see `projections.audit`.
    """
    started = time.monotonic()
    with connected(conninfo) as connection:
        stored = StoredLedger(connection, ledger)
        try:
            return _Check(stored, kept, progress).run()
        except NoHead:
            why = "the ledger has no head: its row of heads is gone"
            return unread(why, time.monotonic() - started, ledger=stored.name, id=stored.public_id)


def missing(head: TreeHead) -> Report:
    """The report on a ledger that a kept tree head knows and the database does not."""
    gone = f"the ledger is not in this database; the kept tree head says that it had {head.size} events"
    verdicts = [
        Verdict(name=name, status="not_checked", sentence="the ledger is not there") for name in NAMES
    ]
    verdicts[1] = Verdict(name="completeness", status="failed", sentence=gone, seq=min(head.size, 1))
    return Report(
        ledger="",
        id=head.ledger,
        incarnation=head.incarnation,
        size=0,
        root="",
        verdicts=tuple(verdicts),
        seconds=0.0,
    )


class _Check:
    """One run."""

    def __init__(self, stored: StoredLedger, kept: Sequence[KeptHead], progress: Progress) -> None:
        self.started = time.monotonic()
        self.stored = stored
        self.kept = kept
        self.progress = progress
        self.findings = Findings()
        self.differences = Differences(self.findings)
        self.verifier = Verifier(stored, self.findings, completeness.sizes(kept))
        self.derived = Derived(self.verifier.books)
        self.columns: dict[int, Columns] = {}

    def run(self) -> Report:
        verifier, tree = self.verifier, self.verifier.tree
        head = self.stored.head()
        while verifier.complete and head.seq - tree.size > NEAR and self._page(head.seq):
            if head.seq - tree.size <= NEAR:
                head = self.stored.head()
        with self.stored.connection.transaction():
            self.stored.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            head = self.stored.head()
            while verifier.complete and tree.size < head.seq and self._page(head.seq):
                pass
            self._check_end(head)
            if verifier.whole:
                compare_changing(self.differences, self.stored, head, verifier.books)
                compare_streams(self.differences, self.stored, self.derived.states, self._again)
        verifier.finish()
        for layout in LAYOUTS if verifier.whole else ():
            tally = self.derived.tallies[layout.table]
            compare_appended(
                self.differences, self.stored, layout, tally, head.seq, self._again, self.progress
            )
        return self._report(head)

    def _page(self, upto: int) -> bool:
        """Enter the next events; False when there is none."""
        events, columns = self.stored.page(self.verifier.tree.size, upto)
        self.columns = {stored[0]: row for stored, row in zip(events, columns, strict=True)}
        self.verifier.add(events, self._entered)
        self.progress("events", self.verifier.tree.size, upto)
        return bool(events)

    def _entered(self, event: Event, leaf: bytes) -> None:
        """Compare the columns beside a body, and go on with the rows that should follow from it."""
        derived = self.derived
        effective_at, recorded_at = derived.micros(event.effective_at), derived.micros(event.recorded_at)
        expected = (effective_at, recorded_at, len(event.postings), event.type)
        found = self.columns[event.seq]
        if found != expected:
            index = next(i for i in range(4) if found[i] != expected[i])
            pair = [
                readable(v) if index < 2 and isinstance(v, int) else str(v)
                for v in (found[index], expected[index])
            ]
            self.differences.column("events", f"seq {event.seq}", COLUMNS[index], *pair, seq=event.seq)
        derived.entered(event, leaf)

    def _check_end(self, head: Head) -> None:
        """Whether the head is the head of the events that were entered."""
        tree, findings = self.verifier.tree, self.findings
        if not self.verifier.complete:
            return
        if tree.size < head.seq:
            self.verifier.missing(tree.size + 1, f"the head is at {head.seq}")
            return
        for seq in self.stored.out_of_place():
            where = "before the first" if seq < 1 else f"beyond the head, which is at {head.seq}"
            findings.add("integrity", max(seq, 0), f"event {seq} is {where}")
        if head.root == tree.root() and head.frontier != tree.peaks():
            findings.add("integrity", None, "the head's frontier is not that of the events' tree")

    def _again(self, layout: Layout | None, seqs: range, stream: int = 0) -> Collected:
        """Enter the events once more and keep what some rows should be."""
        size = seqs.stop - 1 if layout is not None else self.verifier.tree.size
        verifier = Verifier(self.stored, Findings())
        collected = Collected(verifier.books, layout, seqs, stream)
        while verifier.tree.size < size:
            verifier.add(self.stored.page(verifier.tree.size, size)[0], collected.entered)
            self.progress("looking for the first difference", verifier.tree.size, size)
        return collected

    def _report(self, head: Head) -> Report:
        verifier, findings, tree = self.verifier, self.findings, self.verifier.tree
        confirmed = completeness.check_heads(findings, self.kept, verifier.books, tree)
        if verifier.complete and head.root != tree.root() and not findings.failed("integrity"):
            first = self.stored.leaf_not_in_tile() or confirmed + 1
            completeness.other_root(findings, "the head's root", first, tree.size)
        root = tree.root().hex()
        halted = verifier.halted
        verdicts = (
            findings.verdict(
                "integrity", f"{tree.size} bodies are canonical and hash to the head's root {root}"
            ),
            completeness.verdict(findings, self.kept, confirmed, verifier.books),
            findings.verdict("accounting", f"{tree.size} events obey every law of the ledger", halted),
            findings.verdict(
                "projections", f"every derived row of {tree.size} events is what they say", halted
            ),
        )
        return Report(
            ledger=self.stored.name,
            id=self.stored.public_id,
            incarnation=verifier.books.incarnation,
            size=tree.size,
            root=root,
            verdicts=verdicts,
            seconds=time.monotonic() - self.started,
        )
