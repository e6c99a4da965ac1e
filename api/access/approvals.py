"""What waits for a second person: kept here, decided by somebody else than who asked, carried out once.

The ledger refuses what needs approval (`ledger.approvals`) and remembers that under the request's key. The
request itself waits here. When it is approved it goes through the writer under the key `approval:<id>`, so
that a crash between the approval and the posting only means that somebody approves again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec
import psycopg
from msgspec import Struct
from psycopg_pool import ConnectionPool

from ledger import closing
from ledger import commands as c
from ledger.batch import Outcome, Recorded, Refusal, Replayed, Request
from ledger.commands import Body, Command
from ledger.products import PRODUCTS
from ledger.reader import Reader
from ledger.rejections import Rejection
from ledger.text import encode_canonical
from sql import load as load_queries

QUERIES = load_queries("approvals.sql")
Connection = psycopg.Connection[tuple[Any, ...]]
Execute = Callable[[str, Request], list[Outcome]]

APPROVAL_REQUIRED = "approval_required"
WAITS_SECONDS = 7 * 86_400
Status = Literal["pending", "expired", "rejected", "approved", "posted", "refused"]


class ApprovalNotFound(LookupError):
    """No approval of the ledger has this id."""


class SamePerson(PermissionError):
    """Who asked cannot decide."""


class AlreadyDecided(ValueError):
    """It was decided before, otherwise, or nobody did in time (`args[0]` is its status)."""


class AskedCommand(Struct, frozen=True):
    """A command as it was asked: what for, on what (a seq, an address, a period, a stream), with its body."""

    operation: str
    subject: int | str
    body: dict[str, Any]


class ApprovalView(Struct, frozen=True, kw_only=True):
    """Something that waits, or waited, for a second person.

    `pending`; `expired` when nobody decided in time; `rejected`; `approved` and on its way; `posted` as event
    `seq` (the first of `events`); or `refused` by the ledger with `rejection`, although it was approved.
    `evidence` says why it waits.
    """

    id: UUID
    status: Status
    operation: str
    commands: int
    evidence: dict[str, Any]
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    seq: int | None = None
    events: int | None = None
    rejection: Rejection | None = None


class ApprovalDetails(ApprovalView, frozen=True, kw_only=True):
    """The same, with all that was asked."""

    atomic: bool
    request: list[AskedCommand]


class _Request(Struct, frozen=True):
    commands: list[AskedCommand]
    atomic: bool


class Asking(NamedTuple):
    """A request that the ledger refused because it needs approval, and why."""

    commands: Sequence[Command]
    atomic: bool
    key: str | None
    rejection: Rejection


class _Stored(NamedTuple):
    """A row, as the queries give it."""

    id: UUID
    request: str
    evidence: str
    asked_by: str
    request_id: str
    asked_at: datetime
    expires_at: datetime
    approved: bool | None
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    seq: int | None
    events: int | None
    rejection: str | None
    late: bool

    @property
    def status(self) -> Status:
        if self.approved is None:
            return "expired" if self.late else "pending"
        if not self.approved:
            return "rejected"
        if self.seq is not None:
            return "posted"
        return "approved" if self.rejection is None else "refused"


class Approvals:
    """The approvals of an installation. Threads may share it."""

    def __init__(self, pool: ConnectionPool[Connection]) -> None:
        self._pool = pool

    @contextmanager
    def _working_for(self, tenant: str) -> Iterator[Connection]:
        """A transaction that sees and writes rows of this tenant only, whatever a query asks for."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(QUERIES["work_for"], {"tenant": tenant})
            yield connection

    def ask(self, tenant: str, ledger: str, asked_by: str, asking: Sequence[Asking]) -> list[ApprovalView]:
        """Let requests wait; one that waits already, under its key, is found again."""
        with self._working_for(tenant) as connection:
            return [_view(_ask(connection, tenant, ledger, asked_by, one)) for one in asking]

    def page(
        self, tenant: str, ledger: str, after: UUID | None, limit: int, *, pending: bool
    ) -> list[ApprovalView]:
        """Newest first, beyond `after`; or only those that somebody could decide now."""
        wanted = {"tenant": tenant, "ledger": ledger, "after": after, "limit": limit, "pending": pending}
        with self._working_for(tenant) as connection:
            return [_view(_Stored(*row)) for row in connection.execute(QUERIES["approvals"], wanted)]

    def details(self, tenant: str, ledger: str, id: UUID) -> ApprovalDetails:
        """One of them with its request (ApprovalNotFound)."""
        stored = self._stored(tenant, ledger, id)
        request = _asked(stored)
        fields = msgspec.structs.asdict(_view(stored))
        return ApprovalDetails(**fields, atomic=request.atomic, request=request.commands)

    def reject(self, tenant: str, ledger: str, id: UUID, by: str, reason: str) -> ApprovalView:
        """Decide against it (ApprovalNotFound, SamePerson, AlreadyDecided)."""
        stored = self._decide(tenant, ledger, id, by, approved=False, reason=reason)
        if stored.status != "rejected":
            raise AlreadyDecided(stored.status)
        return _view(stored)

    def approve(
        self, tenant: str, ledger: str, id: UUID, by: str, execute: Execute, reader: Reader, name: str
    ) -> ApprovalView:
        """Decide for it and carry it out; what was approved already is carried out, or found to be done.

        `name`: the ledger as `execute` and `reader` know it.
        ApprovalNotFound, SamePerson, AlreadyDecided, WriterError: then it may be approved again.
        """
        stored = self._decide(tenant, ledger, id, by, approved=True, reason=None)
        if stored.status in ("rejected", "expired"):
            raise AlreadyDecided(stored.status)
        if stored.status == "approved":
            settled = _carry_out(stored, execute, reader, name)
            with self._working_for(tenant) as connection:
                connection.execute(
                    QUERIES["settle"], {"tenant": tenant, "ledger": ledger, "id": id, **settled}
                )
            stored = self._stored(tenant, ledger, id)
        return _view(stored)

    def _stored(self, tenant: str, ledger: str, id: UUID) -> _Stored:
        with self._working_for(tenant) as connection:
            wanted = {"tenant": tenant, "ledger": ledger, "id": id}
            row = connection.execute(QUERIES["approval"], wanted).fetchone()
        if row is None:
            raise ApprovalNotFound(id)
        return _Stored(*row)

    def _decide(
        self, tenant: str, ledger: str, id: UUID, by: str, *, approved: bool, reason: str | None
    ) -> _Stored:
        """As it is once this decision, or one before it, was made."""
        decision = {"tenant": tenant, "ledger": ledger, "id": id}
        decision |= {"by": by, "approved": approved, "reason": reason}
        with self._working_for(tenant) as connection:
            row = connection.execute(QUERIES["decide"], decision).fetchone()
        if row is not None:
            return _Stored(*row)
        stored = self._stored(tenant, ledger, id)
        if stored.asked_by == by:
            raise SamePerson(by)
        return stored


def _ask(connection: Connection, tenant: str, ledger: str, asked_by: str, asking: Asking) -> _Stored:
    first = asking.commands[0]
    commands = [
        AskedCommand(c.operation_of(each.body), each.subject, msgspec.to_builtins(each.body))
        for each in asking.commands
    ]
    row = connection.execute(
        QUERIES["ask"],
        {
            "id": uuid4(),
            "tenant": tenant,
            "ledger": ledger,
            "key": asking.key,
            "request": encode_canonical(_Request(commands, asking.atomic)).decode(),
            "evidence": encode_canonical(asking.rejection.evidence).decode(),
            "asked_by": asked_by,
            "request_id": first.request_id,
            "seconds": WAITS_SECONDS,
        },
    ).fetchone()
    if row is None:
        wanted = {"tenant": tenant, "ledger": ledger, "key": asking.key}
        row = connection.execute(QUERIES["of_key"], wanted).fetchone()
        assert row is not None
    return _Stored(*row)


def _asked(stored: _Stored) -> _Request:
    return msgspec.json.decode(stored.request, type=_Request)


def _view(stored: _Stored) -> ApprovalView:
    request = _asked(stored)
    return ApprovalView(
        id=stored.id,
        status=stored.status,
        operation=request.commands[0].operation,
        commands=len(request.commands),
        evidence=msgspec.json.decode(stored.evidence),
        asked_by=stored.asked_by,
        asked_at=stored.asked_at,
        expires_at=stored.expires_at,
        decided_by=stored.decided_by,
        decided_at=stored.decided_at,
        reason=stored.reason,
        seq=stored.seq,
        events=stored.events,
        rejection=None if stored.rejection is None else msgspec.json.decode(stored.rejection, type=Rejection),
    )


# ---------------------------------------------------------------- carried out


def _carry_out(stored: _Stored, execute: Execute, reader: Reader, ledger: str) -> dict[str, Any]:
    """What became of it in the ledger, now or when somebody carried it out before (WriterError)."""
    request = _asked(stored)
    key = f"approval:{stored.id}"
    assert stored.decided_by is not None
    bodies: list[Body] = [
        msgspec.convert(each.body, PRODUCTS.body_of(each.operation) or c.BODIES[each.operation])
        for each in request.commands
    ]
    first = request.commands[0]
    mark = c.fingerprint(bodies, "batch" if request.atomic else first.subject)
    commands = [
        Command(body, asked.subject, key, stored.asked_by, stored.request_id, mark, None, stored.decided_by)
        for body, asked in zip(bodies, request.commands, strict=True)
    ]
    if isinstance(bodies[0], c.PeriodClosing):
        closed = closing.close_period(execute, reader, ledger, commands[0])
        if isinstance(closed, Refusal):
            return _refused(closed.rejection)
        begin = min([*closed.entries, closed.seq])
        return {"seq": begin, "events": closed.seq - begin + 1, "rejection": None}
    if request.atomic:
        outcomes = execute(ledger, Request(commands, atomic=True, key=key, fingerprint=mark))
    else:
        outcomes = execute(ledger, Request(commands))
    return _settled(outcomes)


def _settled(outcomes: list[Outcome]) -> dict[str, Any]:
    first = outcomes[0]
    if isinstance(first, Replayed):
        return {"seq": first.seq, "events": first.events, "rejection": None}
    if isinstance(first, Recorded):
        return {"seq": first.event.seq, "events": len(outcomes), "rejection": None}
    refusals = [outcome.rejection for outcome in outcomes if isinstance(outcome, Refusal)]
    return _refused(next(rejection for rejection in refusals if rejection.code != "linked_failed"))


def _refused(rejection: Rejection) -> dict[str, Any]:
    return {"seq": None, "events": None, "rejection": msgspec.json.encode(rejection).decode()}
