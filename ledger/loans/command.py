"""What all commands of loans have in common: the stream that they are about, and amounts as digits."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from ledger.commands import AmountOrZero, ProductCommand, _integer
from ledger.loans.waterfall import PARTS


class LoanCommand(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`kind` is that of the stream that it is about. Amounts that are strings of digits become integers."""

    kind: ClassVar[str] = "loan"
    positive: ClassVar[tuple[str, ...]] = ()
    zero_too: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        ProductCommand.__post_init__(self)
        for names, least in ((self.positive, 1), (self.zero_too, 0)):
            for name in names:
                value = getattr(self, name)
                if value is not None:
                    setattr(self, name, _integer(name, value, least))

    def stream(self, subject: str) -> str:
        """The stream that it is about; that of the policy has one name only."""
        return f"{self.kind}:{subject or 'main'}"


class WaivedParts(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An amount of each part of the debt."""

    principal: AmountOrZero = 0
    interest: AmountOrZero = 0
    fee: AmountOrZero = 0
    penalty: AmountOrZero = 0

    def __post_init__(self) -> None:
        for part in PARTS:
            setattr(self, part, _integer(part, getattr(self, part), 0))
        if not any(getattr(self, part) for part in PARTS):
            raise ValueError("`amounts` are all zero")
