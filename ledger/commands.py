"""Commands: what somebody asks of a ledger. A command may be refused; what it becomes is an event.

The bodies here are both the JSON that the API accepts and what `decide` reads: one shape, validated once,
at the boundary, by msgspec (`msgspec.ValidationError` names the field). Amounts are int64 minor units; in
JSON a string of digits is accepted too. Moments are aware datetimes, normalised to UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import force_setattr

from ledger.chart import MAX_AMOUNT, AssetCode, Bound, ChartDocument, LimitedAsset, Limits
from ledger.periods import PERIOD_PATTERN
from ledger.text import (
    ADDRESS_PATTERN,
    check_metadata,
    check_text,
    check_texts,
    encode_canonical,
    iso,
    micros,
)

MAX_LEGS = 500
MAX_BATCH = 5_000
MAX_TIMEOUT_SECONDS = 10 * 366 * 86_400

Side = Literal["debit", "credit"]
Address = Annotated[str, Meta(pattern=ADDRESS_PATTERN, max_length=255, examples=["customers:42:wallet"])]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_\-]{0,62}\Z", examples=["main"])]
WholeName = Annotated[
    str,
    Meta(
        pattern=r"^([a-z0-9][a-z0-9_\-]{0,62}/)?[a-z0-9][a-z0-9_\-]{0,62}\Z",
        description="A ledger among those of all tenants: `acme/main`, or `main` of the default tenant.",
    ),
]
Key = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+\Z", examples=["order-1842"])]
Metadata = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=2_000)]],
    Meta(max_length=50, examples=[{"order": "1842"}]),
]
Description = Annotated[str, Meta(max_length=1_000)]
Reference = Annotated[str, Meta(max_length=255)]
Moment = Annotated[datetime, Meta(tz=True, examples=["2026-11-20T10:00:00Z"])]
Period = Annotated[
    str,
    Meta(
        pattern=PERIOD_PATTERN,
        description="A year, quarter, month or day of the ledger's time zone.",
        examples=["2026", "2026-Q3", "2026-10", "2026-10-15"],
    ),
]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000, pattern=r"\S")]
ZoneName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z][A-Za-z0-9_+\-]*(/[A-Za-z0-9_+\-]+)*\Z", max_length=64, examples=["Europe/Prague"]
    ),
]

if TYPE_CHECKING:
    Amount = int
    AmountOrZero = int
    SignedAmount = int
else:
    _digits = Annotated[str, Meta(pattern=r"^[0-9]{1,19}\Z")]
    Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT, examples=[999])] | _digits
    AmountOrZero = Annotated[int, Meta(ge=0, le=MAX_AMOUNT)] | _digits
    SignedAmount = (
        Annotated[int, Meta(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
        | Annotated[str, Meta(pattern=r"^-?[0-9]{1,19}\Z")]
    )


def _integer(field: str, amount: int | str, least: int) -> int:
    value = int(amount)
    if not least <= value <= MAX_AMOUNT:
        raise ValueError(f"`{field}` {amount} is not between {least} and {MAX_AMOUNT}")
    return value


def _utc(field: str, moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"`{field}` is outside the years 1 to 9999 in UTC") from None


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
    """What every command on a transaction may say about itself.

    `original_effective_at` is when it would have counted, had its period not been closed: a caller who dates
    it anew, later, keeps the first date here.
    """

    effective_at: Moment | None = None
    original_effective_at: Moment | None = None
    description: Description = ""
    reference: Reference = ""
    metadata: Metadata = {}

    def __post_init__(self) -> None:
        if self.effective_at is not None:
            self.effective_at = _utc("effective_at", self.effective_at)
        if self.original_effective_at is not None:
            self.original_effective_at = _utc("original_effective_at", self.original_effective_at)
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

    metadata: Annotated[Metadata, Meta(extra_json_schema={"minProperties": 1})]

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

    limits: Annotated[dict[LimitedAsset, Limits], Meta(max_length=1_000)]


class AccountClosing(Struct, forbid_unknown_fields=True):
    """Close an account that has no balance and no hold."""


class PeriodClosing(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Close a period that is over: nothing more can count inside it.

    With `retained_earnings`, an equity account, the income and expense accounts are brought to zero as of the
    period's end by closing entries to it.
    """

    retained_earnings: Address | None = None


class PeriodReopening(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Open a closed period again. `closed_seq` is the event that closed it, if only that closing is meant."""

    reason: Reason
    closed_seq: Annotated[int, Meta(ge=1, le=MAX_AMOUNT)] | None = None

    def __post_init__(self) -> None:
        check_text("reason", self.reason)


class BalanceAssertion(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What an account's posted balance is said to be at an effective time, by some source outside.

    `at` is a moment, or a calendar date of the ledger's time zone: the end of that day. `expected` is on the
    account's normal side; the assertion holds while the balance is within `tolerance` of it.
    """

    account: Address
    asset: AssetCode
    at: Annotated[
        str,
        Meta(
            max_length=40,
            extra_json_schema={"anyOf": [{"format": "date"}, {"format": "date-time"}]},
            examples=["2026-10-31", "2026-10-31T22:59:59Z"],
        ),
    ]
    expected: SignedAmount
    tolerance: AmountOrZero = 0
    source: Annotated[str, Meta(min_length=1, max_length=255, examples=["bank statement 2026-10"])]
    reference: Reference = ""

    def __post_init__(self) -> None:
        self.at = _day_or_moment("at", self.at)
        self.expected = _integer("expected", self.expected, -MAX_AMOUNT)
        self.tolerance = _integer("tolerance", self.tolerance, 0)
        check_text("source", self.source)
        check_text("reference", self.reference)


_day = re.compile(r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}\Z")
_moment = re.compile(
    r"[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)


def _day_or_moment(field: str, text: str) -> str:
    """A calendar date as it is, a moment in its one spelling (ValueError)."""
    try:
        if _day.match(text) and date.fromisoformat(text) < date.max:
            return text
        if _moment.match(text):
            return iso(micros(datetime.fromisoformat(text)))
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"`{field}` {text!r} is neither a date nor a moment with its offset from UTC")


class Restoration(Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A ledger restored from a backup goes on as a new incarnation; the tail that it lost is named.

    `lost_size` and `lost_root` (hex) are of the last tree head known of the lost incarnation: this ledger's
    own, or the later one that a lost restore had begun.
    """

    reason: Reason
    lost_size: Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]
    lost_root: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    lost_incarnation: Annotated[int, Meta(ge=1, lt=2**31 - 1)] | None = None

    def __post_init__(self) -> None:
        check_text("reason", self.reason)


class ProductCommand(Note, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a product is asked: the bodies of its commands are subclasses. `operation` names what is asked."""

    operation: ClassVar[str] = ""

    def __post_init__(self) -> None:
        Note.__post_init__(self)
        for field, name in zip(self.__struct_encode_fields__, self.__struct_fields__, strict=True):
            check_texts(field, getattr(self, name))


class StreamDue(Struct):
    """The writer's own command: the moment has come that a product's stream waits for."""


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
    | PeriodClosing
    | PeriodReopening
    | BalanceAssertion
    | Restoration
    | HoldExpiry
    | ProductCommand
    | StreamDue
)

# What products decide.
OF_PRODUCTS = (ProductCommand, StreamDue)

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
    PeriodClosing: "close_period",
    PeriodReopening: "reopen_period",
    BalanceAssertion: "assert_balance",
    Restoration: "restore_ledger",
    HoldExpiry: "expire_hold",
}

BODIES: dict[str, type] = {operation: body for body, operation in OPERATIONS.items()}


class Command(Struct, gc=False):
    """A body with what surrounds it.

    `subject`: the transaction's seq, the account's address, the period or the stream, if any.
    `batch`: (index, size) in an atomic batch. `approver`: who, beside the actor, approved of it.
    """

    body: Body
    subject: int | str = ""
    key: str | None = None
    actor: str = ""
    request_id: str = ""
    fingerprint: bytes = b""
    batch: tuple[int, int] | None = None
    approver: str = ""


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
    return sha256(encode_canonical((operation_of(bodies[0]), subject, bodies))).digest()


def operation_of(body: Body) -> str:
    """The name of what is asked."""
    return body.operation if isinstance(body, ProductCommand) else OPERATIONS[type(body)]


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
