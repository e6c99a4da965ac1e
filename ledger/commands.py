"""Commands: what somebody asks of a ledger. A command may be refused; what it becomes is an event.

The bodies here are both the JSON that the API accepts and what `decide` reads: one shape, validated once,
at the boundary, by msgspec (`msgspec.ValidationError` names the field). Amounts are int64 minor units; in
JSON a string of digits is accepted too. Moments are aware datetimes, normalised to UTC.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from ledger.chart import MAX_AMOUNT, AssetCode, Bound, ChartDocument, Limits
from ledger.text import ADDRESS_PATTERN, check_metadata, check_text, encode_canonical

MAX_LEGS = 500
MAX_BATCH = 5_000
MAX_TIMEOUT_SECONDS = 10 * 366 * 86_400

Side = Literal["debit", "credit"]
Address = Annotated[str, Meta(pattern=ADDRESS_PATTERN, max_length=255, examples=["customers:42:wallet"])]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_\-]{0,62}\Z", examples=["main"])]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+\Z", examples=["order-1842"])]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=2_000)]],
    Meta(max_length=50, examples=[{"order": "1842"}]),
]
Description = Annotated[str, Meta(max_length=1_000)]
Reference = Annotated[str, Meta(max_length=255)]
Moment = Annotated[datetime, Meta(tz=True, examples=["2026-11-20T10:00:00Z"])]
ZoneName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+)*\Z", max_length=64, examples=["Europe/Prague"]
    ),
]

if TYPE_CHECKING:
    Amount = int
    AmountOrZero = int
else:
    _digits = Annotated[str, Meta(pattern=r"^[0-9]{1,19}\Z")]
    Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT, examples=[999])] | _digits
    AmountOrZero = Annotated[int, Meta(ge=0, le=MAX_AMOUNT)] | _digits


def _integer(field: str, amount: int | str, least: int) -> int:
    value = int(amount)
    if not least <= value <= MAX_AMOUNT:
        raise ValueError(f"`{field}` {amount} is not between {least} and {MAX_AMOUNT}")
    return value


class Posting(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One leg of a transaction: `amount` minor units of `asset` on one side of an account."""

    account: Address
    side: Side
    amount: Amount
    asset: AssetCode

    def __post_init__(self) -> None:
        if not isinstance(self.amount, int):
            force_setattr(self, "amount", _integer("amount", self.amount, 1))


class Condition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must hold for a transaction to be accepted.

    `min` and `max` bound the named balance of (account, asset) after the transaction, both inclusive;
    `version` is the number of events that touched (account, asset) before it.
    """

    account: Address
    asset: AssetCode
    balance: Literal["posted", "pending", "available"] = "available"
    min: Bound | None = None
    max: Bound | None = None
    version: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)] | None = None

    def __post_init__(self) -> None:
        if self.min is None and self.max is None and self.version is None:
            raise ValueError("a condition needs `min`, `max` or `version`")


class Note(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every command on a transaction may say about itself."""

    effective_at: Moment | None = None
    description: Description = ""
    reference: Reference = ""
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        if self.effective_at is not None:
            try:
                self.effective_at = self.effective_at.astimezone(UTC)
            except OverflowError:
                raise ValueError("`effective_at` is outside the years 1 to 9999 in UTC") from None
        if self.description:
            check_text("description", self.description)
        if self.reference:
            check_text("reference", self.reference)
        if self.metadata:
            check_metadata(self.metadata)


class Transaction(Note, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A balanced transaction: posted at once, or held (`pending`) for `timeout_seconds` or until ended.

    `up_to` moves what both accounts have room for, at most the amount asked. `preview` answers with the
    entry and stores nothing. `idempotency_key` stands in for the header, in a batch above all.
    """

    postings: Annotated[list[Posting], Meta(min_length=2, max_length=MAX_LEGS)]
    pending: bool = False
    timeout_seconds: Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_SECONDS)] | None = None
    up_to: bool = False
    conditions: Annotated[list[Condition], Meta(max_length=50)] = []
    preview: bool = False
    idempotency_key: Key | None = None

    def __post_init__(self) -> None:
        Note.__post_init__(self)
        if self.timeout_seconds is not None and not self.pending:
            raise ValueError("`timeout_seconds` needs `pending`: true")
        if self.up_to:
            sides = {p.side for p in self.postings}
            if len(self.postings) != 2 or len(sides) != 2 or len({p.asset for p in self.postings}) != 1:
                raise ValueError("`up_to` needs one debit and one credit of one asset in `postings`")


class _Parts(Note, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    amounts: Annotated[list[AmountOrZero], Meta(min_length=2, max_length=MAX_LEGS)] | None = None

    def __post_init__(self) -> None:
        Note.__post_init__(self)
        if self.amounts is not None:
            self.amounts = [_integer(f"amounts[{i}]", a, 0) for i, a in enumerate(self.amounts)]
            if not any(self.amounts):
                raise ValueError("`amounts` are all zero")


class HoldPosting(_Parts, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Post a hold: `amounts`, one for each leg of the hold in order, or all that is left.

    `final` releases what remains; without it the hold stays open for another part.
    """

    final: bool = False


class HoldVoid(Note, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Release all that is left of a hold; nothing is posted."""


class Reversal(_Parts, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Post the opposite of a transaction: `amounts`, one for each posted leg, or all that is left."""


class Annotation(Struct, forbid_unknown_fields=True, kw_only=True):
    """A later remark on a transaction; its own metadata stays as written."""

    metadata: Metadata

    def __post_init__(self) -> None:
        if not self.metadata:
            raise ValueError("`metadata` is empty")
        check_metadata(self.metadata)


class LedgerOpening(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Open a ledger. `time_zone` is an IANA name; its calendar days are the ledger's days."""

    name: Name
    time_zone: ZoneName = "UTC"
    chart: ChartDocument | None = None


class AccountOpening(Struct, forbid_unknown_fields=True):
    """Open an account that the chart knows (posting to it does the same)."""

    address: Address


class AccountLimits(Struct, forbid_unknown_fields=True):
    """An account's new limits by asset (`*`: every asset without its own); they replace the old ones."""

    limits: Annotated[dict[Annotated[str, Meta(max_length=64)], Limits], Meta(max_length=1_000)]


class AccountClosing(Struct, forbid_unknown_fields=True):
    """Close an account that has no balance and no hold."""


class HoldExpiry(Struct):
    """The writer's own command: a hold whose time has come ends."""


Body = (
    Transaction
    | HoldPosting
    | HoldVoid
    | Reversal
    | Annotation
    | LedgerOpening
    | ChartDocument
    | AccountOpening
    | AccountLimits
    | AccountClosing
    | HoldExpiry
)

OPERATIONS: dict[type, str] = {
    Transaction: "transaction",
    HoldPosting: "post_hold",
    HoldVoid: "void_hold",
    Reversal: "reverse",
    Annotation: "annotate",
    LedgerOpening: "open_ledger",
    ChartDocument: "set_chart",
    AccountOpening: "open_account",
    AccountLimits: "set_limits",
    AccountClosing: "close_account",
    HoldExpiry: "expire_hold",
}


class Command(Struct, gc=False):
    """A body with what surrounds it.

    `subject`: the transaction's seq or the account's address, if any.
    `batch`: (index, size) in an atomic batch.
    """

    body: Body
    subject: int | str = ""
    key: str | None = None
    actor: str = ""
    request_id: str = ""
    fingerprint: bytes = b""
    batch: tuple[int, int] | None = None


class Batch(Struct, forbid_unknown_fields=True, kw_only=True):
    """Transactions in one request: each on its own, or all or none (`atomic`)."""

    transactions: Annotated[list[Transaction], Meta(min_length=1, max_length=MAX_BATCH)]
    atomic: bool = False

    def __post_init__(self) -> None:
        if self.atomic and any(t.idempotency_key for t in self.transactions):
            raise ValueError(
                "an atomic batch has one key, in the header: `transactions` cannot have their own"
            )
        if any(t.preview for t in self.transactions):
            raise ValueError("`preview` is for a single transaction")


def fingerprint(bodies: list[Body], subject: int | str = "") -> bytes:
    """SHA-256 of the operation and the canonical validated bodies: what "the same request" means."""
    return sha256(encode_canonical((OPERATIONS[type(bodies[0])], subject, bodies))).digest()


def command(
    body: Body, subject: int | str = "", *, key: str | None = None, actor: str = "", request_id: str = ""
) -> Command:
    """A command ready for the writer; the key of a `Transaction` may stand in its body."""
    if type(body) is Transaction and body.idempotency_key is not None:
        key = body.idempotency_key
        body.idempotency_key = None
    mark = fingerprint([body], subject) if key is not None else b""
    return Command(body, subject, key, actor, request_id, mark)


def decode_transaction(raw: bytes) -> Transaction:
    """A transaction from JSON (msgspec.ValidationError, msgspec.DecodeError)."""
    return _transaction.decode(raw)


_transaction = msgspec.json.Decoder(Transaction)
