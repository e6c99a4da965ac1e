"""What must outlive the database, in a folder outside it: the signing key, and the last signed tree heads.

`tree-head.key` is the private key, made when it is first needed unless another file is named; readable by its
owner alone. `tree-heads/<ledger>/<incarnation>` is the last signed tree head of each life of each ledger: a
database that is restored from an old backup, or exchanged, is not what it says. So no backup of the database
may carry this folder along. Files are written whole or not at all, and never go back to a smaller tree.

Several processes may share the folder: a lock on it makes each change one step.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import NamedTuple

from ledger.notes import (
    NoteError,
    SigningKey,
    TreeHead,
    VerifierKey,
    new_key,
    open_tree_head,
    signing_key,
)

KEY_FILE = "tree-head.key"
TREE_HEADS = "tree-heads"


class KeepingError(RuntimeError):
    """The folder cannot be used as it is; the message is a sentence for the person at the console."""


class Kept(NamedTuple):
    """A signed tree head."""

    head: TreeHead
    note: str


class Keeping:
    """The folder of one installation. Nothing is read or made before it is needed. Threads may share it."""

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        """`key_file`: a private key of the caller's, which must exist, instead of one made here."""
        self.folder = folder
        self._given = key_file
        self._key: SigningKey | None = None

    # ------------------------------------------------------------ the key

    def key(self) -> SigningKey:
        """The signing key, made if there is none and none was given (KeepingError)."""
        if self._key is None:
            path = self._given or self.folder / KEY_FILE
            if self._given is None and not path.exists():
                self._make_key(path)
            self._key = _read_key(path)
        return self._key

    def verifier(self) -> VerifierKey:
        """The public key (KeepingError)."""
        return self.key().verifier

    def _make_key(self, path: Path) -> None:
        key = new_key(f"daybook-{secrets.token_hex(4)}")
        with _sentences(path), self._locked():
            if any((self.folder / TREE_HEADS).iterdir()) and not path.exists():
                raise KeepingError(
                    f"The signing key {path} is missing, and there are tree heads signed by it: put it back."
                )
            if not path.exists():
                _write(path, f"{key.encode()}\n")

    # ------------------------------------------------------------ tree heads

    def sign(self, head: TreeHead) -> str:
        """The note of a tree head that was committed (KeepingError)."""
        return self.key().sign(head.text)

    def keep(self, head: TreeHead) -> Kept:
        """Sign and keep a tree head that was committed, unless a later one of the same life is kept.

        It is on disk when this returns (KeepingError).
        """
        signed = Kept(head, self.sign(head))
        path = self._path(head.ledger, head.incarnation)
        with _sentences(path), self._locked():
            kept = self._read(path) if path.exists() else None
            if kept is None or kept.head.size < head.size:
                if not path.parent.exists():
                    path.parent.mkdir(mode=0o700)
                    _sync_folder(path.parent.parent)
                _write(path, signed.note)
        return signed

    def latest(self, ledger: str) -> Kept | None:
        """The kept tree head of a ledger's latest life that there is one of (KeepingError)."""
        lives = self.lives(ledger)
        return lives[-1] if lives else None

    def lives(self, ledger: str) -> list[Kept]:
        """The kept tree heads of one ledger, by incarnation (KeepingError)."""
        return self._read_all([self.folder / TREE_HEADS / ledger])

    def everything(self) -> list[Kept]:
        """Every kept tree head, by ledger and incarnation (KeepingError)."""
        with _sentences(self.folder):
            return self._read_all((self.folder / TREE_HEADS).glob("*"))

    def _read_all(self, folders: Iterable[Path]) -> list[Kept]:
        with _sentences(self.folder):
            paths = [path for folder in folders for path in folder.glob("*") if path.suffix != ".new"]
            kept = [self._read(path) for path in paths]
        return sorted(kept, key=lambda kept: (kept.head.ledger, kept.head.incarnation))

    def _read(self, path: Path) -> Kept:
        note = path.read_text(encoding="utf-8")
        try:
            kept = Kept(open_tree_head(note, [self.verifier()]), note)
        except NoteError as error:
            raise KeepingError(
                f"The kept tree head {path} cannot be relied on: {error}. If the key was exchanged, put the "
                "former one back; if the file is damaged, move it away and run `daybook audit check`."
            ) from None
        if path != self._path(kept.head.ledger, kept.head.incarnation):
            raise KeepingError(f"The kept tree head {path} is another ledger's: {kept.head.origin}.")
        return kept

    def _path(self, ledger: str, incarnation: int) -> Path:
        return self.folder / TREE_HEADS / ledger / str(incarnation)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        for folder in (self.folder, self.folder / TREE_HEADS):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read_key(path: Path) -> SigningKey:
    with _sentences(path):
        status, encoded = path.stat(), path.read_text(encoding="utf-8")
    if status.st_mode & 0o077:
        raise KeepingError(f"The signing key {path} can be read by others: `chmod 600` it.")
    try:
        return signing_key(encoded.strip())
    except NoteError as error:
        raise KeepingError(f"The signing key {path} cannot be used: {error}.") from None


def _write(path: Path, text: str) -> None:
    """Whole and on disk, or not at all; readable by its owner alone, from the first moment."""
    descriptor, name = mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".new")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Put on disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise KeepingError(
            f"{error.filename or path} cannot be used: {error.strerror}. DAYBOOK_KEYS names another folder."
        ) from error
    except UnicodeDecodeError:
        raise KeepingError(f"{path} is not text.") from None
