"""Reading collection cases: a loan's last one, what was noted, and the open ones of a ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from msgspec import Struct

from ledger.events import read_event
from ledger.loan_reads import QUERIES, LoanNotFound, today
from ledger.loans.case import Case, CaseStatus, Kept, Outcome, Trigger, collection_stream, outcomes
from ledger.loans.state import Loan, loan_stream
from ledger.reader import Reader

# How many cases are looked at for a page of those that a filter lets through.
LOOKED_AT = 1_000


class CaseNotFound(Exception):
    """The loan `args[0]` never had a case."""


class PromiseView(Struct, frozen=True):
    """To pay `amount` minor units by the end of a day. `outcome` is as payments say it today, `recorded` what
    was recorded last.
    """

    promise: int
    asset: str
    amount: int
    by: date
    outcome: Kept
    recorded: Kept


class CaseView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last case of a loan; `notes` counts them."""

    loan: str
    case: int
    status: CaseStatus
    trigger: Trigger
    opened: date
    days_past_due: int
    notes: int
    promises: list[PromiseView]
    assignee: str = ""
    outcome: Outcome | None = None
    version: int = 0


class CaseLine(Struct, frozen=True):
    """A case in a list."""

    loan: str
    case: int
    status: CaseStatus
    trigger: Trigger
    opened: date
    assignee: str
    notes: int
    promises: int


class CasesPage(Struct, frozen=True):
    """Cases by the loan's name; `next` goes on as `after`, null at the end. Filters may let none through."""

    cases: list[CaseLine]
    next: str | None


class NoteView(Struct, frozen=True):
    """A note of the case of that number, by whom and when it was written down."""

    seq: int
    case: int
    note: int
    text: str
    actor: str
    recorded_at: str


class NotesPage(Struct, frozen=True):
    """Notes in order; `next` continues as `after`, null at the end."""

    notes: list[NoteView]
    next: int | None


def case(reader: Reader, ledger: str, name: str) -> CaseView:
    """A loan's last case (LoanNotFound, CaseNotFound)."""
    day = today(reader, ledger)
    found = reader.stream(ledger, loan_stream(name))
    if found is None:
        raise LoanNotFound(name)
    loan: Loan = found[0].state
    stream = reader.stream(ledger, collection_stream(name))
    if stream is None:
        raise CaseNotFound(name)
    kept: Case = stream[0].state
    decided = outcomes(kept.promises, loan.facts, day)
    return CaseView(
        loan=name,
        case=kept.number,
        status=kept.status,
        trigger=kept.trigger,
        opened=kept.opened,
        days_past_due=0 if loan.book is None else loan.book.days_past_due(day),
        notes=kept.notes,
        promises=[
            PromiseView(p.number, loan.asset, p.amount, p.by, decided[p.number], p.said)
            for p in kept.promises
        ],
        assignee=kept.assignee,
        outcome=kept.outcome,
        version=stream[0].version,
    )


def cases(
    reader: Reader,
    ledger: str,
    *,
    status: CaseStatus | None = None,
    assignee: str | None = None,
    after: str = "",
    limit: int = 100,
) -> CasesPage:
    """Last cases beyond a loan's name, the open ones unless `status` says which; at most a thousand are
    looked at.
    """
    lines: list[CaseLine] = []
    last, seen = "", 0
    start = collection_stream(after) if after else ""
    for stream, _ in reader.streams(ledger, "collection", after=start, limit=LOOKED_AT):
        kept: Case = stream.state
        last, seen = kept.loan, seen + 1
        wanted = kept.status == status if status is not None else kept.status != "closed"
        if not wanted or assignee not in (None, kept.assignee):
            continue
        opening = (kept.trigger, kept.opened, kept.assignee, kept.notes, len(kept.promises))
        lines.append(CaseLine(kept.loan, kept.number, kept.status, *opening))
        if len(lines) == limit:
            break
    more = len(lines) == limit or seen == LOOKED_AT
    return CasesPage(lines, last if more else None)


def every_case(reader: Reader, ledger: str) -> Iterator[Case]:
    """The last case of every loan that had one, by name."""
    after = ""
    while streams := reader.streams(ledger, "collection", after=after, limit=LOOKED_AT):
        for stream, _ in streams:
            yield stream.state
        after = streams[-1][0].name


def notes(reader: Reader, ledger: str, name: str, after: int, limit: int) -> NotesPage:
    """What was noted on all cases of a loan, beyond a seq (CaseNotFound)."""
    stream = collection_stream(name)
    if reader.stream(ledger, stream) is None:
        raise CaseNotFound(name)
    with reader.snapshot(ledger) as (connection, parameters):
        wanted = {**parameters, "stream": stream, "after": after, "limit": limit}
        rows = connection.execute(QUERIES["collection_notes"], wanted).fetchall()
    found = []
    for (body,) in rows:
        event = read_event(body)
        data = event.data
        found.append(
            NoteView(
                event.seq,
                int(data["case"]),
                int(data["note"]),
                data["text"],
                event.actor,
                event.recorded_at,
            )
        )
    return NotesPage(found, found[-1].seq if len(found) == limit else None)
