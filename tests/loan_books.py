"""A ledger with loans in memory: what the pure core decides, and the balances that follow."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ledger.chart import AccountPattern, ChartDocument
from ledger.commands import LedgerOpening, command
from ledger.decide import decide
from ledger.events import Event, read_event
from ledger.loans.product import LOANS
from ledger.loans.state import Borrower, Loan
from ledger.product import Kind
from ledger.providers import PRODUCT as PROVIDERS
from ledger.rejections import Rejection
from ledger.state import Accepted, State, evolve
from ledger.text import SECOND, micros

USD = "USD/2"
CHART = ChartDocument(
    assets=(USD, "EUR/2"),
    accounts=(AccountPattern("bank", "asset"), AccountPattern("suspense", "liability")),
    products=("loans",),
)
BODIES = {body.operation: body for body in LOANS.deciders}  # type: ignore[attr-defined]
KINDS: dict[str, Kind] = {**LOANS.kinds, **PROVIDERS.kinds}
OFFER = {
    "asset": USD,
    "amount": 120_000,
    "interest": {"method": "equal_principal", "rate": "12"},
    "count": 12,
}


class _Known(dict[str, Any]):
    """What was never opened is known not to exist."""

    def __missing__(self, name: str) -> None:
        return None


def at(day: str | date, hour: int = 12) -> int:
    """A moment of a day, in microseconds UTC."""
    day = date.fromisoformat(day) if isinstance(day, str) else day
    return micros(datetime(day.year, day.month, day.day, hour, tzinfo=UTC))


class LoanBooks:
    """One ledger, whose present is 2040; commands are effective on the day that they are given."""

    def __init__(self, time_zone: str = "UTC", chart: ChartDocument = CHART) -> None:
        self.state = State(1, "00000000-0000-4000-8000-000000000001", ZoneInfo)
        self.state.accounts = _Known()
        self.state.streams = _Known()
        self.now = at("2040-01-01")
        self.events: list[Event] = []
        opening = command(LedgerOpening(name="main", chart=chart, time_zone=time_zone))
        self._keep(decide(self.state, opening, self.now))

    def _keep(self, accepted: Accepted | Rejection) -> Event:
        assert isinstance(accepted, Accepted), accepted
        event = read_event(accepted.body)
        for stream in accepted.streams:
            self._check_folds(stream.name, event, stream.state)
        evolve(self.state, accepted)
        self.now += SECOND
        self.events.append(event)
        return event

    def _check_folds(self, name: str, event: Event, state: Any) -> None:
        """The state that was decided is the one that the stored event makes of the stored state."""
        kind = KINDS[name.partition(":")[0]]
        before = self.state.streams[name]
        stored = (
            None
            if before is None
            else msgspec.json.decode(msgspec.json.encode(before.state), type=kind.state)
        )
        assert kind.evolve(stored, event, name) == state

    def ask(
        self, operation: str, subject: str, on: str | date | int | None, actor: str = "clerk", **body: Any
    ) -> Any:
        """The event of a command, or why it is refused; None: on no day that is said."""
        fields = body
        if on is not None:
            moment = on if isinstance(on, int) else at(on)
            fields = {"effective_at": datetime.fromtimestamp(moment / SECOND, UTC).isoformat(), **body}
        subject = subject.partition(":")[2]
        named = {"submit_loan_application": "loan", "create_loan_payment": "payment"}.get(operation)
        if named is not None:
            fields[named], subject = subject, ""
        asked: Any = msgspec.convert(fields, BODIES[operation], strict=False)
        decided = decide(self.state, command(asked, subject, actor=actor), self.now)
        return decided if isinstance(decided, Rejection) else self._keep(decided)

    def do(self, operation: str, on: str | date | int, loan: str = "L1", **body: Any) -> Event:
        """The event of a command about a loan, which must be accepted."""
        event = self.ask(operation, f"loan:{loan}", on, **body)
        assert isinstance(event, Event), event
        return event

    def refused(self, operation: str, on: str | date | int, loan: str = "L1", **body: Any) -> tuple[str, Any]:
        """The code and the evidence of a command about a loan, which must be refused."""
        rejection = self.ask(operation, f"loan:{loan}", on, **body)
        assert isinstance(rejection, Rejection), rejection
        return rejection.code, rejection.evidence

    def accepted(self, offer: dict[str, Any], on: str, loan: str = "L1", borrower: str = "B1") -> None:
        """A loan whose offer was accepted."""
        self.ask("assess_borrower", f"borrower:{borrower}", on, kyc="verified")
        self.do(
            "submit_loan_application",
            on,
            loan,
            borrower=borrower,
            asset=offer["asset"],
            amount=offer["amount"],
        )
        self.do("approve_loan", on, loan, offer=offer, actor="approver")
        self.do("accept_loan", on, loan)

    def lent(
        self, offer: dict[str, Any], on: str, loan: str = "L1", borrower: str = "B1", **more: Any
    ) -> None:
        """A loan whose whole amount was disbursed from `bank`."""
        self.accepted(offer, on, loan, borrower)
        held = self.do("disburse_loan", on, loan, account="bank", method="bank_transfer", **more)
        self.do("confirm_disbursement", on, loan, disbursement=held.seq)

    def set_policy(self, **policy: Any) -> None:
        """The lender's policy from now on."""
        event = self.ask("set_loan_policy", "loan_policy:main", "2026-01-01", policy=policy)
        assert isinstance(event, Event), event

    def loan(self, name: str = "L1") -> Loan:
        """The state of a loan."""
        stream = self.state.streams[f"loan:{name}"]
        assert stream is not None
        loan: Loan = stream.state
        return loan

    def borrower(self, name: str = "B1") -> Borrower:
        """The state of a borrower."""
        stream = self.state.streams[f"borrower:{name}"]
        assert stream is not None
        borrower: Borrower = stream.state
        return borrower

    def balance(self, account: str, asset: str = USD) -> int:
        """Debits less credits that are posted."""
        found = self.state.accounts[account]
        if found is None or asset not in found.positions:
            return 0
        debits, credits, _, _ = found.positions[asset].balance
        return int(debits - credits)


def legs(event: Event) -> list[tuple[str, ...]]:
    """The legs of an event as the catalogue writes them; holds and their release are named."""
    kinds = {"posted": (), "pending": ("pending",), "release": ("released",)}
    return [
        ("DR" if p.side == "debit" else "CR", p.account, p.amount, p.asset, *kinds[p.kind])
        for p in event.postings
    ]
