"""Importing: lines become commands, go through the writer in batches, and are counted by what became of them.

A run can end anywhere and be repeated: every line has an idempotency key, its own or
`import:<name>:<line number>`, so what is there already is not posted again, and a line that was altered
meanwhile is refused. Batches are pipelined through one ledger's queue, which keeps the order of the file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass

from api.access.approvals import APPROVAL_REQUIRED, Asking
from api.console import explain
from api.import_files import InputError, Line
from ledger import commands
from ledger.batch import Refusal, Replayed, Request
from ledger.commands import Command, Transaction
from ledger.errors import WriterError
from ledger.writer import Answer, Writer

BATCH = 1_000
IN_FLIGHT = 4


@dataclass
class Tally:
    """What became of the lines so far."""

    posted: int = 0
    already: int = 0
    waiting: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Refused:
    """A line that was not posted, and why."""

    line: Line
    reason: str


@dataclass(frozen=True)
class _Batch:
    lines: list[Line]
    commands: list[Command]  # of the lines that ask for a transaction
    answer: Future[Answer]  # and their outcomes


def run(
    writer: Writer,
    ledger: str,
    lines: Iterator[Line],
    name: str,
    refused: Callable[[Refused], None],
    let_wait: Callable[[list[Asking]], None],
) -> Iterator[Tally]:
    """Import; yields the tally after each batch. What needs a second person is handed to `let_wait`.

    InputError ends it after what precedes the unreadable place was posted. WriterError ends it at once: up to
    IN_FLIGHT - 1 batches that follow the failed one may have been posted, and the next run posts the rest.
    """
    tally = Tally()
    under_way: deque[_Batch] = deque()
    failure: InputError | None = None
    batches = _batches(lines)
    while True:
        try:
            batch = next(batches, None)
        except InputError as error:
            batch, failure = None, error
        if batch is not None:
            under_way.append(_submit(writer, ledger, batch, name))
        elif not under_way:
            break
        if batch is None or len(under_way) == IN_FLIGHT:
            _settle(under_way.popleft(), tally, refused, let_wait)
            yield tally
    if failure is not None:
        raise failure


def _batches(lines: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    try:
        for line in lines:
            batch.append(line)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except InputError:
        yield batch
        raise
    yield batch


def _submit(writer: Writer, ledger: str, lines: list[Line], name: str) -> _Batch:
    wanted = [
        commands.command(line.content, key=f"import:{name}:{line.number}", actor="daybook import")
        for line in lines
        if isinstance(line.content, Transaction)
    ]
    answer: Future[Answer] = Future()
    if wanted:
        writer.submit(ledger, Request(wanted), answer.set_result)
    else:
        answer.set_result([])
    return _Batch(lines, wanted, answer)


def _settle(
    batch: _Batch,
    tally: Tally,
    refused: Callable[[Refused], None],
    let_wait: Callable[[list[Asking]], None],
) -> None:
    answer = batch.answer.result()
    if isinstance(answer, WriterError):
        raise answer
    outcomes = iter(zip(batch.commands, answer, strict=True))
    waiting: list[Asking] = []
    for line in batch.lines:
        reason = None
        if isinstance(line.content, str):
            reason = line.content
        else:
            command, outcome = next(outcomes)
            if isinstance(outcome, Refusal) and outcome.rejection.code == APPROVAL_REQUIRED:
                waiting.append(Asking([command], False, command.key, outcome.rejection))
            elif isinstance(outcome, Refusal):
                reason = _reason(outcome)
            elif isinstance(outcome, Replayed):
                tally.already += 1
            else:
                tally.posted += 1
        if reason is not None:
            tally.refused += 1
            refused(Refused(line, reason))
    if waiting:
        let_wait(waiting)
        tally.waiting += len(waiting)


def _reason(refusal: Refusal) -> str:
    if refusal.rejection.code == "idempotency_key_reused":
        key = refusal.rejection.evidence["key"]
        return f"its key {key} stands for another transaction: the line was altered, or the key used before"
    reason = explain(refusal.rejection)
    if refusal.replayed:
        reason += " So it was decided when first imported; another --name (or key) has it decided anew."
    return reason
