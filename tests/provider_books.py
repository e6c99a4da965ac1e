"""A ledger with credit providers in memory: what the pure core decides, as time goes by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ledger.chart import AccountPattern, ChartDocument
from ledger.commands import Command, StreamDue, command
from ledger.decide import decide
from ledger.events import Event
from ledger.providers import PRODUCT
from ledger.providers.criteria import HOUR, CreditProvider
from ledger.providers.streams import Bid, Invoice, Lead
from ledger.rejections import Rejection
from tests.loan_books import USD, LoanBooks, at

CHART = ChartDocument(
    assets=(USD, "EUR/2"), accounts=(AccountPattern("bank", "asset"),), products=("loans", "providers")
)
BODIES = {body.operation: body for body in PRODUCT.deciders}  # type: ignore[attr-defined]
START = at("2026-03-02")
DETAILS: dict[str, Any] = {
    "companyName": "FirstCredit Bank",
    "businessRegistration": {
        "registrationNumber": "BC123456789",
        "businessType": "bank",
        "registrationCountry": "US",
    },
    "licenses": [
        {
            "licenseType": "Banking License",
            "licenseNumber": "BL-2024-001",
            "issuingAuthority": "Federal Reserve",
            "expiryDate": "2026-12-31",
        }
    ],
}
CAPACITY: dict[str, Any] = {
    "minimumLoanAmount": 5_000,
    "maximumLoanAmount": 500_000,
    "interestRateRange": {"minimum": "3.5", "maximum": "18"},
    "geographicCoverage": ["US", "CA"],
    "supportedCurrencies": [USD],
}
TERMS: dict[str, Any] = {"lead_fees": {USD: 1_250}, "servicing_rate": "5"}


class ProviderBooks(LoanBooks):
    """Commands count when they are given; what falls due is decided first, as the writer does."""

    def __init__(self) -> None:
        super().__init__(chart=CHART)
        self.now = START

    def give(self, operation: str, subject: str = "", actor: str = "clerk", **body: Any) -> Any:
        """The event of a command, or why it is refused."""
        asked: Any = msgspec.convert(body, BODIES[operation], strict=False)
        self.lapse()
        decided = decide(self.state, command(asked, subject, actor=actor), self.now)
        return decided if isinstance(decided, Rejection) else self._keep(decided)

    def made(self, operation: str, subject: str = "", **body: Any) -> Event:
        """The event of a command that must be accepted."""
        event = self.give(operation, subject, **body)
        assert isinstance(event, Event), event
        return event

    def denied(self, operation: str, subject: str = "", **body: Any) -> tuple[str, Any]:
        """Code and evidence of a command that must be refused."""
        rejection = self.give(operation, subject, **body)
        assert isinstance(rejection, Rejection), rejection
        return rejection.code, rejection.evidence

    def wait(self, hours: float) -> list[Event]:
        """What happens by itself in the hours that go by."""
        self.now += int(hours * HOUR)
        return self.lapse()

    def lapse(self) -> list[Event]:
        """What has fallen due by now."""
        found: list[Event] = []
        while True:
            waiting = [
                (s.due, s.name) for s in self.state.streams.values() if s is not None and s.due is not None
            ]
            due, name = min(waiting, default=(self.now + 1, ""))
            if due > self.now:
                return found
            found.append(self._keep(decide(self.state, Command(StreamDue(), name), self.now)))

    # ------------------------------------------------------------ furnishing

    def provider(self, name: str, terms: dict[str, Any] | None = None, **capacity: Any) -> None:
        """An active credit provider."""
        details = {**DETAILS, "companyName": name.title(), "creditCapacity": {**CAPACITY, **capacity}}
        self.made("register_credit_provider", name, **details)
        self.made("activate_credit_provider", name, **(TERMS if terms is None else terms))

    def applied(self, loan: str = "L1", amount: int = 25_000, borrower: str = "B1", asset: str = USD) -> None:
        """An application for a loan."""
        if self.state.streams[f"borrower:{borrower}"] is None:
            self.ask("assess_borrower", f"borrower:{borrower}", self.now, kyc="verified", score=742)
        event = self.ask(
            "submit_loan_application", f"loan:{loan}", self.now, borrower=borrower, asset=asset, amount=amount
        )
        assert isinstance(event, Event), event

    def sent(self, loan: str = "L1", amount: int = 25_000, **more: Any) -> Event:
        """An application that was distributed."""
        self.applied(loan, amount)
        return self.distributed(loan, **more)

    def distributed(self, loan: str = "L1", **more: Any) -> Event:
        """The event of a distribution."""
        return self.made("distribute_lead", leadId=loan, **{"country": "US", "tenure": 365, **more})

    def offers(self, provider: str, rate: str = "8.5", loan: str = "L1", **more: Any) -> Any:
        """A credit provider's offer, or why it is refused."""
        offer = {
            "decision": "approved",
            "approvedAmount": 25_000,
            "interestRate": rate,
            "tenure": 365,
            "expiresAt": "2026-03-20T00:00:00Z",
            **more,
        }
        return self.give("decide_lead", f"{provider}:{loan}", **offer)

    # ------------------------------------------------------------ looking

    def lead(self, name: str = "L1") -> Lead:
        """The state of a lead."""
        stream = self.state.streams[f"lead:{name}"]
        assert stream is not None
        lead: Lead = stream.state
        return lead

    def bid(self, provider: str, lead: str = "L1") -> Bid:
        """A credit provider's part in a lead."""
        return self.lead(lead).bids[provider]

    def known(self, name: str) -> CreditProvider:
        """The state of a credit provider."""
        stream = self.state.streams[f"credit_provider:{name}"]
        assert stream is not None
        provider: CreditProvider = stream.state
        return provider

    def invoices(self) -> Iterable[Invoice]:
        """All invoices."""
        for name, stream in self.state.streams.items():
            if name.startswith("provider_invoice:") and stream is not None:
                yield stream.state
