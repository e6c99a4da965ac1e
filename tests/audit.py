"""An auditor of a whole database: every invariant, checked again from the stored bytes alone.

It shares no code with `ledger`: psycopg, json, hashlib and plain Python. For each ledger it reads the event
bodies in seq order, keeps its own books beside them (`books`), and compares those with every derived row.
What it finds is a list of sentences; `audited` fails with them, and else returns the books.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import psycopg

from tests.books import Books, Row, debit_normal, fold, limits_of


def audited(conninfo: str) -> dict[str, Books]:
    """The books of every ledger of a sound database, by name; AssertionError lists what is not sound."""
    books = audit(conninfo)
    findings = [finding for each in books.values() for finding in each.findings]
    assert not findings, "\n".join([f"{len(findings)} findings", *findings[:20]])
    return books


def audit(conninfo: str) -> dict[str, Books]:
    """The books of every ledger by name, with their findings."""
    with psycopg.connect(conninfo) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SET TIME ZONE 'UTC'")
        ledgers = connection.execute(
            "SELECT ledger_id, name, public_id::text, time_zone, opened_at FROM daybook.ledgers ORDER BY 1"
        ).fetchall()
        return {row[1]: _audit_ledger(connection, row) for row in ledgers}


def _audit_ledger(connection: psycopg.Connection[Any], ledger: Row) -> Books:
    ledger_id, name, public_id, time_zone, opened_at = ledger
    books = Books(name)
    head = connection.execute(
        "SELECT seq, recorded_at, root, accounts, chart_seq, next_expiry, incarnation, frontier"
        " FROM daybook.heads WHERE ledger_id = %s",
        (ledger_id,),
    ).fetchone()
    assert head is not None, f"{name} has no head"

    leaves, chart_seq = _fold_events(connection, books, ledger_id, public_id)
    books.check(
        len(books.events) == head[0], f"the head says {head[0]}, there are {len(books.events)} events"
    )
    books.check(_root(leaves) == head[2], "the head's root is not the tree's")
    books.check(_frontier(leaves) == head[7], "the head's frontier is not the tree's")
    books.check(
        head[3] == len(books.accounts), f"the head counts {head[3]} accounts, not {len(books.accounts)}"
    )
    books.check(head[4] == chart_seq, f"the head's chart is {head[4]}, not {chart_seq}")
    books.check(head[6] == books.incarnation, f"the head has incarnation {head[6]}, not {books.incarnation}")
    if books.events:
        last, first = books.events[max(books.events)], books.events[min(books.events)]
        books.check(_moment(last["recorded_at"]) == head[1], "the head's time is not its last event's")
        books.check(_moment(first["recorded_at"]) == opened_at, "opened_at is not the first event's time")
        books.check(first["data"].get("name") == name, "the first event names another ledger")
        books.check(first["data"].get("time_zone") == time_zone, "the time zone is not the first event's")
    _compare_rows(connection, books, ledger_id)
    _compare_streams(connection, books, ledger_id, head[5])
    _compare_keys(connection, books, ledger_id)
    return books


def _fold_events(
    connection: psycopg.Connection[Any], books: Books, ledger_id: int, public_id: str
) -> tuple[list[bytes], int]:
    leaves: list[bytes] = []
    chart_seq = 0
    previous = datetime.min.replace(tzinfo=UTC)
    rows = connection.execute(
        "SELECT seq, type, effective_at, recorded_at, legs, leaf, body FROM daybook.events"
        " WHERE ledger_id = %s ORDER BY seq",
        (ledger_id,),
    )
    for seq, type_, effective_at, recorded_at, legs, leaf, body in rows:
        event = json.loads(body)
        about = f"seq {seq}: "
        canonical = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        books.check(canonical.encode() == body, about + "the body is not canonical JSON")
        books.check(leaf == sha256(b"\x00" + body).digest(), about + "the leaf is not the body's hash")
        books.check(seq == len(leaves) + 1, about + f"follows {len(leaves)}")
        books.check(recorded_at >= previous, about + "recorded earlier than its predecessor")
        columns = (event["seq"], event["type"], _moment(event["effective_at"]), _moment(event["recorded_at"]))
        books.check(
            columns == (seq, type_, effective_at, recorded_at), about + "columns differ from the body"
        )
        books.check(len(event.get("postings", ())) == legs, about + "the body has another number of legs")
        books.check(event["ledger"] == public_id, about + "the body names another ledger")
        books.check(effective_at <= recorded_at, about + "effective in the future")
        leaves.append(leaf)
        previous = recorded_at
        books.events[seq] = event
        if "chart" in event.get("data", {}):
            chart_seq = seq
        fold(books, event)
    return leaves, chart_seq


# ---------------------------------------------------------------- comparing the rows


def _compare_rows(connection: psycopg.Connection[Any], books: Books, ledger_id: int) -> None:
    assets = connection.execute(
        "SELECT asset, asset_id FROM daybook.assets WHERE ledger_id = %s", (ledger_id,)
    ).fetchall()
    _same(books, "assets", set(books.assets.items()), set(assets))

    closings = connection.execute(
        "SELECT period, starts_at, ends_at, seq FROM daybook.closed_periods WHERE ledger_id = %s",
        (ledger_id,),
    ).fetchall()
    wanted_closings = {(p, _moment(a), _moment(b), seq) for p, (a, b, seq) in books.closed.items()}
    _same(books, "closed_periods", wanted_closings, set(closings))

    found = connection.execute(
        "SELECT address, account_id, opened_seq, closed_seq, terms FROM daybook.accounts"
        " WHERE ledger_id = %s",
        (ledger_id,),
    ).fetchall()
    stored = {(*row[:4], json.dumps(json.loads(row[4]), sort_keys=True)) for row in found}
    folded = {
        (address, a["id"], a["opened"], a["closed"], json.dumps(a["terms"], sort_keys=True))
        for address, a in books.accounts.items()
    }
    _same(books, "accounts", folded, stored)

    legs = connection.execute(
        "SELECT p.seq, p.leg, a.address, s.asset, p.kind, p.amount,"
        " p.effective_at, p.debits_posted, p.credits_posted, p.debits_pending, p.credits_pending"
        " FROM daybook.postings p LEFT JOIN daybook.accounts a USING (ledger_id, account_id)"
        " LEFT JOIN daybook.assets s USING (ledger_id, asset_id) WHERE ledger_id = %s",
        (ledger_id,),
    ).fetchall()
    expected = {(*leg[:6], _moment(leg[6]), *leg[7:]) for leg in books.legs}
    books.check(len(legs) == len(books.legs), f"{len(legs)} postings, the bodies have {len(books.legs)}")
    _same(books, "postings", expected, set(legs))

    balances = connection.execute(
        "SELECT a.address, s.asset, b.debits_posted, b.credits_posted, b.debits_pending, b.credits_pending,"
        " b.version, b.last_seq, b.min_available, b.max_balance, b.debit_normal"
        " FROM daybook.balances b LEFT JOIN daybook.accounts a USING (ledger_id, account_id)"
        " LEFT JOIN daybook.assets s USING (ledger_id, asset_id) WHERE ledger_id = %s",
        (ledger_id,),
    ).fetchall()
    wanted = set()
    for place, counters in books.counters.items():
        terms = books.accounts[place[0]]["terms"]
        figures = (*counters, books.versions[place], books.last_seqs[place])
        wanted.add((*place, *figures, *limits_of(terms, place[1]), debit_normal(terms)))
    _same(books, "balances", wanted, set(balances))


def _compare_streams(
    connection: psycopg.Connection[Any], books: Books, ledger_id: int, next_expiry: datetime | None
) -> None:
    memberships = connection.execute(
        "SELECT stream, version, seq FROM daybook.event_streams WHERE ledger_id = %s", (ledger_id,)
    ).fetchall()
    _same(books, "event_streams", books.memberships, set(memberships))

    endings = connection.execute(
        "SELECT stream, seq FROM daybook.endings WHERE ledger_id = %s", (ledger_id,)
    ).fetchall()
    ended = {(name, s["ended_by"]) for name, s in books.streams.items() if s["ended_by"] is not None}
    _same(books, "endings", ended, set(endings))

    stored = connection.execute(
        "SELECT stream, version, last_seq, state FROM daybook.streams WHERE ledger_id = %s", (ledger_id,)
    ).fetchall()
    _same(
        books,
        "streams",
        {_stream_row(name, stream) for name, stream in books.streams.items()},
        {_stored_stream_row(*row) for row in stored},
    )

    holds = connection.execute(
        "SELECT expires_at, seq FROM daybook.holds WHERE ledger_id = %s", (ledger_id,)
    ).fetchall()
    open_holds = {
        (_moment(s["expires_at"]), s["seq"])
        for s in books.streams.values()
        if s["status"] == "pending" and s["expires_at"]
    }
    _same(books, "holds", open_holds, set(holds))
    if open_holds:
        first = min(open_holds)[0]
        books.check(next_expiry is not None and next_expiry <= first, f"next_expiry is later than {first}")


def _stream_row(name: str, stream: dict[str, Any]) -> Row:
    left = tuple(sorted(stream["left"].items()))
    scalars = (stream["seq"], stream["type"], stream["status"], stream["ended_by"])
    return (name, stream["version"], stream["last_seq"], *scalars, left, stream["expires_at"])


def _stored_stream_row(name: str, version: int, last_seq: int, encoded: str) -> Row:
    state = json.loads(encoded)
    left: dict[tuple[str, str, str], int] = {}
    for account, asset, amount, rest in state["legs"]:
        leg = (account, asset, "debit" if amount > 0 else "credit")
        left[leg] = left.get(leg, 0) + rest
    expires_at = state.get("expires_at")
    assert state["version"] == version
    return (
        name,
        version,
        last_seq,
        state["seq"],
        state["type"],
        state["status"],
        state.get("ended_by"),
        tuple(sorted(left.items())),
        None if expires_at is None else _iso(expires_at),
    )


def _compare_keys(connection: psycopg.Connection[Any], books: Books, ledger_id: int) -> None:
    rows = connection.execute(
        "SELECT key, seq, events, fingerprint, rejections FROM daybook.idempotency_keys WHERE ledger_id = %s",
        (ledger_id,),
    ).fetchall()
    owner: dict[int, str] = {}
    for key, seq, events, fingerprint, rejections in rows:
        if not events:
            books.rejected_keys.add(key)
            books.check(bool(json.loads(rejections)), f"key {key}: no rejection")
            continue
        books.keys[key] = (seq, events)
        for index in range(events):
            event = books.events.get(seq + index)
            if event is None:
                books.check(False, f"key {key}: seq {seq + index} is not there")
                continue
            books.check(seq + index not in owner, f"seq {seq + index} has two keys")
            owner[seq + index] = key
            if "batch" in event:
                books.check(event["batch"] == [index, events], f"key {key}: not the whole group")
            else:
                named = (event.get("key"), event.get("fingerprint"))
                books.check(named == (key, fingerprint.hex()), f"key {key}: seq {seq} has {named}")
    for seq, event in books.events.items():
        if "key" in event:
            books.check(owner.get(seq) == event["key"], f"seq {seq}: its key is not stored as its own")


def _same(books: Books, table: str, expected: set[Row], stored: set[Row]) -> None:
    for row in sorted(expected - stored, key=repr)[:3]:
        books.check(False, f"{table} lacks {row}")
    for row in sorted(stored - expected, key=repr)[:3]:
        books.check(False, f"{table} has {row}")


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _iso(micros: int) -> str:
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:06}Z"


def _root(leaves: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, level by level: equal to its recursion, an odd last node goes up as it is."""
    if not leaves:
        return sha256(b"").digest()
    level = leaves
    while len(level) > 1:
        paired = [sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = paired + level[2 * len(paired) :]
    return level[0]


def _frontier(leaves: list[bytes]) -> bytes:
    """Roots of the perfect subtrees, largest first."""
    roots, start = [], 0
    while start < len(leaves):
        size = 1 << ((len(leaves) - start).bit_length() - 1)
        roots.append(_root(leaves[start : start + size]))
        start += size
    return b"".join(roots)
