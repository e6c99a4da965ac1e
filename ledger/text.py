"""Canonical text: the bytes that are hashed, and the moments and strings that stand in them.

The canonical form of an event is JSON with keys sorted by code point, no white space, UTF-8, amounts as digit
strings and UTC moments with six decimals, so that anybody can re-derive it from the parsed value with a
standard JSON library and compare byte for byte.

Inside Daybook a moment is an integer: microseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000

DEFAULT_TENANT = "default"

ADDRESS_PATTERN = r"^[A-Za-z0-9_.\-]+(:[A-Za-z0-9_.\-]+)*\Z"
ASSET_PATTERN = r"^[A-Za-z][A-Za-z0-9_.\-]*/(0|[1-9]|1[0-8])\Z"

_canonical = msgspec.json.Encoder(order="sorted")
encode_canonical = _canonical.encode

_address = re.compile(ADDRESS_PATTERN)


def whose(ledger: str) -> tuple[str, str]:
    """Tenant and name of a ledger: `acme/main` is main of acme, `main` is that of the default tenant."""
    tenant, _, name = ledger.rpartition("/")
    return tenant or DEFAULT_TENANT, name


def of_all(tenant: str, name: str) -> str:
    """A ledger as it is named among those of all tenants."""
    return name if tenant == DEFAULT_TENANT else f"{tenant}/{name}"


def is_address(text: str) -> bool:
    """Whether `text` is an account address: segments of letters, digits, `_`, `.`, `-`, joined by `:`."""
    return len(text) <= 255 and _address.match(text) is not None


def micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    return (moment - EPOCH) // MICROSECOND


def moment(us: int) -> datetime:
    """The aware UTC datetime of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=us)


@lru_cache(maxsize=4096)
def iso(us: int) -> str:
    """`2026-11-20T10:00:00.000000Z`: UTC, always six decimals."""
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def from_iso(text: str) -> int:
    """The inverse of `iso`."""
    return micros(datetime.fromisoformat(text))


def check_text(field: str, text: str) -> None:
    """Refuse, naming the field, what PostgreSQL cannot store or what has two spellings (ValueError)."""
    if "\x00" in text:
        raise ValueError(f"`{field}` contains the NUL character")
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        raise ValueError(f"`{field}` is not in Unicode normalization form NFC")


def check_metadata(metadata: dict[str, str]) -> None:
    """`check_text` for every name and value (ValueError)."""
    for name, value in metadata.items():
        check_text("metadata", name)
        check_text(f"metadata.{name}", value)


def check_texts(field: str, value: object) -> None:
    """`check_text` for every text in a value, however deep (ValueError)."""
    if isinstance(value, str):
        check_text(field, value)
    elif isinstance(value, dict):
        for pair in value.items():
            check_texts(field, pair)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_texts(field, inner)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            check_texts(field, getattr(value, name))


def of_currency(amount: int, asset: str) -> msgspec.Raw:
    """Minor units as a JSON number of the currency: 1250 of `NAD/2` is 12.50."""
    places = int(asset.rpartition("/")[2])
    whole, part = divmod(abs(amount), 10**places)
    text = f"{whole}.{part:0{places}d}" if places else str(whole)
    return msgspec.Raw(f"-{text}" if amount < 0 else text)
