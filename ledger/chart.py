"""The chart of accounts: address patterns, and the terms that an account copies when it opens.

A pattern is an address whose segments may be captures: `customers:{customer}:credits:{kind}`. A capture
stands for exactly one segment. Two patterns that could match one address are refused, so that the terms of
an account never depend on the order of the chart.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ledger.text import ASSET_PATTERN

MAX_AMOUNT = 2**63 - 1

AccountType = Literal["asset", "liability", "equity", "income", "expense"]
DEBIT_TYPES = frozenset({"asset", "expense"})
ANY_ASSET = "*"

ProductName = Annotated[str, Meta(pattern=r"^[a-z]{1,32}\Z", examples=["credits"])]
AssetCode = Annotated[str, Meta(pattern=ASSET_PATTERN, max_length=64, examples=["USD/2"])]
# What limits are of; which of the two it is, or neither, is said by `AccountPattern` and `AccountLimits`.
LimitedAsset = Annotated[
    str,
    Meta(
        max_length=64,
        extra_json_schema={"pattern": ASSET_PATTERN.replace("^", r"^(\*|", 1).replace(r"\Z", r")\Z")},
    ),
]
Bound = Annotated[int, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]

_PATTERN = r"^([A-Za-z0-9_.\-]+|\{[a-z][a-z0-9_]*\})(:([A-Za-z0-9_.\-]+|\{[a-z][a-z0-9_]*\}))*\Z"
_pattern = re.compile(_PATTERN)


class Limits(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Bounds of one asset of an account, minor units, on its normal side; None: no bound.

    `min_available <= available`, and `max_balance >= posted + pending on the normal side`.
    """

    min_available: Bound | None = None
    max_balance: Bound | None = None


NO_LIMITS = Limits()


class Terms(Struct, frozen=True, omit_defaults=True):
    """What an account is: copied from its pattern when it opens. `assets` None: any asset of the ledger.

    `product` keeps it: nobody else limits or closes it, nor posts to it, unless it is income or expense.
    """

    type: AccountType
    contra: bool = False
    memo: bool = False
    assets: tuple[AssetCode, ...] | None = None
    limits: dict[str, Limits] = {}
    product: str = ""

    @property
    def kept_by_product(self) -> bool:
        """Whether its product alone posts to it: closing entries clear income and expense."""
        return bool(self.product) and self.type not in ("income", "expense")

    @property
    def debit_normal(self) -> bool:
        """Whether debits increase the account: assets and expenses, or the contra of another type."""
        return (self.type in DEBIT_TYPES) != self.contra

    def limits_of(self, asset: str) -> Limits:
        """The bounds for one asset: its own, else those of `*`, else none."""
        return self.limits.get(asset) or self.limits.get(ANY_ASSET) or NO_LIMITS


class AccountPattern(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of a chart. `limits` are per asset code, `*` for every asset without its own.

    `product` keeps such accounts (see Terms); the pattern must be one that the product ships.
    """

    pattern: Annotated[
        str,
        Meta(
            max_length=255,
            extra_json_schema={"pattern": _PATTERN},
            examples=["customers:{customer}:credits:{kind}"],
        ),
    ]
    type: AccountType
    contra: bool = False
    memo: bool = False
    assets: tuple[AssetCode, ...] | None = None
    limits: dict[LimitedAsset, Limits] = {}
    product: Annotated[str, Meta(pattern=r"^[a-z]{0,32}\Z")] = ""

    def __post_init__(self) -> None:
        if not _pattern.match(self.pattern):
            raise ValueError(f"`pattern` {self.pattern!r} is not segments or {{captures}} joined by `:`")
        names = [s for s in self.pattern.split(":") if s.startswith("{")]
        if len(names) != len(set(names)):
            raise ValueError(f"`pattern` {self.pattern!r} uses a capture twice")
        for asset in self.limits:
            if asset != ANY_ASSET and not re.match(ASSET_PATTERN, asset):
                raise ValueError(f"`limits` names {asset!r}, which is neither an asset nor `*`")

    def terms(self) -> Terms:
        """The terms that an account of this pattern opens with."""
        return Terms(self.type, self.contra, self.memo, self.assets, self.limits, self.product)


class ChartDocument(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A chart as it is set: the ledger's assets (`CODE/SCALE`) and its account patterns.

    The patterns of `products` are added to `accounts` when the chart is set, so that the event has them all.
    What moves more minor units of an asset than `approval_above` says waits for a second person's approval.
    """

    assets: Annotated[tuple[AssetCode, ...], Meta(max_length=10_000)]
    accounts: Annotated[tuple[AccountPattern, ...], Meta(max_length=1_000)]
    products: tuple[ProductName, ...] = ()
    approval_above: dict[AssetCode, Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]] = {}


def overlap(one: str, other: str) -> bool:
    """Whether some address matches both patterns."""
    left, right = one.split(":"), other.split(":")
    return len(left) == len(right) and all(
        a == b or a.startswith("{") or b.startswith("{") for a, b in zip(left, right, strict=True)
    )


def pattern_regex(pattern: str) -> str:
    """What matches the addresses of a pattern, for Python and for PostgreSQL."""
    segments = ["[^:]+" if segment.startswith("{") else re.escape(segment) for segment in pattern.split(":")]
    return f"^{':'.join(segments)}$"


class Chart:
    """A chart in use: finds the pattern of an address, and the small integers that stand for assets."""

    def __init__(self, document: ChartDocument, asset_ids: dict[str, int]) -> None:
        """`asset_ids` of the ledger so far; new assets of the document get the next numbers."""
        self.document = document
        self.approval_above = document.approval_above
        self.asset_ids = dict(asset_ids)
        for asset in document.assets:
            self.asset_ids.setdefault(asset, len(self.asset_ids) + 1)
        self._by_length: dict[int, list[tuple[list[str], AccountPattern]]] = {}
        for pattern in document.accounts:
            segments = pattern.pattern.split(":")
            self._by_length.setdefault(len(segments), []).append((segments, pattern))

    def find(self, address: str) -> AccountPattern | None:
        """The one pattern that matches the address."""
        segments = address.split(":")
        for wanted, pattern in self._by_length.get(len(segments), ()):
            if all(w == s or w[0] == "{" for w, s in zip(wanted, segments, strict=True)):
                return pattern
        return None


EMPTY_CHART = ChartDocument(assets=(), accounts=())


def first_overlap(document: ChartDocument) -> tuple[str, str] | None:
    """The first two patterns of a document that could match one address."""
    seen: dict[int, list[str]] = {}
    for entry in document.accounts:
        same_length = seen.setdefault(entry.pattern.count(":"), [])
        for earlier in same_length:
            if overlap(earlier, entry.pattern):
                return earlier, entry.pattern
        same_length.append(entry.pattern)
    return None


def scale_conflict(document: ChartDocument, known: dict[str, int]) -> tuple[str, str] | None:
    """Two assets of one code with different scales, among those known and those of the document."""
    by_code = {asset.rsplit("/", 1)[0]: asset for asset in known}
    for asset in document.assets:
        earlier = by_code.setdefault(asset.rsplit("/", 1)[0], asset)
        if earlier != asset:
            return earlier, asset
    return None
