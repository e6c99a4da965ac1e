"""Credit providers over HTTP: the seed's payloads, keys that see their own leads, webhooks, figures."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import msgspec
import psycopg
import pytest

from api.provider_examples import PROVIDER_EXAMPLES as EXAMPLES
from api.provider_operations import PROVIDER_OPERATIONS
from api.settings import Work
from ledger import commands as c
from ledger.events import SCHEMA_VERSIONS
from ledger.providers.telling import TELLING
from projections.arrears import Arrears
from projections.audit import live
from projections.loans import Loans
from projections.provider_leads import ProviderLeads
from projections.provider_reads import ratio, tenths
from projections.registry import find
from projections.verify import verify
from tests.bookkeeping import do, done, writing
from tests.conftest import NewDatabase
from tests.histories import project
from tests.keys import make_key
from tests.loan_books import BODIES as LOANS
from tests.provider_books import BODIES, CAPACITY, DETAILS
from tests.provider_books import CHART as CHARTED
from tests.provider_calls import provider_calls
from tests.receiver import receiver
from tests.served import Book, Service, served

CHART: dict[str, Any] = {
    "assets": ["USD/2"],
    "accounts": [{"pattern": "bank", "type": "asset"}],
    "products": ["loans", "providers"],
}
REGISTRATION: dict[str, Any] = EXAMPLES["register_credit_provider"]["body"]
DISTRIBUTION: dict[str, Any] = EXAMPLES["distribute_lead"]["body"]
DECISION: dict[str, Any] = EXAMPLES["decide_lead"]["body"]
AMOUNT = 2_500_000


@pytest.fixture(scope="module")
def database(new_database: NewDatabase) -> Iterator[str]:
    with new_database() as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def service(database: str) -> Iterator[Service]:
    with served(database, work=Work(insecure_webhooks=True)) as service:
        yield service


@pytest.fixture
def book(service: Service) -> Book:
    """A ledger with a borrower who may apply."""
    book = service.open(CHART)
    known = {"kyc": "verified", "score": 742, "rating": "low"}
    assert book.call("PUT", "/borrowers/B1", known).status_code == 200
    return book


def made(book: Book, path: str, body: Any, key: str = "") -> Any:
    """The answer of what must be done."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = book.call("POST", path, body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def registered(book: Book, name: str, url: str | None = None, **capacity: Any) -> dict[str, str]:
    """An active credit provider's credentials."""
    body = {**REGISTRATION, "providerId": name, "companyName": name.title()}
    body["technicalRequirements"] = {} if url is None else {"webhookUrl": url}
    body["creditCapacity"] = {**body["creditCapacity"], **capacity}
    credentials: dict[str, str] = made(book, "/loan-providers", body)["apiCredentials"]
    terms = {"lead_fees": {"USD/2": 1250}, "servicing_rate": "5"}
    made(book, f"/loan-providers/{name}/activate", terms)
    return credentials


def sent(book: Book, name: str = "L1") -> Any:
    """An application that was distributed."""
    asked = {"loan": name, "borrower": "B1", "asset": "USD/2", "amount": AMOUNT}
    made(book, "/loans", asked)
    return made(book, "/leads", {**DISTRIBUTION, "leadId": name})


def decided(book: Book, name: str, key: str, lead: str = "L1", **more: Any) -> Any:
    body = {**DECISION, "leadId": lead, "providerId": name, **more}
    return made(book, f"/loan-providers/{name}/leads/{lead}/decision", body, key)


def test_from_registration_to_a_disbursed_loan(book: Book) -> None:
    """The payloads of the seed: registered, sent a lead, decided, the best offer, accepted, disbursed."""
    first = made(book, "/loan-providers", {**REGISTRATION, "technicalRequirements": {}})
    assert (first["success"], first["providerId"], first["status"]) == (True, "acme", "pending")
    key = first["apiCredentials"]["apiKey"]
    assert key.startswith("daybook_")
    made(book, "/loan-providers/acme/activate", {"lead_fees": {"USD/2": 1250}, "servicing_rate": "5"})
    quick = registered(book, "quick")["apiKey"]
    answer = sent(book)
    assert (answer["success"], answer["providersNotified"], answer["estimatedResponseTime"]) == (
        True, 2, None,
    )  # fmt: skip
    assert [(one["providerId"], one["score"]) for one in answer["distribution"]] == [
        ("acme", 50), ("quick", 50),
    ]  # fmt: skip
    told = decided(book, "acme", key)
    assert (told["success"], told["accepted"]) == (True, True)
    decided(book, "quick", quick, interestRate=8.2, processingFee=300_000)
    lead = book.get("/leads/L1")
    assert lead["bestOffer"] == {
        "funding": "provider",
        "decidedBy": "rate",
        "reason": "Lowest rate: 8.2 % against 8.5 %",
        "providerId": "quick",
    }
    costs = {offer["providerId"]: offer for offer in lead["offers"]}
    assert costs["acme"]["totalCost"] == costs["acme"]["totalInterest"] + 50_000 < costs["quick"]["totalCost"]
    entry = made(book, "/leads/L1/accept", {"provider": "acme"})
    assert (entry["type"], entry["postings"]) == ("loan_offer_accepted", [])
    loan = book.get("/loans/L1")
    assert (loan["status"], loan["funding"]) == ("accepted", "provider")
    assert loan["cost"]["total"] == costs["acme"]["totalCost"]
    made(book, "/loan-providers/acme/receive", {"asset": "USD/2", "amount": AMOUNT, "account": "bank"})
    held = made(book, "/loans/L1/disburse", {"account": "bank", "method": "bank_transfer"})
    made(book, "/loans/L1/confirm-disbursement", {"disbursement": held["seq"]})
    assert book.balance("bank")[0] == 50_000
    assert book.balance("loans:provider_payable:acme")[0] == 50_000


def test_asked_again_nothing_is_done_twice_and_no_secret_shown(book: Book, database: str) -> None:
    """Registered with the same key: the same provider, without credentials; one key and one webhook of it."""
    body = {**REGISTRATION, "providerId": None}
    del body["providerId"]
    headers = {"idempotency-key": "reg-1"}
    first, again = (book.call("POST", "/loan-providers", body, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    name = first.json()["providerId"]
    assert name.startswith("provider_")
    assert set(first.json()["apiCredentials"]) == {"providerId", "apiKey", "webhookSecret"}
    assert again.json()["apiCredentials"] == {"providerId": name}
    assert again.headers["idempotency-replayed"] == "true"
    keys = [key for key in book.service.get("/v1/api-keys")["keys"] if key["provider"] == name]
    assert [(key["scopes"], key["ledgers"]) for key in keys] == [(["provider"], [book.name])]
    [hook] = book.get("/subscriptions")["subscriptions"]
    assert (hook["provider"], hook["scheme"]) == (name, "sha256")
    other = book.call("POST", "/loan-providers", body)
    assert (other.status_code, other.json()["code"]) == (409, "credit_provider_exists")
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT convert_from(body, 'UTF8') FROM daybook.events").fetchall()
    whole = "".join(row[0] for row in rows)
    assert name in whole
    for secret in first.json()["apiCredentials"].values():
        assert secret == name or secret not in whole
    assert "John Smith" not in whole
    assert book.get(f"/loan-providers/{name}/contact")["contactPerson"] == "John Smith"


def test_every_command_is_replayed_as_it_was_answered(book: Book) -> None:
    """Byte for byte, with nothing done again; of a registration, all but its secrets."""
    calls = provider_calls(book.service, book.path)
    assert {*calls, "register_credit_provider"} == {one.id for one in PROVIDER_OPERATIONS if one.keyed}
    for name, (method, path, body) in calls.items():
        headers = {"idempotency-key": f"key of {name}"}
        first = book.service.call(method, path, body, headers=headers)
        assert first.is_success, (name, first.text)
        head = book.head()
        again = book.service.call(method, path, body, headers=headers)
        assert (again.status_code, again.content) == (first.status_code, first.content), name
        assert again.headers["idempotency-replayed"] == "true"
        assert book.head() == head


def test_a_providers_key_sees_and_decides_its_own_leads_alone(
    book: Book, service: Service, database: str
) -> None:
    """Another provider is as none, nothing else is open to it, and who applied is shown until it declines."""
    acme = registered(book, "acme")["apiKey"]
    registered(book, "quick", minimumLoanAmount=AMOUNT + 1)
    sent(book)
    own = {"authorization": f"Bearer {acme}"}
    lead = book.call("GET", "/loan-providers/acme/leads/L1", headers=own).json()
    assert lead["applicant"]["applicant"]["personalInfo"]["firstName"] == "Sarah"
    assert (lead["creditScore"], lead["riskRating"], lead["leadFee"]) == (742, "low", 1250)
    assert "quick" not in json.dumps(lead)
    assert book.call("GET", "/loan-providers/acme", headers=own).json()["status"] == "active"
    for path in ("", "/leads", "/leads/L1", "/analytics", "/dashboard", "/invoices", "/invoices/I1"):
        theirs = book.call("GET", f"/loan-providers/quick{path}", headers=own)
        nobodys = book.call("GET", f"/loan-providers/nobody{path}", headers=own)
        assert (theirs.status_code, theirs.json()["code"]) == (404, "credit_provider_not_found")
        assert theirs.text.replace("quick", "nobody") == nobodys.text
    body = {**DECISION, "leadId": "L1", "providerId": "quick"}
    head = book.head()
    forged = book.call("POST", "/loan-providers/quick/leads/L1/decision", body, headers=own)
    assert (forged.status_code, forged.json()["code"]) == (404, "credit_provider_not_found")
    lied = book.call("POST", "/loan-providers/acme/leads/L1/decision", body, headers=own)
    assert (lied.status_code, lied.json()["field"]) == (400, "providerId")
    assert book.head() == head
    # A role of a credit provider without being one: nobody's leads.
    unbound = {"authorization": f"Bearer {make_key(database, 'provider', ledgers=[book.name])}"}
    refused = book.call("GET", "/loan-providers/acme/leads/L1", headers=unbound)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    for operation in PROVIDER_OPERATIONS:
        if operation.scope != "credit:lead:decide":
            place = {"loan_provider": "acme", "loan": "L1", "provider_invoice": "I1"}
            path = operation.path.format(ledger=book.name, **place)
            answer = service.call(operation.method, path, operation.example, headers=own)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
    for path in ("/leads/L1", "/loans/L1", "/events", "/accounts", "/subscriptions"):
        assert book.call("GET", path, headers=own).status_code == 403
    made(book, "/loan-providers/acme/leads/L1/decision", {"decision": "rejected"}, acme)
    lead = book.call("GET", "/loan-providers/acme/leads/L1", headers=own).json()
    assert (lead["status"], "applicant" in lead) == ("declined", False)


def test_a_key_can_be_made_anew_and_ends_when_it_is_revoked(book: Book, service: Service) -> None:
    """Bound to its provider, also after a rotation."""
    registered(book, "acme")
    made_key = made(book, "/loan-providers/acme/keys", {})["apiKey"]
    prefix = made_key.split("_")[1]
    keys = service.get("/v1/api-keys")["keys"]
    [key] = [key for key in keys if key["prefix"] == prefix]
    rotated = service.call("POST", f"/v1/api-keys/{key['id']}/rotate", {"overlap_seconds": 0}).json()
    assert rotated["key"]["provider"] == "acme"
    own = {"authorization": f"Bearer {rotated['secret']}"}
    assert book.call("GET", "/loan-providers/acme", headers=own).status_code == 200
    assert book.call("GET", "/loan-providers/other", headers=own).status_code == 404
    missing = book.call("POST", "/loan-providers/nobody/keys", {})
    assert (missing.status_code, missing.json()["code"]) == (404, "credit_provider_not_found")


def test_who_applied_is_outside_the_book_and_can_be_erased(book: Book, database: str) -> None:
    """The book has a commitment; a refused distribution keeps nobody; the lead stands without them."""
    key = registered(book, "acme")["apiKey"]
    nobody = book.call("POST", "/leads", {**DISTRIBUTION, "leadId": "L9"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "loan_not_found")
    with psycopg.connect(database) as connection:
        query = "SELECT person FROM access.persons WHERE ledger = %s AND kind = 'lead'"
        assert connection.execute(query, (book.name,)).fetchall() == []
    sent(book)
    other = {**DISTRIBUTION, "leadId": "L1", "applicant": {"personalInfo": {
        "firstName": "Eve", "lastName": "X", "address": {"country": "US"},
    }}}  # fmt: skip
    again = book.call("POST", "/leads", other)
    assert (again.status_code, again.json()["code"]) == (409, "lead_exists")
    own = {"authorization": f"Bearer {key}"}
    lead = book.call("GET", "/loan-providers/acme/leads/L1", headers=own).json()
    assert lead["applicant"]["applicant"]["personalInfo"]["firstName"] == "Sarah"
    events = json.dumps(book.get("/events", limit=1_000))
    assert "Sarah" not in events
    assert '"commitment"' in events
    assert book.call("DELETE", "/leads/L1/applicant").json() == {"leadId": "L1"}
    lead = book.call("GET", "/loan-providers/acme/leads/L1", headers=own).json()
    assert "applicant" not in lead


@pytest.mark.parametrize(
    ("path", "changes", "field"),
    [
        ("/leads", {"loanApplication": {"requestedAmount": 2.5, "tenure": 365}}, "requestedAmount"),
        ("/leads", {"applicant": {}}, "personalInfo"),
        ("/leads", {"bestBy": "luck"}, "bestBy"),
        ("/loan-providers", {"licenses": []}, "licenses"),
        ("/loan-providers", {"licenses": [{"licenseType": "x"}]}, "licenseNumber"),
        ("/loan-providers", {"creditCapacity": {}}, "minimumLoanAmount"),
        (
            "/loan-providers",
            {"technicalRequirements": {"webhookUrl": "ftp://x"}},
            "technicalRequirements.webhookUrl",
        ),
        ("/loan-providers/acme/leads/L1/decision", {"decision": "maybe"}, "decision"),
        ("/loan-providers/acme/leads/L1/decision", {"interestRate": "-1"}, "interestRate"),
        ("/loan-providers/acme/leads/L1/decision", {"interestRate": 1e-11}, "interestRate"),
        ("/loan-providers/acme/leads/L1/decision", {"expiresAt": None}, "expiresAt"),
        ("/loan-providers/acme/leads/L1/decision", {"processingFee": 9 * 10**9}, "processingFee"),
        ("/loan-providers/acme/leads/L1/decision", {"conditions": ["a\0"]}, "conditions"),
    ],
)
def test_what_means_nothing_names_its_field(
    book: Book, path: str, changes: dict[str, Any], field: str
) -> None:
    """400, nothing stored."""
    bodies = {"/leads": DISTRIBUTION, "/loan-providers": REGISTRATION}
    head = book.head()
    answer = book.call("POST", path, {**bodies.get(path, DECISION), **changes})
    assert answer.status_code == 400, answer.text
    assert field in answer.text
    assert book.head() == head


def test_a_provider_is_told_of_its_own_leads_signed_and_of_nobody_elses(book: Book) -> None:
    """The seed's webhook: what is asked for, until when; HMAC over the body by its own secret."""
    with receiver() as mine, receiver() as others:
        secret = registered(book, "acme", mine.url)["webhookSecret"]
        registered(book, "quick", others.url, maximumLoanAmount=AMOUNT - 1)
        sent(book)
        made(book, "/loan-providers/acme/invoices", {"invoice": "I1", "leads": ["L1"]})
        made(book, "/loan-providers/acme/leads/L1/reverse-fee", {"reason": "A test"})
        made(book, "/leads/L1/close", {"reason": "Enough"})
        mine.until(5)
        others.until(1)
    for message in mine.received:
        mac = hmac.new(secret.encode(), message.body, hashlib.sha256).hexdigest()
        assert message.headers["x-caas-signature"] == f"sha256={mac}"
        assert message.json["providerId"] == "acme"
        assert message.json["eventId"].startswith("msg_")
    told = {message.json["eventType"]: message.json for message in mine.received}
    assert set(told) == {
        "provider_status", "lead_received", "invoice_made", "lead_fee_reversed", "lead_closed",
    }  # fmt: skip
    lead = told["lead_received"]
    assert lead["data"]["loanApplication"]["requestedAmount"] == AMOUNT
    assert lead["data"]["creditAssessment"] == {"creditScore": 742, "riskRating": "low"}
    sent_at, until = (datetime.fromisoformat(lead[name]) for name in ("timestamp", "expiresAt"))
    assert (until - sent_at).total_seconds() == pytest.approx(48 * 3_600, abs=5)
    assert told["lead_closed"]["data"] == {"leadId": "L1", "status": "unanswered"}
    whole = b"".join(message.body for message in mine.received)
    assert b"quick" not in whole
    assert b"Sarah" not in whole
    assert [message.json["eventType"] for message in others.received] == ["provider_status"]
    [hook] = [one for one in book.get("/subscriptions")["subscriptions"] if one["provider"] == "acme"]
    book.call("PUT", f"/subscriptions/{hook['id']}", {"url": hook["url"]})
    assert book.get(f"/subscriptions/{hook['id']}")["types"] == sorted(TELLING)


def test_what_is_told_are_events_that_there_are() -> None:
    """And a subscription of a provider names no types of its own."""
    assert set(TELLING) <= set(SCHEMA_VERSIONS)


# ---------------------------------------------------------------- figures


def test_the_figures_are_those_of_the_leads(book: Book, database: str) -> None:
    """Conversion is approved of processed, the dashboard's approved of received."""
    acme, quick = (registered(book, name)["apiKey"] for name in ("acme", "quick"))
    for number in range(4):
        sent(book, f"L{number}")
    decided(book, "acme", acme, "L0")
    decided(book, "acme", acme, "L1")
    made(book, "/loan-providers/acme/leads/L2/decision", {"decision": "rejected"}, acme)
    made(book, "/loan-providers/quick/leads/L0/decision", {"decision": "rejected"}, quick)
    made(book, "/loan-providers/acme/leads/L3/reverse-fee", {"reason": "A test"})
    made(book, "/leads/L0/accept", {"provider": "acme"})
    made(book, "/loan-providers/acme/receive", {"asset": "USD/2", "amount": AMOUNT, "account": "bank"})
    held = made(book, "/loans/L0/disburse", {"account": "bank", "method": "wallet"})
    made(book, "/loans/L0/confirm-disbursement", {"disbursement": held["seq"]})
    head = made(book, "/loans/L0/repay", {"amount": 100_000, "account": "bank"})["seq"]
    own = {"authorization": f"Bearer {acme}"}
    found = book.call("GET", "/loan-providers/acme/analytics", params={"min_seq": head}, headers=own).json()
    assert "metrics" in found, found
    assert (found["metrics"]["conversionRate"], found["metrics"]["approvalRate"]) == ("66.7", "50.0")
    counts = ["leadsReceived", "leadsProcessed", "leadsApproved", "leadsAccepted", "leadsPending"]
    assert [found["metrics"][name] for name in counts] == [4, 3, 2, 1, 1]
    assert found["metrics"]["averageProcessingTime"] == "0.0"
    assert found["financialMetrics"] == [
        {
            "asset": "USD/2",
            "totalDisbursedAmount": AMOUNT,
            "totalRevenue": 3 * 1_250 + 5_000,
            "leadFees": 3 * 1_250,
            "servicingIncome": 5_000,
            "costPerLead": 937,
            "revenuePerLead": 2_187,
        }
    ]
    assert found["performanceRanking"] == {"overallRank": 1, "totalProviders": 2, "topPercentile": 50}
    shown = book.get("/loan-providers/acme/dashboard", min_seq=head)
    assert shown["overview"]["conversionRate"] == "50.0"
    assert shown["leadDistribution"]["byRiskRating"] == [{"rating": "low", "count": 4, "percentage": "100.0"}]
    assert shown["leadDistribution"]["byAmount"] == [
        {"asset": "USD/2", "minimum": 2_500_000, "maximum": 5_000_000, "count": 4, "percentage": "100.0"}
    ]
    before = book.get("/loan-providers/acme/analytics", endDate="2026-01-01T00:00:00Z")
    assert (before["metrics"]["leadsReceived"], before["performanceRanking"]) == (0, None)
    wrong = book.call(
        "GET",
        "/loan-providers/acme/analytics",
        params={"startDate": "2026-02-01T00:00:00Z", "endDate": "2026-01-01T00:00:00Z"},
    )
    assert (wrong.status_code, wrong.json()["field"]) == (400, "endDate")
    page = book.call("GET", "/loan-providers/acme/leads", params={"limit": 3}, headers=own).json()
    assert [one["status"] for one in page["leads"]] == ["accepted", "offered", "declined"]
    rest = book.get("/loan-providers/acme/leads", after=page["next"], min_seq=head)["leads"]
    assert [(one["leadId"], one["feeReversed"]) for one in rest] == [("L3", True)]
    assert [one["leadId"] for one in book.get("/loan-providers/acme/leads", status="sent")["leads"]] == ["L3"]
    for name in ("provider_leads", "loans", "arrears"):
        [verdict] = verify(database, find(name), book.name)
        assert verdict.difference is None, verdict


def test_rates_are_rounded_half_up_to_one_decimal() -> None:
    """As 89 of 142 are 62.7 and of 156 57.1 in the seed; of nothing there is none."""
    assert [tenths(ratio(89_000, whole)) for whole in (142, 156, 0)] == ["62.7", "57.1", None]
    assert [tenths(n) for n in (0, 5, -8, 1_000)] == ["0.0", "0.5", "-0.8", "100.0"]


def test_rows_are_the_same_in_any_cut(new_database: NewDatabase) -> None:
    """Ranges of one event, of four and of all make the same rows, those that a fold makes."""
    found = []
    for size in (1, 4, 1_000):
        with new_database() as conninfo:
            head = lived(conninfo)
            project(conninfo, 1, head, size, (ProviderLeads(), Loans(), Arrears()))
            for name in ("provider_leads", "loans", "arrears"):
                [verdict] = verify(conninfo, find(name), "main")
                assert verdict.difference is None, verdict
            with psycopg.connect(conninfo) as connection:
                rows = connection.execute("SELECT * FROM projections.provider_leads ORDER BY lead, provider")
                found.append([(*row[3:8], *row[10:]) for row in rows])
    assert found[0] == found[1] == found[2]
    assert [row[-1] for row in found[0]] == [
        "released", "lost", "unanswered", "declined", "offered", "sent",
    ]  # fmt: skip


def lived(conninfo: str) -> int:
    """A ledger whose leads came to every end; its head."""

    def asked(operation: str, subject: str = "", **body: Any) -> int:
        kind = {**LOANS, **BODIES}[operation]
        return done(do(writer, msgspec.convert(body, kind, strict=False), subject))

    with writing(conninfo) as writer:
        done(do(writer, c.LedgerOpening(name="main", chart=CHARTED)))
        for name in ("acme", "quick"):
            asked("register_credit_provider", name, **DETAILS, creditCapacity=CAPACITY)
            asked("activate_credit_provider", name, lead_fees={"USD/2": 1_250}, servicing_rate="5")
        asked("assess_borrower", "B1", kyc="verified")
        for lead in ("L0", "L1", "L2"):
            asked("submit_loan_application", loan=lead, borrower="B1", asset="USD/2", amount=25_000)
            asked("distribute_lead", leadId=lead, country="US", tenure=365)
        offer = {"approvedAmount": 20_000, "interestRate": "8", "tenure": 365}
        offer = {"decision": "approved", "expiresAt": "2041-01-01T00:00:00Z", **offer}
        for subject in ("acme:L0", "quick:L0", "acme:L2"):
            asked("decide_lead", subject, **offer)
        asked("decide_lead", "quick:L1", decision="rejected")
        interest = {"method": "flat", "rate": "9"}
        ours = {"asset": "USD/2", "amount": 25_000, "count": 3, "interest": interest}
        asked("approve_loan", "L0", offer=ours)
        asked("accept_lead_offer", "L0", provider="acme")
        asked("receive_provider_funds", "acme", asset="USD/2", amount=20_000, account="bank")
        held = asked("disburse_loan", "L0", account="bank", method="wallet")
        asked("confirm_disbursement", "L0", disbursement=held)
        asked("settle_loan", "L0", amount=21_000, account="bank")
        asked("close_lead", "L0", reason="It is over")
        asked("close_lead", "L1", reason="Enough")
        return asked("reverse_lead_fee", "quick:L2", reason="Invalid")


# ---------------------------------------------------------------- races


def test_races_exceed_no_capacity_and_accept_one_offer(book: Book, service: Service, database: str) -> None:
    """Eight leads at once for room for three; five acceptances at once of one application; then the audit."""
    capacity = {"USD/2": 3 * AMOUNT}
    keys = {name: registered(book, name, totalCapacity=capacity)["apiKey"] for name in ("acme", "quick")}
    for number in range(8):
        asked = {"loan": f"L{number}", "borrower": "B1", "asset": "USD/2", "amount": AMOUNT}
        made(book, "/loans", asked)
    together([("/leads", {**DISTRIBUTION, "leadId": f"L{number}"}) for number in range(8)], book)
    leads = [book.get(f"/leads/L{number}") for number in range(8)]
    assert sorted(len(lead["providers"]) for lead in leads) == [0] * 5 + [2] * 3
    refused = [one["reasons"] for lead in leads for one in lead["excluded"]]
    assert refused == [["capacity_taken"]] * 10
    for name in keys:
        provider = book.get(f"/loan-providers/{name}")
        assert provider["creditCapacity"]["capacityTaken"] == {"USD/2": 3 * AMOUNT}
    lead = next(lead["leadId"] for lead in leads if lead["providers"])
    for name, key in keys.items():
        decided(book, name, key, lead)
    own = {
        "asset": "USD/2", "amount": AMOUNT, "count": 12,
        "interest": {"method": "equal_instalments", "rate": "8"},
    }  # fmt: skip
    made(book, f"/loans/{lead}/approve", {"offer": own})
    accepting: list[tuple[str, Any]] = [
        (f"/leads/{lead}/accept", {"provider": name}) for name in keys for _ in range(2)
    ]
    statuses = together([*accepting, (f"/loans/{lead}/accept", {})], book)
    assert sorted(statuses) == [201, 409, 409, 409, 409]
    types = [one["body"]["type"] for one in book.get("/events", limit=1_000)["events"]]
    assert len([one for one in types if one in ("loan_offer_accepted", "loan_accepted")]) == 1
    report = live.check(database, book.name)
    assert {verdict.status for verdict in report.verdicts} <= {"ok", "not_checked"}, report


def together(asked: list[tuple[str, Any]], book: Book) -> list[int]:
    """The statuses of requests that are sent at once."""
    gate, statuses = threading.Barrier(len(asked)), []

    def ask(path: str, body: Any) -> None:
        with httpx.Client(base_url=book.service.base, headers=book.service.client.headers) as client:
            gate.wait()
            statuses.append(client.post(book.path + path, json=body, timeout=60).status_code)

    threads = [threading.Thread(target=ask, args=one) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses
