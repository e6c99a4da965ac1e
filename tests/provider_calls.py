"""Credit providers and leads in every state, for who asks every operation of the document."""

from __future__ import annotations

from typing import Any

from api.provider_examples import PROVIDER_EXAMPLES as EXAMPLES
from tests.served import Service

AMOUNT = EXAMPLES["distribute_lead"]["body"]["loanApplication"]["requestedAmount"]


class Lending:
    """Makes credit providers and leads below a ledger's path; `B1` is verified."""

    def __init__(self, service: Service, path: str) -> None:
        self.service, self.path = service, path
        assert service.call("PUT", f"{path}/borrowers/B1", {"kyc": "verified"}).is_success

    def made(self, place: str, body: Any) -> Any:
        """The answer of what must be done."""
        answer = self.service.call("POST", self.path + place, body)
        assert answer.is_success, answer.text
        return answer.json()

    def provider(self, name: str) -> None:
        """An active credit provider, with a lead fee."""
        body = EXAMPLES["register_credit_provider"]["body"]
        body = {**body, "providerId": name, "technicalRequirements": {}}
        body["creditCapacity"] = {**body["creditCapacity"], "totalCapacity": {}}
        self.made("/loan-providers", body)
        self.made(f"/loan-providers/{name}/activate", EXAMPLES["activate_credit_provider"]["body"])

    def applied(self, name: str) -> None:
        """An application."""
        self.made("/loans", {"loan": name, "borrower": "B1", "asset": "USD/2", "amount": AMOUNT})

    def sent(self, name: str) -> None:
        """An application that was distributed."""
        self.applied(name)
        self.made("/leads", {**EXAMPLES["distribute_lead"]["body"], "leadId": name})

    def offered(self, name: str, provider: str = "acme") -> None:
        """A lead with an offer."""
        self.sent(name)
        body = {**EXAMPLES["decide_lead"]["body"], "leadId": name, "providerId": provider}
        self.made(f"/loan-providers/{provider}/leads/{name}/decision", body)

    def invoiced(self, name: str, lead: str) -> None:
        """A lead whose fee is on an invoice."""
        self.sent(lead)
        self.made("/loan-providers/acme/invoices", {"invoice": name, "leads": [lead]})
        self.made("/loan-providers/acme/revenue-share", EXAMPLES["share_revenue"]["body"])


def furnish_providers(service: Service, path: str) -> dict[str, str]:
    """A lead for each operation that the document's examples ask for, and whose names these are."""
    lending = Lending(service, path)
    lending.provider("acme")
    lending.provider("slow")
    lending.applied("distribute_lead")
    lending.offered("accept_lead_offer")
    lending.sent("L-1042")
    lending.invoiced("I1", "L-1")
    own = ["close_lead", "erase_applicant", "decide_lead", "reverse_lead_fee"]
    for name in own:
        lending.sent(name)
    own += ["accept_lead_offer"]
    reading = dict.fromkeys(("get_lead.loan", "get_own_lead.loan"), "L-1042")
    return {
        "loan_provider": "acme",
        "suspend_credit_provider.loan_provider": "slow",
        "provider_invoice": "I1",
        "register_credit_provider.providerId": "other",
        "distribute_lead.leadId": "distribute_lead",
        "decide_lead.leadId": "decide_lead",
        **reading,
        **{f"{name}.loan": name for name in own},
    }


def provider_calls(service: Service, path: str) -> dict[str, tuple[str, str, Any]]:
    """By the operation's id: method, path and body of one accepted call of every command."""
    lending = Lending(service, path)
    lending.provider("acme")
    lending.provider("quick")
    lending.applied("L0")
    lending.offered("L1")
    lending.sent("L2")
    lending.sent("L3")
    lending.invoiced("I1", "L4")
    lending.sent("L5")
    acme = f"{path}/loan-providers/acme"
    asked = {
        "change_credit_provider": ("PUT", acme),
        "activate_credit_provider": ("POST", f"{acme}/activate"),
        "suspend_credit_provider": ("POST", f"{path}/loan-providers/quick/suspend"),
        "distribute_lead": ("POST", f"{path}/leads"),
        "accept_lead_offer": ("POST", f"{path}/leads/L1/accept"),
        "close_lead": ("POST", f"{path}/leads/L2/close"),
        "decide_lead": ("POST", f"{acme}/leads/L3/decision"),
        "reverse_lead_fee": ("POST", f"{acme}/leads/L3/reverse-fee"),
        "invoice_credit_provider": ("POST", f"{acme}/invoices"),
        "pay_provider_invoice": ("POST", f"{acme}/invoices/I1/pay"),
        "offset_provider_invoice": ("POST", f"{acme}/invoices/I1/offset"),
        "share_revenue": ("POST", f"{acme}/revenue-share"),
    }
    bodies: dict[str, dict[str, Any]] = {
        "distribute_lead": {"leadId": "L0"},
        "decide_lead": {"leadId": "L3"},
        "invoice_credit_provider": {"leads": ["L5"]},
    }
    return {name: (*place, EXAMPLES[name]["body"] | bodies.get(name, {})) for name, place in asked.items()}
