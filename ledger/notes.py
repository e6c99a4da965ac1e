"""Signed notes and signed tree heads (C2SP signed-note and tlog-checkpoint): text that says who said it.

A note is a text, an empty line, and a signature line for each key. A tree head's text is three lines: the
origin, which names a ledger and its incarnation, the size, and the root. Keys are written as the tools of
Go's checksum database write them: `name+id+base64` for the public one, `PRIVATE+KEY+name+id+base64` for the
private one. Parsing is strict: what is not exactly in the form raises NoteError.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = b"\x01"
LONGEST = 1_000_000
MOST_SIGNATURES = 100

_NAME = r"[^\s+]+"
_PUBLIC = re.compile(rf"({_NAME})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/=]+)")
_PRIVATE = re.compile(rf"PRIVATE\+KEY\+({_NAME})\+([0-9a-f]{{8}})\+([A-Za-z0-9+/=]+)")
_SIGNATURE = re.compile(rf"— ({_NAME}) ([A-Za-z0-9+/=]+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_TREE_HEAD = re.compile(
    r"daybook/([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/([1-9][0-9]{0,9})\n"
    r"(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n"
)


class NoteError(ValueError):
    """A note, a key or a tree head is not what it must be; the message is a clause that says why."""


class VerifierKey(NamedTuple):
    """A public Ed25519 key, its name, and the id that the two have together."""

    name: str
    id: bytes
    public: bytes

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{b64encode(ED25519 + self.public).decode()}"


class SigningKey:
    """A private Ed25519 key and its name."""

    def __init__(self, name: str, seed: bytes) -> None:
        """`seed` is the 32 bytes of RFC 8032 (NoteError)."""
        if not re.fullmatch(_NAME, name):
            raise NoteError("a key's name has no space and no +")
        if len(seed) != 32:
            raise NoteError("an Ed25519 key has 32 bytes")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        public = self._private.public_key().public_bytes_raw()
        self.verifier = VerifierKey(name, _key_id(name, public), public)

    def encode(self) -> str:
        """PRIVATE+KEY+name+id+base64: to be kept secret."""
        key = b64encode(ED25519 + self._private.private_bytes_raw()).decode()
        return f"PRIVATE+KEY+{self.verifier.name}+{self.verifier.id.hex()}+{key}"

    def sign(self, text: str) -> str:
        """The note of a text, which ends in a newline (NoteError)."""
        if not text.endswith("\n") or _CONTROL.search(text):
            raise NoteError("a note's text ends in a newline and has no other control character")
        signature = b64encode(self.verifier.id + self._private.sign(text.encode())).decode()
        return f"{text}\n— {self.verifier.name} {signature}\n"


def new_key(name: str) -> SigningKey:
    """A new key out of the system's random source."""
    return SigningKey(name, Ed25519PrivateKey.generate().private_bytes_raw())


def signing_key(encoded: str) -> SigningKey:
    """The key that `SigningKey.encode` wrote (NoteError)."""
    found = _PRIVATE.fullmatch(encoded)
    if found is None:
        raise NoteError("it is not of the form PRIVATE+KEY+name+id+key")
    key = SigningKey(found[1], _key_bytes(found[3]))
    if key.verifier.id.hex() != found[2]:
        raise NoteError("the id is not that of the name and the key")
    return key


def verifier_key(encoded: str) -> VerifierKey:
    """A public key of the form name+id+base64 (NoteError)."""
    found = _PUBLIC.fullmatch(encoded)
    if found is None:
        raise NoteError("it is not of the form name+id+key")
    public = _key_bytes(found[3])
    if _key_id(found[1], public).hex() != found[2]:
        raise NoteError("the id is not that of the name and the key")
    return VerifierKey(found[1], bytes.fromhex(found[2]), public)


def open_note(note: str | bytes, keys: Sequence[VerifierKey]) -> str:
    """The text of a note that at least one of the keys signed, with its final newline.

    Signatures of other keys are passed over; a wrong one of a known key makes the note worthless (NoteError).
    """
    text, signatures = _split(note)
    known = {(key.name, key.id): key for key in keys}
    signed = False
    for name, signature in signatures:
        key = known.get((name, signature[:4]))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature[4:], text.encode())
        except InvalidSignature:
            raise NoteError(f"the signature of {name} is not that of this text") from None
        signed = True
    if not signed:
        raise NoteError(f"none of these keys signed it: {', '.join(map(str, keys)) or 'none was given'}")
    return text


# ---------------------------------------------------------------- tree heads


class TreeHead(NamedTuple):
    """What a ledger's tree is: `ledger` is its public id, `size` the seq of the last event in it."""

    ledger: str
    incarnation: int
    size: int
    root: bytes

    @property
    def origin(self) -> str:
        """The first line: whose tree head it is."""
        return f"daybook/{self.ledger}/{self.incarnation}"

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


def tree_head(text: str) -> TreeHead:
    """The tree head of a note's text (NoteError)."""
    found = _TREE_HEAD.fullmatch(text)
    if found is None:
        raise NoteError("it is not a tree head: daybook/LEDGER/INCARNATION, size and root on three lines")
    if str(UUID(found[1])) != found[1]:
        raise NoteError("the ledger's id is not a UUID")
    return TreeHead(found[1], int(found[2]), int(found[3]), _base64(found[4]))


def open_tree_head(note: str | bytes, keys: Sequence[VerifierKey]) -> TreeHead:
    """The tree head of a note that at least one of the keys signed (NoteError)."""
    return tree_head(open_note(note, keys))


# ---------------------------------------------------------------- within


def _split(note: str | bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Text, and (name, id and signature) of each signature line."""
    if len(note) > LONGEST:
        raise NoteError("it is too long for a note")
    try:
        whole = note.decode() if isinstance(note, bytes) else note
        whole.encode()
    except UnicodeError:
        raise NoteError("it is not UTF-8") from None
    if _CONTROL.search(whole):
        raise NoteError("it has a control character")
    end = whole.rfind("\n\n")
    if end < 0 or not whole.endswith("\n") or end + 2 == len(whole):
        raise NoteError("it is not a text, an empty line and signature lines")
    lines = whole[end + 2 : -1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise NoteError("it has too many signatures")
    return whole[: end + 1], [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes]:
    found = _SIGNATURE.fullmatch(line)
    if found is None:
        raise NoteError("a line behind the empty line is not a signature")
    signature = _base64(found[2])
    if len(signature) < 5:
        raise NoteError("a signature is too short")
    return found[1], signature


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + ED25519 + public).digest()[:4]


def _key_bytes(encoded: str) -> bytes:
    key = _base64(encoded)
    if key[:1] != ED25519 or len(key) != 33:
        raise NoteError("it is not an Ed25519 key")
    return key[1:]


def _base64(encoded: str) -> bytes:
    """Decoded; only the one encoding that the bytes have."""
    try:
        decoded = b64decode(encoded, validate=True)
    except binascii.Error:
        raise NoteError("it is not base64") from None
    if b64encode(decoded).decode() != encoded:
        raise NoteError("it is not base64")
    return decoded
