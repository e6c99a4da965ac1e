"""Every kind of job, once, with the function that does its work (see `jobs.Task`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec

from ledger.errors import LedgerNotFound
from projections.advance import resume
from projections.exports import job as export
from projections.inline import NAME, verify_inline
from projections.jobs import JobFailed, Run, Task
from projections.rebuild import RebuildError, rebuild, rollback
from projections.registry import find
from projections.verify import Verified, verify
from projections.versions import connect


def _rebuild(task: Task) -> dict[str, Any]:
    """Parameters: projection, workers, accept_differences. Result: see `Rebuilt`."""
    asked = task.parameters
    try:
        done = rebuild(
            task.conninfo,
            find(asked["projection"]),
            workers=asked["workers"],
            accept_differences=asked["accept_differences"],
            report=task.report,
        )
    except RebuildError as error:
        raise JobFailed(str(error)) from error
    result: dict[str, Any] = msgspec.to_builtins(done)
    return result


def _rollback(task: Task) -> dict[str, Any]:
    """Parameters: projection. Result: the version that is live now."""
    try:
        return {"version": rollback(task.conninfo, find(task.parameters["projection"])).version}
    except RebuildError as error:
        raise JobFailed(str(error)) from error


def _verify(task: Task) -> dict[str, Any]:
    """Parameters: projection, ledger. Result: how many ledgers and events, and the first that is wrong."""
    ledgers = events = 0
    wrong: Verified | None = None
    try:
        for verified in verified_ledgers(task):
            ledgers += 1
            events += verified.seq
            if wrong is None and verified.finding is not None:
                wrong = verified
    except LedgerNotFound as error:
        raise JobFailed(f"There is no ledger {error}.") from error
    return {"ledgers": ledgers, "events": events, "wrong": msgspec.to_builtins(wrong)}


def verified_ledgers(task: Task) -> Iterator[Verified]:
    """What verifying finds, ledger by ledger: of a projection, or of the inline tables."""
    name, ledger = task.parameters["projection"], task.parameters["ledger"]
    if name == NAME:
        return verify_inline(task.conninfo, ledger, task.report)
    return verify(task.conninfo, find(name), ledger, task.report)


def _retry(task: Task) -> dict[str, Any]:
    """Parameters: projection, ledger. Result: in how many ledgers it had stopped."""
    with closing(connect(task.conninfo)) as connection:
        return {"resumed": resume(connection, [task.parameters["projection"]], task.parameters["ledger"])}


KINDS: dict[str, Run] = {
    "rebuild": _rebuild,
    "verify": _verify,
    "rollback": _rollback,
    "retry": _retry,
    export.KIND: export.run,
}
