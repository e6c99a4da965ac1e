"""The registry of people: who they are whom the book knows by a name of ours, as a beneficiary above all.

Each person's data are encrypted under a key of their own, which is sealed with a key outside the database.
That key can be rotated, so that what backups hold opens no more. The book has a commitment: HMAC-SHA256 of
the canonical data under a salt that lies with the data. To erase somebody is to delete their row: key, salt
and data are gone, and nothing in the book changes.

Registry and book tell the same: who is registered is stored before the book commits to them, who is erased is
erased in the book before their data are destroyed, and one at a time does either with a person, in a turn.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
import psycopg
from anyio import CancelScope, to_thread
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Raw, Struct
from psycopg_pool import ConnectionPool

from ledger.text import check_text, encode_canonical
from ledger.vault import Vault, VaultError
from sql import load as load_queries

QUERIES = load_queries("persons.sql")
FILE = "beneficiaries.key"
NEXT = f"{FILE}.next"
NONCE_BYTES = 12
KEY_BYTES = 32

_Text = Annotated[str, Meta(max_length=255)]
T = TypeVar("T")


class Person(Struct, forbid_unknown_fields=True, kw_only=True):
    """Personal data, kept outside the book. `buffr_user`: their account there."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    id_number: _Text = ""
    phone: _Text = ""
    buffr_user: _Text = ""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_text(name, getattr(self, name))


class Kind(NamedTuple, Generic[T]):
    """As what the book knows people, and what is known of them."""

    name: str
    type: type[T]


BENEFICIARY = Kind("beneficiary", Person)


class Kept(Struct, Generic[T], frozen=True):
    """A registered person. `commitment`, which the book has, is HMAC-SHA256 under `salt` (hex)."""

    name: str
    registered_at: datetime
    commitment: str
    salt: str
    person: T


class PersonNotFound(LookupError):
    """Nobody of this name is registered."""


def commitment_of(person: object, salt: bytes) -> str:
    """What the book has of a person: hex."""
    return hmac.digest(salt, encode_canonical(person), "sha256").hex()


class Registry:
    """The registry of an installation. Threads may share it."""

    def __init__(self, pool: ConnectionPool[Any], folder: Path) -> None:
        """`folder`: where the key outside the database lies."""
        self._pool = pool
        self._folder = folder

    def begin(self, tenant: str, ledger: str, kind: Kind[T], *names: str) -> Turn[T]:
        """Wait until nobody else changes what is known of these people, here or in the book; then nobody may.

        `end` it. A process that dies ends it too.
        """
        turn = Turn(self._pool, self._folder, tenant, ledger, kind)
        try:
            turn.begin(names)
        except BaseException:
            turn.end()
            raise
        return turn

    def rotate(self) -> int:
        """Seal every person's key with a new one, and destroy the old one; how many (VaultError, OSError).

        The new key is on disk before anything is sealed with it, and the old one is destroyed after the
        commit, so a run that is killed can be run again.
        """
        old, new = self._folder / FILE, self._folder / NEXT
        _in_force(self._folder).derive("rotation")  # there must be one
        with self._pool.connection() as connection:
            fresh = Vault(self._folder, NEXT)
            fresh.derive("rotation")  # makes it
            connection.execute(QUERIES["lock_all"])
            count = 0
            for (whose,) in connection.execute(QUERIES["tenants"]).fetchall():
                connection.execute(QUERIES["work_for"], {"tenant": whose})
                for tenant, ledger, kind, name, sealed in connection.execute(QUERIES["keys"]).fetchall():
                    owner = _owner(tenant, ledger, kind, name)
                    key = fresh.seal(_open(self._folder, sealed, owner), owner)
                    named = {"tenant": tenant, "ledger": ledger, "kind": kind, "person": name, "key": key}
                    count += connection.execute(QUERIES["reseal"], named).rowcount
        with old.open("r+b") as file:
            file.write(b"0" * old.stat().st_size)
            os.fsync(file.fileno())
        os.replace(new, old)
        return count

    def person(self, tenant: str, ledger: str, kind: Kind[T], name: str) -> Kept[T]:
        """One person (PersonNotFound, VaultError)."""
        wanted = {"tenant": tenant, "ledger": ledger, "kind": kind.name, "person": name}
        for found in self._read("person", kind, wanted):
            return found
        raise PersonNotFound(name)

    def persons(self, tenant: str, ledger: str, kind: Kind[T], after: str, limit: int) -> list[Kept[T]]:
        """People by name of ours, beyond `after` (VaultError)."""
        wanted = {"tenant": tenant, "ledger": ledger, "kind": kind.name, "after": after, "limit": limit}
        return list(self._read("persons", kind, wanted))

    @contextmanager
    def _working_for(self, tenant: str) -> Iterator[psycopg.Connection[Any]]:
        with self._pool.connection() as connection:
            connection.execute(QUERIES["work_for"], {"tenant": tenant})
            yield connection

    def _read(self, query: str, kind: Kind[T], wanted: dict[str, Any]) -> Iterator[Kept[T]]:
        with self._working_for(wanted["tenant"]) as connection:
            rows = connection.execute(QUERIES[query], wanted).fetchall()
        for row in rows:
            yield _opened(self._folder, kind, wanted, row)


class Turn(Generic[T]):
    """What is known of some people, for whoever has begun a turn. Threads may share it one after another."""

    def __init__(
        self, pool: ConnectionPool[Any], folder: Path, tenant: str, ledger: str, kind: Kind[T]
    ) -> None:
        """Takes a connection (psycopg.Error)."""
        self._pool = pool
        self._connection: psycopg.Connection[Any] = pool.getconn()
        self._folder = folder
        self._kind = kind
        self._place = {"tenant": tenant, "ledger": ledger, "kind": kind.name}

    def begin(self, names: Iterable[str]) -> None:
        """Wait for the turn; in one order, so that no two wait for each other."""
        for name in sorted(names):
            owner = self._owner(name)
            self._connection.execute(QUERIES["begin"], {"owner": owner})
        self._connection.commit()

    def known(self, name: str, person: T) -> str:
        """The commitment to a person's data, if these are what is kept; else nothing (VaultError)."""
        with self._connection.transaction():
            self._connection.execute(QUERIES["work_for"], self._place)
            return self._known({**self._place, "person": name}, person)

    def _known(self, whose: dict[str, str], person: T) -> str:
        for row in self._connection.execute(QUERIES["person"], whose).fetchall():
            found = _opened(self._folder, self._kind, whose, row)
            if found.person == person:
                return found.commitment
        return ""

    def keep(self, people: Mapping[str, T]) -> dict[str, str]:
        """Store people's data; each one's commitment, the same while the data are the same (VaultError)."""
        with self._connection.transaction():
            self._connection.execute(QUERIES["work_for"], self._place)
            # Which key is in force is looked up under a lock that a rotation waits for.
            self._connection.execute(QUERIES["lock"])
            vault = _in_force(self._folder)
            return {name: self._keep(vault, name, person) for name, person in people.items()}

    def _keep(self, vault: Vault, name: str, person: T) -> str:
        whose = {**self._place, "person": name}
        kept = self._known(whose, person)
        if kept:
            return kept
        salt, key = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
        commitment = commitment_of(person, salt)
        owner = self._owner(name)
        nonce = secrets.token_bytes(NONCE_BYTES)
        plain = msgspec.json.encode({"person": person, "salt": salt.hex()})
        row = {
            **whose,
            "commitment": commitment,
            "sealed": nonce + AESGCM(key).encrypt(nonce, plain, owner.encode()),
            "key": vault.seal(key.hex(), owner),
        }
        self._connection.execute(QUERIES["keep"], row)
        return commitment

    def erase(self, name: str) -> None:
        """Destroy a person's data, key and salt; it may be done already."""
        with self._connection.transaction():
            self._connection.execute(QUERIES["work_for"], self._place)
            self._connection.execute(QUERIES["erase"], {**self._place, "person": name})

    def _owner(self, name: str) -> str:
        place = self._place
        return _owner(place["tenant"], place["ledger"], place["kind"], name)

    def end(self) -> None:
        """Let others have their turn."""
        try:
            self._connection.rollback()
            self._connection.execute(QUERIES["end"])
            self._connection.commit()
        except psycopg.Error:
            self._connection.close()  # which ends it too
        finally:
            self._pool.putconn(self._connection)


@asynccontextmanager
async def turn_of(
    registry: Registry, tenant: str, ledger: str, kind: Kind[T], name: str
) -> AsyncIterator[Turn[T]]:
    """A turn with a person, for a coroutine; it ends with the block."""
    turn = await to_thread.run_sync(registry.begin, tenant, ledger, kind, name)
    try:
        yield turn
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(turn.end)


def _opened(folder: Path, kind: Kind[T], whose: Mapping[str, Any], row: tuple[Any, ...]) -> Kept[T]:
    name, registered_at, commitment, sealed_key, sealed = row
    owner = _owner(whose["tenant"], whose["ledger"], kind.name, name)
    key = bytes.fromhex(_open(folder, sealed_key, owner))
    nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    kept = msgspec.json.decode(AESGCM(key).decrypt(nonce, rest, owner.encode()), type=_Kept)
    person = msgspec.json.decode(kept.person, type=kind.type)
    return Kept(name, registered_at, commitment, kept.salt, person)


class _Kept(Struct):
    person: Raw
    salt: str


def _in_force(folder: Path) -> Vault:
    """The key that is sealed with now: the new one, while a rotation is under way."""
    return Vault(folder, NEXT, make=False) if (folder / NEXT).exists() else Vault(folder, FILE)


def _open(folder: Path, sealed: bytes, owner: str) -> str:
    """A person's key, whichever of a rotation's keys it is sealed with (VaultError)."""
    for name in (NEXT, FILE, FILE):  # once more, when a rotation has ended in between
        try:
            return Vault(folder, name, make=False).open(sealed, owner)
        except VaultError as error:
            failure = error
    raise failure


def _owner(tenant: str, ledger: str, kind: str, name: str) -> str:
    return f"{kind}:{tenant}/{ledger}/{name}"
