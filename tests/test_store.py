"""The contract of the store: what is written is what is read, at the edges of every type.

`rows` encodes what COPY takes in; `store` brings back what the next decision needs. Whatever a writer keeps
in its cache, a process that starts now must load the same from the tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg
import pytest

from ledger import commands as c
from ledger import rows, store
from ledger.batch import Request, decide_batch
from ledger.chart import Limits, Terms
from ledger.events import Event
from ledger.merkle import leaf_hash
from ledger.reader import Reader
from ledger.state import Accepted, Account, KeyOutcome, Position, State
from ledger.store import QUERIES, Trouble
from ledger.text import moment
from ledger.wire import Connection
from tests.audit import audited
from tests.bookkeeping import (
    CHART,
    USD,
    code,
    deposit,
    do,
    done,
    open_ledger,
    transaction,
    withdrawal,
    writing,
)

MAX = 2**63 - 1
FIRST_MOMENT = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
LAST_MOMENT = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z
MOMENTS = (FIRST_MOMENT, -1, 0, 1, 946_684_799_999_999, 946_684_800_000_000, LAST_MOMENT)
TEXT = 'Ünïcödé 漢字 🜚 "quoted" \\ back \t tab \n line \u2028 \x7f'


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A writer's connection, outside its role."""
    with store.connect(database, 1, role=None) as connection:
        yield connection


# ---------------------------------------------------------------- rows


def copied(connection: Connection, table: str, encoded: list[bytes]) -> list[tuple[Any, ...]]:
    """What a table without guards holds after the writer's own COPY, columns as COPY names them."""
    connection.execute(f"CREATE TEMP TABLE {table} (LIKE daybook.{table})".encode())
    statement = QUERIES[f"copy_{table}"]
    with connection.cursor().copy(statement.replace("daybook.", "pg_temp.").encode()) as copy:
        copy.write(rows.buffer(b"".join(encoded)))
    columns = statement[statement.index("(") + 1 : statement.index(")")]
    return connection.execute(f"SELECT {columns} FROM pg_temp.{table}".encode()).fetchall()


def test_postings_round_trip(connection: Connection) -> None:
    """int64 amounts and counters of both signs, every kind, the first and the last moment."""
    account = Account(2**31 - 1, "cash", Terms("asset"), 1)
    position, after = Position(account, "USD/2", 2**15 - 1), (MAX, 0, MAX - 1, 1)
    legs = [(position, kind, amount, after) for kind in (0, 1, 2) for amount in (1, -1, MAX, -MAX)]
    event = Event(ledger="", effective_at="", recorded_at="", schema_version=1, seq=MAX, type="")
    moved = [Accepted(event, b"", effective_at, legs, []) for effective_at in MOMENTS]
    stored = copied(connection, "postings", [rows.postings(499, accepted) for accepted in moved])
    assert stored == [
        (MAX, amount, moment(effective_at), *after, 499, 2**31 - 1, 2**15 - 1, leg, kind)
        for effective_at in MOMENTS
        for leg, (_, kind, amount, _) in enumerate(legs)
    ]


def test_events_round_trip(connection: Connection) -> None:
    """Bodies byte for byte, with any text in them; types, leaves, numbers of legs, moments."""
    state = State(1, "0" * 8, ZoneInfo)
    accepted = []
    for request in (
        c.LedgerOpening(name="main", chart=CHART),
        transaction("cash", "fees", MAX, description=TEXT, metadata={TEXT[:60]: TEXT}),
    ):
        state.accounts.setdefault("cash", None)
        state.accounts.setdefault("fees", None)
        accepted += decide_batch(state, [Request([c.command(request)])], {}, 1_000).accepted
    accepted = [msgspec.structs.replace(a, effective_at=m) for a in accepted for m in MOMENTS]
    assert any(TEXT.encode()[:20] in a.body for a in accepted)
    encoded = [rows.event(7, LAST_MOMENT, a, leaf_hash(a.body)) for a in accepted]
    assert copied(connection, "events", encoded) == [
        (
            a.event.seq,
            moment(a.effective_at),
            moment(LAST_MOMENT),
            7,
            len(a.legs),
            a.event.type,
            leaf_hash(a.body),
            a.body,
        )
        for a in accepted
    ]


def test_keys_round_trip(connection: Connection) -> None:
    """Keys of one and of 255 characters, events and remembered rejections."""
    outcomes = {
        "k": KeyOutcome(bytes(32), 1, 1),
        " ~" * 127 + "~": KeyOutcome(b"\xff" * 32, MAX, 5_000),
        "refused": KeyOutcome(bytes(range(32)), 0, 0, f'[{{"code":"x","evidence":"{TEXT}"}}]'.encode()),
    }
    stored = copied(connection, "idempotency_keys", [rows.key(9, key, o) for key, o in outcomes.items()])
    assert stored == [(9, o.events, o.seq, o.fingerprint, key, o.rejections) for key, o in outcomes.items()]


def test_streams_endings_and_holds_round_trip(connection: Connection) -> None:
    """Names and numbers of the greatest length, moments at the ends of the calendar."""
    stream = f"transaction:{MAX}"
    stored = copied(connection, "event_streams", [rows.event_stream(1, MAX, stream, 2**31 - 1)])
    assert stored == [(1, MAX, 2**31 - 1, stream)]
    assert copied(connection, "endings", [rows.ending(1, MAX, stream)]) == [(1, MAX, stream)]
    holds = [(1, at, MAX) for at in MOMENTS]
    assert copied(connection, "holds", [rows.hold(*hold) for hold in holds]) == [
        (ledger, moment(at), seq) for ledger, at, seq in holds
    ]


# ---------------------------------------------------------------- what a decision loads


def work(database: str) -> State:
    """A ledger with something of everything; the state that its writer has kept."""
    with writing(database) as writer:
        open_ledger(writer)
        legs = [c.Posting("cash", "debit", MAX, "EUR/2"), c.Posting("fees", "credit", MAX, "EUR/2")]
        done(do(writer, c.Transaction(postings=legs, effective_at=datetime(1, 1, 1, tzinfo=UTC))))
        assert code(do(writer, c.Transaction(postings=legs))) == "amount_overflow"
        first = done(do(writer, transaction("vault:1", "customers:1", 500, description=TEXT), key="k"))
        done(do(writer, c.Reversal(amounts=[100, 100]), first))
        done(do(writer, c.Annotation(metadata={"note": TEXT}), first))
        posted, voided, kept = (
            done(do(writer, transaction("customers:1", "fees", n, pending=True, timeout_seconds=900)))
            for n in (30, 40, 50)
        )
        done(do(writer, c.HoldPosting(amounts=[10, 10]), posted))
        done(do(writer, c.HoldPosting(amounts=[5, 5], final=True), posted))
        done(do(writer, c.HoldVoid(), voided))
        done(do(writer, c.HoldPosting(amounts=[1, 1]), kept))
        done(do(writer, c.AccountLimits({USD: Limits(min_available=7), "*": Limits()}), "customers:1"))
        done(do(writer, c.AccountOpening("customers:2")))
        done(do(writer, c.AccountClosing(), "customers:2"))
        assert code(do(writer, withdrawal(1, 9_999), key="refused")) == "insufficient_available"
        state = writer._books["default/main"].state
        assert state is not None
        return state


def described(account: Account | None) -> Any:
    """An account and its positions, as plain values."""
    if account is None:
        return None
    positions = {
        asset: (p.asset_id, p.balance, p.version, p.min_available, p.max_balance)
        for asset, p in account.positions.items()
    }
    fields = (account.account_id, account.address, account.opened_seq, account.closed_seq, account.terms)
    return (*fields, account.debit_normal, positions)


def loaded(connection: Connection, kept: State) -> State:
    """The state that a process that starts now has, with all that `kept` has."""
    head, _, _ = store.lock_head(connection, kept.ledger_id)
    state = store.state_at(connection, kept.ledger_id, kept.public_id, head)
    commands = [c.command(c.AccountOpening(address)) for address in kept.accounts]
    commands += [c.command(c.Annotation(metadata={"a": "b"}), seq) for seq in range(1, kept.seq + 2)]
    assert store.load(connection, state, commands)
    connection.execute("ROLLBACK")
    return state


def test_what_is_loaded_is_what_the_writer_had_kept(database: str, connection: Connection) -> None:
    """Accounts, positions, limits, subjects, chart, tree and token: cache and tables agree."""
    kept = work(database)
    state = loaded(connection, kept)
    assert state.token == kept.token
    assert state.frontier.pack() == kept.frontier.pack()
    assert (state.recorded_at, state.accounts_count, state.chart_seq, state.next_expiry) == (
        kept.recorded_at,
        kept.accounts_count,
        kept.chart_seq,
        kept.next_expiry,
    )
    assert (state.chart.document, state.chart.asset_ids) == (kept.chart.document, kept.chart.asset_ids)
    assert len(kept.accounts) == 5
    for address, account in kept.accounts.items():
        assert described(state.accounts[address]) == described(account)
    assert len(kept.subjects) >= 4
    for seq, subject in kept.subjects.items():
        assert state.subjects[seq] == subject


def test_what_does_not_exist_is_loaded_as_absent(database: str, connection: Connection) -> None:
    """An address without an account, a seq beyond the head, an event that is no transaction: None."""
    kept = work(database)
    head, _, _ = store.lock_head(connection, 1)
    state = store.state_at(connection, 1, kept.public_id, head)
    commands = [c.command(c.AccountOpening("customers:77")), c.command(c.HoldVoid(), kept.seq + 1)]
    assert store.load(connection, state, [*commands, c.command(c.HoldVoid(), 1)])
    assert state.accounts == {"customers:77": None}
    assert state.subjects == {kept.seq + 1: None, 1: None}


def test_an_event_that_is_being_committed_is_not_taken_for_absent(
    database: str, connection: Connection
) -> None:
    """A state ahead of the tables names an event that is not there yet: nothing can be decided on it."""
    kept = work(database)
    kept.seq += 1
    assert not store.load(connection, kept, [c.command(c.Reversal(), kept.seq)])


def test_an_asset_that_another_process_brought_in_is_not_misread(
    database: str, connection: Connection
) -> None:
    """A state behind the tables cannot name the asset of a position: nothing can be decided on it."""
    kept = work(database)
    with writing(database) as other:
        chart = msgspec.structs.replace(CHART, assets=("XXX/0",))
        done(do(other, chart))
        legs = [c.Posting("cash", "debit", 1, "XXX/0"), c.Posting("customers:3", "credit", 1, "XXX/0")]
        done(do(other, c.Transaction(postings=legs)))
    assert not store.load(connection, kept, [c.command(c.AccountOpening("customers:3"))])
    assert "customers:3" not in kept.accounts


def test_keys_are_loaded_with_their_outcomes(database: str, connection: Connection) -> None:
    """Used keys and no others, with events or rejections."""
    work(database)
    keys = store.load_keys(connection, 1, ["k", "refused", "never", "k"])
    assert set(keys) == {"k", "refused"}
    assert (keys["k"].events, keys["k"].rejections) == (1, None)
    assert keys["refused"].events == 0
    assert b"insufficient_available" in (keys["refused"].rejections or b"")
    assert store.load_keys(connection, 1, []) == {}
    assert store.load_keys(connection, 2, ["k"]) == {}


def test_due_holds_come_in_order_with_the_next_to_come(database: str, connection: Connection) -> None:
    """By (expires_at, seq), no more than asked for, and when the one after them expires."""
    with writing(database) as writer:
        open_ledger(writer)
        done(do(writer, deposit(1, 100)))
        seconds = (300, 100, 200, 100, 400)
        bodies = [withdrawal(1, 1, pending=True, timeout_seconds=s) for s in seconds]
        seqs = [done(outcome) for outcome in writer.execute("main", Request([c.command(b) for b in bodies]))]
        state = writer._books["default/main"].state
        assert state is not None
        at = [state.recorded_at + s * 1_000_000 for s in seconds]
    order = [(at[i], seqs[i]) for i in (1, 3, 2, 0, 4)]
    assert store.first_due(connection, 1, at[1] - 1, 10) == ([], at[1])
    assert store.first_due(connection, 1, at[1], 10) == (order[:2], at[2])
    assert store.first_due(connection, 1, at[1], 1) == (order[:1], at[1])
    assert store.first_due(connection, 1, at[0], 10) == (order[:4], at[4])
    assert store.first_due(connection, 1, at[4], 10) == (order, None)


# ---------------------------------------------------------------- writing, and what went wrong


def test_a_plan_is_stored_once_it_is_written(database: str, connection: Connection) -> None:
    """`stored` tells a commit that took place from one that did not, with events and with rejections only."""
    kept = work(database)
    for key, body in (("a", withdrawal(1, 9_999)), ("b", deposit(1, 5))):
        head, clock, _ = store.lock_head(connection, 1)
        state = store.state_at(connection, 1, kept.public_id, head)
        store.load(connection, state, [c.command(body)])
        request = Request([c.command(body, key=key)])
        plan = decide_batch(state, [request], {}, clock, next_expiry=head.next_expiry)
        assert not store.stored(connection, plan)
        store.write(connection, plan)
        assert store.stored(connection, plan)
    audited(database)


@pytest.mark.parametrize("moved", ["head", "clock", "neither"])
def test_a_batch_decided_without_the_lock_is_stored_only_on_its_own_basis(
    database: str, connection: Connection, moved: str
) -> None:
    """When the head is another, or the clock more than the tolerance off, nothing at all is stored."""
    kept = work(database)
    head, clock, _ = store.lock_head(connection, 1)
    state = store.state_at(connection, 1, kept.public_id, head)
    commands = [c.command(deposit(1, 5), key="a")]
    store.load(connection, state, commands)
    connection.execute("ROLLBACK")
    now = clock + (2_000_000 if moved == "clock" else 0)
    plan = decide_batch(state, [Request(commands)], {}, now, next_expiry=head.next_expiry)
    if moved == "head":
        with writing(database) as writer:
            done(do(writer, deposit(1, 5)))
    sent: list[bool] = []
    if moved == "neither":
        store.lock_and_write(connection, plan, 1_000_000, lambda: sent.append(True))
    else:
        with pytest.raises(psycopg.Error) as raised:
            store.lock_and_write(connection, plan, 1_000_000, lambda: sent.append(True))
        assert store.is_outdated(raised.value)
        connection.execute("ROLLBACK")
    assert sent == [True]
    assert store.stored(connection, plan) == (moved == "neither")
    audited(database)


def test_driver_errors_are_told_apart_by_sqlstate(database: str, connection: Connection) -> None:
    """Locked, refused by a guard, connection lost, or a defect."""

    def trouble(statement: str) -> Trouble | None:
        with pytest.raises(psycopg.Error) as raised, store.connect(database, 1, role=None) as other:
            other.execute(statement.encode())
        return store.why(raised.value)

    work(database)
    with connection.transaction():
        connection.execute("SELECT FROM daybook.heads FOR UPDATE")
        assert trouble("SELECT FROM daybook.heads FOR UPDATE") is Trouble.LOCKED
    assert trouble("DELETE FROM daybook.events") is Trouble.GUARD
    assert trouble("INSERT INTO daybook.ledgers (name, public_id) VALUES ('X', gen_random_uuid())") is (
        Trouble.GUARD
    )
    assert trouble("SELECT pg_terminate_backend(pg_backend_pid())") is Trouble.CONNECTION
    assert trouble("SELECT nonsense") is None
    assert trouble("SELECT 1 / 0") is None


# ---------------------------------------------------------------- known_at


def test_known_at_every_seq_equals_the_fold(database: str) -> None:
    """For every account and seq, and by the moment of recording: the balance is that of events 1 .. seq."""
    work(database)
    books = audited(database)["main"]
    reader = Reader(database)
    try:
        for seq, event in books.events.items():
            folded: dict[tuple[str, str], tuple[int, ...]] = {}
            for leg in books.legs:
                if leg[0] <= seq:
                    folded[leg[2], leg[3]] = leg[7:11]
            for address in books.accounts:
                expected = {asset: f for (owner, asset), f in folded.items() if owner == address}
                at_seq = reader.balances("main", address, known_at=seq)
                recorded = datetime.fromisoformat(event["recorded_at"])
                at_moment = reader.balances("main", address, known_at=recorded)
                assert at_seq == at_moment
                assert at_seq.seq == seq
                assert {
                    b.asset: (b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending)
                    for b in at_seq.balances
                } == expected
                before = reader.balances("main", address, known_at=recorded - timedelta(microseconds=1))
                assert before.seq == seq - 1
    finally:
        reader.close()
