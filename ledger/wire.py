"""Several statements, COPY among them, in one message to PostgreSQL.

Every wait for the server is a trip through the operating system and, beside a thread that computes, one for
the interpreter. psycopg sends one COPY at a time and none together with anything else; the protocol allows a
message of statements in which each COPY FROM STDIN asks for its data in turn. A batch is stored with one
such message. A small batch's data does not wait to be asked for: it follows the statements at once, so that
the head's lock is never held for a thread that waits for the interpreter.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any, LiteralString

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.generators import copy_to, fetch_many, send
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn
from psycopg.types.string import StrDumper
from psycopg.waiting import Wait

Connection = psycopg.Connection[tuple[Any, ...]]

CHUNK = 2**17
_COPY_DATA = Struct("!ci")
_COPY_DONE = _COPY_DATA.pack(b"c", 4)


Parameter = int | str | bytes | None  # bytes are a text in UTF-8


def literal(value: Parameter) -> bytes:
    """A parameter as SQL has it under standard_conforming_strings.

    libpq's own quoting reads megabytes letter by letter. Raises psycopg.DataError for a text with NUL.
    """
    if value is None:
        return b"NULL"
    if isinstance(value, int):
        return b"%d" % value
    text = value.encode() if isinstance(value, str) else value
    if b"\0" in text:
        raise psycopg.DataError("a text cannot contain NUL")
    return b"'%b'" % text.replace(b"'", b"''")


class Text(StrDumper):
    """A text as a `literal`, in what psycopg sends by itself."""

    def quote(self, obj: str) -> bytes:
        """In quotes, those within doubled."""
        return literal(obj)


class Message:
    """Statements sent together, in the simple query protocol; parameters are quoted on this side."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._statements: list[bytes] = []

    def add(
        self, query: LiteralString, parameters: Mapping[str, Parameter] | Sequence[Parameter] = ()
    ) -> None:
        """Add a statement, which ends in a semicolon. Parameters become `literal`s."""
        statement = query.encode()
        if isinstance(parameters, Mapping):
            statement %= {name.encode(): literal(value) for name, value in parameters.items()}
        elif parameters:
            statement %= tuple(map(literal, parameters))
        self._statements.append(statement)

    def ask(self) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run all; a cursor at the first statement's result (psycopg.Error: no statement after it ran)."""
        return self._connection.execute(self._text())

    def store(self, buffers: Sequence[bytes], sent: Callable[[], object] = lambda: None) -> None:
        """Run all, one buffer for each COPY FROM STDIN in order (psycopg.Error: none after it ran).

        `sent` is called once the statements are on their way.
        """
        self._connection.wait(_converse(self._connection.pgconn, self._text(), buffers, sent))

    def _text(self) -> bytes:
        return b"\n".join(self._statements)


def _converse(
    pgconn: PGconn, text: bytes, buffers: Sequence[bytes], sent: Callable[[], object]
) -> PQGen[None]:
    pgconn.send_query(text)
    yield from send(pgconn)
    ahead = pgconn.host.startswith(b"/") and sum(map(len, buffers)) <= CHUNK
    if ahead:
        yield from _send_ahead(pgconn.socket, buffers)
    sent()
    results = yield from fetch_many(pgconn)
    for buffer in buffers:
        if results[-1].status != ExecStatus.COPY_IN:
            break
        if not ahead:
            for start in range(0, len(buffer), CHUNK):
                yield from copy_to(pgconn, buffer[start : start + CHUNK], flush=False)
        while pgconn.put_copy_end() == 0:
            yield Wait.W
        yield from send(pgconn)
        results = yield from fetch_many(pgconn)
    if results[-1].status == ExecStatus.FATAL_ERROR:
        raise errors.error_from_result(results[-1])
    if results[-1].status != ExecStatus.COMMAND_OK:
        raise psycopg.ProgrammingError(f"a message ended with {ExecStatus(results[-1].status).name}")


def _send_ahead(socket: int, buffers: Sequence[bytes]) -> PQGen[None]:
    """Send the data of every COPY, and its end, before the server asks for it.

    libpq only takes data that was asked for, so they go past it, which a Unix socket allows: nothing encrypts
    it. libpq ends each COPY once more; PostgreSQL drops what comes of a COPY when there is none (or none any
    more, after an error), as its protocol has it.
    """
    data = b"".join(
        [_COPY_DATA.pack(b"d", 4 + len(buffer)) + buffer + _COPY_DONE for buffer in buffers],
    )
    while data:
        try:
            data = data[os.write(socket, data) :]
        except BlockingIOError:
            yield Wait.W
        except OSError:
            return  # the connection is lost: libpq will notice, and say so as it always does
