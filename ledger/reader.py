"""Reads: balances, statements, transactions, accounts and the trial balance.

Every read is one short read-only transaction as the reader role, to which row-level security shows one
ledger. A balance, now or known at a seq, is one look-up in an index however long the ledger is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from typing import Any

import msgspec
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool

from ledger.chart import EMPTY_CHART, ChartDocument, Terms
from ledger.errors import LedgerNotFound
from ledger.events import KINDS, Event, read_event
from ledger.products import PRODUCTS, encode_state
from ledger.state import Stream, decode_subject, figures, stream_of, subject_of
from ledger.text import DEFAULT_TENANT, iso, micros, whose
from ledger.views import (
    AccountView,
    BalancesView,
    ChartView,
    EntryView,
    LedgerName,
    LedgerView,
    LegAfter,
    StatementLine,
    StatementView,
    TransactionView,
    TrialBalanceLine,
    TrialBalanceTotal,
    TrialBalanceView,
    account_view,
    balance_view,
    entry_view,
)
from ledger.wire import Connection
from sql import load as load_queries

QUERIES = load_queries("reader.sql")
MAX_SEQ = 2**63 - 1
SCAN = 1_000

_terms = msgspec.json.Decoder(Terms).decode


class AccountNotFound(LookupError):
    """No account has this address."""


class TransactionNotFound(LookupError):
    """No transaction has this seq."""


STATEMENT_TIMEOUT = "30s"

# Transactions of which something can be taken back, or posted; what products record they alone undo.
TAKEN_FROM = frozenset(
    {"transaction_posted", "transaction_held", "hold_posted", "hold_voided", "hold_expired"}
)


class AssetNeeded(LookupError):
    """The account has several assets, or none: say which (`args[1]` lists them)."""


def _at(value: datetime) -> str:
    return iso(micros(value))


class Reader:
    """Reads ledgers by name: `acme/main`, `main` of the default tenant. Threads may share it."""

    def __init__(self, conninfo: str, connections: int = 4) -> None:
        """Opens its connections when they are needed."""
        self._tenant: str | None = None
        self._only: Collection[str] | None = None
        options = (
            f"-c timezone=UTC -c role=daybook_reader -c statement_timeout={STATEMENT_TIMEOUT} "
            "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
        )
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            make_conninfo(conninfo, application_name="daybook", options=options),
            min_size=0,
            max_size=connections,
            timeout=10,
            check=ConnectionPool.check_connection,
            open=True,
        )

    def of(self, tenant: str, only: Collection[str] | None = None) -> Reader:
        """A reader of a tenant's ledgers, or only of some, by their own names; on the same connections."""
        reader = copy(self)
        reader._tenant, reader._only = tenant, only
        return reader

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def clock(self) -> datetime:
        """The database's clock; asks with little patience (psycopg.Error)."""
        with self._pool.connection(timeout=2) as connection:
            row = connection.execute(QUERIES["clock"]).fetchone()
            assert row is not None
            now: datetime = row[0]
            return now

    @contextmanager
    def snapshot(self, name: str) -> Iterator[tuple[Connection, dict[str, Any]]]:
        """A transaction about one ledger, and the parameters of its every query (LedgerNotFound).

        Read-only, one snapshot, as the reader role, in UTC; queries over `projections` may use it too.
        """
        with self._pool.connection() as connection:
            found = self._find(connection, name)
            yield connection, {"ledger_id": found[0], "time_zone": found[3]}

    def _find(self, connection: Connection, name: str) -> tuple[Any, ...]:
        tenant, own = whose(name) if self._tenant is None else (self._tenant, name)
        wanted = {"tenant": tenant, "name": own}
        connection.execute(QUERIES["set_tenant"], wanted)
        found = connection.execute(QUERIES["find_ledger"], wanted).fetchone()
        if found is None or (self._only is not None and own not in self._only):
            raise LedgerNotFound(name)
        return found

    # ------------------------------------------------------------ ledgers

    def ledgers(self, after: str, limit: int) -> list[LedgerName]:
        """Ledgers by name, beyond `after`."""
        wanted = {
            "tenant": self._tenant or DEFAULT_TENANT,
            "after": after,
            "limit": limit,
            "only": None if self._only is None else list(self._only),
        }
        with self._pool.connection() as connection:
            connection.execute(QUERIES["set_tenant"], wanted)
            return [
                LedgerName(name, public_id, time_zone, _at(opened_at))
                for _, name, public_id, time_zone, opened_at in connection.execute(
                    QUERIES["list_ledgers"], wanted
                )
            ]

    def ledger(self, name: str) -> LedgerView:
        """A ledger at its head."""
        with self.snapshot(name) as (connection, parameters):
            found = self._find(connection, name)
            head = connection.execute(QUERIES["head"], parameters).fetchone()
            assert head is not None
            _, name, public_id, time_zone, opened_at, _ = found
            incarnation, seq, recorded_at, root, accounts = head
            return LedgerView(
                name,
                public_id,
                time_zone,
                _at(opened_at),
                incarnation,
                seq,
                _at(recorded_at),
                root.hex(),
                accounts,
            )

    def chart(self, ledger: str) -> ChartView:
        """The chart in force; `seq` 0 and no pattern when none was ever set."""
        with self.snapshot(ledger) as (connection, parameters):
            row = connection.execute(QUERIES["chart_body"], parameters).fetchone()
            if row is None:
                return ChartView(EMPTY_CHART, 0)
            event = read_event(row[0])
            return ChartView(msgspec.convert(event.data["chart"], ChartDocument), event.seq)

    # ------------------------------------------------------------ accounts

    def account(self, ledger: str, address: str) -> AccountView:
        """One account (AccountNotFound)."""
        with self.snapshot(ledger) as (connection, parameters):
            _, view = find_account(connection, parameters, address)[:2]
            return view

    def accounts(
        self, ledger: str, after: int, limit: int, prefix: str | None, type: str | None
    ) -> tuple[list[AccountView], int | None]:
        """Accounts in order of opening beyond the cursor `after`, and the next cursor."""
        with self.snapshot(ledger) as (connection, parameters):
            found = connection.execute(
                QUERIES["list_accounts"],
                {**parameters, "after": after, "limit": limit, "prefix": prefix, "type": type},
            ).fetchall()
        views = [
            account_view(address, opened, closed, _terms(terms))
            for _, address, opened, closed, terms in found
        ]
        return views, found[-1][0] if len(found) == limit else None

    def balances(self, ledger: str, address: str, known_at: int | datetime | None = None) -> BalancesView:
        """Balances of every asset of an account, now or as known at a seq or a recorded moment."""
        with self.snapshot(ledger) as (connection, parameters):
            account_id, _, terms = find_account(connection, parameters, address)
            wanted = {**parameters, "account_id": account_id}
            if known_at is None:
                found = connection.execute(QUERIES["balances_now"], wanted).fetchall()
                return BalancesView(
                    address,
                    found[0][0],
                    [balance_view(terms, row[1], row[2:6], row[6]) for row in found if row[1] is not None],
                )
            seq = known_seq(connection, parameters, known_at)
            found = connection.execute(QUERIES["balances_at"], {**wanted, "seq": seq}).fetchall()
            return BalancesView(address, seq, [balance_view(terms, row[0], row[1:5]) for row in found])

    def statement(
        self, ledger: str, address: str, asset: str | None, after: tuple[int, int], limit: int
    ) -> StatementView:
        """The legs of one asset of an account in seq order, beyond (seq, leg) (AssetNeeded)."""
        with self.snapshot(ledger) as (connection, parameters):
            account_id, _, terms = find_account(connection, parameters, address)
            wanted = {**parameters, "account_id": account_id}
            asset = asset or only_asset(connection, wanted, address)
            found = connection.execute(
                QUERIES["statement"],
                {**wanted, "asset": asset, "after_seq": after[0], "after_leg": after[1], "limit": limit},
            ).fetchall()
        lines = []
        for seq, leg, kind, amount, effective_at, dp, cp, dpend, cpend, recorded_at, type, body in found:
            event = read_event(body)
            f = figures(terms.debit_normal, (dp, cp, dpend, cpend))
            lines.append(
                StatementLine(
                    seq=seq,
                    leg=leg,
                    type=type,
                    kind=KINDS[kind],
                    side="debit" if amount > 0 else "credit",
                    amount=abs(amount),
                    effective_at=_at(effective_at),
                    original_effective_at=event.original_effective_at,
                    recorded_at=_at(recorded_at),
                    posted=f.posted,
                    pending=f.pending,
                    available=f.available,
                    description=event.description,
                    reference=event.reference,
                )
            )
        return StatementView(
            address, asset, lines, f"{lines[-1].seq}.{lines[-1].leg}" if len(lines) == limit else None
        )

    # ------------------------------------------------------------ transactions

    def entries(self, ledger: str, seqs: Sequence[int]) -> list[EntryView]:
        """The events of some seqs as they were answered when they were recorded."""
        with self.snapshot(ledger) as (connection, parameters):
            events = [
                read_event(body)
                for _, body in connection.execute(QUERIES["event_bodies"], {**parameters, "seqs": list(seqs)})
            ]
            legs = legs_of(connection, parameters, events)
        return [entry_view(event, legs[event.seq]) for event in events]

    def transaction(self, ledger: str, seq: int) -> TransactionView:
        """A transaction and what became of it (TransactionNotFound)."""
        with self.snapshot(ledger) as (connection, parameters):
            row = connection.execute(QUERIES["event_bodies"], {**parameters, "seqs": [seq]}).fetchone()
            event = read_event(row[1]) if row is not None else None
            if event is None or not event.postings:
                raise TransactionNotFound(seq)
            legs = legs_of(connection, parameters, [event])[seq]
            stream = connection.execute(
                QUERIES["stream"], {**parameters, "stream": stream_of(seq)}
            ).fetchone()
            subject, seqs = (
                (decode_subject(stream[0]), stream[1]) if stream is not None else (subject_of(event), [])
            )
            on_it = [
                read_event(body)
                for _, body in connection.execute(QUERIES["event_bodies"], {**parameters, "seqs": seqs})
            ]
        return TransactionView(
            **msgspec.structs.asdict(entry_view(event, legs)),
            status=None if event.type in ("hold_voided", "hold_expired") else subject.status,
            remaining=[leg.left for leg in subject.legs] if event.type in TAKEN_FROM else [],
            events=[s for s in seqs if s != seq],
            annotations=[e.metadata for e in on_it if e.type == "transaction_annotated"],
        )

    def stream(self, ledger: str, name: str) -> tuple[Stream, int] | None:
        """A product's stream at head, and its last event's seq; None: there is none."""
        with self.snapshot(ledger) as (connection, parameters):
            row = connection.execute(QUERIES["product_stream"], {**parameters, "stream": name}).fetchone()
            return None if row is None else _stream(connection, parameters, row)

    def streams(
        self, ledger: str, kind: str, *, prefix: str = "", after: str = "", limit: int
    ) -> list[tuple[Stream, int]]:
        """Streams of a kind by name, beyond `after`, as far as `<kind>:` is followed by `prefix`."""
        with self.snapshot(ledger) as (connection, parameters):
            wanted = {"kind": kind, "first": f"{kind}:{prefix}", "after": after, "limit": limit}
            rows = connection.execute(QUERIES["product_streams"], {**parameters, **wanted}).fetchall()
            return [_stream(connection, parameters, row) for row in rows]

    def streams_saying(
        self, ledger: str, kind: str, members: Mapping[str, str], *, after: str = "", limit: int
    ) -> list[tuple[Stream, int]]:
        """Streams of a kind by name, beyond `after`, whose stored states have these members (texts)."""
        needles = [encode_state({name: text}).decode()[1:-1] for name, text in members.items()]
        with self.snapshot(ledger) as (connection, parameters):
            wanted = {"kind": kind, "needles": needles, "after": after, "limit": limit}
            rows = connection.execute(QUERIES["streams_saying"], {**parameters, **wanted}).fetchall()
            return [_stream(connection, parameters, row) for row in rows]

    def open_items(
        self, ledger: str, kinds: Sequence[str], *, after: str = "", limit: int
    ) -> list[tuple[Stream, int]]:
        """Open items of these kinds by the names of their streams, beyond `after` (ledger/payments)."""
        with self.snapshot(ledger) as (connection, parameters):
            wanted = {"kinds": list(kinds), "after": after, "limit": limit}
            rows = connection.execute(QUERIES["open_items"], {**parameters, **wanted}).fetchall()
            return [_stream(connection, parameters, row) for row in rows]

    def transactions(
        self,
        ledger: str,
        *,
        after: int | None,
        limit: int,
        newest_first: bool = False,
        account: str | None = None,
        type: str | None = None,
        reference: str | None = None,
        effective_from: datetime | None = None,
        effective_to: datetime | None = None,
    ) -> tuple[list[EntryView], int | None]:
        """Transactions beyond a seq that match every filter, and the cursor to go on with.

        A page looks at no more than SCAN events, so when matches are rare it may be short and have a cursor.
        """
        with self.snapshot(ledger) as (connection, parameters):
            wanted = {
                **parameters,
                "after": (MAX_SEQ if newest_first else 0) if after is None else after,
                "scan": max(SCAN, limit),
                "newest_first": newest_first,
                "type": type,
                "reference": reference,
                "effective_from": effective_from,
                "effective_to": effective_to,
            }
            query = "scan_events"
            if account is not None:
                query = "scan_account"
                wanted["account_id"] = find_account(connection, parameters, account)[0]
            events: list[Event] = []
            scanned, last = 0, None
            for seq, body in connection.execute(QUERIES[query], wanted):
                scanned, last = scanned + 1, seq
                if body is not None:
                    events.append(read_event(body))
                    if len(events) == limit:
                        break
            legs = legs_of(connection, parameters, events)
        more = len(events) == limit or scanned == wanted["scan"]
        return [entry_view(event, legs[event.seq]) for event in events], last if more else None

    # ------------------------------------------------------------ the whole ledger

    def trial_balance(self, ledger: str, after: int, limit: int) -> TrialBalanceView:
        """Lines of up to `limit` accounts beyond the cursor, and the totals of all."""
        with self.snapshot(ledger) as (connection, parameters):
            totals = connection.execute(QUERIES["trial_balance_totals"], parameters).fetchall()
            page = {**parameters, "after": after, "limit": limit}
            lines = connection.execute(QUERIES["trial_balance_lines"], page).fetchall()
            accounts = connection.execute(
                QUERIES["list_accounts"], {**page, "prefix": None, "type": None}
            ).fetchall()
        rows = [row for row in totals if row[1] is not None]
        return TrialBalanceView(
            totals[0][0],
            all(row[2] == row[3] and row[4] == row[5] and row[6] == row[7] for row in rows),
            [TrialBalanceTotal(row[1], int(row[6]), int(row[7]), int(row[4]), int(row[5])) for row in rows],
            [
                TrialBalanceLine(
                    address, _terms(terms).type, asset, max(dp - cp, 0), max(cp - dp, 0), dpend, cpend
                )
                for _, address, terms, asset, dp, cp, dpend, cpend in lines
            ],
            accounts[-1][0] if len(accounts) == limit else None,
        )

    def incarnation(self, ledger: str) -> int:
        """Which life of the ledger this is."""
        with self.snapshot(ledger) as (connection, parameters):
            head = connection.execute(QUERIES["head"], parameters).fetchone()
            assert head is not None
            return int(head[0])


def find_account(
    connection: Connection, parameters: dict[str, Any], address: str
) -> tuple[int, AccountView, Terms]:
    """An account's number, view and terms (AccountNotFound)."""
    row = connection.execute(QUERIES["find_account"], {**parameters, "address": address}).fetchone()
    if row is None:
        raise AccountNotFound(address)
    account_id, _, opened_seq, closed_seq, encoded = row
    terms = _terms(encoded)
    return account_id, account_view(address, opened_seq, closed_seq, terms), terms


def only_asset(connection: Connection, wanted: dict[str, Any], address: str) -> str:
    """The asset of an account that has one only (AssetNeeded)."""
    rows = connection.execute(QUERIES["balances_now"], wanted).fetchall()
    assets = [row[1] for row in rows if row[1] is not None]
    if len(assets) != 1:
        raise AssetNeeded(address, assets)
    asset: str = assets[0]
    return asset


def known_seq(connection: Connection, parameters: dict[str, Any], known_at: int | datetime | None) -> int:
    """The seq that was known then: never beyond the head, which it is unless asked."""
    if not isinstance(known_at, datetime):
        head = connection.execute(QUERIES["head"], parameters).fetchone()
        assert head is not None
        return int(head[1]) if known_at is None else min(known_at, int(head[1]))
    row = connection.execute(QUERIES["seq_at"], {**parameters, "moment": known_at}).fetchone()
    assert row is not None
    return int(row[0])


def legs_of(
    connection: Connection, parameters: dict[str, Any], events: Sequence[Event]
) -> dict[int, list[LegAfter]]:
    """The legs of some events, with the counters after them, by seq."""
    wanted = {(event.seq, p.account, p.asset) for event in events for p in event.postings}
    legs: dict[int, list[LegAfter]] = {event.seq: [] for event in events}
    if wanted:
        seqs, addresses, assets = map(list, zip(*wanted, strict=True))
        found = connection.execute(
            QUERIES["legs"], {**parameters, "seqs": seqs, "addresses": addresses, "assets": assets}
        )
        for seq, dp, cp, dpend, cpend, address, asset, terms in found:
            legs[seq].append(LegAfter(address, _terms(terms).debit_normal, asset, (dp, cp, dpend, cpend)))
    return legs


def _stream(
    connection: Connection, parameters: dict[str, Any], row: tuple[str, int, int, int, str]
) -> tuple[Stream, int]:
    name, version, last_seq, state_version, state = row
    stream = PRODUCTS.decoded(name, version, state_version, state)
    if stream is None:
        bodies = connection.execute(QUERIES["stream_bodies"], {**parameters, "stream": name})
        stream = PRODUCTS.folded(name, (body for (body,) in bodies))
    return stream, last_seq
