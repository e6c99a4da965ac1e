"""Rows as PostgreSQL's binary COPY wants them: one pre-encoded buffer a table and batch.

Binary COPY is the fastest way in. Each row is a field count and, for every column in the table's order, its
length and its bytes, big-endian; a timestamp is microseconds since 2000-01-01.
"""

from __future__ import annotations

from struct import Struct

from ledger.state import Accepted, KeyOutcome

_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"
_NULL = b"\xff\xff\xff\xff"
_TO_2000 = 946_684_800_000_000

_POSTING = Struct("!h iq iq iq iq iq iq iq ii ii ii ih ih".replace(" ", ""))
_EVENT = Struct("!h iq iq iq ii ih i".replace(" ", ""))
_KEY = Struct("!h ii ih iq i".replace(" ", ""))
_STREAM = Struct("!h ii iq ii i".replace(" ", ""))
_ENDING = Struct("!h ii iq i".replace(" ", ""))
_HOLD = Struct("!h ii iq iq".replace(" ", ""))
_LENGTH = Struct("!i")
_LEAF_LENGTH = _LENGTH.pack(32)


def buffer(rows: bytes | bytearray) -> bytes:
    """A whole COPY stream of encoded rows, one behind the other."""
    return b"".join((_HEADER, rows, _TRAILER))


def event(ledger_id: int, recorded_at: int, accepted: Accepted, leaf: bytes) -> bytes:
    """A row of `events`."""
    body = accepted.body
    name = accepted.event.type.encode()
    fixed = _EVENT.pack(
        8, 8, accepted.event.seq, 8, accepted.effective_at - _TO_2000, 8, recorded_at - _TO_2000,
        4, ledger_id, 2, len(accepted.legs), len(name),
    )  # fmt: skip
    return b"".join((fixed, name, _LEAF_LENGTH, leaf, _LENGTH.pack(len(body)), body))


def postings(ledger_id: int, accepted: Accepted) -> bytes:
    """Rows of `postings`, one for each leg."""
    seq, effective_at, pack = accepted.event.seq, accepted.effective_at - _TO_2000, _POSTING.pack
    return b"".join([
        pack(
            12, 8, seq, 8, amount, 8, effective_at, 8, dp, 8, cp, 8, dpend, 8, cpend,
            4, ledger_id, 4, position.account.account_id, 4, position.asset_id, 2, leg, 2, kind,
        )
        for leg, (position, kind, amount, (dp, cp, dpend, cpend)) in enumerate(accepted.legs)
    ])  # fmt: skip


def key(ledger_id: int, name: str, outcome: KeyOutcome) -> bytes:
    """A row of `idempotency_keys`."""
    text = name.encode()
    rejections = outcome.rejections
    tail = _NULL if rejections is None else _LENGTH.pack(len(rejections)) + rejections
    return b"".join(
        (
            _KEY.pack(6, 4, ledger_id, 2, outcome.events, 8, outcome.seq, 32),
            outcome.fingerprint,
            _LENGTH.pack(len(text)),
            text,
            tail,
        )
    )


def event_stream(ledger_id: int, seq: int, stream: str, version: int) -> bytes:
    """A row of `event_streams`."""
    return _STREAM.pack(4, 4, ledger_id, 8, seq, 4, version, len(stream)) + stream.encode()


def ending(ledger_id: int, seq: int, stream: str) -> bytes:
    """A row of `endings`."""
    return _ENDING.pack(3, 4, ledger_id, 8, seq, len(stream)) + stream.encode()


def hold(ledger_id: int, expires_at: int, seq: int) -> bytes:
    """A row of `holds`."""
    return _HOLD.pack(3, 4, ledger_id, 8, expires_at - _TO_2000, 8, seq)
