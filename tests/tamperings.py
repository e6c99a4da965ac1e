"""What a superuser does to the rich ledger's events, and which verdicts fail at which event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, LiteralString, NamedTuple

import psycopg

from tests.tampering import add_event, cut_tail, nest, renumber, rewrite

SIZE = 39  # events of the rich ledger


class Tampering(NamedTuple):
    """What is done to the database, and which verdicts fail at which seq."""

    what: str
    do: Callable[[psycopg.Connection[Any]], object] | LiteralString
    caught: dict[str, int | None]
    difference: tuple[str, str] | None = None  # table and column


def update(table: LiteralString, change: LiteralString, where: LiteralString) -> LiteralString:
    """Change rows of `main`."""
    return f"UPDATE daybook.{table} SET {change} WHERE ledger_id = 1 AND {where}"


def delete(table: LiteralString, where: LiteralString) -> LiteralString:
    """Take rows of `main` away."""
    return f"DELETE FROM daybook.{table} WHERE ledger_id = 1 AND {where}"


def leg(index: int, **changes: Any) -> Callable[[dict[str, Any]], object]:
    """A change of one posting of a body."""
    return lambda event: event["postings"][index].update(changes)


def raise_amounts(event: dict[str, Any]) -> None:
    """Every leg of 1,000 becomes one of 9,000: the event still balances."""
    for posting in event["postings"]:
        posting["amount"] = posting["amount"].replace("1000", "9000")


def swap(connection: psycopg.Connection[Any]) -> None:
    """Events 27 and 28 change places, with their legs."""
    for table in ("events", "postings"):
        for seq, to in ((27, -1), (28, 27), (-1, 28)):
            connection.execute(f"UPDATE daybook.{table} SET seq = {to} WHERE ledger_id = 1 AND seq = {seq}")


def insert_middle(connection: psycopg.Connection[Any]) -> None:
    """A copy of event 29 before it; all later ones move up by one, rewritten, and the tree is made anew."""
    for seq in range(SIZE, 28, -1):
        renumber(connection, seq, seq + 1)
    connection.execute(
        "INSERT INTO daybook.events SELECT 29, effective_at, recorded_at, ledger_id, legs, type, leaf, body"
        " FROM daybook.events WHERE ledger_id = 1 AND seq = 30"
    )
    rewrite(connection, 29, lambda event: event.update(seq=29))


def restore_backup(connection: psycopg.Connection[Any]) -> None:
    """The ledger as it was before its last event, and three others since."""
    cut_tail(connection, SIZE - 1)
    for _ in range(3):
        add_event(connection, lambda event: None, like=28)


EVENT_TAMPERINGS = (
    Tampering(
        "a byte of a description is changed",
        lambda c: rewrite(c, 16, lambda e: e.update(description="Bee"), leaf=False, tree=False),
        {"integrity": 16, "completeness": 11},
    ),
    Tampering(
        "a body is no longer JSON",
        update("events", "body = overlay(body placing 'x'::bytea from 1)", "seq = 16"),
        {"integrity": 16, "completeness": 11},
    ),
    Tampering(
        "a body has white space, and its leaf is recomputed",
        update(
            "events",
            "body = '{ '::bytea || substr(body, 2), leaf = sha256('\\x007b20'::bytea || substr(body, 2))",
            "seq = 16",
        ),
        {"integrity": 16, "completeness": 11},
    ),
    Tampering(
        "a body's reference is changed and its leaf recomputed: the head's root tells",
        lambda c: rewrite(c, 3, lambda e: e.update(reference="mine"), tree=False),
        {"integrity": 1, "completeness": 1},
    ),
    Tampering(
        "amounts of a body are raised, leaf, root and frontier recomputed: legs tell, and the kept head",
        lambda c: rewrite(c, 2, raise_amounts),
        {"completeness": 1, "projections": 2},
    ),
    Tampering(
        "a description is rewritten with leaf, root and frontier: only a kept head tells",
        lambda c: rewrite(c, 16, lambda e: e.update(description="Gift")),
        {"completeness": 11},
    ),
    Tampering(
        "one leg of a body is raised with all hashes: it does not balance",
        lambda c: rewrite(c, 29, leg(0, amount="4")),
        {"completeness": 21, "accounting": 29, "projections": 29},
    ),
    Tampering(
        "a body posts to an account that was never opened",
        lambda c: rewrite(c, 29, leg(0, account="nobody")),
        {"completeness": 21, "accounting": 29, "projections": 29},
    ),
    Tampering(
        "a body posts to an account that was closed",
        lambda c: rewrite(c, 29, leg(1, account="customers:99")),
        {"completeness": 21, "accounting": 29, "projections": 29},
    ),
    Tampering(
        "a body takes an account below its limit",
        lambda c: rewrite(
            c,
            27,
            lambda e: [
                p.update(side={"debit": "credit", "credit": "debit"}[p["side"]]) for p in e["postings"]
            ],
        ),
        {"completeness": 21, "accounting": 27, "projections": 27},
    ),
    Tampering(
        "a body is recorded before its predecessor",
        lambda c: rewrite(
            c,
            29,
            lambda e: e.update(
                recorded_at="2020-01-01T00:00:00.000000Z", effective_at="2020-01-01T00:00:00.000000Z"
            ),
        ),
        {"completeness": 21, "accounting": 29, "projections": 29},
    ),
    Tampering(
        "a reversal names a transaction that comes after it",
        lambda c: rewrite(c, 15, lambda e: e["data"].update(transaction=16)),
        {"completeness": 11, "accounting": 15, "projections": 15},
    ),
    Tampering(
        "a reversal takes more than there was",
        lambda c: rewrite(
            c,
            17,
            lambda e: (
                e["data"].update(amounts=["450", "450"]),
                [p.update(amount="450") for p in e["postings"]],
            ),
        ),
        {"completeness": 11, "accounting": 17, "projections": 17},
    ),
    Tampering(
        "a hold is voided twice",
        lambda c: add_event(c, lambda e: e["streams"].update({"transaction:11": 4}), like=12),
        {"accounting": SIZE + 1, "projections": SIZE + 1},
    ),
    Tampering(
        "a part takes more than the hold has",
        lambda c: rewrite(
            c,
            9,
            lambda e: (
                e["data"].update(amounts=["1300", "1300"]),
                [p.update(amount="1300") for p in e["postings"]],
            ),
        ),
        {"completeness": 1, "accounting": 9, "projections": 9},
    ),
    Tampering(
        "a key has a second effect",
        lambda c: add_event(c, lambda e: e.update(key="deposit-3"), like=28),
        {"accounting": SIZE + 1, "projections": SIZE + 1},
    ),
    Tampering(
        "a batch loses its middle: another key stands in it",
        lambda c: rewrite(c, 25, lambda e: e.update(key="another")),
        {"completeness": 21, "accounting": 25},
    ),
    Tampering(
        "a hold expires before its time",
        lambda c: rewrite(c, 7, lambda e: e["data"].update(expires_at="2099-01-01T00:00:00.000000Z")),
        {"completeness": 1, "accounting": 33, "projections": 33},
    ),
    Tampering(
        "an event's version in its stream skips one",
        lambda c: rewrite(c, 18, lambda e: e["streams"].update({"transaction:16": 3})),
        {"completeness": 11, "accounting": 18},
    ),
    Tampering(
        "an event is effective in a closed period",
        lambda c: add_event(c, lambda e: e.update(effective_at="2021-06-01T00:00:00.000000Z"), like=28),
        {"accounting": SIZE + 1, "projections": SIZE + 1},
    ),
    Tampering(
        "a period is reopened that another event closed",
        lambda c: rewrite(c, 37, lambda e: e["data"].update(closed_seq=36)),
        {"completeness": 31, "accounting": 37},
    ),
    Tampering(
        "an amount has thousands of digits",
        lambda c: rewrite(c, 29, leg(0, amount="9" * 5000)),
        {"completeness": 21, "accounting": 29, "projections": 29},
    ),
    Tampering(
        "an event is the first of a batch of none",
        lambda c: rewrite(c, 29, lambda e: e.update(batch=[0, 0])),
        {"completeness": 21, "accounting": 29},
    ),
    Tampering(
        "a body is nested deeper than can be read",
        lambda c: nest(c, 29, 20_000),
        {"integrity": 29, "completeness": 21},
    ),
    Tampering(
        "a body is longer than any can be",
        lambda c: rewrite(c, 29, lambda e: e.update(description="long" * 20_000)),
        {"integrity": 29, "completeness": 21},
    ),
    Tampering("two events change places", swap, {"integrity": 27, "completeness": 21}),
    Tampering(
        "the last event gets a number further on",
        lambda c: renumber(c, SIZE, SIZE + 5),
        {"integrity": SIZE, "completeness": SIZE, "accounting": SIZE},
    ),
    Tampering(
        "an event in the middle is removed",
        delete("events", "seq = 16"),
        {"integrity": 16, "completeness": 16, "accounting": 16},
    ),
    Tampering(
        "the last events are removed and the head stays",
        delete("events", "seq > 30"),
        {"integrity": 31, "completeness": 31, "accounting": 31},
    ),
    Tampering(
        "the tail is removed with all that was derived from it, and the head set back",
        lambda c: cut_tail(c, SIZE - 1),
        {"completeness": SIZE},
    ),
    Tampering(
        "an old backup is restored and written on: the tree forks",
        restore_backup,
        {"completeness": 31, "projections": SIZE},
    ),
    Tampering(
        "an event is put in the middle and all later ones are rewritten",
        insert_middle,
        {"completeness": 21, "accounting": 32, "projections": 29},
    ),
    Tampering(
        "an event is added beyond the head",
        lambda c: add_event(c, lambda event: None, like=27, head=False),
        {"integrity": SIZE + 1},
    ),
    *(
        Tampering(
            f"an event is stored as number {seq}",
            "INSERT INTO daybook.events SELECT (jsonb_populate_record(e, jsonb_build_object('seq', "
            f"{seq}))).* FROM daybook.events e WHERE ledger_id = 1 AND seq = 16",
            {"integrity": 0},
        )
        for seq in ("0", "-5")
    ),
    Tampering(
        "another ledger's events take the place of this one's",
        "DELETE FROM daybook.events WHERE ledger_id = 1;"
        " UPDATE daybook.events SET ledger_id = 1 WHERE ledger_id = 2;"
        " DELETE FROM daybook.heads WHERE ledger_id = 1;"
        " UPDATE daybook.heads SET ledger_id = 1 WHERE ledger_id = 2",
        {"completeness": 1, "projections": 2},
    ),
)
