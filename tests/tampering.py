"""What a superuser with the triggers off can do to a stored ledger, and the tree heads that an auditor kept.

`tampered` gives a copy of a database in which every guard is gone. The rest are small forgeries, which a test
composes: change a body, with or without the hashes that commit to it; swap, renumber, remove or add events.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

import psycopg
from psycopg import sql as composed

from ledger.merkle import Frontier
from ledger.notes import TreeHead
from projections.audit.completeness import KeptHead

Connection = psycopg.Connection[Any]
Body = dict[str, Any]

LEDGER = 1
TABLES = (
    "ledgers", "heads", "events", "postings", "event_streams", "endings", "idempotency_keys", "assets",
    "accounts", "balances", "streams", "holds", "closed_periods",
)  # fmt: skip


@contextmanager
def unguarded(conninfo: str) -> Iterator[Connection]:
    """A superuser's transaction in which no trigger and no check is left; committed."""
    with psycopg.connect(conninfo) as connection:
        for table in TABLES:
            name = composed.Identifier("daybook", table)
            connection.execute(composed.SQL("ALTER TABLE {} DISABLE TRIGGER ALL").format(name))
            for (check,) in connection.execute(
                "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid = %s::regclass",
                (f"daybook.{table}",),
            ).fetchall():
                drop = composed.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
                connection.execute(drop.format(name, composed.Identifier(check)))
        yield connection


def back_up(connection: Connection) -> None:
    """Copy every table aside."""
    connection.execute("CREATE SCHEMA backup")
    for table in TABLES:
        name = composed.Identifier(table)
        connection.execute(composed.SQL("CREATE TABLE backup.{0} AS TABLE daybook.{0}").format(name))


def put_back(connection: Connection) -> None:
    """Make every table what it was when it was copied aside."""
    for table in TABLES:
        name = composed.Identifier(table)
        connection.execute(composed.SQL("DELETE FROM daybook.{}").format(name))
        insert = "INSERT INTO daybook.{0} OVERRIDING SYSTEM VALUE TABLE backup.{0}"
        connection.execute(composed.SQL(insert).format(name))


def bodies(connection: Connection) -> list[bytes]:
    """Every body of the ledger, in order."""
    return [
        body
        for (body,) in connection.execute(
            "SELECT body FROM daybook.events WHERE ledger_id = %s ORDER BY seq", (LEDGER,)
        )
    ]


def kept_heads(conninfo: str, *sizes: int) -> list[KeptHead]:
    """Tree heads of an untouched ledger at some sizes, as an auditor keeps them."""
    with psycopg.connect(conninfo) as connection:
        book = bodies(connection)
        row = connection.execute(
            "SELECT public_id::text FROM daybook.ledgers WHERE ledger_id = %s", (LEDGER,)
        ).fetchone()
    assert row is not None
    return [KeptHead(f"head-{size}", TreeHead(row[0], 1, size, _tree(book[:size]).root())) for size in sizes]


def _tree(book: list[bytes]) -> Frontier:
    tree = Frontier()
    for body in book:
        tree.add(sha256(b"\x00" + body).digest())
    return tree


def canonical(event: Body) -> bytes:
    """The canonical form of a body."""
    return json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def nested(body: bytes, depth: int) -> bytes:
    """A body with lists in lists, canonical otherwise."""
    event = json.loads(body) | {"data": {"deep": []}}
    return canonical(event).replace(b'"deep":[]', b'"deep":' + b"[" * depth + b"]" * depth)


def nest(connection: Connection, seq: int, depth: int) -> None:
    """Put lists in lists into a body; its leaf and the head are of it."""
    body = nested(bodies(connection)[seq - 1], depth)
    connection.execute(
        "UPDATE daybook.events SET body = %s, leaf = %s WHERE ledger_id = %s AND seq = %s",
        (body, sha256(b"\x00" + body).digest(), LEDGER, seq),
    )
    set_head(connection)


def rewrite(
    connection: Connection,
    seq: int,
    change: Callable[[Body], object],
    *,
    leaf: bool = True,
    tree: bool = True,
) -> None:
    """Change a body in its canonical form; with `leaf` and `tree`, every hash that commits to it as well."""
    row = connection.execute(
        "SELECT body FROM daybook.events WHERE ledger_id = %s AND seq = %s", (LEDGER, seq)
    ).fetchone()
    assert row is not None
    event = json.loads(row[0])
    change(event)
    connection.execute(
        "UPDATE daybook.events SET body = %s WHERE ledger_id = %s AND seq = %s",
        (canonical(event), LEDGER, seq),
    )
    if leaf:
        connection.execute(
            r"UPDATE daybook.events SET leaf = sha256('\x00'::bytea || body)"
            " WHERE ledger_id = %s AND seq = %s",
            (LEDGER, seq),
        )
    if tree:
        set_head(connection)


def set_head(connection: Connection) -> None:
    """Make the head say what the events are now: their number, their tree, the last one's time."""
    book = bodies(connection)
    tree = _tree(book)
    connection.execute(
        "UPDATE daybook.heads SET seq = %s, previous_seq = 0, root = %s, frontier = %s, recorded_at = %s"
        " WHERE ledger_id = %s",
        (len(book), tree.root(), tree.pack(), json.loads(book[-1])["recorded_at"], LEDGER),
    )


def cut_tail(connection: Connection, size: int) -> None:
    """Take every event beyond `size` away, and bring all that is derived back to where it was then."""
    for table in ("postings", "event_streams", "endings", "idempotency_keys", "events"):
        connection.execute(
            composed.SQL("DELETE FROM daybook.{} WHERE ledger_id = %s AND seq > %s").format(
                composed.Identifier(table)
            ),
            (LEDGER, size),
        )
    connection.execute(
        "UPDATE daybook.balances b SET"
        " (debits_posted, credits_posted, debits_pending, credits_pending, last_seq) ="
        " (SELECT debits_posted, credits_posted, debits_pending, credits_pending, seq FROM daybook.postings p"
        " WHERE (p.ledger_id, p.account_id, p.asset_id) = (b.ledger_id, b.account_id, b.asset_id)"
        " ORDER BY seq DESC, leg DESC LIMIT 1), version ="
        " (SELECT count(DISTINCT seq) FROM daybook.postings p"
        " WHERE (p.ledger_id, p.account_id, p.asset_id) = (b.ledger_id, b.account_id, b.asset_id))"
        " WHERE ledger_id = %s AND last_seq > %s",
        (LEDGER, size),
    )
    set_head(connection)


def renumber(connection: Connection, seq: int, to: int) -> None:
    """Store an event under another number, body and hashes and all; its legs with it."""
    rewrite(connection, seq, lambda event: event.update(seq=to), tree=False)
    for table in ("events", "postings", "event_streams", "endings", "idempotency_keys"):
        connection.execute(
            composed.SQL("UPDATE daybook.{} SET seq = %s WHERE ledger_id = %s AND seq = %s").format(
                composed.Identifier(table)
            ),
            (to, LEDGER, seq),
        )


def add_event(connection: Connection, change: Callable[[Body], object], like: int, head: bool = True) -> None:
    """Add one more event beyond the last, like another but changed; with `head`, the head is moved on."""
    book = bodies(connection)
    event = json.loads(book[like - 1])
    event["seq"] = seq = len(book) + 1
    event["recorded_at"] = event["effective_at"] = json.loads(book[-1])["recorded_at"]
    change(event)
    body = canonical(event)
    connection.execute(
        "INSERT INTO daybook.events (ledger_id, seq, effective_at, recorded_at, legs, type, leaf, body)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            LEDGER,
            seq,
            event["effective_at"],
            event["recorded_at"],
            len(event.get("postings", ())),
            event["type"],
            sha256(b"\x00" + body).digest(),
            body,
        ),
    )
    if head:
        set_head(connection)
