"""Requests whose key is the thing's own, so that they are safe to repeat, however often and wherefrom.

The ledger remembers a refusal under its key for good. Where time may have healed the reason, money has come
into the fund, say, the request is asked again under the thing's next key: `issue:V-1`, `issue:V-1~2`, ...
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from api.access.approvals import APPROVAL_REQUIRED
from ledger.batch import Outcome, Refusal, Request
from ledger.commands import Command
from ledger.rejections import CODES
from ledger.writer import Writer


def asked_again(command: Command, outcome: Outcome) -> Command | None:
    """The command under its next key, if what was answered is an old refusal that may not hold any more."""
    if not isinstance(outcome, Refusal) or not outcome.replayed:
        return None
    code = outcome.rejection.code
    if code == APPROVAL_REQUIRED or not CODES[code].transient:
        return None
    assert command.key is not None
    own, _, number = command.key.partition("~")
    return replace(command, key=f"{own}~{int(number or 1) + 1}")


def to_ask_again(commands: Sequence[Command], outcomes: Sequence[Outcome]) -> dict[int, Command]:
    """Those of many, by their places."""
    found = (asked_again(command, outcome) for command, outcome in zip(commands, outcomes, strict=True))
    return {index: command for index, command in enumerate(found) if command is not None}


def execute(writer: Writer, ledger: str, command: Command) -> Outcome:
    """What becomes of a command now (WriterError)."""
    outcome: Outcome
    [outcome] = writer.execute(ledger, Request([command]))
    while (again := asked_again(command, outcome)) is not None:
        command = again
        [outcome] = writer.execute(ledger, Request([command]))
    return outcome
