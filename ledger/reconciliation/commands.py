"""What is asked of a reconciliation. A run is begun, its items come in pages, and it is finished."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, field

from ledger.chart import MAX_AMOUNT
from ledger.commands import Address, ProductCommand
from ledger.reconciliation.items import Finding, Outcome
from ledger.text import check_text

RunName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{1,64}\Z", examples=["bank-2026-01"])]
ItemName = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}\.[1-9][0-9]{0,2}\Z", examples=["1.7"])]


SideName = Annotated[str, Meta(pattern=r"^[a-z][a-z_]{0,31}\Z", examples=["stripe"])]


class _OfRun(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    run: RunName


class StartRun(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Compare the ledger as it is now with what a side says: `source` in words, `digest` as a SHA-256.

    `account`: the one that is compared, where it is one. `window_days` absent: only references count.
    """

    operation: ClassVar[str] = "start_reconciliation"
    side: SideName
    account: Address | None = None
    source: Annotated[str, Meta(min_length=1, max_length=255)]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    window_days: Annotated[int, Meta(ge=0, le=366)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("source", self.source)


class RecordItems(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A page of findings that are no match; pages are numbered from 1.

    A run that cannot be computed again says with each page, which may be empty, how far it has come:
    `through` which name, with how many findings of each outcome.
    """

    operation: ClassVar[str] = "record_reconciliation_items"
    page: int
    items: Annotated[tuple[Finding, ...], Meta(max_length=999)]
    through: Annotated[str, Meta(max_length=255)] = ""
    counts: dict[Outcome, int] = field(default_factory=dict)


class FinishRun(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """All was compared: findings by outcome, and the days that the source is about."""

    operation: ClassVar[str] = "finish_reconciliation"
    counts: dict[Outcome, int]
    kinds: dict[str, int]
    first_day: str
    last_day: str


class AbandonRun(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A run that was interrupted cannot be gone on with: its side tells something else now."""

    operation: ClassVar[str] = "abandon_reconciliation"


class ResolveItem(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """An item is settled: by a correcting transaction (its seq), an explanation, or both."""

    operation: ClassVar[str] = "resolve_reconciliation_item"
    item: ItemName
    transaction: Annotated[int, Meta(ge=1, le=MAX_AMOUNT)] | None = None
    explanation: Annotated[str, Meta(max_length=1_000)] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("explanation", self.explanation)
        if self.transaction is None and not self.explanation.strip():
            raise ValueError("an item is resolved by a `transaction` or an `explanation`")
