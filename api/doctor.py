"""`daybook doctor`: is this installation safe, and does every ledger still add up?

Each check yields findings. The checks of the ledgers read one snapshot, so they may run beside the service.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, LiteralString

import psycopg
from msgspec import Struct

from api.database import Database, check_version
from ledger import guards
from ledger.keeping import Keeping, KeepingError
from ledger.reader import Reader
from projections.registry import PROJECTIONS
from projections.status import status
from projections.tree_heads import TreeHeads
from projections.versions import connect
from sql import load as load_queries
from sql.migrate import MigrationError, pending

QUERIES = load_queries("doctor.sql")

CLOCK_TOLERANCE_SECONDS = 1.0
LEAST_FREE_BYTES = 1 << 30

Connection = psycopg.Connection[tuple[Any, ...]]


class Finding(Struct, frozen=True):
    """What a check found. A note is worth knowing and no reason for alarm."""

    status: Literal["ok", "note", "problem"]
    check: str
    detail: str


def examine(database: Database, keeping: Keeping) -> Iterator[Finding]:
    """Every check in turn (psycopg.Error when the server goes away)."""
    with psycopg.connect(database.conninfo, autocommit=True) as connection:
        yield Finding("ok", "server", f"PostgreSQL {check_version(connection.info.server_version)}")
        migrations = _migrations(connection)
        yield migrations
        yield from _durability(connection)
        yield _clock(connection)
        yield _disk(connection, database.data_dir)
        if migrations.status == "problem":
            return
        yield from _findings(
            "guards", guards.problems(connection), "grants, triggers and policies are in place"
        )
        yield from _ledgers(connection)
        yield from _inbox(connection)
    yield from _projections(database.conninfo)
    yield from _tree_heads(database.conninfo, keeping)


def _migrations(connection: Connection) -> Finding:
    try:
        missing = pending(connection)
    except MigrationError as error:
        return Finding("problem", "migrations", str(error))
    if missing:
        return Finding("problem", "migrations", f"missing {', '.join(missing)}: run `daybook migrate`")
    return Finding("ok", "migrations", "all applied")


def _durability(connection: Connection) -> Iterator[Finding]:
    settings: dict[str, str] = dict(connection.execute(QUERIES["settings"]).fetchall())
    unsafe = [f"{name} is off" for name in ("fsync", "full_page_writes") if settings[name] != "on"]
    yield from _findings("durability", unsafe, "fsync and full_page_writes are on: a commit survives a crash")
    promise = "a failover keeps acknowledged commits only with a synchronous standby"
    if not settings["synchronous_standby_names"]:
        yield Finding("note", "failover", f"{promise}; none is configured")
        return
    (connected,) = connection.execute(QUERIES["synchronous_standbys"]).fetchone() or (0,)
    if connected:
        yield Finding("ok", "failover", f"{promise}; {connected} connected")
    else:
        yield Finding(
            "problem", "failover", f"{promise}; one is configured, but none is connected: commits wait"
        )


def _clock(connection: Connection) -> Finding:
    before = time.time()
    (there,) = connection.execute(QUERIES["clock"]).fetchone() or (datetime.now(UTC),)
    difference = there.timestamp() - (before + time.time()) / 2
    detail = f"the database's clock differs from this machine's by {difference:+.3f} s"
    if abs(difference) > CLOCK_TOLERANCE_SECONDS:
        return Finding("problem", "clock", f"{detail}: more than 1 s makes the writer decide batches twice")
    return Finding("ok", "clock", detail)


def _disk(connection: Connection, data_dir: Path | None) -> Finding:
    (size,) = connection.execute(QUERIES["size"]).fetchone() or (0,)
    detail = f"the database takes {size / 1e9:.2f} GB"
    if data_dir is None:
        return Finding(
            "note", "disk", f"{detail}; what is free on the server's disk cannot be seen from here"
        )
    free = shutil.disk_usage(data_dir).free
    detail += f", {free / 1e9:.1f} GB are free"
    return Finding("problem" if free < LEAST_FREE_BYTES else "ok", "disk", detail)


def _ledgers(connection: Connection) -> Iterator[Finding]:
    # The writer's role is the one to which row-level security shows every ledger.
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute("SET LOCAL ROLE daybook_writer")
        ledgers, events = connection.execute(QUERIES["totals"]).fetchone() or (0, 0)
        extent = f"ledgers: {ledgers:,}, events: {events:,}"
        for check, query, sentence, fine in _LEDGER_CHECKS:
            damage = [sentence.format(*row) for row in connection.execute(query)]
            yield from _findings(check, damage, f"{fine} ({extent})")


def _inbox(connection: Connection) -> Iterator[Finding]:
    # The tables' owner, because row-level security shows others one tenant at a time.
    with connection.transaction():
        connection.execute("SET LOCAL ROLE daybook_owner")
        waiting = connection.execute(QUERIES["webhooks_waiting"]).fetchall()
        ended = connection.execute(QUERIES["webhooks_not_posted"]).fetchall()
    for ledger, count, since, reason in waiting:
        why = f"because of {reason}" if reason else "is the service running?"
        yield Finding("problem", "inbox", f"{ledger}: webhooks waiting: {count}, since {since}: {why}")
    for ledger, state, reason, count in ended:
        status: Literal["note", "problem"] = "problem" if state == "failed" else "note"
        yield Finding(status, "inbox", f"{ledger}: webhooks {state} for {reason}: {count}")
    if not waiting and not ended:
        yield Finding("ok", "inbox", "every webhook was posted or ignored")


_LEDGER_CHECKS: tuple[tuple[str, LiteralString, str, str], ...] = (
    (
        "head clock",
        QUERIES["heads_ahead"],
        "{0}: last written at {1}, more than 10 s from now: it refuses commands until then",
        "none was last written in the future",
    ),
    (
        "holds",
        QUERIES["overdue_holds"],
        "{0}: overdue: {1}, the first since {2}; is the service running?",
        "none is overdue",
    ),
    (
        "events",
        QUERIES["heads_that_differ"],
        "{0}: the head is at seq {1}, but there are {2} events from {3} to {4}",
        "every head is the number of its events",
    ),
    (
        "legs",
        QUERIES["legs_that_differ"],
        "{0}: event {1} says that it has {2} legs, but there are {3}",
        "every event has its legs",
    ),
    (
        "zero sum",
        QUERIES["unbalanced_events"],
        "{0}: the legs of event {1} in {2} sum to {3}",
        "every event is balanced",
    ),
    (
        "balances",
        QUERIES["balances_that_differ"],
        "{0}: the {2} balance of {1} is not the sum of its postings",
        "every balance is the sum of its postings",
    ),
)


def _projections(conninfo: str) -> Iterator[Finding]:
    with closing(connect(conninfo)) as connection:
        found = status(connection, PROJECTIONS)
    yield from _findings(
        "projections",
        [
            f"{row.projection} stopped in {error.ledger} at seq {error.error_seq}: {error.error}"
            for row in found
            for error in row.errors
        ],
        "none has stopped",
    )
    for row in found:
        if row.outdated and row.state == "live":
            yield Finding("note", "projections", f"{row.projection} is outdated: a rebuild is due")


def _tree_heads(conninfo: str, keeping: Keeping) -> Iterator[Finding]:
    try:
        kept = len(keeping.everything())
        with closing(Reader(conninfo, 1)) as reader:
            tree_heads = TreeHeads(reader, keeping)
            differences = tree_heads.differences(conninfo)
            lost = tree_heads.lost(conninfo)
    except KeepingError as error:
        yield Finding("problem", "tree heads", str(error))
        return
    fine = f"every ledger continues its kept tree head ({kept} in {keeping.folder})"
    yield from _findings("tree heads", [str(difference) for difference in differences], fine)
    for one in lost:
        lost_events = f"events {one.first} to {one.size} were" if one.first <= one.size else "no event was"
        detail = (
            f"{one.name}: {lost_events} lost with incarnation {one.incarnation}, whose last tree head was"
        )
        detail += f" of size {one.size}; event {one.first} began the next one ({one.reason})"
        yield Finding("note", "restored", detail)


def _findings(check: str, problems: list[str], fine: str) -> Iterator[Finding]:
    if not problems:
        yield Finding("ok", check, fine)
    for problem in problems:
        yield Finding("problem", check, problem)
