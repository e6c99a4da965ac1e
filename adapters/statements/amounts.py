"""Amounts and dates as statements write them, to minor units exactly."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import date, datetime

MAX_AMOUNT = 2**63 - 1
_DECIMAL = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?\Z")


class StatementError(Exception):
    """What in a statement cannot be read, in one sentence with the line or element."""


def minor_units(text: str, asset: str) -> int:
    """Minor units of a decimal number: exactly, or ValueError. `asset` is a code with its scale."""
    scale = int(asset.rpartition("/")[2])
    found = _DECIMAL.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a decimal number")
    sign, whole, fraction = found[1], found[2], (found[3] or "")
    if fraction[scale:].strip("0"):
        raise ValueError(f"{text!r} has more decimals than {asset}")
    amount = int(whole + fraction[:scale].ljust(scale, "0"))
    if amount > MAX_AMOUNT:
        raise ValueError(f"{text!r} is too large")
    return -amount if sign == "-" else amount


def asset_of(currency: str, assets: Mapping[str, str]) -> str:
    """The ledger's asset of a currency (ValueError)."""
    asset = assets.get(currency)
    if asset is None:
        raise ValueError(f"the ledger has no asset of the currency {currency!r}")
    return asset


def iso_day(text: str) -> str:
    """The calendar day of an ISO date, or of an ISO moment as it is written (ValueError)."""
    text = text.strip()
    if len(text) > 10 and text[10] == "T":
        return day_of(datetime.fromisoformat(text).date())
    # A date of XML may carry an offset, which moves no day.
    return day_of(date.fromisoformat(re.sub(r"(Z|[+-][0-9]{2}:[0-9]{2})\Z", "", text)))


def day_of(day: date) -> str:
    """A day as items have it; one that no bank of ours has booked on is a mistake (ValueError)."""
    if not 1900 <= day.year < 3000:
        raise ValueError(f"the year {day.year} is not between 1900 and 2999")
    return day.isoformat()


def one_line(text: str, most: int) -> str:
    """Text without control characters and runs of blanks, in the one normal form, at most so long."""
    plain = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return unicodedata.normalize("NFC", " ".join(plain.split()))[:most].rstrip()
