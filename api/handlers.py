"""What the operations do: turn a checked request into a command or a read, and its outcome into a reply.

No rule of the ledger stands here. A replay is read back from the store and rendered by the same code as the
fresh answer, so that both are the same bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import psycopg
from anyio import to_thread
from msgspec import Struct, structs

from api import problems
from api.access.approvals import APPROVAL_REQUIRED, ApprovalView, Asking
from api.access.scopes import Principal
from api.bridge import Bridge
from api.http import JSON, Exchange, decode_body
from api.problems import BatchResult, Refused, make, of_rejection
from api.time_zones import time_zones
from ledger import closing
from ledger import commands as c
from ledger.batch import Outcome, Previewed, Recorded, Refusal, Replayed, Request
from ledger.commands import Batch, Command, LedgerOpening, Transaction
from ledger.errors import LedgerNotFound, Overloaded
from ledger.period_reads import period_event
from ledger.reader import Reader
from ledger.rejections import RejectionCode
from ledger.text import DEFAULT_TENANT, whose
from ledger.views import Acknowledged, ClosingView, EntryView, entry_view, legs_after
from projections import jobs
from projections.jobs import Job, JobNotFound
from projections.proving import Prover
from projections.reading import Behind, check_head

if TYPE_CHECKING:
    from api.operation import Operation

T = TypeVar("T")

Header = tuple[bytes, bytes]
REPLAYED: Header = (b"idempotency-replayed", b"true")
NO_CACHE: Header = (b"cache-control", b"no-cache")

# From this many on, decoding and encoding a batch would keep the event loop from others for milliseconds.
LARGE_BODY = 32_768
CLOCK_DRIFT_SECONDS = 1.0
# How long a read waits for its `min_seq`, and how long between two looks.
PATIENCE_SECONDS = 5.0
ASK_AGAIN_SECONDS = 0.05
CLOCK_BEHIND_MEMORY_SECONDS = 60.0
MOST_REASONS = 20


class Call(Struct, gc=False):
    """A request with its path and query checked."""

    bridge: Bridge
    exchange: Exchange
    operation: Operation
    path: dict[str, Any]
    query: Any
    principal: Principal

    @property
    def reader(self) -> Reader:
        """Of what the principal may see."""
        return self.bridge.reader.of(self.principal.tenant, self.principal.ledgers)

    async def submit(self, ledger: str, request: Request) -> list[Outcome]:
        """The outcomes of a request to a ledger of the principal (WriterError)."""
        return await self.bridge.submit(self.whole_name(ledger), request)

    def execute(self, ledger: str, request: Request) -> list[Outcome]:
        """The same from a thread, which waits."""
        return self.bridge.execute(self.whole_name(ledger), request)

    def whole_name(self, ledger: str) -> str:
        """A ledger of the principal's as the whole installation names it (LedgerNotFound)."""
        if not self.principal.sees(ledger):
            raise LedgerNotFound(ledger)
        tenant = self.principal.tenant
        return ledger if tenant == DEFAULT_TENANT else f"{tenant}/{ledger}"

    async def entries(self, ledger: str, seqs: Sequence[int]) -> list[EntryView]:
        """What was answered when these events were recorded."""
        return await self.bridge.read(self.reader.entries, ledger, seqs)


class Reply(Struct, gc=False):
    """What to answer: a status, a struct or a problem, headers."""

    status: int
    body: Any
    headers: tuple[Header, ...] = ()


# None: the handler has answered by itself.
Handler = Callable[[Call], Awaitable[Reply | None]]


def read(function: Callable[[Reader, dict[str, Any], Any], Any]) -> Callable[[Call], Awaitable[Reply]]:
    """A handler that reads: `function` runs in a thread, again while what it reads is behind `min_seq`.

    It waits between, without a thread, so that nobody else has to.
    """

    def run(reader: Reader, path: dict[str, Any], query: Any) -> Any:
        check_incarnation(reader, path, query)
        min_seq: int | None = getattr(query, "min_seq", None)
        if min_seq is not None:
            check_head(reader, path["ledger"], min_seq)
        return function(reader, path, query)

    async def handler(call: Call) -> Reply:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                body = await call.bridge.read(run, call.reader, call.path, call.query)
                return Reply(call.operation.status, body)
            except Behind:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    return handler


def prove(function: Callable[[Prover, dict[str, Any], Any], Any]) -> Handler:
    """A handler that proves: `function` runs in a thread."""

    def run(call: Call) -> Any:
        check_incarnation(call.reader, call.path, call.query)
        path = call.path
        if "ledger" in path:
            path = path | {"ledger": call.whole_name(path["ledger"])}
        return function(call.bridge.prover, path, call.query)

    async def handler(call: Call) -> Reply:
        # What C2SP lets clients keep for ever may be other hashes after a restore.
        headers = () if call.operation.media == JSON else (NO_CACHE,)
        return Reply(call.operation.status, await call.bridge.read(run, call), headers)

    return handler


def check_incarnation(reader: Reader, path: dict[str, Any], query: Any) -> None:
    """What the caller knows must be of the ledger's present life, if it says which life it knows."""
    asked = getattr(query, "incarnation", None)
    if asked is not None:
        incarnation = reader.incarnation(path["ledger"])
        if asked != incarnation:
            raise Refused(make("incarnation_ended", evidence={"asked": asked, "incarnation": incarnation}))


# ---------------------------------------------------------------- one command


async def command(call: Call) -> Reply:
    """One command: decided, stored, answered; or refused; or found to be done already."""
    operation, exchange, path = call.operation, call.exchange, call.path
    raw = await exchange.body()
    body = decode_body(operation.decoder, raw or operation.empty_body)
    key = exchange.key()
    preview = False
    if type(body) is Transaction:
        preview = body.preview
        if key is not None and body.idempotency_key not in (None, key):
            detail = "The key of the header and the key of the body differ."
            raise Refused(make("invalid_request", detail, field="idempotency_key"))
    elif type(body) is LedgerOpening:
        path = {"ledger": body.name}
        _check_time_zone(body.time_zone)
    # What a command is about stands last in its path.
    subject = list(path.values())[-1] if len(path) > 1 else ""
    asked = c.command(body, subject, key=key, actor=call.principal.actor, request_id=exchange.asked_id)
    return await carry_out(call, path, asked, preview=preview)


async def carry_out(
    call: Call,
    path: dict[str, Any],
    asked: Command,
    shape: Callable[[EntryView], Any] | None = None,
    *,
    preview: bool = False,
) -> Reply:
    """A command's outcome as the operation answers it, the same bytes when it is replayed.

    `shape` makes the body of what was recorded, where that is neither the entry nor an acknowledgement.
    """
    operation = call.operation
    (outcome,) = await call.submit(path["ledger"], Request([asked], preview=preview))
    if isinstance(outcome, Refusal):
        return await refused(call, path["ledger"], [asked], outcome)
    if isinstance(outcome, Previewed):
        return Reply(200, entry_view(outcome.event, legs_after(outcome.legs), preview=True))
    replayed = isinstance(outcome, Replayed)
    view = (
        (await call.entries(path["ledger"], [outcome.seq]))[0]
        if isinstance(outcome, Replayed)
        else entry_view(outcome.event, legs_after(outcome.legs))
    )
    headers = _location(operation, path, asked.body, view)
    if shape is not None:
        answer = shape(view)
    elif operation.answer is EntryView:
        answer = view
    else:
        answer = Acknowledged(view.seq, view.type, view.recorded_at)
    return Reply(operation.status, answer, (*headers, REPLAYED) if replayed else headers)


async def close_period(call: Call) -> Reply:
    """A period closed, in several commands when there are closing entries to post."""
    exchange, ledger, period = call.exchange, call.path["ledger"], call.path["period"]
    body = decode_body(call.operation.decoder, await exchange.body() or call.operation.empty_body)
    asked = c.command(
        body, period, key=exchange.key(), actor=call.principal.actor, request_id=exchange.asked_id
    )
    closed = await to_thread.run_sync(closing.close_period, call.execute, call.reader, ledger, asked)
    if isinstance(closed, Refusal):
        return await refused(call, ledger, [asked], closed)
    event = await call.bridge.read(period_event, call.reader, ledger, closed.seq)
    view = ClosingView(**structs.asdict(event), closing_entries=closed.entries)
    return Reply(call.operation.status, view, (REPLAYED,) if closed.replayed else ())


async def refused(
    call: Call, ledger: str, commands: Sequence[Command], refusal: Refusal, *, atomic: bool = False
) -> Reply:
    """What answers a refusal: its problem; or what waits for a second person, now or since before."""
    headers = (REPLAYED,) if refusal.replayed else ()
    if refusal.rejection.code != APPROVAL_REQUIRED:
        return Reply(0, of_rejection(refusal.rejection), headers)
    asking = Asking(commands, atomic, commands[0].key, refusal.rejection)
    [waiting] = await wait(call, ledger, [asking])
    place = f"/v1/ledgers/{ledger}/approvals/{waiting.id}"
    return Reply(202, waiting, ((b"location", place.encode()), *headers))


async def wait(call: Call, ledger: str, asking: list[Asking]) -> list[ApprovalView]:
    """What was refused until a second person approves of it, as it waits, each on its own."""
    principal = call.principal
    approvals = call.bridge.keys.approvals
    return await call.bridge.read(approvals.ask, principal.tenant, ledger, principal.actor, asking)


def _location(operation: Operation, path: dict[str, Any], body: Any, view: EntryView) -> tuple[Header, ...]:
    if operation.location is None:
        return ()
    named = {**path, "seq": view.seq}
    for name in operation.located_by:
        named[name] = getattr(body, name)
    place = operation.location.format_map(named)
    return ((b"location", place.encode()),)


def _check_time_zone(name: str) -> None:
    if name not in time_zones():
        raise Refused(
            make(
                "invalid_request", "This is not an IANA time zone, such as Europe/Prague.", field="time_zone"
            )
        )


# ---------------------------------------------------------------- batches


class BatchResults(Struct, frozen=True):
    """One result for each transaction, in order."""

    results: list[BatchResult]


async def batch(call: Call) -> Reply:
    """Transactions together: each on its own, or all or none."""
    exchange, ledger = call.exchange, call.path["ledger"]
    raw = await exchange.body()
    body: Batch = await _maybe_in_thread(len(raw), lambda: decode_body(call.operation.decoder, raw))
    key = exchange.key()
    request_id, actor = exchange.asked_id, call.principal.actor
    if not body.atomic:
        if key is not None:
            detail = "An independent batch has no key of its own: each transaction carries `idempotency_key`."
            raise Refused(make("invalid_request", detail, field="Idempotency-Key"))
        asked = [c.command(t, actor=actor, request_id=request_id) for t in body.transactions]
        outcomes = await call.submit(ledger, Request(asked))
        results = await _results(call, ledger, outcomes)
        await _let_wait(call, ledger, asked, outcomes, results)
        return Reply(200, BatchResults(results))
    # The subject keeps a batch of one apart from the same transaction posted alone.
    mark = c.fingerprint(list(body.transactions), "batch") if key is not None else b""
    group = [Command(transaction, "", key, actor, request_id, mark) for transaction in body.transactions]
    outcomes = await call.submit(ledger, Request(group, atomic=True, key=key, fingerprint=mark))
    return await _atomic_reply(call, ledger, group, outcomes)


async def _let_wait(
    call: Call, ledger: str, asked: list[Command], outcomes: list[Outcome], results: list[BatchResult]
) -> None:
    """Of an independent batch, what needs a second person waits, each on its own."""
    asking = without_approval(asked, outcomes)
    if asking:
        for index, waiting in zip(asking, await wait(call, ledger, list(asking.values())), strict=True):
            results[index] = BatchResult(status=202, approval=waiting, replayed=results[index].replayed)


def without_approval(asked: Sequence[Command], outcomes: Sequence[Outcome]) -> dict[int, Asking]:
    """Those commands, by their places, that were refused until a second person approves of them."""
    return {
        index: Asking([asked[index]], False, asked[index].key, outcome.rejection)
        for index, outcome in enumerate(outcomes)
        if isinstance(outcome, Refusal) and outcome.rejection.code == APPROVAL_REQUIRED
    }


async def _atomic_reply(call: Call, ledger: str, group: list[Command], outcomes: list[Outcome]) -> Reply:
    first = outcomes[0]
    if isinstance(first, Replayed):
        seqs = range(first.seq, first.seq + first.events)
        entries = await call.entries(ledger, seqs)
        results = [BatchResult(status=201, transaction=entry) for entry in entries]
        return Reply(call.operation.status, BatchResults(results), (REPLAYED,))
    if not isinstance(first, Refusal):
        return Reply(call.operation.status, BatchResults(await _results(call, ledger, outcomes)))
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    headers = (REPLAYED,) if first.replayed else ()
    if first.rejection.code == "idempotency_key_reused":
        return Reply(0, of_rejection(first.rejection))
    if first.rejection.code == APPROVAL_REQUIRED:
        return await refused(call, ledger, group, first, atomic=True)
    each = [of_rejection(refusal.rejection) for refusal in refusals]
    cause = next(r.rejection for r in refusals if r.rejection.code != "linked_failed")
    results = [BatchResult(status=problem.status, problem=problem) for problem in each]
    return Reply(0, of_rejection(cause, results), headers)


async def _results(call: Call, ledger: str, outcomes: list[Outcome]) -> list[BatchResult]:
    seqs = sorted({outcome.seq for outcome in outcomes if isinstance(outcome, Replayed)})
    entries = await call.entries(ledger, seqs) if seqs else []
    first_answers = {entry.seq: entry for entry in entries}
    size = 256 * len(outcomes)
    return await _maybe_in_thread(size, lambda: [_result(outcome, first_answers) for outcome in outcomes])


def _result(outcome: Outcome, first_answers: dict[int, EntryView]) -> BatchResult:
    if isinstance(outcome, Recorded):
        return BatchResult(status=201, transaction=entry_view(outcome.event, legs_after(outcome.legs)))
    if isinstance(outcome, Replayed):
        return BatchResult(status=201, transaction=first_answers[outcome.seq], replayed=True)
    assert isinstance(outcome, Refusal)  # a batch has no preview
    problem = of_rejection(outcome.rejection)
    return BatchResult(status=problem.status, problem=problem, replayed=outcome.replayed)


async def _maybe_in_thread(size: int, function: Callable[[], T]) -> T:
    return await to_thread.run_sync(function) if size >= LARGE_BODY else function()


# ---------------------------------------------------------------- jobs


def job(kind: str, parameters: Callable[[dict[str, Any], Any], dict[str, Any]]) -> Handler:
    """A handler that queues a job; `parameters` makes its JSON of path and body (Refused)."""

    async def handler(call: Call) -> Reply:
        body = None
        if call.operation.body is not None:
            raw = await call.exchange.body()
            body = decode_body(call.operation.decoder, raw or call.operation.empty_body)
        asked = await call.bridge.engine.ask(kind, parameters(call.path, body))
        return Reply(call.operation.status, asked, ((b"location", f"/v1/jobs/{asked.id}".encode()),))

    return handler


async def get_job(call: Call) -> Reply:
    """How a job stands."""
    return Reply(200, await _own_job(call))


async def cancel_job(call: Call) -> Reply:
    """A job that is to end."""
    await _own_job(call)
    return Reply(200, await call.bridge.engine.run(jobs.cancel, call.path["job"]))


async def _own_job(call: Call) -> Job:
    """A job about one ledger, the principal's; any, for who administers the service (JobNotFound)."""
    found = await call.bridge.engine.run(jobs.job, call.path["job"])
    if not call.principal.may("service:admin"):
        name: str | None = found.parameters.get("ledger")
        tenant, ledger = whose(name or "")
        if not name or tenant != call.principal.tenant or not call.principal.sees(ledger):
            raise JobNotFound(found.id)
    return found


# ---------------------------------------------------------------- about the service


class Rejections(Struct, frozen=True):
    """Every code that a problem can have. Where several apply to a command, the first one is reported."""

    rejections: tuple[RejectionCode, ...]


class Live(Struct, frozen=True):
    """The process answers."""

    status: Literal["healthy"] = "healthy"


class Ready(Struct, frozen=True, omit_defaults=True):
    """Whether commands can be answered now. Degraded: some are refused or slower; `reasons` say why."""

    status: Literal["healthy", "degraded", "down"]
    reasons: list[str] = []


async def list_rejections(call: Call) -> Reply:
    """Every code."""
    return Reply(200, Rejections(problems.ALL))


async def live(call: Call) -> Reply:
    """The process answers."""
    return Reply(200, Live())


async def ready(call: Call) -> Reply:
    """Whether the database answers, the clocks agree, every projection goes on and the inbox is worked on."""
    try:
        clock = await to_thread.run_sync(call.bridge.reader.clock)
        stopped = await call.bridge.engine.stopped()
        late = await call.bridge.inbox.late()
    except psycopg.Error as error:
        return Reply(503, Ready("down", [f"The database does not answer ({type(error).__name__})."]))
    except Overloaded:
        return Reply(200, Ready("degraded", ["More webhooks come in than can be stored."]))
    reasons = []
    drift = (clock - datetime.now(UTC)).total_seconds()
    if abs(drift) > CLOCK_DRIFT_SECONDS:
        reasons.append(f"The database's clock differs from this process's by {drift:.1f} s.")
    if time.monotonic() - call.bridge.clock_behind_at < CLOCK_BEHIND_MEMORY_SECONDS:
        reasons.append("The database's clock was behind a ledger's last event within the last minute.")
    reasons += [
        f"The projection {name} has stopped (ledgers: {ledgers}): see `daybook projections status`."
        for name, ledgers in stopped.items()
    ]
    if late:
        reasons.append(
            f"Webhooks have waited for more than a minute (tenants: {late}): see `daybook doctor`."
        )
    reasons += list(call.bridge.keeper.differing.values())[:MOST_REASONS]
    return Reply(200, Ready("degraded" if reasons else "healthy", reasons))
