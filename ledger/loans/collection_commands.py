"""What can be asked of the collection of a loan: bodies of commands whose subject is the loan."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ledger.commands import Amount, Reason
from ledger.loans.case import Assignee, Outcome, Trigger
from ledger.loans.command import LoanCommand

Note = Annotated[str, Meta(min_length=1, max_length=2_000)]
Number = Annotated[int, Meta(ge=1, le=10**6)]


class CollectionCommand(LoanCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """About the stream of a loan's cases."""

    kind: ClassVar[str] = "collection"


class CaseOpening(CollectionCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Open a collection case of a loan that has none open.

    By `hand` at any time; by `ageing`, as the daily run does, when the loan is more than the policy's
    `collection_days` past due.
    """

    operation: ClassVar[str] = "open_collection_case"
    trigger: Trigger = "hand"
    assignee: Assignee | None = None


class CaseChange(CollectionCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Assign an open case to somebody, or say how it goes on."""

    operation: ClassVar[str] = "change_collection_case"
    assignee: Assignee | None = None
    status: Literal["open", "on_hold", "legal"] | None = None

    def __post_init__(self) -> None:
        LoanCommand.__post_init__(self)
        if self.assignee is None and self.status is None:
            raise ValueError("`assignee` or `status` is needed")


class CaseNote(CollectionCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Note something on an open case. It stays for ever: refer to personal data, do not write them."""

    operation: ClassVar[str] = "add_collection_note"
    text: Note


class PaymentPromise(CollectionCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The borrower promises to pay an amount by the end of a day; what is paid until then keeps it."""

    operation: ClassVar[str] = "promise_payment"
    positive: ClassVar[tuple[str, ...]] = ("amount",)
    amount: Amount
    by: date


class PromiseRecord(CollectionCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Record that a promise was kept or broken, as the payments by the day of the command say."""

    operation: ClassVar[str] = "record_promise"
    promise: Number


class CaseClosing(CollectionCommand, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Close an open case. By `ageing`, as the daily run does, when nothing is past due any more."""

    operation: ClassVar[str] = "close_collection_case"
    outcome: Outcome
    trigger: Trigger = "hand"
    reason: Reason | None = None
