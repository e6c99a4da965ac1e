"""The database defends the book by itself: a superuser with raw SQL is refused, by name, and changes nothing.

Each attack follows every rule but one, so that the guard which must refuse it is the one that does. The
first test is the control: the same forged batch with no rule broken is accepted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

import psycopg
import pytest
from psycopg import errors

from tests.audit import audited
from tests.bookkeeping import deposit, do, done, writing
from tests.conftest import NewDatabase
from tests.forgery import (
    APPEND_ONLY,
    CHANGES,
    about,
    add_events,
    add_legs,
    attack,
    head_seq,
    move_head,
    written_book,
)


@pytest.fixture(scope="module")
def book(new_database: NewDatabase) -> Iterator[str]:
    with written_book(new_database) as database:
        yield database


def test_a_forged_batch_that_keeps_every_rule_is_accepted(book: str) -> None:
    """The control: what the attacks below do passes all guards, deferred ones too, if no rule is broken."""
    with psycopg.connect(book) as connection:
        about(connection, 1)
        first = move_head(connection, 2)
        add_events(connection, [first, first + 1])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7), (first + 1, 0, 1, 8), (first + 1, 1, 2, -8))
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert head_seq(connection) == first + 1
        connection.rollback()


# ---------------------------------------------------------------- immutable


@pytest.mark.parametrize("replica", [False, True], ids=["", "as replica"])
@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_append_only_tables_refuse_change(book: str, table: str, statement: str, replica: bool) -> None:
    """Nothing is updated, deleted or truncated, also where triggers are off for replication."""
    with attack(book, errors.RestrictViolation, "append_only") as connection:
        if replica:
            connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(statement.format(table, "ledger_id").encode())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM daybook.accounts",
        "TRUNCATE daybook.accounts",
        "UPDATE daybook.accounts SET address = 'customers:2' WHERE address = 'customers:1'",
        "UPDATE daybook.accounts SET account_id = account_id + 100",
        "UPDATE daybook.accounts SET opened_seq = 1",
        "DELETE FROM daybook.heads",
        "TRUNCATE daybook.heads",
        "TRUNCATE daybook.ledgers CASCADE",
        "INSERT INTO daybook.events SELECT * FROM daybook.events"
        " ON CONFLICT (ledger_id, seq) DO UPDATE SET type = 'changed'",
    ],
)
def test_what_names_a_posting_stays(book: str, statement: str) -> None:
    """An account's number and address, a head and a ledger cannot be taken away from the postings."""
    with attack(book, errors.RestrictViolation, "append_only") as connection:
        connection.execute(statement.encode())


def test_a_closed_account_stays_closed(book: str) -> None:
    """No update takes closed_seq back."""
    with attack(book, errors.RestrictViolation, "append_only") as connection:
        connection.execute("UPDATE daybook.accounts SET closed_seq = NULL WHERE address = 'customers:99'")


# ---------------------------------------------------------------- balanced, and legs where they belong


def test_an_unbalanced_event_is_refused(book: str) -> None:
    """Legs of an event sum to zero."""
    with attack(book, errors.RestrictViolation, "balanced") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -6))


def test_two_unbalanced_events_do_not_make_up_for_each_other(book: str) -> None:
    """Each event balances by itself, not the batch."""
    with attack(book, errors.RestrictViolation, "balanced") as connection:
        first = move_head(connection, 2)
        add_events(connection, [first, first + 1])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -6), (first + 1, 0, 1, 7), (first + 1, 1, 2, -8))


def test_pending_legs_do_not_balance_posted_ones(book: str) -> None:
    """Each kind of leg balances by itself."""
    with attack(book, errors.RestrictViolation, "balanced") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7), kinds=(0, 1))


def test_legs_without_a_head_of_this_transaction_are_refused(book: str) -> None:
    """Legs cannot be added to the last event: its head was written by another transaction."""
    with attack(book, errors.RestrictViolation, "head_first") as connection:
        last = head_seq(connection)
        add_legs(connection, (last, 5, 1, 7), (last, 6, 2, -7))


@pytest.mark.parametrize("old", [1, 2])
def test_legs_cannot_be_added_to_an_old_event(book: str, old: int) -> None:
    """Beside a good new event, legs of an old one are refused."""
    with attack(book, errors.RestrictViolation, "legs_in_range") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7), (old, 5, 1, 7), (old, 6, 2, -7))


def test_legs_beyond_the_head_are_refused(book: str) -> None:
    """Legs cannot wait for a future event."""
    with attack(book, errors.RestrictViolation, "legs_in_range") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7), (first + 1, 0, 1, 7), (first + 1, 1, 2, -7))


def test_orphan_legs_are_refused(book: str) -> None:
    """A head without its event cannot carry legs."""
    with attack(book, errors.RestrictViolation, "legs_complete") as connection:
        first = move_head(connection)
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7))


def test_an_event_without_the_legs_it_announces_is_refused(book: str) -> None:
    """At commit, the head knows that legs are missing."""
    with attack(book, errors.RestrictViolation, "legs_complete") as connection:
        add_events(connection, [move_head(connection)])


@pytest.mark.parametrize("legs", [1, 3, 4])
def test_an_event_has_as_many_legs_as_it_says(book: str, legs: int) -> None:
    """Neither fewer nor more."""
    with attack(book, errors.RestrictViolation, "legs_complete") as connection:
        first = move_head(connection)
        add_events(connection, [first], legs=legs)
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7))


def test_legs_are_numbered_without_a_gap(book: str) -> None:
    """Leg numbers run 0 .. n - 1."""
    with attack(book, errors.RestrictViolation, "legs_complete") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 7), (first, 2, 2, -7))


def test_a_second_posting_statement_is_refused(book: str) -> None:
    """All legs of a batch come at once, so that they cannot be doubled."""
    with attack(book, errors.RestrictViolation, "legs_in_range") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 7), (first, 1, 2, -7))
        add_legs(connection, (first, 0, 3, 7), (first, 1, 4, -7))


def test_a_leg_of_nothing_is_refused(book: str) -> None:
    """No leg has the amount zero."""
    with attack(book, errors.CheckViolation, "postings_amount_check") as connection:
        first = move_head(connection)
        add_events(connection, [first])
        add_legs(connection, (first, 0, 1, 0), (first, 1, 2, 0))


# ---------------------------------------------------------------- contiguous


def test_an_event_without_a_head_of_this_transaction_is_refused(book: str) -> None:
    """The head comes first."""
    with attack(book, errors.RestrictViolation, "head_first") as connection:
        add_events(connection, [head_seq(connection) + 1], legs=0)


@pytest.mark.parametrize(
    ("announced", "offsets"),
    [(2, [1]), (2, [0]), (1, [1]), (1, [0, 1]), (3, [0, 2]), (1, [-1])],
    ids=["a gap", "too few", "beyond", "too many", "a hole", "at the old head"],
)
def test_events_are_exactly_those_that_the_head_announces(
    book: str, announced: int, offsets: list[int]
) -> None:
    """Inserted seqs run from the previous head + 1 to the new head."""
    refused = errors.UniqueViolation if offsets == [-1] else errors.RestrictViolation
    with attack(book, refused, "events_pkey" if offsets == [-1] else "contiguous") as connection:
        first = move_head(connection, announced)
        add_events(connection, [first + offset for offset in offsets], legs=0)


def test_an_event_carries_its_heads_time(book: str) -> None:
    """recorded_at is the batch's."""
    with attack(book, errors.RestrictViolation, "contiguous") as connection:
        add_events(connection, [move_head(connection)], legs=0, later=timedelta(microseconds=1))


def test_a_head_without_its_events_is_refused(book: str) -> None:
    """At commit, what the head announced must be there."""
    with attack(book, errors.RestrictViolation, "contiguous") as connection:
        move_head(connection)


@pytest.mark.parametrize(
    "assignments",
    [
        "seq = seq - 1",
        "seq = seq + 1, previous_seq = seq, recorded_at = recorded_at",
        "seq = seq + 1, previous_seq = seq, recorded_at = recorded_at - interval '1 day'",
        "seq = seq + 1, previous_seq = seq - 1, recorded_at = recorded_at + interval '1 second'",
        "seq = seq + 1, previous_seq = seq + 1, recorded_at = recorded_at + interval '1 second'",
        "previous_seq = 0",
        "recorded_at = recorded_at + interval '1 second'",
        "root = sha256('forged')",
        "frontier = sha256('forged')",
        "accounts = accounts + 1",
        "chart_seq = 2",
        "incarnation = incarnation + 1",
    ],
)
def test_a_head_only_moves_forward(book: str, assignments: str) -> None:
    """Neither seq nor time goes back, and nothing but the next expiry changes without events."""
    with attack(book, errors.RestrictViolation, "contiguous") as connection:
        connection.execute(f"UPDATE daybook.heads SET {assignments} WHERE ledger_id = 1".encode())


def test_a_ledger_starts_at_zero(book: str) -> None:
    """A new head cannot claim events."""
    with attack(book, errors.RestrictViolation, "contiguous") as connection:
        connection.execute(
            "WITH new AS (INSERT INTO daybook.ledgers (tenant, name, public_id)"
            " VALUES ('default', 'new', gen_random_uuid())"
            " RETURNING ledger_id, set_config('daybook.ledger_id', ledger_id::text, true))"
            " SELECT ledger_id FROM new"
        )
        connection.execute(
            "INSERT INTO daybook.heads"
            " (ledger_id, seq, previous_seq, recorded_at, root, frontier, accounts, chart_seq)"
            " SELECT max(ledger_id), 5, 0, now(), sha256(''), '', 0, 0 FROM daybook.ledgers"
        )


@pytest.mark.parametrize("data", [{}, {"incarnation": 3}], ids=["no event", "another one"])
def test_an_incarnation_begins_with_its_event(book: str, data: dict[str, int]) -> None:
    """At commit, the event that starts the head's incarnation must be there."""
    with attack(book, errors.RestrictViolation, "incarnation") as connection:
        first = move_head(connection, incarnation=2)
        type = "ledger_restored" if data else "transaction_posted"
        add_events(connection, [first], legs=0, type=type, body=json.dumps({"data": data}).encode())


# ---------------------------------------------------------------- periods


FORGED_ROW = "({}, {}, '2021-01-01Z', '2022-01-01Z', '2021')"
FORGED = f"INSERT INTO daybook.closed_periods VALUES {FORGED_ROW}"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE daybook.closed_periods SET ends_at = ends_at - interval '1 day'",
        "UPDATE daybook.closed_periods SET period = '2021'",
        "TRUNCATE daybook.closed_periods",
    ],
)
def test_a_closing_does_not_change(book: str, statement: str) -> None:
    """Its bounds are those of its event."""
    with attack(book, errors.RestrictViolation, "append_only") as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM daybook.closed_periods WHERE ledger_id = 1", FORGED.format(1, 1), FORGED.format(2, 1)],
    ids=["reopened", "closed", "closed in another ledger"],
)
def test_a_period_is_not_closed_or_reopened_without_events(book: str, statement: str) -> None:
    """What marks it changes only in a transaction that moved the ledger's head."""
    with attack(book, errors.RestrictViolation, "head_first") as connection:
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("type", "period", "statement"),
    [
        ("period_closed", "2022", FORGED.format(1, "{seq}")),
        ("period_closed", "2021", FORGED.format(1, "{seq} + 1")),
        ("period_closed", "2021", FORGED.format(2, "{seq}") + ", " + FORGED_ROW.format(1, "{seq}")),
        ("period_reopened", "2021", FORGED.format(1, "{seq}")),
        ("period_reopened", "2021", "DELETE FROM daybook.closed_periods WHERE ledger_id = 1"),
        ("period_reopened", "2020", "DELETE FROM daybook.closed_periods"),
        ("period_closed", "2020", "DELETE FROM daybook.closed_periods WHERE ledger_id = 1"),
        ("transaction_posted", "2020", "DELETE FROM daybook.closed_periods WHERE ledger_id = 1"),
    ],
)
def test_a_period_is_closed_and_reopened_by_its_own_event(
    book: str, type: str, period: str, statement: str
) -> None:
    """The event beside it is of the right type, of this ledger and this period, and has the seq noted."""
    with attack(book, errors.RestrictViolation, "closed_by_event") as connection:
        first = move_head(connection)
        body = json.dumps({"data": {"period": period}}).encode()
        add_events(connection, [first], legs=0, type=type, body=body)
        connection.execute(statement.format(seq=first).encode())


def test_a_period_is_closed_once(book: str) -> None:
    """A second closing of a closed period violates its key."""
    with attack(book, errors.UniqueViolation, "closed_periods_pkey") as connection:
        connection.execute("INSERT INTO daybook.closed_periods SELECT * FROM daybook.closed_periods")


# ---------------------------------------------------------------- provable, exactly once, bounded


def test_a_leaf_is_the_hash_of_its_body(book: str) -> None:
    """A body cannot be stored under another body's leaf."""
    with attack(book, errors.CheckViolation, "leaf_of_body") as connection:
        add_events(connection, [move_head(connection)], legs=0, leaf=sha256(b"\x00[]").digest())


def test_a_body_has_an_end(book: str) -> None:
    """65,535 bytes at most."""
    with attack(book, errors.CheckViolation, "body_length") as connection:
        add_events(connection, [move_head(connection)], legs=0, body=b"x" * 65_536)


def test_nothing_ends_twice(book: str) -> None:
    """A second ending of a stream violates its key."""
    with attack(book, errors.UniqueViolation, "endings_pkey") as connection:
        connection.execute(
            "INSERT INTO daybook.endings SELECT ledger_id, seq + 1, stream FROM daybook.endings"
        )


def test_a_stream_has_one_event_a_version(book: str) -> None:
    """Two events cannot both be the first on a transaction."""
    with attack(book, errors.UniqueViolation, "event_streams_pkey") as connection:
        connection.execute(
            "INSERT INTO daybook.event_streams"
            " SELECT ledger_id, seq + 1, version, stream FROM daybook.event_streams"
        )


def test_a_key_has_one_outcome(book: str) -> None:
    """A second outcome of a key violates its primary key."""
    with attack(book, errors.UniqueViolation, "idempotency_keys_pkey") as connection:
        connection.execute(
            "INSERT INTO daybook.idempotency_keys"
            " SELECT ledger_id, events, seq + 1, fingerprint, key, rejections FROM daybook.idempotency_keys"
        )


@pytest.mark.parametrize(
    ("address", "change", "constraint"),
    [
        ("customers:1", "debits_posted = credits_posted + 1", "min_available"),
        ("customers:1", "debits_pending = credits_posted - debits_posted + 1", "min_available"),
        ("capped:1", "credits_posted = debits_posted + 1001", "max_balance"),
        ("capped:1", "credits_pending = 701", "max_balance"),
        ("vault:1", "credits_posted = debits_posted + 1", "min_available"),
        ("vault:1", "credits_pending = 401", "min_available"),
        ("vault:1", "debits_posted = credits_posted + 1001", "max_balance"),
        ("vault:1", "debits_pending = 601", "max_balance"),
        ("vault:1", "min_available = 401", "min_available"),
        ("cash", "debits_posted = -1", "balances_debits_posted_check"),
    ],
)
def test_no_balance_goes_beyond_its_limits(book: str, address: str, change: str, constraint: str) -> None:
    """Both bounds hold on both normal sides, with pending amounts taken at their worst."""
    one_less = "WITH a AS (SELECT * FROM daybook.accounts WHERE ledger_id = 1 AND address = %s)"
    statement = f"{one_less} UPDATE daybook.balances b SET {change} FROM a"
    where = " WHERE b.ledger_id = 1 AND b.account_id = a.account_id"
    with attack(book, errors.CheckViolation, constraint) as connection:
        connection.execute(f"{statement}{where}".encode(), (address,))


def test_after_the_attacks_the_book_goes_on_and_is_sound(book: str) -> None:
    """Nothing that was refused left a trace."""
    with pytest.raises(errors.RestrictViolation), psycopg.connect(book) as connection:
        connection.execute("DELETE FROM daybook.events")
    with writing(book) as writer:
        done(do(writer, deposit(1, 5)))
    assert audited(book)["main"].posted("customers:1", "USD/2") == 505
