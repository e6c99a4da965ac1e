"""The streams of loans: loans, borrowers, the lender's policy, providers' funds; how events change them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ledger.events import Event
from ledger.loans import accounts as a
from ledger.loans.book import Book
from ledger.loans.facts import AnyFact
from ledger.loans.history import Entry, History, accrued, add, without
from ledger.loans.terms import Offer, Policy, Rating
from ledger.text import from_iso

Status = Literal[
    "submitted",
    "approved",
    "rejected",
    "withdrawn",
    "accepted",
    "active",
    "repaid",
    "overpaid",
    "written_off",
    "recovery",
]
Kyc = Literal["pending", "verified", "rejected"]
# Loans that take nothing of their borrower's credit limit.
FREE: tuple[Status, ...] = ("rejected", "withdrawn", "repaid", "overpaid", "written_off", "recovery")

# Loans in which there is or was money.
LENT: tuple[Status, ...] = ("active", "repaid", "overpaid", "written_off", "recovery")
ACTIVE: tuple[Status, ...] = ("active",)

POLICY = "loan_policy:main"

T = TypeVar("T")


def loan_stream(loan: str) -> str:
    """The stream of a loan."""
    return f"loan:{loan}"


def borrower_stream(borrower: str) -> str:
    """The stream of a borrower."""
    return f"borrower:{borrower}"


def dump(value: Any) -> Any:
    """As it stands in the data of an event: amounts are digit strings."""
    return _digits(msgspec.to_builtins(value))


def _digits(value: Any) -> Any:
    kind = value.__class__
    if kind is int:
        return str(value)
    if kind is dict:
        return {name: inner if inner.__class__ is str else _digits(inner) for name, inner in value.items()}
    if kind is list or kind is tuple:
        return [_digits(inner) for inner in value]
    return value


def restored(value: Any, type: type[T]) -> T:
    """The inverse of `dump`."""
    return msgspec.convert(value, type, strict=False)


class Tranche(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A disbursement on its way: held until the rail confirms it, voided when it fails."""

    seq: int
    amount: int
    fee: int = 0
    account: str
    method: str
    reference: str
    first_due: date | None = None
    status: Literal["pending", "confirmed", "failed"] = "pending"


class Loan(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A loan from its application on. `facts` are in the order in which they count."""

    loan: str
    borrower: str
    asset: str
    requested: int
    submitted_by: str = ""
    decided: Literal["submitted", "approved", "rejected", "withdrawn", "accepted"] = "submitted"
    approvals: tuple[str, ...] = ()
    proposed: Offer | None = None
    offer: Offer | None = None
    conditions: tuple[str, ...] = ()
    expires_at: int | None = None
    policy: Policy = Policy()
    tranches: tuple[Tranche, ...] = ()
    facts: tuple[AnyFact, ...] = ()
    book: Book | None = None
    announced: dict[str, int] = {}  # by due day: what was said of an instalment, FELL_DUE or MISSED

    @property
    def status(self) -> Status:
        """Where the loan is in its life."""
        book = self.book
        if book is None:
            return self.decided
        if book.written_off:
            return "recovery" if book.recovered else "written_off"
        if book.closed is None:
            return "active"
        return "overpaid" if book.overpaid else "repaid"

    @property
    def history(self) -> History:
        """Its facts and their book; there is an offer."""
        assert self.offer is not None
        return History(self.offer, self.policy, self.facts, self.book)

    @property
    def to_disburse(self) -> int:
        """What of the offer is neither disbursed nor on its way."""
        assert self.offer is not None
        return self.offer.amount - sum(t.amount for t in self.tranches if t.status != "failed")

    def at(self, entry: Entry) -> Loan:
        """The loan with another history."""
        return replace(self, facts=entry.history.facts, book=entry.history.book)


class Borrower(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What decides about a borrower's applications. Limits are by asset, minor units.

    `kyc_at` is as of when the KYC status was decided.
    """

    kyc: Kyc = "pending"
    kyc_at: int = 0
    rating: Rating | None = None
    score: int | None = None
    limits: dict[str, int] = {}
    taken: dict[str, tuple[str, int]] = {}  # by loan: asset, amount

    def free(self, asset: str) -> int | None:
        """What is left of the credit limit; None: there is none."""
        limit = self.limits.get(asset)
        return None if limit is None else limit - sum(n for a, n in self.taken.values() if a == asset)


class Lender(Struct, frozen=True):
    """The policy that holds for loans that are approved from now on."""

    policy: Policy


class Funding(Struct, frozen=True, omit_defaults=True):
    """A provider of funds: how much was received and remitted, by asset."""

    received: dict[str, int] = {}
    remitted: dict[str, int] = {}


def evolve_loan(loan: Loan | None, event: Event, stream: str) -> Loan:
    """A loan after one of its events."""
    data = event.data
    if loan is None:
        return Loan(
            loan=data["loan"],
            borrower=data["borrower"],
            asset=data["asset"],
            requested=int(data["amount"]),
            submitted_by=event.actor,
        )
    match event.type:
        case "loan_approval_given":
            return replace(loan, approvals=(event.actor,), proposed=restored(data["offer"], Offer))
        case "loan_approved":
            expires = data.get("expires_at")
            offer, policy = terms_of(event)
            return replace(
                loan,
                decided="approved",
                approvals=(*loan.approvals, event.actor),
                offer=offer,
                policy=policy,
                conditions=tuple(data.get("conditions", ())),
                expires_at=None if expires is None else from_iso(expires),
            )
        case "loan_offer_accepted":
            offer, policy = terms_of(event)
            return replace(
                loan,
                decided="accepted",
                offer=offer,
                policy=policy,
                conditions=tuple(data.get("conditions", ())),
                expires_at=None,
            )
        case "loan_rejected" | "loan_withdrawn" | "loan_accepted":
            return replace(loan, decided=event.type.removeprefix("loan_"))
        case "loan_disbursement_held":
            tranche = restored(data["tranche"], Tranche)
            return replace(loan, tranches=(*loan.tranches, tranche))
        case "loan_disbursement_failed":
            return _with_tranche(loan, int(data["tranche"]), "failed")
        case "loan_disbursed":
            loan = _with_tranche(loan, int(data["tranche"]), "confirmed")
        case "loan_accrued":
            return loan.at(accrued(loan.history, restored(data["to"], date)))
        case "loan_repayment_due" | "loan_repayment_missed" | "loan_repayment_corrected":
            loan = loan.at(accrued(loan.history, restored(data["to"], date)))
            announced = {**loan.announced, data["due"]: int(data["stage"])}
            return replace(loan, announced={due: stage for due, stage in announced.items() if stage})
        case "loan_transaction_undone":
            return loan.at(without(loan.history, int(data["undone"]), restored(data["to"], date)))
    return loan.at(add(loan.history, fact_of(event)))


def terms_of(event: Event) -> tuple[Offer, Policy]:
    """What an approval fixes."""
    return restored(event.data["offer"], Offer), restored(event.data["policy"], Policy)


# What was written last: a decision is followed by the fold of its event, which has the very same object.
_written: tuple[Any, AnyFact] | None = None


def written(fact: AnyFact) -> Any:
    """A fact as it stands in the data of its event."""
    global _written
    data = dump(fact)
    _written = data, fact
    return data


def fact_of(event: Event) -> AnyFact:
    """The fact that an event of a loan brings."""
    data, known = event.data["fact"], _written
    if known is not None and known[0] is data:
        return known[1]
    fact: AnyFact = restored(data, AnyFact)  # type: ignore[arg-type]
    return fact


def _with_tranche(loan: Loan, number: int, status: Literal["confirmed", "failed"]) -> Loan:
    tranches = tuple(replace(t, status=status) if t.seq == number else t for t in loan.tranches)
    return replace(loan, tranches=tranches)


def evolve_borrower(borrower: Borrower | None, event: Event, stream: str) -> Borrower:
    """A borrower after an assessment, or after a loan began or ceased to take of the credit limit."""
    data = event.data
    if event.type == "borrower_assessed":
        assessed = restored(data["assessment"], Borrower)
        known = borrower or Borrower()
        kyc_at = known.kyc_at if assessed.kyc == "pending" else from_iso(event.effective_at)
        return replace(assessed, taken=known.taken, kyc_at=kyc_at)
    if event.type == "borrower_kyc_set":
        return replace(borrower or Borrower(), kyc=data["kyc"], kyc_at=from_iso(event.effective_at))
    assert borrower is not None
    taken = {loan: value for loan, value in borrower.taken.items() if loan != data["loan"]}
    if data["status"] not in FREE:
        taken[data["loan"]] = (data["asset"], int(data["taken"]))
    return replace(borrower, taken=taken)


def evolve_policy(lender: Lender | None, event: Event, stream: str) -> Lender:
    """The last policy that was set."""
    return Lender(restored(event.data["policy"], Policy))


def evolve_funding(funding: Funding | None, event: Event, stream: str) -> Funding:
    """What a provider gave and got."""
    funding = funding or Funding()
    asset, amount = event.data["asset"], int(event.data["amount"])
    if event.type == "provider_funds_received":
        return replace(funding, received={**funding.received, asset: funding.received.get(asset, 0) + amount})
    return replace(funding, remitted={**funding.remitted, asset: funding.remitted.get(asset, 0) + amount})


def loan_claims(loan: Loan, stream: str) -> Iterator[tuple[str, str, int]]:
    """What a loan adds to accounts that loans alone post to; suspense is claimed by payments."""
    if loan.book is not None:
        for account, amount in loan.book.totals.items():
            if account in a.OWN and account != a.SUSPENSE:
                yield account, loan.asset, amount
