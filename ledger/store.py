"""The writer's side of the event store: lock, load, write. One seam between Python and PostgreSQL.

Connections are in autocommit mode; `lock_head` begins the transaction that `write` commits. `load` and
`load_keys` also run ahead of one. Driver errors leave here as they are; `why` tells the few that the writer
acts on apart, by SQLSTATE and constraint, never by message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import psycopg
from psycopg import errors
from psycopg.conninfo import make_conninfo

from ledger.accounts import new_patterns
from ledger.batch import Due, Plan
from ledger.chart import Chart, ChartDocument, Terms, pattern_regex
from ledger.commands import OF_PRODUCTS, Command
from ledger.decide import names
from ledger.events import UnknownEvent, read_event
from ledger.merkle import Frontier
from ledger.periods import Closing, Closings
from ledger.products import PRODUCTS, encode_state
from ledger.state import (
    REVERSIBLE,
    SUBJECT_STATE_VERSION,
    Account,
    KeyOutcome,
    Position,
    State,
    Stream,
    Token,
    decode_subject,
    encode_subject,
    stream_of,
    subject_of,
)
from ledger.text import DEFAULT_TENANT, iso, micros
from ledger.wire import Connection, Message, Text
from sql import load as load_queries

QUERIES = load_queries("writer.sql")
PREPARED = load_queries("writer_prepared.sql")

_encode_terms = msgspec.json.Encoder(order="sorted").encode
_decode_terms = msgspec.json.Decoder(Terms).decode


STATEMENT_TIMEOUT = "60s"


class Trouble(Enum):
    """What the writer does about a driver error."""

    CONNECTION = "the connection is lost: what happened to the transaction must be looked up"
    LOCKED = "another transaction kept the head locked"
    GUARD = "the database refused the rows: decide again from what is stored"


def why(error: psycopg.Error) -> Trouble | None:
    """The trouble that an error stands for; None: a defect."""
    if isinstance(error, errors.LockNotAvailable):
        return Trouble.LOCKED
    if isinstance(error, errors.IntegrityError):
        return Trouble.GUARD
    # A server that has become read only is not the one to write to: what was under way there is in doubt.
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError | errors.ReadOnlySqlTransaction):
        return Trouble.CONNECTION
    return None


class Head(NamedTuple):
    """The locked head row; moments as microseconds."""

    incarnation: int
    seq: int
    recorded_at: int
    root: bytes
    frontier: bytes
    accounts: int
    chart_seq: int
    next_expiry: int | None

    @property
    def token(self) -> Token:
        """The token of the state that is stored."""
        return self.incarnation, self.seq, self.root


def lock_head(
    connection: Connection, ledger_id: int, keys: Sequence[str] = (), tenant: str = DEFAULT_TENANT
) -> tuple[Head, int, dict[str, KeyOutcome]]:
    """Begin, and lock the tenant's ledger: its head, the clock after the lock, what is stored of `keys`."""
    message = Message(connection)
    message.add(QUERIES["lock_head"], {"tenant": tenant, "ledger_id": ledger_id})
    message.add(QUERIES["clock"])
    if keys:
        message.add(QUERIES["load_keys"], {"ledger_id": ledger_id, "keys": "\n".join(keys)})
    cursor = message.ask()
    for _ in range(3):
        cursor.nextset()
    row = cursor.fetchone()
    cursor.nextset()
    now = cursor.fetchone()
    assert row is not None
    assert now is not None
    known = _keys(cursor) if cursor.nextset() else {}
    incarnation, seq, recorded_at, root, frontier, accounts, chart_seq, next_expiry = row
    expiry = None if next_expiry is None else micros(next_expiry)
    head = Head(incarnation, seq, micros(recorded_at), root, frontier, accounts, chart_seq, expiry)
    return head, micros(now[0]), known


def state_at(connection: Connection, ledger_id: int, public_id: str, head: Head) -> State:
    """A State at a locked head, with the chart and the closed periods, and no account yet."""
    state = State(ledger_id, public_id, ZoneInfo)
    state.incarnation, state.seq, state.recorded_at, state.root = head[:4]
    state.frontier = Frontier(head.seq, head.frontier)
    state.accounts_count = head.accounts
    state.next_expiry = head.next_expiry
    if head.chart_seq:
        row = connection.execute(
            QUERIES["load_chart"], {"ledger_id": ledger_id, "chart_seq": head.chart_seq}
        ).fetchone()
        assert row is not None
        body, assets = row
        document = msgspec.convert(read_event(body).data["chart"], ChartDocument)
        state.chart = Chart(document, {asset: number for number, asset in enumerate(assets, 1)})
        state.chart_seq = head.chart_seq
    if head.seq:
        found = connection.execute(QUERIES["load_periods"], {"ledger_id": ledger_id}).fetchall()
        state.time_zone = found[0][0]
        state.closings = Closings(
            Closing(period, micros(starts_at), micros(ends_at), seq)
            for _, period, starts_at, ends_at, seq in found
            if period is not None
        )
    return state


def load_keys(connection: Connection, ledger_id: int, keys: Sequence[str]) -> dict[str, KeyOutcome]:
    """What is stored of these idempotency keys."""
    if not keys:
        return {}
    return _keys(connection.execute(QUERIES["load_keys"], {"ledger_id": ledger_id, "keys": "\n".join(keys)}))


def _keys(found: Iterable[tuple[Any, ...]]) -> dict[str, KeyOutcome]:
    return {
        key: KeyOutcome(fingerprint, seq, events, rejections)
        for key, fingerprint, seq, events, rejections in found
    }


def load(connection: Connection, state: State, commands: Iterable[Command]) -> bool:
    """Bring every account, transaction and stream that the commands name into the state.

    False: the state is not what is stored, so that nothing can be decided ahead: a command names an event
    that is being committed now, or an account has an asset that another process has just brought in.
    """
    addresses: set[str] = set()
    seqs: set[int] = set()
    of_products: list[Command] = []
    for command in commands:
        if isinstance(command.body, OF_PRODUCTS):
            of_products.append(command)
            continue
        wanted, seq = names(command)
        addresses.update(wanted)
        if seq is not None:
            seqs.add(seq)
        if isinstance(command.body, ChartDocument):
            addresses.update(_taken(connection, state, command.body))
    if of_products and state.seq:
        addresses |= PRODUCTS.shared(of_products)
        addresses |= _load_needs(connection, state, of_products)
    missing = [seq for seq in seqs if seq not in state.subjects]
    if missing and not _load_subjects(connection, state, missing):
        return False
    for seq in seqs:
        subject = state.subjects[seq]
        if subject is not None:
            addresses.update(leg.account for leg in subject.legs)
    absent = [address for address in addresses if address not in state.accounts]
    return not absent or _load_accounts(connection, state, absent)


def fetch(connection: Connection, state: State, command: Command) -> bool:
    """Load what a product's command turns out to need; whether there was anything."""
    before = len(state.accounts) + len(state.streams)
    return load(connection, state, (command,)) and len(state.accounts) + len(state.streams) > before


def _load_needs(connection: Connection, state: State, commands: Sequence[Command]) -> set[str]:
    """Bring the streams that products' commands need into the state; the accounts that they need."""
    while True:
        needed = [PRODUCTS.needs(state, command) for command in commands]
        absent = {name for need in needed for name in need.streams if name not in state.streams}
        if not absent:
            return {address for need in needed for address in need.accounts}
        wanted = {"ledger_id": state.ledger_id, "streams": "\n".join(absent)}
        found: dict[str, Stream | None] = dict.fromkeys(absent)
        for name, version, state_version, stored in connection.execute(
            QUERIES["load_streams"], wanted
        ).fetchall():
            stream = PRODUCTS.decoded(name, version, state_version, stored)
            if stream is None:
                bodies = connection.execute(
                    QUERIES["stream_bodies"], {"ledger_id": state.ledger_id, "stream": name}
                )
                stream = PRODUCTS.folded(name, (body for (body,) in bodies))
            found[name] = stream
        state.streams.update(found)


def _taken(connection: Connection, state: State, document: ChartDocument) -> list[str]:
    """An account that a product of the chart would have to itself and that is there already."""
    patterns = [pattern_regex(entry.pattern) for entry in new_patterns(state, document)]
    if not patterns:
        return []
    wanted = {"ledger_id": state.ledger_id, "patterns": "\n".join(patterns)}
    return [address for (address,) in connection.execute(QUERIES["first_taken"], wanted)]


def _load_subjects(connection: Connection, state: State, seqs: list[int]) -> bool:
    ledger_id = state.ledger_id
    past = [seq for seq in seqs if 1 <= seq <= state.seq]
    streams = "\n".join(stream_of(seq) for seq in past)
    for encoded, version in connection.execute(
        QUERIES["load_subjects"], {"ledger_id": ledger_id, "streams": streams}
    ):
        if version != SUBJECT_STATE_VERSION:
            raise UnknownEvent(f"a stream's state has version {version}, not {SUBJECT_STATE_VERSION}")
        subject = decode_subject(encoded)
        state.subjects[subject.seq] = subject
    plain = [seq for seq in past if seq not in state.subjects]
    found = 0
    for seq, body in connection.execute(QUERIES["load_bodies"], {"ledger_id": ledger_id, "seqs": plain}):
        event = read_event(body)
        state.subjects[seq] = subject_of(event) if event.type in REVERSIBLE else None
        found += 1
    for seq in set(seqs) - set(past):
        state.subjects[seq] = None
    return found == len(plain)


def _load_accounts(connection: Connection, state: State, addresses: list[str]) -> bool:
    accounts = state.accounts
    assets = {number: asset for asset, number in state.chart.asset_ids.items()}
    found = connection.execute(
        QUERIES["load_accounts"], {"ledger_id": state.ledger_id, "addresses": "\n".join(addresses)}
    ).fetchall()
    if any(row[5] is not None and row[5] not in assets for row in found):
        return False
    for address in addresses:
        accounts[address] = None
    for account_id, address, opened_seq, closed_seq, terms, asset_id, dp, cp, dpend, cpend, version in found:
        account = accounts[address]
        if account is None:
            account = accounts[address] = Account(
                account_id, address, _decode_terms(terms), opened_seq, closed_seq
            )
        if asset_id is not None:
            asset = assets[asset_id]
            account.positions[asset] = Position(account, asset, asset_id, (dp, cp, dpend, cpend), version)
    return True


def first_due(connection: Connection, ledger_id: int, now: int, limit: int) -> tuple[list[Due], int | None]:
    """The first `limit` holds and streams due at `now`, in order, and when the first after them falls due."""
    found: list[Due] = [
        (micros(due_at), seq if stream is None else stream)
        for due_at, seq, stream in connection.execute(
            QUERIES["first_due"], {"ledger_id": ledger_id, "limit": limit + 1}
        )
    ]
    due = [(at, what) for at, what in found[:limit] if at <= now]
    return due, found[len(due)][0] if len(found) > len(due) else None


def write(connection: Connection, plan: Plan) -> None:
    """Store the batch and commit, in the transaction that `lock_head` began."""
    _write(Message(connection), plan, None, lambda: None)


def lock_and_write(
    connection: Connection,
    plan: Plan,
    tolerance: int,
    sent: Callable[[], object],
    tenant: str = DEFAULT_TENANT,
) -> None:
    """Lock, store and commit in one message a batch with events that was decided without the lock.

    The database refuses it (`is_outdated`) if the head is not the one that the batch was decided on, or if
    the clock differs from the batch's by more than `tolerance` microseconds.
    """
    message = Message(connection)
    message.add(QUERIES["lock_head"], {"tenant": tenant, "ledger_id": plan.ledger_id})
    _write(message, plan, tolerance, sent)


def is_outdated(error: psycopg.Error) -> bool:
    """Whether a batch was refused because the head or the clock is not what it was decided on."""
    return isinstance(error, errors.RestrictViolation) and error.diag.constraint_name == "contiguous"


def _write(message: Message, plan: Plan, tolerance: int | None, sent: Callable[[], object]) -> None:
    """The head first, then what is appended, then what is brought up to date."""
    if plan.writes_head:
        add_head(message, plan, tolerance)
    add_copies(message, plan)
    _add_accounts(message, plan)
    if plan.balances:
        message.add(QUERIES["upsert_balances"], [plan.ledger_id, *plan.balances])
    if plan.subjects:
        _add_subjects(message, plan)
    if plan.streams:
        _add_streams(message, plan)
    if plan.ended_holds:
        message.add(
            QUERIES["delete_holds"],
            {
                "ledger_id": plan.ledger_id,
                "expiries": "{" + ",".join(iso(expires_at) for expires_at, _ in plan.ended_holds) + "}",
                "seqs": _numbers(seq for _, seq in plan.ended_holds),
            },
        )
    _add_periods(message, plan)
    message.add(QUERIES["commit"])
    message.store([buffer for _, buffer in plan.copies], sent)


def add_head(message: Message, plan: Plan, tolerance: int | None = None) -> None:
    """Bring the head row to the batch's end; see `lock_and_write`."""
    basis_incarnation, basis_seq, basis_root = plan.basis
    seq, recorded_at, root, frontier, accounts, chart_seq, next_expiry = plan.head
    message.add(
        QUERIES["update_head"],
        {
            "ledger_id": plan.ledger_id,
            "incarnation": plan.incarnation,
            "seq": seq,
            "recorded_at": iso(recorded_at),
            "root": _bytea(root),
            "frontier": _bytea(frontier),
            "accounts": accounts,
            "chart_seq": chart_seq,
            "next_expiry": None if next_expiry is None else iso(next_expiry),
            "basis_incarnation": basis_incarnation,
            "basis_seq": basis_seq,
            "basis_root": _bytea(basis_root),
            "now": iso(plan.now),
            "tolerance": tolerance,
        },
    )


def add_copies(message: Message, plan: Plan) -> None:
    """Append the batch's rows, one COPY a table."""
    for table, _ in plan.copies:
        message.add(QUERIES[f"copy_{table}"])


def _add_subjects(message: Message, plan: Plan) -> None:
    subjects = plan.subjects.values()
    message.add(
        QUERIES["upsert_subjects"],
        {
            "ledger_id": plan.ledger_id,
            "state_version": SUBJECT_STATE_VERSION,
            "versions": _numbers(s.version for s in subjects),
            "seqs": _numbers(plan.subject_seqs[s.seq] for s in subjects),
            "streams": "\n".join(s.stream for s in subjects),
            "states": b"\n".join(encode_subject(s) for s in subjects),
        },
    )


def _add_streams(message: Message, plan: Plan) -> None:
    rows = plan.streams.values()
    streams = [row.stream for row in rows]
    message.add(
        QUERIES["upsert_streams"],
        {
            "ledger_id": plan.ledger_id,
            "state_versions": _numbers(s.state_version for s in streams),
            "versions": _numbers(s.version for s in streams),
            "seqs": _numbers(row.seq for row in rows),
            "dues": "{" + ",".join("NULL" if s.due is None else iso(s.due) for s in streams) + "}",
            "kinds": "\n".join(s.kind for s in streams),
            "streams": "\n".join(s.name for s in streams),
            "states": b"\n".join([row.state or encode_state(row.stream.state) for row in rows]),
        },
    )


def _add_accounts(message: Message, plan: Plan) -> None:
    ledger_id = plan.ledger_id
    if plan.opening is not None:
        message.add(
            QUERIES["mark_opened"],
            {"ledger_id": ledger_id, "opened_at": iso(plan.now), "time_zone": plan.opening},
        )
    if plan.assets:
        message.add(
            QUERIES["insert_assets"],
            {"ledger_id": ledger_id, "ids": _numbers(plan.assets.values()), "assets": "\n".join(plan.assets)},
        )
    if plan.opened:
        message.add(
            QUERIES["insert_accounts"],
            {
                "ledger_id": ledger_id,
                "ids": _numbers(account_id for account_id, _, _, _ in plan.opened),
                "seqs": _numbers(seq for _, seq, _, _ in plan.opened),
                "addresses": "\n".join(address for _, _, address, _ in plan.opened),
                "terms": b"\n".join(_encode_terms(terms) for _, _, _, terms in plan.opened),
            },
        )
    for account_id, terms in plan.limited:
        message.add(
            QUERIES["set_account_terms"],
            {"ledger_id": ledger_id, "account_id": account_id, "terms": _encode_terms(terms)},
        )
    for account_id, seq in plan.closed:
        message.add(QUERIES["close_account"], {"ledger_id": ledger_id, "account_id": account_id, "seq": seq})


def _add_periods(message: Message, plan: Plan) -> None:
    ledger_id = plan.ledger_id
    if plan.reopened:
        message.add(
            QUERIES["delete_closed_periods"], {"ledger_id": ledger_id, "periods": "\n".join(plan.reopened)}
        )
    for closing in plan.closings.values():
        message.add(
            QUERIES["insert_closed_period"],
            {
                "ledger_id": ledger_id,
                "seq": closing.seq,
                "starts_at": iso(closing.starts_at),
                "ends_at": iso(closing.ends_at),
                "period": closing.period,
            },
        )


def stored(connection: Connection, plan: Plan) -> bool:
    """Whether the batch is in the store: its leaves where they belong, and its keys with their outcomes."""
    if plan.accepted:
        first = plan.accepted[0].event.seq
        wanted = {"ledger_id": plan.ledger_id, "first": first, "last": first + len(plan.leaves) - 1}
        return [leaf for (leaf,) in connection.execute(QUERIES["leaves"], wanted)] == plan.leaves
    keys = load_keys(connection, plan.ledger_id, list(plan.keys))
    return keys == plan.keys


def _bytea(value: bytes) -> str:
    return f"\\x{value.hex()}"


def _numbers(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"


def connect(conninfo: str, lock_timeout_seconds: int, role: str | None = "daybook_writer") -> Connection:
    """A connection of the writer: autocommit, UTC, durable, waiting for locks only so long (psycopg.Error).

    A statement that takes longer than STATEMENT_TIMEOUT ends; one is thousands of rows, which take seconds.
    COMMIT is exempt (PostgreSQL stops that clock before it commits), so no wait for a standby is cut short.

    `role` None stays the user who logged in, who may see and end other sessions of its own.
    """
    settings: dict[str, str | int] = {
        "application_name": "daybook",
        "connect_timeout": 5,
        "client_encoding": "UTF8",
        "options": f"-c timezone=UTC -c lock_timeout={lock_timeout_seconds}s "
        f"-c statement_timeout={STATEMENT_TIMEOUT} -c client_min_messages=warning "
        "-c synchronous_commit=on -c default_transaction_isolation=read\\ committed "
        "-c standard_conforming_strings=on "
        # Everything here is read by its key, however young the table was when the plan was made.
        "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off" + (f" -c role={role}" if role else ""),
    }
    connection = psycopg.connect(
        make_conninfo(conninfo, **settings), autocommit=True, cursor_factory=psycopg.ClientCursor
    )
    # psycopg would DEALLOCATE ALL at a ROLLBACK if it prepared statements of its own.
    connection.prepare_threshold = None
    connection.adapters.register_dumper(str, Text)
    try:
        connection.execute("\n".join(PREPARED.values()))
    except psycopg.Error:
        connection.close()
        raise
    return connection


def reserve_ledger(connection: Connection, tenant: str, name: str, public_id: str) -> None:
    """Make the rows of a ledger that is about to be opened, unless another process just did."""
    with connection.transaction():
        reserved = connection.execute(
            QUERIES["reserve_ledger"], {"tenant": tenant, "name": name, "public_id": public_id}
        ).fetchone()
        if reserved is not None:
            connection.execute(QUERIES["insert_head"], {"ledger_id": reserved[0]})
