"""The daily run over all loans of a ledger: what time does to them, asked for loan by loan.

A run can end anywhere and be repeated. It asks only for what is not done, and what it asks of a loan for a
day has a key of its own, so nothing is done twice; the end is that of one run that went through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ledger import collection_reads
from ledger import commands as c
from ledger import loan_reads as reads
from ledger.batch import Recorded, Refusal, Request
from ledger.days import end_of
from ledger.errors import WriterError
from ledger.loans import collection_commands as cc
from ledger.loans import commands as lc
from ledger.loans.ageing import unsaid
from ledger.loans.case import Case, unrecorded
from ledger.loans.command import LoanCommand
from ledger.loans.losing import expected_loss
from ledger.loans.state import Loan
from ledger.reader import Reader
from ledger.writer import Answer, Writer

IN_FLIGHT = 4
ACTOR = "daybook loans"
_OUTCOMES: dict[str, Any] = {
    "repaid": "settled",
    "overpaid": "settled",
    "written_off": "written_off",
    "recovery": "written_off",
}


class LoanRun:
    """A day's commands on their way, at most IN_FLIGHT batches at once, in order of the loans' names.

    `refusals` is told of each loan that refuses, and the run goes on.
    """

    def __init__(
        self,
        writer: Writer,
        reader: Reader,
        ledger: str,
        day: date,
        *,
        provision: bool,
        refusals: Callable[[c.Command, Refusal], None],
    ) -> None:
        self._writer, self._reader, self._ledger = writer, reader, ledger
        self._day, self._provision, self._refusals = day, provision, refusals
        zone = ZoneInfo(reader.ledger(ledger).time_zone)
        self._effective_at = end_of(day, zone) - timedelta(microseconds=1)
        self.looked_at = self.recorded = self.already = self.refused = 0

    def go(self) -> Iterator[int]:
        """Ask for a page of loans after another; yields how many are done (WriterError)."""
        under_way: deque[tuple[int, list[c.Command], Future[Answer]]] = deque()
        cases = _Cases(collection_reads.every_case(self._reader, self._ledger))
        for page in reads.every(self._reader, self._ledger):
            commands = [command for loan in page for command in self._wanted(loan, cases.of(loan.loan))]
            answer: Future[Answer] = Future()
            if commands:
                self._writer.submit(self._ledger, Request(commands), answer.set_result)
            else:
                answer.set_result([])
            under_way.append((len(page), commands, answer))
            if len(under_way) == IN_FLIGHT:
                yield self._settle(*under_way.popleft())
        while under_way:
            yield self._settle(*under_way.popleft())

    def _wanted(self, loan: Loan, case: Case | None) -> Iterator[c.Command]:
        """Announcements accrue by themselves; allowances are of what stands at the end of the day."""
        if loan.book is None:
            return
        active = loan.status == "active"
        aged = reads.on_day(loan, self._day) if active else loan
        assert aged.book is not None
        news = [(due, stage) for due, stage in unsaid(aged) if due <= self._day.isoformat()]
        for due, stage in news:
            announcement = lc.Announcement(due=date.fromisoformat(due), effective_at=self._effective_at)
            yield self._command(announcement, loan, due, stage)
        if active and not news and loan.book.accrued_to < self._day:
            yield self._command(lc.Accrual(effective_at=self._effective_at), loan)
        provided = not active or expected_loss(aged.book, self._day) == aged.book.allowance
        if self._provision and not provided and loan.book.accrued_to <= self._day:
            yield self._command(lc.Provisioning(effective_at=self._effective_at), loan)
        late = aged.book.days_past_due(self._day)
        if case is not None and case.status != "closed":
            yield from self._collected(loan, case, late)
        elif active and loan.policy.collection_days is not None and late > loan.policy.collection_days:
            yield self._command(cc.CaseOpening(trigger="ageing", effective_at=self._effective_at), loan)

    def _collected(self, loan: Loan, case: Case, late: int) -> Iterator[c.Command]:
        """What became of promises; and the end of a case that ageing opened."""
        for promise, outcome in unrecorded(case, loan, self._day).items():
            record = cc.PromiseRecord(promise=promise, effective_at=self._effective_at)
            yield self._command(record, loan, promise, outcome)
        if case.trigger == "ageing" and not late:
            outcome = _OUTCOMES.get(loan.status, "cured")
            closing = cc.CaseClosing(outcome=outcome, trigger="ageing", effective_at=self._effective_at)
            yield self._command(closing, loan, outcome)

    def _command(self, body: LoanCommand, loan: Loan, *about: object) -> c.Command:
        key = ":".join(map(str, (body.operation, loan.loan, *about, self._day)))
        return c.command(body, loan.loan, key=key, actor=ACTOR)

    def _settle(self, loans: int, commands: list[c.Command], future: Future[Answer]) -> int:
        answer = future.result()
        if isinstance(answer, WriterError):
            raise answer
        for command, outcome in zip(commands, answer, strict=True):
            if isinstance(outcome, Refusal):
                self.refused += 1
                self._refusals(command, outcome)
            elif isinstance(outcome, Recorded):
                self.recorded += 1
            else:
                self.already += 1
        self.looked_at += loans
        return self.looked_at


class _Cases:
    """Cases by name, beside loans by name: each is looked at once."""

    def __init__(self, cases: Iterator[Case]) -> None:
        self._cases = cases
        self._next = next(cases, None)

    def of(self, loan: str) -> Case | None:
        """The last case of a loan; loans are asked for in order."""
        while self._next is not None and self._next.loan < loan:
            self._next = next(self._cases, None)
        return self._next if self._next is not None and self._next.loan == loan else None
