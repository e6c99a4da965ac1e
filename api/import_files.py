"""Files to import: their lines, read one at a time, and what each line asks to be posted.

A line that cannot be read is not the end of the import: its content is then a sentence that says what is
wrong with it. Only what makes the whole file unreadable raises InputError.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import msgspec

from ledger.commands import Transaction, decode_transaction

MAX_LINE = 1_048_576


class InputError(ValueError):
    """The file or its mapping cannot be used; the message says why."""


class Line(NamedTuple):
    """A line (of a CSV record's lines the first), its text, and what it asks for or what is wrong with it."""

    number: int
    text: str
    content: Transaction | str


class Source:
    """A text file, line by line, never more than MAX_LINE of it in memory.

    Bytes that are not valid in the encoding become lone surrogates (`undecodable` finds them), so that they
    spoil one line and not the file.
    """

    def __init__(self, path: Path, encoding: str = "utf-8-sig") -> None:
        """InputError when the file cannot be opened or the encoding is unknown."""
        try:
            self._binary = path.open("rb")
            self._text = io.TextIOWrapper(self._binary, encoding, errors="surrogateescape", newline="")
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}.") from error
        except LookupError:
            raise InputError(f"`encoding`: {encoding!r} is not a known encoding.") from None
        self.path = path
        self.encoding = encoding
        self.size = path.stat().st_size
        self.line_number = 0

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._text.close()

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._binary.tell()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._text.readline(MAX_LINE + 1)
        except (OSError, UnicodeError) as error:
            raise InputError(f"{self.path}, after line {self.line_number}: {error}") from error
        if not line:
            raise StopIteration
        self.line_number += 1
        if len(line) > MAX_LINE:
            raise InputError(f"{self.path}, line {self.line_number} is longer than {MAX_LINE:,} characters.")
        return line

    def undecodable(self, line: str) -> str | None:
        """What is wrong when the line holds bytes that the encoding does not have."""
        if line.isascii():
            return None
        try:
            line.encode()
        except UnicodeEncodeError as error:
            return f"character {error.start + 1} is not valid {self.encoding}"
        return None


def json_lines(source: Source) -> Iterator[Line]:
    """The lines of a JSON Lines file: transaction requests as the API takes them. Empty lines are skipped."""
    for text in source:
        if text.strip():
            yield Line(source.line_number, text, source.undecodable(text) or _transaction(text))


def _transaction(text: str) -> Transaction | str:
    try:
        transaction = decode_transaction(text.encode())
    except msgspec.DecodeError as error:
        return str(error)
    if transaction.preview:
        return "`preview` has no place in an import"
    return transaction
