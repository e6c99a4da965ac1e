"""One accepted call of every operation on loans, in an order in which they can be made."""

from __future__ import annotations

from typing import Any

from tests.served import Service

CHART: dict[str, Any] = {
    "assets": ["USD/2"],
    "accounts": [{"pattern": "bank", "type": "asset"}],
    "products": ["loans"],
}
OFFER: dict[str, Any] = {
    "asset": "USD/2",
    "amount": 120_000,
    "interest": {"method": "equal_principal", "rate": "12"},
    "count": 12,
}
COLLECTED = (
    "get_collection_case",
    "change_collection_case",
    "add_collection_note",
    "list_collection_notes",
    "promise_payment",
    "record_promise",
    "close_collection_case",
)
PAYMENT: dict[str, Any] = {"method": "check", "asset": "USD/2", "amount": 700}
Calls = dict[str, tuple[str, str, Any]]


def loan_calls(service: Service) -> Calls:
    """By the operation's id: method, path and body, on a ledger of its own with loans in every state."""
    path = service.open(CHART).path
    lending = Lending(service, path)
    lending.lent("L2")
    lending.lent("L3")
    held = [lending.held("L4"), lending.held("L5")]
    repaid = lending.asked("L3/repay", "2026-02-15", amount=500, account="bank")
    charged = lending.asked("L3/charge", "2026-02-16", part="fee", amount=50)
    for name in ("L6", "L7", "L8"):
        lending.applied(name)
    lending.lent("L9", amount=1_000, count=1)
    lending.asked("L9/repay", "2026-02-15", amount=1_110, account="bank")
    lending.lent("L10")
    lending.lent("L11")
    lending.asked("L11/lock-collateral", "2026-01-16", collateral="A", value=5)
    lending.asked("L11/lock-collateral", "2026-01-16", collateral="B", value=5)
    lending.asked("L6/approve", "2026-01-15", offer=OFFER)
    lending.asked("L6/accept", "2026-01-15")
    lending.lent("L12")
    lending.lent("L13")
    lending.lent("L14")
    lending.serviced("L15")
    for name in ("L12", "L13"):
        lending.collected(name)
    for name in ("P1", "P2", "P3", "P4"):
        lending.payment(name, processed=name > "P2")
    new = {"loan": "L20", "borrower": "B1", "asset": "USD/2", "amount": 5}
    funds = {"asset": "USD/2", "amount": 5, "account": "bank"}
    on_loans: dict[str, tuple[str, Any]] = {
        "approve_loan": ("L7/approve", {"offer": OFFER}),
        "accept_loan": ("L7/accept", {}),
        "withdraw_loan": ("L7/withdraw", {}),
        "reject_loan": ("L8/reject", {"reason": "No"}),
        "disburse_loan": ("L6/disburse", {"account": "bank", "method": "wallet"}),
        "confirm_disbursement": ("L4/confirm-disbursement", {"disbursement": held[0]}),
        "fail_disbursement": ("L5/fail-disbursement", {"disbursement": held[1], "reason": "No"}),
        "accrue_loan": ("L2/accrue", {"effective_at": "2026-02-01T12:00:00Z"}),
        "repay_loan": ("L2/repay", {"amount": 700, "account": "bank"}),
        "prepay_loan": ("L2/prepay", {"amount": "900", "account": "bank"}),
        "charge_loan": ("L2/charge", {"part": "penalty", "amount": 9}),
        "waive_loan": ("L2/waive", {"amounts": {"penalty": 4}}),
        "credit_goodwill": ("L2/goodwill", {"amount": 5}),
        "provision_loan": ("L2/provision", {}),
        "reschedule_loan": ("L2/reschedule", {"first_due": "2031-01-15", "count": 3}),
        "charge_off_loan": ("L2/charge-off", {}),
        "write_off_loan": ("L2/write-off", {}),
        "charge_back_repayment": ("L3/charge-back", {"repayment": repaid, "account": "bank"}),
        "undo_loan_transaction": ("L3/undo", {"transaction": charged, "reason": "No"}),
        "settle_loan": ("L10/settle", {"amount": 500_000, "account": "bank"}),
        "refund_overpayment": ("L9/refund", {"amount": 100, "account": "bank"}),
        "lock_collateral": ("L11/lock-collateral", {"collateral": "C", "value": 5}),
        "release_collateral": ("L11/release-collateral", {"collateral": "A"}),
        "liquidate_collateral": (
            "L11/liquidate-collateral",
            {"collateral": "B", "amount": 5, "costs": 1, "account": "bank"},
        ),
    }
    case = "L12/collection"
    on_loans |= {
        "announce_instalment": ("L14/announce", {"due": "2026-02-15"}),
        "open_collection_case": ("L14/collection", {"assignee": "desk-2"}),
        "change_collection_case": (f"{case}/change", {"status": "on_hold"}),
        "add_collection_note": (f"{case}/notes", {"text": "Called."}),
        "promise_payment": (f"{case}/promises", {"amount": "5", "by": "2099-01-01"}),
        "record_promise": (f"{case}/record-promise", {"promise": 1}),
        "close_collection_case": ("L13/collection/close", {"outcome": "other"}),
    }
    payments: dict[str, tuple[str, Any]] = {
        "create_loan_payment": ("", {**PAYMENT, "payment": "P20", "reference": "LOAN_L2"}),
        "process_loan_payment": ("/P1/process", {}),
        "fail_loan_payment": ("/P2/fail", {"reason": "No"}),
        "match_loan_payment": ("/P3/match", {"loan": "L10"}),
        "refund_loan_payment": ("/P4/refund", {"amount": 5, "reason": "No"}),
    }
    return {
        **{name: ("POST", f"{path}/loan-payments{place}", body) for name, (place, body) in payments.items()},
        "assign_virtual_account": ("PUT", f"{path}/virtual-accounts/VA-1", {"loan": "L2"}),
        "set_kyc_status": ("PUT", f"{path}/borrowers/B2/kyc", {"kyc": "verified"}),
        "set_loan_policy": ("PUT", f"{path}/loan-policy", {"policy": {}}),
        "assess_borrower": ("PUT", f"{path}/borrowers/B2", {"kyc": "pending"}),
        "submit_loan_application": ("POST", f"{path}/loans", new),
        "receive_provider_funds": ("POST", f"{path}/loan-providers/acme/receive", funds),
        "remit_to_provider": ("POST", f"{path}/loan-providers/acme/remit", funds),
        **{name: ("POST", f"{path}/loans/{place}", body) for name, (place, body) in on_loans.items()},
    }


class Lending:
    """Makes loans below a ledger's path."""

    def __init__(self, service: Service, path: str) -> None:
        self.service, self.path = service, path
        assert service.call("PUT", f"{path}/borrowers/B1", {"kyc": "verified"}).is_success

    def asked(self, place: str, day: str, **body: Any) -> int:
        """The seq of what was asked of a loan."""
        body["effective_at"] = f"{day}T12:00:00Z"
        answer = self.service.call("POST", f"{self.path}/loans/{place}".rstrip("/"), body)
        assert answer.is_success, answer.text
        seq: int = answer.json()["seq"]
        return seq

    def applied(self, loan: str, **offer: Any) -> dict[str, Any]:
        """The offer that the loan may get."""
        whole = {**OFFER, **offer}
        asked = {"loan": loan, "borrower": "B1", "asset": "USD/2", "amount": whole["amount"]}
        self.asked("", "2026-01-15", **asked)
        return whole

    def held(self, loan: str, **offer: Any) -> int:
        """A loan whose money is on its way: the seq of that."""
        self.asked(f"{loan}/approve", "2026-01-15", offer=self.applied(loan, **offer))
        self.asked(f"{loan}/accept", "2026-01-15")
        return self.asked(f"{loan}/disburse", "2026-01-15", account="bank", method="wallet")

    def payment(self, name: str, **said: Any) -> None:
        """A payment that nobody has matched."""
        body = {**PAYMENT, "payment": name, "effective_at": "2026-02-15T12:00:00Z", **said}
        answer = self.service.call("POST", f"{self.path}/loan-payments", body)
        assert answer.is_success, answer.text

    def lent(self, loan: str, **offer: Any) -> None:
        """A loan that was disbursed."""
        held = self.held(loan, **offer)
        self.asked(f"{loan}/confirm-disbursement", "2026-01-15", disbursement=held)

    def serviced(self, loan: str, provider: str = "acme") -> None:
        """A provider's loan of which 95,000 were repaid, all of it payable."""
        funds = {"asset": "USD/2", "amount": 120_000, "account": "bank"}
        assert self.service.call("POST", f"{self.path}/loan-providers/{provider}/receive", funds).is_success
        self.lent(loan, provider=provider)
        self.asked(f"{loan}/repay", "2026-02-15", amount=95_000, account="bank")

    def collected(self, loan: str) -> None:
        """A loan with an open case, and a promise that was not kept."""
        self.asked(f"{loan}/collection", "2026-03-01")
        self.asked(f"{loan}/collection/notes", "2026-03-01", text="Called.")
        self.asked(f"{loan}/collection/promises", "2026-03-01", amount=5, by="2026-03-05")


def furnish_loans(service: Service, path: str) -> dict[str, str]:
    """A loan for each operation that the document's examples ask for, and whose names these are."""
    lending = Lending(service, path)
    for name in ("approve_loan", "reject_loan", "withdraw_loan"):
        lending.applied(name)
    lending.asked("accept_loan/approve", "2026-01-15", offer=lending.applied("accept_loan"))
    lending.asked("disburse_loan/approve", "2026-01-15", offer=lending.applied("disburse_loan"))
    lending.asked("disburse_loan/accept", "2026-01-15")
    ending = ("settle_loan", "charge_off_loan", "write_off_loan", "prepay_loan", "reschedule_loan")
    for name in (
        *ending,
        "waive_loan",
        "refund_overpayment",
        "release_collateral",
        "liquidate_collateral",
        "L",
    ):
        lending.lent(name, amount=90_000)
    for name in COLLECTED:
        lending.lent(name, amount=90_000)
        lending.collected(name)
    lending.asked("waive_loan/charge", "2026-01-16", part="penalty", amount=5_000)
    lending.asked("refund_overpayment/settle", "2026-02-15", amount=200_000, account="bank")
    for name, collateral in (("release_collateral", "CAR-2"), ("liquidate_collateral", "CAR-1")):
        lending.asked(f"{name}/lock-collateral", "2026-01-16", collateral=collateral, value=5)
    lending.serviced("S")
    payments = ("process_loan_payment", "fail_loan_payment", "match_loan_payment", "refund_loan_payment")
    for name in payments:
        lending.payment(name, processed=name.startswith(("match", "refund")))
    account = {"loan": "L"}
    assert service.call("PUT", f"{path}/virtual-accounts/VA-0042", account).is_success
    own = [*ending, "approve_loan", "reject_loan", "withdraw_loan", "accept_loan", "disburse_loan"]
    own += COLLECTED
    own += ["waive_loan", "refund_overpayment", "release_collateral", "liquidate_collateral"]
    names = {f"{name}.loan": name for name in own} | {f"{name}.loan_payment": name for name in payments}
    return {"loan": "L", "borrower": "B1", "loan_payment": payments[0], "virtual_account": "VA-0042", **names}
