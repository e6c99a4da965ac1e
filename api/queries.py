"""The parameters of the reading operations, and the pages that list operations answer with."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta, Struct, field

from ledger.chart import MAX_AMOUNT, AccountType, AssetCode
from ledger.commands import Address, Moment, Reference
from ledger.days import day_or_moment
from ledger.events import SCHEMA_VERSIONS
from ledger.feed import Filter
from ledger.text import check_metadata, check_text
from ledger.views import AccountView, EntryView, EventView, LedgerName
from projections.account_reads import before
from projections.statements import CURSOR_PATTERN, cursor

Limit = Annotated[int, Meta(ge=1, le=1_000, description="At most so many rows.")]
After = Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="Go on beyond this: `next` of the page before.")]

MinSeq = Annotated[
    int,
    Meta(ge=0, le=MAX_AMOUNT, description="Wait, for five seconds at most, until the answer has this seq."),
]

Incarnation = Annotated[
    int,
    Meta(
        ge=1,
        lt=2**31,
        description="The ledger's incarnation that you know; refused when a restore has ended it.",
    ),
]
Size = Annotated[int, Meta(ge=1, le=MAX_AMOUNT, description="Of the first so many events; now: all.")]
_DAY_OR_MOMENT = {"anyOf": [{"format": "date"}, {"format": "date-time"}]}
if TYPE_CHECKING:
    AsOf = date | datetime
    From = date | datetime
    To = date | datetime
else:
    From = Annotated[
        str,
        Meta(
            max_length=40,
            extra_json_schema=_DAY_OR_MOMENT,
            examples=["2026-10-01", "2026-10-01T22:00:00Z"],
            description="From the beginning of this day of the ledger's time zone, or from this moment on.",
        ),
    ]
    To = Annotated[
        str,
        Meta(
            max_length=40,
            extra_json_schema=_DAY_OR_MOMENT,
            examples=["2026-10-31", "2026-10-31T22:00:00Z"],
            description="To the end of this day of the ledger's time zone, or before this moment.",
        ),
    ]
    AsOf = Annotated[
        str,
        Meta(
            max_length=40,
            extra_json_schema=_DAY_OR_MOMENT,
            examples=["2026-10-31", "2026-10-31T22:00:00Z"],
            description="What counts by the end of this day of the ledger's time zone, or by this moment.",
        ),
    ]

TransactionType = Literal[
    "transaction_posted",
    "transaction_held",
    "hold_posted",
    "hold_voided",
    "hold_expired",
    "transaction_reversed",
]


Depth = Annotated[
    int, Meta(ge=1, le=20, description="Accounts that share so many segments of their address are one line.")
]


def read_period(start: Any, to: Any) -> tuple[Any, Any]:
    """The days or moments `from` and `to` (ValueError)."""
    return (
        None if start is None else day_or_moment("from", start),
        None if to is None else day_or_moment("to", to),
    )


def _utc(name: str, moment: datetime | None) -> datetime | None:
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"`{name}` is outside the years 1 to 9999 in UTC") from None


class LedgersQuery(Struct, forbid_unknown_fields=True):
    """Ledgers by name."""

    after: Annotated[str, Meta(pattern=r"^[a-z0-9_\-]{0,63}\Z", description="Go on beyond this name.")] = ""
    limit: Limit = 100


class PageQuery(Struct, forbid_unknown_fields=True):
    """A page."""

    after: After = 0
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


_TYPES = "|".join(sorted(SCHEMA_VERSIONS))


class EventsQuery(Struct, forbid_unknown_fields=True):
    """Events in seq order. Of a stream only `after` and the filters count."""

    after: After = 0
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None
    types: (
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z_]{1,64}(,[a-z_]{1,64}){0,99}\Z",
                extra_json_schema={"pattern": rf"^({_TYPES})(,({_TYPES})){{0,99}}$"},
                description="Only events of these types, separated by commas.",
            ),
        ]
        | None
    ) = None
    stream: (
        Annotated[
            str,
            Meta(min_length=1, max_length=255, description="Only events of this stream: `transaction:42`."),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.types.split(",") if self.types else ()) - SCHEMA_VERSIONS.keys())
        if unknown:
            raise ValueError(f"`types` names {unknown[0]}, which is no type of event")
        if self.stream is not None:
            check_text("stream", self.stream)

    @property
    def filter(self) -> Filter:
        """The events that are asked for."""
        types = tuple(dict.fromkeys(self.types.split(","))) if self.types else None
        return Filter(types, self.stream)


class AccountsQuery(Struct, forbid_unknown_fields=True):
    """Accounts in the order in which they were opened."""

    after: After = 0
    limit: Limit = 100
    prefix: (
        Annotated[Address, Meta(description="Whole segments: `customers:42` has `customers:42:wallet`.")]
        | None
    ) = None
    type: AccountType | None = None
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


KnownAt = (
    Annotated[int, Meta(ge=0, le=MAX_AMOUNT)]
    | Annotated[datetime, Meta(tz=True, description="As known at this seq, or at this moment of recording.")]
)


class TimeQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """As of an effective time, as known at a seq, or both."""

    as_of: AsOf | None = None
    known_at: KnownAt | None = None
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        if isinstance(self.as_of, str):
            self.as_of = day_or_moment("as_of", self.as_of)
        if isinstance(self.known_at, datetime):
            self.known_at = _utc("known_at", self.known_at)


class BalancesQuery(TimeQuery, forbid_unknown_fields=True, kw_only=True):
    """Balances now, as of an effective time, as they were known."""


class StatementQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Legs of one asset of an account: in seq order, or over a period in effective order."""

    asset: Annotated[AssetCode, Meta(description="Needed when the account has several.")] | None = None
    start: From | None = field(default=None, name="from")
    to: To | None = None
    known_at: KnownAt | None = None
    after: Annotated[
        str,
        Meta(
            pattern=rf"^([0-9]{{1,18}}\.[0-9]{{1,4}}|{CURSOR_PATTERN})?\Z",
            description="Go on beyond this leg: `next` of the page before.",
        ),
    ] = ""
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    @property
    def over_period(self) -> bool:
        """Whether a period is asked."""
        return self.start is not None or self.to is not None

    def __post_init__(self) -> None:
        self.start, self.to = read_period(self.start, self.to)
        if isinstance(self.known_at, datetime):
            self.known_at = _utc("known_at", self.known_at)
        if self.over_period:
            if self.after:
                cursor(self.after)
        elif self.known_at is not None:
            raise ValueError("`known_at` needs a period: `from`, `to` or both")
        elif self.after.count(".") > 1:
            raise ValueError("`after` is of a statement over a period: `from` or `to` is missing")


class TrialBalanceQuery(TimeQuery, forbid_unknown_fields=True, kw_only=True):
    """The trial balance now, as of an effective time, as it was known."""

    after: After = 0
    limit: Limit = 100


class BalanceSheetQuery(TimeQuery, forbid_unknown_fields=True, kw_only=True):
    """A balance sheet now, as of an effective time, as it was known."""

    depth: Depth = 1


class IncomeStatementQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """An income statement over a period."""

    start: From | None = field(default=None, name="from")
    to: To | None = None
    known_at: KnownAt | None = None
    depth: Depth = 1
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        self.start, self.to = read_period(self.start, self.to)
        if isinstance(self.known_at, datetime):
            self.known_at = _utc("known_at", self.known_at)


class DailyBalancesQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Days of one asset of an account."""

    asset: Annotated[AssetCode, Meta(description="Needed when the account has several.")] | None = None
    start: Annotated[date, Meta(description="From this day on.")] | None = field(default=None, name="from")
    to: Annotated[date, Meta(description="To this day, included.")] | None = None
    after: Annotated[date, Meta(description="Go on beyond this day: `next` of the page before.")] | None = (
        None
    )
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


class ActivityQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Legs of every asset of an account, the latest effective first."""

    start: From | None = field(default=None, name="from")
    to: To | None = None
    before: (
        Annotated[
            str,
            Meta(
                pattern=r"^-?[0-9]{1,18}\.[0-9]{1,18}\.[0-9]{1,4}\Z",
                description="Go on before this leg: `next` of the page before.",
            ),
        ]
        | None
    ) = None
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        self.start, self.to = read_period(self.start, self.to)
        if self.before is not None:
            before(self.before)


class AssertionsQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Asserted balances in order of seq."""

    status: Literal["passing", "failing"] | None = None
    account: Annotated[Address, Meta(description="Those of this account.")] | None = None
    after: After = 0
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None


_Amount = Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="Of any leg of `asset`, in minor units.")]


class SearchQuery(Struct, forbid_unknown_fields=True, kw_only=True):
    """Transactions that match every filter, newest first. A page may be short and still have a `next`."""

    metadata: Annotated[
        dict[str, str],
        Meta(
            max_length=10,
            description="Pairs that it has, or that a later remark on it has: `metadata[order]=1842`.",
        ),
    ] = {}
    reference: Annotated[Reference, Meta(description="Those with exactly this reference.")] | None = None
    account: Annotated[Address, Meta(description="Those that touch this account.")] | None = None
    type: TransactionType | None = None
    asset: Annotated[AssetCode, Meta(description="Those with a leg of this asset.")] | None = None
    amount_min: _Amount | None = None
    amount_max: _Amount | None = None
    effective_from: From | None = None
    effective_to: To | None = None
    recorded_from: From | None = None
    recorded_to: To | None = None
    before: (
        Annotated[int, Meta(ge=1, le=MAX_AMOUNT, description="Go on below this seq: `next` of a page.")]
        | None
    ) = None
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        for name in ("effective_from", "effective_to", "recorded_from", "recorded_to"):
            text = getattr(self, name)
            if text is not None:
                setattr(self, name, day_or_moment(name, text))
        if self.asset is None and (self.amount_min is not None or self.amount_max is not None):
            raise ValueError("`asset` is missing: an amount is of an asset")
        if self.reference is not None:
            check_text("reference", self.reference)
        check_metadata(self.metadata)


class TransactionsQuery(Struct, forbid_unknown_fields=True):
    """Transactions that match every filter. A page may be short and still have a `next`."""

    account: Annotated[Address, Meta(description="Those that touch this account.")] | None = None
    type: TransactionType | None = None
    reference: Annotated[Reference, Meta(description="Those with exactly this reference.")] | None = None
    effective_from: Annotated[Moment, Meta(description="Effective at or after.")] | None = None
    effective_to: Annotated[Moment, Meta(description="Effective before.")] | None = None
    order: Annotated[Literal["asc", "desc"], Meta(description="By seq.")] = "asc"
    after: After | None = None
    limit: Limit = 100
    min_seq: MinSeq | None = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        self.effective_from = _utc("effective_from", self.effective_from)
        self.effective_to = _utc("effective_to", self.effective_to)
        if self.reference is not None:
            check_text("reference", self.reference)


class TreeHeadQuery(Struct, forbid_unknown_fields=True):
    """The tree head."""

    incarnation: Incarnation | None = None


class ProofQuery(Struct, forbid_unknown_fields=True):
    """Of which tree."""

    size: Size | None = None
    incarnation: Incarnation | None = None


class ConsistencyQuery(Struct, forbid_unknown_fields=True):
    """Two trees."""

    from_: Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="Size of the earlier tree.")] = field(
        name="from"
    )
    to: (
        Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="Size of the later tree; now: all events.")]
        | None
    ) = None
    incarnation: Incarnation | None = None

    def __post_init__(self) -> None:
        if self.to is not None and self.from_ > self.to:
            raise ValueError("`from` is beyond `to`")


class LedgersPage(Struct, frozen=True):
    """Ledgers; `next` continues as `after`, null at the end."""

    ledgers: list[LedgerName]
    next: str | None


class AccountsPage(Struct, frozen=True):
    """Accounts; `next` continues as `after`, null at the end."""

    accounts: list[AccountView]
    next: int | None


class TransactionsPage(Struct, frozen=True):
    """Transactions; `next` continues as `after`, null at the end."""

    transactions: list[EntryView]
    next: int | None


class EventsPage(Struct, frozen=True):
    """Events in seq order. `next` continues as `after`, null at the head.

    All that was asked for up to `position` has been seen: ask again later beyond it.

    Give `incarnation` back with the next request: after a restore, other events may have the same seqs.
    """

    incarnation: int
    events: list[EventView]
    next: int | None
    position: int
