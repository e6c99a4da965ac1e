"""What is asked of a reconciliation. A run is begun, its items come in pages, and it is finished."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from ledger.chart import MAX_AMOUNT
from ledger.commands import Address, ProductCommand
from ledger.reconciliation.items import Finding, Outcome
from ledger.text import check_text

RunName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.\-]{1,64}\Z", examples=["bank-2026-01"])]
ItemName = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,8}\.[1-9][0-9]{0,2}\Z", examples=["1.7"])]


class _OfRun(ProductCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    run: RunName


class StartRun(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Compare an account, as the ledger is now, with what `source` says; `digest` is the SHA-256 of that."""

    operation: ClassVar[str] = "start_reconciliation"
    account: Address
    source: Annotated[str, Meta(min_length=1, max_length=255)]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    window_days: Annotated[int, Meta(ge=0, le=366)]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_text("source", self.source)


class RecordItems(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A page of findings that are no match; pages are numbered from 1."""

    operation: ClassVar[str] = "record_reconciliation_items"
    page: int
    items: Annotated[tuple[Finding, ...], Meta(min_length=1, max_length=999)]


class FinishRun(_OfRun, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """All was compared: findings by outcome, and the days that the source is about."""

    operation: ClassVar[str] = "finish_reconciliation"
    counts: dict[Outcome, int]
    first_day: str
    last_day: str


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
