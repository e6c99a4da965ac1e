"""Secrets at rest: sealed with a key that lies in a file outside the database.

Whoever reads the database, or a copy of it, cannot sign in anybody's name. The key is made when it is first
needed; processes on other machines need the same file. AES-256-GCM, bound to its owner: the subscription or
the endpoint that it is for.
"""

from __future__ import annotations

import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_FILE = "webhooks.key"
KEY_BYTES = 32
NONCE_BYTES = 12


class VaultError(RuntimeError):
    """A secret cannot be sealed or opened; the message says why, and nothing of the secret."""


class Vault:
    """The key in a folder. Nothing is read or made before it is needed. Threads may share it."""

    def __init__(self, folder: Path, name: str = KEY_FILE, *, make: bool = True) -> None:
        """`make`: a key that is not there is made; else that is a VaultError."""
        self._path = folder / name
        self._may_make = make
        self._key: bytes | None = None

    def seal(self, secret: str, owner: str) -> bytes:
        """A secret as it is stored (VaultError)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._read()).encrypt(nonce, secret.encode(), owner.encode())

    def open(self, sealed: bytes, owner: str) -> str:
        """A stored secret (VaultError)."""
        try:
            nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return AESGCM(self._read()).decrypt(nonce, rest, owner.encode()).decode()
        except InvalidTag:
            raise VaultError(f"the secret was sealed with another key than {self._path}") from None

    def derive(self, purpose: str) -> bytes:
        """A key of its own for a purpose, always the same one (VaultError)."""
        return hmac.digest(self._read(), f"daybook {purpose}".encode(), "sha256")

    def _read(self) -> bytes:
        if self._key is None:
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                if self._may_make and not self._path.exists():
                    self._make()
                if self._path.stat().st_mode & 0o077:
                    raise VaultError(f"the key {self._path} can be read by others: chmod 600 it")
                key = bytes.fromhex(self._path.read_text(encoding="ascii").strip())
            except OSError as error:
                raise VaultError(f"the key {self._path} cannot be used: {error.strerror}") from error
            except ValueError:
                key = b""
            if len(key) != KEY_BYTES:
                raise VaultError(f"the key {self._path} is not {KEY_BYTES} bytes in hex")
            self._key = key
        return self._key

    def _make(self) -> None:
        """Whole and on disk before it has its name; of two processes that make one, the first one's stays."""
        made = self._path.with_name(f"{self._path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, secrets.token_hex(KEY_BYTES).encode() + b"\n")
            os.fsync(descriptor)
            with suppress(FileExistsError):
                os.link(made, self._path)
        finally:
            os.close(descriptor)
            os.unlink(made)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
