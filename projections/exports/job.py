"""An export as a job: asked for over the API, made by whoever runs jobs, into a folder of that machine.

Everything that the export is of is settled when it is asked for, the signed tree head among it: so a job that
is taken up again by another process makes the same export, and needs no key.
"""

from __future__ import annotations

from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ledger.errors import LedgerNotFound
from ledger.notes import verifier_key
from projections.exports.export import Asked, Signed, export
from projections.exports.folder import MANIFEST
from projections.exports.source import ExportRefused
from projections.jobs import JobFailed, Task

KIND = "export"


def parameters(asked: Asked, signed: Signed, folder: Path) -> dict[str, Any]:
    """The job's parameters, as JSON has them."""
    return {
        "ledger": asked.ledger,
        "formats": sorted(asked.formats),
        "from": None if asked.first is None else asked.first.isoformat(),
        "to": None if asked.last is None else asked.last.isoformat(),
        "tree_head": signed.note,
        "verifier_key": str(signed.verifier),
        "folder": str(folder),
    }


def run(task: Task) -> dict[str, Any]:
    """Parameters: see `parameters`. Result: folder, seq, files, bytes, and the manifest's SHA-256 in hex.

    Progress is in events: those of the book, then those of the journals.
    """
    given = task.parameters
    folder = Path(given["folder"])
    # It will hold all that a ledger knows.
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Finished by a process that died before it could say so.
    if not (folder / MANIFEST).exists():
        asked = Asked(
            given["ledger"], frozenset(given["formats"]), *(_day(given[name]) for name in ("from", "to"))
        )
        signed = Signed(given["tree_head"], verifier_key(given["verifier_key"]))
        book = 0

        def progress(what: str, done: int, total: int) -> None:
            nonlocal book
            if what == "events":
                book = total
                task.report(done, total)
            else:
                task.report(book + done, book + total)

        try:
            export(task.conninfo, asked, folder, signed, progress)
        except ExportRefused as error:
            raise JobFailed(str(error)) from error
        except LedgerNotFound as error:
            raise JobFailed(f"There is no ledger {error}.") from error
        except OSError as error:
            raise JobFailed(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    text = (folder / MANIFEST).read_bytes()
    manifest = msgspec.json.decode(text)
    return {
        "folder": str(folder),
        "seq": manifest["seq"],
        "files": len(manifest["files"]),
        "bytes": sum(file["bytes"] for file in manifest["files"]),
        "manifest_sha256": sha256(text).hexdigest(),
    }


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
