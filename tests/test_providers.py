"""Credit providers in the core: who gets a lead and why, offers that stand for a while, acceptance, fees."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ledger.events import Event
from ledger.loans.costs import cost_of
from ledger.loans.schedule import Interest
from ledger.loans.terms import Offer
from ledger.products import PRODUCTS
from ledger.providers.accounts import receivable
from ledger.providers.best import Candidate, best_of
from ledger.providers.commands import RateRange
from ledger.providers.criteria import HOUR
from ledger.rejections import Rejection
from ledger.text import iso, moment
from tests.loan_books import USD
from tests.postings import Entry, catalogue
from tests.provider_books import CAPACITY, DETAILS, ProviderBooks


@pytest.fixture
def books() -> ProviderBooks:
    return ProviderBooks()


# ---------------------------------------------------------------- who gets a lead


def test_a_registered_provider_gets_leads_when_it_is_active(books: ProviderBooks) -> None:
    """Pending, active, suspended, active again; whoever is not active is excluded, and told why."""
    books.made("register_credit_provider", "acme", **DETAILS, creditCapacity=CAPACITY)
    for lead, status, step in (
        ("L1", "pending", None),
        ("L2", "active", ("activate_credit_provider", {"lead_fees": {USD: 5}})),
        ("L3", "suspended", ("suspend_credit_provider", {"reason": "Slow"})),
        ("L4", "active", ("activate_credit_provider", {})),
    ):
        if step is not None:
            books.made(step[0], "acme", **step[1])
        assert books.known("acme").status == status
        said = books.sent(lead).data
        if status == "active":
            assert [one["provider"] for one in said["matched"]] == ["acme"]
        else:
            assert said["excluded"] == [{"provider": "acme", "reasons": ["not_active"]}]
            assert said["matched"] == []


@pytest.mark.parametrize(
    ("capacity", "amount", "country", "reason"),
    [
        ({}, 4_999, "US", "amount_below_minimum"),
        ({}, 500_001, "US", "amount_above_maximum"),
        ({}, 25_000, "MX", "country_not_covered"),
        ({"supportedCurrencies": ["EUR/2"]}, 25_000, "US", "currency_not_supported"),
        ({"totalCapacity": {USD: 24_999}}, 25_000, "US", "capacity_taken"),
        ({"maximumOpenLeads": 0}, 25_000, "US", "too_many_open_leads"),
        ({"minimumLoanAmount": 25_000, "maximumLoanAmount": 25_000}, 25_000, "CA", None),
        ({"totalCapacity": {USD: 25_000}, "maximumOpenLeads": 1}, 25_000, "US", None),
    ],
)
def test_each_rule_excludes_by_itself(
    books: ProviderBooks, capacity: dict[str, Any], amount: int, country: str, reason: str | None
) -> None:
    """To the unit: what is just enough matches. The event keeps the reason, and which rules these were."""
    books.provider("acme", **capacity)
    said = books.sent(amount=amount, country=country).data
    assert said["rules"] == {"name": "declared_criteria", "version": 1}
    assert said["excluded"] == ([] if reason is None else [{"provider": "acme", "reasons": [reason]}])
    assert len(said["matched"]) == (reason is None)


def test_an_expired_licence_excludes_from_the_day_after(books: ProviderBooks) -> None:
    """Through its last day it counts; a renewed one lets the provider in again."""
    books.provider("acme")
    last_day = {**DETAILS["licenses"][0], "expiryDate": "2026-03-02"}
    changed = {**DETAILS, "creditCapacity": CAPACITY, "licenses": [DETAILS["licenses"][0], last_day]}
    books.made("change_credit_provider", "acme", **changed)
    assert books.sent("L1").data["excluded"] == []
    books.wait(24)
    assert books.sent("L2").data["excluded"] == [{"provider": "acme", "reasons": ["licence_expired"]}]
    books.made("change_credit_provider", "acme", **DETAILS, creditCapacity=CAPACITY)
    assert books.sent("L3").data["excluded"] == []


def test_who_approved_more_often_comes_first(books: ProviderBooks) -> None:
    """The score is the percent of decided leads that were approved, one of either added; then by name."""
    for name in ("acme", "best", "cash"):
        books.provider(name)
    said = books.sent("L1").data["matched"]
    assert [(one["provider"], one["score"]) for one in said] == [("acme", 50), ("best", 50), ("cash", 50)]
    books.wait(4)
    assert isinstance(books.offers("best"), Event)
    books.made("decide_lead", "acme:L1", decision="rejected")
    said = books.sent("L2").data["matched"]
    assert [(one["provider"], one["score"], one.get("response_hours")) for one in said] == [
        ("best", 66, 5),  # a little more than four hours
        ("cash", 50, None),
        ("acme", 33, 5),
    ]


def test_a_provider_is_registered_once_and_in_assets_that_there_are(books: ProviderBooks) -> None:
    """Refused with what is wrong; so is every command about one that is not there."""
    books.provider("acme")
    again = books.denied("register_credit_provider", "acme", **DETAILS, creditCapacity=CAPACITY)
    assert again == ("credit_provider_exists", {"provider": "acme"})
    other = {**CAPACITY, "supportedCurrencies": ["GBP/2"]}
    refused = books.denied("register_credit_provider", "other", **DETAILS, creditCapacity=other)
    assert refused == ("asset_not_in_chart", {"asset": "GBP/2"})
    assert books.denied("activate_credit_provider", "nobody") == (
        "credit_provider_not_found",
        {"provider": "nobody"},
    )
    fee = books.denied("activate_credit_provider", "acme", lead_fees={"GBP/2": 1})
    assert fee == ("asset_not_in_chart", {"asset": "GBP/2"})


def test_no_more_providers_than_a_lead_can_be_sent_to(books: ProviderBooks) -> None:
    """The hundredth is the last, and a lead to all of them is one event that fits."""
    for number in range(100):
        books.provider(f"provider-with-a-rather-long-name-{number:031}", {"lead_fees": {USD: 10**12}})
    refused = books.denied("register_credit_provider", "one-more", **DETAILS, creditCapacity=CAPACITY)
    assert refused == ("too_many_credit_providers", {"most": 100})
    assert len(books.sent().data["matched"]) == 100


def test_a_lead_is_an_application_that_is_distributed_once(books: ProviderBooks) -> None:
    """Without one, or when it was decided already, there is no lead."""
    books.provider("acme")
    missing = books.denied("distribute_lead", leadId="L9", country="US", tenure=365)
    assert missing == ("loan_not_found", {"loan": "L9"})
    books.applied()
    differs = books.denied("distribute_lead", leadId="L1", country="US", tenure=365, requestedAmount=24_000)
    assert differs == ("lead_differs", {"lead": "L1", "applied": "25000", "amount": "24000"})
    books.distributed(requestedAmount="25000")
    again = books.denied("distribute_lead", leadId="L1", country="US", tenure=365)
    assert again == ("lead_exists", {"lead": "L1"})
    books.applied("L2")
    books.do("reject_loan", books.now, "L2", reason="No")
    decided = books.denied("distribute_lead", leadId="L2", country="US", tenure=365)
    assert decided[0] == "loan_status"


# ---------------------------------------------------------------- decisions


def test_an_offer_has_its_schedule_and_total_cost(books: ProviderBooks) -> None:
    """25,000.00 at 8.5 % for a year: twelve instalments, and what they ask beyond the principal, and the fee.

    The cost is reckoned here by the annuity's own formula, each interest rounded to the cent.
    """
    books.provider("acme", maximumLoanAmount=2_500_000)
    books.sent(amount=2_500_000)
    event = books.offers("acme", approvedAmount=2_500_000, processingFee=50_000, conditions=["Payslips"])
    instalment = round(2_500_000 * (0.085 / 12) / (1 - (1 + 0.085 / 12) ** -12))
    left, interest = 2_500_000, 0
    for number in range(12):
        part = int((Decimal(left) * Decimal("0.085") / 12).to_integral_value())
        interest += part
        left -= left if number == 11 else instalment - part
    assert event.data["cost"] == {
        "interest": str(interest),
        "fee": "50000",
        "total": str(interest + 50_000),
    }
    bid = books.bid("acme")
    assert bid.offer is not None
    assert (bid.status, bid.offer.count, bid.offer.provider, bid.offer.servicing_rate) == (
        "offered", 12, "acme", "5",
    )  # fmt: skip
    assert bid.conditions == ("Payslips",)
    assert 116_000 < interest < 117_000


@pytest.mark.parametrize(
    ("sent", "again"), [("3.5", "3.5"), ("18", "18.0"), ("1e-7", "0.0000001"), ("1e3", "1000"), ("0", "-0.0")]
)
def test_a_rate_that_is_sent_as_a_number_is_the_decimal_that_was_written(sent: str, again: str) -> None:
    """And not the double next to it, in whatever notation it came."""
    for number in (sent, again):
        raw = f'{{"minimum": {number}, "maximum": "9999"}}'.encode()
        found = msgspec.json.decode(raw, type=RateRange).minimum
        assert (Decimal(found), found.lstrip("-")) == (Decimal(sent), found)


def test_what_no_ledger_can_hold_is_refused(books: ProviderBooks) -> None:
    """A total cost beyond 64 bits, and leads that together ask for more, though no capacity was declared."""
    much = 2**62
    rates = {"minimum": "1", "maximum": "9999"}
    books.provider("acme", {}, maximumLoanAmount=2**63 - 1, interestRateRange=rates)
    assert len(books.sent("L1", much).data["matched"]) == 1
    assert books.sent("L2", much).data["excluded"] == [{"provider": "acme", "reasons": ["capacity_taken"]}]
    refused = books.offers("acme", "9999", approvedAmount=much, tenure=18_250)
    assert refused.code == "amount_overflow"
    assert isinstance(books.offers("acme", "1", approvedAmount=much), Event)


@pytest.mark.parametrize(("tenure", "count"), [(1, 1), (45, 1), (46, 2), (365, 12), (730, 24), (18_250, 600)])
def test_a_tenure_in_days_is_so_many_months(books: ProviderBooks, tenure: int, count: int) -> None:
    """A month is a twelfth of 365 days; half of one counts as one, and there is at least one."""
    books.provider("acme")
    books.sent()
    books.offers("acme", tenure=tenure)
    offer = books.bid("acme").offer
    assert offer is not None
    assert offer.count == count


def test_a_provider_answers_once_for_its_own_leads_within_what_it_declared(books: ProviderBooks) -> None:
    """Not more than was asked, at a rate of its range, until a moment to come, while it is active."""
    books.provider("acme")
    books.provider("best", maximumLoanAmount=10_000)
    books.sent()
    assert books.offers("best").code == "lead_not_found"  # it was not sent to it
    assert books.offers("acme", loan="L9").code == "lead_not_found"
    too_much = books.offers("acme", approvedAmount=25_001)
    assert (too_much.code, too_much.evidence["requested"]) == ("exceeds_request", "25000")
    for rate in ("3.49", "18.01"):
        assert books.offers("acme", rate).code == "rate_outside_range"
    assert books.offers("acme", expiresAt="2026-03-02T12:00:00Z").code == "offer_expired"
    books.made("suspend_credit_provider", "acme", reason="Slow")
    assert books.offers("acme").code == "credit_provider_not_active"
    books.made("activate_credit_provider", "acme")
    assert isinstance(books.offers("acme", "18"), Event)
    again = books.offers("acme", "3.5")
    assert (again.code, again.evidence["status"]) == ("lead_not_open", "offered")


def test_bidding_closes_after_48_hours_by_itself(books: ProviderBooks) -> None:
    """Just before, an offer is taken; then none. The best is of what stood then, and can be accepted."""
    books.provider("acme")
    books.provider("best")
    books.sent()
    sent_at = books.lead().sent_at
    books.now = sent_at + 48 * HOUR - 1
    assert isinstance(books.offers("acme"), Event)
    [closed] = books.wait(0.001)
    assert (closed.type, closed.effective_at[:10]) == ("lead_bidding_closed", "2026-03-04")
    assert closed.data["best"]["provider"] == "acme"
    assert closed.data["ended"] == [
        {"provider": "best", "was": "sent", "became": "unanswered", "freed": "25000"}
    ]
    late = books.offers("best")
    books.sent("L2")
    books.offers("acme", loan="L2", expiresAt=iso(books.lead("L2").closes_at + 1))
    [closed, expired] = books.wait(100)[:2]
    assert (closed.data["lead"], closed.data["best"]["provider"]) == ("L2", "acme")
    assert expired.data["lead"] == "L2"
    assert (late.code, late.evidence["bidding"]) == ("lead_not_open", "closed")
    assert books.made("accept_lead_offer", "L1", provider="acme").data["status"] == "accepted"


def test_an_offer_expires_by_itself_and_gives_its_capacity_back(books: ProviderBooks) -> None:
    """From then on it cannot be accepted, and it is not among the best."""
    books.provider("acme", totalCapacity={USD: 30_000})
    books.sent()
    books.offers("acme", expiresAt="2026-03-03T00:00:00Z", approvedAmount=20_000)
    assert books.known("acme").taken == {USD: 20_000}
    [expired] = books.wait(12)
    assert expired.type == "lead_offers_expired"
    assert books.known("acme").taken == {}
    refused = books.denied("accept_lead_offer", "L1", provider="acme")
    assert refused == ("offer_expired", {"loan": "L1", "expires_at": "2026-03-03T00:00:00.000000Z"})
    [closed] = books.wait(48)
    assert "best" not in closed.data


# ---------------------------------------------------------------- the best offer


def candidate(provider: str | None, rate: str, fee: int = 0, amount: int = 25_000, at: int = 0) -> Candidate:
    offer = Offer(
        asset=USD,
        amount=amount,
        interest=Interest("equal_instalments", rate),
        count=12,
        fee=fee,
        provider=provider,
    )
    return Candidate(provider, offer, cost_of(offer, date(2026, 3, 2)), at)


@pytest.mark.parametrize(
    ("others", "decided_by", "reason"),
    [
        ([], "only_offer", "The only offer"),
        ([candidate("b", "8.2", fee=0)], "rate", "Lowest rate: 7.5 % against 8.2 %"),
        ([candidate("b", "7.50", fee=600)], "fee", "Lowest fee: 500 against 600"),
        ([candidate("b", "7.5", 500, amount=24_000)], "amount", "Largest amount: 25000 against 24000"),
        ([candidate("b", "7.5", 500, at=9)], "earliest", "Earliest of equal offers"),
        ([candidate(None, "7.5", 500, at=9)], "earliest", "Earliest of equal offers"),
    ],
)
def test_the_best_has_the_lowest_rate_then_fee_amount_and_time(
    others: list[Candidate], decided_by: str, reason: str
) -> None:
    """And the reason is what told it from the next."""
    first = candidate("a", "7.5", 500, at=5)
    for order in ([first, *others], [*others, first]):
        best = best_of(order, "lowest_rate")
        assert best is not None
        assert (best.provider, best.decided_by, best.reason) == ("a", decided_by, reason)


def test_the_lowest_total_cost_can_be_another_offer() -> None:
    """A low rate with a high fee costs more than a higher rate without one."""
    offers = [candidate("a", "7.5", fee=500), candidate("b", "8.2", fee=300)]
    by_rate, by_cost = best_of(offers, "lowest_rate"), best_of(offers, "lowest_total_cost")
    assert by_rate is not None
    assert by_cost is not None
    assert (by_rate.provider, by_cost.provider, by_cost.decided_by) == ("a", "b", "total_cost")
    figures = f"{offers[1].cost.total} against {offers[0].cost.total}"
    assert by_cost.reason == f"Lowest total cost: {figures}"
    assert best_of([], "lowest_rate") is None


# ---------------------------------------------------------------- acceptance


def test_an_accepted_offer_is_the_loans_and_ends_the_others(books: ProviderBooks) -> None:
    """The loan is accepted on its terms, the borrower's limit has it, the others' capacity is free again."""
    for name in ("acme", "best", "cash"):
        books.provider(name, totalCapacity={USD: 25_000})
    books.sent()
    books.offers("acme", "8", processingFee=500, approvedAmount=20_000, conditions=["Payslips"])
    books.offers("best", "7")
    event = books.made("accept_lead_offer", "L1", provider="acme")
    assert event.data["best"] == {
        "provider": "best",
        "decided_by": "rate",
        "reason": "Lowest rate: 7 % against 8 %",
    }
    loan = books.loan()
    assert loan.offer is not None
    assert (loan.status, loan.offer.provider, loan.offer.amount) == ("accepted", "acme", 20_000)
    assert (loan.offer.fee, loan.conditions) == (500, ("Payslips",))
    assert books.borrower().taken == {"L1": (USD, 20_000)}
    assert [books.bid(name).status for name in ("acme", "best", "cash")] == ["accepted", "lost", "lost"]
    assert [books.known(name).taken for name in ("acme", "best", "cash")] == [{USD: 20_000}, {}, {}]
    assert [books.known(name).open_leads for name in ("acme", "best", "cash")] == [0, 0, 0]
    assert books.denied("accept_lead_offer", "L1", provider="best")[0] == "loan_status"
    assert books.wait(1_000) == []


def test_an_application_has_one_acceptance_own_offers_included(books: ProviderBooks) -> None:
    """Our own offer stands among the others; accepted, it leaves nothing to accept."""
    books.provider("acme")
    books.sent()
    books.offers("acme", "8.5")
    own = {
        "asset": USD, "amount": 25_000, "count": 12,
        "interest": {"method": "equal_instalments", "rate": "8"},
    }  # fmt: skip
    books.do("approve_loan", books.now, offer=own, actor="approver")
    [closed] = books.wait(48)
    assert closed.data["best"] == {"decided_by": "rate", "reason": "Lowest rate: 8 % against 8.5 %"}
    books.do("accept_loan", books.now)
    assert books.denied("accept_lead_offer", "L1", provider="acme")[0] == "loan_status"
    event = books.made("close_lead", "L1", reason="The borrower took ours")
    assert event.data["ended"] == [{"provider": "acme", "was": "offered", "became": "lost", "freed": "25000"}]
    assert books.known("acme").taken == {}


def test_only_a_standing_offer_of_an_active_provider_can_be_accepted(books: ProviderBooks) -> None:
    """Not one that was not made, was declined, or is of who was suspended; nor beyond the credit limit."""
    books.provider("acme")
    books.provider("best")
    books.sent()
    assert books.denied("accept_lead_offer", "L1", provider="nobody")[0] == "lead_not_found"
    unanswered = books.denied("accept_lead_offer", "L1", provider="acme")
    assert unanswered == ("no_standing_offer", {"lead": "L1", "provider": "acme", "status": "sent"})
    books.made("decide_lead", "acme:L1", decision="rejected", reason="Too young")
    assert books.denied("accept_lead_offer", "L1", provider="acme")[1]["status"] == "declined"
    books.offers("best")
    books.made("suspend_credit_provider", "best", reason="Slow")
    assert books.denied("accept_lead_offer", "L1", provider="best")[0] == "credit_provider_not_active"
    books.made("activate_credit_provider", "best")
    books.ask("assess_borrower", "borrower:B1", books.now, kyc="verified", limits={USD: 24_999})
    assert books.denied("accept_lead_offer", "L1", provider="best")[0] == "credit_limit_exceeded"


def test_what_will_not_be_a_loan_gives_its_capacity_back(books: ProviderBooks) -> None:
    """Closing ends the bidding; of a loan that is over, everything; and then there is nothing to close."""
    books.provider("acme")
    books.provider("best")
    books.sent()
    books.offers("acme")
    books.made("close_lead", "L1", reason="Enough")
    assert [books.bid(name).status for name in ("acme", "best")] == ["offered", "unanswered"]
    assert books.denied("close_lead", "L1", reason="Again")[0] == "lead_not_open"
    books.made("accept_lead_offer", "L1", provider="acme")
    assert books.denied("close_lead", "L1", reason="Again")[0] == "lead_not_open"
    books.do("withdraw_loan", books.now)
    books.made("close_lead", "L1", reason="Withdrawn")
    assert books.bid("acme").status == "released"
    assert books.known("acme").taken == {}


# ---------------------------------------------------------------- fees, invoices, payables


def invoiced(books: ProviderBooks, *leads: str) -> None:
    for lead in leads:
        books.sent(lead)
    books.made("invoice_credit_provider", "acme", invoice="I1", leads=list(leads))


def test_an_invoice_groups_fees_and_posts_nothing(books: ProviderBooks) -> None:
    """Each fee once, in one asset, of leads that it was charged for."""
    books.provider("acme", {"lead_fees": {USD: 1_250, "EUR/2": 900}}, supportedCurrencies=[USD, "EUR/2"])
    books.provider("best", {})
    invoiced(books, "L1", "L2")
    assert books.events[-1].postings == []
    assert [invoice.total for invoice in books.invoices()] == [2_500]
    for lead in ("L1", "L2"):
        again = books.denied("invoice_credit_provider", "acme", invoice="I2", leads=[lead])
        assert again == ("no_lead_fee", {"lead": lead, "provider": "acme", "fee": "invoiced"})
    books.sent("L3")
    taken = books.denied("invoice_credit_provider", "acme", invoice="I1", leads=["L3"])
    assert taken == ("provider_invoice_exists", {"provider": "acme", "invoice": "I1"})
    free = books.denied("invoice_credit_provider", "best", invoice="I1", leads=["L3"])
    assert free == ("no_lead_fee", {"lead": "L3", "provider": "best", "fee": "none"})
    books.applied("L4", asset="EUR/2")
    books.distributed("L4")
    mixed = books.denied("invoice_credit_provider", "acme", invoice="I2", leads=["L3", "L4"])
    assert mixed == ("invoice_of_several_assets", {"assets": ["EUR/2", USD]})


def test_an_invoice_takes_no_more_than_is_open(books: ProviderBooks) -> None:
    """Paid in parts, set off as far as we owe something."""
    books.provider("acme")
    invoiced(books, "L1", "L2")
    pay = {"amount": 2_501, "account": "bank"}
    assert books.denied("pay_provider_invoice", "acme:I1", **pay)[0] == "exceeds_invoice"
    missing = books.denied("pay_provider_invoice", "acme:I9", **pay)
    assert missing == ("provider_invoice_not_found", {"provider": "acme", "invoice": "I9"})
    books.made("pay_provider_invoice", "acme:I1", amount=1_000, account="bank")
    nothing = books.denied("offset_provider_invoice", "acme:I1", amount=1)
    assert nothing == ("exceeds_payable", {"provider": "acme", "asset": USD, "payable": "0"})
    books.made("share_revenue", "acme", asset=USD, amount=2_000, reason="March")
    books.made("offset_provider_invoice", "acme:I1", amount=1_500)
    assert (books.balance(receivable("acme")), books.balance("loans:provider_payable:acme")) == (0, -500)
    assert books.denied("offset_provider_invoice", "acme:I1", amount=1)[0] == "exceeds_invoice"
    product = books.denied("pay_provider_invoice", "acme:I1", amount=1, account=receivable("acme"))
    assert product[0] == "account_of_product"


def test_an_invalid_leads_fee_is_reversed_once(books: ProviderBooks) -> None:
    """Open, on an invoice or paid: what was paid already becomes payable; the receivable stays above zero."""
    books.provider("acme", {"lead_fees": {USD: 1_250}, "tax_rate": "8"})
    invoiced(books, "L1", "L2")
    books.sent("L3")
    books.made("pay_provider_invoice", "acme:I1", amount=2_000, account="bank")
    books.made("reverse_lead_fee", "acme:L3", reason="A test")
    assert books.balance(receivable("acme")) == 700
    books.made("reverse_lead_fee", "acme:L1", reason="A test")
    assert (books.balance(receivable("acme")), books.balance("loans:provider_payable:acme")) == (0, -650)
    assert (books.balance("providers:lead_income"), books.balance("tax:payable")) == (-1_250, -100)
    again = books.denied("reverse_lead_fee", "acme:L1", reason="Again")
    assert again == ("no_lead_fee", {"lead": "L1", "provider": "acme", "fee": "reversed"})


CATALOGUE = catalogue("Providers")


def by_hand(books: ProviderBooks, heading: str) -> Event:
    """The operation of a heading of the catalogue, after what it says went before."""
    books.provider("acme", {"lead_fees": {USD: 1_250}, "tax_rate": "8" if "tax" in heading else "0"})
    match heading:
        case "lead fee" | "lead fee with tax":
            return books.sent()
        case "lead fee reversed":
            books.sent()
            return books.made("reverse_lead_fee", "acme:L1", reason="Invalid")
        case "revenue share":
            return books.made("share_revenue", "acme", asset=USD, amount=300, reason="March")
    invoiced(books, "L1")
    match heading:
        case "invoice":
            return books.events[-1]
        case "payment of an invoice":
            return books.made("pay_provider_invoice", "acme:I1", amount=1_250, account="bank")
        case "offset":
            books.made("share_revenue", "acme", asset=USD, amount=300, reason="March")
            return books.made("offset_provider_invoice", "acme:I1", amount=300)
    books.made("pay_provider_invoice", "acme:I1", amount=1_000, account="bank")
    return books.made("reverse_lead_fee", "acme:L1", reason="Invalid")


@pytest.mark.parametrize("heading", CATALOGUE)
def test_an_operation_posts_what_the_catalogue_says(books: ProviderBooks, heading: str) -> None:
    """Leg by leg and in order."""
    event = by_hand(books, heading)
    sides = {"debit": "DR", "credit": "CR"}
    found: Entry = [(sides[p.side], p.account, p.amount, p.asset) for p in event.postings]
    assert found == CATALOGUE[heading]


def test_the_catalogue_is_whole() -> None:
    """Every operation of credit providers that posts something, and the invoice, which posts nothing."""
    assert set(CATALOGUE) == {
        "lead fee", "lead fee with tax", "lead fee reversed", "lead fee reversed after payment",
        "invoice", "payment of an invoice", "revenue share", "offset",
    }  # fmt: skip
    assert CATALOGUE["invoice"] == []


def test_a_providers_loan_with_a_fee_is_disbursed_from_its_funds(books: ProviderBooks) -> None:
    """The borrower gets the amount less the fee; the fee is payable to the provider, and nothing is ours."""
    books.provider("acme")
    books.sent()
    books.offers("acme", processingFee=500)
    books.made("accept_lead_offer", "L1", provider="acme")
    funds = "provider_funding:acme"
    books.ask("receive_provider_funds", funds, books.now, asset=USD, amount=25_000, account="bank")
    held = books.do("disburse_loan", books.now, account="bank", method="wallet")
    books.do("confirm_disbursement", books.now, disbursement=held.seq)
    assert (books.balance("bank"), books.balance("loans:provider_funds:acme")) == (500, 0)
    assert books.balance("loans:provider_payable:acme") == -500
    assert books.balance("loans:serviced_principal") == 25_000
    assert not any(books.balance(account) for account in ("loans:portfolio", "loans:deferred_fees"))
    books.do("repay_loan", books.now, amount=1_000, account="bank")
    assert books.balance("loans:provider_payable:acme") == -1_450
    assert books.balance("loans:servicing_income") == -50


# ---------------------------------------------------------------- at random


class Naive:
    """What must be true, kept apart: capacity by provider from what was sent and ended, fees and invoices."""

    def __init__(self) -> None:
        self.taken: dict[tuple[str, str], int] = {}  # provider, lead
        self.owed: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.invoices: Counter[tuple[str, str]] = Counter()

    def hear(self, event: Event) -> None:
        """One event, by its data."""
        data = event.data
        match event.type:
            case "lead_distributed":
                for match in data["matched"]:
                    self.taken[match["provider"], data["lead"]] = int(data["amount"])
                    self.owed[match["provider"]] += int(match.get("fee", 0)) + int(match.get("tax", 0))
            case "lead_decided":
                place = data["provider"], data["lead"]
                self.taken[place] = int(data["offer"]["amount"]) if "offer" in data else 0
            case "loan_offer_accepted":
                self.accepted[data["lead"]] += 1
            case "loan_accepted":
                self.accepted[data["loan"]] += 1
            case "credit_provider_invoiced":
                for line in data["lines"]:
                    self.invoices[data["provider"], data["invoice"]] += int(line["fee"]) + int(line["tax"])
            case "provider_invoice_paid" | "provider_invoice_offset":
                self.owed[data["provider"]] -= int(data["amount"])
                self.invoices[data["provider"], data["invoice"]] -= int(data["amount"])
            case "lead_fee_reversed":
                self.owed[data["provider"]] -= int(data["credited"])
                if "invoice" in data:
                    self.invoices[data["provider"], data["invoice"]] -= int(data["credited"])
        for end in data.get("ended", ()):
            self.taken[end["provider"], data["lead"]] = 0


def something(chance: random.Random, books: ProviderBooks, step: int) -> Any:
    """A random command, or time that goes by; most of them could be accepted."""
    bids = [
        (name.partition(":")[2], one, bid)
        for name, stream in books.state.streams.items()
        if name.startswith("lead:") and stream is not None
        for one, bid in stream.state.bids.items()
    ]
    lead, provider, _ = chance.choice(bids) if bids else ("L0", "a", None)
    sent = [(name, one) for name, one, bid in bids if bid.status == "sent"]
    fees = [name for name, one, bid in bids if one == provider and bid.fee_status == "open"]
    invoices = list(books.invoices())
    match chance.randrange(12):
        case 0 | 1 | 2:
            return books.sent(f"L{step}", chance.choice((6_000, 25_000)))
        case 3 | 4 | 5:
            if sent and chance.random() < 0.8:
                lead, provider = chance.choice(sent)
            if chance.random() < 0.3:
                return books.give("decide_lead", f"{provider}:{lead}", decision="rejected")
            amount, rate = chance.choice((5_000, 6_000)), chance.choice(("5", "6"))
            until = moment(books.now + chance.choice((10, 30, 500)) * HOUR).isoformat()
            offer = {"approvedAmount": amount, "expiresAt": until}
            return books.offers(provider, rate, lead, **offer)
        case 6 | 7:
            offered = [(name, one) for name, one, bid in bids if bid.status == "offered"]
            lead, provider = chance.choice(offered or [(lead, provider)])
            return books.give("accept_lead_offer", lead, provider=provider)
        case 8:
            books.wait(chance.choice((1, 20, 40)))
            return None
        case 9 if chance.random() < 0.3:
            return books.give("reverse_lead_fee", f"{provider}:{lead}", reason="Invalid")
        case 9 if fees:
            return books.give("invoice_credit_provider", provider, invoice=f"I{step}", leads=fees[:3])
        case 10 if invoices:
            invoice = chance.choice(invoices)
            subject, amount = f"{invoice.provider}:{invoice.invoice}", chance.choice((100, 1_350, 2_000))
            if chance.random() < 0.5:
                return books.give("pay_provider_invoice", subject, amount=amount, account="bank")
            books.made("share_revenue", invoice.provider, asset=USD, amount=100, reason="March")
            return books.give("offset_provider_invoice", subject, amount=100)
        case _:
            return books.give("close_lead", lead, reason="Enough")


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_no_capacity_is_exceeded_and_the_fees_are_the_receivable(seed: int) -> None:
    """At every step: taken as the naive count has it and within capacity; at most one acceptance a loan.

    The receivable of each provider is its fees on no invoice and what is open on its invoices, and what the
    naive count says is owed; an invoice's parts add up to it.
    """
    chance = random.Random(seed)
    books, naive = ProviderBooks(), Naive()
    capacities = {"a": 60_000, "b": 40_000, "c": 31_000}
    for name, capacity in capacities.items():
        terms = {"lead_fees": {USD: 1_250}, "tax_rate": "8" if name == "a" else "0"}
        books.provider(name, terms, totalCapacity={USD: capacity}, maximumOpenLeads=3)
    heard, accepted = len(books.events), Counter[str]()
    for step in range(150):
        outcome = something(chance, books, step)
        accepted["refused" if isinstance(outcome, Rejection) else "done"] += 1
        for event in books.events[heard:]:
            naive.hear(event)
            accepted[event.type] += 1
        heard = len(books.events)
        for name, capacity in capacities.items():
            taken = sum(amount for (one, _), amount in naive.taken.items() if one == name)
            assert books.known(name).taken.get(USD, 0) == taken <= capacity
            assert 0 <= books.known(name).open_leads <= 3
            claimed = claims(books, receivable(name))
            assert books.balance(receivable(name)) == claimed == naive.owed[name] >= 0
        for invoice in books.invoices():
            assert invoice.open == sum(invoice.lines.values()) - invoice.paid - invoice.credited >= 0
    assert not [loan for loan, times in naive.accepted.items() if times > 1]
    assert accepted["refused"] > 10
    for type in ("lead_distributed", "lead_decided", "loan_offer_accepted", "lead_bidding_closed",
                 "lead_offers_expired", "credit_provider_invoiced", "provider_invoice_paid"):  # fmt: skip
        assert accepted[type], (type, accepted)


def claims(books: ProviderBooks, account: str) -> int:
    """What streams say that an account holds."""
    return sum(
        amount
        for name, stream in books.state.streams.items()
        if stream is not None and name.startswith(("lead:", "provider_invoice:"))
        for address, _, amount in PRODUCTS.claims(stream)
        if address == account
    )
