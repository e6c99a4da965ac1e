"""Collection cases: who works on a loan in arrears, what was noted and what the borrower promised.

Streams of their own, one a loan, in which cases open and close: what is noted there has nothing to do with
the money, and repayments need not know of it. Whether a promise was kept follows from the loan's facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.loans import facts as f
from ledger.loans.state import Loan

CaseStatus = Literal["open", "on_hold", "legal", "closed"]
Trigger = Literal["hand", "ageing"]
Outcome = Literal["cured", "settled", "written_off", "uncollectible", "other"]
Kept = Literal["pending", "kept", "broken"]
Assignee = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.@\-]{1,64}\Z", examples=["desk-2"])]


def collection_stream(loan: str) -> str:
    """The stream of a loan's collection cases."""
    return f"collection:{loan}"


class Promise(Struct, frozen=True, omit_defaults=True):
    """To pay `amount` minor units from its moment (`at`, microseconds) to the end of the day `by`.

    `said` is what was recorded of it last.
    """

    number: int
    amount: int
    at: int
    by: date
    said: Kept = "pending"


class _Payment(Struct):
    at: int
    day: date
    left: int


class Case(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last case of a loan, the `number`th; `opened` is a day of the ledger's time zone."""

    loan: str
    opened: date
    number: int = 1
    trigger: Trigger = "hand"
    status: CaseStatus = "open"
    assignee: str = ""
    notes: int = 0
    promises: tuple[Promise, ...] = ()
    outcome: Outcome | None = None


def evolve_case(case: Case | None, event: Event, stream: str) -> Case:
    """A loan's collection after one more event."""
    data = event.data
    if event.type == "collection_case_opened":
        return Case(
            loan=data["loan"],
            opened=date.fromisoformat(data["opened"]),
            number=int(data["case"]),
            trigger=data["trigger"],
            assignee=data.get("assignee", ""),
        )
    assert case is not None
    match event.type:
        case "collection_note_added":
            return replace(case, notes=case.notes + 1)
        case "collection_promise_made":
            promise = Promise(
                int(data["promise"]), int(data["amount"]), int(data["at"]), date.fromisoformat(data["by"])
            )
            return replace(case, promises=(*case.promises, promise))
        case "collection_promise_kept" | "collection_promise_broken":
            number, said = int(data["promise"]), data["outcome"]
            promises = tuple(replace(p, said=said) if p.number == number else p for p in case.promises)
            return replace(case, promises=promises)
        case "collection_case_closed":
            return replace(case, status="closed", outcome=data["outcome"])
    return replace(
        case, status=data.get("case_status", case.status), assignee=data.get("assignee", case.assignee)
    )


def outcomes(promises: Sequence[Promise], facts: Sequence[f.AnyFact], day: date) -> dict[int, Kept]:
    """What became of promises by a day, by number.

    What the borrower paid from a promise's moment to the end of its day fills it, less what was charged back;
    a payment fills the promise whose day comes first. Broken: its day is over and it is not full.
    """
    back: dict[int, int] = {}
    for fact in facts:
        if isinstance(fact, f.ChargedBack):
            back[fact.repayment] = back.get(fact.repayment, 0) + fact.amount
    payments = [
        _Payment(fact.at, fact.day, fact.amount - back.get(fact.seq, 0))
        for fact in facts
        if isinstance(fact, f.Repaid | f.Prepaid | f.Settled) and not getattr(fact, "collateral", "")
    ]
    found: dict[int, Kept] = {}
    for promise in sorted(promises, key=lambda promise: (promise.by, promise.number)):
        missing = promise.amount
        for payment in payments:
            if payment.at > promise.at and payment.day <= promise.by:
                taken = min(payment.left, missing)
                payment.left -= taken
                missing -= taken
        found[promise.number] = "broken" if missing and promise.by < day else "pending" if missing else "kept"
    return found


def unrecorded(case: Case, loan: Loan, day: date) -> dict[int, Kept]:
    """Promises that were kept or broken, where that was not recorded."""
    found = outcomes(case.promises, loan.facts, day)
    return {
        promise.number: found[promise.number]
        for promise in case.promises
        if found[promise.number] not in ("pending", promise.said)
    }
