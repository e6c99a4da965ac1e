"""The audit of an export: its folder alone, with no database and no network.

What the folder says of itself proves little: whoever alters a file can alter the manifest too. So all is held
against the events, and the events against the root in a tree head that an accepted key signed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from datetime import UTC, date, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ledger.events import Event
from ledger.notes import NoteError, TreeHead, VerifierKey, open_tree_head, verifier_key
from ledger.text import from_iso
from projections.audit import completeness
from projections.audit.compare import Differences
from projections.audit.folder import (
    CHECKPOINT,
    EVENTS,
    KEY,
    EventLines,
    Manifest,
    NotAnExport,
    check_listing,
    check_sum,
    check_sums,
    read_manifest,
)
from projections.audit.journals import Journals
from projections.audit.live import Progress, quiet
from projections.audit.tables import Tables
from projections.audit.tiles import TileCheck
from projections.audit.totals import Totals, effective_day, first_difference, period_ends
from projections.audit.verdicts import Findings, Report, unread
from projections.audit.verifier import Verifier

FOLDERS = frozenset({"csv", "parquet", "hledger", "beancount", "ads"})  # formats with a folder of their name


def verify(
    folder: Path, kept: Iterable[Path] = (), keys: Sequence[VerifierKey] = (), progress: Progress = quiet
) -> Report:
    """The four verdicts on an export. `kept` are files of tree heads, `keys` those that may have signed.

    Without keys the one in the folder is taken at its word, and the verdict says so. Raises OSError when a
    file goes away meanwhile.
    """
    started = time.monotonic()
    try:
        manifest = read_manifest(folder)
    except NotAnExport as error:
        return unread(str(error), time.monotonic() - started)
    return _Verification(folder, manifest, kept, keys, progress).run(started)


class _Verification:
    """One run over one folder."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        kept: Iterable[Path],
        keys: Sequence[VerifierKey],
        progress: Progress,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.progress = progress
        self.findings = Findings()
        self.differences = Differences(self.findings)
        self.files = check_listing(folder, manifest, self.findings)
        self.days = self._days()
        own = self._own_key()
        self.given = bool(keys)
        self.keys = list(keys) or own
        self.head = self._signed_head()
        if self.head is not None and own:
            self._check_own_key(own)
        self.kept = completeness.read_kept(kept, self.keys)

    def _own_key(self) -> list[VerifierKey]:
        try:
            text = (self.folder / KEY).read_text(encoding="utf-8") if KEY in self.files else ""
            return [verifier_key(text.removesuffix("\n"))]
        except (NoteError, UnicodeDecodeError) as error:
            self.findings.add("integrity", None, f"{KEY} holds no key: {error}")
            return []

    def _check_own_key(self, own: list[VerifierKey]) -> None:
        """Whoever trusts the folder's key later must not be given another than signed it."""
        try:
            open_tree_head((self.folder / CHECKPOINT).read_bytes(), own)
        except NoteError:
            self.findings.add("integrity", None, f"{KEY} is not the key that {CHECKPOINT} is signed by")

    def _signed_head(self) -> TreeHead | None:
        """The tree head of the folder, if an accepted key signed it."""
        if CHECKPOINT not in self.files:
            return None
        try:
            return open_tree_head((self.folder / CHECKPOINT).read_bytes(), self.keys)
        except NoteError as error:
            self.findings.add("integrity", None, f"{CHECKPOINT} is not signed as it must be: {error}")
            return None

    def run(self, started: float) -> Report:
        others = [part for path, part in self.files.items() if path != EVENTS]
        if EVENTS not in self.files:
            check_sums(self.folder, others, self.findings, self.progress)
            return unread(self.findings.verdict("integrity", "").sentence, time.monotonic() - started)
        with ExitStack() as stack:
            lines = EventLines(stack.enter_context((self.folder / EVENTS).open("rb")))
            verifier = Verifier(lines, self.findings, completeness.sizes(self.kept))
            if self.head is not None:
                verifier.tree.want(self.head.size)
            self._read_events(stack, lines, verifier)
            check_sum(self.files[EVENTS], lines.bytes, lines.digest.hexdigest(), self.findings)
            verifier.finish()
            check_sums(self.folder, others, self.findings, self.progress)
        return self._report(verifier, started)

    # ------------------------------------------------------------ events, and all that follows from them

    def _read_events(self, stack: ExitStack, lines: EventLines, verifier: Verifier) -> None:
        books = verifier.books
        tables = Tables(stack, self.folder, self.files, self.differences)
        totals = Totals(books, self.days)
        tiles = TileCheck(self.folder, self.files, self.findings) if "tlog" in self.manifest.formats else None
        journals = Journals(self.folder, self.files, books, *self.days) if self.days else None
        with_day = tables.wanted or journals is not None
        zone = self._zone()

        def entered(event: Event, leaf: bytes) -> None:
            day = effective_day(from_iso(event.effective_at), zone) if with_day else None
            totals.entered(event, day)
            if day is not None and tables.wanted:
                tables.entered(event, leaf, day)
            if day is not None and journals is not None:
                journals.entered(event, day)

        verifier.hashed = tiles.add if tiles is not None else None
        size = max(self.manifest.seq, 1)
        for chunk in lines.chunks():
            verifier.add(chunk, entered)
            self.progress("events", verifier.tree.size, max(size, verifier.tree.size))
        if lines.trouble is not None:
            self.findings.add(
                "integrity", lines.lines + 1, f"line {lines.lines + 1} of {EVENTS} {lines.trouble}"
            )
        if tiles is not None:
            tiles.finish()
        if verifier.whole:
            tables.finish(books)
            if journals is not None:
                journals.finish(self.differences)
            self._compare_manifest(verifier, totals, tables)

    def _zone(self) -> tzinfo:
        try:
            return ZoneInfo(self.manifest.ledger.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.differences.unreadable("manifest.json", "its time zone is unknown", seq=1)
            return UTC

    def _days(self) -> tuple[date, date] | None:
        if self.manifest.range is None:
            return None
        try:
            first, last = (date.fromisoformat(self.manifest.range[name]) for name in ("from", "to"))
        except (KeyError, ValueError):
            self.differences.unreadable("manifest.json", "its range is not two dates", seq=None)
            return None
        periods = [day.isoformat() for day in period_ends(first, last)]
        if first > last or (self.manifest.range_totals or {}).get("periods") != periods:
            self.differences.unreadable("manifest.json", "its periods are not those of its range", seq=None)
            return None
        return first, last

    def _compare_manifest(self, verifier: Verifier, totals: Totals, tables: Tables) -> None:
        """What the manifest says of the events, against the events."""
        manifest, books = self.manifest, verifier.books
        said = {
            "ledger": {
                "name": manifest.ledger.name,
                "id": manifest.ledger.id,
                "time_zone": manifest.ledger.time_zone,
            },
            "incarnation": manifest.incarnation,
            "seq": manifest.seq,
            "recorded_at": manifest.recorded_at,
            "tree_head": {
                "size": manifest.tree_head.size,
                "root": manifest.tree_head.root,
                "origin": manifest.tree_head.origin,
            },
            "totals": manifest.totals,
        }
        counted = {
            "ledger": {"name": books.name, "id": books.ledger, "time_zone": books.time_zone},
            "incarnation": books.incarnation,
            "seq": books.seq,
            "recorded_at": books.recorded_at,
            "tree_head": {
                "size": books.seq,
                "root": verifier.tree.root().hex(),
                "origin": f"daybook/{books.ledger}/{books.incarnation}",
            },
            "totals": totals.whole(),
        }
        if self.days is not None:
            said["range_totals"] = manifest.range_totals
            counted["range_totals"] = totals.of_range()
        found = first_difference(said, counted, "manifest.json")
        if found is not None:
            place, stored, expected = found
            self.differences.column(
                "manifest.json", place, place.rpartition(".")[2], stored, expected, seq=None
            )
        self._compare_files(books.seq, totals, tables)

    def _compare_files(self, size: int, totals: Totals, tables: Tables) -> None:
        """The formats that the manifest names are those whose files are there; their rows are as many."""
        rows = {EVENTS: size} | tables.counts
        folders = {path.partition("/")[0] for path in self.files if "/" in path}
        formats = {"jsonl", *(folders & FOLDERS)}
        if any(path.startswith("tlog/tile/") for path in self.files):
            formats.add("tlog")
        if set(self.manifest.formats) != formats:
            pair = (", ".join(sorted(self.manifest.formats)), ", ".join(sorted(formats)))
            self.differences.column("manifest.json", "formats", "formats", *pair, seq=None)
        for path, part in self.files.items():
            wanted = rows.get(path)
            if path.startswith("ads/GL_Detail"):
                wanted = totals.range_legs
            elif path.startswith(("hledger/", "beancount/")):
                wanted = totals.transactions
            if wanted is not None and part.rows != wanted:
                self.differences.column("manifest.json", path, "rows", str(part.rows), str(wanted), seq=None)

    # ------------------------------------------------------------ the report

    def _report(self, verifier: Verifier, started: float) -> Report:
        findings, tree, books, manifest = self.findings, verifier.tree, verifier.books, self.manifest
        confirmed = completeness.check_heads(findings, self.kept, books, tree)
        self._check_head(verifier, confirmed)
        root = tree.root().hex()
        by = ", ".join(key.name for key in self.keys)
        trust = f"signed by {by}" if self.given else f"signed by {by}, the folder's own key: compare it"
        files = len(manifest.files)
        verdicts = (
            findings.verdict(
                "integrity", f"{files} files as listed; {tree.size} bodies hash to {root}, {trust}"
            ),
            completeness.verdict(findings, self.kept, confirmed, verifier.books),
            findings.verdict(
                "accounting", f"{tree.size} events obey every law of the ledger", verifier.halted
            ),
            findings.verdict(
                "projections", f"tables, journals and totals are what {tree.size} events say", verifier.halted
            ),
        )
        return Report(
            ledger=books.name or manifest.ledger.name,
            id=books.ledger or manifest.ledger.id,
            incarnation=books.incarnation,
            size=tree.size,
            root=root,
            verdicts=verdicts,
            seconds=time.monotonic() - started,
        )

    def _check_head(self, verifier: Verifier, confirmed: int) -> None:
        """The events against the folder's signed tree head."""
        head, tree, books = self.head, verifier.tree, verifier.books
        if head is None:
            return
        origin = (head.ledger, head.incarnation)
        if books.ledger and origin != (books.ledger, books.incarnation):
            ours = f"daybook/{books.ledger}/{books.incarnation}"
            self.findings.add(
                "integrity", None, f"{CHECKPOINT} is of {head.origin}, the events are of {ours}"
            )
        if head.size > tree.size:
            gone = f"event {tree.size + 1} is not there: the signed tree head has {head.size}"
            self.findings.add("integrity", tree.size + 1, gone)
        elif head.size < tree.size:
            beyond = f"event {head.size + 1} is beyond the signed tree head, which has {head.size}"
            self.findings.add("integrity", head.size + 1, beyond)
        elif tree.root() != head.root and not self._located():
            completeness.other_root(self.findings, "the signed root", confirmed + 1, tree.size)

    def _located(self) -> bool:
        """Whether integrity names an event already."""
        return self.findings.verdict("integrity", "").seq is not None
