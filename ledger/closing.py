"""Closing entries: income and expense brought to zero at a period's end, against retained earnings.

Nothing here is a rule of its own: the entries are plain transactions. The period is closed first, so that
what counts inside it stands still; then the balances as of its end are read; then one atomic group reopens it
and the closed periods inside it that end with it (of 2026: 2026-Q4, 2026-12), posts and closes them again, so
that nobody comes between. It reopens the very closing that was read behind. A request that died on the way is
finished by the next one under its key, and what was finished is only found again. When the balances are zero
there is nothing to post, so that closing again after a correction posts the difference alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import groupby

from msgspec import Struct

from ledger.batch import Outcome, Recorded, Refusal, Replayed, Request
from ledger.commands import (
    MAX_LEGS,
    Body,
    Command,
    PeriodClosing,
    PeriodReopening,
    Posting,
    Transaction,
    fingerprint,
)
from ledger.events import read_event
from ledger.feed import read_page
from ledger.period_reads import PeriodResult, result_of_period
from ledger.reader import Reader
from ledger.text import moment

# What the legs of one transaction may take of an event's 65,535 bytes; the rest is for all else in it.
LEGS_BYTES = 40_000
LEG_BYTES = 90  # besides account and asset

# Why periods are reopened for their closing entries, by which reports of income find them.
REASON = "closing entries"

Execute = Callable[[str, Request], list[Outcome]]


class Closed(Struct, frozen=True):
    """A period was closed, now or when the key was first used, by `seq`; `entries` are seqs."""

    seq: int
    entries: list[int]
    replayed: bool


def close_period(execute: Execute, reader: Reader, ledger: str, command: Command) -> Closed | Refusal:
    """Close a period; with `retained_earnings`, post its closing entries (WriterError).

    Without a key, or once it was approved, a period that is closed already is closed anew when entries are
    missing. Where the entries
    are refused (an account closed since, a limit), the period stays closed without them.
    """
    body, period = command.body, command.subject
    assert isinstance(body, PeriodClosing)
    assert isinstance(period, str)
    [outcome] = execute(ledger, Request([command]))
    if isinstance(outcome, Refusal):
        already = (
            command.key is None or command.approver != ""
        ) and outcome.rejection.code == "period_already_closed"
        if body.retained_earnings is None or not already:
            return outcome
        closed_seq: int = outcome.rejection.evidence["closed_seq"]
    else:
        closed_seq = outcome.seq if isinstance(outcome, Replayed) else outcome.event.seq
    if body.retained_earnings is not None:
        finished = _post_entries(execute, reader, ledger, command, closed_seq, body.retained_earnings)
        if finished is not None:
            return finished
    if isinstance(outcome, Refusal):
        return outcome
    return Closed(closed_seq, [], isinstance(outcome, Replayed))


def _post_entries(
    execute: Execute, reader: Reader, ledger: str, command: Command, closed_seq: int, retained_earnings: str
) -> Closed | Refusal | None:
    """The closing with its entries, or why they were refused; None: there is nothing to post."""
    period = command.subject
    assert isinstance(period, str)
    reopening = PeriodReopening(reason=REASON, closed_seq=closed_seq)
    mark = fingerprint([reopening], period)
    key = None
    if command.key is not None:
        key = "closing-entries:" + sha256(f"{closed_seq}:{command.key}".encode()).hexdigest()

    def asked(body: Body, subject: str = "") -> Command:
        return Command(body, subject, key, command.actor, command.request_id, mark, approver=command.approver)

    # A preview finds what the key stands for, or whether the closing is still in force; it stores nothing.
    probe = Request([asked(reopening, period)], preview=True, key=key, fingerprint=mark)
    found = _finished(execute(ledger, probe), reader, ledger)
    if found is not None:
        gone = isinstance(found, Refusal) and found.rejection.code == "period_not_closed"
        return None if gone else found
    result = result_of_period(reader, ledger, closed_seq)
    group = [asked(entry) for entry in closing_entries(result, retained_earnings)]
    if not group:
        return None
    for inner in reversed(result.closed_inside):
        reopening_inner = PeriodReopening(reason=REASON, closed_seq=inner.closed_seq)
        group = [asked(reopening_inner, inner.period), *group, asked(PeriodClosing(), inner.period)]
    group = [asked(reopening, period), *group, asked(PeriodClosing(), period)]
    return _finished(execute(ledger, Request(group, atomic=True, key=key, fingerprint=mark)), reader, ledger)


def _finished(outcomes: list[Outcome], reader: Reader, ledger: str) -> Closed | Refusal | None:
    """What became of the group, now or before; None: its preview shows that it can be posted."""
    first = outcomes[0]
    if isinstance(first, Replayed):
        stored = read_page(reader, ledger, first.seq - 1, first.events).events
        events = [read_event(bytes(event.body)) for event in stored]
    else:
        events = [outcome.event for outcome in outcomes if isinstance(outcome, Recorded)]
    if events:
        entries = [event.seq for event in events if event.type == "transaction_posted"]
        return Closed(events[-1].seq, entries, isinstance(first, Replayed))
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Refusal)]
    return next((r for r in refusals if r.rejection.code != "linked_failed"), None)


def closing_entries(result: PeriodResult, retained_earnings: str) -> Iterator[Transaction]:
    """Transactions that bring income and expense to zero as of the end of a closed period.

    They count at its last microsecond and carry the period in their metadata as `closing_entries`.
    """
    for asset, of_asset in groupby(result.balances, key=lambda row: row[1]):
        for part in _parts(list(of_asset)):
            postings = [_opposite(address, asset, net) for address, _, net in part]
            rest = sum(net for _, _, net in part)
            if rest:
                postings.append(_opposite(retained_earnings, asset, -rest))
            yield Transaction(
                postings=postings,
                effective_at=moment(result.ends_at - 1),
                description=f"Closing entries {result.period}",
                metadata={"closing_entries": result.period},
            )


def _parts(balances: list[tuple[str, str, int]]) -> Iterator[list[tuple[str, str, int]]]:
    """As many balances as one event has room for, with one more leg."""
    part: list[tuple[str, str, int]] = []
    size = 0
    for address, asset, net in balances:
        length = len(address) + len(asset) + LEG_BYTES
        if len(part) == MAX_LEGS - 1 or size + length > LEGS_BYTES:
            yield part
            part, size = [], 0
        part.append((address, asset, net))
        size += length
    yield part


def _opposite(account: str, asset: str, net: int) -> Posting:
    """The posting that takes back a net amount (debits less credits)."""
    return Posting(account, "credit" if net > 0 else "debit", abs(net), asset)
