"""A desk for Kredit's side: a ledger in memory with credits and Kredit, decided by the pure core."""

from __future__ import annotations

from typing import Any

from ledger import commands as c
from ledger.batch import Outcome, Recorded, Request
from ledger.chart import AccountPattern, ChartDocument
from ledger.credits.commands import AddCredits
from ledger.events import Event
from ledger.kredit import commands as k
from ledger.kredit.streams import Session, session_stream
from ledger.products import PRODUCTS
from tests.credit_desk import CreditDesk

CHART = ChartDocument(
    assets=("MYR/2", "USD/2", "CREDIT.verification/0"),
    accounts=(AccountPattern("bank", "asset"),),
    products=("credits", "kredit"),
)
TENANT = "cm7tenant"
URL = "https://kredit.example.com/hook"


class KreditDesk(CreditDesk):
    """One ledger with Kredit; a tenant with no credits."""

    def __init__(self) -> None:
        super().__init__(CHART)
        self.done(k.RegisterTenant(tenant=TENANT, slug="demo", name="Demo Lender"))

    def on(self, subject: str, body: Any) -> Outcome:
        """One command about something."""
        return self.ask(Request([c.command(body, subject)]))[0]

    def did(self, subject: str, body: Any) -> Event:
        """One command about something that must be accepted: its event."""
        outcome = self.on(subject, body)
        assert isinstance(outcome, Recorded), outcome
        return outcome.event

    def give(self, credits: int, cost: int = 0, tenant: str = TENANT) -> Event:
        """Credits that a tenant bought."""
        asset = "MYR/2" if cost else None
        return self.done(
            AddCredits(owner=tenant, credit_type="verification", amount=credits, cost=cost, asset=asset)
        )

    def wants(self, number: int = 1, tenant: str = TENANT, **more: Any) -> Outcome:
        """A verification; another number is another request."""
        return self.run(
            k.RequestVerification(tenant=tenant, request=f"{number:064x}", webhook_url=URL, **more)
        )

    def verify(self, number: int = 1, tenant: str = TENANT, **more: Any) -> str:
        """A verification that must be accepted: its session."""
        outcome = self.wants(number, tenant, **more)
        assert isinstance(outcome, Recorded), outcome
        session: str = outcome.event.data["session"]
        return session

    def report(self, session: str, status: k.Report, result: k.Result | None = None, **more: Any) -> Outcome:
        """What the provider says of it."""
        return self.on(session, k.ReportSession(status=status, result=result, **more))

    def session(self, session: str) -> Session:
        """How it stands."""
        stream = self.state.streams[session_stream(session)]
        assert stream is not None
        assert isinstance(stream.state, Session)
        return stream.state

    def claimed(self) -> dict[tuple[str, str], int]:
        """What all streams say that control accounts hold."""
        sums: dict[tuple[str, str], int] = {}
        for stream in self.state.streams.values():
            for address, asset, amount in PRODUCTS.claims(stream) if stream is not None else ():
                sums[address, asset] = sums.get((address, asset), 0) + amount
        return {place: amount for place, amount in sums.items() if amount}
