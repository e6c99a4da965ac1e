"""How fast an audit is: an export verified from its folder, and the live ledger checked, on one core."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ledger.notes import TreeHead, new_key
from ledger.reader import Reader
from projections.audit import live, offline
from projections.audit.verdicts import Report
from projections.exports.export import FORMATS, Asked, Format, Signed, export

BOOK: tuple[Format, ...] = ("jsonl", "tlog")


def verified(conninfo: str, ledger: str, *formats: Format) -> Callable[[], Report]:
    """Exports the ledger, in every format unless some are named; what verifies the folder and removes it."""
    folder = tempfile.TemporaryDirectory(prefix="daybook-bench-")
    target = Path(folder.name) / "export"
    reader = Reader(conninfo, connections=1)
    view = reader.ledger(ledger)
    reader.close()
    key = new_key("bench")
    head = TreeHead(view.id, view.incarnation, view.seq, bytes.fromhex(view.root))
    asked = Asked(ledger, frozenset(formats or FORMATS))
    export(conninfo, asked, target, Signed(key.sign(head.text), key.verifier), lambda *_: None)

    def verify() -> Report:
        with folder:
            return offline.verify(target, keys=[key.verifier])

    return verify


def checked(conninfo: str, ledger: str) -> Callable[[], Report]:
    """What checks the live ledger."""
    return lambda: live.check(conninfo, ledger)


def rate(audit: Callable[[], Report]) -> float:
    """Events a second of this process's own time: what one core does."""
    started = time.process_time()
    report = audit()
    seconds = time.process_time() - started
    assert report.ok, report
    return report.size / seconds
