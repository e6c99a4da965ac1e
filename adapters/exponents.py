"""How providers count money: apart from ISO 4217, which says how our assets do.

An amount of a provider is in units of 10^-`sent`; ours in units of 10^-`scale`. `step` is what amounts are
multiples of. By (provider, currency, operation), because one provider counts one currency in several ways.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Exponent(NamedTuple):
    """How amounts of a currency are sent, and how an asset of it counts."""

    sent: int
    scale: int
    step: int = 1


class NotWhole(ValueError):
    """An amount that the currency does not have: the message says which."""


_WHOLE = ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF")
_THREE = ("BHD", "JOD", "KWD", "OMR", "TND")

TABLE: dict[tuple[str, str, str], Exponent] = {
    # docs.stripe.com/currencies. An empty operation stands for all that have no row of their own.
    **{("stripe", currency, ""): Exponent(0, 0) for currency in _WHOLE},
    **{("stripe", currency, ""): Exponent(3, 3, 10) for currency in _THREE},
    ("stripe", "MGA", ""): Exponent(0, 2),
    ("stripe", "UGX", ""): Exponent(2, 0, 100),
    ("stripe", "ISK", ""): Exponent(2, 0, 100),
    ("stripe", "HUF", "payout"): Exponent(2, 2, 100),
    ("stripe", "TWD", "payout"): Exponent(2, 2, 100),
    # Of the currency itself, as ISO 4217 has it.
    **{("caas", currency, ""): Exponent(0, 0) for currency in (*_WHOLE, "ISK", "UGX")},
    **{("caas", currency, ""): Exponent(3, 3) for currency in (*_THREE, "IQD", "LYD")},
}
_USUAL = Exponent(2, 2)


def exponent(provider: str, currency: str, operation: str) -> Exponent:
    """The row for an operation, else for the currency, else hundredths. `currency` in capitals."""
    found = TABLE.get((provider, currency, operation)) or TABLE.get((provider, currency, ""))
    return found or _USUAL


def asset_of(provider: str, currency: str) -> str:
    """The asset of a currency: `USD/2`."""
    return f"{currency}/{exponent(provider, currency, '').scale}"


def minor(provider: str, currency: str, operation: str, amount: int) -> int:
    """A provider's amount in minor units of our asset, signed (NotWhole)."""
    row = exponent(provider, currency, operation)
    if amount % row.step:
        raise NotWhole(f"{amount} of {currency} is not a multiple of {row.step}, as {operation}s are")
    if row.scale >= row.sent:
        return amount * int(10 ** (row.scale - row.sent))
    return amount // int(10 ** (row.sent - row.scale))


def sent(provider: str, asset: str, operation: str, amount: int) -> tuple[str, int]:
    """An amount of our asset as a provider counts it, the inverse of `minor`: currency, units (NotWhole)."""
    currency, _, scale = asset.partition("/")
    row = exponent(provider, currency, operation)
    if not re.match(r"[A-Z]{3}\Z", currency) or int(scale) != row.scale:
        raise NotWhole(f"{asset} is not an asset that {provider} counts a currency in")
    step = 10 ** max(row.scale - row.sent, 0)
    units = amount // step * 10 ** max(row.sent - row.scale, 0)
    if amount % step or units % row.step:
        raise NotWhole(f"{amount} of {asset} is an amount that {provider} does not have")
    return currency, units
