"""The book as tables: which columns there are, what each means, and the rows of an event.

CSV and Parquet write the same tables, and the dictionary describes them from here, so that no column can be
in a file and not in the dictionary. The columns of `events` follow the fields of an event's body: a new
field of the body is a column at once, or an error here that says so.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from ledger.events import Event
from ledger.text import encode_canonical, from_iso
from projections.exports.source import AccountRow, BalanceRow, Entry

# What a column holds: text; JSON text; a whole number of so many bits; true or false; microseconds since the
# epoch; a date.
TEXT, JSON, INT32, INT64, FLAG, MOMENT, DAY = "text", "json", "int32", "int64", "flag", "moment", "day"


class Column(NamedTuple):
    """One column. `empty` says what an absent value means, when there can be none."""

    name: str
    kind: str
    meaning: str
    empty: str = ""


class Table(NamedTuple):
    """One table of the book: what a row is, its order, its columns."""

    name: str
    row: str
    order: tuple[str, ...]
    columns: tuple[Column, ...]


_MINOR_UNITS = "whole minor units of the asset"
_DAY_MEANING = "The day on which it counts, in the ledger's time zone."
_TEXT_FIELDS = {
    "description": "What the request said it is.",
    "reference": "The caller's own name for it.",
    "actor": "Who sent the command.",
    "approver": "Who approved of it, where a second person had to.",
    "request_id": "The request that brought the command.",
    "key": "The idempotency key.",
    "fingerprint": "SHA-256 in hex of the request that the key stands for.",
    "original_effective_at": "When it would have counted, had its period not been closed.",
}
_JSON_FIELDS = {
    "metadata": "The caller's names and values.",
    "data": "What belongs to the event's type alone (docs/events.md).",
    "streams": "The streams that the event belongs to, with its version in each.",
    "ends": "What of a product ended with it, once and for all.",
    "accounts_opened": "The accounts that the event opened, with their nature.",
}
_PLACED = {"seq", "type", "schema_version", "effective_at", "recorded_at", "batch", "ledger", "postings"}
_TEXTS = tuple(field for field in Event.__struct_fields__ if field not in _PLACED | _JSON_FIELDS.keys())

EVENTS = Table(
    "events",
    "one event",
    ("seq",),
    (
        Column("seq", INT64, "The event's number in its ledger."),
        Column("type", TEXT, "What happened (docs/events.md)."),
        Column("schema_version", INT32, "The version of the type's form."),
        Column("effective_at", MOMENT, "When it counts in the world."),
        Column("recorded_at", MOMENT, "When it was stored."),
        Column("effective_date", DAY, _DAY_MEANING),
        *(Column(name, TEXT, _TEXT_FIELDS[name], "the body has none") for name in _TEXTS),
        Column("batch_index", INT32, "Its place in an atomic batch, from 0.", "not of an atomic batch"),
        Column("batch_size", INT32, "How many events the atomic batch has.", "not of an atomic batch"),
        *(Column(name, JSON, meaning) for name, meaning in _JSON_FIELDS.items()),
        Column("legs", INT32, "How many postings it has."),
        Column("leaf", TEXT, "Its leaf of the Merkle tree as stored, in hex: SHA-256(0x00 || body)."),
    ),
)
POSTINGS = Table(
    "postings",
    "one leg of one event",
    ("seq", "leg"),
    (
        Column("seq", INT64, "The event that it belongs to."),
        Column("leg", INT32, "Its place in the event's body, from 0."),
        Column("account", TEXT, "The account's address."),
        Column("asset", TEXT, "What the amount is an amount of: code/scale."),
        Column(
            "kind", TEXT, "posted; pending: adds to pending; release: takes from the same side's pending."
        ),
        Column("side", TEXT, "debit or credit."),
        Column("amount", INT64, f"The amount, positive, in {_MINOR_UNITS}."),
        Column("effective_at", MOMENT, "When the event counts."),
        Column("effective_date", DAY, _DAY_MEANING),
    ),
)
ACCOUNTS = Table(
    "accounts",
    "one account",
    ("number",),
    (
        Column("number", INT32, "The order of opening, from 1."),
        Column("address", TEXT, "The account's address."),
        Column("type", TEXT, "asset, liability, equity, income or expense."),
        Column("contra", FLAG, "Whether its normal balance is on the other side of its type's."),
        Column("memo", FLAG, "Whether it stands outside balance sheet and income statement."),
        Column("normal_balance", TEXT, "debit or credit: the side that increases it."),
        Column("assets", JSON, "The assets that it may hold, a list; an empty one: any."),
        Column("opened_seq", INT64, "The event that opened it."),
        Column("closed_seq", INT64, "The event that closed it.", "it is open"),
    ),
)
BALANCES = Table(
    "balances",
    "one asset of one account",
    ("number of account", "asset"),
    (
        Column("account", TEXT, "The account's address."),
        Column("asset", TEXT, "Code/scale."),
        Column("debits_posted", INT64, f"All that was ever debited, in {_MINOR_UNITS}."),
        Column("credits_posted", INT64, f"All that was ever credited, in {_MINOR_UNITS}."),
        Column("debits_pending", INT64, f"Debits of open holds, in {_MINOR_UNITS}."),
        Column("credits_pending", INT64, f"Credits of open holds, in {_MINOR_UNITS}."),
    ),
)
TABLES = (EVENTS, POSTINGS, ACCOUNTS, BALANCES)


class TableWriter(Protocol):
    """A format that writes tables."""

    def write(self, table: Table, rows: list[tuple[Any, ...]]) -> None:
        """Append rows, which come in the table's order; a page of them at a time."""

    def finish(self) -> None:
        """No more rows will come."""


def event_row(entry: Entry) -> tuple[Any, ...]:
    """The row of `events`."""
    event = entry.event
    index, size = event.batch or (None, None)
    return (
        entry.seq,
        event.type,
        event.schema_version,
        from_iso(event.effective_at),
        from_iso(event.recorded_at),
        entry.day,
        *[getattr(event, name) for name in _TEXTS],
        index,
        size,
        *[_json(getattr(event, name)) for name in _JSON_FIELDS],
        len(event.postings),
        entry.leaf.hex(),
    )


def posting_rows(entry: Entry) -> list[tuple[Any, ...]]:
    """The rows of `postings`."""
    seq, day = entry.seq, entry.day
    effective_at = from_iso(entry.event.effective_at)
    return [
        (seq, leg, p.account, p.asset, p.kind, p.side, int(p.amount), effective_at, day)
        for leg, p in enumerate(entry.event.postings)
    ]


def account_row(account: AccountRow) -> tuple[Any, ...]:
    """The row of `accounts`."""
    nature = account.nature
    return (
        account.number,
        account.address,
        nature.type,
        nature.contra,
        nature.memo,
        "debit" if nature.debit_normal else "credit",
        _json(nature.assets or []),
        account.opened_seq,
        account.closed_seq,
    )


def balance_row(balance: BalanceRow) -> tuple[Any, ...]:
    """The row of `balances`."""
    return tuple(balance)


def _json(value: Any) -> str:
    return encode_canonical(value).decode() if value else "[]" if isinstance(value, list | tuple) else "{}"


def dictionary_entry(table: Table, files: list[str]) -> dict[str, Any]:
    """A table's part of the dictionary."""
    return {
        "files": files,
        "row": table.row,
        "order": list(table.order),
        "columns": [
            {"name": column.name, "kind": column.kind, "meaning": column.meaning}
            | ({"empty": column.empty} if column.empty else {})
            for column in table.columns
        ],
    }
