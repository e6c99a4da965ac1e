"""The registry of beneficiaries: who the people are whom the book knows by a name of ours.

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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psycopg
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Meta, Struct
from psycopg_pool import ConnectionPool

from ledger.text import check_text, encode_canonical
from ledger.vault import Vault, VaultError
from sql import load as load_queries

QUERIES = load_queries("beneficiaries.sql")
FILE = "beneficiaries.key"
NEXT = f"{FILE}.next"
NONCE_BYTES = 12
KEY_BYTES = 32

_Text = Annotated[str, Meta(max_length=255)]


class Person(Struct, forbid_unknown_fields=True, kw_only=True):
    """Personal data, kept outside the book. `buffr_user`: their account there."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    id_number: _Text = ""
    phone: _Text = ""
    buffr_user: _Text = ""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_text(name, getattr(self, name))


class BeneficiaryView(Struct, frozen=True):
    """A registered person. `commitment`, which the book has, is HMAC-SHA256 under `salt` (hex)."""

    beneficiary: str
    name: str
    id_number: str
    phone: str
    buffr_user: str
    registered_at: datetime
    commitment: str
    salt: str


class BeneficiaryNotFound(LookupError):
    """Nobody of this name is registered."""


def commitment_of(person: Person, salt: bytes) -> str:
    """What the book has of a person: hex."""
    return hmac.digest(salt, encode_canonical(person), "sha256").hex()


class Registry:
    """The registry of an installation. Threads may share it."""

    def __init__(self, pool: ConnectionPool[Any], folder: Path) -> None:
        """`folder`: where the key outside the database lies."""
        self._pool = pool
        self._folder = folder

    def begin(self, tenant: str, ledger: str, *beneficiaries: str) -> Turn:
        """Wait until nobody else changes what is known of these people, here or in the book; then nobody may.

        `end` it. A process that dies ends it too.
        """
        turn = Turn(self._pool, self._folder, tenant, ledger)
        try:
            turn.begin(beneficiaries)
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
                for tenant, ledger, beneficiary, sealed in connection.execute(QUERIES["keys"]).fetchall():
                    owner = _owner(tenant, ledger, beneficiary)
                    key = fresh.seal(_open(self._folder, sealed, owner), owner)
                    named = {"tenant": tenant, "ledger": ledger, "beneficiary": beneficiary, "key": key}
                    count += connection.execute(QUERIES["reseal"], named).rowcount
        with old.open("r+b") as file:
            file.write(b"0" * old.stat().st_size)
            os.fsync(file.fileno())
        os.replace(new, old)
        return count

    def person(self, tenant: str, ledger: str, beneficiary: str) -> BeneficiaryView:
        """One person (BeneficiaryNotFound, VaultError)."""
        wanted = {"tenant": tenant, "ledger": ledger, "beneficiary": beneficiary}
        for found in self._read("person", wanted):
            return found
        raise BeneficiaryNotFound(beneficiary)

    def persons(self, tenant: str, ledger: str, after: str, limit: int) -> list[BeneficiaryView]:
        """People by name of ours, beyond `after` (VaultError)."""
        wanted = {"tenant": tenant, "ledger": ledger, "after": after, "limit": limit}
        return list(self._read("persons", wanted))

    @contextmanager
    def _working_for(self, tenant: str) -> Iterator[psycopg.Connection[Any]]:
        with self._pool.connection() as connection:
            connection.execute(QUERIES["work_for"], {"tenant": tenant})
            yield connection

    def _read(self, query: str, wanted: dict[str, Any]) -> Iterator[BeneficiaryView]:
        with self._working_for(wanted["tenant"]) as connection:
            rows = connection.execute(QUERIES[query], wanted).fetchall()
        for row in rows:
            yield _opened(self._folder, wanted, row)


class Turn:
    """What is known of some people, for whoever has begun a turn. Threads may share it one after another."""

    def __init__(self, pool: ConnectionPool[Any], folder: Path, tenant: str, ledger: str) -> None:
        """Takes a connection (psycopg.Error)."""
        self._pool = pool
        self._connection: psycopg.Connection[Any] = pool.getconn()
        self._folder = folder
        self._place = {"tenant": tenant, "ledger": ledger}

    def begin(self, beneficiaries: Iterable[str]) -> None:
        """Wait for the turn; in one order, so that no two wait for each other."""
        for name in sorted(beneficiaries):
            owner = _owner(self._place["tenant"], self._place["ledger"], name)
            self._connection.execute(QUERIES["begin"], {"owner": owner})
        self._connection.commit()

    def keep(self, people: Mapping[str, Person]) -> dict[str, str]:
        """Store people's data; each one's commitment, the same while the data are the same (VaultError)."""
        with self._connection.transaction():
            self._connection.execute(QUERIES["work_for"], self._place)
            # Which key is in force is looked up under a lock that a rotation waits for.
            self._connection.execute(QUERIES["lock"])
            vault = _in_force(self._folder)
            return {name: self._keep(vault, name, person) for name, person in people.items()}

    def _keep(self, vault: Vault, beneficiary: str, person: Person) -> str:
        whose = {**self._place, "beneficiary": beneficiary}
        for row in self._connection.execute(QUERIES["person"], whose).fetchall():
            found = _opened(self._folder, whose, row)
            if _person(found) == person:
                return found.commitment
        salt, key = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)
        commitment = commitment_of(person, salt)
        owner = _owner(whose["tenant"], whose["ledger"], beneficiary)
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

    def erase(self, beneficiary: str) -> None:
        """Destroy a person's data, key and salt; it may be done already."""
        with self._connection.transaction():
            self._connection.execute(QUERIES["work_for"], self._place)
            self._connection.execute(QUERIES["erase"], {**self._place, "beneficiary": beneficiary})

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


def _opened(folder: Path, whose: Mapping[str, Any], row: tuple[Any, ...]) -> BeneficiaryView:
    beneficiary, registered_at, commitment, sealed_key, sealed = row
    owner = _owner(whose["tenant"], whose["ledger"], beneficiary)
    key = bytes.fromhex(_open(folder, sealed_key, owner))
    nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    kept = msgspec.json.decode(AESGCM(key).decrypt(nonce, rest, owner.encode()), type=_Kept)
    person = {name: getattr(kept.person, name) for name in Person.__struct_fields__}
    return BeneficiaryView(
        beneficiary=beneficiary,
        registered_at=registered_at,
        commitment=commitment,
        salt=kept.salt,
        **person,
    )


class _Kept(Struct):
    person: Person
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


def _person(view: BeneficiaryView) -> Person:
    return Person(**{name: getattr(view, name) for name in Person.__struct_fields__})


def _owner(tenant: str, ledger: str, beneficiary: str) -> str:
    return f"beneficiary:{tenant}/{ledger}/{beneficiary}"
