"""The folder of an export: written beside its place, hashed on the way, and put into its place whole.

Everything goes to `DIR.partial`. Its manifest is written last, everything is brought to disk, and then the
folder is renamed: so a folder at DIR is complete, however the export before it ended. A lock on the folder
keeps a second export out while the first one lives; what a dead one left behind is removed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

import msgspec

from projections.exports.source import ExportRefused

MANIFEST = "manifest.json"
OURS = frozenset(
    [
        "manifest.json",
        "events.jsonl",
        "balances.jsonl",
        "dictionary.json",
        "tlog",
        "csv",
        "parquet",
        "hledger",
        "beancount",
        "ads",
    ]
)
BUFFER = 1 << 18


class OutFile:
    """A file that is written once, front to back. `rows` is for the manifest, None: it has none."""

    def __init__(self, file: IO[bytes], path: str) -> None:
        self.path = path
        self.rows: int | None = None
        self._file = file
        self._digest = sha256()
        self._bytes = 0
        self.closed = False
        self.discarded = False

    def write(self, data: bytes) -> int:
        """Append; after `discard`, to nothing, because a writer of a format may be torn down late."""
        view = memoryview(data)
        if self.discarded:
            return view.nbytes
        self._digest.update(view)
        self._bytes += view.nbytes
        return self._file.write(view)

    def tell(self) -> int:
        """How many bytes were written."""
        return self._bytes

    def flush(self) -> None:
        """Pass on what is buffered."""
        if not self.closed:
            self._file.flush()

    def close(self) -> None:
        """No more will come."""
        if not self.closed:
            self.closed = True
            self._file.close()

    def discard(self) -> None:
        """The export failed, perhaps for want of room for what is still buffered."""
        self.discarded = True
        with suppress(OSError):
            self.close()

    def entry(self) -> dict[str, Any]:
        """Its line in the manifest."""
        line: dict[str, Any] = {"path": self.path, "bytes": self._bytes, "sha256": self._digest.hexdigest()}
        return line if self.rows is None else line | {"rows": self.rows}


class Folder:
    """The files of one export, for as long as it is being written."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._entries: list[dict[str, Any]] = []
        self._open: list[OutFile] = []

    def create(self, path: str) -> OutFile:
        """A new file; it is closed at the latest when the folder is finished."""
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        file = OutFile(place.open("xb", buffering=BUFFER), path)
        self._open.append(file)
        return file

    def whole(self, path: str, data: bytes) -> None:
        """A small file at once."""
        place = self._root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        self._entries.append({"path": path, "bytes": len(data), "sha256": sha256(data).hexdigest()})

    def finish(self, manifest: dict[str, Any]) -> str:
        """Write the manifest of all files, with theirs in it; answers its SHA-256 in hex."""
        for file in self._open:
            file.close()
            self._entries.append(file.entry())
        files = sorted(self._entries, key=lambda entry: str(entry["path"]))
        text = msgspec.json.format(msgspec.json.encode(manifest | {"files": files}), indent=2) + b"\n"
        # One sync for thousands of tiles; the manifest comes after it, because it vouches for them.
        os.sync()
        with (self._root / MANIFEST).open("xb") as last:
            last.write(text)
            last.flush()
            os.fsync(last.fileno())
        return sha256(text).hexdigest()

    def abandon(self) -> None:
        """Close what is open; nothing is written any more."""
        for file in self._open:
            file.discard()


@contextmanager
def new_folder(target: Path) -> Iterator[Folder]:
    """A folder that stands at `target` when the block ends, and nowhere when it raises (ExportRefused)."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportRefused(f"{target} exists and is not an empty folder.")
    partial = target.with_name(target.name + ".partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportRefused(f"{partial} cannot be made: {error.strerror}.") from error
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        _claim(partial, descriptor)
        folder = Folder(partial)
        try:
            yield folder
        except BaseException:
            folder.abandon()
            shutil.rmtree(partial)
            raise
        os.fsync(descriptor)
        partial.rename(target)
        _sync(target.parent)
    finally:
        os.close(descriptor)


def _claim(partial: Path, descriptor: int) -> None:
    """Take the lock and remove what an export that died left behind."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The export that held it may just have put this very folder into its place.
        current = os.stat(partial).st_ino == os.fstat(descriptor).st_ino
    except OSError:
        current = False
    if not current:
        raise ExportRefused(f"Another export is writing {partial}.")
    left = list(partial.iterdir())
    foreign = [place.name for place in left if place.name not in OURS]
    if foreign:
        raise ExportRefused(f"{partial} holds {foreign[0]}, which is not an export's: remove the folder.")
    for place in left:
        shutil.rmtree(place) if place.is_dir() else place.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
