"""Codes of vouchers: 80 bits that nobody can guess, in letters that nobody takes for others.

A code is an HMAC-SHA256 over the ledger and the voucher's name, so it is nowhere stored and can be made again
by whoever has the key, which lies outside the database. The book has the hash of it. The letters are
Crockford's base 32 (https://www.crockford.com/base32.html): no I, L, O or U.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LETTERS = 16
GROUP = 4
PURPOSE = "codes of vouchers"  # of the key

_MEANT = str.maketrans("OIL", "011", "- ")


def code_of(key: bytes, ledger: str, voucher: str) -> str:
    """The code of a voucher, `7Q2M-0X4K-9TRB-C1ZE`; `ledger` is the name among those of all tenants."""
    number = int.from_bytes(hmac.digest(key, f"{ledger}\n{voucher}".encode(), "sha256")[:10], "big")
    letters = "".join(ALPHABET[number >> shift & 31] for shift in range(5 * (LETTERS - 1), -1, -5))
    return "-".join(letters[at : at + GROUP] for at in range(0, LETTERS, GROUP))


def hash_of(code: str) -> str:
    """What the book knows of a code, however it was typed: hex SHA-256.

    Case, hyphens and blanks do not count; O is 0, I and L are 1. A wrong code costs what a right one does.
    """
    return sha256(code.upper().translate(_MEANT).encode("utf-8", "surrogatepass")).hexdigest()
